"""Images at another size: which pixels are taken, and how codes between pixels are rounded."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import qir
from qir.interpreter.sampling import Sampling, sampling_of
from qir.numerics.sampling import bilinear_codes, nearest_pixels, nearest_pixels_fixed, stays_inside

WAYS = [(False, False), (True, False), (False, True)]
SIZES = [(9, 18), (6, 9), (13, 5), (5, 1), (1, 4), (16, 31)]


def place(i: int, size: int, out: int, half: bool, corners: bool) -> Fraction:
    ratio = Fraction(size - 1, out - 1) if corners and out > 1 else Fraction(size, out)
    return (i + Fraction(half, 2)) * ratio - (Fraction(half, 2) if half else 0)


@pytest.mark.parametrize(("half", "corners"), WAYS)
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_the_pixel_that_is_copied(size: int, out: int, half: bool, corners: bool) -> None:
    for i, pixel in enumerate(nearest_pixels(size, out, half, corners).tolist()):
        exact = place(i, size, out, half, corners)
        assert pixel == min(floor(exact + (Fraction(1, 2) if half or corners else 0)), size - 1)


def test_a_ratio_of_16_bits_may_lead_to_another_pixel_than_float32() -> None:
    for size, out in SIZES:
        assert nearest_pixels_fixed(size, out).equal(nearest_pixels(size, out, False, False))
    assert not nearest_pixels_fixed(168, 200).equal(nearest_pixels(168, 200, False, False))


@pytest.mark.parametrize(("half", "corners"), WAYS)
@pytest.mark.parametrize(("size", "out"), SIZES)
@pytest.mark.parametrize("bits", [10, 11])
def test_codes_lie_between_those_of_the_pixels(size: int, out: int, half: bool, corners: bool, bits: int) -> None:
    codes = torch.from_numpy(np.random.default_rng(0).integers(-128, 128, (2, size, 1, 3)))
    found = bilinear_codes(codes, (out, 1), bits, half, corners)
    for i in range(out):
        exact = min(max(place(i, size, out, half, corners), Fraction(0)), Fraction(size - 1))
        low, rest = floor(exact), exact - floor(exact)
        near = codes[:, low] * float(1 - rest) + codes[:, min(low + 1, size - 1)] * float(rest)
        # the ratio of 10 bits is off by half of 2**-10 at most, which the position multiplies
        assert (found[:, i] - near).abs().max() <= 0.5 + 255 * (0.5 * i + 1) / 2**10


def test_ties_go_up_or_away_from_zero() -> None:
    codes = torch.tensor([-3, -2, 5, 6]).reshape(1, 4, 1, 1)
    assert bilinear_codes(codes, (8, 1), 11, False, False).flatten().tolist() == [-3, -2, -2, 2, 5, 6, 6, 6]
    assert bilinear_codes(codes, (8, 1), 10, False, False).flatten().tolist() == [-3, -3, -2, 2, 5, 6, 6, 6]


def test_a_ratio_that_is_rounded_up_leads_behind_the_edge() -> None:
    assert stays_inside(7, 14, False, False) and not stays_inside(7, 300, False, False)
    assert stays_inside(7, 300, True, False) and stays_inside(7, 300, False, True)


# ---------------------------------------------------------------- ONNX's ways
def resize(size: list[int], out: list[int], by_scales: bool = False, **attributes: object) -> qir.ir.Operation:
    numbers = [b / a for a, b in zip(size, out, strict=True)]
    scales = np.array([1, 1, *numbers] if by_scales else [], np.float32)
    sizes = np.array([1, 2, *out], np.int64)
    names = ["x", "", "scales"] if by_scales else ["x", "", "", "sizes"]
    graph = helper.make_graph(
        [helper.make_node("Resize", names, ["y"], **attributes)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, *out])],
        [numpy_helper.from_array(scales, "scales"), numpy_helper.from_array(sizes, "sizes")],
    )  # fmt: skip
    module = qir.import_onnx(helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)]))
    return next(op for op in module.walk() if op.name == "onnx.Resize")


@pytest.mark.parametrize("by_scales", [False, True])
@pytest.mark.parametrize("nearest", ["floor", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("how", ["half_pixel", "asymmetric", "pytorch_half_pixel"])
def test_whole_factors_copy_the_pixel_below_in_most_ways(how: str, nearest: str, by_scales: bool) -> None:
    op = resize([3, 4], [6, 8], by_scales, coordinate_transformation_mode=how, nearest_mode=nearest)
    below = how != "asymmetric" or nearest != "round_prefer_ceil"
    if how != "asymmetric" and nearest == "floor":
        assert sampling_of(op) is None  # (i + 1/2) / 2 - 1/2 lies before the pixel
    else:
        assert (sampling_of(op) == Sampling("nearest", False, False)) == below


def test_other_factors_say_the_way() -> None:
    corners = {"coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_ceil"}
    assert sampling_of(resize([6, 4], [9, 7], **corners)) == Sampling("nearest", False, True)
    assert sampling_of(resize([6, 4], [9, 7], nearest_mode="round_prefer_ceil")) == Sampling("nearest", True, False)
    assert sampling_of(resize([6, 4], [9, 7], coordinate_transformation_mode="asymmetric", nearest_mode="ceil")) is None


def test_what_is_linear() -> None:
    assert sampling_of(resize([6, 4], [9, 7], mode="linear")) == Sampling("linear", True, False)
    asymmetric = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    assert sampling_of(resize([7, 4], [300, 4], **asymmetric)) == Sampling("linear", False, False, of_codes=False)
    assert sampling_of(resize([6, 4], [9, 7], mode="cubic")) is None
    assert sampling_of(resize([6, 4], [9, 7], mode="linear", antialias=1)) is None
    assert (
        sampling_of(resize([6, 4], [9, 1], mode="linear", coordinate_transformation_mode="pytorch_half_pixel")) is None
    )
