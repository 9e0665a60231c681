"""Observers: merging is the same as having seen everything; histograms lose nothing as they grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qir.calibration.observers import Histogram, MinMax, Moments, NotFinite
from qir.numerics import Granularity

tensors = st.lists(
    st.tuples(st.integers(0, 1 << 30), st.integers(-30, 30), st.integers(1, 40)).map(
        lambda t: torch.randn(t[2], generator=torch.Generator().manual_seed(t[0])) * 2.0 ** t[1]
    ),
    min_size=1,
    max_size=6,
)


def histogram(xs: list[torch.Tensor]) -> Histogram:
    seen = Histogram()
    for x in xs:
        seen.observe(x)
    return seen


@settings(max_examples=60, deadline=None)
@given(tensors, tensors)
def test_histograms_merge_exactly_in_any_order(xs: list[torch.Tensor], ys: list[torch.Tensor]) -> None:
    whole = histogram(xs + ys)
    a, b, backwards = histogram(xs), histogram(ys), histogram((xs + ys)[::-1])
    a.merge(b)
    for other in (a, backwards):
        assert torch.equal(whole.counts, other.counts)
        assert (whole.exponent, whole.lo, whole.hi) == (other.exponent, other.lo, other.hi)


@settings(max_examples=60, deadline=None)
@given(tensors)
def test_a_histogram_counts_every_value_in_its_bin(xs: list[torch.Tensor]) -> None:
    seen = histogram(xs)
    values = torch.cat(xs).double().numpy()
    index = np.floor(values / seen.width).astype(np.int64) + seen.HALF
    assert np.array_equal(np.bincount(index, minlength=2 * seen.HALF), seen.counts.numpy())
    assert seen.lo == values.min() and seen.hi == values.max()


def test_tiny_huge_and_zero_values_have_bins() -> None:
    for x in (torch.zeros(5), torch.full((3,), 1e-44), torch.tensor([3e38, -3e38]), torch.tensor([1e-38, 3e38])):
        assert int(histogram([x]).counts.sum()) == x.numel()


def test_large_tensors_are_counted_in_part_and_keep_their_extremes() -> None:
    x = torch.randn(4, 64, 112, 112)
    x[1, 2, 3, 4] = 50.0
    seen = Histogram()
    seen.observe(x, samples=4)
    assert seen.hi == 50.0
    assert Histogram.COUNTED * 2 <= int(seen.counts.sum()) <= Histogram.COUNTED * 8


def test_channels_last_is_observed_without_a_copy_and_alike() -> None:
    x = torch.randn(2, 8, 5, 5)
    a, b = histogram([x]), histogram([x.contiguous(memory_format=torch.channels_last)])
    assert torch.equal(a.counts, b.counts)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_elements_count_by_the_weight_of_their_channel(axis: int, layout: torch.memory_format) -> None:
    x = torch.randn(2, 5, 3, 5).contiguous(memory_format=layout)
    weights = torch.rand(5, dtype=torch.float64)
    seen = Histogram((weights, axis))
    seen.observe(x)
    index = np.floor(x.double().numpy() / seen.width).astype(np.int64) + seen.HALF
    spread = np.broadcast_to(weights.numpy().reshape((5, 1, 1) if axis == 1 else (5,)), x.shape)
    expected = np.bincount(index.ravel(), spread.ravel(), 2 * seen.HALF)
    assert np.allclose(seen.counts.numpy(), expected)


def test_weights_of_tensors_that_are_counted_in_part() -> None:
    x = torch.arange(8).repeat(1 << 17).reshape(-1, 8).float()  # the value says the channel
    seen = Histogram((torch.arange(8, dtype=torch.float64), -1))
    seen.observe(x)
    centres, counts = seen.bins()
    assert centres.round().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert torch.allclose(counts / counts.sum(), torch.arange(1, 8) / 28.0, atol=1e-3)


def test_min_max_of_channels_merges() -> None:
    x, y = torch.randn(4, 3, 5), torch.randn(2, 3, 5)
    a, b = MinMax(Granularity.per_axis(1)), MinMax(Granularity.per_axis(1))
    a.observe(x)
    b.observe(y)
    a.merge(b)
    found = a.range()
    both = torch.cat((x, y)).transpose(0, 1).reshape(3, -1)
    assert found is not None
    assert torch.equal(found[0], both.amin(1)) and torch.equal(found[1], both.amax(1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("observer", [MinMax, Histogram, lambda: MinMax(Granularity.per_axis(0))])
def test_values_that_are_not_finite_are_refused(observer: object, bad: float) -> None:
    x = torch.zeros(3, 4)
    x[1, 2] = bad
    with pytest.raises(NotFinite):
        observer().observe(x)  # type: ignore[operator]


def test_empty_tensors_and_empty_observers() -> None:
    a, h, m = MinMax(), Histogram(), Moments(0)
    for seen in (a, h, m):
        seen.observe(torch.zeros(0, 3))
    a.merge(MinMax())
    h.merge(Histogram())
    m.merge(Moments(0))
    assert a.range() is None and h.is_empty and m.result() is None


@pytest.mark.parametrize(("shape", "axis"), [((6, 5, 4, 3), 1), ((7, 3), -1), ((2, 4, 80, 80), 1)])
def test_moments_are_those_of_the_channels(shape: tuple[int, ...], axis: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(6)) + 3
    a, b = Moments(axis), Moments(axis)
    a.observe(x[:1])
    b.observe(x[1:])
    a.merge(b)
    found = a.result()
    assert found is not None
    flat = x.double().transpose(0, axis).reshape(shape[axis], -1)
    exact = shape[-1] < 80  # of larger images a part is counted
    assert torch.allclose(found[0].double(), flat.mean(1), atol=1e-5 if exact else 0.15)
    assert torch.allclose(found[1].double(), flat.var(1, unbiased=False), atol=1e-4 if exact else 0.25)
