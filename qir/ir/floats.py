"""Floats, bit by bit: what attributes hold, so that NaNs, signed zeros and last digits stay what they are."""

from __future__ import annotations

import math
import struct

from qir.ir.tensors import numpy_dtype
from qir.ir.types import FloatType

__all__ = ["float_bits", "float_from_bits", "float_text"]

_PACK = {16: "<e", 32: "<f", 64: "<d"}
_BITS = {16: "<H", 32: "<I", 64: "<Q"}


def float_bits(value: float, type: FloatType) -> int:
    """The bit pattern of `value` rounded (half to even) to a float type; too large a value becomes infinity or NaN."""
    if type.name in ("f16", "f32", "f64"):
        try:
            data = struct.pack(_PACK[type.width], value)
        except OverflowError:
            data = struct.pack(_PACK[type.width], math.copysign(math.inf, value))
        return int(struct.unpack(_BITS[type.width], data)[0])
    import numpy as np

    array = np.array([value], np.float64).astype(numpy_dtype(type))
    return int.from_bytes(array.tobytes(), "little")


def float_from_bits(bits: int, type: FloatType) -> float:
    """The value of a bit pattern."""
    if type.name in ("f16", "f32", "f64"):
        return float(struct.unpack(_PACK[type.width], struct.pack(_BITS[type.width], bits))[0])
    import numpy as np

    dtype = numpy_dtype(type)
    return float(np.frombuffer(bits.to_bytes(dtype.itemsize, "little"), dtype)[0])


def float_text(bits: int, type: FloatType) -> str:
    """Shortest decimal that reads back to the same bits in `type`; hexadecimal bits for NaN and infinities."""
    value = float_from_bits(bits, type)
    if not math.isfinite(value):
        return f"0x{bits:0{(type.width + 3) // 4}X}"
    if type.width <= 8 or type.name == "f64" or (value == int(value) and abs(value) < 1e15):
        text = repr(value)  # few digits anyway, and 448.0 says more than 450.0, which would do too
    else:
        text = next(t for t in (f"{value:.{digits}g}" for digits in range(1, 18)) if float_bits(float(t), type) == bits)
        if "e" in text and 1e-5 <= abs(value) < 1e17:  # %g takes the exponent form early; decimals are easier to read
            text = repr(float(text))
    mantissa, e, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}e{int(exponent):+03d}" if e else mantissa
