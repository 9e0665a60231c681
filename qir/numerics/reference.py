"""The reference: what every word of a quantizer means, in float64 numpy, for tests.

Written from docs/semantics.md alone and slowly: formats are tables of all their numbers, roundings are case analyses,
blocks are loops. Nothing here is shared with the torch code except the `Scheme` that both are given.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from qir.numerics.scheme import Scheme

__all__ = ["decode", "encode", "expand", "fake", "fake_backward", "format_table", "quantize_value", "round_number"]

Array = np.ndarray[Any, Any]


def round_number(v: float, mode: str) -> float:
    """`v` rounded to an integer by `mode` (any but stochastic); NaN and infinities as they are."""
    if not math.isfinite(v):
        return v
    below, above = math.floor(v), math.ceil(v)
    if below == above:
        return float(below)
    return float(_choose(v - below, above - v, below, above, below % 2 == 0, mode))


def _choose(from_low: Any, to_high: Any, low: Any, high: Any, low_is_even: bool, mode: str) -> Any:
    """Which of the neighbours low < v < high: by distance, and on a tie (or for a directed mode) by the rule."""
    if mode == "floor":
        return low
    if mode == "ceil":
        return high
    if mode == "toward_zero":
        return low if abs(low) < abs(high) else high
    if from_low != to_high:
        return low if from_low < to_high else high
    ties = {
        "half_even": low if low_is_even else high,
        "half_up": high,
        "half_down": low,
        "half_away": high if abs(high) > abs(low) else low,
        "half_toward_zero": low if abs(low) < abs(high) else high,
    }
    return ties[mode]


def format_table(exponent: int, mantissa: int, bias: int, specials: str) -> list[float]:
    """The finite non-negative numbers of a format by code, rising, from its layout (f8E8M0FNU: from 2**-127)."""
    codes = range(1 << (exponent + mantissa))
    if specials == "scale":
        return [2.0 ** (code - bias) for code in codes if code != 255]
    table = []
    for code in codes:
        e, m = code >> mantissa, code % (1 << mantissa)
        if specials == "ieee" and e == (1 << exponent) - 1:
            break
        if specials == "fn" and code == codes[-1]:
            break
        scale = 2.0 ** (max(e, 1) - bias)
        table.append(scale * ((e > 0) + m / (1 << mantissa)))
    return table


_TABLES: dict[str, Array] = {}


def _table(scheme: Scheme) -> Array:
    name, form = scheme.storage.name, scheme.storage.format
    if name not in _TABLES:
        _TABLES[name] = np.array(format_table(form.exponent, form.mantissa, form.bias, form.specials))
    return _TABLES[name]


def _round_to_table(v: float, scheme: Scheme) -> float:
    """`v` on the format's grid as if its exponent had no upper end: any result above the table's end overflows."""
    form, table = scheme.storage.format, _table(scheme)
    magnitude, mode = abs(v), str(scheme.rounding)
    if v < 0:  # the same choice as on the positive side, seen in the mirror
        mode = {"floor": "ceil", "ceil": "floor", "half_up": "half_down", "half_down": "half_up"}.get(mode, mode)
    beyond = 2 * table[-1] - table[-2] if form.mantissa else 2 * table[-1]
    if magnitude >= beyond:
        return v
    code = int(np.searchsorted(table, magnitude, side="right")) - 1
    low, high = float(table[code]), float(table[code + 1]) if code + 1 < len(table) else float(beyond)
    if low != magnitude:
        even = code % 2 == 0 if form.mantissa else False  # without a mantissa the tie 1.5 goes to the even 2
        low = float(_choose(magnitude - low, high - magnitude, low, high, even, mode))
    return math.copysign(low, v)


def _quantize_float(v: float, scheme: Scheme) -> float:
    form = scheme.storage.format
    if math.isnan(v):
        return v
    if form.specials == "scale" and v <= 0 and not scheme.saturate:
        return math.nan
    if form.specials == "scale" and v < scheme.qmin:
        return float(scheme.qmin)
    result = _round_to_table(v, scheme)
    if scheme.qmin <= result <= scheme.qmax:
        return result
    if scheme.saturate or form.specials == "finite":
        return float(min(max(result, scheme.qmin), scheme.qmax))
    return math.copysign(math.inf, v) if form.specials == "ieee" else math.nan


def _quantize_codebook(v: float, scheme: Scheme) -> int:
    book = [float(np.float32(b)) for b in scheme.codebook or ()]
    if math.isnan(v):
        return min(range(len(book)), key=lambda i: abs(book[i]))
    if v <= book[0]:
        return 0
    if v >= book[-1]:
        return len(book) - 1
    i = max(k for k, b in enumerate(book) if b <= v)
    if v == book[i]:
        return i
    low, high, exact = Fraction(book[i]), Fraction(book[i + 1]), Fraction(v)
    chosen = _choose(exact - low, high - exact, low, high, i % 2 == 0, scheme.rounding)
    return i if chosen == low else i + 1


def quantize_value(v: float, scheme: Scheme, zero: float) -> float:
    """The code (integers, codebooks) or number (floats) for ``v = x / s``; NaN stays NaN."""
    if scheme.codebook is not None:
        return _quantize_codebook(v, scheme)
    if scheme.storage.is_float:
        return _quantize_float(v, scheme)
    if math.isnan(v) or (math.isinf(v) and not scheme.saturate):
        return math.nan
    if scheme.zero_inside:
        q = round_number(float(np.float32(v + zero)), scheme.rounding)
    else:
        q = round_number(v, scheme.rounding) + zero
    if not scheme.saturate:
        return float((q - scheme.qmin) % (2**scheme.bits) + scheme.qmin)
    return float(min(max(q, scheme.qmin), scheme.qmax))


def expand(param: Array, scheme: Scheme, shape: tuple[int, ...]) -> Array:
    """A parameter for each element: by the block that its index falls into."""
    full = np.empty(shape, np.float64)
    sizes = scheme.granularity.sizes(len(shape))
    if scheme.product is not None:
        sizes = tuple(1 if i == scheme.product.axis % len(shape) else 0 for i in range(len(shape)))
    grid = [1 if size == 0 else -(-n // size) for n, size in zip(shape, sizes, strict=True)]
    blocks = param.reshape(grid) if param.size > 1 else np.broadcast_to(param.reshape(()), grid)
    for index in itertools.product(*map(range, shape)):
        block = tuple(0 if size == 0 else i // size for i, size in zip(index, sizes, strict=True))
        full[index] = blocks[block]
    return full


def _parameters(x: Array, scheme: Scheme, scale: Any, zero: Any) -> tuple[Array, Array]:
    s = expand(np.asarray(scale, np.float32).astype(np.float64), scheme, x.shape)
    z = np.asarray(scheme.fixed_zero if zero is None else zero, np.float32 if scheme.zero_inside else np.float64)
    z = expand(z.astype(np.float64), scheme, x.shape)
    return s, z


def _quotient(x: Array, s: Array, scheme: Scheme) -> Array:
    """fl(x / s): float64 division rounded to float32 is the float32 division; wide storages keep float64."""
    with np.errstate(all="ignore"):
        v = x.astype(np.float64) / s
        wide = x.dtype == np.float64 or (scheme.storage.is_integer and scheme.bits > 24)
        return np.asarray(v if wide else v.astype(np.float32).astype(np.float64))


def _map(v: Array, z: Array, scheme: Scheme) -> Array:
    flat = [quantize_value(float(a), scheme, float(b)) for a, b in zip(v.ravel(), z.ravel(), strict=True)]
    return np.reshape(np.array(flat, np.float64), v.shape)


def encode(x: Array, scheme: Scheme, scale: Any, zero: Any = None) -> Array:
    """Codes as float64 integers; for float storages the numbers themselves. NaN has the code of 0 in an integer."""
    s, z = _parameters(x, scheme, scale, zero)
    q = _map(_quotient(x, s, scheme), z, scheme)
    if scheme.storage.is_integer:
        nothing = np.clip(np.vectorize(lambda a: round_number(a, scheme.rounding))(z), scheme.qmin, scheme.qmax)
        return np.asarray(np.where(np.isnan(q), nothing, q)) if q.size else q
    return q


def decode(q: Array, scheme: Scheme, scale: Any, zero: Any = None) -> Array:
    """``fl(fl(q - z) * s)`` as float32 (codebooks and floats: the number times s)."""
    s, z = _parameters(q, scheme, scale, zero)
    if scheme.codebook is not None:
        steps = np.array(scheme.codebook, np.float32).astype(np.float64)[q.astype(np.int64)]
    else:
        steps = q - z if scheme.storage.is_integer else q
    with np.errstate(over="ignore"):
        return np.asarray((steps.astype(np.float32).astype(np.float64) * s).astype(np.float32))


def fake(x: Array, scheme: Scheme, scale: Any, zero: Any = None) -> Array:
    """``decode(encode(x))`` as float32; NaN stays NaN, and an infinite quotient that would have to wrap is one."""
    y = decode(encode(x, scheme, scale, zero), scheme, scale, zero)
    lost = np.isnan(x)
    if scheme.storage.is_integer and not scheme.saturate:
        lost = ~np.isfinite(_quotient(x, _parameters(x, scheme, scale, zero)[0], scheme))
    return np.asarray(np.where(lost, np.float32(np.nan), y))


def fake_backward(grad: Array, x: Array, scheme: Scheme, scale: Any, zero: Any = None) -> tuple[Array, Array, Array]:
    """(dx, ds, dz) per element, not yet summed over blocks, in float64."""
    s, z = _parameters(x, scheme, scale, zero)
    v = _quotient(x, s, scheme)
    g = grad.astype(np.float64)
    inside, steps = np.ones(x.shape, bool), np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        q = quantize_value(float(v[i]), scheme, float(z[i]))
        if scheme.codebook is not None:
            inside[i] = scheme.codebook[0] <= v[i] <= scheme.codebook[-1]
            steps[i] = np.float32(scheme.codebook[int(q)])
        elif scheme.storage.is_float:
            inside[i] = scheme.qmin <= _round_to_table(float(v[i]), scheme) <= scheme.qmax
            steps[i] = q
        else:
            r = round_number(v[i] + z[i], scheme.rounding) if scheme.zero_inside else None
            inside[i] = scheme.qmin <= (round_number(v[i], scheme.rounding) + z[i] if r is None else r) <= scheme.qmax
            steps[i] = q - z[i]
    if not scheme.saturate:
        inside[:] = True
    return np.where(inside, g, 0.0), g * np.where(inside, steps - v, steps), np.where(inside, 0.0, -g * s)
