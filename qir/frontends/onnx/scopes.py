"""What is known about the values of one graph: by name, and by their ValueInfos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx

from qir.dialects.onnx_types import UNKNOWN_TYPE
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.types import DIMS, TYPE, TypeRecord, Types
from qir.ir.attributes import ArrayAttr, Attribute, DictAttr, UnitAttr, dictionary
from qir.ir.core import Value
from qir.ir.types import Type, none

__all__ = ["UNTYPED", "Infos", "Scope", "info_attributes", "value_attributes"]

UNTYPED = TypeRecord(UNKNOWN_TYPE, None, UnitAttr())
"""A value whose ValueInfo gives no type."""


class Scope:
    """The values that are visible in a graph, by name; those of outer graphs are found through `outer`."""

    __slots__ = ("outer", "values")

    def __init__(self, outer: Scope | None = None) -> None:
        self.values: dict[str, Value] = {}
        self.outer = outer

    def find(self, name: str) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            value = scope.values.get(name)
            if value is not None:
                return value
            scope = scope.outer
        return None


class Infos:
    """What ValueInfos say about the values of one graph."""

    __slots__ = ("extra", "inferred", "leftover", "listed", "outputs", "used")

    def __init__(self) -> None:
        self.listed: dict[str, TypeRecord] = {}
        self.extra: dict[str, dict[str, Attribute]] = {}
        self.outputs: dict[str, TypeRecord] = {}
        self.inferred: dict[str, Type] = {}
        self.leftover: list[onnx.ValueInfoProto] = []
        self.used: set[str] = set()

    @classmethod
    def read(cls, graph: Any, outputs: Iterable[onnx.ValueInfoProto], inferred: Any, types: Types) -> Infos:
        """Everything that is said about the types of values in `graph` (a graph or function)."""
        infos = cls()
        listed, read = infos.listed, types.read
        for info in graph.value_info:
            name = info.name
            if name in listed or not name:
                infos.leftover.append(info)
                continue
            listed[name] = read(info.type, name) if info.HasField("type") else UNTYPED
            if info.HasField("doc_string") or len(info.metadata_props):
                infos.extra[name] = info_attributes(info)
        for info in outputs:
            if info.HasField("type"):
                infos.outputs[info.name] = read(info.type, info.name)
            else:
                infos.outputs.setdefault(info.name, UNTYPED)
        if inferred is not None:
            for info in (*inferred.value_info, *inferred.input, *inferred.output):
                if info.HasField("type"):
                    infos.inferred[info.name] = read(info.type).type
        return infos

    def result_types(self, outputs: Sequence[str], attributes: dict[str, Attribute]) -> list[Type]:
        """The types of a node's results; what ValueInfos say beyond them goes into `attributes`."""
        types: list[Type] = []
        completed = False
        for key in outputs:
            record = self.outputs.get(key) or self.listed.get(key)
            if record is None:
                types.append(self.inferred.get(key, UNKNOWN_TYPE) if key else none)
                continue
            types.append(self.inferred.get(key, UNKNOWN_TYPE) if record is UNTYPED else record.type)
            if key in self.outputs:
                continue  # the function's result says the rest
            if record.dims is not None or record.exact is not None or key in self.extra:
                completed = True
        if completed:
            self._completions(outputs, attributes)
        return types

    def _completions(self, outputs: Sequence[str], attributes: dict[str, Attribute]) -> None:
        """What ValueInfos say beyond the types of results: one entry per result."""
        empty = TypeRecord(UNKNOWN_TYPE)
        records = [self.listed.get(k, empty) if k not in self.outputs else empty for k in outputs]
        if any(r.dims is not None for r in records):
            dims = tuple(r.dims or ArrayAttr() for r in records)
            attributes[DIMS] = dims[0] if len(dims) == 1 else ArrayAttr(dims)
        if any(r.exact is not None for r in records):
            attributes[TYPE] = ArrayAttr(tuple(r.exact or DictAttr() for r in records))
        if any(k in self.extra for k in outputs):
            attributes["onnx.info"] = ArrayAttr(tuple(dictionary(self.extra.get(k, {})) for k in outputs))


def info_attributes(info: onnx.ValueInfoProto) -> dict[str, Attribute]:
    """Doc string and metadata of a ValueInfo."""
    found: dict[str, Attribute] = {}
    F.read_text(info, found, "doc_string")
    metadata = F.read_metadata(info.metadata_props)
    if metadata is not None:
        found[F.METADATA] = metadata
    return found


def value_attributes(info: onnx.ValueInfoProto, types: Types) -> tuple[TypeRecord, dict[str, Attribute]]:
    """Type and attributes of a graph's input or output."""
    record = types.read(info.type, info.name) if info.HasField("type") else UNTYPED
    return record, record.attributes() | info_attributes(info)
