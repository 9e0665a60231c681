"""Convolutions and products of codes with exact integer sums: ONNX's, and those of ``com.microsoft``.

The requantizations are those of onnxruntime's kernels for AVX2 and AVX512. A CPU without VNNI instructions saturates
pairs of products of a uint8 by an int8 operand there, which is not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.integer import IntegerConv, IntegerMatmul, integer_conv, integer_matmul, integer_product
from qir.interpreter.kernels.conv import window_of
from qir.interpreter.kernels.quantized import channelwise, code_range, store
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel

__all__ = ["requantized"]


def requantized(sums: Tensor, multiplier: Tensor, zero: Tensor) -> Tensor:
    """``clip(rhe(fl(fl(sums) * m)) + z)`` of exact sums, in the type of the zero point."""
    return store(sums.to(torch.float32) * multiplier, zero, zero.dtype)


# ---------------------------------------------------------------- operands
def _number(tensor: Tensor | None) -> int:
    return 0 if tensor is None else int(tensor.reshape(-1)[0])


def _zero_of(zero: Tensor | None) -> int | Tensor:
    """A weight's zero point: a number, or one per output channel."""
    return zero.reshape(-1) if zero is not None and zero.numel() > 1 else _number(zero)


def _against(zero: Tensor | None, rows: bool) -> int | Tensor:
    """A zero point of a matrix: one number, one per row (of the left operand) or one per column (of the right)."""
    if zero is None or zero.numel() == 1:
        return _number(zero)
    return zero.unsqueeze(-1) if rows and zero.dim() == 1 else zero


def _given(operands: Sequence[Any], index: int | None) -> Any:
    """An operand, None where it is absent."""
    return operands[index] if index is not None and index < len(operands) else None


def _known(node: Node, *indices: int | None) -> bool:
    """Whether all of these operands that are there are constants."""
    return all(i is None or not node.has(i) or node.constant(i) is not None for i in indices)


def _multiplier(node: Node, compute: Callable[..., Tensor], *indices: int) -> Callable[[Sequence[Any]], Tensor]:
    """`compute` of the operands at these indices (None where absent): done once where they are constants."""
    if not _known(node, *indices):
        return lambda operands: compute(*(_given(operands, i) for i in indices))
    value = compute(*(node.constant(i) for i in indices))
    return lambda operands: value


def _over(product: Tensor, y_scale: Tensor | None) -> Tensor:
    """The product of the operands' scales over the result's, if it has one."""
    return product if y_scale is None else product / y_scale.reshape(()).float()


# ---------------------------------------------------------------- convolutions
def _conv_of(node: Node, weight: int, x_zero: int, weight_zero: int, bias: int | None) -> Callable[..., Tensor]:
    """``sum (x - zx)(w - zw) + bias`` of operand 0 with the others at these indices, padded with the zero point.

    Planned once where the others are constants.
    """
    fixed = _known(node, weight, x_zero, weight_zero, bias)
    planned: dict[tuple[int, ...], IntegerConv] = {}

    def plan(operands: Sequence[Any]) -> IntegerConv:
        w = operands[weight]
        window = window_of(node, w.shape[2:])
        return integer_conv(
            w,
            x_zero=_number(_given(operands, x_zero)),
            x_range=code_range(node, 0, operands[0]),
            weight_zero=_zero_of(_given(operands, weight_zero)),
            bias=_given(operands, bias),
            strides=window.strides,
            pads=window.pads_for(operands[0].shape[2:]),
            dilations=window.dilations,
            groups=node.attr("group", 1),
        )

    def run(*operands: Any) -> Tensor:
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


@kernel("onnx.QLinearConv", fresh=True)
def _qlinear_conv(node: Node) -> Kernel:
    """`requantized` with ``m = fl(fl(sx * sw[c]) / sy)``."""
    convolve = _conv_of(node, weight=3, x_zero=2, weight_zero=5, bias=8)
    multiplier = _multiplier(node, lambda x, w, y: _over(x.reshape(()) * w, y), 1, 4, 6)

    def run(*operands: Any) -> Tensor:
        sums = convolve(*operands)
        return requantized(sums, channelwise(multiplier(operands), sums.dim(), 1), operands[7])

    return run


# ---------------------------------------------------------------- products
def _product_of(
    node: Node, b: int, a_zero: int, b_zero: int, bias: int | None = None, *, trans_a: bool = False,
    trans_b: bool = False,
) -> Callable[..., Tensor]:  # fmt: skip
    """``sum (a - za)(b - zb) + bias`` of operand 0 with the others at these indices.

    The zero point of `a` may be per row, that of `b` per column. Planned once where the others are constants and `b` is
    one matrix.
    """

    def turned(matrix: Tensor, turn: bool) -> Tensor:
        return matrix.transpose(0, 1) if turn else matrix

    def run(*operands: Any) -> Tensor:
        left, right = turned(operands[0], trans_a), turned(operands[b], trans_b)
        zeros = _against(_given(operands, a_zero), True), _against(_given(operands, b_zero), False)
        sums, addend = integer_product(left, right, *zeros), _given(operands, bias)
        return sums if addend is None else sums.to(torch.int64) + addend

    matrix, zero = node.constant(b), node.constant(a_zero)
    addend = None if bias is None else node.constant(bias)
    single = (zero is None or zero.numel() == 1) and (addend is None or addend.dim() <= 1)
    if not _known(node, b, a_zero, b_zero, bias) or matrix.dim() != 2 or not single:
        return run
    planned: list[IntegerMatmul] = []

    def run_planned(a: Tensor, *_: Any) -> Tensor:
        if not planned:
            columns = _zero_of(node.constant(b_zero))
            span = code_range(node, 0, a)
            plan = integer_matmul(
                turned(matrix, trans_b), x_zero=_number(zero), x_range=span, weight_zero=columns, bias=addend
            )
            planned.append(plan)
        return planned[0](turned(a, trans_a))

    return run_planned


@kernel("onnx.MatMulInteger", fresh=True)
def _matmul_integer(node: Node) -> Kernel:
    product = _product_of(node, b=1, a_zero=2, b_zero=3)
    return lambda *operands: product(*operands).to(torch.int32)


def _of_rows(scale: Tensor) -> Tensor:
    """The scale of a left operand: one number, or one per row."""
    return scale.reshape(()) if scale.numel() == 1 else scale.unsqueeze(-1) if scale.dim() == 1 else scale


@kernel("onnx.QLinearMatMul", fresh=True)
def _qlinear_matmul(node: Node) -> Kernel:
    """`requantized` with ``m = fl(fl(sa * sb[n]) / sy)``."""
    product = _product_of(node, b=3, a_zero=2, b_zero=5)
    multiplier = _multiplier(node, lambda a, b, y: _over(_of_rows(a).float() * b.float(), y), 1, 4, 6)
    return lambda *operands: requantized(product(*operands), multiplier(operands), operands[7])


@kernel("com.microsoft.MatMulIntegerToFloat", fresh=True)
def _matmul_integer_to_float(node: Node) -> Kernel:
    """``fl(fl(fl(sums) * fl(sa * sb[n])) + bias)``."""
    product = _product_of(node, b=1, a_zero=4, b_zero=5)
    multiplier = _multiplier(node, lambda a, b: a * b, 2, 3)

    def run(*operands: Any) -> Tensor:
        y = product(*operands).to(torch.float32) * multiplier(operands)
        bias = _given(operands, 6)
        return y if bias is None else y + bias

    return run


@kernel("com.microsoft.QGemm", fresh=True)
def _q_gemm(node: Node) -> Kernel:
    """``m = fl(fl(alpha * sa) * sb[n])``: `requantized` by ``fl(m / sy)``, or the floats ``fl(fl(sums) * m)``."""
    turns = {"trans_a": bool(node.attr("transA", 0)), "trans_b": bool(node.attr("transB", 0))}
    product = _product_of(node, b=3, a_zero=2, b_zero=5, bias=6, **turns)
    alpha = torch.tensor(node.attr("alpha", 1.0), dtype=torch.float32, device=node.device)
    multiplier = _multiplier(node, lambda a, b, y: _over(alpha * a.reshape(()) * b, y), 1, 4, 7)

    def run(*operands: Any) -> Tensor:
        sums, zero = product(*operands), _given(operands, 8)
        if zero is None:
            return sums.to(torch.float32) * multiplier(operands)
        return requantized(sums, multiplier(operands), zero)

    return run
