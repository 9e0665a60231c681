"""Rescaling in integers: a real factor as a 31-bit fraction and an exponent, and how chips round with it.

A kernel without floating point multiplies its int32 sum by ``M / 2**31 * 2**e`` (`quantize_multiplier`). Libraries
agree on M and e and differ in where they round; `RESCALES` names their formulas, to pick one per kernel.
``>>`` is an arithmetic shift, ``//0`` a division that truncates towards zero, ``l = max(e, 0)``, ``r = max(-e, 0)``:

========== ============================================================= =========================================
name       formula                                                       source
========== ============================================================= =========================================
double     rdpot(srdhm(x << l, M), r)                                    gemmlowp, fixedpoint.h; TFLite's kernels
ruy        ((((x << l) * M + 2**30) >> 31) + (2**r >> 1)) >> r           ruy, kernel_avx*.cc: both ties up
single     (x * M + 2**(30 - e)) >> (31 - e)                             TFLite, TFLITE_SINGLE_ROUNDING
reduced    (x * M16 + 2**(14 - e)) >> (15 - e), M16 = (M + 2**15) >> 16  TFLite, common.cc, for 64-bit sums
real       half_away(double(x) * real)                                   TFLite, reference FullyConnected
float      half_even(float32(x) * float32(real))                         XNNPACK, qs8-requantization.h (fp32)
shift      half_up(x / 2**-e), for factors that are powers of two        accelerators with a barrel shifter
========== ============================================================= =========================================

with ``srdhm(a, b) = (a * b + (2**30 if a * b >= 0 else 1 - 2**30)) //0 2**31`` and ``rdpot(v, n)`` the quotient
``v / 2**n`` with ties away from zero.
"""

from __future__ import annotations

from typing import Final, Literal

import attrs
import torch
from torch import Tensor

__all__ = ["RESCALES", "Multiplier", "quantize_multiplier", "rescale", "shift_right", "truncated_quotient"]

Ties = Literal["up", "away", "even", "floor"]


@attrs.frozen
class Multiplier:
    """``mantissa / 2**31 * 2**exponent``; int64 tensors of one shape, the mantissa in [2**30, 2**31) or 0."""

    mantissa: Tensor
    exponent: Tensor


def quantize_multiplier(real: Tensor) -> Multiplier:
    """The nearest multiplier of non-negative factors (float64): ``real = f * 2**e`` with f in [1/2, 1),
    ``M = floor(f * 2**31 + 1/2)``; M = 2**31 becomes 2**30 with e + 1. Factors below 2**-32 are 0 (TFLite,
    quantization_util.cc, QuantizeMultiplier)."""
    fraction, exponent = torch.frexp(real.to(torch.float64))
    mantissa = torch.floor(fraction * 2.0**31 + 0.5).to(torch.int64)
    full = mantissa == 1 << 31
    mantissa, exponent = torch.where(full, mantissa >> 1, mantissa), exponent.to(torch.int64) + full
    tiny = exponent < -31
    return Multiplier(mantissa.masked_fill(tiny, 0), exponent.masked_fill(tiny, 0))


def shift_right(x: Tensor, n: Tensor | int, ties: Ties = "up") -> Tensor:
    """``x / 2**n`` as an integer, for int64 and n >= 0: to the nearest with this rule for ties, or ``floor``."""
    n = torch.as_tensor(n, dtype=torch.int64, device=x.device)
    floor = x >> n
    if ties == "floor":
        return floor
    rest = x - (floor << n)
    half = (torch.ones_like(n) << n) >> 1
    if ties == "up":
        above = rest >= half
    elif ties == "away":
        above = (rest > half) | ((rest == half) & (x > 0))
    else:
        above = (rest > half) | ((rest == half) & (floor % 2 == 1))
    return floor + (above & (n > 0)).to(torch.int64)


def truncated_quotient(x: Tensor, d: Tensor | int) -> Tensor:
    """``x / d`` as C has it: truncated towards zero; int64."""
    return torch.div(x, d, rounding_mode="trunc")


# ---------------------------------------------------------------- the formulas of the table
def _sides(m: Multiplier) -> tuple[Tensor, Tensor]:
    return m.exponent.clamp(min=0), (-m.exponent).clamp(min=0)


def _double(x: Tensor, m: Multiplier) -> Tensor:
    left, right = _sides(m)
    product = (x << left) * m.mantissa
    high = truncated_quotient(product + torch.where(product >= 0, 1 << 30, 1 - (1 << 30)), 1 << 31)
    return shift_right(high, right, "away")


def _ruy(x: Tensor, m: Multiplier) -> Tensor:
    left, right = _sides(m)
    return shift_right(shift_right((x << left) * m.mantissa, 31), right)


def _single(x: Tensor, m: Multiplier) -> Tensor:
    return shift_right(x * m.mantissa, 31 - m.exponent)


def _reduced(x: Tensor, m: Multiplier) -> Tensor:
    mantissa = torch.where(m.mantissa < 0x7FFF0000, (m.mantissa + (1 << 15)) >> 16, 0x7FFF)
    return shift_right(x * mantissa, 15 - m.exponent)


def _real(x: Tensor, real: Tensor) -> Tensor:
    value = x.to(torch.float64) * real.to(torch.float64)
    return torch.trunc(value + torch.copysign(torch.full_like(value, 0.5), value)).to(torch.int64)


def _float(x: Tensor, real: Tensor) -> Tensor:
    return torch.round(x.to(torch.float32) * real.to(torch.float32)).to(torch.int64)


def _shift(x: Tensor, real: Tensor) -> Tensor:
    fraction, exponent = torch.frexp(real.to(torch.float64))
    if not bool((fraction == 0.5).all()):
        raise ValueError("a shift rescales by powers of two only")
    places = 1 - exponent.to(torch.int64)
    return shift_right(x << (-places).clamp(min=0), places.clamp(min=0))


_BY_MULTIPLIER = {"double": _double, "ruy": _ruy, "single": _single, "reduced": _reduced}
_BY_FACTOR = {"real": _real, "float": _float, "shift": _shift}

RESCALES: Final[tuple[str, ...]] = (*_BY_MULTIPLIER, *_BY_FACTOR)


def rescale(x: Tensor, by: Tensor | Multiplier, how: str) -> Tensor:
    """``x * by`` as an integer (int64), by the formula of this name in the module's table.

    `x`: int64 sums; `by`: positive factors, float64 (float32 for ``float``), broadcast against x, or a multiplier that
    is worked out already, for the formulas with M and e. Raises ValueError for a factor that ``shift`` cannot do,
    KeyError for an unknown name.
    """
    x = x.to(torch.int64)
    if how in _BY_MULTIPLIER:
        return _BY_MULTIPLIER[how](x, by if isinstance(by, Multiplier) else quantize_multiplier(by))
    formula = _BY_FACTOR[how]
    if isinstance(by, Multiplier):
        raise ValueError(f"{how} rescales by a factor, not by a multiplier")
    return formula(x, by)
