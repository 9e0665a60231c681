"""Between IR types, numpy arrays and torch tensors: which torch dtype stands for which element type.

Integers of 2 and 4 bits lie in int8 or uint8 (torch computes with those), one element a byte. Floats that torch has
no dtype for, or hardly computes with (f4, f6, f8E8M0FNU and the rarer f8 forms), lie as their bit patterns in uint8,
which is also how ml_dtypes stores them: both directions are views. Strings are numpy object arrays, sequences are
lists, absent values None.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qir.ir.tensors import numpy_dtype
from qir.ir.types import ComplexType, FloatType, IndexType, IntegerType, TensorType, Type, f64
from qir.numerics.codec import FLOAT_DTYPES

__all__ = ["as_array", "as_tensor", "element_of", "integer_range", "is_bits", "torch_dtype"]

_FLOATS = {"f32": torch.float32, "f64": torch.float64, **FLOAT_DTYPES}
_INTEGERS = {
    (8, ""): torch.int8, (16, ""): torch.int16, (32, ""): torch.int32, (64, ""): torch.int64,
    (8, "u"): torch.uint8, (16, "u"): torch.uint16, (32, "u"): torch.uint32, (64, "u"): torch.uint64,
    (4, ""): torch.int8, (2, ""): torch.int8, (4, "u"): torch.uint8, (2, "u"): torch.uint8,
}  # fmt: skip
# ml_dtypes' types by name, to the torch dtype of equal width and meaning; numpy itself knows none of them.
_VIEWS = {
    "bfloat16": (np.uint16, torch.bfloat16), "float8_e4m3fn": (np.uint8, torch.float8_e4m3fn),
    "float8_e5m2": (np.uint8, torch.float8_e5m2), "float8_e4m3fnuz": (np.uint8, torch.float8_e4m3fnuz),
    "float8_e5m2fnuz": (np.uint8, torch.float8_e5m2fnuz),
}  # fmt: skip


def is_bits(element: Type) -> bool:
    """Whether values of this type are held as bit patterns in uint8, because torch has no such float."""
    return isinstance(element, FloatType) and element.name not in _FLOATS


def torch_dtype(element: Type) -> torch.dtype:
    """The dtype that stands for an element type. Raises ValueError for types that no tensor holds."""
    if isinstance(element, IntegerType):
        if element.width == 1:
            return torch.bool
        found = _INTEGERS.get((element.width, "u" if element.signedness == "u" else ""))
        if found is not None:
            return found
    elif isinstance(element, FloatType):
        return _FLOATS.get(element.name, torch.uint8)
    elif isinstance(element, ComplexType):
        return torch.complex128 if element.element == f64 else torch.complex64
    elif isinstance(element, IndexType):
        return torch.int64
    raise ValueError(f"no tensor holds elements of type {element}")


def integer_range(element: Type) -> tuple[int, int]:
    """Smallest and largest value of an integer type. Raises ValueError for other types."""
    if not isinstance(element, IntegerType):
        raise ValueError(f"{element} is no integer type")
    if element.signedness == "u":
        return 0, (1 << element.width) - 1
    return -(1 << (element.width - 1)), (1 << (element.width - 1)) - 1


def element_of(type: Type) -> Type | None:
    """The element type of a tensor type, None for any other type."""
    return type.element if isinstance(type, TensorType) else None


def as_tensor(array: Any, device: torch.device | str = "cpu") -> Any:
    """An array as the interpreter holds it, without a copy where the layout allows it (mapped files included).

    String arrays stay numpy object arrays. Raises TypeError for dtypes that no tensor holds.
    """
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return _as_text(array)
    name = array.dtype.name
    target: torch.dtype | None = None
    if name in _VIEWS:
        carrier, target = _VIEWS[name]
        array = array.view(carrier)
    elif name in ("int4", "int2"):
        array = array.astype(np.int8)
    elif name in ("uint4", "uint2"):
        array = array.astype(np.uint8)
    elif name.startswith("float") and array.dtype.itemsize == 1:
        array = array.view(np.uint8)
    if not array.flags.aligned or any(s < 0 for s in array.strides) or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    with warnings.catch_warnings():
        # torch warns that a read-only array could be written through the tensor; kernels never write to constants.
        warnings.simplefilter("ignore", UserWarning)
        tensor = torch.from_numpy(array)
    if target is not None:
        tensor = tensor.view(target)
    return tensor.to(device)


def _as_text(array: NDArray[Any]) -> NDArray[Any]:
    """Strings as str; ONNX keeps them as bytes."""
    texts = np.empty(array.shape, object)
    for index, value in np.ndenumerate(array):
        texts[index] = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    return texts


def as_array(value: Any, element: Type | None = None) -> NDArray[Any]:
    """A computed value as a numpy array; `element` tells what bytes and bit patterns stand for (int4, f4E2M1FN …)."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value, object) if not isinstance(value, np.ndarray) else value
    tensor = value.detach().cpu()
    for name, (carrier, dtype) in _VIEWS.items():
        if tensor.dtype == dtype:
            import ml_dtypes

            raw = tensor.contiguous().view(torch.int16 if carrier is np.uint16 else torch.uint8).numpy()
            return raw.view(getattr(ml_dtypes, name))
    array: NDArray[Any] = tensor.numpy()
    if isinstance(element, IntegerType) and element.width in (2, 4):
        return array.astype(numpy_dtype(element))
    if element is not None and is_bits(element):
        return np.ascontiguousarray(array).view(numpy_dtype(element))
    return array
