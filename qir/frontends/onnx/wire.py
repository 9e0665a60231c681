"""Protobuf's wire format, as far as it takes to leave large weights in the file.

Parsing a model with protobuf copies every byte of its weights. `skeleton` cuts large raw data out of the bytes that are
parsed and notes in each tensor's ``segment`` field (which nothing else uses) where in the file it lies.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["WireError", "skeleton", "was_cut_out"]

SMALL = 4096
"""Messages below this size are not looked into."""

_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER, _NODE_ATTRIBUTE, _ATTRIBUTE_T, _ATTRIBUTE_G = 7, 1, 5, 5, 5, 6
_MODEL_FUNCTIONS, _FUNCTION_NODE = 25, 7
_TENSOR_SEGMENT, _TENSOR_RAW_DATA = 3, 9

# message kind -> field number -> kind of the message in that field; "data" is raw data to cut out
_INTERESTING: dict[str, dict[int, str]] = {
    "model": {_MODEL_GRAPH: "graph", _MODEL_FUNCTIONS: "function"},
    "graph": {_GRAPH_NODE: "node", _GRAPH_INITIALIZER: "tensor"},
    "function": {_FUNCTION_NODE: "node"},
    "node": {_NODE_ATTRIBUTE: "attribute"},
    "attribute": {_ATTRIBUTE_T: "tensor", _ATTRIBUTE_G: "graph"},
    "tensor": {_TENSOR_RAW_DATA: "data"},
}


class WireError(Exception):
    """The bytes are no protobuf message, or end too early (`needed` bytes were announced)."""

    def __init__(self, needed: int | None = None) -> None:
        super().__init__(needed)
        self.needed = needed


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, offset of the tag, and offsets of the content of each length-delimited field above `SMALL`; the fields
    between are passed over."""
    position = start
    while position < end:
        tag_at = position
        tag, position = _varint(data, position, end)
        kind = tag & 7
        if kind == 2:
            size, position = _varint(data, position, end)
            if position + size > end:
                raise WireError(position + size)
            if size > SMALL:
                yield tag >> 3, tag_at, position, position + size
            position += size
        elif kind == 0:
            _, position = _varint(data, position, end)
        elif kind == 5:
            position += 4
        elif kind == 1:
            position += 8
        else:
            raise WireError
    if position != end:
        raise WireError(position)


def _varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= end or shift > 63:
            raise WireError(position + 1 if position >= end else None)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def skeleton(data: memoryview) -> bytes:
    """The model's bytes without raw data above `SMALL` bytes. Raises WireError where they are no whole message."""
    return b"".join(_cut(data, 0, len(data), "model"))


def was_cut_out(data: memoryview, begin: int, end: int) -> bool:
    """Whether `skeleton` may have cut these bytes out of a file, so that a segment in the file itself is not taken for
    one: raw data of that length begins there."""
    head = _encode(_TENSOR_RAW_DATA << 3 | 2) + _encode(max(0, end - begin))
    return len(head) <= begin <= end <= len(data) and end - begin > SMALL and data[begin - len(head) : begin] == head


def _cut(data: memoryview, start: int, end: int, kind: str) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    copied = start
    interesting = _INTERESTING[kind]
    for number, tag_at, begin, stop in _fields(data, start, end):
        inner = interesting.get(number)
        if inner is None:
            continue
        if inner == "data":
            parts.append(data[copied:tag_at])
            segment = b"\x08" + _encode(begin) + b"\x10" + _encode(stop)
            parts.append(_encode(_TENSOR_SEGMENT << 3 | 2) + _encode(len(segment)) + segment)
            copied = stop
            continue
        cut = _cut(data, begin, stop, inner)
        if len(cut) == 1:
            continue
        parts += [data[copied:tag_at], _encode(number << 3 | 2), _encode(sum(map(len, cut)))]
        parts += cut
        copied = stop
    parts.append(data[copied:end])
    return parts
