"""The fields of ONNX messages that the IR keeps as discardable attributes, read and written in one place.

Protobuf tells a field set to its default from one that is not set. Text fields are attributes exactly when they are
set; which nodes set empty text fields is the attribute ``onnx.explicit`` of the graph, and of the nodes that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx
from google.protobuf import text_format

from qir.dialects.onnx_opaque import opaque_text
from qir.frontends.onnx.attributes import proto_attr
from qir.frontends.onnx.errors import text_attr
from qir.ir.attributes import ArrayAttr, Attribute, DictAttr, IntegerAttr, StringAttr, dictionary

__all__ = [
    "ATTRIBUTE_DOCS", "DOC", "DOMAIN", "EXPLICIT", "EXTRA", "FORM", "INITIALIZER", "INPUT", "METADATA", "MORE_INFO",
    "NAME", "OPSET", "REGIONS", "TENSORS", "UNSET", "VALUE_INFO", "names_of", "read_metadata", "read_protos",
    "read_text", "string", "strings", "tensor_fields", "write_metadata", "write_protos", "write_tensor_fields",
    "write_text",
]  # fmt: skip

NAME = "onnx.name"
"""On a function: the graph's name where it is not the symbol (unit: it has none); on results: the output's name."""
DOC = "onnx.doc_string"
METADATA = "onnx.metadata"
DOMAIN = "onnx.domain"
"""On an operation: the domain as the node spells it, where the operation's name does not say it."""
EXPLICIT = "onnx.explicit"
VALUE_INFO = "onnx.value_info"
"""On a function (or onnx.Yield): values have a ValueInfo unless their operation says otherwise; on an operation: one
boolean per result."""
MORE_INFO = "onnx.more_value_info"
"""ValueInfos of names that no operation defines, as protobuf text."""
INITIALIZER = "onnx.initializer"
INPUT = "onnx.input"
"""On an initializer that is a graph input too: its position among the inputs."""
FORM = "onnx.form"
"""On onnx.Constant: the attribute that the node had instead of ``value``."""
TENSORS = "onnx.tensors"
"""Name, doc string and metadata of tensors in attributes, by attribute."""
ATTRIBUTE_DOCS = "onnx.attribute_docs"
UNSET = "onnx.unset"
"""Attributes of the node whose value field is not set (the default stands for it)."""
EXTRA = "onnx.extra"
"""Attributes whose names would be mistaken for the IR's own."""
REGIONS = "onnx.regions"
"""The graph attribute that each region is; ``name[]`` for members of a list of graphs."""
OPSET = "onnx.opset"

_strings: dict[str, StringAttr] = {}


def string(value: str) -> StringAttr:
    """An interned string attribute."""
    found = _strings.get(value)
    if found is None:
        if len(_strings) > 4096:
            _strings.clear()
        found = _strings[value] = text_attr(value)
    return found


def strings(values: Iterable[str]) -> ArrayAttr:
    return ArrayAttr(tuple(string(v) for v in values))


def names_of(attr: Attribute | None) -> tuple[str, ...]:
    """The strings of an array of strings."""
    return tuple(v.value for v in attr.values if isinstance(v, StringAttr)) if isinstance(attr, ArrayAttr) else ()


def read_text(message: Any, into: dict[str, Attribute], *fields: str) -> None:
    """Text and integer fields that are set, as ``onnx.<field>``."""
    for field in fields:
        if message.HasField(field):
            value = getattr(message, field)
            into[f"onnx.{field}"] = IntegerAttr(value) if isinstance(value, int) else text_attr(value)


def write_text(attributes: Mapping[str, Attribute], message: Any, *fields: str) -> None:
    for field in fields:
        value = attributes.get(f"onnx.{field}")
        if isinstance(value, (StringAttr, IntegerAttr)):
            setattr(message, field, value.value)


def read_metadata(entries: Any) -> Attribute | None:
    """Metadata as a dictionary where its order is that of the keys, else as a list of protobuf texts."""
    if not len(entries):
        return None
    pairs = [(e.key, text_attr(e.value)) for e in entries]
    found = dictionary(dict(pairs))
    if found.entries == tuple(pairs) and all(e.HasField("key") and e.HasField("value") and e.key for e in entries):
        return found
    return read_protos(entries)


def write_metadata(attr: Attribute | None, entries: Any) -> None:
    if isinstance(attr, DictAttr):
        for key, value in attr.entries:
            if isinstance(value, StringAttr):
                entries.add(key=key, value=value.value)
    else:
        write_protos(attr, entries)


def read_protos(messages: Any) -> ArrayAttr | None:
    """Messages as protobuf text."""
    return ArrayAttr(tuple(proto_attr(m) for m in messages)) if len(messages) else None


def write_protos(attr: Attribute | None, messages: Any) -> None:
    for value in attr.values if isinstance(attr, ArrayAttr) else ():
        message = opaque_text(value, "proto")
        if message is not None:
            text_format.Parse(message, messages.add())


def tensor_fields(tensor: onnx.TensorProto, *, named: bool) -> DictAttr | None:
    """What a TensorProto says beside its data. `named`: its name is known elsewhere."""
    found: dict[str, Attribute] = {}
    if not named and tensor.HasField("name"):
        found["name"] = text_attr(tensor.name)
    if tensor.HasField("doc_string"):
        found["doc_string"] = text_attr(tensor.doc_string)
    metadata = read_metadata(tensor.metadata_props)
    if metadata is not None:
        found["metadata"] = metadata
    return dictionary(found) if found else None


def write_tensor_fields(attr: Attribute | None, tensor: onnx.TensorProto) -> None:
    if not isinstance(attr, DictAttr):
        return
    for field in ("name", "doc_string"):
        value = attr.get(field)
        if isinstance(value, StringAttr):
            setattr(tensor, field, value.value)
    write_metadata(attr.get("metadata"), tensor.metadata_props)
