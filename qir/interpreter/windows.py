"""Sums over windows in the order in which kernels add: float32 sums depend on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["window_sums"]


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
