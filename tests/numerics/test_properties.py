"""What holds for every quantizer: codes in range, decode(encode) is a projection, monotone, within half a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qir.numerics import ROUNDINGS, Granularity, Scheme, block_range, decode, encode, fake, range_to_params
from qir.numerics.storage import FLOAT_FORMATS

SETTINGS = settings(max_examples=60, deadline=None)
STORAGES = st.sampled_from(["i2", "i4", "i8", "i13", "i16", "u2", "u4", "u8", "u16", *FLOAT_FORMATS])
FLOATS = st.floats(-1e6, 1e6, width=32)


@st.composite
def schemes(draw: st.DrawFn, granularity: Any = None) -> Scheme:
    storage = draw(STORAGES)
    integer = storage not in FLOAT_FORMATS
    narrow = {"qmin": -7, "qmax": 6} if storage in ("i8", "i16") and draw(st.booleans()) else {}
    return Scheme(
        storage=storage,
        symmetric=not integer or draw(st.booleans()),
        rounding=draw(st.sampled_from([m for m in ROUNDINGS if m != "stochastic"])),
        granularity=granularity or Granularity.per_tensor(),
        **narrow,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[torch.Tensor, Scheme, torch.Tensor, torch.Tensor | None]:
    """A tensor of one to three axes with a scheme, and parameters from another tensor's range, so that things clip."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=7))
    sizes = {axis: draw(st.integers(0, 4)) for axis in range(len(shape)) if draw(st.booleans())}
    granularity = Granularity.block(sizes, rest=draw(st.integers(0, 1)), tail="short")
    scheme = draw(schemes(granularity))
    x, y = (torch.from_numpy(draw(hnp.arrays(np.float32, shape, elements=FLOATS)).copy()) for _ in range(2))
    scale, zero = range_to_params(*block_range(y, granularity), scheme)
    return x, scheme, scale, zero


@SETTINGS
@given(cases())
def test_codes_are_in_range_and_fake_is_decode_of_encode(case: Any) -> None:
    x, scheme, scale, zero = case
    codes = encode(x, scheme, scale, zero)
    assert codes.shape == x.shape
    if scheme.storage.is_integer:
        assert codes.min() >= scheme.qmin and codes.max() <= scheme.qmax
    values = decode(codes, scheme, scale, zero)
    assert torch.equal(values, fake(x, scheme, scale, zero))


@SETTINGS
@given(cases())
def test_quantizing_twice_changes_nothing(case: Any) -> None:
    """Codes survive decode and encode, unless s * q is rounded so far that x / s is no integer: not within 16 bits."""
    x, scheme, scale, zero = case
    if scheme.rounding in ("floor", "ceil", "toward_zero"):
        scale = torch.exp2(scale.log2().round())  # directed roundings forgive no rounding of s * q: exact scales
    once = fake(x, scheme, scale, zero)
    assert torch.equal(fake(once, scheme, scale, zero), once)


@SETTINGS
@given(schemes(), hnp.arrays(np.float32, 40, elements=FLOATS), st.floats(2.0**-10, 2.0**10, width=32))
def test_monotone(scheme: Scheme, values: Any, scale: float) -> None:
    x = torch.from_numpy(np.sort(values))
    zero = None if scheme.symmetric else scheme.qmin + 3 if scheme.qmax - scheme.qmin > 3 else scheme.qmin
    y = fake(x, scheme, scale, zero)
    assert (y[1:] >= y[:-1]).all()


@SETTINGS
@given(hnp.arrays(np.float32, (3, 20), elements=FLOATS), st.sampled_from(["i4", "i8", "u8", "i16"]), st.booleans())
def test_within_half_a_step_of_a_range_that_covers_the_tensor(values: Any, storage: str, symmetric: bool) -> None:
    x = torch.from_numpy(values.copy())
    scheme = Scheme(storage=storage, symmetric=symmetric, granularity=Granularity.per_axis(0))
    scale, zero = range_to_params(*block_range(x, scheme.granularity), scheme)
    error = (fake(x, scheme, scale, zero) - x).abs()
    # Half a step, and another half at the ends of an affine range for the rounding of its zero point.
    bound = scale[:, None] * (0.5 if symmetric else 1.0) * 1.001 + x.abs() * 2**-22
    assert (error <= bound).all()


@SETTINGS
@given(hnp.arrays(np.float32, (4, 9), elements=st.floats(width=32)), STORAGES)
def test_any_float32_is_encoded(values: Any, storage: str) -> None:
    """NaN, infinities and subnormals too: codes in range, and NaN is seen in the simulation."""
    x = torch.from_numpy(values.copy())
    scheme = Scheme(storage=storage)
    codes = encode(x, scheme, 0.1)
    if scheme.storage.is_integer:
        assert codes.min() >= scheme.qmin and codes.max() <= scheme.qmax
    assert torch.equal(fake(x, scheme, 0.1).isnan(), x.isnan())
