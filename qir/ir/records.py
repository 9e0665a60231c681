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
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from qir.ir.attributes import SymbolRefAttr, UnitAttr
from qir.ir.constraints import ANY, ARRAY, BOOL, FLOAT, FLOATS, INT, INTS, STRING, AttrKind
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
from qir.ir.verifier import Verifier

__all__ = ["Record", "RecordOp", "numbered_records", "records"]


class RecordOp(Operation):
    """Base of the operations made from a table."""

    __slots__ = ()
    quant = optional_attr(ARRAY, doc="the quantizers of operands and results; unit where a value is no codes")

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
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
    an absent operand before others is an ``onnx.NoValue``. A default is an int, float, str, bool, or a tuple of ints or
    floats.
    """

    operands: str
    results: str
    doc: str
    attributes: Mapping[str, Any]

    def __init__(self, operands: str = "x", results: str = "y", doc: str = "", **attributes: Any) -> None:
        self.__attrs_init__(operands, results, doc, attributes)  # type: ignore[attr-defined]


def records(dialect: str, doc: str, table: Mapping[str, Record]) -> Dialect:
    """The dialect of a table. Raises TypeError for a default of another type than those of a `Record`."""
    return Dialect(dialect, [_operation(f"{dialect}.{name}", record) for name, record in table.items()], doc=doc)


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


def _operation(name: str, record: Record) -> type[Operation]:
    body: dict[str, Any] = {"__doc__": record.doc, "__slots__": ()}
    names = record.operands.split()
    for position, field in enumerate(names):
        plain = field.rstrip("?*")
        if field.endswith("*"):
            body[plain] = variadic_operand(ANY)
        elif field.endswith("?") and position == len(names) - 1:
            body[plain] = optional_operand(ANY)
        else:
            body[plain] = operand(ANY)
    for field in record.results.split():
        body[field.rstrip("*")] = variadic_result(ANY) if field.endswith("*") else result(ANY)
    for key, default in record.attributes.items():
        body[key] = attr(_kind(name, key, default), default=default)
    for key, value in body.items():
        if hasattr(value, "__set_name__"):
            value.__set_name__(RecordOp, key)
    cls = type(name.partition(".")[2], (RecordOp,), body)
    return op_def(name, Trait.PURE)(cls)


def _kind(name: str, key: str, default: Any) -> AttrKind[Any]:
    kinds: dict[type, AttrKind[Any]] = {bool: BOOL, int: INT, float: FLOAT, str: STRING}
    if isinstance(default, tuple):
        return FLOATS if any(isinstance(v, float) for v in default) else INTS
    kind = kinds.get(type(default))
    if kind is None:
        raise TypeError(f"the default of '{name}' {key} is {default!r}: give an int, float, str, bool or tuple")
    return kind
