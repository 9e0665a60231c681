"""Conversions between element types."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from qir.dialects.onnx_types import STRING
from qir.interpreter.kernels.common import onnx_type
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor, is_bits, torch_dtype
from qir.ir import FloatType, IntegerType, Type
from qir.ir.tensors import numpy_dtype

__all__ = ["converter", "packed"]


def packed(element: Type | None) -> bool:
    """Whether a torch dtype alone does not say what the values are (int4, f4E2M1FN …)."""
    return element is not None and (is_bits(element) or (isinstance(element, IntegerType) and element.width in (2, 4)))


def converter(source: Type | None, target: Type, saturate: bool = True, round_mode: str = "up") -> Kernel:
    """A function that converts tensors of one element type to another, as ONNX Cast does."""
    if target == STRING:
        return _to_text
    if isinstance(target, FloatType) and target.name == "f8E8M0FNU" and not packed(source):
        return lambda x: _to_power(x, round_mode, saturate)
    if packed(source) or packed(target):
        return lambda x: _by_numpy(x, source, target)
    dtype = torch_dtype(target)
    if isinstance(target, FloatType) and target.name.startswith("f8"):
        return lambda x: _to_f8(x, dtype, saturate)

    def convert(x: Any) -> Any:
        if isinstance(x, np.ndarray):  # strings
            return (
                as_tensor(np.vectorize(_number, otypes=[np.float64])(x)).to(dtype)
                if x.size
                else torch.empty(x.shape, dtype=dtype)
            )
        return x.to(dtype)

    return convert


def _number(text: Any) -> float:
    return float(text.decode() if isinstance(text, bytes) else text)


def _to_text(x: Any) -> Any:
    array = as_array(x)
    if array.dtype.kind == "O":
        return array
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        texts = [
            np.format_float_positional(v, trim="-") if 1e-4 <= abs(v) < 1e8 or v == 0 else str(v)
            for v in array.reshape(-1)
        ]
        texts = [{"nan": "NaN", "inf": "INF", "-inf": "-INF"}.get(t, t) for t in texts]
    else:
        texts = [str(v) for v in array.reshape(-1).tolist()]
    result = np.empty(len(texts), object)
    result[:] = texts
    return result.reshape(array.shape)


def _by_numpy(x: torch.Tensor, source: Type | None, target: Type) -> Any:
    """Through ml_dtypes; integers of 2 and 4 bits wrap as a plain reinterpretation of the low bits does."""
    array = as_array(x, source)
    if isinstance(source, IntegerType) or source is None:
        array = array.astype(np.int64) if array.dtype.kind != "f" else array
    elif array.dtype.kind not in "fiu":
        array = array.astype(np.float32)
    with np.errstate(invalid="ignore"):
        if isinstance(target, IntegerType) and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if isinstance(target, IntegerType) and target.width in (2, 4):
            mask = (1 << target.width) - 1
            low = array.astype(np.int64) & mask
            sign = 1 << (target.width - 1)
            low = low if target.signedness == "u" else (low ^ sign) - sign
            return as_tensor(low.astype(np.uint8 if target.signedness == "u" else np.int8), x.device)
        return as_tensor(array.astype(np.float32).astype(numpy_dtype(target)) if is_bits(target) else
                         array.astype(numpy_dtype(target)), x.device)  # fmt: skip


def _to_f8(x: Any, dtype: torch.dtype, saturate: bool) -> Any:
    if isinstance(x, np.ndarray):
        x = as_tensor(np.vectorize(_number, otypes=[np.float32])(x))
    values = x.float()
    most = torch.finfo(dtype).max
    if saturate:
        return torch.clamp(values, -most, most).to(dtype)
    result = values.to(dtype)
    if dtype == torch.float8_e5m2:
        return result
    back = torch.clamp(values, -most, most).to(dtype).float()
    step = most / 16 if dtype == torch.float8_e4m3fn else most / 15 if dtype == torch.float8_e4m3fnuz else most / 7
    lost = values.abs() > most + step / 2
    return torch.where(lost, torch.nan, back).to(dtype)


def _to_power(x: torch.Tensor, round_mode: str, saturate: bool) -> Any:
    """The exponent of |x| as an f8E8M0FNU, rounded up, down or to the nearest power of two (upward when halfway)."""
    bits = x.float().contiguous().view(torch.int32)
    exponent = (bits >> 23) & 0xFF
    mantissa = bits & 0x7FFFFF
    if round_mode == "up":
        more = (mantissa > 0) & ((exponent > 0) | (mantissa > 0x400000))
    elif round_mode == "nearest":
        more = torch.where(exponent > 0, mantissa >= 0x400000, mantissa > 0x400000)
    else:
        more = torch.zeros_like(mantissa, dtype=torch.bool)
    code = exponent + more.to(torch.int32)
    code = torch.where(exponent == 0xFF, 0xFF if not saturate else torch.where(mantissa > 0, 0xFF, 0xFE), code)
    if saturate:
        code = torch.where(exponent < 0xFF, code.clamp(max=0xFE), code)
    return code.to(torch.uint8)


@kernel("onnx.Cast")
def _cast(node: Node) -> Kernel:
    named = node.attr("to")
    if isinstance(named, str):  # opset 1 names the type
        lookup = {"FLOAT": 1, "UINT8": 2, "INT8": 3, "UINT16": 4, "INT16": 5, "INT32": 6, "INT64": 7, "STRING": 8,
                  "BOOL": 9, "FLOAT16": 10, "DOUBLE": 11, "UINT32": 12, "UINT64": 13}  # fmt: skip
        target = onnx_type(node, "", lookup.get(named.upper(), 0))
    else:
        target = onnx_type(node, "to")
    if target is None:
        raise node.error("does not say which type to cast to", "set the attribute `to`")
    return converter(node.element(0), target, bool(node.attr("saturate", 1)), node.attr("round_mode", "up"))


@kernel("onnx.CastLike")
def _cast_like(node: Node) -> Kernel:
    target = node.element(1)
    saturate, mode = bool(node.attr("saturate", 1)), node.attr("round_mode", "up")
    if target is not None:
        convert = converter(node.element(0), target, saturate, mode)
        return lambda x, like: convert(x)
    return lambda x, like: x.to(like.dtype)


@kernel("onnx.BitCast")
def _bit_cast(node: Node) -> Kernel:
    target = onnx_type(node, "to")
    assert target is not None
    dtype = torch_dtype(target)
    return lambda x: x.contiguous().view(dtype)


@kernel("builtin.unrealized_conversion_cast")
def _conversion_cast(node: Node) -> Kernel:
    """One value under another type: the elements stay what they are."""
    return lambda *values: values
