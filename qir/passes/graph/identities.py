"""Operators that give their operand back, and those that do so together with the one before."""

from __future__ import annotations

from typing import Any

from qir.ir import FloatType, Operation, TensorType, Value
from qir.passes.graph.operations import broadcasts_into, opset, same_type, static_shape, tensor_rank
from qir.rewrite import (
    Attr,
    Match,
    Node,
    Rewriter,
    any_of,
    const,
    constant_array,
    is_absent,
    onnx,
    pattern,
    rest,
    splat_of,
)

__all__ = ["IDENTITIES"]


# ---------------------------------------------------------------- no-ops
@pattern
def drop_identity(x: Value) -> Node:
    """identity(x) = x"""
    return onnx.Identity(x)


@pattern
def drop_dropout(x: Value) -> Node:
    """dropout(x) = x when not training"""
    return onnx.Dropout(x, rest("options"))


def _inference(m: Match) -> bool | str:
    if len(m.root.results) > 1 and m.root.results[1].uses:
        return "its mask is used"
    if opset(m.root) < 7 and not m.root.attr("is_test", 0):
        return "it is in training mode"
    training = m.options[1] if len(m.options) > 1 else None
    if not is_absent(training) and splat_of(training) != 0.0:
        return "it is, or may be, in training mode"
    return True


drop_dropout.where("it is in training mode", _inference)


@pattern
def drop_cast(x: Value) -> Node:
    """cast(x) = x when x has that element type already"""
    return onnx.Cast(x, to=lambda to: True)


drop_cast.where(
    "it changes the element type", lambda m: _element(m.x) is not None and _element(m.x) == _element(m.root.result)
)


def _element(value: Value) -> Any:
    return value.type.element if isinstance(value.type, TensorType) else None


@pattern
def drop_reshape(x: Value) -> Node:
    """A reshape to the shape that x has. At most one size may be dynamic: the number of elements settles it."""
    return onnx["Reshape", "Flatten", "Squeeze", "Unsqueeze"](x, rest("shape"))


drop_reshape.where("it changes the shape", lambda m: same_type(m.x, m.root.result))


@pattern
def drop_expand(x: Value) -> Node:
    """expand(x, s) = x and tile(x, r) = x where the static shape stays the same"""
    return onnx["Expand", "Tile"](x, rest("shape"))


drop_expand.where("it changes the shape", lambda m: _static_and_same(m))


@pattern
def drop_slice(x: Value) -> Node:
    """slice(x) = x where the static shape stays the same and nothing is reversed"""
    return onnx.Slice(x, rest("where"))


def _static_and_same(m: Match) -> bool:
    return static_shape(m.x) is not None and m.x.type == m.root.result.type


def _not_reversed(m: Match) -> bool:
    steps = m.where[3] if len(m.where) > 3 else None
    if is_absent(steps):
        return True
    array = constant_array(steps)
    return array is not None and bool((array > 0).all())


drop_slice.where("it changes the shape", _static_and_same)
drop_slice.where("it reverses an axis", _not_reversed)


@pattern
def drop_pad(x: Value, pads: Value) -> Node:
    """pad(x, 0) = x"""
    return onnx.Pad(x, const(pads), rest("options"))


drop_pad.where("it pads", lambda m: not m.array("pads").any())


@pattern
def drop_transpose(x: Value, perm: Attr) -> Node:
    """transpose(x, (0, 1, …)) = x"""
    return onnx.Transpose(x, perm=perm)


def permutation(perm: tuple[int, ...] | None, value: Value) -> tuple[int, ...] | None:
    """A Transpose's permutation, written or not: without one it reverses the axes."""
    if perm is not None:
        return tuple(perm)
    rank = tensor_rank(value)
    return None if rank is None else tuple(reversed(range(rank)))


drop_transpose.where("it moves axes", lambda m: _is_sorted(permutation(m.perm, m.x)))


def _is_sorted(perm: tuple[int, ...] | None) -> bool:
    return perm is not None and perm == tuple(range(len(perm)))


@pattern
def drop_single(x: Value) -> Node:
    """concat(x) = sum(x) = max(x) = min(x) = mean(x) = x"""
    return onnx["Concat", "Sum", "Max", "Min", "Mean"](x)


@pattern
def drop_pool(x: Value) -> Node:
    """A pool over windows of one element, with stride 1 and without padding, is x."""
    return onnx["MaxPool", "AveragePool"](x, kernel_shape=lambda k: k is not None and all(v == 1 for v in k))


drop_pool.where("it moves or pads", lambda m: _trivial_window(m.root))


def _trivial_window(op: Operation) -> bool:
    if len(op.results) > 1 and op.results[1].uses:
        return False
    strides, pads = op.attr("strides") or (1,), op.attr("pads") or (0,)
    automatic = op.attr("auto_pad", "NOTSET")
    return all(s == 1 for s in strides) and not any(pads) and automatic in ("NOTSET", "VALID")


# ---------------------------------------------------------------- arithmetic
@pattern
def add_zero(x: Value, c: Value) -> Node:
    """x + 0 = x - 0 = x"""
    return any_of(onnx["Add", "Sub"](x, const(c)), onnx.Or(x, const(c)), onnx.Xor(x, const(c)))


add_zero.where("the constant is not 0", lambda m: m.splat("c") == 0.0)
add_zero.where("the constant makes x larger", lambda m: broadcasts_into(m.c.type, m.x.type))


@pattern
def multiply_by_one(x: Value, c: Value) -> Node:
    """x · 1 = x / 1 = x¹ = x"""
    return any_of(onnx["Mul", "Div", "Pow"](x, const(c)), onnx.And(x, const(c)))


multiply_by_one.where("the constant is not 1", lambda m: m.splat("c") == 1.0)
multiply_by_one.where("the constant makes x larger", lambda m: broadcasts_into(m.c.type, m.x.type))


@pattern
def double_negation(x: Value) -> Node:
    """neg(neg(x)) = x, not(not(x)) = x"""
    return any_of(onnx.Neg(onnx.Neg(x).shared()), onnx.Not(onnx.Not(x).shared()))


@pattern
def idempotent(x: Value) -> Node:
    """f(f(x)) = f(x) for relu, abs, sign, floor, ceil, round"""
    inner = onnx["Relu", "Abs", "Sign", "Floor", "Ceil", "Round"](x).shared().bind("inner")
    return onnx["Relu", "Abs", "Sign", "Floor", "Ceil", "Round"](inner)


idempotent.where("the two differ", lambda m: m.inner.name == m.root.name)


@pattern
def clip_without_bounds(x: Value) -> Node:
    """clip(x) = x without bounds"""
    return onnx.Clip(x, rest("bounds"))


def _clip_bounds(m: Match) -> tuple[float | None, float | None, bool]:
    """Lower and upper bound (None: none), and whether both are known."""
    lo, hi = m.root.attr("min"), m.root.attr("max")
    known = True
    for i, value in enumerate(m.bounds[:2]):
        if is_absent(value):
            continue
        bound = splat_of(value)
        known = known and bound is not None
        lo, hi = (bound, hi) if i == 0 else (lo, bound)
    limit = 3.4e38
    return (None if lo is None or lo < -limit else lo), (None if hi is None or hi > limit else hi), known


clip_without_bounds.where("it has bounds", lambda m: _clip_bounds(m) == (None, None, True))


@pattern
def clip_to_relu(x: Value) -> Node:
    """clip(x, 0) = relu(x) for floats"""
    return onnx.Clip(x, rest("bounds"))


clip_to_relu.where("its bounds are not 0 and none", lambda m: _clip_bounds(m) == (0.0, None, True))
clip_to_relu.where("it is not of floats", lambda m: isinstance(_element(m.x), FloatType))


@clip_to_relu.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("onnx.Relu", [m.x])


@pattern
def sum_to_add(x: Value, y: Value) -> Node:
    """sum(x, y) = x + y; targets know Add."""
    return onnx.Sum(x, y)


sum_to_add.where("Add does not broadcast before opset 7", lambda m: opset(m.root) >= 7)


@sum_to_add.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("onnx.Add", [m.x, m.y])


# ---------------------------------------------------------------- two in a row
@pattern
def merge_transposes(x: Value, inner: Attr, outer: Attr) -> Node:
    """transpose(transpose(x, p), q) = transpose(x, p∘q)"""
    return onnx.Transpose(onnx.Transpose(x, perm=inner).shared(), perm=outer)


@merge_transposes.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation | str:
    first, second = permutation(m.inner, m.x), permutation(m.outer, m.root.operands[0])
    if first is None or second is None:
        return "the rank is not known"
    return rewriter.op("onnx.Transpose", [m.x], {"perm": [first[i] for i in second]})


@pattern
def merge_reshapes(x: Value, shape: Value) -> Node:
    """reshape(reshape(x, s), t) = reshape(x, t)"""
    inner = onnx["Reshape", "Flatten", "Squeeze", "Unsqueeze"](x, rest("inner_shape")).shared()
    return onnx.Reshape(inner, const(shape))


merge_reshapes.where("a size of 0 copies one from the shape between", lambda m: not (m.array("shape") == 0).any())


@merge_reshapes.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("onnx.Reshape", [m.x, m.shape])


def _dropped(m: Match, rewriter: Rewriter) -> Value:
    x: Value = m.x
    return x


def _inner(m: Match, rewriter: Rewriter) -> Value:
    inner: Value = m.inner.results[0]
    return inner


_NO_OPS = [
    drop_identity, drop_dropout, drop_cast, drop_reshape, drop_expand, drop_slice, drop_pad, drop_transpose,
    drop_single, drop_pool, add_zero, multiply_by_one, double_negation, clip_without_bounds,
]  # fmt: skip
for _p in _NO_OPS:
    _p.rewrite(_dropped)
idempotent.rewrite(_inner)

IDENTITIES = [*_NO_OPS, idempotent, clip_to_relu, sum_to_add, merge_transposes, merge_reshapes]
