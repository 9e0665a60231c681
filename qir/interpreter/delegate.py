"""Records that compute what an ONNX operator computes: its kernel, on the record's operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch

from qir.interpreter.lookup import NEWEST
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, find_kernel
from qir.ir import TensorType, UnregisteredOp, Value, attribute, dense_from_numpy

__all__ = ["as_onnx"]


def as_onnx(node: Node, op_type: str, operands: Sequence[int | torch.Tensor] | None = None, **given: Any) -> Kernel:
    """The kernel of the newest version of an ONNX operator, for the operation of `node`.

    `operands` are the operator's, in its order: positions of the record's operands (one that it does not have is
    absent), or tensors where the record has a parameter and ONNX an operand; None takes the record's as they are.
    Attributes are Python values of ONNX's types; those that are None are left out. Raises QirError where there is no
    such kernel.
    """
    name = f"onnx.{op_type}"
    entry = find_kernel(name, NEWEST)
    if entry is None:
        raise node.error(f"is run as '{name}', which has no kernel")
    chosen: list[Value | None] = []
    constants = dict(node.constants)
    for item in range(len(node.operands)) if operands is None else operands:
        if isinstance(item, torch.Tensor):
            value = _constant(item)
            constants[value] = item.to(node.device)
            chosen.append(value)
        else:
            chosen.append(node.operands[item] if item < len(node.operands) else None)
    encoded = {key: attribute(value) for key, value in given.items() if value is not None}
    op = UnregisteredOp.create([], [r.type for r in node.op.results], encoded, (), node.op.location, name=name)
    like = attrs.evolve(node, op=op, operands=tuple(chosen), constants=constants, inplace=None, opset=NEWEST)
    kernel = entry.build(like)
    if operands is None:
        return kernel
    picks = [constants[v] if isinstance(i, torch.Tensor) and v is not None else i for i, v in zip(operands, chosen)]
    return lambda *tensors: kernel(
        *(p if isinstance(p, torch.Tensor) else tensors[p] if p < len(tensors) else None for p in picks)
    )


def _constant(tensor: torch.Tensor) -> Value:
    """A value that stands for a constant operand while the kernel is built."""
    held = dense_from_numpy(tensor.cpu().numpy())
    assert isinstance(held.type, TensorType)
    return UnregisteredOp.create([], [held.type], {"value": held}, name="onnx.Constant").results[0]
