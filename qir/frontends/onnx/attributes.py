"""AttributeProto against attributes of the IR.

| ONNX | IR |
|---|---|
| FLOAT, INT, STRING | ``0.5 : f32``, ``1 : i64``, ``"same"`` |
| FLOATS, INTS, STRINGS | ``array<f32: …>``, ``array<i64: …>``, ``["a", "b"]`` |
| TENSOR, TENSORS | ``dense<…>`` or ``dense_resource<…>``, ``[dense<…>, …]`` |
| TYPE_PROTO | the type |
| GRAPH, GRAPHS | regions, see the importer |
| a reference to a function's attribute | ``#onnx.ref<"alpha", FLOAT>`` |
| SPARSE_TENSOR and whatever else the rows above cannot say exactly | ``#onnx.proto<"…">``, protobuf text |
"""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf import text_format
from onnx import AttributeProto

from qir.dialects.onnx_opaque import opaque_attr, opaque_text, reference_attr, reference_of
from qir.frontends.onnx.tensors import TensorReader, tensor_proto
from qir.frontends.onnx.types import Types, type_proto
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    FloatAttr,
    IntegerAttr,
    OpaqueAttr,
    StringAttr,
    TensorAttr,
    TypeAttr,
)
from qir.ir.types import f32, i1, i64

__all__ = ["AttributeReader", "proto_attr", "reference", "text", "write_attribute"]

FLOAT, INT, STRING, TENSOR = AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.TENSOR
FLOATS, INTS, STRINGS, TENSORS = (
    AttributeProto.FLOATS,
    AttributeProto.INTS,
    AttributeProto.STRINGS,
    AttributeProto.TENSORS,
)
TYPE_PROTO = AttributeProto.TYPE_PROTO


def text(data: bytes) -> str:
    """Bytes as a string that gives them back exactly."""
    return data.decode("utf-8", "surrogateescape")


def proto_attr(message: Any) -> OpaqueAttr:
    """A protobuf message as an attribute, in protobuf's text form."""
    return opaque_attr("proto", text_format.MessageToString(message, as_one_line=True))



class AttributeReader:
    """Reads attributes of nodes, small ones interned."""

    def __init__(self, types: Types, tensors: TensorReader) -> None:
        self.types, self.tensors = types, tensors
        self._ints: dict[int, IntegerAttr] = {}
        self._arrays: dict[tuple[int, ...], DenseArrayAttr] = {}
        self._floats: dict[bytes, FloatAttr] = {}
        self._strings: dict[bytes, StringAttr] = {}

    def integer(self, value: int) -> IntegerAttr:
        found = self._ints.get(value)
        if found is None:
            found = self._ints[value] = IntegerAttr(value, i64)
        return found

    def string(self, data: bytes) -> StringAttr:
        found = self._strings.get(data)
        if found is None:
            found = self._strings[data] = StringAttr(text(data))
        return found

    def floating(self, value: float) -> FloatAttr:
        data = struct.pack("<f", value)
        found = self._floats.get(data)
        if found is None:
            found = self._floats[data] = FloatAttr(int.from_bytes(data, "little"), f32)
        return found

    def read(self, proto: AttributeProto, owner: str) -> tuple[Attribute, bool]:
        """The attribute, and whether it is exact: whether `write_attribute` gives back the same message (a tensor's
        name and doc string apart). Graphs are not read here."""
        kind = proto.type
        if kind == INTS:
            values = tuple(proto.ints)
            array = self._arrays.get(values)
            if array is None:
                array = self._arrays[values] = DenseArrayAttr(i64, values)
            return array, True
        if kind == INT:
            value = proto.i
            return self.integer(value), bool(value) or proto.HasField("i")
        if kind == FLOAT:
            number = proto.f
            return self.floating(number), bool(number) or proto.HasField("f")
        if kind == STRING:
            data = proto.s
            return self.string(data), bool(data) or proto.HasField("s")
        if kind == TENSOR and proto.HasField("t"):
            return self.tensors.read(proto.t, f"{owner}.{proto.name}" if owner else proto.name), True
        if kind == FLOATS:
            numbers = list(proto.floats)
            bits = struct.unpack(f"<{len(numbers)}I", struct.pack(f"<{len(numbers)}f", *numbers))
            return DenseArrayAttr(f32, bits), True
        if kind == STRINGS:
            return ArrayAttr(tuple(self.string(s) for s in proto.strings)), True
        if kind == TYPE_PROTO and proto.HasField("tp"):
            record = self.types.read(proto.tp)
            if record.dims is None and record.exact is None:
                return TypeAttr(record.type), True
        if kind == TENSORS and proto.tensors:
            attr = ArrayAttr(tuple(self.tensors.read(t, f"{owner}.{proto.name}", inline=True) for t in proto.tensors))
            plain = AttributeProto(name=proto.name)
            if write_attribute(plain, attr) and [t.dims for t in plain.tensors] and _same_but_storage(plain, proto):
                return attr, True
        return proto_attr(proto), True


def _same_but_storage(a: AttributeProto, b: AttributeProto) -> bool:
    """Whether tensors differ at most in the field that stores their data."""
    known = {
        "dims",
        "data_type",
        "raw_data",
        "float_data",
        "int32_data",
        "int64_data",
        "double_data",
        "uint64_data",
        "string_data",
    }
    return all({f.name for f, _ in t.ListFields()} <= known for t in b.tensors)


def write_attribute(proto: AttributeProto, attr: Attribute) -> bool:
    """Fill a named `proto` from an attribute; False where ONNX has no such attribute. May raise ValueError."""
    if isinstance(attr, DenseArrayAttr):
        if attr.element == f32:
            proto.type = FLOATS
            proto.floats.extend(attr.python)
        elif attr.element == i64:
            proto.type = INTS
            proto.ints.extend(attr.values)
        elif not attr.values or attr.element == i1 or not isinstance(attr.values[0], int):
            return False
        else:
            proto.type = INTS if str(attr.element).lstrip("us").startswith("i") else FLOATS
            (proto.ints if proto.type == INTS else proto.floats).extend(attr.python)
    elif isinstance(attr, IntegerAttr):
        proto.type, proto.i = INT, attr.value
    elif isinstance(attr, FloatAttr):
        proto.type, proto.f = FLOAT, attr.value
    elif isinstance(attr, StringAttr):
        proto.type, proto.s = STRING, attr.value.encode("utf-8", "surrogateescape")
    elif isinstance(attr, TensorAttr):
        proto.type = TENSOR
        tensor_proto(attr, proto.t)
    elif isinstance(attr, TypeAttr):
        tp = type_proto(attr.type)
        proto.type = TYPE_PROTO
        if tp is not None:
            proto.tp.CopyFrom(tp)
    elif isinstance(attr, ArrayAttr):
        return _write_array(proto, attr)
    elif isinstance(attr, OpaqueAttr):
        return _write_opaque(proto, attr)
    else:
        return False
    return True


def _write_array(proto: AttributeProto, attr: ArrayAttr) -> bool:
    values = attr.values
    if all(isinstance(v, StringAttr) for v in values):
        proto.type = STRINGS
        proto.strings.extend(v.value.encode("utf-8", "surrogateescape") for v in values if isinstance(v, StringAttr))
    elif all(isinstance(v, IntegerAttr) for v in values):
        proto.type = INTS
        proto.ints.extend(v.value for v in values if isinstance(v, IntegerAttr))
    elif all(isinstance(v, FloatAttr) for v in values):
        proto.type = FLOATS
        proto.floats.extend(v.value for v in values if isinstance(v, FloatAttr))
    elif all(isinstance(v, TensorAttr) for v in values):
        proto.type = TENSORS
        for v in values:
            if isinstance(v, TensorAttr):
                tensor_proto(v, proto.tensors.add())
    else:
        return False
    return True


def _write_opaque(proto: AttributeProto, attr: OpaqueAttr) -> bool:
    message = opaque_text(attr, "proto")
    if message is not None:
        proto.Clear()  # the message names itself
        text_format.Parse(message, proto)
        return True
    reference = reference_of(attr)
    if reference is None:
        return False
    proto.ref_attr_name = reference[0]
    proto.type = AttributeProto.AttributeType.Value(reference[1])
    return True


def reference(proto: AttributeProto) -> OpaqueAttr:
    """A reference to an attribute of the function in which the node stands."""
    return reference_attr(proto.ref_attr_name, AttributeProto.AttributeType.Name(proto.type))
