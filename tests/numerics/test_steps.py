"""Scaling by steps per unit, codes by truncation, Winograd's sums in int32, packed rows: against numpy and integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from qir.numerics.packing import pack_rows
from qir.numerics.requantize import scaled_sums, truncated_codes
from qir.numerics.winograd import LARGEST_WEIGHTS, overflowing_channels, winograd43


def test_one_rounding_is_that_of_the_real_number() -> None:
    """fl(acc * m + b): the float32 next to the exact sum of the exact product."""
    rng = np.random.default_rng(0)
    acc = rng.integers(-(2**24), 2**24, 500)
    m, b = rng.normal(0, 1e-4, 500).astype(np.float32), rng.normal(0, 300, 500).astype(np.float32)
    got = scaled_sums(*map(torch.from_numpy, (acc, m, b)), fused=True).numpy()
    for i in range(500):
        exact = int(acc[i]) * Fraction(float(m[i])) + Fraction(float(b[i]))
        near = Fraction(float(got[i]))
        for other in (np.nextafter(got[i], np.float32(np.inf)), np.nextafter(got[i], np.float32(-np.inf))):
            assert abs(near - exact) <= abs(Fraction(float(other)) - exact)
    twice = scaled_sums(*map(torch.from_numpy, (acc, m, b))).numpy()
    np.testing.assert_array_equal(twice, acc.astype(np.float32) * m + b)
    assert (twice != got).any()
    alone = scaled_sums(torch.from_numpy(acc), torch.from_numpy(m)).numpy()
    np.testing.assert_array_equal(alone, acc.astype(np.float32) * m)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0.5, 1), (-0.5, -1), (1.5, 2), (2.4999998, 2), (0.49999997, 1), (-0.0, 0), (126.5, 127), (200.0, 127),
        (-127.6, -127), (2.0**31 - 200, 127), (2.0**31, -127), (3e38, -127), (float("nan"), -127), (-3e38, -127),
    ],
)  # fmt: skip
def test_codes_are_half_away_by_an_addition_in_float32(value: float, code: int) -> None:
    assert truncated_codes(torch.tensor([value]), -127, 127).tolist() == [code]


def test_sums_of_winograd() -> None:
    exact = torch.tensor([0, 1, -1, 1_864_136, -1_864_136])
    assert torch.equal(winograd43(exact), exact.float())
    large = torch.arange(3_728_000, 3_728_270)
    assert ((large - winograd43(large)).unique().tolist()) in ([0.0], [0.0, 1.0])
    limit = 2**31 // 576
    assert winograd43(torch.tensor([limit])).item() >= limit - 1
    assert winograd43(torch.tensor([limit + 1])).item() < 0


def test_the_largest_weights_are_those_that_no_input_overflows() -> None:
    assert LARGEST_WEIGHTS * 127 * 576 < 2**31 <= (LARGEST_WEIGHTS + 1) * 127 * 576
    codes = np.zeros((3, 300), np.int8)
    codes[1, :232] = -127  # 29,464
    codes[2, :231] = 127  # 29,337
    assert overflowing_channels(codes) == "the weights of 1 channels sum up to 29464, more than 29356"
    assert overflowing_channels(codes[[0, 2]]) == ""


def test_rows_are_packed_from_the_low_bits_on() -> None:
    assert pack_rows(np.array([[1, -2, 7]]), 4) == bytes([0xE1, 0x07])
    assert pack_rows(np.array([[-1, 2], [3, -128]]), 8) == bytes([255, 2, 3, 128])
    assert pack_rows(np.array([[-1, 0, 1, 0]]), 6) == bytes([0x3F, 0x10, 0x00])
