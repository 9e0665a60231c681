"""Shape arithmetic that the types already answer: Shape, Gather and Slice of it, and reshapes to shapes computed so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from qir.ir import Operation, TensorType, Value
from qir.rewrite import RewritePattern, Rewriter, constant_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SHAPES", "Dim", "shape_entries"]

LIMIT = 64
"""Vectors of more elements than this are no shapes."""


@attrs.frozen(eq=False)
class Dim:
    """The size of `value` on `axis`, not known when compiling."""

    value: Value
    axis: int


Entry = int | Dim | None


def shape_entries(value: Value, depth: int = 0) -> list[Entry] | None:
    """What is known of each element of a vector (or scalar) that holds sizes: a number, a dimension, or nothing (None).

    None as a whole where not even the number of elements is known.
    """
    array = constant_array(value)
    if array is not None:
        integers = array.dtype.kind in "iu" and array.ndim <= 1 and array.size <= LIMIT
        return [int(v) for v in array.reshape(-1)] if integers else None
    op = value.defining_op
    if op is None or depth > 32:
        return _unknown(value)
    handler = _HANDLERS.get(op.name)
    found = handler(op, depth + 1) if handler is not None else None
    return found if found is not None else _unknown(value)


def _unknown(value: Value) -> list[Entry] | None:
    if not isinstance(value.type, TensorType) or not value.type.is_static or len(value.type.shape or ()) > 1:
        return None
    return [None] * value.type.count if value.type.count <= LIMIT else None


def _of_shape(op: Operation, depth: int) -> list[Entry] | None:
    data = op.operands[0]
    if not isinstance(data.type, TensorType) or data.type.shape is None:
        return None
    entries: list[Entry] = [Dim(data, i) if size is None else size for i, size in enumerate(data.type.shape)]
    return entries[slice(op.attr("start", 0), op.attr("end"))]


def _of_gather(op: Operation, depth: int) -> list[Entry] | None:
    entries, indices = shape_entries(op.operands[0], depth), constant_array(op.operands[1])
    if entries is None or indices is None or indices.ndim > 1 or op.attr("axis", 0) not in (0, -1):
        return None
    if any(not -len(entries) <= i < len(entries) for i in indices.reshape(-1)):
        return None
    return [entries[int(i)] for i in indices.reshape(-1)]


def _of_slice(op: Operation, depth: int) -> list[Entry] | None:
    entries = shape_entries(op.operands[0], depth)
    if entries is None:
        return None
    if len(op.operands) == 1:  # before opset 10 the bounds are attributes
        starts, ends = op.attr("starts"), op.attr("ends")
        return entries[slice(starts[0], ends[0])] if starts and ends and len(starts) == 1 else None
    arrays = [constant_array(v) for v in op.operands[1:]]
    absent = [v.type for v in op.operands[1:]]
    if any(a is None and isinstance(t, TensorType) for a, t in zip(arrays, absent, strict=True)):
        return None
    if arrays[0] is None or arrays[1] is None or arrays[0].size != 1:
        return None
    steps = arrays[3] if len(arrays) > 3 else None
    step = int(steps.reshape(-1)[0]) if steps is not None else 1
    if step <= 0:
        return None
    return entries[slice(int(arrays[0].reshape(-1)[0]), int(arrays[1].reshape(-1)[0]), step)]


def _of_concat(op: Operation, depth: int) -> list[Entry] | None:
    entries: list[Entry] = []
    for value in op.operands:
        part = shape_entries(value, depth)
        if part is None:
            return None
        entries += part
    return entries if len(entries) <= LIMIT else None


def _same(op: Operation, depth: int) -> list[Entry] | None:
    return shape_entries(op.operands[0], depth)


def _of_cast(op: Operation, depth: int) -> list[Entry] | None:
    element = op.results[0].type.element if isinstance(op.results[0].type, TensorType) else None
    return shape_entries(op.operands[0], depth) if str(element) in ("i64", "i32") else None


_HANDLERS: dict[str, Any] = {
    "onnx.Shape": _of_shape, "onnx.Gather": _of_gather, "onnx.Slice": _of_slice, "onnx.Concat": _of_concat,
    "onnx.Unsqueeze": _same, "onnx.Squeeze": _same, "onnx.Identity": _same, "onnx.Cast": _of_cast,
}  # fmt: skip


def _numbers(entries: list[Entry] | None) -> list[int] | None:
    if entries is None:
        return None
    numbers = [e for e in entries if isinstance(e, int)]
    return numbers if len(numbers) == len(entries) else None


# ---------------------------------------------------------------- patterns
class FoldShape(RewritePattern):
    """A vector of sizes is a constant where the types tell all of them: shape(x) = [d₀, d₁, …]."""

    name = "fold-shape"
    roots = ("onnx.Shape", "onnx.Gather", "onnx.Slice", "onnx.Concat", "onnx.Size")
    depth = 4

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        result = op.results[0]
        if not isinstance(result.type, TensorType) or str(result.type.element) not in ("i64", "i32"):
            return False
        if op.name == "onnx.Size":
            data = op.operands[0].type
            known = [data.count] if isinstance(data, TensorType) and data.is_static else None
        elif op.name != "onnx.Shape" and all(constant_array(v) is not None for v in op.operands):
            return False  # that is for the constant folder
        else:
            known = _numbers(shape_entries(result))
        if known is None:
            return False
        import numpy as np

        array: NDArray[Any] = np.array(known, np.int32 if str(result.type.element) == "i32" else np.int64)
        scalar = op.name == "onnx.Size" or (op.name == "onnx.Gather" and result.type.rank == 0)
        rewriter.replace(
            op, rewriter.constant(array.reshape(()) if scalar else array, result.name, location=op.location)
        )
        return True


class ConstantReshape(RewritePattern):
    """reshape(x, s) with a constant s where all sizes but one are known, or are those of x at their place:
    reshape(x, [shape(x)[0], 4, …]) = reshape(x, [0, 4, …])."""

    name = "constant-reshape"
    roots = ("onnx.Reshape",)
    depth = 5

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        if len(op.operands) < 2 or constant_array(op.operands[1]) is not None or op.attr("allowzero", 0):
            return False
        data, shape = op.operands[:2]
        entries = shape_entries(shape)
        result = op.results[0].type
        by_type = list(result.shape) if isinstance(result, TensorType) and result.shape is not None else None
        if entries is None:
            entries = [None] * len(by_type) if by_type is not None else None
        if entries is None or (by_type is not None and len(by_type) != len(entries)):
            return False
        sizes = [_size(e, i, data, by_type[i] if by_type else None) for i, e in enumerate(entries)]
        open_ = [i for i, s in enumerate(sizes) if s is None]
        if len(open_) > (0 if -1 in sizes else 1):
            rewriter.missed = "more than one size is not known"
            return False
        import numpy as np

        array = np.array([-1 if s is None else s for s in sizes], np.int64)
        new = rewriter.op("onnx.Reshape", [data, rewriter.constant(array, shape.name)], dict(op.attributes))
        rewriter.replace(op, new)
        return True


def _size(entry: Entry, index: int, data: Value, known: int | None) -> int | None:
    """What to write for one size: the number, 0 to copy it from `data`, or None where it must be computed."""
    if known is not None and known > 0:
        return known
    if isinstance(entry, int):
        return entry if entry != 0 else None
    if isinstance(entry, Dim) and entry.value is data and entry.axis == index:
        return 0
    return None


SHAPES: list[RewritePattern] = [FoldShape(), ConstantReshape()]
