"""What calibration remembers of a value: its extremes, or its histogram.

An observer sees tensors one at a time and keeps a bounded amount. ``a.merge(b)`` is the same as having seen what both
saw, so that a set can be split over workers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qir.numerics import Granularity, block_range

__all__ = ["Histogram", "MinMax", "Moments", "NotFinite"]


class NotFinite(ValueError):
    """A tensor holds NaN or an infinity."""


def dense(x: Tensor) -> Tensor:
    """The elements in the order of memory, without a copy where there is such an order (channels-last included)."""
    if x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(-1)


class MinMax:
    """The smallest and largest value of every block of a granularity."""

    __slots__ = ("granularity", "hi", "lo")

    def __init__(self, granularity: Granularity | None = None) -> None:
        self.granularity = granularity or Granularity.per_tensor()
        self.lo: Tensor | None = None
        self.hi: Tensor | None = None

    def observe(self, x: Tensor) -> None:
        """See a float tensor. Raises NotFinite."""
        if x.numel() == 0:
            return
        if self.granularity.is_per_tensor:
            lo, hi = torch.aminmax(dense(x))
        else:
            lo, hi = block_range(x, self.granularity)
        if not (bool(lo.isfinite().all()) and bool(hi.isfinite().all())):  # extremes carry every NaN
            raise NotFinite
        self._include(lo.float(), hi.float())

    def merge(self, other: MinMax) -> None:
        """See what `other` saw."""
        if other.lo is not None and other.hi is not None:
            self._include(other.lo, other.hi)

    def _include(self, lo: Tensor, hi: Tensor) -> None:
        self.lo = lo if self.lo is None else torch.minimum(self.lo, lo)
        self.hi = hi if self.hi is None else torch.maximum(self.hi, hi)

    def range(self) -> tuple[Tensor, Tensor] | None:
        """Lower and upper ends of parameter shape; None if nothing was seen."""
        return None if self.lo is None or self.hi is None else (self.lo, self.hi)


class Moments:
    """Mean and variance of every channel, the channels along `axis`."""

    COUNTED = 256
    """About how many elements of a channel are counted per sample of an image."""

    __slots__ = ("axis", "count", "squares", "sums")

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.count = 0
        self.sums: Tensor | None = None
        self.squares: Tensor | None = None

    def observe(self, x: Tensor) -> None:
        """See a float tensor."""
        if x.numel() == 0:
            return
        if x.dim() == 4 and self.axis == 1:
            step = max(1, round((x.shape[2] * x.shape[3] / self.COUNTED) ** 0.5))
            x = x[:, :, ::step, ::step]
        axis = self.axis % x.dim()
        others = [i for i in range(x.dim()) if i != axis]
        x = x.float()
        sums = x.sum(others) if others else x
        squares = torch.linalg.vector_norm(x, dim=others).square_() if others else x.square()
        self._include(sums.double().cpu(), squares.double().cpu(), x.numel() // x.shape[axis])

    def merge(self, other: Moments) -> None:
        """See what `other` saw."""
        if other.sums is not None and other.squares is not None:
            self._include(other.sums, other.squares, other.count)

    def _include(self, sums: Tensor, squares: Tensor, count: int) -> None:
        self.sums = sums if self.sums is None else self.sums + sums
        self.squares = squares if self.squares is None else self.squares + squares
        self.count += count

    def result(self) -> tuple[Tensor, Tensor] | None:
        """Mean and variance per channel, float32; None if nothing was seen."""
        if self.sums is None or self.squares is None:
            return None
        mean = self.sums / self.count
        return mean.float(), (self.squares / self.count - mean.square()).clamp_(min=0.0).float()


class Histogram:
    """A histogram over a whole tensor that grows with the range, in one pass.

    Bin `i` counts ``(i - N) * w <= x < (i - N + 1) * w`` for 2N bins. The width w is a power of two and the grid is
    anchored at 0: when a value lies outside, w doubles and neighbouring bins are added up, which loses nothing, so the
    result does not depend on the order of the tensors. Of large tensors every k-th element is counted; the extremes
    are those of all elements. With `weights` the elements of some channels count more than those of others.
    """

    HALF = 4096
    """N: bins on each side of zero."""
    COUNTED = 1 << 14
    """About how many elements of one sample are counted."""

    __slots__ = ("counts", "exponent", "hi", "lo", "weights")

    def __init__(self, weights: tuple[Tensor, int] | None = None) -> None:
        self.weights = weights
        """What an element of each channel counts (float64), and the channels' axis; None: every element counts 1."""
        self.counts = torch.zeros(2 * self.HALF, dtype=torch.int64 if weights is None else torch.float64)
        self.exponent = -149
        """log2 of the bin width."""
        self.lo, self.hi = math.inf, -math.inf

    @property
    def width(self) -> float:
        return 2.0**self.exponent

    @property
    def is_empty(self) -> bool:
        return self.lo > self.hi

    def observe(self, x: Tensor, samples: int = 1) -> None:
        """See a float tensor that holds `samples` samples. Raises NotFinite."""
        if x.numel() == 0:
            return
        flat = dense(x)
        lo, hi = (float(v) for v in torch.aminmax(flat))
        if not (math.isfinite(lo) and math.isfinite(hi)):
            raise NotFinite
        self._grow(self._needed(lo, hi))
        self.lo, self.hi = min(self.lo, lo), max(self.hi, hi)
        # An odd step does not fall into step with the rows of an image.
        step = flat.numel() // (self.COUNTED * max(samples, 1))
        if step > 1:
            flat = flat[:: step | 1]
        # A product with a power of two is exact: each value has one bin, whatever the width was when it was seen.
        half = self.HALF
        exponent = self.exponent
        if exponent < -120:  # 2**-exponent is no float32
            scaled = torch.ldexp(flat.double(), torch.tensor(-exponent))
        else:
            scaled = flat.float() * 2.0**-exponent
        index = scaled.floor_().to(torch.int32).add_(half).clamp_(0, 2 * half - 1)
        weights = None if self.weights is None else self._weights_of(x, len(flat), step | 1 if step > 1 else 1)
        self.counts += torch.bincount(index, weights, minlength=2 * half).cpu()

    def _weights_of(self, x: Tensor, count: int, step: int) -> Tensor:
        """The weight of every counted element, in the order of `dense`."""
        assert self.weights is not None
        weights, axis = self.weights
        axis %= x.dim()
        inner = 1
        if x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
            order: tuple[int, ...] = (0, 2, 3, 1)
        else:
            order = tuple(range(x.dim()))
        for i in order[order.index(axis) + 1 :]:
            inner *= x.shape[i]
        channels = x.shape[axis]
        weights = weights.to(x.device)
        if inner == 1:  # the channels come round with a period of their number
            period = weights[torch.arange(0, channels * step, step, device=x.device) % channels]
            return period.repeat(-(-count // channels))[:count]
        return weights[torch.arange(0, count * step, step, device=x.device) // inner % channels]

    def merge(self, other: Histogram) -> None:
        """See what `other` saw."""
        if other.is_empty:
            return
        self._grow(other.exponent)
        self.counts += _coarser(other.counts, self.exponent - other.exponent, self.HALF)
        self.lo, self.hi = min(self.lo, other.lo), max(self.hi, other.hi)

    def _needed(self, lo: float, hi: float) -> int:
        """The smallest exponent of a width with which lo and hi have bins."""
        exponent = self.exponent
        largest = max(hi, -lo)
        if largest > 0:
            exponent = max(exponent, math.frexp(largest)[1] - int(math.log2(self.HALF)))
        return exponent

    def _grow(self, exponent: int) -> None:
        if exponent > self.exponent:
            self.counts = _coarser(self.counts, exponent - self.exponent, self.HALF)
            self.exponent = exponent

    def bins(self, limit: int = 0) -> tuple[Tensor, Tensor]:
        """Centres (float32, clipped to the extremes) and counts (float32) of the bins that hold anything.

        Where more than `limit` bins lie between the extremes, neighbours are taken together (0: never).
        """
        counts, width, half = self.counts, self.width, self.HALF
        while limit and (self.hi - self.lo) / width > limit:
            counts, width, half = counts.view(-1, 2).sum(1), 2 * width, half // 2
        used = counts.nonzero().reshape(-1)
        centres = (used.double() - half + 0.5) * width
        return centres.clamp_(self.lo, self.hi).float(), counts[used].float()


def _coarser(counts: Tensor, doublings: int, half: int) -> Tensor:
    """The counts with a width `doublings` times doubled."""
    if doublings == 0:
        return counts
    out = torch.zeros_like(counts)
    if doublings >= int(math.log2(half)):
        out[half - 1], out[half] = counts[:half].sum(), counts[half:].sum()
        return out
    group = 1 << doublings
    size = half // group
    out[half - size : half + size] = counts.view(-1, group).sum(1)
    return out
