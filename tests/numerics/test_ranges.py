"""Scale and zero point from a range; block statistics; dynamic, product, power-of-two and nested scales."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from qir.numerics import (
    Granularity,
    Scheme,
    block_range,
    decode,
    dynamic_params,
    encode,
    fake,
    microscaling,
    nested_params,
    nvfp4,
    params_to_range,
    product_scale,
    quantize_scale,
    range_to_params,
    reduce_blocks,
    widen_for_bias,
)

U8 = Scheme(storage="u8", symmetric=False)
I8 = Scheme(storage="i8")
F32 = np.float32


def params(lo: Any, hi: Any, scheme: Scheme) -> tuple[Any, Any]:
    scale, zero = range_to_params(lo, hi, scheme)
    assert scale.dtype == torch.float32
    return scale.tolist(), None if zero is None else zero.tolist()


@pytest.mark.parametrize(
    ("scheme", "lo", "hi", "scale", "zero"),
    [
        (U8, 0.0, 255.0, 1.0, 0),
        (U8, -255.0, 0.0, 1.0, 255),
        (U8, -1.0, 3.0, F32(4) / F32(255), 64),
        (U8, 2.0, 3.0, F32(3) / F32(255), 0),  # widened to include 0
        (U8, -3.0, -2.0, F32(3) / F32(255), 255),
        (Scheme(storage="i8", symmetric=False), -1.0, 3.0, F32(4) / F32(255), -64),
        (Scheme(storage="i8", qmin=-127, symmetric=False), 0.0, 254.0, 1.0, -127),
        (I8, -1.0, 0.5, F32(1) / F32(127), 0),
        (I8, 0.25, 0.5, F32(0.5) / F32(127), 0),
        (Scheme(storage="u8"), -1.0, 0.5, F32(1) / F32(127), 128),
        (Scheme(storage="u4"), -7.0, 3.0, 1.0, 8),
        (Scheme(storage="i4", qmin=-8, qmax=0), -16.0, 1.0, 2.0, 0),
        (Scheme(storage="f8E4M3FN"), -896.0, 3.0, 2.0, None),
        (Scheme(storage="f8E4M3FN", qmin=-240.0, qmax=240.0), 0.0, 480.0, 2.0, None),
        (Scheme(storage="lut", codebook=(-1.0, 0.0, 0.5)), 0.0, 3.0, 6.0, None),
        (Scheme(storage="i8", pow2="up"), -1.0, 1.0, 2.0**-6, 0),
        (Scheme(storage="i8", pow2="down"), -1.0, 1.0, 2.0**-7, 0),
        (Scheme(storage="i8", pow2="nearest"), -1.0, 1.0, 2.0**-7, 0),
        (Scheme(storage="i8", pow2="nearest"), -1.5, 1.0, 2.0**-6, 0),
        (Scheme(storage="i8", pow2="up"), -127.0, 1.0, 1.0, 0),  # a power of two stays
        (Scheme(storage="u8", symmetric=False, pow2="up"), -1.0, 1.0, 2.0**-6, 64),
        (Scheme(storage="u4", symmetric=False, zero_inside=True), -1.0, 2.0, F32(3) / F32(15), 5.0),
    ],
)
def test_ranges(scheme: Scheme, lo: float, hi: float, scale: float, zero: float | None) -> None:
    assert params(lo, hi, scheme) == (float(scale), zero)


def test_the_zero_point_rounds_half_even_and_zero_is_exact() -> None:
    scale, zero = range_to_params(-0.5, 254.5, U8)
    assert (scale.item(), zero.item() if zero is not None else None) == (1.0, 0)
    for lo, hi in ((-0.37, 1.9), (-5.0, 0.01), (0.0, 0.0)):
        s, z = range_to_params(lo, hi, U8)
        assert fake(torch.zeros(1), U8, s, z).item() == 0.0


def test_the_widest_float32_range_has_a_finite_scale() -> None:
    """hi - lo overflows there, the scale does not."""
    scale, _ = range_to_params(-3.4e38, 3.4e38, U8)
    assert scale.item() == F32(3.4e38) / F32(255) - F32(-3.4e38) / F32(255)


def test_empty_ranges_take_the_largest_scale_of_their_tensor() -> None:
    assert params(0.0, 0.0, I8) == (1.0, 0)
    assert params([0.0, -127.0, 0.0], [0.0, 5.0, 12.7], I8)[0] == [1.0, 1.0, float(F32(12.7) / F32(127))]
    assert params([0.0, 0.0], [0.0, 0.0], U8) == ([1.0, 1.0], [0, 0])


def test_scales_are_normal_and_finite() -> None:
    for scheme in (I8, U8, Scheme(storage="i8", pow2="down"), Scheme(storage="f8E5M2"), Scheme(storage="i2")):
        for lo, hi in ((0.0, 1e-45), (-1e-40, 1e-38), (-1e38, 1e38), (0.0, 1e38)):
            scale, zero = range_to_params(lo, hi, scheme)
            assert 2.0**-126 <= scale.item() < math.inf
            assert fake(torch.tensor([lo, hi]), scheme, scale, zero).isfinite().all()


@pytest.mark.parametrize(("lo", "hi"), [(math.nan, 1.0), (0.0, math.inf), (-math.inf, 0.0), (0.0, math.nan)])
def test_ranges_that_are_not_finite_are_errors(lo: float, hi: float) -> None:
    with pytest.raises(ValueError, match="a range must be finite"):
        range_to_params(lo, hi, I8)
    with pytest.raises(ValueError, match="a range must be finite"):
        nested_params(torch.tensor([lo]), torch.tensor([hi]), *microscaling("f8E4M3FN", "s"))


def test_a_range_upside_down_is_an_error() -> None:
    with pytest.raises(ValueError, match="lower end is above"):
        range_to_params(2.0, 1.0, I8)


def blocks_by_loop(x: np.ndarray[Any, Any], granularity: Granularity, how: Any) -> np.ndarray[Any, Any]:
    grid = [n for n in granularity.grid(x.shape) if n is not None]
    out = np.zeros(grid)
    for index in np.ndindex(*grid):
        part = x
        for axis, size in enumerate(granularity.sizes(x.ndim)):
            size = size or x.shape[axis]
            part = part.take(range(index[axis] * size, min((index[axis] + 1) * size, x.shape[axis])), axis)
        out[index] = how(part)
    return out.reshape([n for n in granularity.param_shape(x.shape) if n is not None])


@pytest.mark.parametrize(
    ("granularity", "shape"),
    [
        (Granularity.per_tensor(), (3, 4)),
        (Granularity.per_axis(1), (2, 3, 4, 5)),
        (Granularity.per_token(), (2, 3, 7)),
        (Granularity.block({-1: 4}, rest=1, tail="short"), (3, 10)),
        (Granularity.block({0: 2, 1: 3}, tail="pad"), (5, 7)),
        (Granularity.block({0: 4, 1: 4}), (8, 4)),
        (Granularity.block({1: 8}, tail="short"), (2, 5, 3)),
    ],
)
def test_block_statistics(granularity: Granularity, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    lo, hi = block_range(torch.from_numpy(x), granularity)
    np.testing.assert_array_equal(lo.numpy(), blocks_by_loop(x, granularity, np.min))
    np.testing.assert_array_equal(hi.numpy(), blocks_by_loop(x, granularity, np.max))
    total = reduce_blocks(torch.from_numpy(x).double(), granularity, "sum")
    np.testing.assert_allclose(total.numpy(), blocks_by_loop(x, granularity, lambda p: p.astype(float).sum()))
    x.flat[3] = np.nan
    lo, hi = block_range(torch.from_numpy(x), granularity)
    assert lo.isnan().sum() == hi.isnan().sum() == 1


def test_empty_tensors_have_no_range() -> None:
    with pytest.raises(ValueError, match=r"a tensor of shape \(0, 3\) has no minimum"):
        block_range(torch.zeros(0, 3), Granularity.per_tensor())
    assert reduce_blocks(torch.zeros(0, 3), Granularity.per_axis(1), "sum").tolist() == [0, 0, 0]
    assert reduce_blocks(torch.zeros(2, 0), Granularity.per_axis(0), "sum").tolist() == [0, 0]
    assert dynamic_params(torch.zeros(0, 3), U8)[0].item() == 1.0
    assert dynamic_params(torch.zeros(0, 3), Scheme(storage="i8", granularity=Granularity.per_token()))[0].shape == (
        0,
        1,
    )


def test_dynamic_u8_is_onnx_dynamic_quantize_linear() -> None:
    node = onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])
    evaluator = ReferenceEvaluator(node)
    rng = np.random.default_rng(4)
    for shift in (-20.0, -1.0, 0.0, 0.3, 20.0):
        x = (rng.normal(size=(6, 50)) + shift).astype(np.float32)
        y, s, z = evaluator.run(None, {"x": x})
        scale, zero = dynamic_params(torch.from_numpy(x), U8)
        assert zero is not None
        assert scale.item() == s.item() and zero.item() == z.item()
        np.testing.assert_array_equal(encode(torch.from_numpy(x), U8, scale, zero).numpy(), y)


def test_dynamic_per_token() -> None:
    scheme = Scheme(storage="i8", granularity=Granularity.per_token(), dynamic=True)
    x = torch.randn(2, 3, 8)
    scale, zero = dynamic_params(x, scheme)
    assert scale.shape == (2, 3, 1) and zero is not None and not zero.any()
    assert torch.equal(scale, x.abs().amax(-1, keepdim=True) / 127)
    assert (fake(x, scheme, scale, zero) - x).abs().max() <= (scale / 2 * 1.0001).max()


def test_product_scales() -> None:
    w = np.array([0.1, 0.2], np.float32)
    expected = (F32(0.3) * w) * F32(0.5)
    np.testing.assert_array_equal(product_scale(0.3, w, 0.5).numpy(), expected)
    assert product_scale(torch.tensor(0.5), torch.tensor(0.25)).shape == ()
    for x, factor in ((1e-30, 1.0), (1e38, 1e30)):
        with pytest.raises(ValueError, match="not a normal float32"):
            product_scale(x, np.float32(1e-20), factor)


def test_weight_scales_are_widened_until_the_bias_fits() -> None:
    bias_scheme = Scheme(storage="i32")
    w = torch.tensor([1e-3, 1e-12, 2e-3])
    bias = torch.tensor([0.5, 3.0, -0.1])
    wide = widen_for_bias(w, 0.01, bias, bias_scheme)
    assert wide[0] == w[0] and wide[2] == w[2] and wide[1] > w[1]
    scale = product_scale(0.01, wide)
    back = fake(bias, bias_scheme.evolve(granularity=Granularity.per_axis(0)), scale)
    torch.testing.assert_close(back, bias, rtol=1e-4, atol=1e-5)
    assert widen_for_bias(torch.tensor(1e-12), 0.01, bias, bias_scheme).shape == ()


@pytest.mark.parametrize("element", ["f8E4M3FN", "f8E5M2", "f6E2M3FN", "f6E3M2FN", "f4E2M1FN"])
def test_mx_scales_are_the_standards(element: str) -> None:
    scheme, scales = microscaling(element, "w.s")
    assert str(scheme) == f"{element} symmetric block({{...: 1, -1: 32}}) scale_by(@w.s)"
    x = torch.randn(4, 64) * torch.logspace(-30, 30, 4, base=2.0).reshape(4, 1)
    lo, hi = block_range(x, scheme.granularity)
    nested = nested_params(lo, hi, scheme, scales)
    amax = np.maximum(np.abs(lo.numpy()), np.abs(hi.numpy())).astype(np.float64)
    emax = math.floor(math.log2(scheme.storage.max_finite))
    exponent = np.floor(np.log2(amax)) - emax
    np.testing.assert_array_equal(nested.values.numpy(), 2.0**exponent)
    np.testing.assert_array_equal(nested.codes.numpy(), exponent + 127)
    # The form that rounds up never clips.
    _, ceil = microscaling(element, "w.s", rounding="ceil")
    up = nested_params(lo, hi, scheme, ceil).values
    assert (amax / up.numpy() <= scheme.storage.max_finite).all() and (up <= 2 * nested.values).all()


def test_mx_int8_elements_count_sixty_fourths() -> None:
    scheme, scales = microscaling("i8", "s")
    assert (scheme.qmin, scheme.qmax) == (-127, 127)
    x = torch.tensor([[1.0] + [0.0] * 31])
    nested = nested_params(*block_range(x, scheme.granularity), scheme, scales)
    assert nested.values.item() == 2.0**-6
    assert encode(x, scheme, nested.values)[0, 0] == 64


def test_nvfp4() -> None:
    """Elements e2m1 in blocks of 16 under e4m3 scales, those under amax / (448 * 6)."""
    scheme, scales = nvfp4("w.s")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 64)).astype(np.float32)
    x[3] *= 1e-6  # its scales fall below e4m3's smallest number
    x[5] = 0
    lo, hi = block_range(torch.from_numpy(x), scheme.granularity)
    nested = nested_params(lo, hi, scheme, scales)
    outer = np.abs(x).max() / F32(6) / F32(448)
    assert nested.scale.item() == outer and nested.zero is None
    ideal = np.abs(x.reshape(8, 4, 16)).max(-1) / F32(6)
    codes = (ideal / outer).astype(ml_dtypes.float8_e4m3fn)
    floor = F32(2.0**-9)
    expected = np.maximum(codes.astype(np.float32), floor) * outer
    np.testing.assert_array_equal(nested.values.numpy(), expected)
    assert (nested.values > 0).all()
    assert torch.equal(decode(nested.codes, scales, nested.scale), nested.values)
    y = fake(torch.from_numpy(x), scheme, nested.values).numpy()
    assert np.abs(y - x).max() < 0.2 * np.abs(x).max()


def test_integer_scales_of_blocks_under_a_channel_scale() -> None:
    """LPBQ, k-quants: u4 scales of blocks, one float for each channel of them."""
    scales = Scheme(storage="u4", symmetric=False, granularity=Granularity.per_axis(0))
    scale = torch.tensor([[0.1, 0.2, 1.5], [3.0, 0.001, 0.4]])
    nested = quantize_scale(scale, scales)
    assert nested.codes.dtype == torch.uint8 and nested.scale.shape == (2,)
    assert nested.codes.tolist() == [[1, 2, 15], [15, 1, 2]]
    assert torch.equal(nested.values, nested.codes * nested.scale[:, None])
    given = quantize_scale(scale, scales, outer=torch.tensor([0.2, 0.2]))
    assert given.codes.tolist() == [[1, 1, 8], [15, 1, 2]]


def test_power_of_two_scales_by_e8m0_and_by_pow2_agree() -> None:
    scales = Scheme(storage="f8E8M0FNU", rounding="ceil")
    s = torch.rand(100) + 0.01
    pow2 = range_to_params(torch.zeros(100), s * 127, Scheme(storage="i8", pow2="up"))[0]
    assert torch.equal(quantize_scale(s * 127 / 127, scales).values, pow2)


def test_an_affine_scheme_has_no_scale_from_a_magnitude() -> None:
    with pytest.raises(ValueError, match="only symmetric"):
        nested_params(torch.zeros(1), torch.ones(1), U8, Scheme(storage="f8E8M0FNU"))


@pytest.mark.parametrize(
    ("scheme", "scale", "zero", "lo", "hi"),
    [
        (U8, 0.5, 0, 0.0, 127.5),
        (U8, 0.5, 100, -50.0, 77.5),
        (Scheme(storage="i8", symmetric=False), 0.5, -128, 0.0, 127.5),
        (I8, 0.5, None, -63.5, 63.5),
        (Scheme(storage="u8"), 0.5, None, -63.5, 63.5),
        (Scheme(storage="i4", qmin=-8, qmax=0), 2.0, None, -16.0, 0.0),
        (Scheme(storage="f8E4M3FN"), 0.5, None, -224.0, 224.0),
        (Scheme(storage="f8E8M0FNU"), 1.0, None, 0.0, 2.0**127),
        (Scheme(storage="lut", codebook=[-1.0, 0.0, 0.5, 2.0]), 0.5, None, -0.5, 1.0),
    ],
)
def test_the_range_that_parameters_reach(scheme: Scheme, scale: float, zero: int | None, lo: float, hi: float) -> None:
    assert [end.item() for end in params_to_range(scale, zero, scheme)] == [lo, hi]


@pytest.mark.parametrize("scheme", [U8, I8, Scheme(storage="i8", qmin=-127), Scheme(storage="i16", symmetric=False)])
def test_parameters_come_back_from_the_range_that_they_reach(scheme: Scheme) -> None:
    generator = torch.Generator().manual_seed(3)
    scale = torch.rand(500, generator=generator) * 2.0 ** torch.randint(-20, 20, (500,), generator=generator)
    zero = None
    if not scheme.symmetric:
        zero = torch.randint(int(scheme.qmin), int(scheme.qmax) + 1, (500,), generator=generator, dtype=torch.int32)
    again, zeros = range_to_params(*params_to_range(scale, zero, scheme), scheme)
    torch.testing.assert_close(again, scale, rtol=2**-22, atol=0)
    assert zeros is not None and torch.equal(zeros, torch.zeros_like(zeros) if zero is None else zero)
