"""Fake quantization on the GPU: what the kernels can do, and their launch.

The torch form is `qir.numerics.fake` and `qir.numerics.fake_backward`; results are equal bit for bit, but for the order
in which the gradients of scale and zero point are summed. This imports triton: use `qir.triton_kernels.dispatch`.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from qir.numerics.gradient import reduce_like
from qir.numerics.layout import collapse, grid_of
from qir.numerics.scheme import Granularity, Scheme
from qir.triton_kernels.kernels import backward_kernel, forward_kernel

__all__ = ["backward", "forward", "supports"]

BLOCK = 1024
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def supports(x: Tensor, scheme: Scheme) -> bool:
    """Whether the kernels compute this: float32 or half tensors; integers to 16 bits and floats; no random rounding."""
    storage = scheme.storage
    if x.dtype not in _DTYPES or scheme.rounding == "stochastic" or storage.is_codebook or scheme.product is not None:
        return False
    if storage.is_integer:
        kind = storage.bits <= 16 and scheme.saturate
    else:
        kind = storage.format.specials != "scale"
    return kind and len(collapse(scheme.granularity, x.shape)) <= 3


def forward(x: Tensor, scheme: Scheme, scale: Any, zero: Any = None) -> Tensor:
    """`qir.numerics.fake` by a Triton kernel, for what `supports` accepts. The result is contiguous, of x's dtype."""
    x = x.contiguous()
    y = torch.empty_like(x)
    if x.numel():
        s, z, layout, options = _launch(x, scheme, scale, zero)
        with torch.cuda.device_of(x):
            forward_kernel[(triton.cdiv(x.numel(), BLOCK),)](x, s, z, y, *layout, **options)
    return y


def backward(
    grad: Tensor, x: Tensor, scheme: Scheme, scale: Tensor, zero: Tensor | None, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """`qir.numerics.fake_backward` by a Triton kernel, for what `supports` accepts."""
    need_x, need_s, need_z = needs[0], needs[1], needs[2] and zero is not None
    x, grad = x.contiguous(), grad.contiguous()
    programs = triton.cdiv(x.numel(), BLOCK)
    summed = scale.numel() == 1 and (zero is None or zero.numel() == 1)
    dx = torch.empty_like(x)
    ds = torch.zeros(programs if summed else x.shape if need_s else 0, dtype=torch.float32, device=x.device)
    dz = torch.zeros(programs if summed else x.shape if need_z else 0, dtype=torch.float32, device=x.device)
    if x.numel():
        s, z, layout, options = _launch(x, scheme, scale, zero)
        needed = {"NEED_X": need_x, "NEED_S": need_s, "NEED_Z": need_z, "SUM": summed}
        with torch.cuda.device_of(x):
            backward_kernel[(programs,)](grad, x, s, z, dx, ds, dz, *layout, **needed, **options)
    return (
        dx if need_x else None,
        reduce_like(ds, scheme, scale) if need_s else None,
        reduce_like(dz, scheme, zero) if need_z and zero is not None else None,
    )


def _launch(x: Tensor, scheme: Scheme, scale: Any, zero: Any) -> tuple[Tensor, Tensor, tuple[Any, ...], dict[str, Any]]:
    """The parameters as flat float32 tensors, the kernel's layout arguments, and its compile-time options."""
    s = torch.as_tensor(scale).to(x.device, torch.float32)
    z = None if zero is None else torch.as_tensor(zero).to(x.device, torch.float32)
    single = s.numel() == 1 and (z is None or z.numel() == 1)
    granularity = Granularity.per_tensor() if single else scheme.granularity
    grid = grid_of(granularity, x.shape)
    blocks = 1
    for count in grid:
        blocks *= count
    s = _flat(s, blocks, granularity, x)
    z = None if z is None else _flat(z, blocks, granularity, x)
    dims = collapse(granularity, x.shape)
    (_, b0), (n1, b1), (n2, b2) = [(1, 1)] * (3 - len(dims)) + dims
    layout = (x.numel(), n1, b0, b1, -(-n1 // b1), n2, b2, -(-n2 // b2))
    storage, zero_code = scheme.storage, float(scheme.fixed_zero)
    options: dict[str, Any] = {
        "DIMS": 0 if single else len(dims), "HAS_ZERO": z is not None, "WIDE": x.numel() > 2**31 - BLOCK,
        "SIZE": BLOCK, "KIND": "integer", "MODE": scheme.rounding, "INSIDE": scheme.zero_inside, "MIN_NORMAL": 1.0,
        "ULP": 1.0, "OVERFLOW": "saturate", "UNSIGNED_ZERO": False,
    }  # fmt: skip
    if storage.is_float:
        form = storage.format
        options |= {
            "KIND": "float", "MIN_NORMAL": 2.0**form.emin, "ULP": 2.0**-form.mantissa,
            "UNSIGNED_ZERO": form.specials == "fnuz",
        }  # fmt: skip
        if not scheme.saturate and form.has_nan:
            options["OVERFLOW"] = "infinity" if form.has_infinity else "nan"
    return s, s if z is None else z, (*layout, zero_code, float(scheme.qmin), float(scheme.qmax)), options


def _flat(param: Tensor, blocks: int, granularity: Granularity, x: Tensor) -> Tensor:
    if param.numel() == 1:
        return param.reshape(1).expand(blocks).contiguous()
    if param.numel() != blocks:
        raise ValueError(
            f"parameters of shape {tuple(param.shape)} do not fit {granularity} of a tensor of shape {tuple(x.shape)}"
        )
    return param.reshape(-1).contiguous()
