"""The range search against exhaustive references in float64."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import qir
from qir.calibration.observers import Histogram
from qir.calibration.ranges import Reader, kl_range, mse_range, percentile_range, search_range, weight_range, widened
from qir.numerics import Granularity, Scheme, fake, range_to_params

U8 = Scheme(storage="u8", symmetric=False)
I8 = Scheme(storage="i8", qmin=-127)
I4 = Scheme(storage="i4", qmin=-7)


def seen(x: torch.Tensor) -> Histogram:
    histogram = Histogram()
    histogram.observe(x)
    return histogram


def error(x: torch.Tensor, lo: float, hi: float, scheme: Scheme) -> float:
    scale, zero = range_to_params(lo, hi, scheme)
    return float((fake(x, scheme, scale, zero) - x).double().square().mean())


def samples(name: str) -> torch.Tensor:
    random = torch.Generator().manual_seed(3)
    x = torch.randn(4000, generator=random)
    return {
        "normal": x,
        "relu": x.relu(),
        "shifted": x + 2.0,
        "outlier": torch.cat((x, torch.tensor([60.0]))),
        "heavy": x * torch.randn(4000, generator=random).exp(),
        "negative": -x.abs(),
    }[name]


@pytest.mark.parametrize("scheme", [U8, I8, I4], ids=str)
@pytest.mark.parametrize("name", ["normal", "relu", "shifted", "outlier", "heavy", "negative"])
def test_mse_is_near_the_best_of_an_exhaustive_search(name: str, scheme: Scheme) -> None:
    x = samples(name)
    found = error(x, *mse_range(seen(x), scheme), scheme)
    lo, hi = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    shares = np.geomspace(0.01, 1.0, 60)
    if scheme.symmetric or lo == 0.0 or hi == 0.0:
        best = min(error(x, lo * f, hi * f, scheme) for f in shares)
    else:
        best = min(error(x, lo * f, hi * g, scheme) for f in shares[::4] for g in shares[::4])
    assert found <= 1.06 * best
    assert found <= 1.001 * error(x, lo, hi, scheme)


def test_percentiles_lie_between_the_neighbours_in_order() -> None:
    x = samples("heavy")
    ordered, width = x.sort().values.tolist(), seen(x).width
    for p in (90.0, 99.0, 99.9):
        low, high = round((1 - p / 100) * len(x)), round(p / 100 * len(x))
        for found, rank in zip(percentile_range(seen(x), p), (low, high), strict=True):
            assert ordered[rank - 2] - width <= found <= ordered[rank + 1] + width
    assert percentile_range(seen(x), 100.0) == (float(x.min()), float(x.max()))


def test_kl_clips_an_outlier_and_keeps_a_plain_distribution() -> None:
    x = samples("outlier")
    assert 2.0 < kl_range(seen(x), I8)[1] < 10.0
    uniform = torch.rand(20000) * 4
    assert kl_range(seen(uniform), U8)[1] > 3.9


@pytest.mark.parametrize("method", ["percentile", "mse", "kl"])
def test_constant_and_zero_tensors_have_a_range(method: str) -> None:
    for x in (torch.zeros(10), torch.full((10,), 3.0), torch.full((10,), -2.0)):
        lo, hi = search_range(seen(x), U8, method)
        scale, zero = range_to_params(lo, hi, U8)
        assert torch.allclose(fake(x, U8, scale, zero), x, atol=0.05)


def test_weights_by_mse_beat_their_extremes_at_low_bits() -> None:
    w = torch.randn(16, 64, generator=torch.Generator().manual_seed(1))
    scheme = I4.evolve(granularity=Granularity.per_axis(0))

    def wrong(method: str) -> float:
        scale, zero = range_to_params(*weight_range(w, scheme, method), scheme)
        return float((fake(w, scheme, scale, zero) - w).square().sum())

    assert wrong("mse") < 0.92 * wrong("minmax")


def test_weights_by_the_error_of_their_outputs() -> None:
    """With inputs of mean 4 the sum of a row's errors counts most: the chosen grid makes it small."""
    torch.manual_seed(0)
    w = torch.randn(32, 9)
    scheme = I8.evolve(granularity=Granularity.per_axis(0))
    reader = Reader(lambda w: w.unsqueeze(2), 1, torch.full((9,), 4.0), torch.full((9,), 0.25))
    x = 4.0 + 0.5 * torch.randn(2000, 9)

    def wrong(readers: list[Reader], method: str = "mse") -> float:
        scale, zero = range_to_params(*weight_range(w, scheme, method, readers), scheme)
        return float((x @ (fake(w, scheme, scale, zero) - w).T).square().mean())

    assert wrong([reader]) < 0.3 * wrong([], "minmax")


def test_the_error_of_grouped_outputs_takes_the_inputs_of_their_group() -> None:
    wrong = torch.zeros(4, 2, 3)
    wrong[3, 1] = 1.0  # output 3, second input of group 1: channel 3
    mean = torch.tensor([0.0, 0.0, 0.0, 2.0])
    reader = Reader(lambda w: w, 2, mean, torch.zeros(4))
    assert reader.error(wrong).tolist() == [0.0, 0.0, 0.0, 36.0]


def test_a_range_of_which_little_was_seen_reaches_some_deviations_from_the_mean() -> None:
    x = torch.tensor([-3.0, -1.0, 1.0, 5.0])
    histogram = Histogram()
    histogram.observe(x)
    found = torch.tensor(-3.0), torch.tensor(5.0)
    low, high = widened(histogram, found, 4.0)
    reach = 4 * math.sqrt(8.75)
    assert low.item() == pytest.approx(0.5 - reach, abs=0.01) and high.item() == pytest.approx(0.5 + reach, abs=0.01)
    assert widened(histogram, found, 0.1) == found
    one_sided = Histogram()
    one_sided.observe(x.relu())
    assert widened(one_sided, (torch.tensor(0.0), torch.tensor(5.0)), 4.0)[0] == 0.0


@pytest.mark.parametrize(("samples", "reaches"), [(8, True), (200, False)])
def test_calibrate_widens_where_few_numbers_were_seen(samples: int, reaches: bool, tmp_path: Path) -> None:
    text = """module { qsim.quantizer @q : i8 affine per_tensor
    func.func @main(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
      %y = qsim.fake %x by @q : tensor<?x8xf32>
      return %y : tensor<?x8xf32>
    } }"""
    data = np.random.default_rng(0).uniform(-1, 1, (samples, 8)).astype(np.float32)
    np.savez(tmp_path / "c.npz", x=data)
    module = qir.parse(text)
    qir.run_pipeline(module, f"calibrate{{spread=4 data={tmp_path / 'c.npz'}}}")
    (op,) = (op for op in module.walk() if op.name == "qsim.quantizer")
    assert (float(op.scale.numpy()) * 255 > 4.2) == reaches
