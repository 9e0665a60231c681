"""Activation functions that are clamps, under the names that array records have for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["CLAMPS"]

CLAMPS: Final[Mapping[str, tuple[float, float]]] = {
    "NONE": (-math.inf, math.inf), "RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0),
}  # fmt: skip
"""The bounds of the activations that TFLite's kernels fuse, by their names in its schema."""
