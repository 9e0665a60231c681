"""How TFLite and XNNPACK sample images that change their size: which pixels, with which weights.

There are three ways to place the pixels of the result: `half` (their centres lie where they would in the image),
`corners` (the corners' centres coincide), and neither (their upper left corners coincide).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qir.numerics.fixed_point import shift_right, truncated_quotient

__all__ = ["bilinear_codes", "nearest_pixels", "nearest_pixels_fixed", "stays_inside"]

F32, I64 = torch.float32, torch.int64


def _ratio(size: int, out: int, corners: bool) -> Tensor:
    """Pixels of the image per pixel of the result, in float32."""
    less = int(corners and out > 1)
    return torch.tensor(size - less, dtype=F32) / torch.tensor(out - less, dtype=F32)


def nearest_pixels(size: int, out: int, half: bool, corners: bool) -> Tensor:
    """The pixels of an axis that RESIZE_NEAREST_NEIGHBOR copies, int64 [out] (TFLite,
    reference/resize_nearest_neighbor.h, GetNearestNeighbor)."""
    place = (torch.arange(out, dtype=F32) + (0.5 if half else 0.0)) * _ratio(size, out, corners)
    return torch.floor(place + (0.5 if corners else 0.0)).to(I64).clamp(0, size - 1)


def nearest_pixels_fixed(size: int, out: int) -> Tensor:
    """As `nearest_pixels` with neither, by a ratio of 16 fraction bits (TFLite, optimized_ops.h)."""
    return (torch.arange(out) * (size * 65536 // out + 1) >> 16).clamp(max=size - 1)


def stays_inside(size: int, out: int, half: bool, corners: bool) -> bool:
    """Whether the kernels with weights of 10 bits read pixels of the image alone: their ratio may be rounded up so far
    that the last ones lie behind its edge."""
    lower, _, _ = _taps(size, out, 10, half, corners)
    return bool((lower < size).all())


def _taps(size: int, out: int, bits: int, half: bool, corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The lower and the upper pixel of an axis and its weight in steps of ``2**-bits``; int64 [out]."""
    places = torch.arange(out)
    if bits == 11:
        ratio = _ratio(size, out, corners)
        at = places.to(F32) * ratio
        if half:
            at = (at + (0.5 * ratio - 0.5)).clamp(0, size - 1)
        lower = at.to(I64)
        return lower, (lower + 1).clamp(max=size - 1), torch.round((at - lower.to(F32)) * 2048).to(I64)
    less, one = int(corners and out > 1), 1 << bits
    step = (one * (size - less) + (out - less) // 2) // (out - less)
    whole = places * step + (step // 2 - one // 2 if half else 0)
    lower = truncated_quotient(whole, one).clamp(min=0)
    return lower, truncated_quotient(whole + one - 1, one).clamp(max=size - 1), whole - lower * one


def bilinear_codes(x: Tensor, size: Sequence[int], bits: int, half: bool, corners: bool) -> Tensor:
    """Codes [N, H, W, C] at another size, int64, interpolated between pixels.

    Weights of 10 bits, the sum rounded half away from zero: TFLite, reference/resize_bilinear.h, ResizeBilinearInteger.
    Weights of 11 bits, rounded from float32, ties of the sum up: XNNPACK, indirection.c and s8-ibilinear.
    """
    y = x.to(I64)
    for axis in (1, 2):
        lower, upper, weight = _taps(x.shape[axis], size[axis - 1], bits, half, corners)
        weight = weight.reshape(-1, *[1] * (3 - axis))
        low, high = y.index_select(axis, lower), y.index_select(axis, upper)
        y = (low << bits) + (high - low) * weight
    return shift_right(y, 2 * bits, "up" if bits == 11 else "away")
