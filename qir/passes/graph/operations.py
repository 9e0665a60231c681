"""What patterns over ``onnx`` share: attributes to keep, constants that replace others, and small facts about types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qir.ir import Attribute, Operation, OpResult, TensorType, Type, UnitAttr, Value
from qir.rewrite import Rewriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "broadcasts_into",
    "kept_attributes",
    "opset",
    "replace_constant",
    "same_type",
    "static_shape",
    "tensor_rank",
]

INITIALIZER = "onnx.initializer"


def opset(op: Operation) -> int:
    """The version of the standard operator set that holds for `op`; the newest where none is stated."""
    from qir.dialects.onnx import opset_of

    return opset_of(op) or 1 << 20


def kept_attributes(op: Operation) -> dict[str, Attribute]:
    """The operator's own attributes, without what belongs to the node that it came from (``onnx.*``)."""
    return {k: v for k, v in op.attributes.items() if not k.startswith("onnx.")}


def static_shape(value: Value | None) -> tuple[int, ...] | None:
    """The shape of a value, if it is a tensor whose every size is known."""
    type_ = value.type if value is not None else None
    if not isinstance(type_, TensorType) or type_.shape is None or None in type_.shape:
        return None
    return tuple(s for s in type_.shape if s is not None)


def tensor_rank(value: Value | None) -> int | None:
    """The rank of a value, if it is a ranked tensor."""
    return value.type.rank if value is not None and isinstance(value.type, TensorType) else None


def same_type(a: Value, b: Value) -> bool:
    """Whether two values are tensors of one element type and one known shape (one size may be dynamic in both)."""
    x, y = a.type, b.type
    if not isinstance(x, TensorType) or not isinstance(y, TensorType) or x.shape is None or x.shape != y.shape:
        return False
    return x.element == y.element and x.shape.count(None) <= 1


def broadcasts_into(small: Type, large: Type) -> bool:
    """Whether an element-wise result of both always has the shape of `large`."""
    if not isinstance(small, TensorType) or not isinstance(large, TensorType):
        return False
    if small.shape is None or large.shape is None or len(small.shape) > len(large.shape):
        return small.shape is not None and all(s == 1 for s in small.shape) and small.shape == ()
    tail = large.shape[len(large.shape) - len(small.shape) :]
    return all(s == 1 or (s is not None and s == t) for s, t in zip(small.shape, tail, strict=True))


def replace_constant(rewriter: Rewriter, data: NDArray[Any], source: Value, suffix: str = "folded") -> OpResult:
    """A constant that takes the place of `source`: an initializer if that was one, under its name if nobody else uses
    it."""
    definer = source.defining_op
    initializer = definer is not None and isinstance(definer.attributes.get(INITIALIZER), UnitAttr)
    base = source.name or "constant"
    name = base if source.has_one_use() else f"{base}_{suffix}"
    return rewriter.constant(data, name, initializer=initializer)
