"""The torch codec equals the float64 reference, for every storage, rounding and granularity."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from qir.numerics import ROUNDINGS, Granularity, Scheme, decode, encode, fake, reference
from qir.numerics.codec import float_values
from qir.numerics.storage import FLOAT_FORMATS

INTEGERS = ["i2", "i3", "i4", "i8", "i9", "i16", "i32", "u2", "u4", "u7", "u8", "u12", "u16"]
DETERMINISTIC = [mode for mode in ROUNDINGS if mode != "stochastic"]
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
LOPSIDED = [-0.3, -0.1, 0.2, 0.75, 1.5]


def samples(scheme: Scheme, scale: float) -> np.ndarray[Any, Any]:
    """Random values, ties and their neighbours, both ends and beyond, tiny and huge ones, specials."""
    rng = np.random.default_rng(7)
    top = max(map(abs, scheme.value_bounds))
    if scheme.storage.is_integer:
        whole = np.unique(np.concatenate([np.arange(-9, 10), [-top - 1, -top, top, top + 1]]))
        ties = (np.concatenate([whole + 0.5, whole]) * scale).astype(np.float32)
    elif scheme.codebook is not None:
        book = np.array(scheme.codebook, np.float32)
        ties = np.concatenate([(book[1:] + book[:-1]) / 2, book]) * np.float32(scale)
    else:
        form = scheme.storage.format
        table = np.array(reference.format_table(form.exponent, form.mantissa, form.bias, form.specials))
        table = table[np.unique(np.linspace(0, len(table) - 1, 300).astype(int))]
        steps = np.concatenate([table, (table[1:] + table[:-1]) / 2, [table[-1] * 1.0625, table[-1] * 1.04]])
        with np.errstate(over="ignore"):
            ties = (np.concatenate([steps, -steps]) * scale).astype(np.float32)
    ties = np.concatenate([ties, np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf))])
    normal = rng.normal(size=200).astype(np.float32)
    with np.errstate(over="ignore"):
        random = np.concatenate([normal * np.float32(scale * top / 2), normal * np.float32(scale * 3)])
    special = np.array([0, -0.0, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan], np.float32)
    return np.concatenate([ties, random, special]).astype(np.float32)


def check(scheme: Scheme, x: np.ndarray[Any, Any], scale: Any, zero: Any = None) -> None:
    codes = encode(torch.from_numpy(x), scheme, scale, zero)
    expected = reference.encode(x, scheme, scale, zero)
    if scheme.storage.is_float:
        got = float_values(scheme.storage)[codes.long()] if codes.dtype == torch.uint8 else codes.float()
        # A format without NaN stores 0 for it.
        expected = np.nan_to_num(expected) if scheme.storage.format.specials == "finite" else expected
        np.testing.assert_array_equal(got.numpy(), expected)
    else:
        np.testing.assert_array_equal(codes.numpy(), expected)
    values = decode(codes, scheme, scale, zero).numpy()
    np.testing.assert_array_equal(values, reference.decode(expected, scheme, scale, zero))
    np.testing.assert_array_equal(
        fake(torch.from_numpy(x), scheme, scale, zero).numpy(), reference.fake(x, scheme, scale, zero)
    )


@pytest.mark.parametrize("rounding", DETERMINISTIC)
@pytest.mark.parametrize("storage", INTEGERS)
def test_integers(storage: str, rounding: Any) -> None:
    for scale in (1.0, 0.25, 0.0123):
        scheme = Scheme(storage=storage, rounding=rounding)
        check(scheme, samples(scheme, scale), scale)
    scheme = Scheme(storage=storage, rounding=rounding, symmetric=False)
    for zero in (scheme.qmin, scheme.qmax, 1):
        check(scheme, samples(scheme, 0.5), 0.5, zero)


@pytest.mark.parametrize("rounding", DETERMINISTIC)
@pytest.mark.parametrize("storage", FLOAT_FORMATS)
def test_floats(storage: str, rounding: Any) -> None:
    for scale, saturate in itertools.product((1.0, 0.0123), (True, False)):
        scheme = Scheme(storage=storage, rounding=rounding, saturate=saturate)
        check(scheme, samples(scheme, scale), scale)


@pytest.mark.parametrize("rounding", DETERMINISTIC)
@pytest.mark.parametrize("book", [NF4, LOPSIDED, [-1.0, 1.0], [0.0, 1.0, 3.0]])
def test_codebooks(book: list[float], rounding: Any) -> None:
    scheme = Scheme(storage="lut", codebook=book, rounding=rounding)
    for scale in (1.0, 0.37):
        check(scheme, samples(scheme, scale), scale)


def test_codebook_of_more_than_256_entries() -> None:
    scheme = Scheme(storage="lut", codebook=np.sort(np.random.default_rng(0).normal(size=300)))
    assert encode(torch.zeros(1), scheme, 1.0).dtype == torch.int32
    check(scheme, samples(scheme, 1.0)[::5], 1.0)


def test_narrow_ranges() -> None:
    for storage, low, high in (("i8", -127, 127), ("u8", 1, 200), ("i4", -7, 7), ("f8E4M3FN", -240.0, 240.0)):
        scheme = Scheme(storage=storage, qmin=low, qmax=high)
        check(scheme, samples(scheme, 0.1), 0.1)


@pytest.mark.parametrize("storage", ["i4", "u8", "i16"])
def test_wrapping_integers(storage: str) -> None:
    for rounding in ("half_even", "floor"):
        scheme = Scheme(storage=storage, saturate=False, symmetric=False, rounding=rounding)
        check(scheme, samples(scheme, 0.5), 0.5, 3)


def test_zero_point_inside_the_rounding() -> None:
    for rounding in DETERMINISTIC:
        scheme = Scheme(storage="u4", symmetric=False, zero_inside=True, rounding=rounding)  # type: ignore[arg-type]
        check(scheme, samples(scheme, 0.5), 0.5, 3.625)
        check(scheme, samples(scheme, 0.37), 0.37, 0.1)


BLOCKS = [
    (Granularity.per_axis(0), (5, 7)),
    (Granularity.per_axis(-1), (5, 7)),
    (Granularity.per_axis(1), (2, 3, 2, 2)),
    (Granularity.per_token(), (2, 3, 6)),
    (Granularity.block({-1: 4}, rest=1), (3, 8)),
    (Granularity.block({-1: 4}, rest=1, tail="short"), (3, 10)),
    (Granularity.block({0: 2, 1: 3}), (4, 6)),
    (Granularity.block({0: 2, 1: 3}, tail="pad"), (5, 7)),
    (Granularity.block({0: 1, 1: 4}), (4, 8, 3)),
    (Granularity.block({1: 2}, rest=0), (3, 4, 2)),
    (Granularity.block({0: 2, 2: 2}, tail="short"), (3, 2, 5)),
    (Granularity.block({0: 1, 2: 2}, rest=0), (3, 4, 6, 2)),
    (Granularity.block({}, rest=1), (3, 4)),
    (Granularity.block({-1: 32}, rest=1, tail="short"), (2, 5)),
]


@pytest.mark.parametrize(("granularity", "shape"), BLOCKS, ids=[f"{g} of {s}" for g, s in BLOCKS])
@pytest.mark.parametrize("storage", ["u8", "i4", "f8E4M3FN", "f4E2M1FN"])
def test_granularities(granularity: Granularity, shape: tuple[int, ...], storage: str) -> None:
    rng = np.random.default_rng(3)
    scheme = Scheme(storage=storage, symmetric=storage != "u8", granularity=granularity)
    x = (rng.normal(size=shape) * 30).astype(np.float32)
    x.flat[0], x.flat[-1] = np.nan, np.inf
    param_shape = granularity.param_shape(shape)
    scale = rng.uniform(0.05, 4, size=param_shape).astype(np.float32)
    zero = rng.integers(0, 256, size=param_shape).astype(np.int32) if storage == "u8" else None
    check(scheme, x, scale, zero)
    # Strides must not matter.
    backwards = torch.from_numpy(x).permute(*reversed(range(len(shape)))).contiguous().permute(
        *reversed(range(len(shape)))
    )  # fmt: skip
    assert torch.equal(
        fake(backwards, scheme, scale, zero).nan_to_num(7), fake(torch.from_numpy(x), scheme, scale, zero).nan_to_num(7)
    )


def test_float64_inputs_are_computed_in_float64() -> None:
    scheme = Scheme(storage="i8")
    x = np.array([0.5 + 1e-12, 0.5, 1.5, -0.5 - 1e-12])
    y = fake(torch.from_numpy(x), scheme, 1.0)
    assert y.dtype == torch.float64
    assert y.tolist() == [1.0, 0.0, 2.0, -1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_float32(dtype: torch.dtype) -> None:
    scheme = Scheme(storage="i8")
    x = torch.randn(500).to(dtype)
    assert torch.equal(fake(x, scheme, 0.013), fake(x.float(), scheme, 0.013).to(dtype))


def test_the_quotient_is_a_division() -> None:
    """x / s and x * (1 / s) differ at ties: 91 / 14 = 6.5 goes to 6, 91 * fl(1 / 14) is above it and goes to 7."""
    x = torch.arange(1, 2000, dtype=torch.float32)
    for s in (3.0, 14.0, 28.0, 0.1):
        expected = torch.from_numpy(np.rint(x.numpy() / np.float32(s)))
        assert torch.equal(encode(x, Scheme(storage="i16"), s).float(), expected)
    assert encode(torch.tensor(91.0), Scheme(storage="i8"), 14.0).item() == 6
    assert np.rint(np.float32(91) * (np.float32(1) / np.float32(14))) == 7


def test_empty_and_scalar_tensors() -> None:
    scheme = Scheme(storage="i8", granularity=Granularity.per_axis(0))
    empty = torch.zeros(0, 4)
    assert encode(empty, scheme, torch.zeros(0)).shape == (0, 4)
    assert fake(torch.zeros(3, 0), scheme, torch.ones(3)).shape == (3, 0)
    assert fake(torch.tensor(0.7), Scheme(storage="i8"), 0.5).item() == 0.5
    assert fake(torch.tensor(0.7), Scheme(storage="i8"), 0.5).shape == ()


def test_fake_keeps_channels_last_and_does_not_touch_its_input() -> None:
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    for granularity, scale in ((Granularity.per_tensor(), torch.tensor(0.1)), (Granularity.per_axis(1), torch.rand(3))):
        y = fake(x, Scheme(storage="i8", granularity=granularity), scale)
        assert y.is_contiguous(memory_format=torch.channels_last)
    for storage in ("f8E4M3FN", "i32", "bf16", "f4E2M1FN"):
        encode(x, Scheme(storage=storage), 0.1)
        fake(x, Scheme(storage=storage), 0.1)
    decode(x, Scheme(storage="f16"), 0.5)
    assert torch.equal(x, before)


def test_a_product_scale_lies_on_its_axis() -> None:
    from qir.numerics import Product

    scheme = Scheme(storage="i32", product=Product("x", "w", axis=0))
    bias = np.array([0.5, -1.25, 3.0], np.float32)
    check(scheme, bias, np.array([1e-3, 2e-3, 3e-3], np.float32))
    check(scheme, bias, np.float32(1e-9))


def test_parameters_of_another_shape_are_an_error() -> None:
    scheme = Scheme(storage="i8", granularity=Granularity.per_axis(0))
    with pytest.raises(ValueError, match=r"parameters of shape \(3,\) do not fit per_axis\(0\).*expected \(4,\)"):
        fake(torch.zeros(4, 3), scheme, torch.ones(3))
    with pytest.raises(ValueError, match="blocks of 4 do not divide axis 1 of size 6"):
        fake(torch.zeros(2, 6), Scheme(storage="i8", granularity=Granularity.block({-1: 4})), torch.ones(1, 2))
