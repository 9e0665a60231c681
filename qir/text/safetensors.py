"""The side file of weights: safetensors, read by its header alone and memory-mapped.

https://github.com/huggingface/safetensors: 8 bytes length of the header (little-endian), the header as JSON (name ->
dtype, shape, data_offsets), the data. Elements that the format has no name for are stored as their packed bytes (U8);
the text knows their type.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import attrs

from qir.ir.diagnostics import fail
from qir.ir.files import whole_file
from qir.ir.tensors import FileTensor, Tensor, map_file
from qir.ir.types import FloatType, IntegerType, TensorType, Type

__all__ = ["SideFile", "SideTensor", "identity", "read_side_file", "write_side_file"]

_MAX_HEADER = 100_000_000
_NAMES = {
    "f64": "F64",
    "f32": "F32",
    "f16": "F16",
    "bf16": "BF16",
    "f8E5M2": "F8_E5M2",
    "f8E4M3FN": "F8_E4M3",
    "f8E8M0FNU": "F8_E8M0",
    "i64": "I64",
    "i32": "I32",
    "i16": "I16",
    "i8": "I8",
    "ui64": "U64",
    "ui32": "U32",
    "ui16": "U16",
    "ui8": "U8",
    "i1": "BOOL",
}


@attrs.frozen
class SideFile:
    """A mapped side file: its bytes, and where each tensor lies in them (offset and size)."""

    path: str
    buffer: memoryview = attrs.field(repr=False)
    entries: dict[str, tuple[int, int]] = attrs.field(repr=False)
    identity: tuple[int, ...] = ()

    def tensor(self, key: str, type: TensorType) -> SideTensor:
        """A handle on the tensor `key`, whose size the caller has checked."""
        offset, size = self.entries[key]
        return SideTensor(self, offset, size, type)


class SideTensor(FileTensor):
    """A tensor in a side file; `file` knows whether the file of that name is still the one that is mapped."""

    __slots__ = ("file",)

    def __init__(self, file: SideFile, offset: int, size: int, type: TensorType) -> None:
        super().__init__(file.path, file.buffer, offset, size, type)
        self.file = file


def identity(path: str) -> tuple[int, ...]:
    """What tells a file from another that takes its name. Raises OSError."""
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_side_file(path: str) -> SideFile:
    """Map a side file and read its header. Raises QirError where it is missing, cut short or malformed."""
    try:
        known = identity(path)
        buffer = map_file(path)
    except OSError as error:
        fail(path, f"the file of weights cannot be read: {error.strerror}", "keep it beside the text that names it")
    total = len(buffer)
    length = int.from_bytes(buffer[:8], "little") if total >= 8 else 0
    if total < 8 or length > min(total - 8, _MAX_HEADER):
        fail(
            path,
            "this is no safetensors file: its header does not fit into the file",
            "the file may have been cut short",
        )
    try:
        header = json.loads(bytes(buffer[8 : 8 + length]))
        entries: dict[str, tuple[int, int]] = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            if not (isinstance(begin, int) and isinstance(end, int) and 0 <= begin <= end):
                raise ValueError("bad offsets")
            entries[name] = (8 + length + begin, end - begin)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fail(path, "this is no safetensors file: its header is malformed")
    for name, (offset, size) in entries.items():
        if offset + size > total:
            fail(path, f"the file is cut short: the tensor '{name}' ends at byte {offset + size}, the file at {total}")
    return SideFile(path, buffer, entries, known)


def write_side_file(path: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors under their names. The file appears whole or not at all. Raises OSError."""
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        dtype, shape = _described(tensor)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)  # the data starts aligned, so that views of any dtype are
    with whole_file(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def _described(tensor: Tensor) -> tuple[str, list[int]]:
    element: Type = tensor.type.element
    name = _NAMES.get(str(element)) if isinstance(element, (IntegerType, FloatType)) else None
    if name is None:
        return "U8", [tensor.nbytes]
    return name, [size for size in tensor.type.shape or () if size is not None]
