"""The ``onnx`` dialect: one operation class per ONNX operator, made from ``onnx.defs`` when it is first asked for.

``onnx.Conv`` is a class; ``onnx.Conv.build(x, w, pads=[1, 1, 1, 1])`` makes an operation (outside any block) with its
result types inferred by ONNX. Operands and attributes have accessors by their ONNX names (``conv.W``, ``conv.strides``:
the given value or the schema's default). Which version of an operator holds is decided by ``onnx.opset`` of the
enclosing function or module.

Operators of ONNX's other domains are called ``ai.onnx.ml.X``; those of unknown domains are unregistered
``domain.X``. An absent operand is the result of `NoValue`; graphs inside operators end in `Yield`.

``onnx.pyi`` beside this file tells editors and type checkers what is here; ``python -m qir.dialects.onnx_stub``
writes it anew.
"""

from __future__ import annotations

from qir.dialects import onnx_schema
from qir.dialects.onnx_ops import (
    DIALECT,
    DIALECT_AI,
    NoValue,
    OnnxDefinition,
    OnnxOp,
    Yield,
    domain_and_type,
    op_class,
    op_name,
    opset_of,
    opsets,
    region_names,
    similar,
)
from qir.dialects.onnx_types import STRING, UNKNOWN_TYPE
from qir.ir.core import Operation

__all__ = [
    "DIALECT",
    "DIALECT_AI",
    "STRING",
    "UNKNOWN_TYPE",
    "NoValue",
    "OnnxDefinition",
    "OnnxOp",
    "Yield",
    "domain_and_type",
    "op_class",
    "op_name",
    "opset_of",
    "opsets",
    "region_names",
    "similar",
]


def __getattr__(name: str) -> type[Operation]:
    """The class of the operator `name`. Raises AttributeError with the nearest name."""
    if name.startswith("_"):
        raise AttributeError(name)
    return op_class(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *onnx_schema.names("")})
