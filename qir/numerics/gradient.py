"""Straight-through gradients of the simulated quantizer: of the values, of the scale (LSQ) and zero point (LSQ+)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qir.numerics.codec import fake, grid_values, prepare, rounding_generator, work_dtype
from qir.numerics.layout import reduce_blocks
from qir.numerics.rounding import round_, round_significand
from qir.numerics.scheme import Granularity, Scheme

__all__ = ["fake_backward", "fake_ste", "reduce_like"]


def fake_ste(x: Tensor, scheme: Scheme, scale: Any, zero: Any = None) -> Tensor:
    """`fake` with straight-through gradients: rounding counts as the identity, clipping as clipping.

    With ``v = x / s`` and g the gradient of the result: ``dx = g`` where nothing clips, else 0; ``ds = sum of g * (y /
    s - v)`` inside and ``g * bound`` outside, bound the end of the range in steps (LSQ, Esser 2019); ``dz = sum of
    -g * s`` outside, 0 inside (LSQ+, Bhalgat 2020). The sums run over the elements that share the parameter. Gradients
    are of x's, scale's and zero's own shape, and only computed where asked for. A zero point that is trained is a
    float tensor of whole numbers. Stochastic rounding without a seed draws anew for ds. Arguments and errors as `fake`.
    """
    s = torch.as_tensor(scale, device=x.device)
    z = None if zero is None else torch.as_tensor(zero, device=x.device)
    result = _FakeSTE.apply(x, s, z, scheme)  # type: ignore[no-untyped-call]  # torch's own signature is untyped
    assert isinstance(result, Tensor)
    return result


class _FakeSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor | None, scheme: Scheme) -> Tensor:
        ctx.save_for_backward(x, scale, zero)
        ctx.scheme = scheme
        return fake(x, scheme, scale, zero)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, scale, zero = ctx.saved_tensors
        dx, ds, dz = fake_backward(grads[0], x, ctx.scheme, scale, zero, ctx.needs_input_grad[:3])
        return dx, ds, dz, None


def fake_backward(
    grad: Tensor,
    x: Tensor,
    scheme: Scheme,
    scale: Tensor,
    zero: Tensor | None = None,
    needs: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients (dx, dscale, dzero) of `fake_ste` for the gradient `grad` of its result; None where not needed."""
    work, generator = work_dtype(x, scheme), rounding_generator(x, scheme)
    aligned, s, z = prepare(x, scheme, scale, zero, work)
    v = aligned.x / s
    grid = grid_values(v.clone(), scheme, z, generator)
    inside = _inside(v, scheme, z)
    g = grad.to(work).reshape(aligned.x.shape)
    dx = ds = dz = None
    if needs[0]:
        dx = aligned.restore(torch.where(inside, g, 0.0)).to(x.dtype)
    if needs[1]:
        steps = torch.where(inside, grid - v, grid)
        ds = reduce_like(aligned.restore(g * steps), scheme, scale)
    if needs[2] and zero is not None:
        dz = reduce_like(aligned.restore(torch.where(inside, 0.0, -g * s)), scheme, zero)
    return dx, ds, dz


def _inside(v: Tensor, scheme: Scheme, z: Tensor | float) -> Tensor:
    """Where the range does not clip: the rounded value lies in it. Wrapping and overflowing quantizers do not clip."""
    if not scheme.saturate:
        return torch.ones_like(v, dtype=torch.bool)
    mode = "half_even" if scheme.rounding == "stochastic" else scheme.rounding  # chance does not decide what clips
    if scheme.codebook is not None:
        return (v >= scheme.codebook[0]) & (v <= scheme.codebook[-1])
    if scheme.storage.is_float:
        r = round_significand(v.clone(), scheme.storage.format, mode)
        return (r >= scheme.qmin) & (r <= scheme.qmax)
    r = round_(v + z, mode) if scheme.zero_inside else round_(v.clone(), mode) + z
    return (r >= scheme.qmin) & (r <= scheme.qmax)


def reduce_like(t: Tensor, scheme: Scheme, param: Tensor) -> Tensor:
    """Sum the elements that share a parameter; the result has the parameter's shape and dtype."""
    if param.numel() == 1:
        return t.sum().reshape(param.shape).to(param.dtype)
    granularity = scheme.granularity
    if scheme.product is not None and granularity.is_per_tensor:
        granularity = Granularity.per_axis(scheme.product.axis)
    return reduce_blocks(t, granularity, "sum").reshape(param.shape).to(param.dtype)
