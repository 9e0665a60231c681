"""Conditions that many data sheets have, in their words: `Constraint`s on operands, shapes and constants."""

from __future__ import annotations

import math

from qir.ir import FloatType, Operation, TensorType, Value, is_absent
from qir.target import Constraint, constant_of, is_constant, operand_indices

__all__ = [
    "BOUNDS_KNOWN", "COLUMN_BIAS", "DEPTH_FIRST", "FLOAT_RESULT", "IMAGE_WINDOW", "NO_MASK", "PADS_ALIKE", "PADS_ZERO",
    "PLAIN_GEMM", "SAMPLED", "WINDOW_IS_IMAGE", "axis_below", "clamp_bounds", "clips_to", "computed", "constant",
    "constant_or_absent", "operand_of", "rank_is",
]  # fmt: skip


def operand_of(op: Operation, key: str | int) -> Value | None:
    """The operand that a data sheet calls `key`: ONNX's name, or a position; None where it is absent."""
    found = operand_indices(op, key)
    return op.operands[found[0]] if found else None


# ---------------------------------------------------------------- what is constant
def constant(key: str | int) -> Constraint:
    """The operand is there and a constant."""

    def holds(op: Operation) -> bool:
        value = operand_of(op, key)
        return value is not None and is_constant(value)

    return Constraint(f"{key} is a constant", f"{key} is not a constant", holds)


def computed(key: str | int) -> Constraint:
    """The operand is there and no constant."""

    def holds(op: Operation) -> bool:
        value = operand_of(op, key)
        return value is not None and not is_constant(value)

    return Constraint(f"{key} is computed", f"{key} is a constant", holds)


def constant_or_absent(key: str | int) -> Constraint:
    """The operand is a constant, or not there."""

    def holds(op: Operation) -> bool:
        value = operand_of(op, key)
        return value is None or is_constant(value)

    return Constraint(f"{key} is a constant or absent", f"{key} is computed", holds)


# ---------------------------------------------------------------- shapes and types
def rank_is(key: str | int, *ranks: int) -> Constraint:
    """The operand has so many axes."""
    words = " or ".join(map(str, ranks))

    def holds(op: Operation) -> bool:
        value = operand_of(op, key)
        return value is not None and isinstance(value.type, TensorType) and value.type.rank in ranks

    return Constraint(f"{key} has {words} axes", f"{key} has not {words} axes", holds)


def _column_bias(op: Operation) -> bool:
    value, weight = operand_of(op, "C"), operand_of(op, "B")
    if value is None:
        return True
    if weight is None or not isinstance(value.type, TensorType) or not isinstance(weight.type, TensorType):
        return False
    columns = weight.type.shape[0 if op.attr("transB", 0) else 1] if weight.type.shape else None
    return value.type.shape == (columns,)


COLUMN_BIAS = Constraint(
    "C is one number per column or absent", "C is not one number per column", _column_bias
)  # of a Gemm
FLOAT_RESULT = Constraint(
    "its numbers are floats",
    "its numbers are no floats (shapes, indices, masks)",
    lambda op: not isinstance(t := op.results[0].type, TensorType) or isinstance(t.element, FloatType),
)


PLAIN_GEMM = Constraint(
    "alpha and beta are 1, and A is not transposed",
    "it has an alpha or beta, or transposes A",
    lambda op: (op.attr("alpha", 1.0), op.attr("beta", 1.0), op.attr("transA", 0)) == (1.0, 1.0, 0),
)


def _sizes(op: Operation) -> tuple[int | None, ...]:
    type = op.operands[0].type
    return type.shape or () if isinstance(type, TensorType) else ()


def axis_below(count: int, otherwise: str) -> Constraint:
    """The axis that the attribute `axis` names (the last one by default) has fewer elements; else what happens."""

    def holds(op: Operation) -> bool:
        sizes, axis = _sizes(op), op.attr("axis", -1)
        size = sizes[axis] if -len(sizes) <= axis < len(sizes) else None
        return size is not None and size < count

    return Constraint(
        f"its axis has less than {count} elements", f"its axis may have {count} elements: {otherwise}", holds
    )


WINDOW_IS_IMAGE = Constraint(
    "its window is the image",
    "its window is not the image",
    lambda op: tuple(op.attr("kernel_shape", ())) == _sizes(op)[2:] and not any(op.attr("pads") or ()),
)


IMAGE_WINDOW = Constraint(
    "its window has two axes and no dilation",
    "its window has not two axes, or a dilation",
    lambda op: len(op.attr("kernel_shape", ())) == 2 and set(op.attr("dilations") or (1,)) == {1},
)


def _sampled(op: Operation) -> bool:
    from qir.interpreter.sampling import sampling_of

    found = sampling_of(op)
    return found is not None and found.of_codes


SAMPLED = Constraint(
    "it copies pixels or is linear between them, in one of three ways to place them",
    "it places pixels in another way, has no known sizes, or is neither nearest nor linear",
    _sampled,
)  # of a Resize of images
DEPTH_FIRST = Constraint("its mode is DCR", "its mode is CRD", lambda op: op.attr("mode", "DCR") == "DCR")


# ---------------------------------------------------------------- what constants say
def clamp_bounds(op: Operation) -> tuple[float, float] | None:
    """The bounds between which a Relu or Clip (at any opset) clamps; None for other operations, and computed bounds."""
    if op.name == "onnx.Relu":
        return 0.0, math.inf
    if op.name != "onnx.Clip":
        return None
    found = []
    for index, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        if index >= len(op.operands) or is_absent(op.operands[index]):
            found.append(float(op.attr(name, default)))
            continue
        data = constant_of(op.operands[index])
        if data is None:
            return None
        found.append(float(data.numpy().reshape(-1)[0]))
    low, high = found
    return low, high


BOUNDS_KNOWN = Constraint(
    "its bounds are constants", "its bounds are computed", lambda op: clamp_bounds(op) is not None
)


def clips_to(*bounds: tuple[float, float]) -> Constraint:
    """A Relu or Clip between one of these pairs of numbers."""
    text = " or ".join(f"{low:g} and {high:g}" for low, high in bounds)
    return Constraint(f"it clips to {text}", f"it does not clip to {text}", lambda op: clamp_bounds(op) in bounds)


def _no_mask(op: Operation) -> bool:
    """Masks add -10000, -inf or the like: a tensor that holds such numbers beside ordinary ones has no useful scale."""
    import numpy as np

    for value in op.operands:
        data = constant_of(value)
        if data is not None and isinstance(data.type.element, FloatType):
            array = np.abs(data.numpy().astype(np.float32))
            if array.size and not float(array.max()) < 1e4:
                return False
    return True


NO_MASK = Constraint("no operand is a mask", "a constant operand is a mask: its numbers reach 10000", _no_mask)


def _pads_zero(op: Operation) -> bool:
    value = operand_of(op, 2)
    if value is None:
        return float(op.attr("value", 0.0)) == 0.0
    data = constant_of(value)
    return data is not None and not data.numpy().any()


PADS_ALIKE = Constraint(
    "it pads with zeros or reflects",
    "it pads with another number, by another mode, or some axes",
    lambda op: (
        len(op.operands) < 4
        and (op.attr("mode", "constant") == "reflect" or (op.attr("mode", "constant") == "constant" and _pads_zero(op)))
    ),
)
PADS_ZERO = Constraint(
    "it pads with 0",
    "it pads with another number than 0",
    lambda op: op.attr("mode", "constant") != "constant" or _pads_zero(op),
)
