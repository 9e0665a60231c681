"""Steps of ``convert-opset`` for models older than opset 8: what Caffe2, CNTK and the first PyTorch exporters wrote.

Until 6, the shape of a second operand was aligned at an attribute ``axis``, shapes and types were attributes, and
operators said in attributes whether they run for training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qir.ir import DenseArrayAttr, IntegerAttr, Operation, StringAttr, TensorType, Value, i64
from qir.passes.graph.operations import tensor_rank
from qir.rewrite import is_absent

if TYPE_CHECKING:
    from qir.passes.graph.convert_opset import Step
    from qir.rewrite import Rewriter

__all__ = ["OLD_STEPS"]


def _drop(*names: str) -> Step:
    """Attributes that say what is now always so."""

    def convert(op: Operation, rewriter: Rewriter) -> None:
        for name in names:
            rewriter.set_attr(op, name, None)

    return convert


def _trailing_ones(value: Value, count: int, rewriter: Rewriter) -> Value:
    """The value with `count` more axes of size 1 at its end."""
    assert isinstance(value.type, TensorType) and value.type.shape is not None
    rank = len(value.type.shape)
    axes = DenseArrayAttr(i64, tuple(range(rank, rank + count)))
    type = TensorType((*value.type.shape, *[1] * count), value.type.element)
    return rewriter.op("onnx.Unsqueeze", [value], {"axes": axes}, type).result


def _broadcast(op: Operation, rewriter: Rewriter) -> None:
    """``broadcast`` let the second operand's axes begin at ``axis`` of the first; now shapes end together."""
    axis = op.attributes.get("axis")
    a, b = op.operands[:2]
    rank, other = tensor_rank(a), tensor_rank(b)
    if isinstance(axis, IntegerAttr) and rank is not None and other is not None:
        missing = rank - axis.value % max(rank, 1) - other
        if missing > 0:
            rewriter.set_operand(op, 1, _trailing_ones(b, missing, rewriter))
    elif isinstance(axis, IntegerAttr):
        raise op.error("broadcasts at an axis of a tensor whose rank is unknown", "run shape-inference first")
    _drop("axis", "broadcast")(op, rewriter)


def _slopes(op: Operation, rewriter: Rewriter) -> None:
    """A slope per channel is aligned at the end, too."""
    x, slope = op.operands
    rank = tensor_rank(x)
    shape = slope.type.shape if isinstance(slope.type, TensorType) else None
    if rank is not None and rank > 2 and shape is not None and len(shape) == 1 and shape[0] != 1:
        rewriter.set_operand(op, 1, _trailing_ones(slope, rank - 2, rewriter))


def _shape(op: Operation, rewriter: Rewriter) -> None:
    """The shape of Reshape-1 was an attribute."""
    shape = op.attr("shape")
    if shape is not None and len(op.operands) == 1:
        value = rewriter.constant(np.asarray(shape, np.int64), "shape", initializer=True)
        rewriter.set_operands(op, [op.operands[0], value])
        rewriter.set_attr(op, "shape", None)


def _cast(op: Operation, rewriter: Rewriter) -> None:
    """Types were given by name."""
    from onnx import TensorProto

    to = op.attributes.get("to")
    if isinstance(to, StringAttr):
        rewriter.set_attr(op, "to", IntegerAttr(TensorProto.DataType.Value(to.value.upper())))


def _paddings(op: Operation, rewriter: Rewriter) -> None:
    """Renamed."""
    rewriter.set_attr(op, "pads", op.attributes.get("paddings"))
    rewriter.set_attr(op, "paddings", None)


def _concat(op: Operation, rewriter: Rewriter) -> None:
    """The axis has no default any more."""
    if "axis" not in op.attributes:
        rewriter.set_attr(op, "axis", IntegerAttr(1))


def _one_output(op: Operation, rewriter: Rewriter) -> None:
    """Means and variances came out for training only; what nobody reads goes."""
    if any(result.uses for result in op.results[1:]):
        raise op.error("gives its means and variances, which only training does", "export the model for inference")
    _drop("is_test")(op, rewriter)
    if len(op.results) > 1:
        made = rewriter.op(op.name, op.operands, dict(op.attributes), [op.results[0].type])
        made.results[0].name = op.results[0].name
        rewriter.replace(op, [made.results[0]])


def _split(op: Operation, rewriter: Rewriter) -> None:
    if len(op.operands) > 1 and not is_absent(op.operands[1]):
        raise op.error("takes its sizes from an operand, which opset 2 dropped", "export the model with a newer opset")


_BINARY = ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")
OLD_STEPS: dict[tuple[str, int], Step] = {
    **{(f"onnx.{name}", 7): _broadcast for name in _BINARY},
    **{(f"onnx.{name}", 7): _drop("output_sequence") for name in ("GRU", "LSTM", "RNN")},
    ("onnx.BatchNormalization", 7): _one_output,
    ("onnx.Cast", 6): _cast,
    ("onnx.Concat", 4): _concat,
    ("onnx.Dropout", 7): _drop("is_test"),
    ("onnx.Gemm", 7): _drop("broadcast"),
    ("onnx.PRelu", 7): _slopes,
    ("onnx.Pad", 2): _paddings,
    ("onnx.Reshape", 5): _shape,
    ("onnx.Split", 2): _split,
}
"""The rewrite for each operator and the version, up to 7, that changed it."""
