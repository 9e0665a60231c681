"""The one way to the GPU kernels: Triton for CUDA tensors where it can, torch for everything else."""

from __future__ import annotations

import importlib
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from qir import numerics
from qir.numerics.scheme import Scheme

__all__ = ["fake"]


@lru_cache(maxsize=1)
def _kernels() -> ModuleType | None:
    """The Triton kernels, None where Triton is not installed (it exists for Linux only)."""
    try:
        importlib.import_module("triton")
    except ImportError:
        return None
    return importlib.import_module("qir.triton_kernels.fake_quant")


def fake(x: Tensor, scheme: Scheme, scale: Any, zero: Any = None) -> Tensor:
    """`qir.numerics.fake` (straight-through where gradients are asked for), on a GPU in one kernel.

    Arguments, result and errors as there.
    """
    kernels = _kernels() if x.is_cuda else None
    if kernels is None or not kernels.supports(x, scheme):
        return numerics.fake(x, scheme, scale, zero)
    if torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in (x, scale, zero)):
        s = torch.as_tensor(scale, device=x.device)
        z = None if zero is None else torch.as_tensor(zero, device=x.device)
        y = _TritonFake.apply(x, s, z, scheme, kernels)  # type: ignore[no-untyped-call]  # torch's own
    else:
        y = kernels.forward(x, scheme, scale, zero)
    assert isinstance(y, Tensor)
    return y


class _TritonFake(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor | None, scheme: Scheme, kernels: Any) -> Any:
        ctx.save_for_backward(x, scale, zero)
        ctx.scheme, ctx.kernels = scheme, kernels
        return kernels.forward(x, scheme, scale, zero)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, scale, zero = ctx.saved_tensors
        dx, ds, dz = ctx.kernels.backward(grads[0], x, ctx.scheme, scale, zero, ctx.needs_input_grad[:3])
        return dx, ds, dz, None, None
