"""Rounding: of real numbers to integers, and to a number of significant bits (small floats)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qir.numerics.scheme import ROUNDINGS
from qir.numerics.storage import FloatFormat

__all__ = ["codebook_thresholds", "round_", "round_significand", "round_to_codebook"]


PART = 1 << 17
"""Elements that are rounded at a time."""


def round_(x: Tensor, mode: str = "half_even", generator: torch.Generator | None = None) -> Tensor:
    """Round `x` (float32 or float64) to integers in place, by `mode` (one of `ROUNDINGS`), and return it.

    Every mode is exact for all finite numbers: no operation used here rounds by itself (``floor(x + 0.5)`` would turn
    0.49999997 into 1). NaN and infinities stay. `generator` draws for ``stochastic``, which rounds up with
    the probability of the fraction. Raises ValueError for an unknown mode.
    """
    if mode == "half_even":
        return x.round_()
    if mode == "floor":
        return x.floor_()
    if mode == "ceil":
        return x.ceil_()
    if mode == "stochastic":
        below = x.floor()
        draw = torch.empty_like(x).uniform_(generator=generator)
        # inf - inf is NaN, and no draw is below NaN: infinities and NaN stay what floor made of them.
        return x.copy_(below.add_((draw < x - below).to(x.dtype)))
    if mode not in ROUNDINGS:
        raise ValueError(f"unknown rounding {mode!r}: expected {', '.join(ROUNDINGS)}")
    for part in _parts(x):
        if mode == "toward_zero":
            part.copy_(part.abs().floor_().copysign_(part))  # torch.trunc is 20 times slower
        elif mode == "half_up":
            part.copy_(_half_up(part))
        elif mode == "half_down":
            part.copy_(_half_up(-part).neg_())
        elif mode == "half_away":
            part.copy_(_half_up(part.abs()).copysign_(part))
        else:  # half_toward_zero
            part.copy_(_half_up(part.abs().neg_()).copysign_(part))
    return x


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """Views that cover a large CPU tensor, so small that their temporaries stay in cache (5 times faster); else itself.

    Only where one run through memory covers it: contiguous tensors, and images in channels-last order.
    """
    if x.numel() <= 2 * PART or x.device.type != "cpu":
        return (x,)
    if x.is_contiguous():
        return tuple(torch.split(x.view(-1), PART))
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return tuple(torch.split(x.permute(0, 2, 3, 1).view(-1), PART))
    return (x,)


def _half_up(x: Tensor) -> Tensor:
    """floor(x + 1/2) without its rounding: twice the fraction x - floor(x) decides, and that is 1 or more exactly when
    the fraction is 1/2 or more.

    The difference is exact but for x between -1/2 and 0, where it is rounded within [1/2, 1] and still decides rightly;
    1 itself is cut down to count once. An infinity has fraction inf - inf, NaN, and keeps its floor.
    """
    below = x.floor()
    return below.add_((x - below).mul_(2.0).clamp_(max=1.0).floor_().nan_to_num_(nan=0.0))


def round_significand(
    v: Tensor, form: FloatFormat, mode: str = "half_even", generator: torch.Generator | None = None
) -> Tensor:
    """Round `v` (float32 or float64) in place to the numbers of `form`, as if its exponent had no upper end.

    The step is ``2**(max(floor(log2 |v|), emin) - mantissa)``, and ``v / step`` is rounded to an integer: normal and
    subnormal numbers alike, and a value that rounds up to the next binade needs no special case.
    """
    for part in _parts(v) if mode != "stochastic" else (v,):
        if v.dtype == torch.float64:
            exponent = (part.view(torch.int64) & 0x7FF0000000000000).view(torch.float64)
        else:
            exponent = (part.view(torch.int32) & 0x7F800000).view(torch.float32)  # 2**floor(log2 |v|), sign cut off
        step = exponent.clamp_(min=2.0**form.emin).mul_(2.0**-form.mantissa)
        # The exponent field of infinity and NaN is infinity's; inf / inf would lose the infinity.
        step.masked_fill_(step.isinf(), 1.0)
        round_(part.div_(step), mode, generator).mul_(step)
    return v


def codebook_thresholds(book: Sequence[float], mode: str, dtype: torch.dtype) -> Tensor:
    """For each entry of a sorted `book` but the first: the smallest number of `dtype` that rounds to it or above.

    Of two neighbours the nearer is taken, a tie by `mode`: half_even to the even index, half_away to the entry farther
    from zero, and so on; toward_zero takes the entry of smaller magnitude, for a codebook need not hold zero.
    """
    entries = np.array(book, np.float32).astype(np.float64)
    low, high = entries[:-1], entries[1:]
    middle = (low + high) / 2  # exact: the sum of two float32 numbers of like magnitude
    if mode in ("floor", "ceil", "toward_zero"):
        to_high = middle <= 0 if mode == "toward_zero" else np.full(middle.shape, mode == "ceil")
        bound, included = np.where(to_high, low, high), ~to_high
    elif mode in ("half_even", "half_up", "half_down", "half_away", "half_toward_zero"):
        up = {
            "half_even": np.arange(len(middle)) % 2 == 1, "half_up": np.ones_like(middle, bool),
            "half_down": np.zeros_like(middle, bool), "half_away": middle > 0, "half_toward_zero": middle <= 0,
        }  # fmt: skip
        bound, included = middle, up[mode]
    else:
        raise ValueError(f"unknown rounding {mode!r}: expected {', '.join(ROUNDINGS)}")
    numpy_type = np.float64 if dtype == torch.float64 else np.float32
    threshold = bound.astype(numpy_type)
    below = threshold < bound if numpy_type is np.float32 else np.zeros_like(bound, bool)
    above = threshold > bound
    # The bound itself may lie between two numbers of the type, or be excluded: then the next number is the threshold.
    step = below | (~included & ~above)
    return torch.from_numpy(np.where(step, np.nextafter(threshold, numpy_type(np.inf)), threshold))


def round_to_codebook(
    v: Tensor, book: Sequence[float], mode: str = "half_even", generator: torch.Generator | None = None
) -> Tensor:
    """The index (int32) of the entry of the sorted `book` that each value rounds to; the ends take what is outside.

    `v`: float32 or float64. Ties as in `codebook_thresholds`; ``stochastic`` takes the upper neighbour with the
    probability of the distance from the lower. NaN goes to the entry nearest zero.
    """
    if mode == "stochastic":
        entries = torch.tensor(book, dtype=torch.float32).to(v.device, v.dtype)
        below = (torch.bucketize(v, entries, right=True) - 1).clamp_(0, len(book) - 2)
        low, high = entries[below], entries[below + 1]
        index = (below + (torch.empty_like(v).uniform_(generator=generator) * (high - low) < v - low)).to(torch.int32)
    else:
        thresholds = codebook_thresholds(book, mode, v.dtype).to(v.device)
        index = torch.bucketize(v.contiguous(), thresholds, right=True, out_int32=True)
    nearest_zero = min(range(len(book)), key=lambda i: abs(book[i]))
    return index.masked_fill_(v.isnan(), nearest_zero)
