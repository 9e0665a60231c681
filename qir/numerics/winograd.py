"""Integer convolutions by Winograd's F(4,3) in int32: what their sums become, and when they overflow.

The transforms of F(4,3) have denominators; integer kernels multiply them out, so that their sums are 576 times too
large, and divide at the end (ncnn, convolution_3x3_winograd_int8.h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LARGEST_WEIGHTS", "overflowing_channels", "winograd43"]

LARGEST_WEIGHTS = 29_356
"""Sum of the magnitudes of a channel's weights up to which no int8 input, without -128, overflows: that times 127 times
576 stays below 2**31."""


def overflowing_channels(codes: np.ndarray[Any, Any]) -> str:
    """Which output channels of int8 weights ``[M, …]`` may overflow, in words; "" where none can."""
    sums = np.abs(codes.astype(np.int64)).reshape(len(codes), -1).sum(1)
    wrong = int((sums > LARGEST_WEIGHTS).sum())
    return f"the weights of {wrong} channels sum up to {sums.max()}, more than {LARGEST_WEIGHTS}" if wrong else ""


def winograd43(acc: Tensor) -> Tensor:
    """``trunc(fl(576 acc wrapped to int32) * fl(1 / 576))`` of an exact sum: what is left of it, in float32.

    Exact up to 1,864,136, at most one short up to 3,728,269.
    """
    import torch

    wrapped = (acc.to(torch.int64) * 576 + 2**31) % 2**32 - 2**31
    return torch.trunc(wrapped.to(torch.float32) * torch.tensor(1 / 576, dtype=torch.float32))
