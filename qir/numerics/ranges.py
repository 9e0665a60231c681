"""From the range of the values to scale and zero point."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from qir.numerics.layout import block_range
from qir.numerics.scheme import Scheme

__all__ = [
    "MIN_SCALE", "dynamic_params", "params_to_range", "pow2_scale", "product_scale", "range_to_params",
    "widen_for_bias",
]  # fmt: skip

MIN_SCALE: Final = 2.0**-126
"""The smallest scale: the smallest normal float32, because runtimes flush subnormal ones to zero."""

MAX_SCALE: Final = torch.finfo(torch.float32).max


def range_to_params(lo: Any, hi: Any, scheme: Scheme) -> tuple[Tensor, Tensor | None]:
    """The scale (float32) and zero point (int32; float32 with ``zero_inside``) with which [lo, hi] fills the range.

    `lo`, `hi`: tensors, arrays or numbers of one shape, usually the granularity's parameter shape. The range is widened
    to include 0. In float32, with one rounding an operation:
    affine: ``s = (hi - lo) / (qmax - qmin)``, ``z = clip(half_even(qmin - lo / s), qmin, qmax)``;
    symmetric: ``s = max(|lo|, |hi|) / max(qmax - z0)``, z0 the fixed zero point (floats: the largest finite number;
    codebooks: the entry farthest from zero); an f8E8M0FNU tensor has no zero point and no sign: ``s = hi / max``.
    A pow2 form rounds s before z is taken. Scales are at least `MIN_SCALE`. Where lo = hi = 0 any scale is exact: the
    largest other one of the tensor is taken (bias scales that are products with it stay usable), or 1 if all are 0.
    The zero point is None for floats and codebooks. A scale quantized in turn (``scale_by``): `qir.numerics.nested`.
    Raises ValueError for NaN, infinities and lo > hi.
    """
    lo = torch.as_tensor(lo).detach().to(torch.float32)
    hi = torch.as_tensor(hi, device=lo.device).detach().to(torch.float32)
    if not (lo.isfinite().all() and hi.isfinite().all()):
        raise ValueError("a range must be finite: the values it was taken from hold NaN or infinities")
    if (lo > hi).any():
        raise ValueError("a range's lower end is above its upper end")
    lo, hi = lo.clamp(max=0.0), hi.clamp(min=0.0)
    if scheme.symmetric:
        low, high = scheme.value_bounds
        # The positive side decides (amax / 127 for i8, whose -128 stays free); one-sided ranges use the side they have.
        scale = torch.maximum(-lo, hi) / (high if high > 0 else -low)
    else:
        steps = float(scheme.qmax - scheme.qmin)
        scale = (hi - lo) / steps
        # Only the sum of two huge numbers overflows, not the scale.
        scale = torch.where(scale.isinf(), hi / steps - lo / steps, scale)
    scale = _replace_zeros(scale, (lo == 0) & (hi == 0)).clamp_(MIN_SCALE, MAX_SCALE)
    if scheme.pow2 is not None:
        scale = pow2_scale(scale, scheme.pow2)
    return scale, _zero_point(lo, scale, scheme)


def _replace_zeros(scale: Tensor, empty: Tensor) -> Tensor:
    if not empty.any():
        return scale
    largest = scale.max()
    return torch.where(empty, torch.where(largest > 0, largest, torch.ones_like(largest)), scale)


def _zero_point(lo: Tensor, scale: Tensor, scheme: Scheme) -> Tensor | None:
    if not scheme.storage.is_integer:
        return None
    if scheme.symmetric:
        return torch.full_like(scale, scheme.fixed_zero, dtype=torch.int32)
    exact = (scheme.qmin - lo / scale).clamp_(scheme.qmin, scheme.qmax)
    return exact if scheme.zero_inside else exact.round_().to(torch.int32)


def params_to_range(scale: Any, zero: Any, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """The range that a scale (float32) and a zero point (None: the fixed one) reach: `range_to_params` the other way.

    Affine: ``lo = (qmin - z) * s``, ``hi = (qmax - z) * s``. Symmetric: what the larger side of the scale was taken
    from on both sides, ``-127 s`` to ``127 s`` for i8, whose -128 stays free. `range_to_params` of it with the same
    scheme is the scale again but for float32's rounding (and a pow2 form's), and the same zero point. It ends at 0
    where all values lie on one side of it. Both ends are float32, of the scale's shape.
    """
    s = torch.as_tensor(scale).detach().to(torch.float32)
    if scheme.symmetric:
        low, high = scheme.value_bounds
        reach = s * (high if high > 0 else -low)
        lo, hi = torch.maximum(-reach, s * low), torch.minimum(reach, s * high)
    else:
        z = torch.as_tensor(scheme.fixed_zero if zero is None else zero).to(torch.float32)
        lo, hi = (scheme.qmin - z) * s, (scheme.qmax - z) * s
    return lo.clamp(max=0.0), hi.clamp(min=0.0)


def pow2_scale(scale: Tensor, form: str) -> Tensor:
    """`scale` (positive float32) as a power of two: up, down, or nearest in the exponent; within 2**-126 … 2**127."""
    fraction, exponent = torch.frexp(scale)  # scale = fraction * 2**exponent, fraction in [0.5, 1)
    if form == "up":
        exponent = exponent - (fraction == 0.5).to(exponent.dtype)
    elif form == "down":
        exponent = exponent - 1
    elif form == "nearest":
        # sqrt(1/2) lies between two float32 numbers: no tie can occur.
        exponent = exponent - (fraction < 0.5**0.5).to(exponent.dtype)
    else:
        raise ValueError(f"unknown pow2 form {form!r}: expected nearest, up or down")
    return torch.ldexp(torch.ones_like(scale), exponent.clamp(-126, 127))


def dynamic_params(x: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor | None]:
    """Scale and zero point of a dynamic quantizer for this tensor: `range_to_params` of its own `block_range`.

    u8 affine per tensor is ONNX's DynamicQuantizeLinear. An empty tensor has scale 1. Raises ValueError for NaN and
    infinities.
    """
    if x.numel() == 0:
        shape = [n for n in scheme.granularity.param_shape(x.shape) if n is not None]
        lo = hi = x.new_zeros(shape)
    else:
        lo, hi = block_range(x, scheme.granularity)
    return range_to_params(lo, hi, scheme)


def product_scale(x_scale: Any, w_scale: Any, factor: float = 1.0) -> Tensor:
    """The scale of a bias: ``fl(fl(s_x * s_w) * factor)``, float32, of w_scale's shape if that has channels.

    Raises ValueError where the product is not a normal positive float32 (it underflows or overflows).
    """
    scale = torch.as_tensor(x_scale, dtype=torch.float32) * torch.as_tensor(w_scale, dtype=torch.float32)
    scale = scale * torch.tensor(factor, dtype=torch.float32)
    if not ((scale >= MIN_SCALE) & scale.isfinite()).all():
        raise ValueError("the product of the scales of input and weight is not a normal float32 number")
    return scale


def widen_for_bias(w_scale: Tensor, x_scale: Any, bias: Tensor, scheme: Scheme, factor: float = 1.0) -> Tensor:
    """Weight scales, made larger where the bias would not fit its integer: ``|b| <= s_x * s_w * factor * qmax``.

    A channel whose weights are all but zero has a tiny scale, and its bias, in units of s_x * s_w, clips without this.
    `w_scale` and `bias`: (channels,), or one scale for all; `scheme`: the bias's. Returns float32 of w_scale's shape.
    """
    # One part in a million of room, so that the roundings of the product and of the quotient cannot overflow either.
    unit = torch.as_tensor(x_scale, dtype=torch.float64) * factor * float(scheme.qmax) * (1 - 2**-20)
    needed = (bias.double().abs() / unit).float()
    if w_scale.numel() == 1 and needed.numel():
        needed = needed.max().reshape(w_scale.shape)
    return torch.maximum(w_scale, needed)
