"""From an integer accumulator to the next tensor's codes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qir.numerics.codec import storage_dtype
from qir.numerics.rounding import round_
from qir.numerics.scheme import Scheme

__all__ = ["requantize"]


def requantize(acc: Tensor, multiplier: Any, zero: Any, scheme: Scheme, mode: str | None = None) -> Tensor:
    """``clip(round(fl(float(acc) * m)) + z, qmin, qmax)``: onnxruntime's QLinearConv, QLinearMatMul and QGemm.

    `acc`: exact sums, int32 or a float type that holds them. `multiplier`: float32, broadcast against acc; the runtime
    has ``m = fl(fl(s_x * s_w) / s_y)``. `zero`: the output's zero point (None: the scheme's fixed one), a number or
    broadcast. `scheme`: the output's range and storage; `mode`: a rounding, the scheme's if None. Returns codes of
    `storage_dtype(scheme)`.
    """
    m = torch.as_tensor(multiplier, dtype=torch.float32, device=acc.device)
    q = round_(acc.to(torch.float32) * m, mode or scheme.rounding)
    z: Any = scheme.fixed_zero if zero is None else zero
    if isinstance(z, Tensor):
        z = z.to(acc.device, torch.float32)
    return q.add_(z).clamp_(scheme.qmin, scheme.qmax).to(storage_dtype(scheme))
