"""Codes of fewer bits than a byte, packed into bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_rows"]


def pack_rows(codes: NDArray[Any], bits: int) -> bytes:
    """Codes ``[N, K]`` in two's complement of up to 8 bits, the low bits first, every row filled up to whole bytes."""
    unpacked = codes.astype(np.int8).view(np.uint8)[..., None] >> np.arange(bits, dtype=np.uint8) & 1
    return np.packbits(unpacked.reshape(len(codes), -1), axis=1, bitorder="little").tobytes()
