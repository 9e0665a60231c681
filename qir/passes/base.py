"""What a pass is: a frozen class whose fields are its options and whose docstring is its help."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from qir.ir.context import Context
from qir.ir.core import Operation

__all__ = ["OptionSpec", "Pass", "Statistics", "format_value", "option", "option_specs", "parse_value", "statistics_of"]


@attrs.define(eq=False)
class Statistics:
    """Counts that passes keep, one per context: (pass, what) → number."""

    counts: dict[tuple[str, str], int] = attrs.field(factory=dict)


def statistics_of(ctx: Context) -> Statistics:
    """The statistics of a context."""
    held = ctx.extensions.get(Statistics)
    if not isinstance(held, Statistics):
        held = ctx.extensions[Statistics] = Statistics()
    return held


def option(default: Any = attrs.NOTHING, help: str = "", *, choices: Sequence[str] = (), factory: Any = None) -> Any:
    """A field that is an option of the pass. Its annotation is its type: bool, int, float, str, ``tuple[T, ...]``
    (written ``a,b``) or one of these or None; without a default it must be given. `choices` are the words that a str
    may be."""
    metadata = {"help": help, "choices": tuple(choices)}
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


@attrs.frozen
class Pass:
    """Base of all passes::

        @register_pass
        @attrs.frozen
        class FoldBatchNorm(Pass):
            "Fold batch normalizations into the convolutions before them."
            name: ClassVar[str] = "fold-batch-norm"
            limit: int = option(0, "fold at most so many")

            def run(self, module: Operation, ctx: Context) -> bool: ...

    `anchor` is the operation it runs on (``builtin.module`` or ``func.func``; None: any); `dialects` are loaded before
    it runs. `run` returns whether it changed anything, and raises QirError where the job cannot go on.
    """

    name: ClassVar[str] = ""
    anchor: ClassVar[str | None] = "builtin.module"
    dialects: ClassVar[tuple[str, ...]] = ()

    def run(self, module: Operation, ctx: Context) -> bool:
        """Work on `module` (the operation called `anchor`); whether it changed."""
        raise NotImplementedError

    def count(self, ctx: Context, what: str, number: int = 1) -> None:
        """Add to a count that ``--statistics`` prints."""
        counts = statistics_of(ctx).counts
        counts[self.name, what] = counts.get((self.name, what), 0) + number

    def __str__(self) -> str:
        """The pass as it stands in a pipeline, with the options that are not defaults."""
        options = []
        for spec in option_specs(type(self)):
            value = getattr(self, spec.field)
            if spec.required or value != spec.default:
                options.append(f"{spec.name}={format_value(value)}")
        return f"{self.name}{{{' '.join(options)}}}" if options else self.name

    @classmethod
    def summary(cls) -> str:
        """One line of help: the docstring's first sentence or paragraph."""
        return " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())


# ---------------------------------------------------------------- options
@attrs.frozen
class OptionSpec:
    """One option of a pass class, for parsing and for help."""

    name: str
    field: str
    type: Any
    default: Any
    required: bool
    help: str
    choices: tuple[str, ...]

    @property
    def type_name(self) -> str:
        return "|".join(self.choices) if self.choices else type_name(self.type)


_SPECS: dict[type, tuple[OptionSpec, ...]] = {}


def option_specs(cls: type[Pass]) -> tuple[OptionSpec, ...]:
    """The options of a pass class, in the order of its fields."""
    specs = _SPECS.get(cls)
    if specs is None:
        made = []
        for field in attrs.fields(cls):
            required = field.default is attrs.NOTHING
            default = field.default
            if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
                default = default.factory()
            made.append(
                OptionSpec(
                    field.name.replace("_", "-"),
                    field.name,
                    _resolved(cls, field.name, field.type),
                    default,
                    required,
                    str(field.metadata.get("help", "")),
                    tuple(field.metadata.get("choices", ())),
                )
            )
        specs = _SPECS[cls] = tuple(made)
    return specs


def _resolved(cls: type, name: str, annotation: Any) -> Any:
    """A field's type, where its annotation is still text, by the names of the module of the class that has it."""
    if not isinstance(annotation, str):
        return annotation
    owner = next(c for c in cls.__mro__ if name in inspect.get_annotations(c))
    names = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    return eval(annotation, {**vars(typing), **names})


def _without_none(type_: Any) -> tuple[Any, bool]:
    """``T | None`` as T and True."""
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(type_) if a is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return type_, False


def type_name(type_: Any) -> str:
    """An option's type in words."""
    inner, optional = _without_none(type_)
    if typing.get_origin(inner) in (tuple, list):
        text = f"list of {type_name(typing.get_args(inner)[0])}"
    else:
        text = {str: "text", int: "integer", float: "number", bool: "true|false"}.get(inner, str(inner))
    return f"{text} or none" if optional else text


def parse_value(text: str, type_: Any, choices: Sequence[str] = ()) -> Any:
    """An option's value from its text. Raises ValueError saying what was expected."""
    inner, optional = _without_none(type_)
    if optional and text == "none":
        return None
    if typing.get_origin(inner) in (tuple, list):
        element = typing.get_args(inner)[0]
        values = [parse_value(part, element, choices) for part in split_list(text)]
        return typing.get_origin(inner)(values)
    if inner is bool:
        if text.lower() in ("true", "1", ""):
            return True
        if text.lower() in ("false", "0"):
            return False
        raise ValueError("expected true or false")
    if inner is int:
        try:
            return int(text, 0)
        except ValueError:
            raise ValueError("expected an integer") from None
    if inner is float:
        try:
            return float(text)
        except ValueError:
            raise ValueError("expected a number") from None
    if choices and text not in choices:
        raise ValueError(f"expected {', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else choices[0])
    return text


def split_list(text: str) -> list[str]:
    """The parts between the commas that stand outside of braces."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "{[(") - (c in "}])")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [p for p in parts if p] if text else []


def format_value(value: Any) -> str:
    """An option's value as text that parses back to it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ",".join(format_value(v) for v in value)
    text = str(value)
    if not text or any(c.isspace() or c in "{}\"'" for c in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
