"""Formats that state a range instead of a scale and a zero point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SpanGrid", "span_of"]


def span_of(scale: Any, zero: int, levels: int) -> tuple[np.float32, np.float32]:
    """The range of a grid in float32, ``low = fl(-zero * s)`` and ``high = fl((levels - 1 - zero) * s)``.

    Who reads it works the zero point out as ``fl(fl(-low * (levels - 1)) / fl(high - low))``, which should be an
    integer again. So s is the scale or, of those some last bits off, the nearest one for which it is `zero`.
    """
    last, scale = np.float32(levels - 1), np.float32(scale)
    for step in sorted(range(-99, 100), key=abs):
        low, high = (np.float32(n) * (scale + step * np.spacing(scale)) for n in (-zero, levels - 1 - zero))
        if -low * last / (high - low) == zero:
            break
    return low, high


class SpanGrid:
    """The numbers of a range: `levels` of them from `low` to `high`, in steps of ``fl(fl(high - low) / (levels - 1))``.

    `factor` and `shift` make codes of numbers, or of multiples of the step of `unit`. All are float32 of numpy, for
    torch divides a number by a tensor in two roundings. `zero` counts from the lowest code.
    """

    def __init__(self, scale: float, zero: int, levels: int, unit: SpanGrid | None = None) -> None:
        last = np.float32(levels - 1)
        self.zero, self.levels = zero, levels
        self.low, self.high = span_of(scale, zero, levels)
        self.step = (self.high - self.low) / last
        if unit is not None:
            self.low, self.high = self.low / unit.step, self.high / unit.step
        self.factor, self.shift = last / (self.high - self.low), -self.low * last / (self.high - self.low)

    @property
    def size(self) -> float:
        """The step."""
        return float(self.step)

    def centred(self, x: Tensor) -> Tensor:
        """``code - zero`` of numbers on the grid, as floats."""
        return (x / self.size).round()

    def codes(self, x: Tensor) -> Tensor:
        """The codes of numbers on the grid, uint8."""
        return (self.centred(x) + self.zero).byte()
