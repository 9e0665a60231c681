"""TensorProto against tensor attributes: every storage field, data outside the file, and checks against hostile sizes.

Nothing is allocated from a size that a file only claims: data must be there first. Data in the model's own file or in
one beside it stays there, memory-mapped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from qir.dialects.onnx_types import NUMBERS, STRING
from qir.frontends.onnx.errors import Place
from qir.frontends.onnx.types import Types
from qir.frontends.onnx.wire import was_cut_out
from qir.ir.attributes import INLINE_LIMIT, DenseAttr, DenseResourceAttr, DenseStringAttr, TensorAttr, dense_from_bytes
from qir.ir.tensors import BytesTensor, FileTensor, map_file, pack, storage_size
from qir.ir.types import FloatType, TensorType, Type, element_bits

__all__ = ["TensorReader", "stored_bytes", "tensor_proto", "write_data"]

LIMIT = 1 << 40
"""Elements beyond which a size is taken for an error (a terabyte of bytes)."""

_INT32_FIELD = frozenset({2, 3, 4, 5, 6, 9, 10, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28})
_SIX_BITS = frozenset({27, 28})
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


class TensorReader:
    """Reads the tensors of one model.

    `folder` is where data outside the file is looked for (None: such data is an error), `mapped` the model's own file
    where large raw data was left in it (the tensor's segment says where).
    """

    def __init__(self, place: Place, types: Types, folder: str | None, mapped: memoryview | None = None) -> None:
        self.place, self.types, self.folder, self.mapped = place, types, folder, mapped
        self.keys: set[str] = set()
        self._files: dict[str, memoryview] = {}

    def key(self, name: str) -> str:
        """A name for a tensor's data that no other in the module has."""
        key, count = name or "tensor", 0
        while key in self.keys:
            count += 1
            key = f"{name or 'tensor'}_{count}"
        self.keys.add(key)
        return key

    def read(self, tensor: onnx.TensorProto, name: str, *, inline: bool = False) -> TensorAttr:
        """The attribute that holds a tensor; `name` is for messages and becomes the key of large data."""
        shape = tuple(tensor.dims)
        number = tensor.data_type
        if number == 0:
            self.place.at(name).fail(
                f"tensor '{name}' has no element type", "the file is damaged: export the model again"
            )
        element = self.types.element(number, name)
        count = 1
        for size in shape:
            if size < 0:
                self.place.at(name).fail(
                    f"tensor '{name}' has the negative size {size}", "the file is damaged: export the model again"
                )
            count *= size
        if count > LIMIT:
            sizes = " x ".join(map(str, shape))
            self.place.at(name).fail(f"tensor '{name}' claims {sizes} elements", "the file is damaged or hostile")
        type = self.types.tensor(shape, element)
        if element is STRING or element == STRING:
            return self._strings(tensor, name, type, count)
        expected = storage_size(element, count)
        if number in _SIX_BITS:
            expected = count
        data: bytes | memoryview
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor, name, type, count, inline)
        if tensor.HasField("segment"):
            begin, end = tensor.segment.begin, tensor.segment.end
            if self.mapped is None or not was_cut_out(self.mapped, begin, end):
                self.place.at(name).fail(
                    f"tensor '{name}' is stored in segments", "no reader of ONNX supports them: save the model again"
                )
            if number not in _SIX_BITS:
                self._check(end - begin, expected, name, type)
                if not inline and count > INLINE_LIMIT:
                    handle = FileTensor(self.place.name, self.mapped, begin, end - begin, type)
                    return DenseResourceAttr(self.key(name), type, handle)
            data = bytes(self.mapped[begin:end])
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
        else:
            data = self._typed(tensor, name, type, count)
            return self._finish(data, name, type, count, expected, inline)
        if number in _SIX_BITS:
            self._check(len(data), (6 * count + 7) // 8, name, type)
            data = _unpack_six(data, count)
        return self._finish(data, name, type, count, expected, inline)

    def _finish(
        self, data: bytes | memoryview, name: str, type: TensorType, count: int, expected: int, inline: bool
    ) -> TensorAttr:
        self._check(len(data), expected, name, type)
        if inline or count <= INLINE_LIMIT:
            return dense_from_bytes(_clean(bytes(data), type.element, count), type)
        return DenseResourceAttr(self.key(name), type, BytesTensor(data, type))

    def _check(self, found: int, expected: int, name: str, type: TensorType) -> None:
        if found != expected:
            missing = "has no data" if not found else f"has {found} bytes of data"
            self.place.at(name).fail(
                f"tensor '{name}' {missing}, {type} needs {expected}",
                "the weights are missing from the file: export the model again with its weights"
                if not found
                else "the file is damaged: export the model again",
            )

    def _strings(self, tensor: onnx.TensorProto, name: str, type: TensorType, count: int) -> TensorAttr:
        values = tuple(tensor.string_data)
        if len(values) != count:
            self.place.at(name).fail(
                f"tensor '{name}' has {len(values)} strings, {type} needs {count}", "the file is damaged"
            )
        return DenseStringAttr(type, values)

    def _typed(self, tensor: onnx.TensorProto, name: str, type: TensorType, count: int) -> bytes:
        """The data of a tensor that is stored as numbers, in stored bytes."""
        number = tensor.data_type
        if number in _INT32_FIELD:
            values = np.array(tensor.int32_data, np.int64)
            bits = element_bits(type.element)
            if number == onnx.TensorProto.INT32:
                return values.astype("<i4").tobytes()
            if bits in (8, 1, 6):
                codes = values.astype(np.uint8) & (0x3F if bits == 6 else 0xFF)
                return (codes != 0).astype(np.uint8).tobytes() if bits == 1 else codes.tobytes()
            if bits == 16:
                return values.astype("<u2").tobytes()
            return values.astype(np.uint8).tobytes()  # 4 and 2 bits: one packed byte per number
        if number in (onnx.TensorProto.FLOAT, onnx.TensorProto.COMPLEX64):
            return np.array(tensor.float_data, "<f4").tobytes()
        if number == onnx.TensorProto.INT64:
            return np.array(tensor.int64_data, "<i8").tobytes()
        if number in (onnx.TensorProto.DOUBLE, onnx.TensorProto.COMPLEX128):
            return np.array(tensor.double_data, "<f8").tobytes()
        return np.array(tensor.uint64_data, "<u8" if number == onnx.TensorProto.UINT64 else "<u4").tobytes()

    def _external(self, tensor: onnx.TensorProto, name: str, type: TensorType, count: int, inline: bool) -> TensorAttr:
        place = self.place.at(name)
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location")
        if not location:
            place.fail(f"tensor '{name}' lies outside the file, but the file does not say where", "the file is damaged")
        if self.folder is None:
            place.fail(
                f"tensor '{name}' lies in the file '{location}', and the model did not come from a file",
                "import the model by its path, or load its external data first",
            )
        offset, length = (self._number(entries, key, name) for key in ("offset", "length"))
        buffer = self._file(location, name)
        expected = storage_size(type.element, count)
        stored = (6 * count + 7) // 8 if tensor.data_type in _SIX_BITS else expected
        offset = offset or 0
        if length is not None and length != stored:
            place.fail(
                f"tensor '{name}' says that '{location}' holds {length} bytes of it, {type} needs {stored}",
                "the file is damaged",
            )
        if offset + stored > len(buffer):
            place.fail(
                f"tensor '{name}' needs bytes {offset} to {offset + stored} of '{location}', which has {len(buffer)}",
                "the data file is cut off or belongs to another model: copy it again",
            )
        if tensor.data_type in _SIX_BITS:
            return self._finish(
                _unpack_six(buffer[offset : offset + stored], count), name, type, count, expected, inline
            )
        if inline or count <= INLINE_LIMIT:
            return self._finish(buffer[offset : offset + stored], name, type, count, expected, True)
        path = os.path.join(self.folder, location)
        return DenseResourceAttr(self.key(name), type, FileTensor(path, buffer, offset, stored, type))

    def _number(self, entries: dict[str, str], key: str, name: str) -> int | None:
        text = entries.get(key)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            self.place.at(name).fail(f"tensor '{name}' has the {key} '{text}' in its data file", "the file is damaged")
        return int(text)

    def _file(self, location: str, name: str) -> memoryview:
        """A data file, mapped. It must lie in the model's folder, links followed."""
        if location in self._files:
            return self._files[location]
        assert self.folder is not None
        place = self.place.at(name)
        folder = os.path.realpath(self.folder)
        try:
            path = os.path.realpath(os.path.join(folder, location))
        except ValueError:  # a zero byte
            place.fail(f"the data of tensor '{name}' is said to lie at {location!r}, which is no file's name")
        escapes = os.path.isabs(location) or ".." in location.replace("\\", "/").split("/")
        if escapes or os.path.commonpath([folder, path]) != folder:
            place.fail(
                f"the data of tensor '{name}' is said to lie at '{location}', outside the model's folder",
                "put the data file beside the model and name it by a relative path",
            )
        try:
            if not os.path.isfile(path):
                raise FileNotFoundError(path)
            buffer = map_file(path)
        except (OSError, ValueError) as error:
            reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
            place.fail(f"the data file '{location}' of tensor '{name}' {reason}", "copy it into the model's folder")
        self._files[location] = buffer
        return buffer


def _clean(data: bytes, element: Type, count: int) -> bytes:
    """Booleans as 0 and 1; padding bits of a last byte as zeros."""
    bits = element_bits(element)
    if bits == 1:
        return bytes(map(bool, data))
    spare = count * bits % 8 if bits in (2, 4) else 0
    if spare and data:
        return data[:-1] + bytes([data[-1] & ((1 << spare) - 1)])
    return data


def _unpack_six(data: bytes | memoryview, count: int) -> bytes:
    """One byte per element from a stream of 6-bit elements, low bits first."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: 6 * count].reshape(count, 6)
    return np.packbits(bits, axis=1, bitorder="little").tobytes()


def _pack_six(data: bytes | memoryview) -> bytes:
    bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, 1), axis=1, bitorder="little")[:, :6]
    return np.packbits(bits.reshape(-1), bitorder="little").tobytes()


# ---------------------------------------------------------------- out
def stored_bytes(attr: TensorAttr) -> bytes | memoryview:
    """The raw data of a tensor as ONNX stores it. Raises QirError where the module does not bring it."""
    data: bytes | memoryview
    if isinstance(attr, DenseAttr):
        data = pack(attr.numpy(), attr.type.element) if attr.is_splat else attr.data
    elif isinstance(attr, DenseResourceAttr) and attr.tensor is not None:
        data = attr.tensor.tobytes()
    else:
        data = pack(attr.numpy(), attr.type.element)  # says what is missing
    if isinstance(attr.type.element, FloatType) and attr.type.element.width == 6:
        return _pack_six(data)
    return data


def tensor_proto(
    attr: TensorAttr, proto: onnx.TensorProto, data: Callable[[TensorAttr], bytes | None] | None = None
) -> None:
    """Fill `proto` with element type, sizes and data. `data` may give other raw bytes, or None for none."""
    number = NUMBERS.get(attr.type.element)
    if number is None:
        raise ValueError(f"ONNX has no tensors of {attr.type.element}")
    proto.dims.extend(attr.shape)
    proto.data_type = number
    if isinstance(attr, DenseStringAttr):
        proto.string_data.extend(attr.values)
        return
    raw = bytes(stored_bytes(attr)) if data is None else data(attr)
    if raw is not None:
        proto.raw_data = raw


def write_data(attr: TensorAttr, file: Any) -> int:
    """Write a tensor's raw data to a binary file; its length."""
    data = stored_bytes(attr)
    file.write(data)
    return len(data)
