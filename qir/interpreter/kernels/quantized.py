"""ONNX's QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, and what all kernels on codes share.

In the formulas of this family ``rhe`` is round half to even, ``fl`` rounding to float32 and ``clip`` saturation to the
type of the result.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qir.interpreter.kernels.cast import converter, packed
from qir.interpreter.kernels.common import onnx_type
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import integer_range, torch_dtype
from qir.ir import FloatType, IntegerType, Type
from qir.ir.types import f32, i8, ui8

__all__ = ["channelwise", "code_range", "limits", "spread", "store"]

_ELEMENTS: dict[torch.dtype, Type] = {
    torch.int8: i8, torch.uint8: ui8, torch.int16: IntegerType(16), torch.uint16: IntegerType(16, "u"),
    torch.int32: IntegerType(32),
    torch.float8_e4m3fn: FloatType("f8E4M3FN"), torch.float8_e5m2: FloatType("f8E5M2"),
    torch.float8_e4m3fnuz: FloatType("f8E4M3FNUZ"), torch.float8_e5m2fnuz: FloatType("f8E5M2FNUZ"),
}  # fmt: skip


# ---------------------------------------------------------------- what kernels on codes share
def limits(dtype: torch.dtype) -> tuple[int, int]:
    """Smallest and largest number of an integer dtype."""
    info = torch.iinfo(dtype)
    return int(info.min), int(info.max)


def code_range(node: Node, index: int, codes: Tensor) -> tuple[int, int]:
    """Smallest and largest code of an operand, by its type in the module or else by its tensor."""
    element = node.element(index)
    return integer_range(element) if isinstance(element, IntegerType) else limits(codes.dtype)


def channelwise(values: Tensor, rank: int, axis: int) -> Tensor:
    """A scalar, or one value per index of `axis`, in a shape that broadcasts over `rank` axes."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def spread(values: Tensor, shape: torch.Size | tuple[int, ...], axis: int, block: int) -> Tensor:
    """Scales or zero points against a tensor of `shape`: one, one per index of `axis`, or one per block along it."""
    if values.numel() == 1 and not block:
        return values.reshape(())
    if block == 0 and values.dim() <= 1:
        return channelwise(values, len(shape), axis)
    size = shape[axis]
    block = block or -(-size // values.shape[axis])
    return values.repeat_interleave(block, axis).narrow(axis, 0, size)


def store(value: Tensor, zero: Tensor | None, dtype: torch.dtype, bounds: tuple[int, int] | None = None) -> Tensor:
    """``clip(rhe(value) + z)`` as codes; `value` is float32 or float64 and overwritten.

    `bounds` are the range of codes where it is narrower than `dtype` (4-bit codes lie in 8 bits). Saturated before the
    zero point is added, as onnxruntime's kernels do: what is left are small whole numbers, so that no sum is rounded.
    NaN becomes the lowest code.
    """
    low, high = bounds or limits(dtype)
    value.round_()
    if zero is None or zero.numel() == 1:
        point = 0 if zero is None else int(zero)
        floor, ceiling = (value.new_tensor(float(limit - point)) for limit in (low, high))
        torch.fmax(value, floor, out=value)
        torch.fmin(value, ceiling, out=value)
        return (value.add_(point) if point else value).to(dtype)
    points = zero.to(value.dtype)
    return torch.fmin(torch.fmax(value, low - points), high - points).add_(points).to(dtype)


# ---------------------------------------------------------------- between codes and numbers
@kernel("onnx.QuantizeLinear", fresh=True)
def _quantize(node: Node) -> Kernel:
    """``clip(rhe(fl(x / s)) + z)``; floats are rounded to the format instead."""
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    saturate = bool(node.attr("saturate", 1))
    target = onnx_type(node, "output_dtype") or node.element(2)
    precision = onnx_type(node, "precision")
    inner = torch.float32 if precision is None else torch_dtype(precision)

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Any:
        element = target or (ui8 if zero is None else _ELEMENTS[zero.dtype])
        work = torch.float64 if x.dtype == torch.float64 else inner
        ratio = x.to(work) / spread(scale.to(work), x.shape, axis, block)
        wide = ratio if work == torch.float64 else ratio.float()
        if not isinstance(element, IntegerType):
            return converter(f32, element, saturate)(wide.float())
        points = None if zero is None else spread(zero.to(torch.int32), x.shape, axis, block)
        return store(wide, points, torch_dtype(element), integer_range(element))

    return run


@kernel("onnx.DequantizeLinear", fresh=True)
def _dequantize(node: Node) -> Kernel:
    """``fl(float(q - z) * s)``."""
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    source, target = node.element(0), onnx_type(node, "output_dtype")

    def run(q: Tensor, scale: Tensor, zero: Tensor | None = None) -> Any:
        s = spread(scale, q.shape, axis, block)
        if packed(source) and not isinstance(source, IntegerType):
            values = converter(source, f32)(q)
        elif q.dtype.is_floating_point:
            values = q.float()
        elif zero is None:
            values = q.to(torch.float32)
        else:
            values = (q.to(torch.int32) - spread(zero.to(torch.int32), q.shape, axis, block)).to(torch.float32)
        wide = torch.float64 if scale.dtype == torch.float64 else torch.float32
        y = (values.to(wide) * s.to(wide)).to(scale.dtype)
        return y if target is None else y.to(torch_dtype(target))

    return run


@kernel("onnx.DynamicQuantizeLinear", fresh=True)
def _dynamic_quantize(node: Node) -> Kernel:
    """uint8 codes, scale and zero point from the tensor's own range, widened to hold 0.

    ``s = fl(fl(max - min) / 255)``, ``z = rhe(clip(fl(0 - fl(min / s))))``; a tensor of zeros has s = 1.
    """

    def run(x: Tensor) -> Any:
        zero = x.new_zeros(())
        low, high = (torch.minimum(x.amin(), zero), torch.maximum(x.amax(), zero)) if x.numel() else (zero, zero)
        scale = (high - low) / 255 if bool(high > low) else torch.ones_like(zero)
        point = torch.round((0 - low / scale).clamp(0, 255)).to(torch.uint8)
        return store(x / scale, point, torch.uint8), scale, point

    return run
