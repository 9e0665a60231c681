"""The error measures against their formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qir.analysis import ErrorMeasure


def measure(y: np.ndarray, z: np.ndarray) -> ErrorMeasure:
    m = ErrorMeasure()
    m.add(y, z)
    return m


def test_figures_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((5, 3, 4)).astype(np.float32)
    z = (y + 0.1 * rng.standard_normal(y.shape)).astype(np.float32)
    m = measure(y, z)
    y64, z64 = y.astype(np.float64).reshape(5, -1), z.astype(np.float64).reshape(5, -1)
    noise, signal = ((z64 - y64) ** 2).sum(1), (y64**2).sum(1)
    assert m.sqnr_db == pytest.approx(10 * np.log10(signal.sum() / noise.sum()), rel=1e-6)
    assert m.noise_to_signal == pytest.approx((noise / (signal + 1e-7)).mean(), rel=1e-6)
    cosine = (y64 * z64).sum(1) / np.sqrt(signal * (z64**2).sum(1))
    assert m.cosine == pytest.approx(cosine.mean(), rel=1e-6)
    assert m.max_error == pytest.approx(np.abs(z64 - y64).max(), rel=1e-6)


def test_merging_is_the_same_as_having_seen_both() -> None:
    rng = np.random.default_rng(1)
    y, z = rng.standard_normal((2, 6, 7)).astype(np.float32)
    whole = measure(y, z)
    first, second = measure(y[:2], z[:2]), measure(y[2:], z[2:])
    first.merge(second)
    for key, value in whole.as_dict().items():
        assert first.as_dict()[key] == pytest.approx(value, rel=1e-9), key


@pytest.mark.parametrize(
    "y,z,sqnr",
    [
        ([1.0, 2.0], [1.0, 2.0], math.inf),
        ([0.0, 0.0], [0.0, 1.0], -math.inf),
        ([1.0, 2.0], [1.0, math.nan], math.nan),
        ([1.0, math.inf], [1.0, math.inf], math.inf),
        ([1.0, 2.0], [1.0, math.inf], -math.inf),
    ],
)
def test_edges(y: list[float], z: list[float], sqnr: float) -> None:
    got = measure(np.array([y]), np.array([z])).sqnr_db
    assert got == sqnr or (math.isnan(got) and math.isnan(sqnr))


def test_scalars_integers_and_empty_batches() -> None:
    assert measure(np.float32(2), np.float32(1)).max_error == 1
    assert measure(np.array([1, 2], np.int64), np.array([1, 2], np.int64)).sqnr_db == math.inf
    assert ErrorMeasure().samples == 0
    assert measure(np.zeros((0, 3)), np.zeros((0, 3))).samples == 0


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        measure(np.zeros((2, 3)), np.zeros((2, 4)))
