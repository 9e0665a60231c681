"""From an integer accumulator to the next tensor's codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qir.numerics.codec import storage_dtype
from qir.numerics.rounding import round_
from qir.numerics.scheme import Scheme

__all__ = ["fused_multiply_add", "requantize", "scaled_sums", "truncated_codes"]


def requantize(acc: Tensor, multiplier: Any, zero: Any, scheme: Scheme, mode: str | None = None) -> Tensor:
    """``clip(round(fl(float(acc) * m)) + z, qmin, qmax)``: onnxruntime's QLinearConv, QLinearMatMul and QGemm.

    `acc`: exact sums, int32 or a float type that holds them. `multiplier`: float32, broadcast against acc; the runtime
    has ``m = fl(fl(s_x * s_w) / s_y)``. `zero`: the output's zero point (None: the scheme's fixed one), a number or
    broadcast. `scheme`: the output's range and storage; `mode`: a rounding, the scheme's if None. Returns codes of
    `storage_dtype(scheme)`.
    """
    m = torch.as_tensor(multiplier, dtype=torch.float32, device=acc.device)
    q = round_(acc.to(torch.float32) * m, mode or scheme.rounding)
    z: Any = scheme.fixed_zero if zero is None else zero
    if isinstance(z, Tensor):
        z = z.to(acc.device, torch.float32)
    return q.add_(z).clamp_(scheme.qmin, scheme.qmax).to(storage_dtype(scheme))


def fused_multiply_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``fl(a * b + c)`` of float32, rounded once.

    Through float64, which holds the product exactly; its sum is rounded before the result is, which shows once in 2**29
    numbers.
    """
    return (a.to(torch.float64) * b.to(torch.float64) + c.to(torch.float64)).to(torch.float32)


def scaled_sums(acc: Tensor, multiplier: Tensor, bias: Tensor | None = None, fused: bool = False) -> Tensor:
    """``fl(fl(float(acc) * m) + b)`` in float32; with `fused` the product is not rounded (`fused_multiply_add`)."""
    v = acc.to(torch.float32)
    if bias is None:
        return v * multiplier
    return fused_multiply_add(v, multiplier, bias) if fused else v * multiplier + bias


def truncated_codes(v: Tensor, qmin: int, qmax: int) -> Tensor:
    """``clip(trunc(fl(v + copysign(1/2, v))), qmin, qmax)`` as int8: half away from zero, by an addition in float32.

    The conversion to int32 turns what is beyond it, and NaN, into the smallest number.
    """
    shifted = torch.trunc(v + torch.copysign(torch.full_like(v, 0.5), v))
    return torch.where(shifted.abs() < 2.0**31, shifted.clamp(qmin, qmax), float(qmin)).to(torch.int8)
