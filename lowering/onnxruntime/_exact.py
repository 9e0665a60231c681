"""Exact integer convolutions and products in float64 (every sum of the kernels stays far below 2**53)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def integer_matmul(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` of integer values, exactly, in float64."""
    return torch.matmul(a.to(torch.float64), b.to(torch.float64))


def integer_conv(
    x: Tensor, w: Tensor, strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int], groups: int
) -> Tensor:
    """The convolution of integer values (zero points subtracted), exactly, in float64; `pads` in ONNX' order."""
    rank = x.dim() - 2
    spread = [p for i in reversed(range(rank)) for p in (pads[i], pads[i + rank])]
    padded = functional.pad(x.to(torch.float64), spread)
    return _CONV[rank](padded, w.to(torch.float64), None, tuple(strides), 0, tuple(dilations), groups)
