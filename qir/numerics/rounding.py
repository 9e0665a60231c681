"""Rounding: of real numbers to integers, and to a number of significant bits (small floats)."""

from __future__ import annotations

import torch
from torch import Tensor

from qir.numerics.scheme import ROUNDINGS
from qir.numerics.storage import FloatFormat

__all__ = ["round_", "round_significand", "round_to_codebook"]


def round_(x: Tensor, mode: str = "half_even", generator: torch.Generator | None = None) -> Tensor:
    """Round `x` (float32 or float64) to integers in place, by `mode` (one of `ROUNDINGS`), and return it.

    Every mode is exact for all finite numbers: no operation used here rounds by itself (``floor(x + 0.5)`` would turn
    0.49999997 into 1). NaN and infinities stay. `generator` draws for ``stochastic``, which rounds up with
    the probability of the fraction. Raises ValueError for an unknown mode.
    """
    if mode == "half_even":
        return x.round_()
    if mode == "toward_zero":
        return x.trunc_()
    if mode == "floor":
        return x.floor_()
    if mode == "ceil":
        return x.ceil_()
    if mode == "stochastic":
        below = x.floor()
        draw = torch.empty_like(x).uniform_(generator=generator)
        # inf - inf is NaN, and no draw is below NaN: infinities and NaN stay what floor made of them.
        return x.copy_(below.add_((draw < x - below).to(x.dtype)))
    whole = x.trunc()
    fraction = x - whole  # exact, in (-1, 1), with the sign of x; NaN for infinities: no comparison below holds
    if mode == "half_away":
        up, down = fraction >= 0.5, fraction <= -0.5
    elif mode == "half_up":
        up, down = fraction >= 0.5, fraction < -0.5
    elif mode == "half_down":
        up, down = fraction > 0.5, fraction <= -0.5
    elif mode == "half_toward_zero":
        up, down = fraction > 0.5, fraction < -0.5
    else:
        raise ValueError(f"unknown rounding {mode!r}: expected {', '.join(ROUNDINGS)}")
    return x.copy_(whole.add_(up.to(x.dtype)).sub_(down.to(x.dtype)))


def round_significand(
    v: Tensor, form: FloatFormat, mode: str = "half_even", generator: torch.Generator | None = None
) -> Tensor:
    """Round `v` (float32 or float64) in place to the numbers of `form`, as if its exponent had no upper end.

    The step is ``2**(max(floor(log2 |v|), emin) - mantissa)``, and ``v / step`` is rounded to an integer: normal and
    subnormal numbers alike, and a value that rounds up to the next binade needs no special case.
    """
    if v.dtype == torch.float64:
        exponent = (v.view(torch.int64) & 0x7FF0000000000000).view(torch.float64)
    else:
        exponent = (v.view(torch.int32) & 0x7F800000).view(torch.float32)  # 2**floor(log2 |v|), sign cut off
    step = exponent.clamp_(min=2.0**form.emin).mul_(2.0**-form.mantissa)
    # The exponent field of infinity and NaN is infinity's; inf / inf would lose the infinity.
    step.masked_fill_(step.isinf(), 1.0)
    return round_(v.div_(step), mode, generator).mul_(step)


def round_to_codebook(
    v: Tensor, book: Tensor, mode: str = "half_even", generator: torch.Generator | None = None
) -> Tensor:
    """The int64 index of the entry of `book` that each value rounds to; the ends take what is outside.

    `v`, `book`: float64 (of float32 numbers, so that the midpoints are exact), `book` sorted. Of two neighbours
    the nearer is taken, a tie by `mode`: half_even to the even index, half_away to the entry farther from zero, and so
    on. NaN goes to the entry nearest zero.
    """
    below = (torch.bucketize(v, book, right=True) - 1).clamp_(0, len(book) - 2)
    low, high = book[below], book[below + 1]
    middle = (low + high) / 2
    if mode == "half_even":
        up = (v > middle) | ((v == middle) & (below % 2 == 1))
    elif mode == "half_up":
        up = v >= middle
    elif mode == "half_down":
        up = v > middle
    elif mode in ("half_away", "half_toward_zero"):
        up = torch.where((middle > 0) == (mode == "half_away"), v >= middle, v > middle)
    elif mode == "floor":
        up = v >= high
    elif mode == "ceil":
        up = v > low
    elif mode == "toward_zero":
        # To the neighbour of smaller magnitude: a codebook need not hold zero.
        up = torch.where(middle <= 0, v > low, v >= high)
    elif mode == "stochastic":
        up = torch.empty_like(v).uniform_(generator=generator) * (high - low) < v - low
    else:
        raise ValueError(f"unknown rounding {mode!r}: expected {', '.join(ROUNDINGS)}")
    return torch.where(v.isnan(), book.abs().argmin(), below + up)
