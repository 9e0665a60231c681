"""Schemes: how a tensor is quantized, in full, without its parameters. No torch here.

`docs/semantics.md` gives every field as a formula; `qir.numerics.codec` is the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import attrs

from qir.ir.types import FLOAT_BITS, FloatType, IntegerType, Type
from qir.numerics.granularity import Granularity, Tail
from qir.numerics.storage import FLOAT_FORMATS, FloatFormat, Storage

__all__ = [
    "FLOAT_FORMATS", "POW2_FORMS", "ROUNDINGS", "FloatFormat", "Granularity", "Pow2", "Product", "Rounding", "Scheme",
    "Storage", "Tail", "element_type",
]  # fmt: skip

Rounding = Literal[
    "half_even", "half_away", "half_up", "half_down", "half_toward_zero", "toward_zero", "floor", "ceil", "stochastic"
]
ROUNDINGS: Final[tuple[str, ...]] = get_args(Rounding)
"""How a real number becomes an integer: five rules for ties of the nearest, three directed ones, one random one."""

Pow2 = Literal["nearest", "up", "down"]
POW2_FORMS: Final[tuple[str, ...]] = get_args(Pow2)
"""How a scale becomes a power of two; ``nearest`` is nearest in the exponent, 2**round(log2 s)."""


@attrs.frozen
class Product:
    """A bias scale ``s_x * s_w * factor``: `x` and `w` are quantizers, w's channels lie on `axis` of the bias."""

    x: str
    w: str
    axis: int = 0
    factor: float = 1.0

    def __attrs_post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ValueError(f"the factor of a product scale must be positive and finite, not {self.factor}")

    def __str__(self) -> str:
        factor = "" if self.factor == 1.0 else f" factor({self.factor!r})"
        return f"product(@{self.x}, @{self.w}) axis({self.axis}){factor}"


def _storage(value: Storage | str) -> Storage:
    return Storage.parse(value) if isinstance(value, str) else value


def _codebook(values: Iterable[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(v) for v in values)


@attrs.frozen(kw_only=True)
class Scheme:
    """How a tensor is quantized: everything but the numbers that calibration finds.

    `qmin`, `qmax`: the range of codes (integers) or of stored numbers (floats), by default the storage's own.
    `symmetric`: the zero point is fixed (`fixed_zero`), else the range decides it. The scale is a float32; rounded to a
    power of two inside the range search if `pow2` says how; itself quantized by the quantizer named `scale_by` (and the
    zero point by `zero_by`); or given by two other quantizers (`product`). `zero_inside`: the zero point is a real
    number that is added before rounding (k-quants, HQQ), not an integer that is added after it.
    `saturate` False: integers wrap, floats overflow to their infinity or NaN. `dynamic`: the parameters are computed
    from each tensor at run time. `codebook`: the sorted values of a ``lut`` storage.
    Raises ValueError for combinations that mean nothing.
    """

    storage: Storage = attrs.field(converter=_storage)
    codebook: tuple[float, ...] | None = attrs.field(default=None, converter=_codebook)
    qmin: int | float = attrs.field()
    qmax: int | float = attrs.field()
    symmetric: bool = True
    granularity: Granularity = attrs.field(factory=Granularity.per_tensor)
    pow2: Pow2 | None = None
    scale_by: str | None = None
    zero_by: str | None = None
    product: Product | None = None
    rounding: Rounding = "half_even"
    seed: int | None = None
    saturate: bool = True
    dynamic: bool = False
    zero_inside: bool = False

    @qmin.default
    def _default_qmin(self) -> int | float:
        return 0 if self.storage.is_codebook else self.storage.qmin

    @qmax.default
    def _default_qmax(self) -> int | float:
        return len(self.codebook or ()) - 1 if self.storage.is_codebook else self.storage.qmax

    def __attrs_post_init__(self) -> None:
        storage = self.storage
        if storage.is_codebook:
            self._check_codebook()
        elif self.codebook is not None:
            raise ValueError(f"a codebook needs storage lut, not {storage}")
        else:
            self._check_range()
        if not storage.is_integer and not self.symmetric:
            raise ValueError(f"storage {storage} has no zero point: it must be symmetric")
        if self.rounding not in ROUNDINGS:
            raise ValueError(f"unknown rounding {self.rounding!r}: expected {', '.join(ROUNDINGS)}")
        if self.pow2 is not None and self.pow2 not in POW2_FORMS:
            raise ValueError(f"unknown pow2 form {self.pow2!r}: expected {', '.join(POW2_FORMS)}")
        if self.seed is not None and self.rounding != "stochastic":
            raise ValueError("a seed needs round(stochastic)")
        if self.symmetric and (self.zero_by is not None or self.zero_inside):
            raise ValueError("a symmetric quantizer has no zero point to quantize or to place: say affine")
        if sum(form is not None for form in (self.pow2, self.scale_by, self.product)) > 1:
            raise ValueError("a scale has one form: pow2, scale_by or product")
        if self.product is not None and not (self.symmetric and storage.is_integer and not self.dynamic):
            raise ValueError("a product scale needs a static symmetric integer quantizer")
        if storage.is_integer and not self.saturate and self.is_narrow:
            raise ValueError(f"integers wrap over their whole width, not over <{self.qmin}:{self.qmax}>")

    def _check_codebook(self) -> None:
        book = self.codebook
        if book is None or not 2 <= len(book) <= 1 << 16:
            raise ValueError("storage lut needs a codebook of 2 to 65536 values")
        if not all(math.isfinite(v) for v in book) or any(a >= b for a, b in pairwise(book)):
            raise ValueError("a codebook holds finite values in rising order")
        if max(abs(book[0]), abs(book[-1])) == 0 or (self.qmin, self.qmax) != (0, len(book) - 1):
            raise ValueError("a codebook is used whole: it has no narrower range")

    def _check_range(self) -> None:
        low, high, storage = self.qmin, self.qmax, self.storage
        if storage.is_integer and not (isinstance(low, int) and isinstance(high, int)):
            raise ValueError(f"the range <{low}:{high}> of {storage} must be whole numbers")
        if not storage.qmin <= low < high <= storage.qmax:
            raise ValueError(f"range <{low}:{high}> is not within {storage}'s <{storage.qmin}:{storage.qmax}>")
        if storage.is_float and storage.signed and not low < 0 < high:
            raise ValueError(f"range <{low}:{high}> of {storage} must contain zero")

    @property
    def is_narrow(self) -> bool:
        """Whether the range is narrower than the storage's."""
        return not self.storage.is_codebook and (self.qmin, self.qmax) != (self.storage.qmin, self.storage.qmax)

    @property
    def bits(self) -> int:
        """Bits of one stored number; for a codebook those of its index, 2 at least."""
        if self.codebook is not None:
            return max(2, (len(self.codebook) - 1).bit_length())
        return self.storage.bits

    @property
    def element(self) -> str:
        """The element type of the encoded tensor in the IR; a codebook's index is ``uiN``."""
        return f"ui{self.bits}" if self.storage.is_codebook else self.storage.element

    @property
    def fixed_zero(self) -> int:
        """The zero point when symmetric: 0, or the middle code of an unsigned integer (128 for u8, 8 for u4)."""
        if self.storage.is_integer and not self.storage.signed:
            return (int(self.qmin) + int(self.qmax) + 1) // 2
        return 0

    @property
    def value_bounds(self) -> tuple[float, float]:
        """The smallest and largest value at scale 1 and zero point `fixed_zero`: what symmetric ranges map to."""
        if self.codebook is not None:
            return self.codebook[0], self.codebook[-1]
        return float(self.qmin - self.fixed_zero), float(self.qmax - self.fixed_zero)

    def evolve(self, **changes: Any) -> Scheme:
        """A copy with fields changed; the range follows a changed storage unless given."""
        if {"storage", "codebook"} & changes.keys():
            fields = {f.name: getattr(self, f.name) for f in attrs.fields(Scheme) if f.name not in ("qmin", "qmax")}
            return Scheme(**{**fields, **changes})
        return attrs.evolve(self, **changes)

    def __str__(self) -> str:
        words = [str(self.storage)]
        if self.is_narrow:
            words[0] += f"<{self.qmin}:{self.qmax}>"
        words.append("symmetric" if self.symmetric else "affine")
        if self.product is not None:
            words.append(str(self.product))
        else:
            words.append(str(self.granularity))
        if self.pow2 is not None:
            words.append(f"pow2({self.pow2})")
        if self.scale_by is not None:
            words.append(f"scale_by(@{self.scale_by})")
        if self.zero_by is not None:
            words.append(f"zero_by(@{self.zero_by})")
        if self.rounding == "stochastic":
            words.append(f"round(stochastic, seed = {self.seed})" if self.seed is not None else "round(stochastic)")
        elif self.rounding != "half_even":
            words.append(f"round({self.rounding})")
        words += [
            word
            for word, present in (
                ("zero_inside", self.zero_inside),
                ("wrap", not self.saturate),
                ("dynamic", self.dynamic),
            )
            if present
        ]
        if self.codebook is not None:
            words.append(f"codebook([{', '.join(map(repr, self.codebook))}])")
        return " ".join(words)


def element_type(scheme: Scheme | Storage) -> Type:
    """The element type of a scheme's codes. Raises ValueError for storage ``lut`` alone: its codebook decides."""
    name = scheme.element
    if name in FLOAT_BITS:
        return FloatType(name)
    return IntegerType(scheme.bits, "u" if name.startswith("u") else "")
