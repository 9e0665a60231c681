"""Types of the IR: MLIR's builtin types, and opaque types of other dialects.

Types are immutable and compared by value; ``str(type)`` is MLIR's own spelling.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = [
    "DYNAMIC",
    "FLOAT_BITS",
    "ComplexType",
    "FloatType",
    "FunctionType",
    "IndexType",
    "IntegerType",
    "NoneType",
    "OpaqueType",
    "TensorType",
    "TupleType",
    "Type",
    "bf16",
    "element_bits",
    "f16",
    "f32",
    "f64",
    "i1",
    "i8",
    "i16",
    "i32",
    "i64",
    "index",
    "none",
    "tensor",
    "ui8",
    "ui16",
    "ui32",
    "ui64",
]  # fmt: skip

DYNAMIC: Final = None
"""The size of a dimension that is not known when compiling; printed ``?``."""

FLOAT_BITS: Final[dict[str, int]] = {
    "f64": 64, "f32": 32, "tf32": 19, "f16": 16, "bf16": 16, "f128": 128, "f80": 80,
    "f8E5M2": 8, "f8E4M3": 8, "f8E4M3FN": 8, "f8E5M2FNUZ": 8, "f8E4M3FNUZ": 8, "f8E4M3B11FNUZ": 8, "f8E3M4": 8,
    "f8E8M0FNU": 8, "f6E2M3FN": 6, "f6E3M2FN": 6, "f4E2M1FN": 4,
}  # fmt: skip
"""Every floating-point type of MLIR's builtin dialect and its width in bits."""


class Type:
    """Base of all types."""

    __slots__ = ()


@attrs.frozen(repr=False)
class IntegerType(Type):
    """``i8`` (signless), ``si8`` (``signedness="s"``) or ``ui8`` (``signedness="u"``)."""

    width: int
    signedness: str = ""

    def __str__(self) -> str:
        return f"{self.signedness}i{self.width}"

    __repr__ = __str__


@attrs.frozen(repr=False)
class FloatType(Type):
    """A floating-point type by MLIR's name, one of `FLOAT_BITS`."""

    name: str

    @property
    def width(self) -> int:
        return FLOAT_BITS[self.name]

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


@attrs.frozen(repr=False)
class IndexType(Type):
    """``index``: an integer as wide as the machine's pointers."""

    def __str__(self) -> str:
        return "index"

    __repr__ = __str__


@attrs.frozen(repr=False)
class NoneType(Type):
    """``none``: the type of an absent value."""

    def __str__(self) -> str:
        return "none"

    __repr__ = __str__


@attrs.frozen(repr=False)
class ComplexType(Type):
    """``complex<f32>``."""

    element: Type

    def __str__(self) -> str:
        return f"complex<{self.element}>"

    __repr__ = __str__


@attrs.frozen(repr=False)
class TupleType(Type):
    """``tuple<i32, f32>``."""

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"

    __repr__ = __str__


@attrs.frozen(repr=False)
class FunctionType(Type):
    """``(inputs) -> results``."""

    inputs: tuple[Type, ...]
    results: tuple[Type, ...]

    def __str__(self) -> str:
        results = self.results
        bare = len(results) == 1 and not isinstance(results[0], FunctionType)
        text = str(results[0]) if bare else f"({', '.join(map(str, results))})"
        return f"({', '.join(map(str, self.inputs))}) -> {text}"

    __repr__ = __str__


@attrs.frozen(repr=False, cache_hash=True)
class TensorType(Type):
    """``tensor<2x?xf32>``; ``shape=None`` is unranked (``tensor<*xf32>``), a size of None is dynamic.

    ``encoding`` is the optional attribute after the element type (``tensor<4xi8, #t.packed<i4>>``), kept as the
    attribute object.
    """

    shape: tuple[int | None, ...] | None
    element: Type
    encoding: object = None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @property
    def is_static(self) -> bool:
        return self.shape is not None and None not in self.shape

    @property
    def count(self) -> int:
        """Number of elements of a static shape. Raises ValueError otherwise."""
        if self.shape is None:
            raise ValueError(f"{self} has no static shape")
        total = 1
        for size in self.shape:
            if size is None:
                raise ValueError(f"{self} has no static shape")
            total *= size
        return total

    def with_element(self, element: Type) -> TensorType:
        return TensorType(self.shape, element, self.encoding)

    def with_shape(self, shape: tuple[int | None, ...] | None) -> TensorType:
        return TensorType(shape, self.element, self.encoding)

    def __str__(self) -> str:
        if self.shape is None:
            dims = "*x"
        else:
            dims = "".join("?x" if size is None else f"{size}x" for size in self.shape)
        encoding = "" if self.encoding is None else f", {self.encoding}"
        return f"tensor<{dims}{self.element}{encoding}>"

    __repr__ = __str__


@attrs.frozen(repr=False, cache_hash=True)
class OpaqueType(Type):
    """A type of a dialect, kept as text: ``!onnx.seq<tensor<f32>>`` is ("onnx", "seq<tensor<f32>>")."""

    dialect: str
    body: str

    def __str__(self) -> str:
        if not self.dialect:
            return self.body
        return f"!{self.dialect}{self.body}" if self.body.startswith("<") else f"!{self.dialect}.{self.body}"

    __repr__ = __str__


i1, i8, i16, i32, i64 = (IntegerType(width) for width in (1, 8, 16, 32, 64))
ui8, ui16, ui32, ui64 = (IntegerType(width, "u") for width in (8, 16, 32, 64))
f16, bf16, f32, f64 = (FloatType(name) for name in ("f16", "bf16", "f32", "f64"))
index, none = IndexType(), NoneType()


def tensor(shape: tuple[int | None, ...] | list[int | None] | None, element: Type) -> TensorType:
    """The tensor type of a shape (None: unranked) and an element type."""
    return TensorType(None if shape is None else tuple(shape), element)


def element_bits(element: Type) -> int:
    """Bits that one element takes in a packed buffer. Raises ValueError for types without a fixed width."""
    if isinstance(element, IntegerType):
        return element.width
    if isinstance(element, FloatType):
        return element.width
    if isinstance(element, IndexType):
        return 64
    if isinstance(element, ComplexType):
        return 2 * element_bits(element.element)
    raise ValueError(f"elements of type {element} have no fixed width")
