"""Integer convolutions and products against int64, for random codes and for extreme codes of one sign.

Random data hardly shows sums that are not exact, and never saturation: extremes of one sign show both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from qir.interpreter import integer
from qir.interpreter.integer import exact_limit, integer_conv, integer_matmul, integer_product

Array = np.ndarray[Any, Any]
KINDS = ("random", "highest", "lowest", "mixed")


def codes(rng: np.random.Generator, kind: str, low: int, high: int, shape: Sequence[int], dtype: Any) -> Array:
    if kind == "random":
        return rng.integers(low, high + 1, shape).astype(dtype)
    if kind == "mixed":
        return rng.choice([low, high], shape).astype(dtype)
    return np.full(shape, high if kind == "highest" else low, dtype)


def reference(
    x: Array,
    w: Array,
    x_zero: int,
    w_zero: Any,
    bias: Array | None,
    strides: Any,
    pads: Any,
    dilations: Any,
    groups: int,
) -> Array:
    """The convolution in int64, zero points subtracted first and zeros padded after."""
    wide = x.astype(np.int64) - x_zero
    kernel = w.astype(np.int64) - np.asarray(w_zero, np.int64).reshape(-1, 1, 1, 1)
    wide = np.pad(wide, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    n, c, height, width = wide.shape
    m, per_group, kh, kw = kernel.shape
    out_h = (height - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    out_w = (width - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    total = np.zeros((n, m, out_h, out_w), np.int64)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilations[0], i * dilations[0] + (out_h - 1) * strides[0] + 1, strides[0])
            columns = slice(j * dilations[1], j * dilations[1] + (out_w - 1) * strides[1] + 1, strides[1])
            part = wide[:, :, rows, columns].reshape(n, groups, c // groups, out_h, out_w)
            filters = kernel[:, :, i, j].reshape(groups, m // groups, per_group)
            total += np.einsum("ngcij,gmc->ngmij", part, filters).reshape(total.shape)
    return total if bias is None else total + bias.reshape(-1, 1, 1)


@pytest.fixture(params=["int8 products", "floats only"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with the fast int8 products where the CPU has them, and as if it had none."""
    if request.param == "floats only":
        monkeypatch.setattr(integer, "fast_int8", lambda: False)


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("channels", "filters", "groups"), [(3, 8, 1), (64, 8, 1), (300, 4, 1), (700, 3, 1), (6, 12, 3), (16, 16, 16)]
)
def test_convolutions_are_exact(channels: int, filters: int, groups: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    geometry = [((1, 1), (1, 1, 1, 1), (1, 1)), ((2, 1), (0, 1, 2, 1), (1, 2))]
    for dtype, x_zero in ((np.uint8, 0), (np.uint8, 131), (np.int8, -7), (np.int8, -128)):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = codes(rng, kind, low, high, (2, channels, 6, 5), dtype)
        for side in ("random", "highest", "lowest"):
            w = codes(rng, side, -127, 127, (filters, channels // groups, 3, 3), np.int8)
            bias = rng.integers(-100000, 100000, filters).astype(np.int32)
            for strides, pads, dilations in geometry:
                conv = integer_conv(
                    torch.from_numpy(w), x_zero=x_zero, x_range=(low, high), bias=torch.from_numpy(bias),
                    strides=strides, pads=pads, dilations=dilations, groups=groups,
                )  # fmt: skip
                got = conv(torch.from_numpy(x)).to(torch.int64).numpy()
                want = reference(x, w, x_zero, 0, bias, strides, pads, dilations, groups)
                assert np.array_equal(got, want), (conv.path, dtype, x_zero, side)


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("sizes", [(1, 40), (40, 1), (1, 9), (1, 1), (2, 40)])
@pytest.mark.parametrize("batch", [1, 3])
def test_images_one_pixel_high_or_wide(sizes: tuple[int, int], batch: int) -> None:
    """Their windows overlap as rows of one matrix, if nothing copies them."""
    rng = np.random.default_rng(2)
    kernel = tuple(min(size, 9) for size in sizes)
    pads = tuple(size // 2 for size in kernel) * 2
    x = rng.integers(-128, 128, (batch, 8, *sizes)).astype(np.int8)
    w = rng.integers(-127, 128, (5, 8, *kernel)).astype(np.int8)
    for strides in ((1, 1), (1, 2)):
        geometry = {"strides": strides, "pads": pads, "dilations": (1, 1)}
        conv = integer_conv(torch.from_numpy(w), x_zero=-5, x_range=(-128, 127), **geometry)
        want = reference(x, w, -5, 0, None, strides, pads, (1, 1), 1)
        assert np.array_equal(conv(torch.from_numpy(x)).to(torch.int64).numpy(), want)


@pytest.mark.usefixtures("arithmetic")
def test_weight_zero_points_per_channel() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (2, 16, 5, 5)).astype(np.uint8)
    w = rng.integers(0, 256, (4, 16, 3, 3)).astype(np.uint8)
    for zero in (np.array([128, 127, 0, 255], np.uint8), np.array([128], np.uint8)):
        conv = integer_conv(
            torch.from_numpy(w), x_zero=3, weight_zero=torch.from_numpy(zero) if zero.size > 1 else 128,
            strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1),
        )  # fmt: skip
        want = reference(x, w, 3, zero, None, (1, 1), (1, 1, 1, 1), (1, 1), 1)
        assert np.array_equal(conv(torch.from_numpy(x)).to(torch.int64).numpy(), want)


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inner", [1, 31, 520, 3000])
def test_products_are_exact(inner: int, kind: str) -> None:
    rng = np.random.default_rng(2)
    for dtype, x_zero in ((np.uint8, 0), (np.uint8, 128), (np.int8, 5)):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = codes(rng, kind, low, high, (2, 3, inner), dtype)
        for side in ("random", "highest", "lowest"):
            w = codes(rng, side, -127, 127, (inner, 9), np.int8)
            bias = rng.integers(-(2**30), 2**30, 9).astype(np.int32)
            product = integer_matmul(
                torch.from_numpy(w), x_zero=x_zero, x_range=(low, high), bias=torch.from_numpy(bias)
            )
            want = (x.astype(np.int64) - x_zero) @ w.astype(np.int64) + bias
            assert np.array_equal(product(torch.from_numpy(x)).to(torch.int64).numpy(), want), product.path


@pytest.mark.parametrize("kind", KINDS)
def test_products_of_two_activations_are_exact(kind: str) -> None:
    rng = np.random.default_rng(3)
    for inner in (4, 300, 2000):
        a = codes(rng, kind, 0, 255, (2, 5, inner), np.uint8)
        b = codes(rng, kind, -128, 127, (2, inner, 7), np.int8)
        got = integer_product(torch.from_numpy(a), torch.from_numpy(b), 3, -2)
        want = (a.astype(np.int64) - 3) @ (b.astype(np.int64) + 2)
        assert np.array_equal(got.numpy(), want)


@pytest.mark.usefixtures("arithmetic")
def test_sums_beyond_32_bits_wrap_as_accumulators_do() -> None:
    x = np.full((1, 70000), 255, np.uint8)
    w = np.full((70000, 1), 127, np.int8)
    exact = 255 * 127 * 70000
    got = integer_matmul(torch.from_numpy(w))(torch.from_numpy(x))
    assert int(got) == np.array(exact).astype(np.int32)


def test_the_arithmetic_follows_from_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integer, "fast_int8", lambda: False)
    # The standard's worst cases: 518 products of u8 and i8, 1032 of i8 and i8, still fit float32's integers.
    for size, path in ((518, "float32"), (519, "split"), (518 * 4 + 1, "float64")):
        assert integer_matmul(torch.full((size, 1), 127, dtype=torch.int8)).path == path
    for size, path in ((1032, "float32"), (1033, "split")):
        weight = torch.full((size, 1), 127, dtype=torch.int8)
        assert integer_matmul(weight, x_range=(-128, 127)).path == path
    # Signs that cancel count once: every partial sum lies between the negative and the positive extreme.
    mixed = torch.tensor([127, -127] * 500, dtype=torch.int8).reshape(-1, 1)
    assert integer_matmul(mixed).path == "float32"
    assert integer_matmul(mixed).bound == 255 * 127 * 500 <= exact_limit
    # A bias counts.
    assert integer_matmul(mixed, bias=torch.tensor([exact_limit], dtype=torch.int32)).path != "float32"
