"""Storage types: what a quantized number is kept in. No torch here; `qir.numerics.codec` does the arithmetic."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

import attrs

__all__ = ["FLOAT_FORMATS", "FloatFormat", "Storage"]

Specials = Literal["ieee", "fn", "fnuz", "finite", "scale"]


@attrs.frozen
class FloatFormat:
    """A binary floating-point format: sign, exponent and mantissa bits, exponent bias, and what its special codes are.

    `specials`: ``ieee`` has infinities and NaNs in the top binade (f16, bf16, f8E5M2); ``fn`` has no infinity and one
    NaN, all ones (f8E4M3FN); ``fnuz`` has no infinity, no negative zero, and NaN in its place; ``finite`` has numbers
    only (f6, f4); ``scale`` is f8E8M0FNU: no sign, no zero, powers of two, NaN is 0xFF.
    """

    exponent: int
    mantissa: int
    bias: int
    specials: Specials

    @property
    def signed(self) -> bool:
        return self.specials != "scale"

    @property
    def bits(self) -> int:
        return self.exponent + self.mantissa + self.signed

    @property
    def has_infinity(self) -> bool:
        return self.specials == "ieee"

    @property
    def has_nan(self) -> bool:
        return self.specials != "finite"

    @property
    def emin(self) -> int:
        """Exponent of the smallest normal number; subnormals are multiples of 2**(emin - mantissa)."""
        return -self.bias if self.specials == "scale" else 1 - self.bias

    @property
    def emax(self) -> int:
        """Exponent of the largest finite number: floor(log2(max_finite))."""
        return (1 << self.exponent) - 1 - self.bias - (self.specials in ("ieee", "scale"))

    @property
    def max_finite(self) -> float:
        """The largest finite number."""
        steps = (2 << self.mantissa) - 1 - (self.specials == "fn")
        return math.ldexp(steps, self.emax - self.mantissa)

    @property
    def min_positive(self) -> float:
        """The smallest number above zero (a subnormal, where the format has them)."""
        return math.ldexp(1.0, self.emin - self.mantissa)


FLOAT_FORMATS: Final[dict[str, FloatFormat]] = {
    "f16": FloatFormat(5, 10, 15, "ieee"),
    "bf16": FloatFormat(8, 7, 127, "ieee"),
    "f8E4M3FN": FloatFormat(4, 3, 7, "fn"),
    "f8E5M2": FloatFormat(5, 2, 15, "ieee"),
    "f8E4M3FNUZ": FloatFormat(4, 3, 8, "fnuz"),
    "f8E5M2FNUZ": FloatFormat(5, 2, 16, "fnuz"),
    "f8E8M0FNU": FloatFormat(8, 0, 127, "scale"),
    "f6E2M3FN": FloatFormat(2, 3, 1, "finite"),
    "f6E3M2FN": FloatFormat(3, 2, 3, "finite"),
    "f4E2M1FN": FloatFormat(2, 1, 1, "finite"),
}
"""The floating-point storages by MLIR's names (IEEE 754, OCP FP8, OCP MX, and the FNUZ forms)."""

_INTEGER = re.compile(r"(i|u|ui|si)([1-9][0-9]?)")


@attrs.frozen
class Storage:
    """The type that a quantized number is stored in.

    `name` is the quantizer's spelling: ``i2`` … ``i16``, ``i32``, ``u2`` … ``u16``, a float format's MLIR name, or
    ``lut`` (an index into the quantizer's codebook). Build one with `Storage.parse`.
    """

    name: str

    def __attrs_post_init__(self) -> None:
        if _canonical(self.name) != self.name:
            raise ValueError(f"{self.name!r} is not a storage's own name; use Storage.parse")

    @classmethod
    def parse(cls, text: str) -> Storage:
        """The storage that `text` names, in the quantizer's spelling (``u8``) or as an element type (``ui8``, ``si8``).

        Raises ValueError, naming what there is, for any other text.
        """
        return cls(_canonical(text))

    def __str__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        return self.name in FLOAT_FORMATS

    @property
    def is_codebook(self) -> bool:
        return self.name == "lut"

    @property
    def is_integer(self) -> bool:
        return not self.is_float and not self.is_codebook

    @property
    def format(self) -> FloatFormat:
        """The float format; ValueError for an integer or a codebook."""
        if not self.is_float:
            raise ValueError(f"storage {self.name} is not a float format")
        return FLOAT_FORMATS[self.name]

    @property
    def bits(self) -> int:
        """Bits of one number. ValueError for ``lut``, whose width its codebook decides (`Scheme.bits`)."""
        if self.is_float:
            return self.format.bits
        if self.is_codebook:
            raise ValueError("the width of a lut is that of its codebook: ask the scheme")
        return int(self.name[1:])

    @property
    def signed(self) -> bool:
        """Whether negative numbers can be stored with zero point 0."""
        return self.format.signed if self.is_float else self.name[0] == "i"

    @property
    def qmin(self) -> int | float:
        """The smallest code of an integer, the most negative finite number of a float."""
        if self.is_float:
            return -self.format.max_finite if self.signed else self.format.min_positive
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int | float:
        """The largest code of an integer, the largest finite number of a float."""
        if self.is_float:
            return self.format.max_finite
        return (1 << (self.bits - self.signed)) - 1

    @property
    def max_finite(self) -> float:
        """`qmax` as a float."""
        return float(self.qmax)

    @property
    def element(self) -> str:
        """The element type in the IR: MLIR's spelling, unsigned integers as ``uiN``. ValueError for ``lut``."""
        if self.is_codebook:
            raise ValueError("the element type of a lut is that of its codebook: ask the scheme")
        return f"ui{self.bits}" if self.is_integer and not self.signed else self.name


def _canonical(text: str) -> str:
    if text in FLOAT_FORMATS or text == "lut":
        return text
    match = _INTEGER.fullmatch(text)
    if match:
        signed, bits = match[1] in ("i", "si"), int(match[2])
        if 2 <= bits <= 16 or (signed and bits == 32):
            return f"{'i' if signed else 'u'}{bits}"
    known = f"i2 to i16, i32, u2 to u16, lut, or {', '.join(FLOAT_FORMATS)}"
    raise ValueError(f"unknown storage {text!r}: expected {known}")
