"""Folding constants: what the interpreter computes for operations whose operands are all constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qir.ir import Operation, QirError, TensorType, Trait
from qir.ir.tensors import numpy_dtype
from qir.rewrite import Folder, constant_array, is_absent

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["make_folder"]

# Folding these would hide a quantization that the model states, or cannot be sized beforehand.
_KEPT = frozenset(
    f"onnx.{name}"
    for name in (
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger",
        "MatMulInteger",
    )
)  # fmt: skip


def make_folder(limit: int) -> Folder:
    """A folder for `apply_patterns`: results of more than `limit` elements, and larger than every operand, stay
    computed."""

    def fold(op: Operation) -> Sequence[NDArray[Any] | None] | None:
        if not op.name.startswith("onnx.") or op.name in _KEPT or op.regions or not op.has_trait(Trait.PURE):
            return None
        if not _small(op, limit):
            return None
        return _evaluate(op)

    return fold


def _count(type_: object) -> int | None:
    return type_.count if isinstance(type_, TensorType) and type_.is_static else None


def _small(op: Operation, limit: int) -> bool:
    largest = max((_count(v.type) or 0 for v in op.operands), default=0)
    allowed = max(limit, largest)
    for result in op.results:
        if not result.uses:
            continue
        if not isinstance(result.type, TensorType):  # sequences and optionals have no constants
            return False
        count = _count(result.type)
        if count is None:
            count = _predicted(op)
        if count is None or count > allowed:
            return False
    return True


def _predicted(op: Operation) -> int | None:
    """How many elements the result of an operation without a static type will have at most."""
    if op.name in ("onnx.ConstantOfShape", "onnx.Expand", "onnx.Tile"):
        array = constant_array(op.operands[-1])
        if array is None:
            return None
        total = _count(op.operands[0].type) or 1 if op.name != "onnx.ConstantOfShape" else 1
        for size in array.reshape(-1).tolist():
            total *= max(int(size), 1)
        return total
    if op.name in (
        "onnx.Range",
        "onnx.Resize",
        "onnx.Upsample",
        "onnx.Pad",
        "onnx.OneHot",
        "onnx.EyeLike",
        "onnx.Loop",
    ):
        return None
    counts = [_count(v.type) or 1 for v in op.operands]
    total = 1
    for count in counts:
        total *= count
    return total


def _evaluate(op: Operation) -> Sequence[NDArray[Any] | None] | None:
    from qir.interpreter import as_array, as_tensor, evaluate

    operands: list[Any] = []
    for value in op.operands:
        if is_absent(value):
            operands.append(None)
            continue
        array = constant_array(value)
        if array is None:
            return None
        operands.append(as_tensor(array))
    try:
        results = evaluate(op, operands)
    except QirError:
        return None  # no kernel, or operands that it does not take: whoever runs the module is told then
    arrays: list[NDArray[Any] | None] = []
    for value, result in zip(op.results, results, strict=False):
        if result is None or not isinstance(value.type, TensorType):
            arrays.append(None)
            continue
        array = as_array(result, value.type.element)
        if array.dtype.kind not in "OSU":
            array = array.astype(numpy_dtype(value.type.element), copy=False)
        arrays.append(array)
    return arrays
