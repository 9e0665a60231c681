"""The Triton kernels, run by Triton's interpreter on the CPU, equal the torch form and the float64 reference.

Run by test_fake_quant.py in a process of its own: Triton reads TRITON_INTERPRET when it is imported, which another
test may have done.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from qir.numerics import ROUNDINGS, Granularity, Scheme, fake, fake_backward, reference
from qir.triton_kernels import dispatch

DETERMINISTIC = [mode for mode in ROUNDINGS if mode != "stochastic"]
FLOATS = ["f16", "bf16", "f8E4M3FN", "f8E5M2", "f8E4M3FNUZ", "f8E5M2FNUZ", "f6E2M3FN", "f6E3M2FN", "f4E2M1FN"]


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    """The launcher, with its kernels defined for the interpreter."""
    assert os.environ.get("TRITON_INTERPRET") == "1", "run by test_fake_quant.py, or with TRITON_INTERPRET=1"
    return importlib.import_module("qir.triton_kernels.fake_quant")


def values(top: float, scale: float) -> np.ndarray[Any, Any]:
    """Random values over the range and beyond it, ties and their neighbours, one-signed extremes, specials."""
    rng = np.random.default_rng(11)
    ties = np.concatenate([np.arange(-20, 21) + 0.5, [-top - 0.5, top + 0.5, top, -top]])
    ties = (ties * scale).astype(np.float32)
    near = np.concatenate([ties, np.nextafter(ties, np.float32(9e9)), np.nextafter(ties, np.float32(-9e9))])
    with np.errstate(over="ignore"):
        random = rng.normal(size=300).astype(np.float32) * np.float32(scale * top / 2)
    special = [0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan]
    return np.concatenate([near, random, np.float32(special)]).astype(np.float32)


def same(got: torch.Tensor, expected: Any) -> None:
    np.testing.assert_array_equal(got.numpy(), np.asarray(expected))


@pytest.mark.parametrize("rounding", DETERMINISTIC)
@pytest.mark.parametrize("storage", ["i4", "u8", "i16"])
def test_integers(kernels: ModuleType, storage: str, rounding: Any) -> None:
    for scale, zero in ((0.5, None), (0.0123, None), (0.0123, 7)):
        scheme = Scheme(storage=storage, symmetric=zero is None, rounding=rounding)
        x = values(max(map(abs, scheme.value_bounds)), scale)
        same(kernels.forward(torch.from_numpy(x), scheme, scale, zero), reference.fake(x, scheme, scale, zero))


@pytest.mark.parametrize("storage", FLOATS)
def test_floats(kernels: ModuleType, storage: str) -> None:
    for rounding, saturate in (("half_even", True), ("half_even", False), ("half_up", True), ("toward_zero", False)):
        scheme = Scheme(storage=storage, rounding=rounding, saturate=saturate)  # type: ignore[arg-type]
        for scale in (1.0, 0.0123):
            x = values(max(map(abs, scheme.value_bounds)), scale)
            same(kernels.forward(torch.from_numpy(x), scheme, scale), reference.fake(x, scheme, scale))


def test_zero_point_inside(kernels: ModuleType) -> None:
    scheme = Scheme(storage="u4", symmetric=False, zero_inside=True)
    x = values(16, 0.37)
    same(kernels.forward(torch.from_numpy(x), scheme, 0.37, 3.625), reference.fake(x, scheme, 0.37, 3.625))


LAYOUTS = [
    (Granularity.per_axis(0), (5, 7)),
    (Granularity.per_axis(1), (2, 3, 4, 5)),
    (Granularity.per_axis(-1), (3, 4, 5)),
    (Granularity.per_token(), (2, 3, 6)),
    (Granularity.block({-1: 32}, rest=1), (3, 64)),
    (Granularity.block({-1: 4}, rest=1, tail="short"), (2, 3, 10)),
    (Granularity.block({0: 2, 1: 3}, tail="pad"), (5, 7)),
    (Granularity.block({0: 1, 2: 2}), (3, 4, 6, 2)),
    (Granularity.block({0: 1, 1: 4}), (3, 8, 2)),
]


@pytest.mark.parametrize(("granularity", "shape"), LAYOUTS, ids=[f"{g} of {s}" for g, s in LAYOUTS])
def test_granularities_forward_and_backward(
    kernels: ModuleType, granularity: Granularity, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(5)
    for storage in ("u8", "f8E4M3FN"):
        affine = storage == "u8"
        scheme = Scheme(storage=storage, symmetric=not affine, granularity=granularity)
        x = (rng.normal(size=shape) * (100 if affine else 400)).astype(np.float32)
        params = granularity.param_shape(shape)
        scale = rng.uniform(0.4, 1, size=params).astype(np.float32)
        zero = rng.integers(100, 150, size=params).astype(np.float32) if affine else None
        tx, ts = torch.from_numpy(x), torch.from_numpy(scale)
        tz = torch.from_numpy(zero) if zero is not None else None
        same(kernels.forward(tx, scheme, ts, tz), reference.fake(x, scheme, scale, zero))
        # Another order in memory.
        turned = tx.transpose(0, -1).contiguous().transpose(0, -1)
        same(kernels.forward(turned, scheme, ts, tz), reference.fake(x, scheme, scale, zero))
        check_backward(kernels, x, scheme, scale, zero)


def check_backward(kernels: ModuleType, x: Any, scheme: Scheme, scale: Any, zero: Any) -> None:
    grad = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    tensors = [torch.from_numpy(np.asarray(a)) if a is not None else None for a in (grad, x, scale, zero)]
    dx, ds, dz = kernels.backward(tensors[0], tensors[1], scheme, tensors[2], tensors[3], (True, True, True))
    ex, es, ez = fake_backward(tensors[0], tensors[1], scheme, tensors[2], tensors[3])  # type: ignore[arg-type]
    assert ex is not None and es is not None
    assert torch.equal(dx, ex)
    torch.testing.assert_close(ds, es, rtol=1e-5, atol=1e-3, equal_nan=True)
    if zero is not None:
        torch.testing.assert_close(dz, ez, rtol=1e-5, atol=1e-3)
    rx, _, _ = reference.fake_backward(grad, x, scheme, scale, zero)
    same(dx, rx.astype(np.float32))


@pytest.mark.parametrize("storage", ["i8", "f4E2M1FN", "f8E5M2"])
def test_backward_per_tensor(kernels: ModuleType, storage: str) -> None:
    for saturate in (True, False) if storage == "f8E5M2" else (True,):
        scheme = Scheme(storage=storage, saturate=saturate)
        x = np.random.default_rng(2).normal(size=3000).astype(np.float32) * np.float32(scheme.qmax)
        check_backward(kernels, x, scheme, np.float32(0.5), None)
        one_signed = np.full(2500, scheme.qmax * 3, np.float32)
        check_backward(kernels, one_signed, scheme, np.float32(1.0), None)
    scheme = Scheme(storage="u8", symmetric=False)
    check_backward(kernels, x * np.float32(0.1), scheme, np.array([0.5], np.float32), np.array([128], np.float32))


def test_only_the_gradients_asked_for(kernels: ModuleType) -> None:
    x, scheme = torch.randn(10), Scheme(storage="i8")
    got = kernels.backward(torch.ones(10), x, scheme, torch.tensor(0.1), None, (True, False, True))
    assert got[1] is None and got[2] is None and torch.equal(got[0], torch.ones(10))


def test_sizes_and_types(kernels: ModuleType) -> None:
    scheme = Scheme(storage="i8")
    for n in (0, 1, 1023, 1024, 1025, 5000):
        x = torch.randn(n)
        assert torch.equal(kernels.forward(x, scheme, 0.02), fake(x, scheme, 0.02))
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.randn(300).to(dtype)
        assert torch.equal(kernels.forward(x, scheme, 0.02), fake(x, scheme, 0.02))
    assert kernels.forward(torch.tensor(1.0), scheme, 0.5).shape == ()
    per_axis = Scheme(storage="i8", granularity=Granularity.per_axis(0))
    with pytest.raises(ValueError, match=r"parameters of shape \(3,\) do not fit per_axis\(0\)"):
        kernels.forward(torch.zeros(4, 3), per_axis, torch.ones(3))


def test_what_is_left_to_torch(kernels: ModuleType) -> None:
    x = torch.zeros(2, 2)
    assert kernels.supports(x, Scheme(storage="u8"))
    for scheme in (
        Scheme(storage="i32"),
        Scheme(storage="i8", rounding="stochastic"),
        Scheme(storage="i8", saturate=False),
        Scheme(storage="lut", codebook=(0.0, 1.0)),
        Scheme(storage="f8E8M0FNU"),
    ):
        assert not kernels.supports(x, scheme)
    assert not kernels.supports(x.double(), Scheme(storage="i8"))
    scattered = Granularity.block({0: 2, 2: 2, 4: 2, 6: 2}, tail="short")
    assert not kernels.supports(torch.zeros(3, 2, 3, 2, 3, 2, 3), Scheme(storage="i8", granularity=scattered))


def test_gradients_flow_through_the_kernels(kernels: ModuleType) -> None:
    """The autograd function that CUDA tensors take, driven with the interpreted kernels."""
    x = torch.randn(6, 40, requires_grad=True)
    scale = torch.full((6,), 0.01, requires_grad=True)
    zero = torch.full((6,), 100.0, requires_grad=True)
    scheme = Scheme(storage="u8", symmetric=False, granularity=Granularity.per_axis(0))
    weight = torch.randn(6, 40)
    y = dispatch._TritonFake.apply(x, scale, zero, scheme, kernels)
    got = torch.autograd.grad((y * weight).sum(), (x, scale, zero))
    expected = torch.autograd.grad((fake(x, scheme, scale, zero) * weight).sum(), (x, scale, zero))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)
