"""What operands and attributes may be: constraints on types, and kinds of attributes with their Python values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import attrs

from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    DictAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    TensorAttr,
    TypeAttr,
    UnitAttr,
    attribute,
    bool_attr,
    integer_array,
    python_value,
)
from qir.ir.types import FloatType, FunctionType, IntegerType, TensorType, Type, i1

__all__ = [
    "ANY",
    "ANY_ATTR",
    "ANY_TENSOR",
    "ARRAY",
    "BOOL",
    "DICT",
    "FLOAT",
    "FLOATS",
    "FLOAT_TENSOR",
    "FUNCTION_TYPE",
    "INT",
    "INTEGER_TENSOR",
    "INTS",
    "NUMBERS",
    "STRING",
    "SYMBOL",
    "TENSOR",
    "TYPE",
    "UNIT",
    "AttrKind",
    "TypeConstraint",
    "tensor_of",
]

T = TypeVar("T")


@attrs.frozen
class TypeConstraint:
    """A named predicate on types; the name completes the sentence "must be …"."""

    name: str
    accepts: Callable[[Type], bool]


ANY = TypeConstraint("of any type", lambda t: True)
ANY_TENSOR = TypeConstraint("a tensor", lambda t: isinstance(t, TensorType))
FLOAT_TENSOR = TypeConstraint(
    "a tensor of a floating-point type", lambda t: isinstance(t, TensorType) and isinstance(t.element, FloatType)
)
INTEGER_TENSOR = TypeConstraint(
    "a tensor of integers", lambda t: isinstance(t, TensorType) and isinstance(t.element, IntegerType)
)


def tensor_of(*elements: Type, rank: int | None = None) -> TypeConstraint:
    """Tensors of one of these element types, of this rank if given (unranked ones pass)."""
    words = " or ".join(map(str, elements))
    shape = "" if rank is None else f"rank-{rank} "
    return TypeConstraint(
        f"a {shape}tensor of {words}",
        lambda t: isinstance(t, TensorType) and t.element in elements and (rank is None or t.rank in (None, rank)),
    )


@attrs.frozen
class AttrKind(Generic[T]):
    """A named kind of attribute and its Python value."""

    name: str
    accepts: Callable[[Attribute], bool]
    decode: Callable[[Any], T]
    encode: Callable[[T], Attribute]


def _is(*kinds: type[Attribute]) -> Callable[[Attribute], bool]:
    return lambda a: isinstance(a, kinds)


INT: AttrKind[int] = AttrKind(
    "an integer",
    lambda a: isinstance(a, IntegerAttr) and a.type != i1,
    lambda a: int(a.value),
    lambda v: IntegerAttr(v),
)
BOOL: AttrKind[bool] = AttrKind(
    "true or false", lambda a: isinstance(a, IntegerAttr) and a.type == i1, lambda a: bool(a.value), bool_attr
)
FLOAT: AttrKind[float] = AttrKind("a float", _is(FloatAttr), lambda a: float(a.value), lambda v: FloatAttr.of(v))
STRING: AttrKind[str] = AttrKind("a string", _is(StringAttr), lambda a: str(a.value), StringAttr)
SYMBOL: AttrKind[str] = AttrKind(
    "a symbol reference", _is(SymbolRefAttr), lambda a: str(a.root), lambda v: SymbolRefAttr(v)
)
TYPE: AttrKind[Type] = AttrKind("a type", _is(TypeAttr), lambda a: cast(Type, a.type), TypeAttr)
FUNCTION_TYPE: AttrKind[FunctionType] = AttrKind(
    "a function type",
    lambda a: isinstance(a, TypeAttr) and isinstance(a.type, FunctionType),
    lambda a: cast(FunctionType, a.type),
    TypeAttr,
)
INTS: AttrKind[tuple[int, ...]] = AttrKind(
    "an array of integers",
    lambda a: isinstance(a, DenseArrayAttr) and isinstance(a.element, IntegerType),
    lambda a: cast("tuple[int, ...]", a.values),
    lambda v: integer_array(v),
)
FLOATS: AttrKind[tuple[float, ...]] = AttrKind(
    "an array of floats",
    lambda a: isinstance(a, DenseArrayAttr) and isinstance(a.element, FloatType),
    lambda a: cast("tuple[float, ...]", python_value(a)),
    lambda v: attribute([float(x) for x in v]),
)
TENSOR: AttrKind[TensorAttr] = AttrKind("a tensor", _is(TensorAttr), lambda a: cast(TensorAttr, a), lambda v: v)
NUMBERS: AttrKind[Attribute] = AttrKind(
    "a tensor or an array of numbers", _is(TensorAttr, DenseArrayAttr), lambda a: cast(Attribute, a), lambda v: v
)
ARRAY: AttrKind[tuple[Attribute, ...]] = AttrKind(
    "an array", _is(ArrayAttr), lambda a: cast("tuple[Attribute, ...]", a.values), lambda v: ArrayAttr(tuple(v))
)
DICT: AttrKind[DictAttr] = AttrKind("a dictionary", _is(DictAttr), lambda a: cast(DictAttr, a), lambda v: v)
UNIT: AttrKind[bool] = AttrKind("a unit (the key alone)", _is(UnitAttr), lambda a: True, lambda v: UnitAttr())
ANY_ATTR: AttrKind[Attribute] = AttrKind("any attribute", lambda a: True, lambda a: cast(Attribute, a), attribute)
