"""ONNX's types in the IR: element types by ONNX's numbers, and the containers that MLIR has no type for.

Containers are opaque types of the ``onnx`` dialect: ``!onnx.seq<T>``, ``!onnx.opt<T>``, ``!onnx.map<K, V>``,
``!onnx.sparse<T>``, ``!onnx.opaque<"domain", "name">``; strings are ``!onnx.string``; a value whose type nobody knows
is ``!onnx.unknown``.
"""

from __future__ import annotations

import re
from typing import Final

from qir.ir.types import (
    FLOAT_BITS,
    ComplexType,
    FloatType,
    IndexType,
    IntegerType,
    OpaqueType,
    TensorType,
    Type,
    f32,
    f64,
)

__all__ = [
    "CODES", "ELEMENTS", "ELEMENT_NAMES", "NUMBERS", "STRING", "UNDEFINED", "UNKNOWN_TYPE", "codes_since", "container",
    "contents", "type_string",
]  # fmt: skip

STRING: Final = OpaqueType("onnx", "string")
"""The element type of string tensors."""
UNKNOWN_TYPE: Final = OpaqueType("onnx", "unknown")
"""The type of a value that neither the model nor shape inference gives a type."""
UNDEFINED: Final = OpaqueType("onnx", "undefined")
"""The element type of a tensor whose element type is not given."""

_TABLE: Final[tuple[tuple[int, str, Type], ...]] = (
    (0, "undefined", UNDEFINED),
    (1, "float", f32),
    (2, "uint8", IntegerType(8, "u")),
    (3, "int8", IntegerType(8)),
    (4, "uint16", IntegerType(16, "u")),
    (5, "int16", IntegerType(16)),
    (6, "int32", IntegerType(32)),
    (7, "int64", IntegerType(64)),
    (8, "string", STRING),
    (9, "bool", IntegerType(1)),
    (10, "float16", FloatType("f16")),
    (11, "double", f64),
    (12, "uint32", IntegerType(32, "u")),
    (13, "uint64", IntegerType(64, "u")),
    (14, "complex64", ComplexType(f32)),
    (15, "complex128", ComplexType(f64)),
    (16, "bfloat16", FloatType("bf16")),
    (17, "float8e4m3fn", FloatType("f8E4M3FN")),
    (18, "float8e4m3fnuz", FloatType("f8E4M3FNUZ")),
    (19, "float8e5m2", FloatType("f8E5M2")),
    (20, "float8e5m2fnuz", FloatType("f8E5M2FNUZ")),
    (21, "uint4", IntegerType(4, "u")),
    (22, "int4", IntegerType(4)),
    (23, "float4e2m1", FloatType("f4E2M1FN")),
    (24, "float8e8m0", FloatType("f8E8M0FNU")),
    (25, "uint2", IntegerType(2, "u")),
    (26, "int2", IntegerType(2)),
    (27, "float6e2m3", FloatType("f6E2M3FN")),
    (28, "float6e3m2", FloatType("f6E3M2FN")),
)

ELEMENTS: Final[dict[int, Type]] = {number: type for number, _, type in _TABLE}
"""Element types by ONNX's number (``TensorProto.DataType``)."""
NUMBERS: Final[dict[Type, int]] = {type: number for number, _, type in _TABLE}
"""ONNX's numbers by element type."""
ELEMENT_NAMES: Final[dict[Type, str]] = {type: name for _, name, type in _TABLE}
"""The names that ONNX's schemas give to element types."""

CODES: Final[dict[Type, int]] = {
    **dict.fromkeys((IntegerType(8), IntegerType(8, "u"), IntegerType(32)), 10),
    **{FloatType(name): 19 for name in ("f8E4M3FN", "f8E4M3FNUZ", "f8E5M2", "f8E5M2FNUZ")},
    **{IntegerType(width, sign): 21 for width in (4, 16) for sign in ("", "u")},
    FloatType("f4E2M1FN"): 23,
    **{IntegerType(2, sign): 25 for sign in ("", "u")},
}
"""Element types of codes, with the opset from which QuantizeLinear and DequantizeLinear take them (i32: only the
second)."""


def codes_since(element: Type, *, per_axis: bool = False, blocked: bool = False) -> int:
    """The lowest opset whose QuantizeLinear and DequantizeLinear take these codes at this granularity."""
    return max(CODES[element], 13 if per_axis else 10, 21 if blocked else 10)


_CONTAINER = re.compile(r"(seq|opt|map|sparse)<(.*)>", re.DOTALL)
_TENSOR = re.compile(r"tensor<((?:(?:\?|\d+)x)*|\*x)(.*)>", re.DOTALL)
_contents: dict[str, tuple[str, tuple[Type, ...]] | None] = {}
_strings: dict[Type, str | None] = {}


def container(kind: str, *types: Type) -> OpaqueType:
    """``!onnx.kind<types>``; kinds are ``seq``, ``opt``, ``map`` (key, value) and ``sparse``."""
    type = OpaqueType("onnx", f"{kind}<{', '.join(map(str, types))}>")
    _contents[type.body] = kind, types
    return type


def contents(type: Type) -> tuple[str, tuple[Type, ...]] | None:
    """Kind and contained types of a container; None for every other type."""
    if not isinstance(type, OpaqueType) or type.dialect != "onnx":
        return None
    if type.body in _contents:
        return _contents[type.body]
    found = None
    match = _CONTAINER.fullmatch(type.body)
    if match is not None:
        inner = tuple(_parse(text) for text in _split(match[2]))
        found = match[1], inner
    _contents[type.body] = found
    return found


def type_string(type: Type) -> str | None:
    """The type as ONNX's schemas spell it (``tensor(float)``, ``seq(tensor(int64))``).

    ``""`` where the type is not known well enough to compare, None where ONNX has no such type.
    """
    try:
        return _strings[type]
    except KeyError:
        text = _strings[type] = _type_string(type)
        return text


def _type_string(type: Type) -> str | None:
    if isinstance(type, TensorType):
        name = ELEMENT_NAMES.get(type.element)
        return "" if name == "undefined" else None if name is None else f"tensor({name})"
    if isinstance(type, OpaqueType) and type.dialect == "onnx":
        if type == UNKNOWN_TYPE or type.body.startswith("opaque<"):
            return ""
        found = contents(type)
        if found is None:
            return None
        kind, types = found
        inner = [ELEMENT_NAMES.get(t) if kind == "map" and i == 0 else type_string(t) for i, t in enumerate(types)]
        if None in inner:
            return None
        if "" in inner:
            return ""
        if kind == "sparse":
            return f"sparse_{inner[0]}"
        return f"{'optional' if kind == 'opt' else kind}({','.join(t or '' for t in inner)})"
    return None


def _split(text: str) -> list[str]:
    """The comma-separated parts of a type list."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "<([":
            depth += 1
        elif c in ">)]":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return parts


def _parse(text: str) -> Type:
    """The type that a text inside a container spells; unknown spellings are kept as text."""
    match = _TENSOR.fullmatch(text)
    if match is not None:
        dims = match[1]
        shape = None if dims == "*x" else tuple(None if d == "?" else int(d) for d in dims.split("x")[:-1])
        return TensorType(shape, _parse(match[2]))
    integer = re.fullmatch(r"([su]?)i(\d+)", text)
    if integer is not None:
        return IntegerType(int(integer[2]), integer[1])
    if text in FLOAT_BITS:
        return FloatType(text)
    if text.startswith("complex<"):
        return ComplexType(_parse(text[8:-1]))
    if text == "index":
        return IndexType()
    dialect, _, body = text.lstrip("!").partition(".")
    return OpaqueType(dialect, body)
