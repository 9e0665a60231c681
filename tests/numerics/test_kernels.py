"""Additions, means, tables, softmax and rows of floats equal the libraries' C, one number at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import attrs
import numpy as np
import pytest
import torch

from qir.numerics import kernels, reference
from qir.numerics.fixed_point import quantize_multiplier

F = np.float32


@attrs.frozen
class By:
    scale: torch.Tensor
    zero: torch.Tensor


def by(scale: float, zero: int) -> By:
    return By(torch.tensor(scale, dtype=torch.float32), torch.tensor(zero))


def codes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8))


def away(v: Fraction) -> int:
    return int(math.copysign(math.floor(abs(v) + Fraction(1, 2)), v)) if v else 0


def double(x: int, mantissa: int, exponent: int, ties: str = "away") -> int:
    """gemmlowp: the high half of ``x * M``, ties up, then a shift."""
    high = ((x << max(exponent, 0)) * mantissa + 2**30) >> 31
    shifted = Fraction(high, 2 ** max(-exponent, 0))
    return away(shifted) if ties == "away" else math.floor(shifted)


def multiplier(real: float) -> tuple[int, int]:
    m = quantize_multiplier(torch.tensor(real, dtype=torch.float64))
    return int(m.mantissa), int(m.exponent)


@pytest.mark.parametrize(("sa", "sb", "sy"), [(0.037, 0.053, 0.071), (0.9, 0.001, 0.9), (0.5, 0.25, 0.5)])
@pytest.mark.parametrize("ties", ["away", "floor"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_rescaled_operands(sa: float, sb: float, sy: float, ties: str, sign: int) -> None:
    a_, b_, y_ = by(sa, 3), by(sb, -20), by(sy, 7)
    a, b = codes(200), codes(200, seed=1)
    got = kernels.sum_of_rescaled(a, b, a_, b_, y_, sign, 20, ties)  # type: ignore[arg-type]
    wa, wb, wy = (float(v.scale) for v in (a_, b_, y_))
    twice = 2 * max(wa, wb)
    for p, q, y in zip(a.tolist(), b.tolist(), got.tolist(), strict=True):
        first = double((p - 3) << 20, *multiplier(wa / twice), ties)
        second = double((q + 20) << 20, *multiplier(wb / twice), ties)
        assert y == double(first + sign * second, *multiplier(twice / (wy * 2.0**20)))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_of_products_that_is_shifted_once(sign: int) -> None:
    a_, b_, y_ = by(0.037, 3), by(0.053, -20), by(0.071, 7)
    a, b = codes(300), codes(300, seed=1)
    ra, rb = F(0.037) / F(0.071), F(0.053) / F(0.071)
    shift = 20 - math.floor(math.log2(max(ra, rb)))
    ka, kb = (round(float(r) * 2**shift) for r in (ra, rb))
    want = [(ka * (p - 3) + sign * kb * (q + 20) + 2 ** (shift - 1)) >> shift for p, q in zip(a.tolist(), b.tolist())]
    assert kernels.shifted_sum(a, b, a_, b_, y_, sign).tolist() == want


def test_lanes_are_counted_in_runs() -> None:
    def counts(*arguments: object, **keywords: object) -> list[bool]:
        return kernels.vector_lanes(*arguments, **keywords).reshape(-1).tolist()  # type: ignore[arg-type]

    assert counts((5, 7), 16) == [i < 32 for i in range(35)]
    # operands that agree on the last axis alone: a run is a row
    assert counts((3, 20), 16, [(3, 20), (1, 20)]) == [i % 20 < 16 for i in range(60)]
    # one number against a row, 8 at a time
    assert counts((2, 20), 16, [(2, 1), (1, 20)], scalar=8) == [i % 20 < 16 for i in range(40)]
    assert counts((20, 30), 16, [(20, 30), (1, 1)], scalar=8) == [True] * 600
    assert counts((3, 7), 16, [(3, 7), (7,)]) == [False] * 21


def test_a_mean_divides_its_multiplier() -> None:
    x_, y_ = by(0.05, 3), by(0.02, -4)
    total = torch.arange(-20000, 20000, 37)
    for count in (1, 7, 49, 64, 169):
        mantissa, exponent = multiplier(float(F(0.05)) / float(F(0.02)))
        more = min(count.bit_length() - 1, 31 + exponent)
        want = [double(v, (mantissa << more) // count, exponent - more) for v in total.tolist()]
        assert kernels.mean_by_multiplier(total, count, x_, y_).tolist() == want


def test_an_average_rounds_half_away() -> None:
    total, count = torch.arange(-50, 51), torch.full((101,), 4)
    assert kernels.average(total, count).tolist() == [away(Fraction(v, 4)) for v in range(-50, 51)]
    assert kernels.average(torch.tensor([7, -7]), torch.tensor(3)).tolist() == [2, -2]


def test_a_table_has_an_entry_for_each_code() -> None:
    x_, y_ = by(0.1, 5), by(1 / 128, 0)
    table = kernels.table_of(torch.tanh, x_, y_, -128, 127)
    for q in range(-128, 128):
        real = F(math.tanh(float(F(F(q - 5) * F(0.1)))))
        assert int(table[q + 128]) == int(reference.round_number(float(F(real * (F(1) / F(1 / 128)))), "half_away"))


def test_a_softmax_by_its_table() -> None:
    x = codes(4, 9)
    x_, y_ = by(0.05, 3), by(1 / 256, -128)
    got = kernels.softmax_by_table(x, x_, y_)
    for row, steps in zip(x.tolist(), got.tolist(), strict=True):
        values = [F(math.exp(-float(F(F(0.05) * F(max(row) - q))))) for q in row]
        total = F(0)
        for v in values:
            total = F(total + v)
        factor = F(1) / F(total * F(1 / 256))
        assert steps == [int(reference.round_number(float(F(v * factor)), "half_away")) for v in values]
    assert int(got.sum(-1).min()) >= 250


def rows() -> torch.Tensor:
    rng = np.random.default_rng(2)
    made = [rng.normal(size=40), rng.random(40), -rng.random(40), np.clip(rng.normal(size=40), -1, 1), np.zeros(40)]
    return torch.from_numpy(np.stack(made).astype(F))


def test_rows_from_the_end_that_costs_less() -> None:
    x = rows()
    steps, scale = kernels.row_steps(x, "portable")
    for row, got, s in zip(x.numpy(), steps.tolist(), scale[:, 0].tolist(), strict=True):
        low, high = min(0.0, float(row.min())), max(0.0, float(row.max()))
        if low == high:
            assert set(got) == {0.0} and s == 1.0
            continue
        wide = (high - low) / 255
        end = -128 - low / wide if 128 + abs(low / wide) < 127 + abs(high / wide) else 127 - high / wide
        zero = reference.round_number(max(-128.0, min(127.0, end)), "half_away")
        assert s == F(wide)
        for v, step in zip(row, got, strict=True):
            exact = Fraction(float(v)) * Fraction(float(F(1) / F(wide))) + Fraction(zero)
            code = max(-128, min(127, int(reference.round_number(float(F(float(exact))), "half_away"))))
            assert step == code - zero


def test_symmetric_rows() -> None:
    x = rows()
    steps, scale = kernels.row_steps(x, "symmetric")
    for row, got, s in zip(x.numpy(), steps.tolist(), scale[:, 0].tolist(), strict=True):
        most = F(np.abs(row).max())
        assert s == (F(most / F(127)) if most else 1.0)
        factor = F(127) / most if most else F(1)
        assert got == [reference.round_number(float(F(v * factor)), "half_away") for v in row]


def test_rows_in_float32_alone() -> None:
    x = rows()
    steps, scale = kernels.row_steps(x, "unsigned")
    for row, got, s in zip(x.numpy(), steps.tolist(), scale[:, 0].tolist(), strict=True):
        low, high = min(F(0), row.min()), max(F(0), row.max())
        factor = F(255) / (F(high - low) if high > low else F(1))
        zero = reference.round_number(float(F(-low * factor)), "half_even") - 128
        assert s == F(1) / factor
        codes_ = [reference.round_number(float(F(v * factor)), "half_even") + zero for v in row]
        assert got == [max(-128.0, min(127.0, c)) - zero for c in codes_]
