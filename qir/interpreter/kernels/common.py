"""What the kernel families share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from qir.dialects.onnx_types import ELEMENTS
from qir.interpreter.node import Node
from qir.interpreter.values import as_array, as_tensor
from qir.ir import Type

__all__ = ["WIDE_UNSIGNED", "int_list", "onnx_type", "pairs", "unsigned", "wide"]

WIDE_UNSIGNED = frozenset((torch.uint16, torch.uint32, torch.uint64))
"""Types that torch stores but hardly computes with; numpy computes with them."""

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def unsigned(compute: Callable[..., Any], by_numpy: Callable[..., Any]) -> Callable[..., Any]:
    """`compute` on tensors, but `by_numpy` on arrays when the first tensor is of a wide unsigned type."""

    def run(*tensors: Any) -> Any:
        if tensors[0].dtype in WIDE_UNSIGNED:
            return as_tensor(by_numpy(*map(as_array, tensors)), tensors[0].device)
        return compute(*tensors)

    return run


def wide(move: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that only moves elements, for the types that torch cannot move: through a signed type and back."""

    def run(x: Any, *others: Any) -> Any:
        wider = _WIDER.get(x.dtype)
        if wider is None:
            return move(x, *others)
        converted = [o.to(wider) if isinstance(o, torch.Tensor) and o.dtype == x.dtype else o for o in others]
        result = move(x.to(wider), *converted)
        if isinstance(result, tuple):
            return tuple(r.to(x.dtype) if r.dtype == wider else r for r in result)
        return result.to(x.dtype)

    return run


def int_list(tensor: Any) -> list[int]:
    """A tensor of integers as a flat list."""
    return [int(v) for v in tensor.reshape(-1).tolist()]


def onnx_type(node: Node, attribute: str, default: int | None = None) -> Type | None:
    """An attribute that names an element type: a TensorProto.DataType number, or a type."""
    value = node.attr(attribute, default)
    if value is None or isinstance(value, Type):
        return value
    if value == 0:
        return None
    if value not in ELEMENTS:
        raise node.error(f"{attribute} = {value} is no element type", "see onnx.TensorProto.DataType")
    return ELEMENTS[value]


def pairs(values: Sequence[int]) -> list[tuple[int, int]]:
    """ONNX's pads (all begins, then all ends) as (begin, end) per axis."""
    half = len(values) // 2
    return list(zip(values[:half], values[half:], strict=False))
