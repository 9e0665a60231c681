"""Rescaling in integers equals the libraries' C, written here with Python's integers, one number at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from qir.numerics import reference
from qir.numerics.fixed_point import RESCALES, Multiplier, quantize_multiplier, rescale, shift_right, truncated_quotient

FACTORS = [0.5, 1.0, 0.0123, 0.9999999999, 1 - 2.0**-33, 2.0**-20, 1.75, 3.999, 200.0, 7e-10]
SUMS = [0, 1, -1, 2, -2, 3, -3, 127, -128, 4095, -4096, 65535, 1 << 22, -(1 << 22), (1 << 23) - 1, 1000003, -999983]


def _multiplier(real: float) -> tuple[int, int]:
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(Fraction(fraction) * 2**31 + Fraction(1, 2))
    if mantissa == 2**31:
        mantissa, exponent = 2**30, exponent + 1
    return (0, 0) if exponent < -31 else (mantissa, exponent)


def _nearest(value: Fraction, mode: str) -> int:
    """The nearest integer; `mode` decides ties."""
    below = value.numerator // value.denominator
    rest = value - below
    if rest != Fraction(1, 2):
        return below + (rest > Fraction(1, 2))
    return {"up": below + 1, "away": below + (value > 0), "even": below + below % 2}[mode]


def _double(x: int, real: float) -> int:
    m, e = _multiplier(real)
    product = (x << max(e, 0)) * m
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = abs(nudged) // 2**31 * (1 if nudged >= 0 else -1)
    return _nearest(Fraction(high, 2 ** max(-e, 0)), "away")


def _ruy(x: int, real: float) -> int:
    m, e = _multiplier(real)
    high = _nearest(Fraction((x << max(e, 0)) * m, 2**31), "up")
    return _nearest(Fraction(high, 2 ** max(-e, 0)), "up")


def _single(x: int, real: float) -> int:
    m, e = _multiplier(real)
    return _nearest(Fraction(x * m) / Fraction(2) ** (31 - e), "up")


def _reduced(x: int, real: float) -> int:
    m, e = _multiplier(real)
    short = (m + 2**15) >> 16 if m < 0x7FFF0000 else 0x7FFF
    return _nearest(Fraction(x * short) / Fraction(2) ** (15 - e), "up")


def _real(x: int, real: float) -> int:
    return int(reference.round_number(float(x) * real, "half_away"))


def _float(x: int, real: float) -> int:
    return int(reference.round_number(float(np.float32(x) * np.float32(real)), "half_even"))


@pytest.mark.parametrize("how", [_double, _ruy, _single, _reduced, _real, _float])
def test_each_formula(how: Callable[[int, float], int]) -> None:
    name = how.__name__[1:]
    rng = np.random.default_rng(3)
    sums = [*SUMS, *(int(v) for v in rng.integers(-(1 << 23), 1 << 23, 300))]
    for real in (f for f in FACTORS if name != "reduced" or f < 2):
        got = rescale(torch.tensor(sums), torch.tensor(real, dtype=torch.float64), name)
        assert got.dtype == torch.int64
        assert got.tolist() == [how(x, real) for x in sums], real


def test_one_factor_per_channel() -> None:
    sums = torch.arange(-40, 40).reshape(2, 4, 10)
    reals = torch.tensor(FACTORS[:4], dtype=torch.float64)
    for how in ("double", "ruy", "single", "reduced", "real", "float"):
        whole = rescale(sums, reals[:, None], how)
        for channel in range(4):
            assert torch.equal(whole[:, channel], rescale(sums[:, channel], reals[channel], how))


def test_the_formulas_differ_where_it_matters() -> None:
    """5/2, -5/2 and numbers just beside a half: the reason to have them all."""
    quarter, beside = (torch.tensor(v, dtype=torch.float64) for v in (0.25, 0.5 / 128 - 2.0**-36))
    ties = {how: rescale(torch.tensor([10, -10]), quarter, how).tolist() for how in RESCALES if how != "shift"}
    assert ties["double"] == [3, -3] and ties["ruy"] == [3, -2] and ties["float"] == [2, -2]
    near = {how: rescale(torch.tensor([128]), beside, how).tolist() for how in ("double", "real")}
    assert near == {"double": [1], "real": [0]}


def test_a_multiplier_is_the_nearest_31_bit_fraction() -> None:
    for real in (*FACTORS, 1e-12):
        m = quantize_multiplier(torch.tensor(real, dtype=torch.float64))
        assert (int(m.mantissa), int(m.exponent)) == _multiplier(real)
    assert int(quantize_multiplier(torch.tensor(1 - 2.0**-40, dtype=torch.float64)).mantissa) == 1 << 30


@pytest.mark.parametrize("ties", ["up", "away", "even"])
def test_shifts_round_to_the_nearest(ties: str) -> None:
    x = torch.arange(-70, 70)
    for n in (0, 1, 2, 5):
        got = shift_right(x, n, ties)  # type: ignore[arg-type]
        assert got.tolist() == [_nearest(Fraction(int(v), 2**n), ties) for v in x]
        assert shift_right(x, n, "floor").tolist() == [int(v) >> n for v in x]


def test_a_multiplier_that_is_not_normalised_is_taken_as_it_is() -> None:
    """Means divide the multiplier by the count: it has fewer bits then, and another place for the first rounding."""
    m = quantize_multiplier(torch.tensor(0.0123, dtype=torch.float64))
    short = Multiplier(m.mantissa // 49, m.exponent)
    real = int(short.mantissa) / 2**31 * 2.0 ** int(short.exponent)
    x = torch.arange(-1 << 22, 1 << 22, 997)
    high = [(v * int(short.mantissa) + 2**30) // 2**31 for v in x.tolist()]
    want = [_nearest(Fraction(v, 2 ** -int(short.exponent)), "away") for v in high]
    assert rescale(x, short, "double").tolist() == want
    assert rescale(x, torch.tensor(real, dtype=torch.float64), "double").tolist() != want
    with pytest.raises(ValueError, match="by a factor"):
        rescale(x, short, "real")


def test_a_shift_takes_powers_of_two_only() -> None:
    x = torch.tensor([-7, -6, -5, 5, 6, 7, 100])
    assert rescale(x, torch.tensor(0.25), "shift").tolist() == [_nearest(Fraction(int(v), 4), "up") for v in x]
    assert rescale(x, torch.tensor(4.0), "shift").tolist() == [4 * int(v) for v in x]
    with pytest.raises(ValueError, match="powers of two"):
        rescale(x, torch.tensor(0.3), "shift")


def test_quotients_truncate() -> None:
    assert truncated_quotient(torch.tensor([-7, 7, -8]), 2).tolist() == [-3, 3, -4]
