"""The arithmetic of onnxruntime's integer kernels on x86-64, in torch, bit for bit.

One function per kernel. Tensors hold codes (torch.uint8, int8, int32, ...), scales are float32, zero points have the
type of their codes; all are torch tensors and a zero point may be None (0). Wherever a kernel rounds to float32 the
function does too, and in the same order; sums of products are exact integers. In the formulas ``rhe`` is round half
to even, ``fl`` rounding to float32 and ``clip`` saturation to the type of the result. They are those of MLAS
(onnxruntime's kernel library) for AVX2 and AVX512; a CPU without VNNI instructions saturates pairs of products of a
uint8 by an int8 operand, which is not modelled (README, "What is exact").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from qir.interpreter.integer import integer_conv, integer_matmul, integer_product
from qir.interpreter.windows import window_sums

__all__ = [
    "channels",
    "conv_integer",
    "dequantize_linear",
    "dynamic_quantize_linear",
    "gemm_multiplier",
    "logistic",
    "matmul_integer",
    "matmul_integer_to_float",
    "multiplier",
    "q_gemm",
    "qlinear_add",
    "qlinear_average_pool",
    "qlinear_concat",
    "qlinear_conv",
    "qlinear_global_average_pool",
    "qlinear_leaky_relu",
    "qlinear_matmul",
    "qlinear_mul",
    "qlinear_sigmoid",
    "qlinear_softmax",
    "qlinear_where",
    "quantize_linear",
    "requantize",
]

_RANGES: dict[torch.dtype, tuple[int, int]] = {
    torch.uint8: (0, 255),
    torch.int8: (-128, 127),
    torch.uint16: (0, 65535),
    torch.int16: (-32768, 32767),
    torch.int32: (-(2**31), 2**31 - 1),
}
_FLOAT32_MAX = torch.finfo(torch.float32).max


# ---------------------------------------------------------------------- codes and reals
def quantize_linear(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None,
    dtype: torch.dtype,
    axis: int = 1,
    block: int = 0,
    bounds: tuple[int, int] | None = None,
) -> Tensor:
    """``clip(rhe(fl(x / s)) + z)``: a division, the zero point added after the rounding. NaN gives the lowest code.

    `scale` is a scalar, one value per index of `axis`, or with `block` one per block of that many along `axis`.
    `bounds` are the range of codes where it is narrower than `dtype` (4-bit codes lie in 8 bits). Float8 codes have no
    zero point: ``x / s`` rounded to the format, saturated to its largest number.
    """
    scale, zero = _spread(scale, x, axis, block), _spread(zero, x, axis, block)
    ratio = x.to(torch.float32) / scale.to(torch.float32)
    if dtype.is_floating_point:
        largest = torch.finfo(dtype).max
        return ratio.clamp(-largest, largest).to(dtype)
    return _store(ratio, zero, dtype, bounds)


def dequantize_linear(q: Tensor, scale: Tensor, zero: Tensor | None, axis: int = 1, block: int = 0) -> Tensor:
    """``fl(float(q - z) * s)``; the result has the type of the scale."""
    scale, zero = _spread(scale, q, axis, block), _spread(zero, q, axis, block)
    if q.is_floating_point():
        return (q.to(torch.float32) * scale.to(torch.float32)).to(scale.dtype)
    return (_centred(q, zero).to(torch.float32) * scale.to(torch.float32)).to(scale.dtype)


def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 codes, scale and zero point from the tensor's own range, which always includes 0.

    ``s = fl(fl(max - min) / 255)``, ``z = rhe(clip(fl(0 - fl(min / s))))``; a tensor of zeros has s = 1.
    """
    zero = x.new_zeros((), dtype=torch.float32)
    low = torch.minimum(x.min(), zero) if x.numel() else zero
    high = torch.maximum(x.max(), zero) if x.numel() else zero
    scale = (high - low) / 255 if bool(high > low) else torch.ones_like(zero)
    point = torch.round((0 - low / scale).clamp(0, 255)).to(torch.uint8)
    return quantize_linear(x, scale, point, torch.uint8), scale, point


def _store(value: Tensor, zero: Tensor | None, dtype: torch.dtype, bounds: tuple[int, int] | None = None) -> Tensor:
    """``clip(rhe(value) + z)`` as codes; `value` is float32 and overwritten.

    Saturated before the zero point is added, as the kernels do: what is left are small whole numbers, so that no sum is
    rounded. NaN becomes the lowest code.
    """
    low, high = bounds or _RANGES[dtype]
    value.round_()
    if zero is None or zero.numel() == 1:
        point = 0 if zero is None else int(zero)
        floor, ceiling = (torch.tensor(float(limit - point), device=value.device) for limit in (low, high))
        torch.fmax(value, floor, out=value)
        torch.fmin(value, ceiling, out=value)
        return (value.add_(point) if point else value).to(dtype)
    points = zero.to(torch.float32)
    return torch.fmin(torch.fmax(value, low - points), high - points).add_(points).to(dtype)


def _centred(q: Tensor, zero: Tensor | None) -> Tensor:
    """``q - z`` in int32."""
    return q.to(torch.int32) if zero is None else q.to(torch.int32) - zero.to(torch.int32)


def _spread(value: Tensor | None, like: Tensor, axis: int, block: int) -> Tensor:
    """A parameter shaped so that it broadcasts against `like`. None stays None."""
    if value is None:
        return None  # type: ignore[return-value]
    if block:
        return value.repeat_interleave(block, dim=axis).narrow(axis, 0, like.shape[axis])
    if value.numel() == 1 and value.dim() <= 1:
        return value.reshape(())
    shape = [1] * like.dim()
    shape[axis] = -1
    return value.reshape(shape)


# ---------------------------------------------------------------------- convolutions and products
def multiplier(*factors: Tensor, over: Tensor | None = None) -> Tensor:
    """The product of float32 scales from the left, then the division by the output's, each step rounded."""
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product if over is None else product / over


def requantize(accumulator: Tensor, factor: Tensor, zero: Tensor) -> Tensor:
    """``clip(rhe(fl(fl(acc) * m)) + z)`` of an exact integer accumulator, in the type of the zero point."""
    return _store(accumulator.to(torch.float32) * factor, zero, zero.dtype)


def channels(values: Tensor, rank: int) -> Tensor:
    """One value per channel, shaped to broadcast against ``[N, C, ...]``; a single value stays one."""
    return values.reshape(()) if values.numel() == 1 else values.reshape(-1, *(1,) * (rank - 2))


def conv_integer(
    x: Tensor, w: Tensor, x_zero: Tensor | None, w_zero: Tensor | None, bias: Tensor | None = None, *,
    strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], group: int,
) -> Tensor:  # fmt: skip
    """``sum (x - zx)(w - zw) + bias``, exactly; padding is the zero point. `pads` are ONNX's, begins then ends."""
    plan = integer_conv(
        w,
        x_zero=0 if x_zero is None else int(x_zero),
        x_range=_RANGES[x.dtype],
        weight_zero=0 if w_zero is None else w_zero,
        bias=bias,
        strides=strides,
        pads=pads,
        dilations=dilations,
        groups=group,
    )
    return plan(x)


def qlinear_conv(
    x: Tensor, x_scale: Tensor, x_zero: Tensor | None, w: Tensor, w_scale: Tensor, w_zero: Tensor | None,
    y_scale: Tensor, y_zero: Tensor, bias: Tensor | None = None, *, strides: Sequence[int], pads: Sequence[int],
    dilations: Sequence[int], group: int,
) -> Tensor:  # fmt: skip
    """``acc = sum (x - zx)(w - zw) + bias``; ``clip(rhe(fl(float(acc) * m)) + zy)``, ``m = fl(fl(sx sw[c]) / sy)``."""
    acc = conv_integer(x, w, x_zero, w_zero, bias, strides=strides, pads=pads, dilations=dilations, group=group)
    factor = multiplier(x_scale.reshape(()), w_scale, over=y_scale.reshape(()))
    return requantize(acc, channels(factor, acc.dim()), y_zero)


def matmul_integer(a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None) -> Tensor:
    """``sum (a - za)(b - zb)``, exactly; a zero point of `a` may be per row, one of `b` per column."""
    rows = 0 if a_zero is None else a_zero.unsqueeze(-1) if a_zero.dim() == 1 and a_zero.numel() > 1 else a_zero
    if b.dim() == 2 and (isinstance(rows, int) or rows.numel() == 1):
        zero = 0 if b_zero is None else b_zero if b_zero.numel() > 1 else int(b_zero)
        return integer_matmul(b, x_zero=int(rows), x_range=_RANGES[a.dtype], weight_zero=zero)(a)
    return integer_product(a, b, rows, 0 if b_zero is None else b_zero)


def qlinear_matmul(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    """As `qlinear_conv` without a bias; the scale and zero point of `b` may be per column."""
    acc = matmul_integer(a, b, a_zero, b_zero)
    return requantize(acc, multiplier(a_scale.reshape(()), b_scale, over=y_scale.reshape(())), y_zero)


def q_gemm(
    a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor, c: Tensor | None = None,
    y_scale: Tensor | None = None, y_zero: Tensor | None = None, *, alpha: float = 1.0, trans_a: bool = False,
    trans_b: bool = False,
) -> Tensor:  # fmt: skip
    """com.microsoft.QGemm: ``acc = sum (a - za)(b - zb) + c``, ``m = alpha sa sb[n]`` (then ``/ sy``) from the left.

    With an output scale ``clip(rhe(fl(float(acc) * m)) + zy)``, without one the float ``fl(float(acc) * m)``.
    """
    acc = matmul_integer(a.transpose(0, 1) if trans_a else a, b.transpose(0, 1) if trans_b else b, a_zero, b_zero)
    if c is not None:
        acc = acc.to(torch.int64) + c
    factor = gemm_multiplier(alpha, a_scale, b_scale, y_scale)
    return acc.to(torch.float32) * factor if y_zero is None else requantize(acc, factor, y_zero)


def gemm_multiplier(alpha: float, a_scale: Tensor, b_scale: Tensor, y_scale: Tensor | None) -> Tensor:
    """``fl(fl(alpha * sa) * sb[n])``, divided by sy where there is one."""
    first = torch.tensor(alpha, dtype=torch.float32, device=a_scale.device)
    return multiplier(first, a_scale.reshape(()), b_scale, over=None if y_scale is None else y_scale.reshape(()))


def matmul_integer_to_float(
    a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``fl(fl(float(acc) * fl(sa * sb[n])) + bias)``, float32."""
    product = matmul_integer(a, b, a_zero, b_zero).to(torch.float32) * multiplier(a_scale, b_scale)
    return product if bias is None else product + bias


# ---------------------------------------------------------------------- elementwise
def _fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``fl(a * b + c)``, rounded once: the product of two float32 is exact in float64."""
    return (a.to(torch.float64) * b.to(torch.float64) + c.to(torch.float64)).to(torch.float32)


def qlinear_add(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    """Raw codes, two fused multiply-adds, the zero points folded into one constant inside the rounding:

    ``fix = zy - (ra * za + rb * zb)``, ``ra = fl(sa / sy)``; ``clip(rhe(fma(a, ra, fma(b, rb, fix))))``.
    """
    ra, rb = a_scale / y_scale, b_scale / y_scale
    fix = y_zero.to(torch.float32) - (ra * a_zero.to(torch.float32) + rb * b_zero.to(torch.float32))
    value = _fma(a.to(torch.float32), ra, _fma(b.to(torch.float32), rb, fix))
    return _store(value, None, y_zero.dtype)


def qlinear_mul(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    """``clip(rhe(fl(fl((a - za)(b - zb) * fl(fl(sa * sb) / sy)) + zy)))``: the zero point inside the rounding."""
    product = (_centred(a, a_zero) * _centred(b, b_zero)).to(torch.float32)
    value = product * multiplier(a_scale, b_scale, over=y_scale) + y_zero.to(torch.float32)
    return _store(value, None, y_zero.dtype)


def _by_table(
    x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """The kernels with a table of 256 entries: dequantize, `function` in float32, quantize."""
    low, high = _RANGES[x.dtype]
    codes = torch.arange(low, high + 1, device=x.device).to(x.dtype)
    reals = dequantize_linear(codes, x_scale.reshape(()), x_zero.reshape(()))
    table = quantize_linear(function(reals), y_scale.reshape(()), y_zero.reshape(()), y_zero.dtype)
    return table[x.to(torch.int64) - low]


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
            value = _fma(value, square, torch.tensor(coefficient, dtype=torch.float32))
        return value

    return (horner(_ALPHA) * x / horner(_BETA) + 0.5).clamp(0.0, 1.0)


def qlinear_sigmoid(x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor) -> Tensor:
    """A table of 256 entries over `logistic`."""
    return _by_table(x, x_scale, x_zero, y_scale, y_zero, logistic)


def qlinear_leaky_relu(
    x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor, *, alpha: float = 0.01
) -> Tensor:
    """A table of 256 entries over ``x >= 0 ? x : fl(alpha * x)``."""
    slope = torch.tensor(alpha, dtype=torch.float32)
    return _by_table(x, x_scale, x_zero, y_scale, y_zero, lambda v: torch.where(v >= 0, v, v * slope))


def _rescaled(x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor) -> Tensor:
    """Codes under the output's parameters: copied where these are the input's, else by a table."""
    if bool((x_scale == y_scale).all()) and bool((x_zero == y_zero).all()):
        return x
    return _by_table(x, x_scale, x_zero, y_scale, y_zero, lambda v: v)


def qlinear_concat(y_scale: Tensor, y_zero: Tensor, *inputs: Tensor, axis: int) -> Tensor:
    """Concatenation of `inputs` = (x, scale, zero)*, each brought to the output's parameters first."""
    triples = [inputs[i : i + 3] for i in range(0, len(inputs), 3)]
    return torch.cat([_rescaled(x, scale, zero, y_scale, y_zero) for x, scale, zero in triples], axis)


def qlinear_where(
    condition: Tensor, x: Tensor, x_scale: Tensor, x_zero: Tensor, y: Tensor, y_scale: Tensor, y_zero: Tensor,
    z_scale: Tensor, z_zero: Tensor,
) -> Tensor:  # fmt: skip
    """Selection after both branches were brought to the output's parameters."""
    chosen = _rescaled(x, x_scale, x_zero, z_scale, z_zero), _rescaled(y, y_scale, y_zero, z_scale, z_zero)
    return torch.where(condition, *chosen)


def qlinear_softmax(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor | None,
    y_scale: Tensor,
    y_zero: Tensor,
    *,
    axis: int = -1,
    opset: int = 13,
) -> Tensor:
    """A float32 table of exponentials, shifted so that the row's largest code is its last entry.

    ``t[i] = exp((i - 255 + k) sx)`` with ``k = max(0, ln(FLT_MAX / D) - 5) / sx`` over D summands;
    ``rhe(fl(fl(t * floor(1 / sy)) / sum)) + zy``, the sum in float32 from the first element on. Before opset 13 all
    dimensions from `axis` on are one row. Saturates above only (a uint8 kernel; an int8 code wraps as the cast does).
    Where all codes of a row are equal the quotient may be a tie, which the last bit of the runtime's ``exp`` decides:
    one row in a thousand of such rows is one step off.
    """
    axis %= x.dim()
    rows = x.flatten(axis) if opset < 13 else x.movedim(axis, -1)
    length = rows.shape[-1]
    step = x_scale.reshape(()).to(torch.float64)
    room = float(torch.tensor(math.log(float(torch.tensor(_FLOAT32_MAX) / length)), dtype=torch.float32))
    shift = max(0.0, room - 5) / step
    table = torch.exp((torch.arange(256, dtype=torch.float64, device=x.device) - 255 + shift) * step).to(torch.float32)
    codes = rows.to(torch.int64)
    exponentials = table[codes + (255 - codes.amax(-1, keepdim=True))]
    total = torch.zeros_like(exponentials[..., 0])
    for i in range(length):
        total = total + exponentials[..., i]
    factor = torch.floor(1 / y_scale.reshape(()))
    value = torch.round(exponentials * factor / total.unsqueeze(-1)).to(torch.int64) + y_zero.to(torch.int64)
    stored = value.clamp(max=255).to(y_zero.dtype)
    return stored.reshape(x.shape) if opset < 13 else stored.movedim(-1, axis)


# ---------------------------------------------------------------------- pooling
def qlinear_average_pool(
    x: Tensor, x_scale: Tensor, x_zero: Tensor | None, y_scale: Tensor, y_zero: Tensor, *, kernel: Sequence[int],
    strides: Sequence[int], pads: Sequence[int], output: Sequence[int], count_include_pad: bool = False,
) -> Tensor:  # fmt: skip
    """Float32 sums of the dequantized window in its own order, a float32 division by the count,

    ``clip(rhe(fl(fl(v / sy) + zy)))``: the zero point inside the rounding. `output` are the result's spatial sizes.
    """
    reals = dequantize_linear(x, x_scale.reshape(()), None if x_zero is None else x_zero.reshape(()))
    inside = torch.ones_like(reals[:1, :1])
    total, count = (window_sums(t, kernel, strides, pads, output) for t in (reals, inside))
    mean = total / (float(math.prod(kernel)) if count_include_pad else count)
    return _store(mean / y_scale.reshape(()) + y_zero.to(torch.float32), None, y_zero.dtype)


def qlinear_global_average_pool(
    x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor, *, channels_last: bool = False
) -> Tensor:
    """``clip(rhe(fl(float(sum (x - zx)) * m)) + zy)``, ``m = fl(sx / fl(sy * count))``."""
    dims = tuple(range(1, x.dim() - 1)) if channels_last else tuple(range(2, x.dim()))
    count = math.prod(x.shape[d] for d in dims)
    acc = _centred(x, x_zero).to(torch.float64).sum(dims, keepdim=True)
    return requantize(acc, x_scale / (y_scale * float(count)), y_zero)
