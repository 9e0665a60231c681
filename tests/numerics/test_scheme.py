"""Storages, granularities and schemes: what they are, how they print, what they refuse. None of it needs torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import attrs
import ml_dtypes
import numpy as np
import pytest

from qir.numerics.scheme import FLOAT_FORMATS, Granularity, Product, Scheme, Storage

ML_DTYPES = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f8E4M3FN": ml_dtypes.float8_e4m3fn,
    "f8E5M2": ml_dtypes.float8_e5m2, "f8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "f8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "f8E8M0FNU": ml_dtypes.float8_e8m0fnu, "f6E2M3FN": ml_dtypes.float6_e2m3fn, "f6E3M2FN": ml_dtypes.float6_e3m2fn,
    "f4E2M1FN": ml_dtypes.float4_e2m1fn,
}  # fmt: skip


def test_torch_is_not_imported() -> None:
    code = "import sys, qir.numerics.scheme as s; s.Scheme(storage='i8'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "name", "element", "bits", "low", "high"),
    [
        ("i8", "i8", "i8", 8, -128, 127),
        ("si8", "i8", "i8", 8, -128, 127),
        ("u8", "u8", "ui8", 8, 0, 255),
        ("ui8", "u8", "ui8", 8, 0, 255),
        ("i2", "i2", "i2", 2, -2, 1),
        ("ui3", "u3", "ui3", 3, 0, 7),
        ("i16", "i16", "i16", 16, -32768, 32767),
        ("u16", "u16", "ui16", 16, 0, 65535),
        ("i32", "i32", "i32", 32, -(2**31), 2**31 - 1),
        ("f8E4M3FN", "f8E4M3FN", "f8E4M3FN", 8, -448.0, 448.0),
        ("f4E2M1FN", "f4E2M1FN", "f4E2M1FN", 4, -6.0, 6.0),
        ("f8E8M0FNU", "f8E8M0FNU", "f8E8M0FNU", 8, 2.0**-127, 2.0**127),
    ],
)
def test_storages(text: str, name: str, element: str, bits: int, low: float, high: float) -> None:
    storage = Storage.parse(text)
    assert (str(storage), storage.element, storage.bits) == (name, element, bits)
    assert (storage.qmin, storage.qmax, storage.max_finite) == (low, high, float(high))
    assert storage == Storage.parse(str(storage)) == Storage.parse(storage.element)


@pytest.mark.parametrize("text", ["i1", "u1", "i17", "u32", "i08", "f32", "float8", "", "I8", "i8 ", "f8E4M3"])
def test_unknown_storages_are_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown storage .*expected i2 to i16, i32, u2 to u16, lut, or f16"):
        Storage.parse(text)
    with pytest.raises(ValueError, match=r"use Storage\.parse"):
        Storage("ui8")


@pytest.mark.parametrize("name", FLOAT_FORMATS)
def test_float_formats_are_those_of_ml_dtypes(name: str) -> None:
    form, info = FLOAT_FORMATS[name], ml_dtypes.finfo(ML_DTYPES[name])
    assert form.bits == info.bits
    assert form.max_finite == float(info.max)
    assert form.min_positive == float(info.tiny if name == "f8E8M0FNU" else info.smallest_subnormal)
    assert 2.0**form.emin == float(info.smallest_normal)
    one = np.array([np.nan, np.inf], np.float32).astype(ML_DTYPES[name]).astype(np.float32)
    assert form.has_nan == bool(np.isnan(one[0]))
    assert form.has_infinity == bool(np.isinf(one[1]))


@pytest.mark.parametrize(
    ("granularity", "text", "shape", "params"),
    [
        (Granularity.per_tensor(), "per_tensor", (2, 3), ()),
        (Granularity.per_axis(0), "per_axis(0)", (4, 3, 2), (4,)),
        (Granularity.per_axis(-1), "per_axis(-1)", (4, 3, 2), (2,)),
        (Granularity.per_token(), "per_token", (4, 3, 2), (4, 3, 1)),
        (Granularity.block({0: 1, 1: 32}), "block({0: 1, 1: 32})", (8, 64, 3), (8, 2, 1)),
        (Granularity.block({-1: 32}, rest=1), "block({...: 1, -1: 32})", (2, 3, 64), (2, 3, 2)),
        (Granularity.block({0: 128, 1: 128}), "block({0: 128, 1: 128})", (256, 384), (2, 3)),
        (Granularity.block({1: 4}, tail="pad"), "block({1: 4}) tail(pad)", (2, 6), (1, 2)),
        (Granularity.block({1: 4}, tail="short"), "block({1: 4}) tail(short)", (2, 3), (1, 1)),
        (Granularity.block({1: 4}), "block({1: 4})", (None, None), (1, None)),
        (Granularity.per_axis(0), "per_axis(0)", (None, 3), (None,)),
        (Granularity.per_tensor(), "per_tensor", (None,), ()),
    ],
)
def test_granularities(granularity: Granularity, text: str, shape: Any, params: Any) -> None:
    assert str(granularity) == text
    assert granularity.param_shape(shape) == params


def test_granularity_errors() -> None:
    with pytest.raises(ValueError, match=r"axis 2 of per_axis\(2\) is outside a tensor of rank 2"):
        Granularity.per_axis(2).param_shape((3, 4))
    with pytest.raises(ValueError, match="names axis 1 of a tensor of rank 2 twice"):
        Granularity.block({1: 2, -1: 2}).param_shape((3, 4))
    with pytest.raises(ValueError, match=r"blocks of 4 do not divide axis 1 of size 6; say tail\(pad\)"):
        Granularity.block({1: 4}).param_shape((3, 6))
    with pytest.raises(ValueError, match="negative"):
        Granularity.block({0: -1})
    with pytest.raises(ValueError, match="two block sizes"):
        Granularity(((0, 1), (0, 2)))
    with pytest.raises(ValueError, match=r"can be whole or 1, not 2"):
        Granularity(rest=2)
    with pytest.raises(ValueError, match=r"unknown tail\(cut\)"):
        Granularity(tail="cut")  # type: ignore[arg-type]


def test_blocks_are_compared_by_value() -> None:
    assert Granularity.block({1: 2, 0: 1}) == Granularity(((0, 1), (1, 2)))
    assert hash(Scheme(storage="i8")) == hash(Scheme(storage=Storage.parse("i8")))


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        (Scheme(storage="i8"), "i8 symmetric per_tensor"),
        (Scheme(storage="u8", symmetric=False, dynamic=True), "u8 affine per_tensor dynamic"),
        (
            Scheme(storage="i8", qmin=-127, qmax=127, granularity=Granularity.per_axis(0), rounding="half_away"),
            "i8<-127:127> symmetric per_axis(0) round(half_away)",
        ),
        (Scheme(storage="i32", product=Product("x", "w", 1, 0.5)), "i32 symmetric product(@x, @w) axis(1) factor(0.5)"),
        (
            Scheme(storage="f4E2M1FN", granularity=Granularity.block({-1: 16}, rest=1), scale_by="w.s"),
            "f4E2M1FN symmetric block({...: 1, -1: 16}) scale_by(@w.s)",
        ),
        (Scheme(storage="i8", pow2="up", saturate=False), "i8 symmetric per_tensor pow2(up) wrap"),
        (
            Scheme(storage="u4", symmetric=False, zero_by="z", zero_inside=True, rounding="stochastic", seed=3),
            "u4 affine per_tensor zero_by(@z) round(stochastic, seed = 3) zero_inside",
        ),
        (Scheme(storage="lut", codebook=[-1, 0, 0.5]), "lut symmetric per_tensor codebook([-1.0, 0.0, 0.5])"),
    ],
)
def test_schemes_print_as_in_a_quantizer(scheme: Scheme, text: str) -> None:
    assert str(scheme) == text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"storage": "i8", "qmin": -200}, "is not within i8's <-128:127>"),
        ({"storage": "i8", "qmin": 5, "qmax": 5}, "is not within"),
        ({"storage": "i8", "qmin": -1.5}, "must be whole numbers"),
        ({"storage": "f8E4M3FN", "qmin": 1.0}, "must contain zero"),
        ({"storage": "f8E4M3FN", "symmetric": False}, "has no zero point"),
        ({"storage": "i8", "rounding": "up"}, "unknown rounding 'up': expected half_even"),
        ({"storage": "i8", "pow2": "ceil"}, "unknown pow2 form 'ceil'"),
        ({"storage": "i8", "seed": 1}, r"a seed needs round\(stochastic\)"),
        ({"storage": "i8", "zero_by": "z"}, "say affine"),
        ({"storage": "i8", "pow2": "up", "scale_by": "s"}, "a scale has one form"),
        ({"storage": "i32", "product": Product("x", "w"), "dynamic": True}, "a product scale needs a static"),
        ({"storage": "f16", "product": Product("x", "w")}, "a product scale needs"),
        ({"storage": "i8", "qmin": -127, "saturate": False}, "integers wrap over their whole width"),
        ({"storage": "i8", "codebook": [0, 1]}, "a codebook needs storage lut"),
        ({"storage": "lut"}, "needs a codebook"),
        ({"storage": "lut", "codebook": [1, 0]}, "rising order"),
        ({"storage": "lut", "codebook": [0, float("nan")]}, "finite"),
        ({"storage": "lut", "codebook": [0, 1], "qmax": 0}, "used whole"),
    ],
)
def test_schemes_that_mean_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scheme(**fields)


def test_a_product_has_a_positive_factor() -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        Product("x", "w", factor=0.0)


def test_fixed_zero_points_and_bounds() -> None:
    assert Scheme(storage="i8").value_bounds == (-128, 127)
    assert Scheme(storage="u8").fixed_zero == 128
    assert Scheme(storage="u4").value_bounds == (-8, 7)
    assert Scheme(storage="f8E5M2").value_bounds == (-57344, 57344)
    book = Scheme(storage="lut", codebook=(-1.0, 0.0, 0.5))
    assert (book.value_bounds, book.bits, book.element, book.qmin, book.qmax) == ((-1.0, 0.5), 2, "ui2", 0, 2)


def test_evolve() -> None:
    scheme = Scheme(storage="i8", qmin=-127, granularity=Granularity.per_axis(1))
    assert scheme.evolve(rounding="floor") == attrs.evolve(scheme, rounding="floor")
    wider = scheme.evolve(storage="i16")
    assert (wider.qmin, wider.qmax, wider.granularity) == (-32768, 32767, scheme.granularity)
    assert scheme.evolve(storage="i16", qmin=-5).qmin == -5
