"""ONNX's operator schemas, read from ``onnx.defs`` at run time: nothing about an operator is written down here.

``import onnx`` happens at the first question about an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from qir.dialects.onnx_types import ELEMENT_NAMES, type_string
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    FloatAttr,
    IntegerAttr,
    OpaqueAttr,
    StringAttr,
    TensorAttr,
    TypeAttr,
)
from qir.ir.core import Operation
from qir.ir.types import FloatType, IntegerType, NoneType, i1

__all__ = ["KINDS", "STANDARD", "Parameter", "Schema", "SchemaAttribute", "find", "names", "newest"]

STANDARD = ("", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training")
"""Domains that ONNX itself defines."""


def _ints(attr: Attribute) -> bool:
    if isinstance(attr, DenseArrayAttr):
        return isinstance(attr.element, IntegerType)
    return isinstance(attr, ArrayAttr) and all(isinstance(v, IntegerAttr) for v in attr.values)


def _floats(attr: Attribute) -> bool:
    if isinstance(attr, DenseArrayAttr):
        return isinstance(attr.element, FloatType)
    return isinstance(attr, ArrayAttr) and all(isinstance(v, FloatAttr) for v in attr.values)


def _array_of(kind: type[Attribute]) -> Callable[[Attribute], bool]:
    return lambda attr: isinstance(attr, ArrayAttr) and all(isinstance(v, kind) for v in attr.values)


KINDS: dict[str, tuple[str, Callable[[Attribute], bool]]] = {
    "INT": ("an integer (1 : i64)", lambda a: isinstance(a, IntegerAttr)),
    "INTS": ("integers (array<i64: 1, 2>)", _ints),
    "FLOAT": ("a float (1.0 : f32)", lambda a: isinstance(a, FloatAttr)),
    "FLOATS": ("floats (array<f32: 1.0>)", _floats),
    "STRING": ("a string", lambda a: isinstance(a, StringAttr)),
    "STRINGS": ("strings", _array_of(StringAttr)),
    "TENSOR": ("a tensor (dense<...>)", lambda a: isinstance(a, TensorAttr)),
    "TENSORS": ("tensors", _array_of(TensorAttr)),
    "TYPE_PROTO": ("a type", lambda a: isinstance(a, TypeAttr)),
    "TYPE_PROTOS": ("types", _array_of(TypeAttr)),
    "SPARSE_TENSOR": ("a sparse tensor", lambda a: isinstance(a, OpaqueAttr)),
    "SPARSE_TENSORS": ("sparse tensors", lambda a: isinstance(a, OpaqueAttr)),
    "GRAPH": ("a region", lambda a: False),
    "GRAPHS": ("regions", lambda a: False),
}
"""Per kind of ONNX attribute: its name in messages, and which attributes of the IR it may be."""


@attrs.frozen(eq=False)
class SchemaAttribute:
    """An attribute of an operator: its kind by ONNX's name (``INTS``), whether it must be given, its default."""

    name: str
    kind: str
    required: bool
    default: Any
    doc: str


@attrs.frozen(eq=False)
class Parameter:
    """An input or output: `option` is ``single``, ``optional`` or ``variadic``; `types` are those it accepts, as
    ONNX spells them; parameters with the same `variable` must have the same type."""

    name: str
    option: str
    variable: str | None
    types: frozenset[str]
    doc: str


@attrs.define(eq=False)
class Schema:
    """One operator at one version."""

    name: str
    domain: str
    since: int
    doc: str
    deprecated: bool
    deterministic: bool
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    min_input: int
    max_input: int
    min_output: int
    max_output: int
    attributes: dict[str, SchemaAttribute]
    required: tuple[str, ...]
    native: Any
    _seen: dict[Any, tuple[str, ...]] = attrs.field(factory=dict)

    @property
    def graphs(self) -> tuple[str, ...]:
        """The names of its graph attributes, in the order in which an operation has them as regions."""
        found = [a.name for a in self.attributes.values() if a.kind in ("GRAPH", "GRAPHS")]
        return ("then_branch", "else_branch") if found == ["else_branch", "then_branch"] else tuple(found)

    def parameter(self, index: int, *, output: bool = False) -> Parameter | None:
        """Input (or output) number `index`; the last variadic one stands for all that follow."""
        parameters = self.outputs if output else self.inputs
        if index < len(parameters):
            return parameters[index]
        return parameters[-1] if parameters and parameters[-1].option == "variadic" else None

    # ------------------------------------------------------------ verification
    def check(self, op: Operation) -> tuple[str, ...]:
        """Messages for everything in which `op` differs from the schema."""
        attributes = op.attributes
        key = (
            tuple([v.type for v in op.operands]),
            tuple([r.type for r in op.results]),
            tuple([(k, v.__class__, getattr(v, "element", None)) for k, v in attributes.items() if "." not in k]),
            len(op.regions),
        )
        found = self._seen.get(key)
        if found is None or found:
            found = tuple(self._messages(op))
            if len(self._seen) > 10000:
                self._seen.clear()
            self._seen[key] = found
        return found

    def _messages(self, op: Operation) -> Iterator[str]:
        operands = [None if isinstance(v.type, NoneType) else v.type for v in op.operands]
        results = [None if isinstance(r.type, NoneType) else r.type for r in op.results]
        arity = False
        for what, found, parameters, low, high in (
            ("operand", operands, self.inputs, self.min_input, self.max_input),
            ("result", results, self.outputs, self.min_output, self.max_output),
        ):
            if not low <= len(found) <= high:
                limits = f"{low}" if low == high else f"at least {low}" if high > 1 << 20 else f"{low} to {high}"
                yield (
                    f"takes {limits} {what}s at version {self.since}, has {len(found)}"
                    if what == "operand"
                    else (f"gives {limits} results at version {self.since}, has {len(found)}")
                )
                arity = True
                continue
            for i, type in enumerate(found[: len(parameters)] if what == "operand" else ()):
                if type is None and parameters[i].option == "single":
                    yield f"needs its operand '{parameters[i].name}'"
        if not arity and self.name != "Constant":  # exporters wrote integers long before its schema allowed them
            yield from self._types(operands, results)
        yield from self._attributes(op)

    def _types(self, operands: Sequence[Any], results: Sequence[Any]) -> Iterator[str]:
        bound: dict[str, tuple[str, str]] = {}
        for what, types in (("operand", operands), ("result", results)):
            for i, type in enumerate(types):
                parameter = self.parameter(i, output=what == "result")
                if type is None or parameter is None:
                    continue
                text = type_string(type)
                if text == "":
                    continue
                if text not in parameter.types:
                    yield f"{what} '{parameter.name}' must be {_words(parameter.types)}; it is {type}"
                    continue
                if parameter.variable is None or text is None:
                    continue
                name, first = bound.setdefault(parameter.variable, (f"{what} '{parameter.name}'", text))
                if first != text:
                    both = f"{name} and {what} '{parameter.name}'"
                    yield f"{both} must be of one type, they are {_spelling(first)} and {_spelling(text)}"

    def _attributes(self, op: Operation) -> Iterator[str]:
        attributes = op.attributes
        graphs = self.graphs
        needed = sum(name in self.required for name in graphs)
        if not needed <= len(op.regions) <= len(graphs) and not any(
            self.attributes[g].kind == "GRAPHS" for g in graphs
        ):
            names = f" ({', '.join(graphs)})" if graphs else ""
            yield f"takes {len(graphs)} region{'s' * (len(graphs) != 1)}{names}, has {len(op.regions)}"
        for name in self.required:
            if name not in attributes and name not in graphs:
                yield f"needs the attribute '{name}', {KINDS[self.attributes[name].kind][0]}"
        for name, value in attributes.items():
            if "." in name:
                continue
            known = self.attributes.get(name)
            if known is None:
                import difflib

                close = difflib.get_close_matches(name, self.attributes, 1, 0.5)
                yield f"has no attribute '{name}' at version {self.since}" + (
                    f"; did you mean '{close[0]}'?" if close else ""
                )
            elif isinstance(value, OpaqueAttr) and value.dialect == "onnx":
                continue  # a reference to a function's attribute, or a message kept as it is
            elif not KINDS[known.kind][1](value) and not (
                isinstance(value, IntegerAttr) and value.type == i1 and known.kind == "INT"
            ):
                yield f"attribute '{name}' must be {KINDS[known.kind][0]}, is {value}"


_ELEMENTS = {name: str(type) for type, name in ELEMENT_NAMES.items()}


def _spelling(text: str) -> str:
    """A type that ONNX spells ``seq(tensor(float))`` in the words of the IR."""
    kind, _, inner = text.partition("(")
    if kind == "tensor":
        return f"tensors of {_ELEMENTS.get(inner[:-1], inner[:-1])}"
    return text


def _words(types: frozenset[str]) -> str:
    """The types that a parameter accepts, in a message."""
    elements = sorted(_ELEMENTS.get(t[7:-1], t) for t in types if t.startswith("tensor("))
    others = sorted(t for t in types if not t.startswith("tensor("))
    words = [f"a tensor of {', '.join(elements)}"] if elements else []
    words += others if len(others) < 4 else [f"one of {len(others)} kinds of sequences, maps and optionals"]
    return " or ".join(words)


_schemas: dict[tuple[str, str, int], Schema | None] = {}
_wrapped: dict[tuple[str, str, int], Schema] = {}
_names: dict[str, tuple[str, ...]] = {}


def find(domain: str, name: str, version: int) -> Schema | None:
    """The schema of an operator at an opset version; None if there is none that old (or at all).

    A deprecated operator is described by its last version that was not.
    """
    key = domain, name, version
    try:
        return _schemas[key]
    except KeyError:
        pass
    from onnx import defs

    found: Schema | None = None
    try:
        native = defs.get_schema(name, version, domain)
        if native.deprecated and defs.has(name, native.since_version - 1, domain):
            native = defs.get_schema(name, native.since_version - 1, domain)
        identity = domain, name, native.since_version
        found = _wrapped.get(identity)
        if found is None:
            found = _wrapped[identity] = _wrap(native)
    except defs.SchemaError:
        found = None
    _schemas[key] = found
    return found


def newest(domain: str, name: str) -> Schema | None:
    """The newest schema of an operator."""
    from onnx import defs

    return find(domain, name, defs.onnx_opset_version() + 1000) if name in names(domain) else None


def names(domain: str) -> tuple[str, ...]:
    """The operators that ONNX has or had in a domain."""
    found = _names.get(domain)
    if found is None:
        from onnx import defs

        found = tuple(sorted({s.name for s in defs.get_all_schemas_with_history() if s.domain == domain}))
        _names[domain] = found
    return found


def _wrap(native: Any) -> Schema:
    def parameter(p: Any) -> Parameter:
        option = p.option.name.lower()
        variable = p.type_str if "(" not in p.type_str and (option != "variadic" or p.is_homogeneous) else None
        return Parameter(p.name, option, variable, frozenset(p.types), p.description)

    attributes = {
        name: SchemaAttribute(name, a.type.name, a.required, _default(a), a.description)
        for name, a in sorted(native.attributes.items())
    }
    return Schema(
        name=native.name,
        domain=native.domain,
        since=native.since_version,
        doc=native.doc or "",
        deprecated=native.deprecated,
        deterministic=native.node_determinism.name != "NonDeterministic",
        inputs=tuple(map(parameter, native.inputs)),
        outputs=tuple(map(parameter, native.outputs)),
        min_input=native.min_input,
        max_input=native.max_input,
        min_output=native.min_output,
        max_output=native.max_output,
        attributes=attributes,
        required=tuple(a.name for a in attributes.values() if a.required),
        native=native,
    )


def _default(attribute: Any) -> Any:
    proto = attribute.default_value
    if proto is None or not proto.name:
        return None
    from onnx import helper

    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode()
    return (
        tuple(v.decode() if isinstance(v, bytes) else v for v in value) if isinstance(value, (list, tuple)) else value
    )
