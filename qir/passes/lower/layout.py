"""Layout: transposes around records of a chip that wants channels last are moved until they meet and cancel.

An emitter writes ``transpose(record(transpose(x)))`` wherever its record has another order of axes than ONNX; each such
rewrite is right by itself. The patterns here know a target's records by a table (`Layout`) and keep the meaning at each
step: transposes sink towards the results through operations that work on each element or along a named axis, compose,
cancel, go into constants, and become reshapes where only axes of size 1 change places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir import ArrayAttr, Operation, TensorType, Value, dense_from_numpy, integer_array
from qir.rewrite import PatternSet, RewritePattern, Rewriter, constant_of

if TYPE_CHECKING:
    from qir.ir import Attribute

__all__ = ["TO_CHANNELS_FIRST", "TO_CHANNELS_LAST", "Layout", "layout_phases", "transposed_type"]

TO_CHANNELS_LAST = (0, 2, 3, 1)
TO_CHANNELS_FIRST = (0, 3, 1, 2)


@attrs.frozen
class Layout:
    """What the patterns must know of a target's records, by their IR names.

    - `transpose` has one operand and its permutation in the attribute `perm`: ``y[i] = x[perm[i]]`` for sizes.
    - `reshape` has one operand and the sizes in the attribute `shape`, -1 for the one that follows from the others.
    - `elementwise`: all results and operands of one shape, but for operands that broadcast.
    - `axes`: records that work along axes, and the attribute (a number or a list) that names them; of `reducing` ones
      the result lacks these axes unless the attribute `keep` is true.
    - `per_axis`: records with attributes that list as many numbers for each axis, in the order of the axes.

    A record's attribute `quant` (one entry per operand, then per result) goes with the values.
    """

    transpose: str
    reshape: str
    elementwise: frozenset[str] = frozenset()
    axes: Mapping[str, str] = attrs.field(factory=dict)
    reducing: frozenset[str] = frozenset()
    per_axis: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    perm: str = "perm"
    shape: str = "shape"
    keep: str = "keep_dims"


def transposed_type(type: TensorType, perm: Sequence[int]) -> TensorType:
    """The type of a tensor of `type` after a transpose by `perm`."""
    assert type.shape is not None
    return type.with_shape(tuple(type.shape[p] for p in perm))


def _inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def _tensor(value: Value) -> TensorType | None:
    """The type of a value of known rank."""
    return value.type if isinstance(value.type, TensorType) and value.type.shape is not None else None


def _quant(op: Operation, index: int) -> dict[str, Attribute]:
    """The `quant` of a record that passes on operand or result `index` of `op`."""
    held = op.attributes.get("quant")
    if not isinstance(held, ArrayAttr):
        return {}
    return {"quant": ArrayAttr((held.values[index],) * 2)}


class _LayoutPattern(RewritePattern):
    depth = 2

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def perm(self, value: Value) -> tuple[int, ...] | None:
        """The permutation of the transpose that defines the value."""
        op = value.defining_op
        return tuple(op.attr(self.layout.perm)) if op is not None and op.name == self.layout.transpose else None

    def transpose(self, rewriter: Rewriter, x: Value, perm: Sequence[int], quant: Mapping[str, Attribute]) -> Value:
        type = _tensor(x)
        assert type is not None
        attributes = {self.layout.perm: integer_array(perm), **quant}
        return rewriter.op(self.layout.transpose, [x], attributes, transposed_type(type, perm)).result

    def reshape(self, rewriter: Rewriter, x: Value, type: TensorType, quant: Mapping[str, Attribute]) -> Value:
        """`x` in the shape of `type`, of which at most one size is not known."""
        assert type.shape is not None
        sizes = [-1 if size is None else size for size in type.shape]
        return rewriter.op(self.layout.reshape, [x], {self.layout.shape: integer_array(sizes), **quant}, type).result


class Compose(_LayoutPattern):
    """transpose(transpose(x, p), q) = transpose(x, p[q]); a transpose that moves nothing is its operand."""

    name = "compose-transposes"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.roots = (layout.transpose,)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        perm, x = tuple(op.attr(self.layout.perm)), op.operands[0]
        if perm == tuple(range(len(perm))):
            rewriter.replace(op, x)
            return True
        first = self.perm(x)
        if first is None:
            return False
        assert x.defining_op is not None
        source = x.defining_op.operands[0]
        rewriter.replace(op, self.transpose(rewriter, source, [first[q] for q in perm], _quant(op, 1)))
        return True


class IntoConstant(_LayoutPattern):
    """transpose(constant) = the constant, transposed."""

    name = "transpose-constant"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.roots = (layout.transpose,)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        found = _permuted(op.operands[0], op.attr(self.layout.perm), rewriter)
        if found is None:
            return False
        rewriter.replace(op, found)
        return True


def _permuted(value: Value, perm: Sequence[int], rewriter: Rewriter) -> Value | None:
    """A constant of the rank of `perm` or less (then it broadcasts), transposed; None where `value` is no constant."""
    held = constant_of(value)
    if held is None:
        return None
    array = held.numpy()
    array = array.reshape((1,) * (len(perm) - array.ndim) + array.shape).transpose(perm)
    type = TensorType(array.shape, held.type.element)
    key = rewriter.resource_key(value.name or "constant")
    return rewriter.constant(dense_from_numpy(array.copy(), key, type), value.name)


class Sink(_LayoutPattern):
    """record(transpose(x, p), …) = transpose(record(x, …), p), with constants and named axes in the order of x.

    Every operand must come from a transpose by p, be a constant, or hold a single number.
    """

    name = "sink-transpose"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.roots = tuple(dict.fromkeys((*sorted(layout.elementwise), *layout.axes, *layout.per_axis)))

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        perms = {p for v in op.operands if (p := self.perm(v)) is not None}
        if len(perms) != 1:
            return False
        (perm,) = perms
        if any(self.perm(v) is None and not _pliable(v, len(perm)) for v in op.operands):
            return False
        types = [_tensor(r) for r in op.results]
        if any(t is None for t in types):
            return False
        changed = self._attributes(op, perm)
        if changed is None:
            return False
        result_perm = changed.pop("", perm)
        if any(t is not None and t.rank != len(result_perm) for t in types):
            return False
        back = _inverse(perm)
        operands: list[Value] = []
        for value in op.operands:
            source = value.defining_op
            if self.perm(value) is not None and source is not None:
                operands.append(source.operands[0])
            else:
                operands.append(_permuted(value, back, rewriter) or value)
        undo = _inverse(result_perm)
        inner = [transposed_type(t, undo) for t in types if t is not None]
        made = rewriter.op(op.name, operands, {**op.attributes, **changed}, inner)
        count = len(op.operands)
        outer = [self.transpose(rewriter, r, result_perm, _quant(op, count + i)) for i, r in enumerate(made.results)]
        rewriter.replace(op, outer)
        return True

    def _attributes(self, op: Operation, perm: Sequence[int]) -> dict[str, Any] | None:
        """The attributes that name axes, in the order before the transpose; under "" the permutation of the result
        where it is another one. None where an axis is not in the tensor."""
        layout, rank = self.layout, len(perm)
        changed: dict[str, Any] = {}
        named = layout.axes.get(op.name)
        if named is not None:
            value = op.attr(named)
            axes = [value] if isinstance(value, int) else list(value)
            if any(not -rank <= a < rank for a in axes):
                return None
            moved = [perm[a] for a in axes]
            changed[named] = moved[0] if isinstance(value, int) else integer_array(moved)
            if op.name in layout.reducing and not op.attr(layout.keep, False):
                left = [p for p in perm if p not in moved]
                changed[""] = tuple(sorted(left).index(p) for p in left)
        for name in layout.per_axis.get(op.name, ()):
            numbers = op.attr(name)
            each = len(numbers) // rank
            back = _inverse(perm)
            changed[name] = integer_array([n for axis in back for n in numbers[each * axis : each * (axis + 1)]])
        return changed


def _pliable(value: Value, rank: int) -> bool:
    """Whether a transpose of the other operands can be undone in this one: a constant that broadcasts."""
    held = constant_of(value)
    return held is not None and (held.type.rank or 0) <= rank


class UnitTranspose(_LayoutPattern):
    """transpose(x, p) = reshape(x, …) where all axes that change their order have size 1."""

    name = "transpose-of-units"

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.roots = (layout.transpose,)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        x, y = _tensor(op.operands[0]), _tensor(op.results[0])
        if x is None or y is None or x.shape is None:
            return False
        moved = [p for p in op.attr(self.layout.perm) if x.shape[p] != 1]
        if moved != sorted(moved) or x.shape.count(None) > 1:
            return False
        rewriter.replace(op, self.reshape(rewriter, op.operands[0], y, _quant(op, 1)))
        return True


class ComposeReshapes(_LayoutPattern):
    """reshape(reshape(x, s), t) = reshape(x, t), also with an operation on each element between the two; a reshape to
    the shape that x has is x."""

    name, depth = "compose-reshapes", 3

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.roots = (layout.reshape,)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        x, type = op.operands[0], _tensor(op.results[0])
        if type is None or type.shape is None or type.shape.count(None) > 1:
            return False
        if x.type == type:
            rewriter.replace(op, x)
            return True
        between, source = None, x.defining_op
        if source is not None and source.name in self.layout.elementwise and len(source.operands) == 1:
            between, source = source, source.operands[0].defining_op
        if source is None or source.name != self.layout.reshape or (between is not None and not x.has_one_use()):
            return False
        inner = _tensor(source.operands[0])
        if inner is None:
            return False
        start = source.operands[0]
        if between is not None:
            start = rewriter.op(between.name, [start], between.attributes, type.with_shape(inner.shape)).result
        rewriter.replace(op, self.reshape(rewriter, start, type, _quant(op, 1)))
        return True


def layout_phases(layout: Layout) -> tuple[PatternSet, PatternSet]:
    """The patterns in two phases: transposes must have met before those of size 1 become reshapes."""
    moving = PatternSet([Compose(layout), IntoConstant(layout), Sink(layout)], "layout")
    return moving, PatternSet([Compose(layout), UnitTranspose(layout), ComposeReshapes(layout)], "layout-reshapes")
