"""Attributes: the constants that operations carry.

Immutable, compared by value; ``str(attribute)`` is MLIR's spelling.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir.location import Location, quote
from qir.ir.tensors import ArrayTensor, Tensor, element_type, pack, storage_size, unpack
from qir.ir.types import ComplexType, FloatType, TensorType, Type, element_bits, f32, i1, i64

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    "dense_from_numpy",
    "dictionary",
    "float_bits",
    "float_from_bits",
    "float_text",
    "integer_array",
    "python_value",
    "resource_key",
]  # fmt: skip

INLINE_LIMIT = 16
"""Tensors of at most this many elements are written in place; larger ones by reference."""


class Attribute:
    """Base of all attributes."""

    __slots__ = ()


# ---------------------------------------------------------------- floats, bit by bit
_PACK = {16: "<e", 32: "<f", 64: "<d"}
_BITS = {16: "<H", 32: "<I", 64: "<Q"}


def float_bits(value: float, type: FloatType) -> int:
    """The bit pattern of `value` rounded (half to even) to a float type; too large a value becomes infinity or NaN."""
    if type.name in ("f16", "f32", "f64"):
        try:
            data = struct.pack(_PACK[type.width], value)
        except OverflowError:
            data = struct.pack(_PACK[type.width], math.copysign(math.inf, value))
        return int(struct.unpack(_BITS[type.width], data)[0])
    import numpy as np

    from qir.ir.tensors import numpy_dtype

    array = np.array([value], np.float64).astype(numpy_dtype(type))
    return int.from_bytes(array.tobytes(), "little")


def float_from_bits(bits: int, type: FloatType) -> float:
    """The value of a bit pattern."""
    if type.name in ("f16", "f32", "f64"):
        return float(struct.unpack(_PACK[type.width], struct.pack(_BITS[type.width], bits))[0])
    import numpy as np

    from qir.ir.tensors import numpy_dtype

    dtype = numpy_dtype(type)
    return float(np.frombuffer(bits.to_bytes(dtype.itemsize, "little"), dtype)[0])


def float_text(bits: int, type: FloatType) -> str:
    """Shortest decimal that reads back to the same bits in `type`; hexadecimal bits for NaN and infinities."""
    value = float_from_bits(bits, type)
    if not math.isfinite(value):
        return f"0x{bits:0{(type.width + 3) // 4}X}"
    if type.width <= 8 or type.name == "f64" or (value == int(value) and abs(value) < 1e15):
        text = repr(value)  # few digits anyway, and 448.0 says more than 450.0, which would do too
    else:
        text = next(t for t in (f"{value:.{digits}g}" for digits in range(1, 18)) if float_bits(float(t), type) == bits)
        if "e" in text and 1e-5 <= abs(value) < 1e17:  # %g takes the exponent form early; decimals are easier to read
            text = repr(float(text))
    mantissa, e, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}e{int(exponent):+03d}" if e else mantissa


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


def bare_or_quoted(name: str) -> str:
    """A key or symbol as MLIR writes it: bare where its grammar allows, else as a string."""
    first = name[:1]
    if name.isascii() and (first.isalpha() or first == "_") and name.translate(_NAME_REST).isalnum():
        return name
    return quote(name)


_NAME_REST = str.maketrans("_$.", "aaa")


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


# ---------------------------------------------------------------- tensors
class TensorAttr(Attribute):
    """Base of the attributes that hold a tensor's data."""

    __slots__ = ()
    type: TensorType

    def numpy(self) -> NDArray[Any]:
        """The data as a read-only array (ml_dtypes for the small types; an object array of bytes for strings)."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(s for s in self.type.shape or () if s is not None)


@attrs.frozen(cache_hash=True)
class DenseAttr(TensorAttr):
    """``dense<[1, 2]> : tensor<2xi64>``: data in place, as stored bytes. One element stands for all (a splat)."""

    type: TensorType
    data: bytes = attrs.field(repr=False)

    @property
    def is_splat(self) -> bool:
        count = self.type.count
        one = storage_size(self.type.element, 1)
        return count > 1 and len(self.data) == one != storage_size(self.type.element, count)

    def numpy(self) -> NDArray[Any]:
        shape = self.shape
        if self.is_splat:
            import numpy as np

            return np.broadcast_to(unpack(self.data, self.type.element, ()), shape)
        return unpack(self.data, self.type.element, shape)

    def __str__(self) -> str:
        return f"dense<{self.literal()}> : {self.type}"

    def literal(self) -> str:
        """What stands between the angle brackets."""
        element, shape = self.type.element, self.shape
        count = self.type.count
        if count == 0:
            return ""
        values = element_texts(self.data, element, 1 if self.is_splat else count)
        if self.is_splat or not shape:
            return values[0]
        return nested(values, shape)


@attrs.frozen(cache_hash=True)
class DenseStringAttr(TensorAttr):
    """``dense<["a", "b"]> : tensor<2x!onnx.string>``."""

    type: TensorType
    values: tuple[bytes, ...] = attrs.field(repr=False)

    def numpy(self) -> NDArray[Any]:
        import numpy as np

        array = np.empty(len(self.values), object)
        array[:] = self.values
        return array.reshape(self.shape)

    def __str__(self) -> str:
        texts = [quote(v.decode("utf-8", "surrogateescape")) for v in self.values]
        if not texts:
            return f"dense<> : {self.type}"
        return f"dense<{nested(texts, self.shape) if self.shape else texts[0]}> : {self.type}"


@attrs.frozen
class DenseResourceAttr(TensorAttr):
    """``dense_resource<key> : tensor<...>``: data by reference. `tensor` is None where the text lacks the data."""

    key: str
    type: TensorType
    tensor: Tensor | None = attrs.field(default=None, repr=False)

    def numpy(self) -> NDArray[Any]:
        if self.tensor is None:
            from qir.ir.diagnostics import fail

            fail(None, f"the data of dense_resource<{self.key}> is not in the text nor beside it",
                 "write the module with its resources, or put the .safetensors file beside it")  # fmt: skip
        return self.tensor.numpy()

    def __str__(self) -> str:
        return f"dense_resource<{bare_or_quoted(self.key)}> : {self.type}"


def resource_key(name: str) -> str:
    """A key that ``dense_resource`` can bear without quotes, near `name`."""
    text = "".join(c if c.isascii() and (c.isalnum() or c in "_$.") else "_" for c in name)
    return text if text and (text[0].isalpha() or text[0] == "_") else "_" + text


def nested(values: Sequence[str], shape: tuple[int, ...]) -> str:
    """Texts of a tensor's elements as nested lists."""
    for size in reversed(shape):
        values = [f"[{', '.join(values[i : i + size])}]" for i in range(0, len(values), size)]
    return values[0]


def element_texts(data: bytes, element: Type, count: int) -> list[str]:
    """Each element of stored bytes as MLIR writes it in a ``dense`` literal."""
    if isinstance(element, ComplexType):
        parts = element_texts(data, element.element, 2 * count)
        return [f"({parts[i]}, {parts[i + 1]})" for i in range(0, len(parts), 2)]
    array = unpack(data, element, (count,))
    if isinstance(element, FloatType):
        if element_bits(element) == 4:
            codes: list[int] = array.view("uint8").tolist()
        else:
            codes = array.view(f"uint{8 * array.dtype.itemsize}").tolist()
        return [float_text(code, element) for code in codes]
    if element == i1:
        return ["true" if v else "false" for v in array.tolist()]
    return [str(int(v)) for v in array]


def dense_from_numpy(array: NDArray[Any], key: str | None = None, type: TensorType | None = None) -> TensorAttr:
    """The attribute that holds an array: in place when it is small or `key` is None, else by reference under `key`.

    Object arrays (of bytes or str) become string tensors. Raises ValueError for other dtypes that have no element type.
    """
    import numpy as np

    if array.dtype.kind in "OSU":
        from qir.ir.types import OpaqueType

        items = array.reshape(-1).tolist()
        values = tuple(v.encode("utf-8", "surrogateescape") if isinstance(v, str) else bytes(v) for v in items)
        return DenseStringAttr(type or TensorType(array.shape, OpaqueType("onnx", "string")), values)
    type = type or TensorType(array.shape, element_type(array.dtype))
    if key is not None and array.size > INLINE_LIMIT:
        return DenseResourceAttr(key, type, ArrayTensor(np.asarray(array), type))
    return dense_from_bytes(pack(np.asarray(array), type.element), type)


def dense_from_bytes(data: bytes, type: TensorType) -> DenseAttr:
    """The in-place attribute of stored bytes; equal elements become a splat, as MLIR prints them."""
    count = type.count
    bits = element_bits(type.element)
    if count > 1 and storage_size(type.element, count) != storage_size(type.element, 1):
        if bits in (2, 4):
            import numpy as np

            codes = unpack(data, type.element, (count,)).view(np.uint8)
            if (codes == codes[0]).all():
                data = bytes([int(codes[0]) & ((1 << bits) - 1)])
        else:
            size = storage_size(type.element, 1)
            if data == data[:size] * count:
                data = data[:size]
    return DenseAttr(type, data)


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
