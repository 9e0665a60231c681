"""``com.microsoft``'s operators from codes to codes beside products, as onnxruntime's CPU kernels compute them.

Operands are codes with a float32 scale and a zero point each, as the operators' schemas order them; all formulas are
those of MLAS, onnxruntime's kernel library, for AVX2 and AVX512.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.kernels.conv import window_of
from qir.interpreter.kernels.pool import extra_for_ceil
from qir.interpreter.kernels.quantized import limits, store
from qir.interpreter.kernels.quantized_products import requantized
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.windows import window_sums
from qir.numerics.requantize import fused_multiply_add as fma

__all__ = ["logistic"]


def _centred(q: Tensor, zero: Tensor | None) -> Tensor:
    """``q - z`` in int32; an absent zero point is 0."""
    return q.to(torch.int32) if zero is None else q.to(torch.int32) - zero.reshape(()).to(torch.int32)


def _reals(q: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """``fl(float(q - z) * s)``."""
    return _centred(q, zero).to(torch.float32) * scale.reshape(())


# ---------------------------------------------------------------- two operands
@kernel("com.microsoft.QLinearAdd", fresh=True)
def _add(node: Node) -> Kernel:
    """Raw codes, two fused multiply-adds, the zero points folded into one constant inside the rounding:

    ``fix = zy - (ra * za + rb * zb)``, ``ra = fl(sa / sy)``; ``clip(rhe(fma(a, ra, fma(b, rb, fix))))``.
    """

    def run(
        a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor, y_scale: Tensor,
        y_zero: Tensor,
    ) -> Tensor:  # fmt: skip
        ra, rb = a_scale / y_scale, b_scale / y_scale
        fix = y_zero.to(torch.float32) - (ra * a_zero.to(torch.float32) + rb * b_zero.to(torch.float32))
        value = fma(a.to(torch.float32), ra, fma(b.to(torch.float32), rb, fix))
        return store(value, None, y_zero.dtype)

    return run


@kernel("com.microsoft.QLinearMul", fresh=True)
def _mul(node: Node) -> Kernel:
    """``clip(rhe(fl(fl((a - za)(b - zb) * fl(fl(sa * sb) / sy)) + zy)))``: the zero point inside the rounding."""

    def run(
        a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor, y_scale: Tensor,
        y_zero: Tensor,
    ) -> Tensor:  # fmt: skip
        product = (_centred(a, a_zero) * _centred(b, b_zero)).to(torch.float32)
        value = product * (a_scale * b_scale / y_scale) + y_zero.to(torch.float32)
        return store(value, None, y_zero.dtype)

    return run


# ---------------------------------------------------------------- tables of 256 entries
def _by_table(function: Callable[[Tensor], Tensor]) -> Kernel:
    """Dequantize, `function` in float32, quantize; once for every code."""

    def run(x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor) -> Tensor:
        low, high = limits(x.dtype)
        codes = torch.arange(low, high + 1, device=x.device).to(x.dtype)
        value = function(_reals(codes, x_scale, x_zero)) / y_scale.reshape(())
        return store(value, y_zero.reshape(()), y_zero.dtype)[x.to(torch.int64) - low]

    return run


_ALPHA = (4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01)
_BETA = (
    6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03, 1.16817656904453e-01,
    9.93151921023180e-01,
)  # fmt: skip


def logistic(x: Tensor) -> Tensor:
    """The sigmoid as MLAS computes it: an odd rational polynomial of degree 9 over 10 in float32, plus one half.

    Its coefficients are Eigen's; fused multiply-adds, clipped to [-18, 18] before and to [0, 1] after.
    """
    x = x.to(torch.float32).clamp(-18.0, 18.0)
    square = x * x

    def horner(coefficients: Sequence[float]) -> Tensor:
        value = torch.full_like(x, coefficients[0])
        for coefficient in coefficients[1:]:
            value = fma(value, square, torch.tensor(coefficient, dtype=torch.float32))
        return value

    return (horner(_ALPHA) * x / horner(_BETA) + 0.5).clamp(0.0, 1.0)


@kernel("com.microsoft.QLinearSigmoid", fresh=True)
def _sigmoid(node: Node) -> Kernel:
    return _by_table(logistic)


@kernel("com.microsoft.QLinearLeakyRelu", fresh=True)
def _leaky_relu(node: Node) -> Kernel:
    """``x >= 0 ? x : fl(alpha * x)``."""
    slope = torch.tensor(node.attr("alpha", 0.01), dtype=torch.float32, device=node.device)
    return _by_table(lambda v: torch.where(v >= 0, v, v * slope))


_requantize = _by_table(lambda v: v)


def _rescaled(x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor) -> Any:
    """Codes under the result's parameters: copied where these are the operand's, else by a table."""
    if bool((x_scale == y_scale).all()) and bool((x_zero == y_zero).all()):
        return x
    return _requantize(x, x_scale, x_zero, y_scale, y_zero)


@kernel("com.microsoft.QLinearConcat", fresh=True)
def _concat(node: Node) -> Kernel:
    """Of (x, scale, zero)* behind the result's scale and zero point, each brought to these first."""
    axis = node.attr("axis")

    def run(y_scale: Tensor, y_zero: Tensor, *inputs: Tensor) -> Tensor:
        triples = [inputs[i : i + 3] for i in range(0, len(inputs), 3)]
        return torch.cat([_rescaled(x, scale, zero, y_scale, y_zero) for x, scale, zero in triples], axis)

    return run


@kernel("com.microsoft.QLinearWhere", fresh=True)
def _where(node: Node) -> Kernel:
    """Selection after both branches were brought to the result's parameters."""

    def run(condition: Tensor, *operands: Tensor) -> Tensor:
        x, y, result = operands[:3], operands[3:6], operands[6:]
        return torch.where(condition, _rescaled(*x, *result), _rescaled(*y, *result))

    return run


# ---------------------------------------------------------------- rows and windows
@kernel("com.microsoft.QLinearSoftmax", fresh=True)
def _softmax(node: Node) -> Kernel:
    """A float32 table of exponentials, shifted so that the row's largest code is its last entry.

    ``t[i] = exp((i - 255 + k) sx)`` with ``k = max(0, ln(FLT_MAX / D) - 5) / sx`` over D summands;
    ``rhe(fl(fl(t * floor(1 / sy)) / sum)) + zy``, the sum in float32 from the first element on. Before opset 13 all
    dimensions from `axis` on are one row. Saturates above only (a uint8 kernel; an int8 code wraps as the cast does).
    Where all codes of a row are equal the quotient may be a tie, which the last bit of the runtime's ``exp`` decides:
    one row in a thousand of such rows is one step off.
    """
    flat = node.attr("opset") < 13
    dim = node.attr("axis", 1 if flat else -1)

    def run(x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor) -> Tensor:
        axis = dim % x.dim()
        rows = x.flatten(axis) if flat else x.movedim(axis, -1)
        length = rows.shape[-1]
        step = x_scale.reshape(()).to(torch.float64)
        most = float(torch.tensor(torch.finfo(torch.float32).max) / length)
        room = float(torch.tensor(math.log(most), dtype=torch.float32))
        shift = max(0.0, room - 5) / step
        codes = torch.arange(256, dtype=torch.float64, device=x.device)
        table = torch.exp((codes - 255 + shift) * step).to(torch.float32)
        wide = rows.to(torch.int64)
        exponentials = table[wide + (255 - wide.amax(-1, keepdim=True))]
        total = torch.zeros_like(exponentials[..., 0])
        for i in range(length):
            total = total + exponentials[..., i]
        factor = torch.floor(1 / y_scale.reshape(()))
        value = torch.round(exponentials * factor / total.unsqueeze(-1)).to(torch.int64) + y_zero.to(torch.int64)
        stored = value.clamp(max=255).to(y_zero.dtype)
        return stored.reshape(x.shape) if flat else stored.movedim(-1, axis)

    return run


@kernel("com.microsoft.QLinearAveragePool", fresh=True)
def _average_pool(node: Node) -> Kernel:
    """Float32 sums of the dequantized window in its own order, a float32 division by the count,

    ``clip(rhe(fl(fl(v / sy) + zy)))``: the zero point inside the rounding.
    """
    window = window_of(node, node.ints("kernel_shape") or ())
    ceil, include = bool(node.attr("ceil_mode", 0)), bool(node.attr("count_include_pad", 0))
    last, rank = bool(node.attr("channels_last", 0)), window.rank

    def run(x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor) -> Tensor:
        x = x.movedim(-1, 1) if last else x
        pads = window.pads_for(x.shape[2:])
        extra = extra_for_ceil(window, x.shape[2:], pads, ceil)
        room = [n + pads[i] + pads[i + rank] + extra[i] - window.kernel[i] for i, n in enumerate(x.shape[2:])]
        output = [r // stride + 1 for r, stride in zip(room, window.strides, strict=True)]
        reals = _reals(x, x_scale, x_zero)
        inside = torch.ones_like(reals[:1, :1])
        total, count = (window_sums(t, window.kernel, window.strides, pads, output) for t in (reals, inside))
        mean = total / (float(math.prod(window.kernel)) if include else count)
        y = store(mean / y_scale.reshape(()) + y_zero.to(torch.float32), None, y_zero.dtype)
        return y.movedim(1, -1) if last else y

    return run


@kernel("com.microsoft.QLinearGlobalAveragePool", fresh=True)
def _global_average_pool(node: Node) -> Kernel:
    """``clip(rhe(fl(float(sum (x - zx)) * m)) + zy)``, ``m = fl(sx / fl(sy * count))``."""
    last = bool(node.attr("channels_last", 0))

    def run(x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor) -> Tensor:
        dims = tuple(range(1, x.dim() - 1)) if last else tuple(range(2, x.dim()))
        count = math.prod(x.shape[d] for d in dims)
        sums = _centred(x, x_zero).to(torch.float64).sum(dims, keepdim=True)
        return requantized(sums, x_scale / (y_scale * float(count)), y_zero)

    return run
