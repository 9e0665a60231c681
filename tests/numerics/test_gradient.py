"""Straight-through gradients: against the float64 reference, and against finite differences of what they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qir.numerics import Granularity, Scheme, fake, fake_ste, reference

GRAINS = [
    (Granularity.per_tensor(), (4, 6)),
    (Granularity.per_axis(0), (4, 6)),
    (Granularity.per_axis(1), (2, 3, 4)),
    (Granularity.block({-1: 4}, rest=1, tail="short"), (3, 10)),
    (Granularity.block({0: 2, 1: 3}), (4, 6)),
]
SCHEMES: list[dict[str, Any]] = [
    {"storage": "i8"},
    {"storage": "i4", "rounding": "floor"},
    {"storage": "u8", "symmetric": False},
    {"storage": "u4", "symmetric": False, "zero_inside": True},
    {"storage": "f8E4M3FN"},
    {"storage": "f8E5M2", "saturate": False},
    {"storage": "f4E2M1FN"},
    {"storage": "lut", "codebook": (-1.0, -0.3, 0.0, 0.4, 1.2)},
]


@pytest.mark.parametrize("fields", SCHEMES, ids=[" ".join(map(str, f.values())) for f in SCHEMES])
@pytest.mark.parametrize(("granularity", "shape"), GRAINS, ids=[str(g) for g, _ in GRAINS])
def test_gradients_equal_the_reference(fields: dict[str, Any], granularity: Granularity, shape: Any) -> None:
    rng = np.random.default_rng(6)
    scheme = Scheme(**fields, granularity=granularity)
    params = granularity.param_shape(shape)
    scale = rng.uniform(0.5, 1.0, size=params).astype(np.float32)
    low, high = scheme.value_bounds
    x = (rng.uniform(1.3 * low, 1.3 * high, size=shape)).astype(np.float32)
    zero = rng.integers(3, 12, size=params).astype(np.float32) if not scheme.symmetric else None
    grad = rng.normal(size=shape).astype(np.float32)

    tx, ts = torch.from_numpy(x).requires_grad_(), torch.from_numpy(scale).requires_grad_()
    tz = None if zero is None else torch.from_numpy(zero).requires_grad_()
    y = fake_ste(tx, scheme, ts, tz)
    np.testing.assert_array_equal(y.detach().numpy(), reference.fake(x, scheme, scale, zero))
    inputs = [tx, ts] if tz is None else [tx, ts, tz]
    got = torch.autograd.grad(y, inputs, torch.from_numpy(grad))

    dx, ds, dz = reference.fake_backward(grad, x, scheme, scale, zero)
    np.testing.assert_array_equal(got[0].numpy(), dx.astype(np.float32))
    assert got[1].shape == ts.shape
    np.testing.assert_allclose(got[1].numpy(), block_sums(ds, granularity), rtol=1e-4, atol=1e-4)
    if tz is not None:
        np.testing.assert_allclose(got[2].numpy(), block_sums(dz, granularity), rtol=1e-4, atol=1e-4)


def block_sums(values: np.ndarray[Any, Any], granularity: Granularity) -> np.ndarray[Any, Any]:
    grid = [n for n in granularity.grid(values.shape) if n is not None]
    out = np.zeros(grid)
    sizes = granularity.sizes(values.ndim)
    for index in np.ndindex(*values.shape):
        block = tuple(0 if size == 0 else i // size for i, size in zip(index, sizes, strict=True))
        with np.errstate(invalid="ignore"):  # infinities of both signs, where floats overflowed
            out[block] += values[index]
    return out.reshape([n for n in granularity.param_shape(values.shape) if n is not None])


def test_where_everything_clips_the_scale_gradient_is_the_derivative() -> None:
    """Outside the range y = s * bound is differentiable: the gradient is the finite difference, with no estimator."""
    for scheme in (Scheme(storage="u8", symmetric=False), Scheme(storage="i8"), Scheme(storage="f8E4M3FN")):
        x = torch.tensor([1e6, -1e6, 2e6], dtype=torch.float64)
        scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
        zero = None if scheme.symmetric else torch.tensor(100.0, dtype=torch.float64, requires_grad=True)
        weight = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
        (fake_ste(x, scheme, scale, zero) * weight).sum().backward()  # type: ignore[no-untyped-call]
        step = 1e-3

        def loss(s: float, z: float | None, x: Any = x, scheme: Scheme = scheme, weight: Any = weight) -> float:
            s64 = torch.tensor(s, dtype=torch.float64)
            return float((fake(x, scheme, s64, z) * weight).sum())

        z0 = None if zero is None else 100.0
        slope = (loss(0.5 + step, z0) - loss(0.5 - step, z0)) / (2 * step)
        assert scale.grad is not None and scale.grad.item() == pytest.approx(slope)
        if zero is not None:
            assert zero.grad is not None
            assert zero.grad.item() == pytest.approx((loss(0.5, 101.0) - loss(0.5, 99.0)) / 2)


def test_lsq_inside_the_range() -> None:
    """d fake / d s = round(v) - v at the quantizer's own points: v = 2.3 gives -0.3, v = 2.8 gives 0.2."""
    x = torch.tensor([2.3, 2.8], dtype=torch.float64)
    scale = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    y = fake_ste(x, Scheme(storage="i8"), scale)
    first = torch.autograd.grad(y[0], scale, retain_graph=True)[0]
    second = torch.autograd.grad(y[1], scale)[0]
    assert first.item() == pytest.approx(-0.3) and second.item() == pytest.approx(0.2)


def test_the_clip_mask_is_of_rounded_values() -> None:
    """127.4 rounds to 127 and passes its gradient, 127.6 would round to 128, clips, and does not."""
    x = torch.tensor([127.4, 127.6, -128.5, -128.6, float("nan")], requires_grad=True)
    fake_ste(x, Scheme(storage="i8"), 1.0).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and x.grad.tolist() == [1, 0, 1, 0, 0]


def test_fake_is_straight_through_when_gradients_are_asked_for() -> None:
    x = torch.randn(100, requires_grad=True)
    y = fake(x, Scheme(storage="i8"), 0.1)
    assert y.requires_grad
    with torch.no_grad():
        assert not fake(x, Scheme(storage="i8"), 0.1).requires_grad
    assert not fake(x.detach(), Scheme(storage="i8"), 0.1).requires_grad


def test_stochastic_rounding_has_the_same_gradient_of_x() -> None:
    scheme = Scheme(storage="i8", rounding="stochastic", seed=3)
    x = torch.tensor([0.2, 130.0], requires_grad=True)
    fake_ste(x, scheme, 1.0).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and x.grad.tolist() == [1, 0]


def test_half_inputs_have_half_gradients() -> None:
    x = torch.randn(10, dtype=torch.bfloat16, requires_grad=True)
    fake_ste(x, Scheme(storage="i8"), 0.1).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and x.grad.dtype == torch.bfloat16
