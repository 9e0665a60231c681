"""Sums over windows in the order in which kernels add: float32 sums depend on it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["average", "lane_sums", "window_sums"]


def window_sums(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], output: Sequence[int]
) -> Tensor:
    """Sums over windows of the axes behind the first two, in float32, added in the order of the window's elements.

    `pads` are all begins, then all ends (a window may reach beyond); `output` are the result's sizes. Padding adds
    zeros, which is exact.
    """
    rank = len(kernel)
    spread: list[int] = []
    for i in reversed(range(rank)):
        reach = (output[i] - 1) * strides[i] + kernel[i]
        spread += [pads[i], max(reach - x.shape[2 + i] - pads[i], 0)]
    padded = torch.nn.functional.pad(x, spread)
    total: Tensor | None = None
    for offsets in itertools.product(*(range(k) for k in kernel)):
        index = [slice(None)] * 2
        index += [slice(o, o + s * (n - 1) + 1, s) for o, s, n in zip(offsets, strides, output, strict=True)]
        total = padded[tuple(index)] if total is None else total + padded[tuple(index)]
    assert total is not None
    return total


def lane_sums(x: Tensor) -> Tensor:
    """Float32 sums over all axes behind the first two, as compilers vectorize a loop for four lanes: element i goes to
    lane i % 4, the lanes are added crosswise, (0 + 2) + (1 + 3), and what is left over comes last. ``[N, C]``."""
    flat = x.flatten(2)
    whole = flat.shape[2] // 4
    total = torch.zeros_like(flat[..., 0])
    if whole:
        rows = flat[:, :, : 4 * whole].unflatten(2, (whole, 4))
        lanes = window_sums(rows, (whole, 1), (1, 1), (0,) * 4, (1, 4))[:, :, 0]
        total = (lanes[..., 0] + lanes[..., 2]) + (lanes[..., 1] + lanes[..., 3])
    for value in flat[:, :, 4 * whole :].unbind(2):
        total = total + value
    return total


def average(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int], *, ceil: bool, include_pads: bool,
    inverse: bool,
) -> Tensor:  # fmt: skip
    """Averages over windows, summed in their order; `inverse`: times the inverse of the count, else divided by it.

    The last window may reach beyond the end where `ceil`; what is padded counts where `include_pads`.
    """
    rank = len(kernel)
    room = [n + pads[i] + pads[i + rank] - kernel[i] for i, n in enumerate(x.shape[2:])]
    out = [(r + s - 1 if ceil else r) // s + 1 for r, s in zip(room, strides, strict=True)]
    total, count = window_sums(x, kernel, strides, pads, out), torch.tensor(float(math.prod(kernel)))
    if not include_pads:
        count = window_sums(torch.ones_like(x[:1, :1]), kernel, strides, pads, out)
    return total * (1 / count) if inverse else total / count
