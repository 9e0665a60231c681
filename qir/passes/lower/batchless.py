"""Emitters for runtimes that know no batch: a value is a blob of one sample, with sizes called w, h, d and c.

Axis `a` of ONNX is `a - 1` here, and what mixes samples has no record (an emitter gives None). In the module values
keep their batch axis, so that the interpreter runs many samples at once. Kernels: `qir.interpreter.batchless`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from qir.ir import TensorType, Value
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.reading import axis_of, integers, ranges_of_slice, shape_of, type_of
from qir.rewrite import Rewriter, constant_array

__all__ = ["AXES", "Batchless", "attribute", "either", "exponent", "layer", "sample_axes", "sample_axis"]

AXES = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
"""A blob's axes from the outermost on, as ONNX counts."""


def layer(name: str, **parameters: Any) -> Emitter:
    """An emitter of a float record of the first operand.

    Parameters are values, or functions of the group; where one gives None there is no record for the operation.
    """

    def emit_one(group: Group, rewriter: Rewriter) -> Value | None:
        given = {key: value(group) if callable(value) else value for key, value in parameters.items()}
        if None in given.values():
            return None
        return record(rewriter, name, group.operands[:1], group.result.type, given).result

    emit_one.__doc__ = f"The record {name}."
    return emit_one


def attribute(name: str, default: Any) -> Callable[[Group], Any]:
    """ONNX's attribute as a parameter of a `layer`."""
    return lambda group: group.op.attr(name, default)


def exponent(codes: Mapping[float, int]) -> Callable[[Group], int | None]:
    """The code of a Pow's constant exponent; None for others."""

    def parameter(group: Group) -> int | None:
        held = constant_array(group.operands[1])
        return None if held is None or held.size != 1 else codes.get(float(held.reshape(())))

    return parameter


def either(*emitters: Emitter) -> Emitter:
    """The first of several emitters that has a record for the operation."""

    def emit_first(group: Group, rewriter: Rewriter) -> Any:
        return next((made for emit in emitters if (made := emit(group, rewriter)) is not None), None)

    return emit_first


def sample_axis(group: Group) -> int | None:
    """ONNX's attribute `axis` as an axis of the blob; None for the batch."""
    return axis_of(group.op) - 1 if axis_of(group.op) else None


def sample_axes(group: Group) -> tuple[int, ...] | None:
    """The axes of a reduction as axes of the blob; None where the batch is among them."""
    rank, axes = len(shape_of(group.operands[0])), integers(group.op, 1, "axes")
    found = tuple(a % rank - 1 for a in axes or range(rank))
    return None if -1 in found else found


def _part(of: Callable[[int, range], int]) -> Callable[[Group], tuple[int, ...] | None]:
    """A number for each axis that a Slice names; None where it takes every other element, or samples."""

    def parameter(group: Group) -> tuple[int, ...] | None:
        ranges = ranges_of_slice(group.op)
        if not ranges or 0 in ranges or any(r.step != 1 for r in ranges.values()):
            return None
        return tuple(of(axis, r) for axis, r in ranges.items())

    return parameter


def _fits(value: Value | None, rank: int) -> bool:
    """Whether a value has a blob of `rank` axes; of constants it may have fewer, or a leading 1 more."""
    shape = shape_of(value)
    if constant_array(value) is None:
        return len(shape) == rank + 1
    return rank in AXES and (len(shape) <= rank or (len(shape) == rank + 1 and shape[0] == 1))


@attrs.frozen
class Batchless:
    """The emitters of what moves and combines blobs.

    - `names`: the records by what they do: ``data`` (a constant as a blob; parameters w, h, d, c), ``reshape`` (the
      same parameters), ``flatten``, ``permute`` (`order_type`, a position in `orders`), ``crop`` (`starts`, `ends`,
      `axes`), ``concat`` (`axis`), ``matmul``, ``binary`` (`op_type`; with one operand `with_scalar` and `scalar`).
    - `kinds`: the `op_type` of ONNX's operators; `reverse`: of those that do not commute, with operands exchanged.
    - `orders`: by the number of axes, the letters of the axes that the result's come from, from the innermost on.
    """

    names: Mapping[str, str]
    kinds: Mapping[str, int]
    reverse: Mapping[int, int]
    orders: Mapping[int, Sequence[str]]
    axes: Mapping[int, str] = AXES

    # ------------------------------------------------------------ parts
    def blobs(
        self, rewriter: Rewriter, values: Sequence[Value | None], ranks: Sequence[int]
    ) -> list[Value | None] | None:
        """Values as blobs of so many axes each: constants become data of that rank.

        None, and nothing is changed, where a value has another rank or a constant differs by sample.
        """
        if not all(map(_fits, values, ranks)):
            return None
        return [self._blob(rewriter, value, rank) for value, rank in zip(values, ranks, strict=True)]

    def _blob(self, rewriter: Rewriter, value: Value | None, rank: int) -> Value | None:
        array = constant_array(value)
        if array is None or value is None:
            return value
        sizes = ((1,) * (rank - array.ndim) + array.shape)[-rank:]
        data = rewriter.constant(np.ascontiguousarray(array, np.float32).reshape((1, *sizes)), value.name)
        parameters = dict(zip(AXES[rank], sizes, strict=True))
        return record(rewriter, self.names["data"], [data], data.type, parameters).result

    def reshaped(self, rewriter: Rewriter, x: Value | None, type: TensorType) -> Value | None:
        """`x` in the shape of `type`, sample by sample; None where that is not possible or sizes are not known."""
        old, new = shape_of(x)[1:], (type.shape or ())[1:]
        known = [n for n in (*old, *new) if n is not None]
        if x is None or len(known) < len(old) + len(new) or len(new) not in AXES:
            return None
        if math.prod(known[: len(old)]) != math.prod(known[len(old) :]):
            return None
        if old == new:
            return x
        if len(new) == 1:
            return record(rewriter, self.names["flatten"], [x], type).result
        return record(rewriter, self.names["reshape"], [x], type, dict(zip(AXES[len(new)], new, strict=True))).result

    # ------------------------------------------------------------ emitters
    def emit_reshape(self, group: Group, rewriter: Rewriter) -> Value | None:
        """Another shape of each sample."""
        return self.reshaped(rewriter, group.operands[0], type_of(group.result))

    def emit_binary(self, group: Group, rewriter: Rewriter) -> Value | None:
        """Two blobs of one rank, or a blob and a number."""
        (a, b), type = group.operands[:2], type_of(group.result)
        kind = self.kinds[group.op.name.rpartition(".")[2]]
        for x, other, code in ((a, b, kind), (b, a, self.reverse.get(kind, kind))):
            number = constant_array(other)
            if number is not None and number.size == 1 and shape_of(x) == type.shape:
                parameters = {"op_type": code, "with_scalar": 1, "scalar": float(number.reshape(()))}
                return record(rewriter, self.names["binary"], [x], type, parameters).result
        order = (b, a) if constant_array(a) is not None and kind not in self.reverse else (a, b)
        blobs = self.blobs(rewriter, order, [len(type.shape or ()) - 1] * 2)
        return None if blobs is None else record(rewriter, self.names["binary"], blobs, type, {"op_type": kind}).result

    def emit_matmul(self, group: Group, rewriter: Rewriter) -> Value | None:
        """A product of two blobs of matrices."""
        most = len(shape_of(group.result)) - 1
        ranks = [max(2, min(most, len(shape_of(v)) - (constant_array(v) is None))) for v in group.operands]
        blobs = self.blobs(rewriter, group.operands, ranks)
        return None if blobs is None else record(rewriter, self.names["matmul"], blobs, group.result.type).result

    def emit_concat(self, group: Group, rewriter: Rewriter) -> Value | None:
        """Blobs, and constants, one behind the other."""
        axis, rank = sample_axis(group), len(shape_of(group.result)) - 1
        blobs = None if axis is None else self.blobs(rewriter, group.operands, [rank] * len(group.operands))
        if blobs is None:
            return None
        return record(rewriter, self.names["concat"], blobs, group.result.type, {"axis": axis}).result

    def emit_split(self, group: Group, rewriter: Rewriter) -> list[Value] | None:
        """A crop for each part."""
        axis, end = axis_of(group.op, 0), 0
        made: list[Value] = []
        for result in group.results:
            size = shape_of(result)[axis]
            if axis == 0 or size is None:
                return None
            place = {"starts": (end,), "ends": (end + size,), "axes": (axis - 1,)}
            made.append(record(rewriter, self.names["crop"], group.operands[:1], result.type, place).result)
            end += size
        return made

    def emit_gather(self, group: Group, rewriter: Rewriter) -> Value | None:
        """One index of an axis, of a Transpose too (which may then have moved the batch)."""
        x, index, type = group.operands[0], constant_array(group.operands[1]), type_of(group.result)
        source = x.defining_op if x is not None else None
        perm = list(range(len(shape_of(x))))
        if source is not None and source.name == "onnx.Transpose":
            x, perm = source.operands[0], list(source.attr("perm", perm[::-1]))
        sizes, at = shape_of(x), perm.pop(axis_of(group.op, 0)) if perm else 0
        left = [p - (p > at) for p in perm]
        if x is None or index is None or index.ndim or not at or left[:1] != [0] or None in sizes[1:] or len(sizes) > 5:
            return None
        start = int(index) % (sizes[at] or 1)
        part = type.with_shape((*sizes[:at], 1, *sizes[at + 1 :]))
        place = {"starts": (start,), "ends": (start + 1,), "axes": (at - 1,)}
        cut = record(rewriter, self.names["crop"], [x], part, place).result
        value = self.reshaped(rewriter, cut, type.with_shape((*sizes[:at], *sizes[at + 1 :])))
        if value is None or left == sorted(left):
            return value
        return record(rewriter, self.names["permute"], [value], type, {"order_type": self._order(left)}).result

    def _order(self, perm: Sequence[int]) -> int:
        rank = len(perm) - 1
        return self.orders[rank].index("".join(AXES[rank][p - 1] for p in reversed(perm[1:])))

    def order(self, group: Group) -> int | None:
        """The `order_type` of a Transpose; None where it moves the batch."""
        perm, rank = group.op.attr("perm", ()), len(shape_of(group.result)) - 1
        return None if rank not in self.orders or not perm or perm[0] != 0 else self._order(perm)

    def emitters(self) -> dict[str, Emitter]:
        """All of them, by ONNX operation type."""
        shapes = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
        return {
            **dict.fromkeys(shapes, self.emit_reshape), **dict.fromkeys(self.kinds, self.emit_binary),
            "MatMul": self.emit_matmul, "Gather": self.emit_gather,
            "Concat": self.emit_concat, "Split": self.emit_split,
            "Slice": layer(self.names["crop"], starts=_part(lambda axis, r: r.start),
                           ends=_part(lambda axis, r: r.start + len(r)), axes=_part(lambda axis, r: axis - 1)),
            "Transpose": layer(self.names["permute"], order_type=self.order),
        }  # fmt: skip
