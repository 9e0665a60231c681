"""Arithmetic of integer kernels beyond a rescaled sum: additions, means, tables, softmax, rows quantized at run time.

Each function is one kernel's formula on codes, for a target to pick by name; `fixed_point` has the roundings. Codes
without their zero point are called steps. x_, y_ are what a value is quantized by: anything with `scale` (float32) and
`zero` (int64) of one element.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from qir.numerics.fixed_point import Multiplier, Ties, quantize_multiplier, rescale, shift_right, truncated_quotient
from qir.numerics.rounding import round_

__all__ = [
    "Affine", "average", "mean_by_multiplier", "row_steps", "shifted_sum", "softmax_by_table", "sum_of_rescaled",
    "table_of", "vector_lanes",
]  # fmt: skip


class Affine(Protocol):
    """value = scale · (code - zero)."""

    @property
    def scale(self) -> Tensor: ...
    @property
    def zero(self) -> Tensor: ...


def _steps(codes: Tensor, by: Affine) -> Tensor:
    return codes.to(torch.int64) - by.zero


# ---------------------------------------------------------------- additions
def sum_of_rescaled(
    a: Tensor, b: Tensor, a_: Affine, b_: Affine, y_: Affine, sign: int = 1, left: int = 20, ties: Ties = "away"
) -> Tensor:
    """a + sign · b in steps of y: both operands as multiples of ``2 max(sa, sb) / 2**left``, then their sum rescaled.

    ``t = 2 max(sa, sb)``: double(double(a << left, sa / t) + double(b << left, sb / t), t / (2**left sy)); `ties` is
    how the operands' shift rounds (TFLite, reference/add.h: away; the vectors of optimized/integer_ops/add.h: floor).
    """
    twice = 2 * torch.maximum(a_.scale.double(), b_.scale.double())
    parts = []
    for codes, by in ((a, a_), (b, b_)):
        m = quantize_multiplier(by.scale.double() / twice)
        high = rescale(_steps(codes, by) << left, Multiplier(m.mantissa, torch.zeros_like(m.exponent)), "double")
        parts.append(shift_right(high, -m.exponent, ties))
    return rescale(parts[0] + sign * parts[1], twice / (y_.scale.double() * 2.0**left), "double")


def shifted_sum(a: Tensor, b: Tensor, a_: Affine, b_: Affine, y_: Affine, sign: int = 1) -> Tensor:
    """a + sign · b in steps of y: one sum of products, shifted once.

    ``r = s / sy`` in float32, shift = 20 - exponent(max r), ``k = rint(r 2**shift)``:
    ``(ka a + sign kb b + 2**(shift - 1)) >> shift`` (XNNPACK, qs8-vadd).
    """
    ratios = a_.scale / y_.scale, b_.scale / y_.scale
    shift = 21 - int(torch.frexp(torch.maximum(*ratios))[1])
    ka, kb = (torch.round(r * 2.0**shift).to(torch.int64) for r in ratios)
    return shift_right(ka * _steps(a, a_) + sign * kb * _steps(b, b_), shift)


def vector_lanes(shape: Sequence[int], width: int, operands: Sequence[Sequence[int]] = (), scalar: int = 16) -> Tensor:
    """Which elements of a result a kernel computes `width` at a time, the rest one by one, by other formulas.

    Runs of elements are cut into vectors from their beginning. A run is the whole tensor, or where the shapes of the
    `operands` differ the trailing axes on which they agree, else those on which one of them is 1: there `scalar` at a
    time (TFLite, common.h, BinaryBroadcastFiveFold).
    """
    run = math.prod(shape)
    if len({tuple(s) for s in operands}) > 1:
        pairs = [*itertools.zip_longest(*(reversed(s) for s in operands), fillvalue=1)]
        same = [*itertools.takewhile(lambda p: p[0] == p[1], pairs)]
        run = math.prod(p[0] for p in same)
        if run == 1:
            side, width = pairs[len(same)].index(1), scalar
            run = math.prod(max(p) for p in itertools.takewhile(lambda p: p[side] == 1, pairs[len(same) :]))
    index = torch.arange(math.prod(shape)) % max(run, 1)
    return (index < run // width * width).reshape(tuple(shape))


# ---------------------------------------------------------------- means
def mean_by_multiplier(total: Tensor, count: int, x_: Affine, y_: Affine) -> Tensor:
    """total / count in steps of y: the multiplier of ``sx / sy`` is divided by the count, with as many more bits as
    that has (TFLite, reference/reduce.h, QuantizedMeanOrSum). `total`: exact sums of steps."""
    m = quantize_multiplier(x_.scale.double() / y_.scale.double())
    more = min(count.bit_length() - 1, 32, 31 + int(m.exponent))
    return rescale(total, Multiplier((m.mantissa << more) // count, m.exponent - more), "double")


def average(total: Tensor, count: Tensor) -> Tensor:
    """``(total ± count / 2) / count``, truncated towards zero; int64 (TFLite, reference/integer_ops/pooling.h)."""
    half = count // 2
    return truncated_quotient(total + torch.where(total > 0, half, -half), count)


# ---------------------------------------------------------------- tables
def table_of(function: Callable[[Tensor], Tensor], x_: Affine, y_: Affine, low: int, high: int) -> Tensor:
    """The steps of ``f(sx (q - zx))`` for each code q from low to high: ``half_away(f · fl(1 / sy))``; f in float64,
    its results in float32."""
    reals = _steps(torch.arange(low, high + 1), x_).to(torch.float32) * x_.scale
    return round_(function(reals.double()).to(torch.float32) * (1 / y_.scale), "half_away").to(torch.int64)


def softmax_by_table(x: Tensor, x_: Affine, y_: Affine) -> Tensor:
    """The steps of a softmax along the last axis of 8-bit codes: a float32 table of ``exp(-sx d)`` over the distance d
    to the row's largest code, a float32 sum from the first element on, ``half_away(e · fl(1 / fl(sum · sy)))``."""
    table = torch.exp(-x_.scale * torch.arange(256).to(torch.float32))
    codes = x.to(torch.int64)
    values = table[codes.amax(-1, keepdim=True) - codes]
    total = torch.zeros_like(values[..., :1])
    for i in range(values.shape[-1]):
        total = total + values[..., i : i + 1]
    return round_(values * (1 / (total * y_.scale)), "half_away").to(torch.int64)


# ---------------------------------------------------------------- rows quantized at run time
def row_steps(x: Tensor, how: str) -> tuple[Tensor, Tensor]:
    """Rows of floats as steps (whole numbers in float32) and scales, in 8 bits.

    - ``portable``: 255 steps over a range that holds 0, the zero point from the end whose rounding costs less;
      ``half_away(fma(x, 1 / s, z))`` (TFLite, portable_tensor_utils.cc).
    - ``symmetric``: 127 steps to the largest magnitude; ``half_away(x · fl(127 / max))`` (the same file).
    - ``unsigned``: as the first, the zero point from the lower end, ``half_even(fl(x (1 / s))) + z``, all in float32
      (XNNPACK, qdu8: on x86 with VNNI).
    """
    if how == "symmetric":
        most = x.abs().amax(-1, keepdim=True)
        inverse = torch.where(most == 0, torch.ones_like(most), 127 / most)
        scale = torch.where(most == 0, torch.ones_like(most), most / 127)
        return round_(x * inverse, "half_away").clamp(-127, 127), scale
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    if how == "unsigned":
        inverse = 255 / torch.where(high == low, torch.ones_like(low), high - low)
        zero = torch.round(-low * inverse) - 128
        return torch.round(x * inverse).clamp(-128 - zero, 127 - zero), 1 / inverse
    low, high = low.double(), high.double()
    wide = torch.where(high == low, torch.ones_like(low), (high - low) / 255)
    zero = torch.where(128 - low / wide < 127 + high / wide, -128 - low / wide, 127 - high / wide)
    zero, scale = round_(zero.clamp(-128, 127), "half_away").to(torch.float32), wide.to(torch.float32)
    value = (x.double() * (1 / scale).double() + zero.double()).to(torch.float32)  # rounded once, as by an fma
    return round_(value, "half_away").clamp(-128, 127) - zero, scale
