"""ONNX's own shape inference, run on a model without its weights."""

from __future__ import annotations

import onnx
from onnx import shape_inference

__all__ = ["inferred_model", "without_weights"]

KEEP = 4096
"""Bytes up to which the data of a tensor stays: shapes, axes and limits that inference reads."""


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model without the data of large tensors."""
    copy = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name not in ("graph", "training_info"):
            _set(copy, field, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _set(copy.graph, field, value)
    for tensor in model.graph.initializer:
        if (
            len(tensor.raw_data) <= KEEP
            and tensor.data_location != onnx.TensorProto.EXTERNAL
            and not tensor.HasField("segment")
        ):
            copy.graph.initializer.add().CopyFrom(tensor)
        else:
            copy.graph.initializer.add(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    return copy


def _set(message: object, field: object, value: object) -> None:
    name = field.name  # type: ignore[attr-defined]
    repeated = hasattr(value, "extend")
    if repeated:
        getattr(message, name).extend(value)
    elif hasattr(value, "CopyFrom"):
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def inferred_model(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model (without weights) with all types that ONNX infers; None where inference fails as a whole."""
    try:
        return shape_inference.infer_shapes(without_weights(model), check_type=False, strict_mode=False, data_prop=True)
    except Exception:  # what onnx raises here differs by version and is not one class
        return None
