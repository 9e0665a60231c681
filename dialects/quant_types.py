"""The types of MLIR's ``quant`` dialect, spelled as MLIR 22 prints them.

::

    !quant.uniform<i8:f32, 5.000000e-01:3>
    !quant.uniform<i8<-127:127>:f32:0, {1.000000e-01,2.000000e-01:-3}>
    !quant.uniform<i8:f32:{0:1, 1:2}, {{2.000000e+00:120, 3.000000e+00}, {4.000000e+00, 5.000000e+00}}>
    !quant.any<i8<-8:7>:f32>
    !quant.calibrated<f32<-9.980000e-01:1.232100e+00>>

In the IR they are opaque types; the classes here read and write their bodies.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

import attrs

from qir.ir.types import OpaqueType

__all__ = ["AnyQuantized", "Uniform", "is_quantized", "mlir_double"]


# ---------------------------------------------------------------- numbers
def mlir_double(value: float) -> str:
    """A positive finite double as MLIR prints an attribute of it.

    Six digits where they read back to the same number, else seventeen, else (where those show no point) the bits. The
    digits are LLVM's (``APFloat::toString``), which drops low digits of the exact value before it rounds: now and then
    the last one differs from the correctly rounded one.
    """
    digits, exponent = _digits(value, 6)
    short = f"{digits[0]}.{digits[1:]:0<6}e{exponent + len(digits) - 1:+03d}"
    if float(short) == value:
        return short
    digits, exponent = _digits(value, 17)
    count, leading = len(digits), exponent + len(digits) - 1
    if exponent >= 0:
        scientific = exponent > 3 or count + exponent > 17
    else:
        scientific = leading < -3
    if scientific:
        text = f"{digits[0]}.{digits[1:] or '0'}E{leading:+d}"
    elif exponent >= 0:
        text = digits + "0" * exponent
    elif leading >= 0:
        text = f"{digits[: leading + 1]}.{digits[leading + 1 :]}"
    else:
        text = f"0.{'0' * (-leading - 1)}{digits}"
    return text if "." in text else f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def _digits(value: float, precision: int) -> tuple[str, int]:
    """Decimal digits and exponent of ``digits * 10**exponent``, to a precision."""
    numerator, denominator = value.as_integer_ratio()
    shift = denominator.bit_length() - 1
    if shift:  # m / 2**k = m * 5**k / 10**k
        significand, exponent = numerator * 5**shift, -shift
    else:
        significand, exponent = numerator, 0
    surplus = significand.bit_length() - (precision * 196 + 58) // 59
    if surplus > 0:
        drop = surplus * 59 // 196
        significand //= 10**drop
        exponent += drop
    digits = str(significand)
    surplus = len(digits) - precision
    if surplus > 0:
        up = digits[precision] >= "5"
        digits, exponent = digits[:precision], exponent + surplus
        if up:
            digits = str(int(digits) + 1)
    stripped = digits.rstrip("0") or "0"
    return stripped, exponent + len(digits) - len(stripped)


# ---------------------------------------------------------------- types
@attrs.frozen
class Uniform:
    """``!quant.uniform``: storage (``i8``, ``u8``) with its range, expressed type, and scales with zero points.

    `blocks` maps axes to block sizes: () is per tensor, ``((0, 1),)`` with `per_axis` one scale per index of axis 0.
    `shape` is the shape of the nested list of scales, () per tensor. `scales` and `zeros` are in row-major order.
    """

    storage: str
    qmin: int
    qmax: int
    expressed: str
    scales: tuple[float, ...]
    zeros: tuple[int, ...]
    shape: tuple[int, ...] = ()
    blocks: tuple[tuple[int, int], ...] = ()
    per_axis: bool = False

    @property
    def type(self) -> OpaqueType:
        return OpaqueType("quant", str(self))

    def __str__(self) -> str:
        low, high = _storage_range(self.storage)
        narrow = "" if (self.qmin, self.qmax) == (low, high) else f"<{self.qmin}:{self.qmax}>"
        head = f"uniform<{self.storage}{narrow}:{self.expressed}"
        parameters = [
            mlir_double(scale) + (f":{zero}" if zero else "")
            for scale, zero in zip(self.scales, self.zeros, strict=True)
        ]
        if self.per_axis:
            return f"{head}:{self.blocks[0][0]}, {{{','.join(parameters)}}}>"
        if not self.shape:
            return f"{head}, {parameters[0]}>"
        blocks = ", ".join(f"{axis}:{size}" for axis, size in self.blocks)
        return f"{head}:{{{blocks}}}, {_nested(parameters, self.shape)}>"

    @classmethod
    def parse(cls, type: object) -> Uniform | None:
        """The contents of a ``!quant.uniform`` type; None for any other type. Raises ValueError for a malformed one."""
        if not isinstance(type, OpaqueType) or type.dialect != "quant" or not type.body.startswith("uniform<"):
            return None
        return _parse(type.body)


@attrs.frozen
class AnyQuantized:
    """``!quant.any``: a quantized type whose scales are not known."""

    storage: str
    qmin: int
    qmax: int
    expressed: str

    @property
    def type(self) -> OpaqueType:
        return OpaqueType("quant", str(self))

    def __str__(self) -> str:
        narrow = "" if (self.qmin, self.qmax) == _storage_range(self.storage) else f"<{self.qmin}:{self.qmax}>"
        return f"any<{self.storage}{narrow}:{self.expressed}>"

    @classmethod
    def parse(cls, type: object) -> AnyQuantized | None:
        """The contents of a ``!quant.any`` type that says what it expresses; None for any other type."""
        match = _ANY.fullmatch(type.body) if isinstance(type, OpaqueType) and type.dialect == "quant" else None
        if match is None or not (match["i"] or match["sign"] == "u"):
            return None
        storage = f"{'u' if match['sign'] == 'u' else 'i'}{match['bits']}"
        low, high = _storage_range(storage)
        if match["low"] is not None:
            low, high = int(match["low"]), int(match["high"])
        return cls(storage, low, high, match["expressed"])


def is_quantized(type: object) -> bool:
    """Whether an element type is one of the ``quant`` dialect's."""
    return isinstance(type, OpaqueType) and type.dialect == "quant"


def _nested(parameters: Sequence[str], shape: Sequence[int]) -> str:
    for size in reversed(shape):
        parameters = [f"{{{', '.join(parameters[i : i + size])}}}" for i in range(0, len(parameters), size)]
    return parameters[0]


def _storage_range(storage: str) -> tuple[int, int]:
    bits = int(storage[1:])
    return (0, (1 << bits) - 1) if storage[0] == "u" else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


# ---------------------------------------------------------------- reading
_STORAGE = (
    r"(?P<sign>[su]?)(?P<i>i?)(?P<bits>[1-9]\d?)\s*(?:<\s*(?P<low>-?\d+)\s*:\s*(?P<high>-?\d+)\s*>)?"
    r"\s*:\s*(?P<expressed>\w+)\s*"
)
_HEAD = re.compile(
    r"uniform<\s*" + _STORAGE + r"(?::\s*(?:(?P<axis>\d+)|\{(?P<blocks>[^}]*)\}))?\s*,\s*(?P<rest>.*)>\s*", re.DOTALL
)
_ANY = re.compile(r"any<\s*" + _STORAGE + r">\s*")
_TOKEN = re.compile(r"\s*(0x[0-9a-fA-F]+|[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|[{}:,])")


def _parse(body: str) -> Uniform:
    match = _HEAD.fullmatch(body)
    if match is None or not (match["i"] or match["sign"] == "u"):
        raise ValueError(f"!quant.{body} is not spelled as !quant.uniform<storage:expressed, scale:zero>")
    storage = f"{'u' if match['sign'] == 'u' else 'i'}{match['bits']}"
    low, high = _storage_range(storage)
    if match["low"] is not None:
        low, high = int(match["low"]), int(match["high"])
    tokens = list(_tokens(match["rest"]))
    tree, end = _parameters(tokens, 0)
    if end != len(tokens):
        raise ValueError(f"'{tokens[end]}' is not expected in !quant.{body}")
    shape = _shape(tree)
    flat = list(_flatten(tree))
    blocks: tuple[tuple[int, int], ...] = ()
    if match["axis"] is not None:
        blocks = ((int(match["axis"]), 1),)
    elif match["blocks"] is not None:
        pairs = [pair.split(":") for pair in match["blocks"].split(",") if pair.strip()]
        blocks = tuple((int(axis), int(size)) for axis, size in pairs)
    per_axis = match["axis"] is not None
    if per_axis and len(shape) != 1 or (match["axis"] is None and match["blocks"] is None and shape):
        raise ValueError(f"the scales of !quant.{body} are nested otherwise than its axes say")
    scales, zeros = tuple(s for s, _ in flat), tuple(z for _, z in flat)
    return Uniform(storage, low, high, match["expressed"], scales, zeros, shape, blocks, per_axis)


def _tokens(text: str) -> Iterator[str]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"'{text[at : at + 10]}' is not expected in the parameters of a quantized type")
        yield match.group(1)
        at = match.end()


def _parameters(tokens: list[str], at: int) -> tuple[object, int]:
    """A scale with its zero point, or a list of such in braces, and where it ends."""
    if at >= len(tokens):
        raise ValueError("a quantized type ends where a scale is expected")
    if tokens[at] != "{":
        scale, zero = _number(tokens[at]), 0
        at += 1
        if at + 1 < len(tokens) and tokens[at] == ":":
            zero, at = int(tokens[at + 1]), at + 2
        return (scale, zero), at
    items: list[object] = []
    while True:
        item, at = _parameters(tokens, at + 1)
        items.append(item)
        if at >= len(tokens) or tokens[at] not in ",}":
            raise ValueError("a list of scales is not closed")
        if tokens[at] == "}":
            return items, at + 1


def _number(token: str) -> float:
    if token.startswith("0x"):
        return float(struct.unpack("<d", struct.pack("<Q", int(token, 16)))[0])
    return float(token)


def _shape(tree: object) -> tuple[int, ...]:
    if not isinstance(tree, list):
        return ()
    inner = {_shape(item) for item in tree}
    if len(inner) != 1:
        raise ValueError("the lists of scales in a quantized type have different lengths")
    return (len(tree), *inner.pop())


def _flatten(tree: object) -> Iterator[tuple[float, int]]:
    if isinstance(tree, list):
        for item in tree:
            yield from _flatten(item)
    elif isinstance(tree, tuple):
        yield tree
