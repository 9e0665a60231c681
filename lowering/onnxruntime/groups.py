"""The QDQ graph as the runtime reads it: groups of an operator, its DequantizeLinears and what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import attrs

from qir.datasheet import clamp_bounds
from qir.ir import Operation, Trait, Type, i8, is_absent, ui8
from qir.lowering.onnxruntime.dialect import DEQUANTIZE, QUANTIZE, element
from qir.rewrite import Value
from qir.rewrite.constants import constant_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ACTIVATIONS", "BYTES", "Group", "all_dequantized", "codes_of", "edges", "equal_parameters", "group_of", "implied",
    "is_dequantize", "is_output", "is_quantize", "is_scalar", "leads_to_quantize", "parameters", "sole_reader",
]  # fmt: skip

ACTIVATIONS = ("onnx.Relu", "onnx.Clip")
BYTES = (ui8, i8)


# ---------------------------------------------------------------------- edges
def is_quantize(op: Operation | None) -> TypeGuard[Operation]:
    return op is not None and op.name == QUANTIZE


def is_dequantize(op: Operation | None) -> TypeGuard[Operation]:
    return op is not None and op.name == DEQUANTIZE


def edges(value: Value) -> list[Operation]:
    """The operations that read a value, once per operand; a graph output is no edge."""
    return [user for user, count in value.uses.items() if not user.has_trait(Trait.TERMINATOR) for _ in range(count)]


def is_output(value: Value) -> bool:
    """Whether a value is a result of its graph."""
    return any(user.has_trait(Trait.TERMINATOR) for user in value.uses)


def sole_reader(value: Value) -> Operation | None:
    """The operation that reads a value once, where nothing else does; None otherwise."""
    readers = edges(value)
    return readers[0] if len(readers) == 1 and not is_output(value) else None


def leads_to_quantize(op: Operation) -> bool:
    """Whether one path of Relu and Clip leads from the result to a quantizer, with no other reader on the way."""
    value: Value = op.results[0]
    while True:
        readers = list(value.users)
        if len(readers) != 1:
            return False
        if readers[0].name in (QUANTIZE, "qsim.encode"):
            return True
        if readers[0].name not in ACTIVATIONS:
            return False
        value = readers[0].results[0]


def all_dequantized(op: Operation) -> bool:
    """Whether every operand that is there is a DequantizeLinear's result."""
    return all(is_dequantize(v.defining_op) for v in op.operands if not is_absent(v))


# ---------------------------------------------------------------------- what a converter says
def codes_of(op: Operation) -> Type:
    """Element type of a converter's codes."""
    return element(op.results[0] if is_quantize(op) else op.operands[0])


def parameters(op: Operation) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Scale and zero point of a converter, None where they are computed. An absent zero point is 0."""
    import numpy as np

    scale = constant_array(op.operands[1])
    zero = constant_array(op.operands[2]) if len(op.operands) > 2 else np.zeros_like(scale, np.int32)
    return None if scale is None or zero is None else (scale, zero)


def is_scalar(op: Operation) -> bool:
    """Whether the parameters are constant and one for the whole tensor, and the zero point is given."""
    found = parameters(op)
    return found is not None and found[0].size == 1 == found[1].size and len(op.operands) > 2


def equal_parameters(a: Operation, b: Operation) -> bool:
    """Whether both have the same constant scalar scale and zero point."""
    if not is_scalar(a) or not is_scalar(b):
        return False
    (scale, zero), (other_scale, other_zero) = parameters(a), parameters(b)  # type: ignore[misc]
    return bool(scale == other_scale and zero == other_zero and zero.dtype == other_zero.dtype)


def implied(clip: Operation, q: Operation) -> bool:
    """Whether saturation of the codes does all that a Relu or Clip does."""
    import numpy as np

    found, bounds = parameters(q), clamp_bounds(clip)
    if found is None or bounds is None or found[0].size != 1 or found[0].dtype != "float32":
        return False
    if found[1].dtype.name not in ("int8", "uint8", "int16", "uint16"):
        return False
    scale, zero, info = found[0].reshape(()), int(found[1].reshape(())), np.iinfo(found[1].dtype)
    low, high = (float(np.rint(np.float32(b) / scale)) + zero for b in bounds)
    return low <= info.min and high >= info.max


# ---------------------------------------------------------------------- groups
@attrs.frozen
class Group:
    """An operator with its DequantizeLinears (one per operand, None for other operands), and what follows it."""

    op: Operation
    dqs: tuple[Operation | None, ...]
    clip: Operation | None = None
    q: Operation | None = None

    @property
    def inputs(self) -> list[Operation]:
        return [dq for dq in self.dqs if dq is not None]

    @property
    def converters(self) -> list[Operation]:
        return self.inputs if self.q is None else [*self.inputs, self.q]


def group_of(op: Operation) -> Group | str:
    """The group around an operator of one result, or why the runtime sees none."""
    dqs = tuple(d if is_dequantize(d := v.defining_op) else None for v in op.operands)
    result = op.results[0]
    readers = edges(result)
    if len(readers) == 1 and readers[0].name in ACTIVATIONS:
        clip = readers[0]
        name, q = clip.name.removeprefix("onnx."), sole_reader(clip.results[0])
        if q is not None:
            if not is_quantize(q):
                return f"no QuantizeLinear follows the {name} behind it"
            if not implied(clip, q):
                return f"the codes behind it do not imply the {name}"
            if is_output(result):
                return "its float result is an output of the graph"
            return Group(op, dqs, clip, q)
    qs = [r for r in readers if is_quantize(r)]
    if not qs:
        return Group(op, dqs)
    if len(readers) > 1 or is_output(result):
        return "its result is read in float beside the QuantizeLinear"
    return Group(op, dqs, None, qs[0])
