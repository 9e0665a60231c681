"""Binding ``dense_resource<key>`` to data: in the text's own section, or in a file beside it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from qir.ir.attributes import ArrayAttr, StringAttr
from qir.ir.core import Operation
from qir.ir.diagnostics import fail
from qir.ir.location import SourceLoc
from qir.ir.tensors import Tensor, storage_size
from qir.ir.types import TensorType
from qir.text.literals import unquote
from qir.text.safetensors import SideFile, read_side_file

if TYPE_CHECKING:
    from qir.text.reader import Reader

__all__ = ["ELIDED", "RESOURCE_FILES", "HexTensor", "bind_resources", "resource_section"]

RESOURCE_FILES = "qir.resources"
"""The module's attribute that names the files of weights beside the text; only in texts, not in memory."""
ELIDED = "__elided__"
"""MLIR's key for data that was left out."""

_MAX_ELEMENTS = 1 << 40
_ENTRY = re.compile(
    r'\s*(?:([A-Za-z_][\w$.]*)|("[^"\\\n]*(?:\\.[^"\\\n]*)*"))\s*:\s*(?:(\{)|"([^"]*)"|([^\s,{}]+))\s*,?'
)
_CLOSE = re.compile(r"\s*\}\s*,?")
_HEX = re.compile(r"0x[0-9A-Fa-f]*\Z")


class HexTensor(Tensor):
    """Data as hexadecimal digits in a text, decoded when it is first read."""

    __slots__ = ("data", "digits", "place")

    def __init__(self, digits: str, type: TensorType, place: SourceLoc) -> None:
        super().__init__(type)
        self.digits: str | None = digits
        self.place = place
        self.data = b""

    def tobytes(self) -> bytes:
        if self.digits is not None:
            try:
                self.data = bytes.fromhex(self.digits)
            except ValueError:
                fail(self.place, "the data is not hexadecimal digits")
            self.digits = None
        return self.data


def bind_resources(reader: Reader, module: Operation, folder: str) -> None:
    """Give every ``dense_resource`` that was read its data. Keys that the text does not bring stay without data, unless
    the module names files of weights. Raises QirError."""
    files = _side_files(reader, module, folder)
    blobs: dict[str, tuple[str, int, int]] = {}
    for section in reader.sections:
        _read_section(reader, section.text, section.start, blobs)
    for attribute, start in reader.resources:
        type = attribute.type
        key = attribute.key
        place = SourceLoc(reader.source, start, start + len(key))
        if key == ELIDED:
            continue
        found: Tensor | None = None
        for file in files:
            entry = file.entries.get(key)
            if entry is not None:
                size = _size(type, place)
                if entry[1] != size:
                    fail(place, f"'{key}' has {entry[1]} bytes in {os.path.basename(file.path)}, {type} needs {size}")
                found = file.tensor(key, type)
                break
        if found is None and key in blobs:
            digits, begin, end = blobs[key]
            size = _size(type, place)
            data = digits[10:]  # after 0x and the alignment, 4 bytes
            if len(digits) < 10 or len(data) != 2 * size:
                fail(
                    place,
                    f"'{key}' has {max(0, len(digits) - 10) // 2} bytes in the resource section, {type} needs {size}",
                )
            found = HexTensor(data, type, SourceLoc(reader.source, begin, end))
        if found is None and files:
            names = ", ".join(os.path.basename(f.path) for f in files)
            fail(
                place,
                f"'{key}' is neither in {names} nor in the text",
                "the text and its weights belong to different models",
            )
        if found is not None:
            # The attribute is complete only now: nobody but the reader has seen it before.
            object.__setattr__(attribute, "tensor", found)


def _size(type: TensorType, place: SourceLoc) -> int:
    if not type.is_static:
        fail(place, f"the data of a tensor needs a static shape, {type} has none")
    count = 1
    for size in type.shape or ():
        count *= size or 0
    if count > _MAX_ELEMENTS:
        fail(place, f"{type} is too large to hold data")
    try:
        return storage_size(type.element, count)
    except ValueError as error:
        fail(place, str(error))


def _side_files(reader: Reader, module: Operation, folder: str) -> list[SideFile]:
    named = module.attributes.pop(RESOURCE_FILES, None)
    if named is None:
        return []
    values = named.values if isinstance(named, ArrayAttr) else (named,)
    files = []
    for value in values:
        if not isinstance(value, StringAttr):
            fail(module.location, f"'{RESOURCE_FILES}' must be the name of a file, or a list of names")
        name = value.value
        if (
            not name
            or os.path.isabs(name)
            or ".." in re.split(r"[/\\]", name)
            or "\\" in name
            or "\0" in name
            or ":" in name
        ):
            fail(
                module.location,
                f"the file of weights '{name}' does not lie in the text's folder",
                "its name is relative and has no '..'",
            )
        path = os.path.join(folder, name)
        real, root = os.path.realpath(path), os.path.realpath(folder)
        if os.path.commonpath([real, root]) != root:
            fail(module.location, f"the file of weights '{name}' leads out of the text's folder")
        if not os.path.isfile(path):
            fail(module.location, f"the file of weights '{name}' is missing", f"it must lie in {folder}")
        files.append(read_side_file(path))
    return files


def _read_section(reader: Reader, text: str, base: int, blobs: dict[str, tuple[str, int, int]]) -> None:
    """Find the blobs of one ``{-# … #-}`` section without decoding them."""
    end = len(text) - 3
    position, depth = 3, 0
    path: list[str] = []
    while True:
        close = _CLOSE.match(text, position, end)
        if close is not None:
            if not depth:
                fail(SourceLoc(reader.source, base + close.start(), base + close.end()), "this '}' closes nothing")
            depth -= 1
            path.pop()
            position = close.end()
            continue
        entry = _ENTRY.match(text, position, end)
        if entry is None:
            break
        bare, quoted, opener, value, _ = entry.groups()
        key = bare if bare is not None else unquote(quoted, lambda s, e, m, h: reader.fail(base + s, base + e, m, h))
        position = entry.end()
        if opener is not None:
            position = entry.end(3)
            path.append(key)
            depth += 1
            if depth > 8:
                reader.fail(base + entry.start(3), base + entry.end(3), "the resource section is nested too deeply")
        elif value is not None and len(path) == 2 and path[0] == "dialect_resources":
            if value[:2] != "0x":
                reader.fail(
                    base + entry.start(4),
                    base + entry.end(4),
                    f"the data of '{key}' must be a string of hexadecimal digits",
                )
            blobs[key] = (value, base + entry.start(4), base + min(entry.end(4), entry.start(4) + 40))
    if text[position:end].strip() or depth:
        at = base + position + len(text[position:end]) - len(text[position:end].lstrip())
        reader.fail(at, at + 1, 'the resource section is malformed: key: "0x…" or key: {…} is expected here')


def resource_section(tensors: dict[str, Tensor]) -> str:
    """The ``{-# … #-}`` section with these tensors, as MLIR writes it; empty without any."""
    if not tensors:
        return ""
    lines = []
    for key, tensor in tensors.items():
        alignment = max(1, min(8, tensor.nbytes // max(1, tensor.type.count))) if tensor.type.count else 1
        alignment = 1 << (alignment.bit_length() - 1)
        lines.append(
            f'      {key}: "0x{alignment.to_bytes(4, "little").hex().upper()}{bytes(tensor.tobytes()).hex().upper()}"'
        )
    return "\n{-#\n  dialect_resources: {\n    builtin: {\n" + ",\n".join(lines) + "\n    }\n  }\n#-}\n"
