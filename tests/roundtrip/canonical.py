"""Equality of models field by field, up to the order of attributes, initializers and value infos and to which field
stores a tensor's data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

__all__ = ["canonical", "first_difference"]


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which equal models are equal messages."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    _graph(copy.graph)
    for function in copy.functions:
        _nodes(function.node)
    return copy


def _tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.STRING:
        return
    kept = TensorProto(metadata_props=tensor.metadata_props)
    for field in ("name", "doc_string"):
        if tensor.HasField(field):
            setattr(kept, field, getattr(tensor, field))
    plain = numpy_helper.from_array(numpy_helper.to_array(tensor))
    tensor.CopyFrom(plain)
    tensor.MergeFrom(kept)


def _graph(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        _tensor(tensor)
    for field in (graph.initializer, graph.value_info):
        ordered = sorted(field, key=lambda item: item.name)
        del field[:]
        field.extend(ordered)
    _nodes(graph.node)


def _nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        ordered = sorted(node.attribute, key=lambda a: a.name)
        for attribute in ordered:
            if attribute.type == AttributeProto.TENSOR:
                _tensor(attribute.t)
            for tensor in attribute.tensors:
                _tensor(tensor)
            for graph in [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs:
                _graph(graph)
        del node.attribute[:]
        node.attribute.extend(ordered)


def first_difference(a: Any, b: Any, where: str = "model") -> str | None:
    """The path of the first field in which two messages differ, None if there is none."""
    if a == b:
        return None
    if not hasattr(a, "ListFields"):
        return f"{where}: {a!r} against {b!r}"
    for name in sorted({field.name for field, _ in [*a.ListFields(), *b.ListFields()]}):
        x, y = getattr(a, name), getattr(b, name)
        repeated = hasattr(x, "__len__") and not isinstance(x, (str, bytes))
        if repeated and len(x) != len(y):
            return f"{where}.{name}: {len(x)} against {len(y)}"
        if not repeated and a.HasField(name) != b.HasField(name):
            return f"{where}.{name}: set on one side only"
        for i, (p, q) in enumerate(zip(x, y, strict=True) if repeated else [(x, y)]):
            if p != q:
                return first_difference(p, q, f"{where}.{name}[{i}]" if repeated else f"{where}.{name}")
    return where
