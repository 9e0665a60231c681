"""Literals: strings with escapes, numbers in a type's range, and the contents of ``dense<…>``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from qir.ir import base
from qir.ir.attributes import DenseAttr, DenseStringAttr, TensorAttr, dense_from_bytes, float_bits
from qir.ir.tensors import numpy_dtype, pack, storage_size
from qir.ir.types import ComplexType, FloatType, IntegerType, TensorType, Type, element_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Fail", "dense_literal", "integer_in_range", "unquote"]

Fail = Callable[[int, int, str, "str | None"], NoReturn]
"""Raises the diagnostic of a place (start and end in the literal), a message and a hint."""

def unquote(text: str, fail: Fail) -> str:
    """The string that a quoted literal stands for; escaped bytes that are not UTF-8 become surrogates."""
    try:
        return base.unquote(text)
    except base.BadEscape as error:
        start = error.position
        fail(start, start + 2, "bad escape in a string", 'write \\\\, \\", \\n, \\t or two hexadecimal digits (\\0A)')


def integer_in_range(value: int, type: Type) -> int | None:
    """`value` as an integer type holds it (signless: as the signed one with the same bits); None if it does not fit."""
    width = type.width if isinstance(type, IntegerType) else 64
    signedness = type.signedness if isinstance(type, IntegerType) else ""
    low = 0 if signedness == "u" else -(1 << (width - 1))
    high = (1 << (width - 1)) - 1 if signedness == "s" else (1 << width) - 1
    if not low <= value <= high:
        return None
    if width == 1 and signedness == "":
        return value & 1
    if not signedness and value > (1 << (width - 1)) - 1:
        value -= 1 << width
    return value


_ITEM = re.compile(
    r"[\s,]*(?:(?P<number>-?(?:0x[0-9A-Fa-f]+|\d+(?:\.\d*(?:[eE][-+]?\d+)?)?))|(?P<word>true|false)"
    r'|(?P<string>"[^"\\\n]*(?:\\.[^"\\\n]*)*")|(?P<open>\[)|(?P<close>\])|(?P<round>[()])|(?P<end>\Z))'
)


def dense_literal(text: str, type: TensorType, fail: Fail) -> TensorAttr:
    """The attribute of ``dense<text> : type``.

    `text` is a nested list, one element for all, one hexadecimal string of all bytes, or nothing for an empty tensor.
    """
    element = type.element
    if not type.is_static or type.shape is None:
        fail(0, len(text), f"the data of a tensor needs a static shape, {type} has none", None)
    strings = False
    try:
        element_bits(element)
    except ValueError:  # no numbers: ONNX's strings
        strings = True
    items, shape = _items(text, fail)
    count = type.count
    if not strings and len(items) == 1 and items[0][0] == "string":
        return _hexadecimal(items[0][1], type, fail)
    if shape is not None and (shape != type.shape or not text.strip()):
        if not (count == 0 and not items):
            what = "x".join(map(str, shape))
            fail(0, len(text), f"the data has the shape {what}, the type {type} has another", None)
    elif not items and count:
        fail(0, len(text), f"there is no data for {type}", None)
    if strings:
        if any(kind != "string" for kind, _, _ in items):
            fail(0, len(text), f"elements of {element} are written as strings", None)
        values = tuple(unquote(word, fail).encode("utf-8", "surrogateescape") for _, word, _ in items)
        return DenseStringAttr(type, values * count if shape is None and count > 1 else values)
    data = _pack(items, element, fail)
    return dense_from_bytes(data, type) if shape is not None or count < 2 else _splat(data, type)


def _splat(data: bytes, type: TensorType) -> DenseAttr:
    """All elements equal to the one that `data` holds."""
    bits, count = element_bits(type.element), type.count
    if storage_size(type.element, count) == storage_size(type.element, 1):  # two or more of them share its byte
        data = pack(_codes([data[0] & ((1 << bits) - 1)] * count), type.element)
    return DenseAttr(type, data)


def _items(text: str, fail: Fail) -> tuple[list[tuple[str, str, int]], tuple[int, ...] | None]:
    """All elements in order, and the shape of the nested list; None for a single element outside a list."""
    items: list[tuple[str, str, int]] = []
    sizes: list[int | None] = []
    counts: list[int] = []
    position, depth, leaf = 0, 0, -1
    inside_round = 0
    listed = False
    while True:
        match = _ITEM.match(text, position)
        if match is None:
            fail(position, position + 1, "a number, true, false, a string or a list is expected in dense<…>", None)
        kind, start = match.lastgroup, match.start(match.lastgroup or 0)
        position = match.end()
        if kind == "open":
            listed = True
            if depth == 0 and items:
                fail(start, start + 1, "one list, or one element, is expected in dense<…>", None)
            if depth:
                counts[-1] += 1
            depth += 1
            counts.append(0)
            if len(sizes) < depth:
                sizes.append(None)
        elif kind == "close":
            if not depth:
                fail(start, start + 1, "this ']' closes nothing", None)
            size = counts.pop()
            depth -= 1
            if sizes[depth] is None:
                sizes[depth] = size
            elif sizes[depth] != size:
                fail(start, start + 1, f"this list has {size} elements, the one before it {sizes[depth]}", None)
        elif kind == "round":
            opens = text[start] == "("
            if opens and not inside_round and depth:
                counts[-1] += 1
            inside_round += 1 if opens else -1
            if opens:
                items.append(("complex", "", start))
        elif kind == "end":
            break
        else:
            assert kind is not None
            if not inside_round:
                if depth:
                    counts[-1] += 1
                    if leaf not in (-1, depth):
                        fail(start, start + 1, "elements stand at different depths", None)
                    leaf = depth
                elif items:
                    fail(start, start + 1, "one list, or one element, is expected in dense<…>", None)
            items.append((kind, match.group(kind), start))
    if depth or inside_round:
        fail(0, len(text), "a list is not closed in dense<…>", None)
    return items, tuple(s or 0 for s in sizes) if listed else None


def _pack(items: list[tuple[str, str, int]], element: Type, fail: Fail) -> bytes:
    """Stored bytes of the elements."""
    import numpy as np

    if isinstance(element, ComplexType):
        parts = [item for item in items if item[0] != "complex"]
        starts = len(items) - len(parts)
        if len(parts) != 2 * starts:
            fail(0, 0, "a complex number is written as (real, imaginary)", None)
        return _pack(parts, element.element, fail)
    values: list[int] = []
    for kind, word, start in items:
        if isinstance(element, FloatType):
            values.append(_float_code(kind, word, start, element, fail))
            continue
        if kind not in ("number", "word") or "." in word:
            fail(start, start + len(word), f"an element of {element} must be an integer", None)
        value = int(word == "true") if kind == "word" else int(word, 0) if "x" in word else int(word)
        held = integer_in_range(value, element)
        if held is None:
            fail(start, start + len(word), f"{word} is not in the range of {element}", None)
        values.append(held)
    if element_bits(element) in (2, 4):
        return pack(_codes(values), element)
    try:
        dtype = numpy_dtype(element)
    except ValueError:
        fail(0, 0, f"tensors of {element} cannot hold data", None)
    if isinstance(element, FloatType):
        return pack(np.array(values, f"uint{8 * dtype.itemsize}").view(dtype), element)
    return pack(np.array(values, dtype), element)


def _float_code(kind: str, word: str, start: int, element: FloatType, fail: Fail) -> int:
    if kind != "number":
        fail(start, start + max(1, len(word)), f"an element of {element} must be a number", None)
    if "x" in word:
        code = int(word, 16)
        if not 0 <= code < 1 << element.width:
            fail(start, start + len(word), f"{word} has more bits than {element}", None)
        return code
    if "." not in word:
        fail(start, start + len(word), f"an element of {element} needs a decimal point", f"write {word}.0")
    return float_bits(float(word), element)


def _hexadecimal(word: str, type: TensorType, fail: Fail) -> TensorAttr:
    """Data as MLIR writes it in hexadecimal: little-endian bytes, small integers one per byte, booleans one per bit."""
    import numpy as np

    try:
        data = bytes.fromhex(word[3:-1]) if word[1:3] == "0x" else None
    except ValueError:
        data = None
    if data is None:
        fail(0, len(word), f"elements of {type.element} in a string must be hexadecimal digits after 0x", None)
    bits, count = element_bits(type.element), type.count
    single = (bits + 7) // 8
    size = (count + 7) // 8 if bits == 1 else count * single
    if len(data) == single < size or (bits == 1 and count > 1 and data in (b"\xff", b"\x00")):
        return _splat(b"\x01" if data == b"\xff" and bits == 1 else data, type)
    if len(data) != size:
        fail(0, len(word), f"the string holds {len(data)} bytes, {type} needs {size}", None)
    raw = np.frombuffer(data, np.uint8)
    if bits == 1:
        data = np.unpackbits(raw, bitorder="little")[:count].tobytes()
    elif bits in (2, 4):
        data = pack(raw, type.element)
    return dense_from_bytes(data, type)


def _codes(values: list[int]) -> NDArray[Any]:
    """Small integers as the bytes that `pack` takes."""
    import numpy as np

    return np.array([v & 0xFF for v in values], np.uint8)
