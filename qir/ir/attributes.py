"""Attributes: the constants that operations carry.

Immutable, compared by value; ``str(attribute)`` is MLIR's spelling. Those that hold tensors are in `qir.ir.dense`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from qir.ir.base import Attribute, bare_or_quoted, quote
from qir.ir.dense import (
    INLINE_LIMIT,
    DenseAttr,
    DenseResourceAttr,
    DenseStringAttr,
    TensorAttr,
    dense_from_bytes,
    dense_from_numpy,
    resource_key,
)
from qir.ir.floats import float_bits, float_from_bits, float_text
from qir.ir.location import Location
from qir.ir.types import FloatType, Type, f32, i1, i64

__all__ = [
    "INLINE_LIMIT",
    "ArrayAttr",
    "Attribute",
    "DenseArrayAttr",
    "DenseAttr",
    "DenseResourceAttr",
    "DenseStringAttr",
    "DictAttr",
    "FloatAttr",
    "IntegerAttr",
    "LocationAttr",
    "OpaqueAttr",
    "StringAttr",
    "SymbolRefAttr",
    "TensorAttr",
    "TypeAttr",
    "UnitAttr",
    "attribute",
    "bare_or_quoted",
    "bool_attr",
    "dense_from_bytes",
    "dense_from_numpy",
    "dictionary",
    "float_bits",
    "float_from_bits",
    "float_text",
    "integer_array",
    "python_value",
    "resource_key",
]  # fmt: skip


# ---------------------------------------------------------------- scalars
@attrs.frozen
class StringAttr(Attribute):
    """``"text"``. Bytes that are not UTF-8 are kept as surrogate escapes."""

    value: str

    def __str__(self) -> str:
        return quote(self.value)


@attrs.frozen
class IntegerAttr(Attribute):
    """``3 : i64``; of type i1 ``true`` and ``false``."""

    value: int
    type: Type = i64

    def __str__(self) -> str:
        if self.type == i1:
            return "true" if self.value else "false"
        return f"{self.value} : {self.type}"


@attrs.frozen
class FloatAttr(Attribute):
    """``5.000000e-01 : f32``, held as the bits of its type so that NaNs and signed zeros stay what they are."""

    bits: int
    type: FloatType = f32

    @staticmethod
    def of(value: float, type: FloatType = f32) -> FloatAttr:
        return FloatAttr(float_bits(value, type), type)

    @property
    def value(self) -> float:
        return float_from_bits(self.bits, self.type)

    def __str__(self) -> str:
        return f"{float_text(self.bits, self.type)} : {self.type}"


@attrs.frozen
class TypeAttr(Attribute):
    """A type as an attribute."""

    type: Type

    def __str__(self) -> str:
        return str(self.type)


@attrs.frozen
class UnitAttr(Attribute):
    """``unit``: present or absent."""

    def __str__(self) -> str:
        return "unit"


@attrs.frozen
class SymbolRefAttr(Attribute):
    """``@a`` or ``@a::@b``."""

    root: str
    nested: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "::".join("@" + bare_or_quoted(name) for name in (self.root, *self.nested))


@attrs.frozen
class LocationAttr(Attribute):
    """``loc("name")`` as an attribute."""

    location: Location

    def __str__(self) -> str:
        return f"loc({self.location})"


@attrs.frozen
class OpaqueAttr(Attribute):
    """An attribute of a dialect, kept as text: ``#quant.x<...>`` is ("quant", "x<...>").

    ``dialect=""`` is builtin syntax that is only carried (``affine_map<...>``); a body that starts with ``<`` follows
    without a dot; `type` is the trailing ``: type``.
    """

    dialect: str
    body: str
    type: Type | None = None

    def __str__(self) -> str:
        text = self.body
        if self.dialect:
            text = f"#{self.dialect}{text}" if text.startswith("<") else f"#{self.dialect}.{text}"
        return text if self.type is None else f"{text} : {self.type}"


# ---------------------------------------------------------------- containers
@attrs.frozen
class ArrayAttr(Attribute):
    """``[a, b]``."""

    values: tuple[Attribute, ...] = ()

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.values))}]"


@attrs.frozen
class DictAttr(Attribute):
    """``{a = 1 : i64}``; the entries are sorted by key. Make one with `dictionary`."""

    entries: tuple[tuple[str, Attribute], ...] = ()

    def get(self, key: str) -> Attribute | None:
        return next((value for name, value in self.entries if name == key), None)

    def __str__(self) -> str:
        return f"{{{', '.join(entry_text(k, v) for k, v in self.entries)}}}"


def entry_text(key: str, value: Attribute) -> str:
    """``key = value`` as it stands in a dictionary; a unit is its key alone."""
    key = bare_or_quoted(key)
    return key if isinstance(value, UnitAttr) else f"{key} = {value}"


def dictionary(entries: Mapping[str, Attribute]) -> DictAttr:
    """The dictionary attribute of a mapping."""
    return DictAttr(tuple(sorted(entries.items())))


@attrs.frozen
class DenseArrayAttr(Attribute):
    """``array<i64: 1, 2>``; floats are held as bits."""

    element: Type
    values: tuple[int, ...] = ()

    @property
    def python(self) -> tuple[Any, ...]:
        if isinstance(self.element, FloatType):
            return tuple(float_from_bits(v, self.element) for v in self.values)
        return tuple(map(bool, self.values)) if self.element == i1 else self.values

    def __str__(self) -> str:
        if not self.values:
            return f"array<{self.element}>"
        return f"array<{self.element}: {', '.join(_scalar_text(v, self.element) for v in self.values)}>"


def _scalar_text(value: int, element: Type) -> str:
    if isinstance(element, FloatType):
        return float_text(value, element)
    return ("true" if value else "false") if element == i1 else str(value)


# ---------------------------------------------------------------- python values
PythonValue = bool | int | float | str | Sequence[Any] | Mapping[str, Any] | Type | Attribute | None


def bool_attr(value: bool) -> IntegerAttr:
    return IntegerAttr(int(value), i1)


def integer_array(values: Sequence[int], element: Type = i64) -> DenseArrayAttr:
    return DenseArrayAttr(element, tuple(int(v) for v in values))


def attribute(value: PythonValue) -> Attribute:
    """The natural attribute of a Python value: ints are i64, floats f32, lists of them ``array<…>``, others ``[…]``."""
    if isinstance(value, Attribute):
        return value
    if isinstance(value, bool):
        return bool_attr(value)
    if isinstance(value, int):
        return IntegerAttr(value)
    if isinstance(value, float):
        return FloatAttr.of(value)
    if isinstance(value, str):
        return StringAttr(value)
    if isinstance(value, Type):
        return TypeAttr(value)
    if isinstance(value, Mapping):
        return dictionary({k: attribute(v) for k, v in value.items()})
    if value is None:
        return UnitAttr()
    items: list[Any] = list(value)
    if all(isinstance(v, int) and not isinstance(v, bool) for v in items):
        return integer_array(items)
    if all(isinstance(v, float) for v in items):
        return DenseArrayAttr(f32, tuple(float_bits(v, f32) for v in items))
    return ArrayAttr(tuple(attribute(v) for v in items))


def python_value(value: Attribute) -> Any:
    """The Python value that reads most naturally; tensors, symbols and opaque attributes stay what they are."""
    if isinstance(value, IntegerAttr):
        return bool(value.value) if value.type == i1 else value.value
    if isinstance(value, (FloatAttr, StringAttr)):
        return value.value
    if isinstance(value, DenseArrayAttr):
        return value.python
    if isinstance(value, ArrayAttr):
        return tuple(python_value(v) for v in value.values)
    if isinstance(value, DictAttr):
        return {k: python_value(v) for k, v in value.entries}
    if isinstance(value, TypeAttr):
        return value.type
    if isinstance(value, UnitAttr):
        return True
    return value
