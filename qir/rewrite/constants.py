"""What a constant holds, whatever form its operation has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qir.ir.attributes import DenseArrayAttr, DenseAttr, FloatAttr, IntegerAttr, TensorAttr, dense_from_numpy
from qir.ir.core import Operation, Trait, Value, is_absent
from qir.ir.types import FloatType, TensorType, f32, i64

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["constant_array", "constant_of", "is_absent", "splat_of"]


def constant_of(value: Value | None) -> TensorAttr | None:
    """The tensor that `value` always is, or None: of operations with the trait CONSTANT_LIKE, in their attribute
    ``value`` or ONNX's short forms of it (``value_float``, ``value_ints``, …)."""
    op = value.defining_op if value is not None else None
    if op is None or not op.has_trait(Trait.CONSTANT_LIKE):
        return None
    held = op.attributes.get("value")
    if isinstance(held, TensorAttr):
        return held
    return _short_form(op)


def _short_form(op: Operation) -> TensorAttr | None:
    for key, element in (("value_float", f32), ("value_int", i64), ("value_floats", f32), ("value_ints", i64)):
        held = op.attributes.get(key)
        if held is None:
            continue
        import numpy as np

        dtype = np.float32 if isinstance(element, FloatType) else np.int64
        if isinstance(held, FloatAttr):
            return dense_from_numpy(np.asarray(held.value, dtype))
        if isinstance(held, IntegerAttr):
            return dense_from_numpy(np.asarray(held.value, dtype))
        if isinstance(held, DenseArrayAttr):
            return dense_from_numpy(np.asarray(held.python, dtype))
    return None


def constant_array(value: Value | None) -> NDArray[Any] | None:
    """The array that `value` always is (read-only), or None. Data that the text does not bring counts as unknown."""
    held = constant_of(value)
    if held is None or (not isinstance(held, DenseAttr) and getattr(held, "tensor", held) is None):
        return None
    return held.numpy()


def splat_of(value: Value | None) -> float | None:
    """The number that every element of the constant `value` equals, or None."""
    held = constant_of(value)
    if held is None or not isinstance(held.type, TensorType) or not held.type.is_static or held.type.count == 0:
        return None
    if held.type.count > 1 and isinstance(held, DenseAttr) and not held.is_splat:
        return None  # in place and not printed as one number: the elements differ
    array = constant_array(value)
    if array is None or array.dtype.kind in "OSUc":
        return None
    flat = array.reshape(-1)
    first = flat[0]
    if flat.size > 1 and (flat[-1] != first or not bool((flat == first).all())):
        return None
    return float(first)
