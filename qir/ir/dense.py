"""Attributes that hold tensors: ``dense<…>`` in place, ``dense_resource<…>`` by reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir.base import Attribute, bare_or_quoted, quote
from qir.ir.diagnostics import fail
from qir.ir.floats import float_text
from qir.ir.tensors import ArrayTensor, Tensor, element_type, pack, storage_size, unpack
from qir.ir.types import ComplexType, FloatType, OpaqueType, TensorType, Type, element_bits, i1

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "INLINE_LIMIT",
    "DenseAttr",
    "DenseResourceAttr",
    "DenseStringAttr",
    "TensorAttr",
    "dense_from_bytes",
    "dense_from_numpy",
    "resource_key",
]

INLINE_LIMIT = 16
"""Tensors of at most this many elements are written in place; larger ones by reference."""


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
