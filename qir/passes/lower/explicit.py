"""ONNX operators with everything stated that ONNX lets a model leave out, for records that know no defaults.

Opset 18's forms are read. Each rewrite computes the same numbers; what is not known (a size that is free) leaves the
operation as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qir.ir import Operation, Value, is_absent
from qir.passes.lower.reading import axis_of, shape_of
from qir.rewrite import PatternSet, RewritePattern, Rewriter, constant_array

__all__ = ["BIAS_APART", "EXPLICIT"]

Rewrite = Callable[[Operation, Rewriter], "Value | Operation | None"]


class Explicit(RewritePattern):
    """An operator of another form, made by a function that returns None where it has none."""

    def __init__(self, name: str, roots: Sequence[str], make: Rewrite) -> None:
        self.name, self.roots, self.make = f"explicit-{name}", tuple(f"onnx.{root}" for root in roots), make
        self.doc = (make.__doc__ or "").partition("\n")[0]

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        made = self.make(op, rewriter)
        if made is not None:
            rewriter.replace(op, made)
        return made is not None


def _integers(rewriter: Rewriter, values: Any) -> Value:
    return rewriter.constant(np.asarray(values, np.int64))


def _lacks(op: Operation, index: int) -> bool:
    return index >= len(op.operands) or is_absent(op.operands[index])


def _with(op: Operation, rewriter: Rewriter, *values: Value) -> Operation:
    """The same operation on its first operand and these."""
    return rewriter.op(op.name, [op.operands[0], *values], dict(op.attributes), [r.type for r in op.results])


def flatten(op: Operation, rewriter: Rewriter) -> Operation | None:
    """flatten(x, axis) = reshape(x, [sizes before axis, -1])."""
    axis, shape = axis_of(op, 1), shape_of(op.operands[0])
    if op.attr("axis", 1) == len(shape) or (axis != 1 and None in shape[:axis]):
        return None
    head = 0 if axis == 1 else math.prod(n or 0 for n in shape[:axis])
    return rewriter.op("onnx.Reshape", [op.operands[0], _integers(rewriter, [head, -1])])


def global_pool(op: Operation, rewriter: Rewriter) -> Operation | None:
    """globalpool(x) = reduce(x, all axes behind the second)."""
    name = {"onnx.GlobalAveragePool": "onnx.ReduceMean", "onnx.GlobalMaxPool": "onnx.ReduceMax"}[op.name]
    rank = len(shape_of(op.operands[0]))
    if rank < 3:
        return None
    return rewriter.op(name, [op.operands[0], _integers(rewriter, range(2, rank))], {"keepdims": 1})


def reduce_all(op: Operation, rewriter: Rewriter) -> Operation | None:
    """reduce(x) = reduce(x, all axes)."""
    rank = len(shape_of(op.operands[0]))
    if not _lacks(op, 1) or op.attr("noop_with_empty_axes", 0) or not rank:
        return None
    return _with(op, rewriter, _integers(rewriter, range(rank)))


def squeeze(op: Operation, rewriter: Rewriter) -> Operation | None:
    """squeeze(x) = squeeze(x, the axes of size 1)."""
    shape = shape_of(op.operands[0])
    if not _lacks(op, 1) or None in shape:
        return None
    return _with(op, rewriter, _integers(rewriter, [i for i, size in enumerate(shape) if size == 1]))


def split(op: Operation, rewriter: Rewriter) -> Operation | None:
    """split(x) = split(x, lengths): equal ones, of which the last may be smaller."""
    size = (*shape_of(op.operands[0]), None)[axis_of(op, 0)]
    if not _lacks(op, 1) or size is None:
        return None
    each = -(-size // len(op.results))
    lengths = [max(0, min(each, size - i * each)) for i in range(len(op.results))]
    made = _with(op, rewriter, _integers(rewriter, lengths))
    made.attributes.pop("num_outputs", None)
    return made


def slice_(op: Operation, rewriter: Rewriter) -> Operation | None:
    """slice(x, starts, ends) = slice(x, starts, ends, the first axes, steps of 1)."""
    count = (*shape_of(op.operands[1]), None)[0]
    if count is None or not (_lacks(op, 3) or _lacks(op, 4)):
        return None
    axes = _integers(rewriter, range(count)) if _lacks(op, 3) else op.operands[3]
    steps = _integers(rewriter, [1] * count) if _lacks(op, 4) else op.operands[4]
    return _with(op, rewriter, op.operands[1], op.operands[2], axes, steps)


def transpose(op: Operation, rewriter: Rewriter) -> Operation | None:
    """transpose(x) = transpose(x, axes in reverse)."""
    rank = len(shape_of(op.operands[0]))
    if "perm" in op.attributes or not rank:
        return None
    return rewriter.op(op.name, op.operands, {"perm": list(range(rank))[::-1]})


def chain(op: Operation, rewriter: Rewriter) -> Value | None:
    """max(a, b, c) = max(max(a, b), c); sum(a, b) = add(a, b)."""
    name = "onnx.Add" if op.name == "onnx.Sum" else op.name
    if len(op.operands) == 2 and name == op.name:
        return None
    value = op.operands[0]
    for other in op.operands[1:]:
        value = rewriter.op(name, [value, other]).result
    return value


def bias_apart(op: Operation, rewriter: Rewriter) -> Operation | None:
    """conv(x, w, b) = conv(x, w) + b; gemm(a, b, c) = gemm(a, b) + c where alpha and beta are 1."""
    if _lacks(op, 2) or (op.attr("alpha", 1.0), op.attr("beta", 1.0)) != (1.0, 1.0):
        return None
    bias, rank = op.operands[2], len(shape_of(op.operands[1]))
    if op.name != "onnx.Gemm":  # a number per index of axis 1
        array = constant_array(bias)
        if array is None:
            return None
        bias = rewriter.constant(array.reshape(1, -1, *[1] * (rank - 2)), bias.name)
    y = rewriter.op(op.name, op.operands[:2], dict(op.attributes))
    return rewriter.op("onnx.Add", [y, bias])


EXPLICIT = PatternSet(
    [
        Explicit("flatten", ["Flatten"], flatten),
        Explicit("global-pool", ["GlobalAveragePool", "GlobalMaxPool"], global_pool),
        Explicit("reduce", ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd"], reduce_all),
        Explicit("squeeze", ["Squeeze"], squeeze),
        Explicit("split", ["Split"], split),
        Explicit("slice", ["Slice"], slice_),
        Explicit("transpose", ["Transpose"], transpose),
        Explicit("chain", ["Max", "Min", "Sum"], chain),
    ],
    "explicit",
)
"""One form for each operator that has several."""

BIAS_APART = PatternSet([Explicit("bias-apart", ["Conv", "ConvTranspose", "Gemm"], bias_apart)], "bias-apart")
"""For records without a bias."""
