"""ONNX's quantization ops, with exact integer sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from qir.interpreter.integer import IntegerConv, integer_conv, integer_matmul, integer_product
from qir.interpreter.kernels.cast import converter, packed
from qir.interpreter.kernels.common import onnx_type
from qir.interpreter.kernels.conv import window_of
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import integer_range, torch_dtype
from qir.ir import FloatType, IntegerType, Type
from qir.ir.types import f32, i8, ui8

__all__ = ["channelwise", "code_range", "spread"]

_ELEMENTS: dict[torch.dtype, Type] = {
    torch.int8: i8, torch.uint8: ui8, torch.int16: IntegerType(16), torch.uint16: IntegerType(16, "u"),
    torch.int32: IntegerType(32),
    torch.float8_e4m3fn: FloatType("f8E4M3FN"), torch.float8_e5m2: FloatType("f8E5M2"),
    torch.float8_e4m3fnuz: FloatType("f8E4M3FNUZ"), torch.float8_e5m2fnuz: FloatType("f8E5M2FNUZ"),
}  # fmt: skip


def code_range(node: Node, index: int, codes: torch.Tensor) -> tuple[int, int]:
    """Smallest and largest code of an operand, by its type in the module or else by its tensor."""
    element = node.element(index)
    return integer_range(element if isinstance(element, IntegerType) else _ELEMENTS[codes.dtype])


def channelwise(values: torch.Tensor, rank: int, axis: int) -> torch.Tensor:
    """A scalar, or one value per index of `axis`, in a shape that broadcasts over `rank` axes."""
    if values.numel() == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def spread(values: torch.Tensor, shape: torch.Size | tuple[int, ...], axis: int, block: int) -> torch.Tensor:
    """Scales or zero points against a tensor of `shape`: one, one per index of `axis`, or one per block along it."""
    if values.numel() == 1 and not block:
        return values.reshape(())
    if block == 0 and values.dim() <= 1:
        return channelwise(values, len(shape), axis)
    size = shape[axis]
    block = block or -(-size // values.shape[axis])
    return values.repeat_interleave(block, axis).narrow(axis, 0, size)


@kernel("onnx.QuantizeLinear", fresh=True)
def _quantize(node: Node) -> Kernel:
    """``clip(half_even(x / s) + z)``, the quotient in float32; floats are rounded to the format instead."""
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    saturate = bool(node.attr("saturate", 1))
    target = onnx_type(node, "output_dtype") or node.element(2)
    precision = onnx_type(node, "precision")
    inner = torch.float32 if precision is None else torch_dtype(precision)

    def run(x: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None = None) -> Any:
        element = target or (ui8 if zero is None else _ELEMENTS[zero.dtype])
        work = torch.float64 if x.dtype == torch.float64 else inner
        v = x.to(work) / spread(scale.to(work), x.shape, axis, block)
        if not isinstance(element, IntegerType):
            return converter(f32, element, saturate)(v.float())
        low, high = integer_range(element)
        v = torch.round(v)
        if zero is not None:
            v = v + spread(zero.to(torch.int32).to(work), x.shape, axis, block)
        return torch.clamp(v, low, high).to(torch_dtype(element))

    return run


@kernel("onnx.DequantizeLinear", fresh=True)
def _dequantize(node: Node) -> Kernel:
    """``float(q - z) * s``."""
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    source, target = node.element(0), onnx_type(node, "output_dtype")

    def run(q: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor | None = None) -> Any:
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
    """uint8 over the tensor's range, widened to hold 0."""

    def run(x: torch.Tensor) -> Any:
        low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
        scale = (high - low) / 255
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        zero = torch.clamp(torch.round(-low / scale), 0, 255)
        codes = torch.clamp(torch.round(x / scale) + zero, 0, 255).to(torch.uint8)
        return codes, scale, zero.to(torch.uint8)

    return run


def _number(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else int(tensor.reshape(-1)[0])


def _zero_of(zero: torch.Tensor | None) -> int | torch.Tensor:
    """A weight's zero point: a number, or one per output channel."""
    return zero.reshape(-1) if zero is not None and zero.numel() > 1 else _number(zero)


def _conv_of(node: Node, weight: int, x_zero: int, weight_zero: int, bias: int | None) -> Callable[..., Any]:
    """An integer convolution of operand 0 with the others at these indices: planned at once where they are known."""
    others = [weight, x_zero, weight_zero, *([] if bias is None else [bias])]
    fixed = all(node.constant(i) is not None or not node.has(i) for i in others)
    planned: dict[tuple[int, ...], IntegerConv] = {}

    def plan(operands: Sequence[Any]) -> IntegerConv:
        def given(index: int | None) -> Any:
            return operands[index] if index is not None and index < len(operands) else None

        w = operands[weight]
        window = window_of(node, w.shape[2:])
        return integer_conv(
            w,
            x_zero=_number(given(x_zero)),
            x_range=code_range(node, 0, operands[0]),
            weight_zero=_zero_of(given(weight_zero)),
            bias=given(bias),
            strides=window.strides,
            pads=window.pads_for(operands[0].shape[2:]),
            dilations=window.dilations,
            groups=node.attr("group", 1),
        )

    def run(*operands: Any) -> Any:
        if not fixed:
            return plan(operands)(operands[0])
        # Only auto_pad makes the plan depend on the input's size.
        key = tuple(operands[0].shape[2:]) if node.attr("auto_pad", "NOTSET").startswith("SAME") else ()
        if key not in planned:
            planned[key] = plan(operands)
        return planned[key](operands[0])

    return run


@kernel("onnx.ConvInteger", fresh=True)
def _conv_integer(node: Node) -> Kernel:
    convolve = _conv_of(node, weight=1, x_zero=2, weight_zero=3, bias=None)
    return lambda *operands: convolve(*operands).to(torch.int32)


def _requantized(sums: torch.Tensor, multiplier: torch.Tensor, zero: torch.Tensor, like: Any) -> Any:
    """``clip(half_even(fl(float(sums) * m)) + z)``, as onnxruntime's kernels have it."""
    low, high = integer_range(_ELEMENTS[like])
    codes = torch.round(sums.to(torch.float32) * multiplier) + zero.to(torch.float32)
    return torch.clamp(codes, low, high).to(like)


@kernel("onnx.QLinearConv", fresh=True)
def _qlinear_conv(node: Node) -> Kernel:
    convolve = _conv_of(node, weight=3, x_zero=2, weight_zero=5, bias=8)

    def run(*operands: Any) -> Any:
        x_scale, w_scale, scale, zero = operands[1], operands[4], operands[6], operands[7]
        sums = convolve(*operands)
        multiplier = channelwise(x_scale.reshape(()) * w_scale / scale.reshape(()), sums.dim(), 1)
        return _requantized(sums, multiplier, zero.reshape(()), zero.dtype)

    return run


def _against(zero: torch.Tensor | None, rows: bool) -> int | torch.Tensor:
    """A zero point of a matrix: one number, one per row (of the left operand) or one per column (of the right)."""
    if zero is None:
        return 0
    if zero.numel() == 1:
        return _number(zero)
    return zero.unsqueeze(-1) if rows and zero.dim() == 1 else zero


@kernel("onnx.MatMulInteger", fresh=True)
def _matmul_integer(node: Node) -> Kernel:
    weight, zero, x_zero = node.constant(1), node.constant(3), node.constant(2)
    known = weight is not None and weight.dim() == 2 and (zero is not None or not node.has(3))
    if known and (x_zero is not None or not node.has(2)) and (x_zero is None or x_zero.numel() == 1):
        planned: list[Any] = []

        def fixed(a: torch.Tensor, *_: Any) -> Any:
            if not planned:
                span = code_range(node, 0, a)
                planned.append(integer_matmul(weight, x_zero=_number(x_zero), x_range=span, weight_zero=_zero_of(zero)))
            return planned[0](a).to(torch.int32)

        return fixed
    return lambda a, b, az=None, bz=None: integer_product(a, b, _against(az, True), _against(bz, False))


@kernel("onnx.QLinearMatMul", fresh=True)
def _qlinear_matmul(node: Node) -> Kernel:
    def run(a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, scale: Any, zero: Any) -> Any:
        left, right = _against(a_zero, True), _against(b_zero, False)
        sums = integer_product(a, b, left, right)
        of_a = a_scale.reshape(()) if a_scale.numel() == 1 else a_scale.unsqueeze(-1) if a_scale.dim() == 1 else a_scale
        multiplier = (of_a.float() * b_scale.float()) / scale.reshape(()).float()
        return _requantized(sums, multiplier, zero.reshape(()), zero.dtype)

    return run
