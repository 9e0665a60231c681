"""Small floats equal ml_dtypes, code for code; roundings equal their case analysis; encoded tensors reach numpy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from qir.numerics import (
    ROUNDINGS,
    Scheme,
    Storage,
    codes_from_numpy,
    codes_to_numpy,
    decode,
    encode,
    fake,
    reference,
    round_,
    storage_dtype,
)
from qir.numerics.codec import float_values
from qir.numerics.storage import FLOAT_FORMATS

DTYPES: dict[str, Any] = {
    "f16": np.float16, "bf16": ml_dtypes.bfloat16, "f8E4M3FN": ml_dtypes.float8_e4m3fn,
    "f8E5M2": ml_dtypes.float8_e5m2, "f8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "f8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "f8E8M0FNU": ml_dtypes.float8_e8m0fnu, "f6E2M3FN": ml_dtypes.float6_e2m3fn, "f6E3M2FN": ml_dtypes.float6_e3m2fn,
    "f4E2M1FN": ml_dtypes.float4_e2m1fn,
}  # fmt: skip
SMALL = [name for name, form in FLOAT_FORMATS.items() if form.bits <= 8]


def float32_sweep() -> np.ndarray[Any, Any]:
    """One float32 in 32,749, through all bit patterns: every binade, both signs, subnormals, NaNs."""
    return np.arange(0, 2**32, 32749, dtype=np.uint64).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("name", FLOAT_FORMATS)
def test_conversion_equals_ml_dtypes_through_all_of_float32(name: str) -> None:
    form = FLOAT_FORMATS[name]
    x = float32_sweep()
    codes = codes_to_numpy(encode(torch.from_numpy(x), Scheme(storage=name, saturate=False), 1.0), Storage.parse(name))
    with np.errstate(all="ignore"):
        expected = x.astype(DTYPES[name])
    assert codes.dtype == expected.dtype
    if form.specials == "finite":  # a format without NaN: ml_dtypes stores -0, we store 0
        x, codes, expected = x[~np.isnan(x)], codes[~np.isnan(x)], expected[~np.isnan(x)]
    if form.specials == "scale":  # ml_dtypes 0.6 rounds float32's subnormals up: 1.007 * 2**-127 to 2**-126
        normal = ~((np.abs(x) > 2.0**-127) & (np.abs(x) < 2.0**-126))
        codes, expected = codes[normal], expected[normal]
    np.testing.assert_array_equal(codes.astype(np.float64), expected.astype(np.float64))


@pytest.mark.parametrize("name", SMALL)
def test_every_bit_pattern(name: str) -> None:
    """Each code decodes to ml_dtypes' number, and each number encodes to its code again."""
    storage = Storage.parse(name)
    patterns = np.arange(1 << storage.bits, dtype=np.uint8)
    numbers = patterns.view(DTYPES[name])
    np.testing.assert_array_equal(float_values(storage).numpy(), numbers.astype(np.float32))
    codes = codes_from_numpy(numbers, storage)
    scheme = Scheme(storage=name, saturate=False)
    np.testing.assert_array_equal(decode(codes, scheme, 1.0).numpy(), numbers.astype(np.float32))
    again = encode(torch.from_numpy(numbers.astype(np.float32)), scheme, 1.0)
    finite = ~np.isnan(numbers.astype(np.float32))
    np.testing.assert_array_equal(codes_to_numpy(again, storage).view(np.uint8)[finite], patterns[finite])


@pytest.mark.parametrize("name", FLOAT_FORMATS)
def test_the_reference_table_is_the_format(name: str) -> None:
    form = FLOAT_FORMATS[name]
    table = reference.format_table(form.exponent, form.mantissa, form.bias, form.specials)
    dtype = np.dtype(DTYPES[name])
    patterns = np.arange(len(table), dtype=np.uint16 if dtype.itemsize == 2 else np.uint8)
    np.testing.assert_array_equal(patterns.view(dtype).astype(np.float64), table)


def test_saturation_takes_infinities_to_the_largest_number() -> None:
    x = torch.tensor([float("inf"), -float("inf"), 1e30, -1e30])
    for name in ("f8E4M3FN", "f8E5M2", "f8E4M3FNUZ", "f4E2M1FN", "f16"):
        top = FLOAT_FORMATS[name].max_finite
        assert fake(x, Scheme(storage=name), 1.0).tolist() == [top, -top, top, -top]
    assert fake(x, Scheme(storage="f8E5M2", saturate=False), 1.0).tolist() == x.sign().mul(float("inf")).tolist()
    assert fake(x, Scheme(storage="f8E4M3FN", saturate=False), 1.0).isnan().all()


def exact(v: float, mode: str) -> int:
    """Rounding by its definition, in exact fractions."""
    q = Fraction(v)
    below = q.numerator // q.denominator
    rest = q - below
    if mode in ("floor", "ceil", "toward_zero"):
        up = rest > 0 and (mode == "ceil" or (mode == "toward_zero" and q < 0))
    elif rest != Fraction(1, 2):
        up = rest > Fraction(1, 2)
    else:
        up = {
            "half_even": below % 2 == 1, "half_up": True, "half_down": False, "half_away": q > 0,
            "half_toward_zero": q < 0,
        }[mode]  # fmt: skip
    return below + up


@pytest.mark.parametrize("mode", [m for m in ROUNDINGS if m != "stochastic"])
def test_roundings_are_exact(mode: str) -> None:
    base = np.concatenate([np.arange(-12, 13) / 2, [2.0**23, 2.0**24 - 1, -(2.0**22) - 0.5, 1e-45, -1e-45, 3e38]])
    base = base.astype(np.float32)
    x = np.concatenate([base, np.nextafter(base, np.float32(3e38)), np.nextafter(base, np.float32(-3e38))])
    x = x[np.isfinite(x)]
    expected = [exact(float(v), mode) for v in x]
    assert round_(torch.from_numpy(x.copy()), mode).tolist() == expected
    assert [reference.round_number(float(v), mode) for v in x] == expected
    wide = np.append(x.astype(np.float64), [2.0**52 + 0.5, 0.5 - 2.0**-54, -(0.5 - 2.0**-54)])
    assert round_(torch.from_numpy(wide.copy()), mode).tolist() == [exact(v, mode) for v in wide]
    special = round_(torch.tensor([float("inf"), -float("inf"), float("nan")]), mode)
    assert special[0] == float("inf") and special[1] == -float("inf") and special[2].isnan()


def test_rounding_works_in_place() -> None:
    for mode in ROUNDINGS:
        x = torch.tensor([0.6, 2.5])
        assert round_(x, mode) is x
    with pytest.raises(ValueError, match="unknown rounding 'nearest': expected half_even"):
        round_(torch.zeros(1), "nearest")


@pytest.mark.parametrize("mode", [m for m in ROUNDINGS if m != "stochastic"])
def test_large_tensors_of_any_order_in_memory(mode: Any) -> None:
    """They are rounded in parts; the parts must cover everything once."""
    x = torch.randn(2, 9, 130, 131) * 4
    few = x[:1, :1, :50, :50]
    for scheme in (Scheme(storage="i8", rounding=mode), Scheme(storage="f8E4M3FN", rounding=mode)):
        y = fake(x, scheme, 1.0)
        assert torch.equal(y[:1, :1, :50, :50], fake(few, scheme, 1.0))
        assert torch.equal(torch.stack([fake(image, scheme, 1.0) for image in x.unbind()]), y)
        assert torch.equal(fake(x.contiguous(memory_format=torch.channels_last), scheme, 1.0), y)
        assert torch.equal(fake(x.transpose(0, 3), scheme, 1.0).transpose(0, 3), y)


def test_stochastic_rounding_is_unbiased_and_repeats() -> None:
    x = torch.full((20_000,), 2.25)
    scheme = Scheme(storage="i8", rounding="stochastic", seed=1)
    q = encode(x, scheme, 1.0)
    assert set(q.tolist()) == {2, 3}
    assert abs(q.float().mean().item() - 2.25) < 0.02
    assert torch.equal(q, encode(x, scheme, 1.0))
    assert not torch.equal(q, encode(x, scheme.evolve(seed=2), 1.0))
    assert abs(fake(x, Scheme(storage="f4E2M1FN", rounding="stochastic"), 1.0).mean().item() - 2.25) < 0.02
    book = Scheme(storage="lut", codebook=(0.0, 2.0, 6.0), rounding="stochastic", seed=0)
    assert abs(fake(x, book, 1.0).mean().item() - 2.25) < 0.05
    whole = torch.arange(-5.0, 6.0)
    assert torch.equal(round_(whole.clone(), "stochastic"), whole)


def test_torch_types_of_codes() -> None:
    expected = {
        "i2": torch.int8, "i8": torch.int8, "u4": torch.uint8, "u8": torch.uint8, "i9": torch.int16, "i16": torch.int16,
        "u16": torch.int32, "i32": torch.int32, "f16": torch.float16, "bf16": torch.bfloat16,
        "f8E4M3FN": torch.float8_e4m3fn, "f8E5M2FNUZ": torch.float8_e5m2fnuz, "f8E8M0FNU": torch.uint8,
        "f6E3M2FN": torch.uint8, "f4E2M1FN": torch.uint8,
    }  # fmt: skip
    for name, dtype in expected.items():
        assert storage_dtype(Storage.parse(name)) == dtype
        assert encode(torch.zeros(2, 3), Scheme(storage=name), 1.0).dtype == dtype


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("i4", ml_dtypes.int4), ("u4", ml_dtypes.uint4), ("i2", ml_dtypes.int2), ("u2", ml_dtypes.uint2),
        ("i3", np.int8), ("u6", np.uint8), ("i8", np.int8), ("u8", np.uint8), ("i12", np.int16), ("u16", np.uint16),
        ("i32", np.int32), *DTYPES.items(),
    ],
)  # fmt: skip
def test_codes_to_numpy_and_back(name: str, dtype: Any) -> None:
    scheme = Scheme(storage=name)
    x = torch.linspace(-3, 3, 24).reshape(2, 3, 4)
    codes = encode(x, scheme, 0.5)
    array = codes_to_numpy(codes, scheme)
    assert array.dtype == dtype and array.shape == (2, 3, 4)
    back = codes_from_numpy(array, scheme)
    assert back.dtype == codes.dtype
    assert torch.equal(decode(back, scheme, 0.5), decode(codes, scheme, 0.5))
    book = Scheme(storage="lut", codebook=range(-3, 3))
    assert codes_to_numpy(encode(x, book, 1.0), book).dtype == np.uint8
