"""A range in float32 from which the zero point comes back as an integer."""

from __future__ import annotations

import numpy as np
import pytest

from qir.numerics.span import span_of


@pytest.mark.parametrize("seed", range(4))
def test_the_zero_point_comes_back_from_the_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for zero, scale in zip(rng.integers(0, 256, 400), np.exp(rng.uniform(-12, 5, 400)).astype(np.float32), strict=True):
        low, high = span_of(scale, int(zero), 256)
        assert low.dtype == high.dtype == np.float32
        assert -low * np.float32(255) / (high - low) == zero
        assert np.isclose((high - low) / 255, scale, rtol=1e-5)


def test_a_scale_that_gives_the_integer_is_kept() -> None:
    assert span_of(0.5, 128, 256) == (-64.0, 63.5)
    assert span_of(1.0, 0, 256) == (0.0, 255.0)
