"""Tensor data behind attributes: handles that are read only when somebody asks.

Bytes are little-endian, row-major. 4- and 2-bit elements are packed low bits first (as ONNX packs them), 6-bit
elements and booleans take one byte each.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import TYPE_CHECKING, Any

from qir.ir.types import ComplexType, FloatType, IndexType, IntegerType, TensorType, Type, element_bits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "ArrayTensor", "BytesTensor", "FileTensor", "Tensor", "element_type", "map_file", "numpy_dtype", "pack",
    "storage_size", "unpack",
]  # fmt: skip

_ML_DTYPES = {
    "bf16": "bfloat16", "f8E5M2": "float8_e5m2", "f8E4M3": "float8_e4m3", "f8E4M3FN": "float8_e4m3fn",
    "f8E5M2FNUZ": "float8_e5m2fnuz", "f8E4M3FNUZ": "float8_e4m3fnuz", "f8E4M3B11FNUZ": "float8_e4m3b11fnuz",
    "f8E3M4": "float8_e3m4", "f8E8M0FNU": "float8_e8m0fnu", "f6E2M3FN": "float6_e2m3fn", "f6E3M2FN": "float6_e3m2fn",
    "f4E2M1FN": "float4_e2m1fn",
}  # fmt: skip
_DTYPES: dict[Type, np.dtype[Any]] = {}
_ELEMENTS: dict[Any, Type] = {}


def numpy_dtype(element: Type) -> np.dtype[Any]:
    """The numpy (or ml_dtypes) dtype of an element type. Raises ValueError where numpy has none."""
    if element in _DTYPES:
        return _DTYPES[element]
    import numpy as np

    name: Any
    if isinstance(element, IntegerType) and element.width == 1:
        name = np.bool_
    elif isinstance(element, IntegerType) and element.width in (8, 16, 32, 64):
        name = f"{'u' if element.signedness == 'u' else ''}int{element.width}"
    elif isinstance(element, IntegerType) and element.width in (2, 4):
        import ml_dtypes

        name = getattr(ml_dtypes, f"{'u' if element.signedness == 'u' else ''}int{element.width}")
    elif isinstance(element, FloatType) and element.name in ("f16", "f32", "f64"):
        name = f"float{element.width}"
    elif isinstance(element, FloatType) and element.name in _ML_DTYPES:
        import ml_dtypes

        name = getattr(ml_dtypes, _ML_DTYPES[element.name])
    elif isinstance(element, ComplexType) and element.element in (FloatType("f32"), FloatType("f64")):
        name = f"complex{2 * element_bits(element.element)}"
    elif isinstance(element, IndexType):
        name = "int64"
    else:
        raise ValueError(f"numpy has no type for {element}")
    dtype: np.dtype[Any] = np.dtype(name)
    _DTYPES[element] = dtype
    return dtype


def element_type(dtype: Any) -> Type:
    """The element type of a numpy or ml_dtypes dtype (signless for signed integers). Raises ValueError."""
    if not _ELEMENTS:
        known = [IntegerType(w) for w in (1, 2, 4, 8, 16, 32, 64)]
        known += [IntegerType(w, "u") for w in (2, 4, 8, 16, 32, 64)]
        names = [FloatType(n) for n in ("f16", "f32", "f64", *_ML_DTYPES)]
        complexes = [ComplexType(FloatType("f32")), ComplexType(FloatType("f64"))]
        _ELEMENTS.update((numpy_dtype(t), t) for t in (*known, *names, *complexes))
    import numpy as np

    try:
        return _ELEMENTS[np.dtype(dtype)]
    except KeyError:
        raise ValueError(f"no tensor element type for numpy's {dtype}") from None


def storage_size(element: Type, count: int) -> int:
    """Bytes that `count` elements take."""
    bits = element_bits(element)
    if bits in (2, 4):
        return (count * bits + 7) // 8
    return count * ((bits + 7) // 8)


def pack(array: NDArray[Any], element: Type) -> bytes:
    """The stored bytes of an array whose dtype is `numpy_dtype(element)`."""
    import numpy as np

    bits = element_bits(element)
    if bits not in (2, 4):
        if sys.byteorder == "big":
            array = array.astype(array.dtype.newbyteorder("<"))
        return np.ascontiguousarray(array).tobytes()
    codes = np.ascontiguousarray(array).reshape(-1).view(np.uint8) & ((1 << bits) - 1)
    per_byte = 8 // bits
    padded = np.zeros(-(-codes.size // per_byte) * per_byte, np.uint8)
    padded[: codes.size] = codes
    packed = padded[::per_byte].copy()
    for i in range(1, per_byte):
        packed |= padded[i::per_byte] << (bits * i)
    return bytes(packed.tobytes())


def unpack(data: bytes | memoryview, element: Type, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array that stored bytes stand for: a read-only view where the layout allows it, else a copy."""
    import numpy as np

    count = 1
    for size in shape:
        count *= size
    dtype = numpy_dtype(element)
    bits = element_bits(element)
    array: NDArray[Any]
    if bits not in (2, 4):
        array = np.frombuffer(data, dtype, count) if count else np.empty(0, dtype)
        array = array.reshape(shape)
        array.flags.writeable = False
        return array
    packed = np.frombuffer(data, np.uint8, storage_size(element, count))
    per_byte = 8 // bits
    codes = np.empty(packed.size * per_byte, np.uint8)
    for i in range(per_byte):
        codes[i::per_byte] = packed >> (bits * i) & ((1 << bits) - 1)
    codes = codes[:count]
    if isinstance(element, IntegerType) and element.signedness != "u":
        sign = 1 << (bits - 1)
        array = ((codes ^ sign).astype(np.int8) - sign).astype(dtype)
    else:
        array = codes.astype(dtype) if isinstance(element, IntegerType) else codes.view(dtype)
    return array.reshape(shape)


class Tensor:
    """A handle on tensor data. Handles are compared by identity; `same_data` compares contents.

    Subclasses give `tobytes` (the stored bytes) and `numpy` (a read-only array).
    """

    __slots__ = ("type",)

    def __init__(self, type: TensorType) -> None:
        self.type = type

    @property
    def nbytes(self) -> int:
        return storage_size(self.type.element, self.type.count)

    def tobytes(self) -> bytes | memoryview:
        raise NotImplementedError

    def numpy(self) -> NDArray[Any]:
        """The data as an array of shape `type.shape`; raises ValueError for elements numpy has no type for."""
        shape = self.type.shape
        assert shape is not None
        return unpack(self.tobytes(), self.type.element, tuple(s for s in shape if s is not None))


class ArrayTensor(Tensor):
    """Data in memory, as an array. The array must not be changed afterwards."""

    __slots__ = ("array",)

    def __init__(self, array: NDArray[Any], type: TensorType | None = None) -> None:
        super().__init__(type or TensorType(array.shape, element_type(array.dtype)))
        self.array = array

    def tobytes(self) -> bytes:
        return pack(self.array, self.type.element)

    def numpy(self) -> NDArray[Any]:
        view: NDArray[Any] = self.array.view()
        view.flags.writeable = False
        return view


class BytesTensor(Tensor):
    """Data in memory, as stored bytes."""

    __slots__ = ("data",)

    def __init__(self, data: bytes | memoryview, type: TensorType) -> None:
        super().__init__(type)
        self.data = data

    def tobytes(self) -> bytes | memoryview:
        return self.data


class FileTensor(Tensor):
    """Data in a file that is memory-mapped: nothing is read until it is used."""

    __slots__ = ("buffer", "offset", "path", "size")

    def __init__(self, path: str, buffer: memoryview, offset: int, size: int, type: TensorType) -> None:
        super().__init__(type)
        self.path, self.buffer, self.offset, self.size = path, buffer, offset, size

    @property
    def nbytes(self) -> int:
        return self.size

    def tobytes(self) -> memoryview:
        return self.buffer[self.offset : self.offset + self.size]


def map_file(path: str | os.PathLike[str]) -> memoryview:
    """A file's bytes, memory-mapped read-only. Raises OSError."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
