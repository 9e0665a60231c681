"""Dialects from tables: one line per record of an artifact.

What a target writes is a list of records (layers, operator codes, nodes) with operands and named parameters, and no
behaviour of their own; a table says that best::

    DIALECT = records("ncnn", "The layers of a .param file.", {
        "Convolution": Record("x w b?", num_output=0, kernel_w=1, kernel_h=1, activation="none"),
        "Concat": Record("xs*", axis=0),
        "Split": Record("x", "ys*"),
    })

Every record has beside its own attributes the optional array `quant`: the quantizers of its operands, then of its
results, by symbol, `unit` where the value is no codes.

What a table cannot say by itself it is given: constraints on types by a name that stands behind a colon, and a function
that verifies a record::

    DIALECT = records("codes", "Integer operators.", {
        "Add": Record("a:bytes b:bytes scale:float?", "y:bytes", axis=int),
    }, kinds={"bytes": tensor_of(i8, ui8), "float": FLOAT_TENSOR}, check=same_element)
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import attrs

from qir.ir.attributes import SymbolRefAttr, UnitAttr
from qir.ir.constraints import ANY, ARRAY, BOOL, FLOAT, FLOATS, INT, INTS, STRING, AttrKind, TypeConstraint
from qir.ir.context import Dialect
from qir.ir.core import Operation, Trait
from qir.ir.definition import (
    attr,
    op_def,
    operand,
    optional_attr,
    optional_operand,
    result,
    variadic_operand,
    variadic_result,
)
from qir.ir.types import NoneType
from qir.ir.verifier import Verifier

__all__ = ["Check", "Record", "RecordOp", "numbered_records", "records"]

Check = Callable[["RecordOp"], Iterable[str]]
"""What is wrong with a record, one sentence each."""


class RecordOp(Operation):
    """Base of the operations made from a table."""

    __slots__ = ()
    quant = optional_attr(ARRAY, doc="the quantizers of operands and results; unit where a value is no codes")

    check: ClassVar[Check | None] = None

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        yield from self._verify_quant(verifier)
        check = type(self).check
        if check is not None:
            yield from check(self)

    def _verify_quant(self, verifier: Verifier) -> Iterator[str]:
        names = self.quant
        if names is None:
            return
        count = len(self.operands) + len(self.results)
        if len(names) != count:
            yield f"'quant' names {len(names)} quantizers for {count} operands and results"
        for name in names:
            if isinstance(name, SymbolRefAttr):
                found = verifier.lookup(self, name.root)
                if found is None or found.name != "qsim.quantizer":
                    yield f"'quant' names @{name.root}, which is no quantizer"
            elif not isinstance(name, UnitAttr):
                yield f"'quant' holds {name}: it takes quantizers and unit"

    def parameter(self, name: str) -> Any:
        """An attribute's Python value, or its default."""
        definition = self.definition
        assert definition is not None
        return self.attr(name, definition.attributes[name].default)

    def quantizer_names(self) -> list[str | None]:
        """The name of the quantizer of each operand, then of each result; None where the value is no codes."""
        names = self.quant
        if names is None:
            return [None] * (len(self.operands) + len(self.results))
        return [name.root if isinstance(name, SymbolRefAttr) else None for name in names]


@attrs.frozen(init=False)
class Record:
    """One kind of record: operands, results, and attributes with their defaults, which say the types.

    In `operands` and `results` a name that ends in ``?`` may be absent, one that ends in ``*`` stands for any number;
    an absent operand before others is an ``onnx.NoValue``. Behind a colon stands the name of the constraint on its
    type. A default is an int, float, str, bool, or a tuple of ints or floats; one of these types in its place (a tuple
    is of ints) makes the attribute required.
    """

    operands: str
    results: str
    doc: str
    attributes: Mapping[str, Any]

    def __init__(self, operands: str = "x", results: str = "y", doc: str = "", **attributes: Any) -> None:
        self.__attrs_init__(operands, results, doc, attributes)


def records(
    dialect: str, doc: str, table: Mapping[str, Record], *, kinds: Mapping[str, TypeConstraint] | None = None,
    check: Check | None = None,
) -> Dialect:  # fmt: skip
    """The dialect of a table. `kinds` are constraints on types by the names that the table uses; `check` says what else
    is wrong with a record. Raises TypeError for a default of another type than those of a `Record`."""
    ops = [_operation(f"{dialect}.{name}", record, kinds or {}, check) for name, record in table.items()]
    return Dialect(dialect, ops, doc=doc)


def numbered_records(
    dialect: str, doc: str, table: Mapping[str, tuple[str, str, str, str]]
) -> tuple[Dialect, dict[str, dict[str, int]]]:
    """The dialect of a format that numbers its parameters, and these numbers by record and parameter.

    A row is operands, results, parameters and what it is. A parameter is ``name:number=default``; without a default it
    is 0: ``"slope:0=0.0 axes:3=() keepdims:4"``.
    """
    numbers: dict[str, dict[str, int]] = {}
    made: dict[str, Record] = {}
    for name, (operands, results, parameters, what) in table.items():
        defaults: dict[str, Any] = {}
        numbers[name] = {}
        for parameter in parameters.split():
            title, _, rest = parameter.partition(":")
            number, _, default = rest.partition("=")
            numbers[name][title], defaults[title] = int(number), ast.literal_eval(default or "0")
        made[name] = Record(operands, results, what, **defaults)
    return records(dialect, doc, made), numbers


def _operation(name: str, record: Record, kinds: Mapping[str, TypeConstraint], check: Check | None) -> type[Operation]:
    body: dict[str, Any] = {"__doc__": record.doc, "__slots__": (), "check": check}
    names = record.operands.split()
    for position, field in enumerate(names):
        plain, kind = _field(field, kinds)
        if field.endswith("*"):
            body[plain] = variadic_operand(kind)
        elif field.endswith("?") and position == len(names) - 1:
            body[plain] = optional_operand(kind)
        else:
            body[plain] = operand(_or_absent(kind) if field.endswith("?") else kind)
    for field in record.results.split():
        plain, kind = _field(field, kinds)
        body[plain] = variadic_result(kind) if field.endswith("*") else result(kind)
    for key, default in record.attributes.items():
        body[key] = attr(_kind(name, key, default), default=None if isinstance(default, type) else default)
    for key, value in body.items():
        if hasattr(value, "__set_name__"):
            value.__set_name__(RecordOp, key)
    cls = type(name.partition(".")[2], (RecordOp,), body)
    return op_def(name, Trait.PURE)(cls)


def _field(field: str, kinds: Mapping[str, TypeConstraint]) -> tuple[str, TypeConstraint]:
    """The name and the constraint of a field of a table."""
    name, _, kind = field.rstrip("?*").partition(":")
    return name, kinds[kind] if kind else ANY


def _or_absent(kind: TypeConstraint) -> TypeConstraint:
    """For an operand before the last one: onnx.NoValue's result stands for absent."""
    if kind is ANY:
        return ANY
    return TypeConstraint(f"{kind.name} or absent", lambda t: isinstance(t, NoneType) or kind.accepts(t))


def _kind(name: str, key: str, default: Any) -> AttrKind[Any]:
    kinds: dict[type, AttrKind[Any]] = {bool: BOOL, int: INT, float: FLOAT, str: STRING, tuple: INTS}
    if isinstance(default, tuple) and any(isinstance(v, float) for v in default):
        return FLOATS
    kind = kinds.get(default if isinstance(default, type) else type(default))
    if kind is None:
        raise TypeError(f"the default of '{name}' {key} is {default!r}: give an int, float, str, bool or tuple")
    return kind
