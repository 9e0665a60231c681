"""The range search: from what was observed to the range that a quantizer gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor

from qir.calibration.observers import Histogram
from qir.numerics import Granularity, Scheme, block_range, fake, range_to_params, reduce_blocks

__all__ = ["METHODS", "Reader", "kl_range", "mse_range", "percentile_range", "search_range", "weight_range", "widened"]

METHODS = ("minmax", "percentile", "mse", "kl")
"""How the range of an activation is found."""


def search_range(histogram: Histogram, scheme: Scheme, method: str, p: float = 99.99) -> tuple[Tensor, Tensor]:
    """The range by `method` (not ``minmax``, which needs no histogram), as float32 scalars."""
    if method == "percentile":
        lo, hi = percentile_range(histogram, p)
    elif method == "mse":
        lo, hi = mse_range(histogram, scheme)
    elif method == "kl":
        lo, hi = kl_range(histogram, scheme)
    else:
        raise ValueError(f"unknown method {method!r}: expected {', '.join(METHODS)}")
    return torch.tensor(lo), torch.tensor(hi)


FEW = 1024
"""So many numbers show how far a value reaches: of as many normal ones the largest lies about 3.2 deviations off."""


def widened(histogram: Histogram, found: tuple[Tensor, Tensor], deviations: float) -> tuple[Tensor, Tensor]:
    """A range that reaches at least so many standard deviations from the mean, on the sides of zero that were seen."""
    centres, counts = histogram.bins()
    mean = (centres * counts).sum() / counts.sum()
    reach = deviations * ((centres - mean).square() * counts).sum().div(counts.sum()).sqrt()
    low, high = found
    return (
        torch.minimum(low, mean - reach) if histogram.lo < 0 else low,
        torch.maximum(high, mean + reach) if histogram.hi > 0 else high,
    )


def percentile_range(histogram: Histogram, p: float) -> tuple[float, float]:
    """The values below which 100 - p and p percent of all values lie, each linear within its bin."""
    total = histogram.counts.sum()
    below = histogram.counts.cumsum(0).double()

    def quantile(share: float) -> float:
        rank = share * float(total)
        index = int(torch.searchsorted(below, torch.tensor(rank, dtype=torch.float64)).clamp(max=len(below) - 1))
        count = float(histogram.counts[index])
        before = float(below[index]) - count
        inside = (rank - before) / count if count else 0.0
        value = (index - histogram.HALF + inside) * histogram.width
        return min(max(value, histogram.lo), histogram.hi)

    return quantile(1 - p / 100), quantile(p / 100)


def mse_range(histogram: Histogram, scheme: Scheme) -> tuple[float, float]:
    """``argmin sum_j n_j (c_j - fake(c_j))²`` over the range's ends, those of an affine range one after the other.

    Each end is tried at fractions of the extreme, four to the octave, then between the best and its neighbours; of
    those within 3 % of the least error the widest is taken.
    """
    lo, hi = min(histogram.lo, 0.0), max(histogram.hi, 0.0)
    centres, counts = histogram.bins(limit=2048)
    per_row = scheme.evolve(granularity=Granularity.per_axis(0))

    def errors(low: Tensor, high: Tensor) -> Tensor:
        scale, zero = range_to_params(low, high, scheme)
        rows = centres.expand(len(scale), -1)
        return fake(rows, per_row, scale, zero).sub_(rows).square_() @ counts

    low = high = 1.0
    if scheme.symmetric or lo == 0.0 or hi == 0.0:
        low = high = _least(lambda f: errors(f * lo, f * hi))
    else:
        for _ in range(2):
            high = _least(lambda f, low=low: errors(torch.full_like(f, low * lo), f * hi))  # type: ignore[misc]
            low = _least(lambda f, high=high: errors(f * lo, torch.full_like(f, high * hi)))  # type: ignore[misc]
    return low * lo, high * hi


_COARSE = 2.0 ** (-torch.arange(33) / 4)
_FINE = 2.0 ** (torch.arange(-4, 5) / 20)


_SLACK = 1.03
"""Errors that differ by less are taken for equal. Of ranges that are equally good the widest is chosen, for what the
model sees later exceeds a narrow one more often than the samples did."""


def _least(errors: Callable[[Tensor], Tensor]) -> float:
    """The largest fraction in (0, 1] whose error is all but the least."""
    factor, tried, found = 1.0, torch.empty(0), torch.empty(0)
    for factors in (_COARSE, _FINE):
        fresh = (factor * factors).clamp(max=1.0)
        tried, found = torch.cat([tried, fresh]), torch.cat([found, errors(fresh)])
        factor = float(tried[int(found.argmin())])
    return float(tried[found <= found.min() * _SLACK].max())


def kl_range(histogram: Histogram, scheme: Scheme, bins: int = 2048, stride: int = 8) -> tuple[float, float]:
    """The clipping threshold at which the quantized distribution is nearest to the observed one (Migacz, GTC 2017).

    P is the histogram of abs(x) up to the threshold with the tail added to its last bin, Q the same merged to as many
    levels as the scheme has on one side and spread over the bins that held anything; the threshold minimises KL(P, Q).
    """
    import numpy as np

    half = histogram.HALF
    counts = histogram.counts.numpy()
    folded = (counts[half:] + counts[:half][::-1]).astype(np.float64)
    used = int(np.flatnonzero(folded)[-1]) + 1
    per_bin = -(-used // bins)
    folded = np.pad(folded[:used], (0, -used % per_bin)).reshape(-1, per_bin).sum(1)
    folded[0] = folded[1] if len(folded) > 1 else folded[0]  # zeros (after a Relu) would outweigh everything else
    one_sided = not scheme.symmetric and (histogram.lo >= 0 or histogram.hi <= 0)
    codes = int(scheme.qmax) - int(scheme.qmin) + 1 if scheme.storage.is_integer else 256
    levels = codes if one_sided else codes // 2
    best, threshold = float("inf"), len(folded)
    for end in (*range(min(levels, len(folded)), len(folded), stride), len(folded)):
        p = folded[:end].copy()
        held = p > 0
        p[-1] += folded[end:].sum()
        edges = np.arange(levels) * end // levels
        merged = np.add.reduceat(folded[:end], edges)
        filled = np.add.reduceat(held.astype(np.float64), edges)
        level = np.repeat(np.arange(levels), np.diff(np.append(edges, end)))
        q = np.where(held, merged[level] / np.maximum(filled[level], 1), 0.0)
        if not q.any():
            continue
        p, q = p / p.sum(), q / q.sum()
        both = (p > 0) & (q > 0)
        missing = (p > 0) & ~both
        divergence = float((p[both] * np.log(p[both] / q[both])).sum()) + 30.0 * float(p[missing].sum())
        if divergence < best:
            best, threshold = divergence, end
    limit = threshold * per_bin * histogram.width
    return max(histogram.lo, -limit), min(histogram.hi, limit)


@attrs.frozen
class Reader:
    """What reads a weight.

    `rows` brings the weight to (outputs, inputs of a group, taps), `groups` is how many groups of outputs there are,
    `mean` and `variance` are those of the inputs' channels.
    """

    rows: Callable[[Tensor], Tensor]
    groups: int
    mean: Tensor
    variance: Tensor

    def error(self, wrong: Tensor) -> Tensor:
        """The expected squared error of each output, for errors of the weight.

        ``sum_c var_c (a_c² + sum_k d_ck²) / 2 + (sum_c mean_c a_c)²`` with ``a_c = sum_k d_ck``: neighbouring inputs of
        a channel are taken as half correlated. The second part is the shift of the output's mean.
        """
        d = self.rows(wrong)
        taps = d.sum(2)
        spread = (taps.square() + d.square().sum(2)) / 2
        outputs, inputs = taps.shape
        mean = self.mean.reshape(self.groups, inputs).repeat_interleave(outputs // self.groups, 0)
        variance = self.variance.reshape(self.groups, inputs).repeat_interleave(outputs // self.groups, 0)
        return (spread * variance).sum(1) + (taps * mean).sum(1).square()


def weight_range(w: Tensor, scheme: Scheme, method: str, readers: Sequence[Reader] = ()) -> tuple[Tensor, Tensor]:
    """The range of each block of a constant: its extremes (``minmax``), or the share of them with the least squared
    error (``mse``): of the outputs where `readers` are known and there is a scale for each output, else of the weight
    itself. Both ends have `Granularity.param_shape`."""
    lo, hi = block_range(w, scheme.granularity)
    if method != "mse":
        return lo, hi
    fine = scheme.storage.is_integer and scheme.bits >= 8
    shares = _shares(fine, w.numel())
    best = torch.full_like(lo, float("inf"))
    kept = torch.ones_like(lo)
    for share in shares.tolist():
        scale, zero = range_to_params(lo * share, hi * share, scheme)
        wrong = fake(w, scheme, scale, zero).sub_(w)
        if readers:
            error = torch.stack([reader.error(wrong) for reader in readers]).sum(0)
        else:
            error = reduce_blocks(wrong.square_(), scheme.granularity, "sum").reshape(lo.shape)
        better = error < best
        best, kept = torch.where(better, error, best), torch.where(better, share, kept)
    return lo * kept, hi * kept


def _shares(fine: bool, size: int) -> Tensor:
    """The candidates: 1 first, then below it and above it. Small constants can afford more.

    Below 1 the largest weights are clipped. Above it the grid is coarser, but another one: the errors of the weights of
    an output cancel on some of them.
    """
    count = max(16, min(32, (1 << 21) // max(size, 1)))
    below = torch.linspace(1.0, 0.95 if fine else 0.3, count // 4 if fine else count)
    above = torch.linspace(1.0, 1.2 if fine else 1.05, count - count // 4 + 1)[1:]
    return torch.cat((below, above))
