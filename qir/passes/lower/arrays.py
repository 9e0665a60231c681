"""Emitters for chips whose records are array operations: sizes, axes and paddings as lists, images with channels last.

A target names its records (`Arrays`) and gets the emitters of what moves elements, of reductions, and the parts of
those with windows. The records' attributes are ``perm`` and ``shape`` by the target's `Layout`, ``axis``, ``axes``,
``keep_dims``, ``begin``, ``end`` and ``strides``, ``num_splits``, ``size_splits``, and ``paddings`` (begin and end of
each axis in turn). Their kernels are registered by `qir.interpreter.arrays`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from qir.ir import TensorType, Value, dense_from_numpy
from qir.ir.tensors import numpy_dtype
from qir.passes.lower.groups import Group, record
from qir.passes.lower.layout import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, Layout, transposed_type
from qir.passes.lower.plain import window
from qir.passes.lower.reading import axis_of, integers, shape_of, type_of
from qir.rewrite import Rewriter, constant_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Arrays"]

WHOLE = (1 << 31) - 1
"""The end of a slice that goes to the end of an axis of unknown size."""


@attrs.frozen
class Arrays:
    """The emitters of a target's array records.

    `names` are the records by what they do: ``transpose``, ``reshape``, ``pad`` (with zero), ``fill`` (with an operand
    of one element), ``mirror`` (without the edge), ``slice``, ``split``, ``split_at`` (sizes), ``gather``, ``concat``,
    ``softmax`` (along the last axis), ``mean``, ``sum``.
    """

    layout: Layout
    names: Mapping[str, str]

    # ------------------------------------------------------------ parts
    def emit(
        self, rewriter: Rewriter, name: str, operands: Sequence[Value | None], type: TensorType,
        quant: Sequence[str | None], **attributes: Any,
    ) -> Value:  # fmt: skip
        """The result of a new record, called by its IR name or by what it does."""
        return record(rewriter, self.names.get(name, name), operands, type, attributes, quant).result

    def transposed(self, rewriter: Rewriter, x: Value, perm: Sequence[int], quantizer: str | None) -> Value:
        attributes: dict[str, Any] = {self.layout.perm: tuple(perm)}
        type = transposed_type(type_of(x), perm)
        return self.emit(rewriter, "transpose", [x], type, [quantizer, quantizer], **attributes)

    def reshaped(self, rewriter: Rewriter, x: Value, type: TensorType, quantizer: str | None) -> Value | None:
        """`x` in another shape; None where more than one of its sizes is not known."""
        sizes = type.shape
        if sizes is None or sizes.count(None) > 1:
            return None
        attributes: dict[str, Any] = {self.layout.shape: tuple(-1 if n is None else n for n in sizes)}
        return self.emit(rewriter, "reshape", [x], type, [quantizer, quantizer], **attributes)

    def padded(
        self, rewriter: Rewriter, x: Value, paddings: Sequence[int], quantizer: str | None,
        number: NDArray[Any] | None = None,
    ) -> Value:  # fmt: skip
        """`x` with more elements at the ends of its axes: zeros, or this number of its element type."""
        grown = [None if n is None else n + paddings[2 * i] + paddings[2 * i + 1] for i, n in enumerate(shape_of(x))]
        type, given = type_of(x).with_shape(tuple(grown)), {"paddings": tuple(paddings)}
        if number is None:
            return self.emit(rewriter, "pad", [x], type, [quantizer] * 2, **given)
        value = rewriter.constant(number.reshape(()).astype(numpy_dtype(type.element)))
        return self.emit(rewriter, "fill", [x, value], type, [quantizer] * 3, **given)

    @staticmethod
    def lowest(x: Value) -> NDArray[Any]:
        """The lowest number that the elements of a tensor can be."""
        dtype = numpy_dtype(type_of(x).element)
        return np.array(np.finfo(dtype).min if dtype.kind == "f" else np.iinfo(dtype).min, dtype)

    def constant(self, rewriter: Rewriter, array: NDArray[Any], like: Value) -> Value:
        """A constant with the element type and the name of another, laid out anew."""
        name = like.name or "constant"
        type = TensorType(array.shape, type_of(like).element)
        return rewriter.constant(dense_from_numpy(np.ascontiguousarray(array), rewriter.resource_key(name), type), name)

    # ------------------------------------------------------------ images
    def image(
        self, group: Group, rewriter: Rewriter, kernel: Sequence[int], filling: str = "zero"
    ) -> tuple[Value, dict[str, Any]] | None:
        """The first operand with channels last, and `padding`, `stride_h` and `stride_w` of a window over it.

        Where SAME and VALID cannot say the padding it is put there before: with zeros, the ``lowest`` number, or not
        at all (``never``), then the result is None, as it is for what is no image. ``counted`` zeros are part of the
        window's numbers, which those of SAME are not.
        """
        x, name, op = group.operands[0], group.quantizers[0], group.op
        sizes, out = shape_of(x)[2:], shape_of(op.results[0])[2:]
        if x is None or len(sizes) != 2 or (None in sizes and op.attr("auto_pad", "NOTSET").startswith("SAME")):
            return None
        found = window(op)
        strides, dilations, pads = found["strides"], found["dilations"], list(found["pads"])
        same = []
        for i, (size, count) in enumerate(zip(sizes, out, strict=True)):
            reach = (kernel[i] - 1) * dilations[i] + 1
            if size is not None and count is not None:  # rounding up: windows may reach beyond the end's padding
                pads[2 + i] = max(pads[2 + i], (count - 1) * strides[i] + reach - size - pads[i])
            elif strides[i] != 1:
                same.append(-1)
                continue
            total = reach - 1 if size is None else max(0, (-(-size // strides[i]) - 1) * strides[i] + reach - size)
            same.append(total)
        halves = [t // 2 for t in same] + [t - t // 2 for t in same]
        padding = "SAME" if any(pads) and pads == halves and filling != "counted" else "VALID"
        explicit = any(pads) and padding == "VALID"
        if explicit and filling == "never":
            return None
        image = self.transposed(rewriter, x, TO_CHANNELS_LAST, name)
        if explicit:
            paddings = (0, 0, pads[0], pads[2], pads[1], pads[3], 0, 0)
            image = self.padded(rewriter, image, paddings, name, self.lowest(x) if filling == "lowest" else None)
        return image, {"padding": padding, "stride_h": strides[0], "stride_w": strides[1]}

    def from_image(
        self, group: Group, rewriter: Rewriter, name: str, operands: Sequence[Value | None],
        quant: Sequence[str | None], **attributes: Any,
    ) -> Value:  # fmt: skip
        """The group's result by a record that gives it with channels last."""
        output = group.outputs[0]
        type = transposed_type(type_of(group.result), TO_CHANNELS_LAST)
        y = self.emit(rewriter, name, operands, type, [*quant, output], **attributes)
        return self.transposed(rewriter, y, TO_CHANNELS_FIRST, output)

    # ------------------------------------------------------------ emitters
    def reshape(self, group: Group, rewriter: Rewriter) -> Value | None:
        """Reshape, Flatten, Squeeze, Unsqueeze: the sizes are those of the result's type."""
        x = group.operands[0]
        return None if x is None else self.reshaped(rewriter, x, type_of(group.result), group.quantizers[0])

    def transpose(self, group: Group, rewriter: Rewriter) -> Value | None:
        x = group.operands[0]
        perm = group.op.attr("perm") or tuple(range(len(shape_of(x))))[::-1]
        return None if x is None else self.transposed(rewriter, x, perm, group.quantizers[0])

    def concat(self, group: Group, rewriter: Rewriter) -> Value | None:
        axis = axis_of(group.op)
        return self.emit(rewriter, "concat", group.operands, type_of(group.result), group.quant, axis=axis)

    def split(self, group: Group, rewriter: Rewriter) -> Sequence[Value] | None:
        """Into equal parts, or ``split_at`` sizes; None where these are not known or the target has no such record."""
        types, axis, name = [type_of(r) for r in group.results], axis_of(group.op, 0), "split"
        attributes: dict[str, Any] = {"axis": axis, "num_splits": len(types)}
        if len({t.shape for t in types}) > 1:
            name, sizes = "split_at", tuple(shape_of(r)[axis] for r in group.results)
            attributes["size_splits"] = sizes
            if None in sizes or name not in self.names:
                return None
        quant = [group.quantizers[0], *group.outputs]
        return record(rewriter, self.names[name], group.operands[:1], types, attributes, quant).results

    def slice(self, group: Group, rewriter: Rewriter) -> Value | None:
        """None for bounds that are computed or count from an unknown end. Where it goes backwards to the beginning,
        the end is as far before that as can be: ``-1 - size``."""
        starts, ends = integers(group.op, 1, "starts"), integers(group.op, 2, "ends")
        sizes = shape_of(group.operands[0])
        if starts is None or ends is None:
            return None
        axes = integers(group.op, 3, "axes") or list(range(len(starts)))
        steps = integers(group.op, 4, "steps") or [1] * len(starts)
        begin, end, strides = [0] * len(sizes), [WHOLE if n is None else n for n in sizes], [1] * len(sizes)
        for axis, start, stop, step in zip(axes, starts, ends, steps, strict=True):
            size = sizes[axis]
            if size is None and (step < 0 or start < 0 or stop < 0):
                return None
            first, last, strides[axis] = slice(start, stop, step).indices(end[axis])
            last = max(first, last) if step > 0 else min(first, last)
            begin[axis], end[axis] = first, last - end[axis] if last < 0 else last
        quant = [group.quantizers[0], group.outputs[0]]
        bounds = {"begin": tuple(begin), "end": tuple(end), "strides": tuple(strides)}
        return self.emit(rewriter, "slice", group.operands[:1], type_of(group.result), quant, **bounds)

    def gather(self, group: Group, rewriter: Rewriter) -> Value | None:
        """Constant indices become 32-bit numbers from 0 on."""
        x, indices = group.operands[:2]
        axis = axis_of(group.op, 0)
        array = constant_array(indices)
        if array is not None and indices is not None:
            size = shape_of(x)[axis]
            if size is None and array.size and array.min() < 0:
                return None
            indices = rewriter.constant(np.where(array < 0, array + (size or 0), array).astype(np.int32), indices.name)
        quant = [group.quantizers[0], None, group.outputs[0]]
        return self.emit(rewriter, "gather", [x, indices], type_of(group.result), quant, axis=axis)

    def pad(self, group: Group, rewriter: Rewriter) -> Value | None:
        """With zeros, of floats with any number, or reflected; None for other modes, and for what crops."""
        x, pads, value = group.operands[0], integers(group.op, 1, "pads"), [*group.operands, None, None][2]
        number = constant_array(value) if value is not None else np.array(group.op.attr("value", 0.0), np.float32)
        mode, name = group.op.attr("mode", "constant"), group.quantizers[0]
        if x is None or pads is None or min(pads) < 0 or len(group.operands) > 3 or mode not in ("constant", "reflect"):
            return None
        half = len(pads) // 2
        pairs = tuple(p for ends in zip(pads[:half], pads[half:], strict=True) for p in ends)
        if mode == "reflect" and "mirror" not in self.names:
            return None
        if mode == "reflect":
            return self.emit(rewriter, "mirror", [x], type_of(group.result), [name, name], paddings=pairs)
        if number is None or (np.any(number) and name is not None):
            return None
        return self.padded(rewriter, x, pairs, name, number if np.any(number) else None)

    def softmax(self, group: Group, rewriter: Rewriter) -> Value | None:
        """Another axis than the last is brought there and back."""
        x, rank = group.operands[0], len(shape_of(group.operands[0]))
        axis = axis_of(group.op)
        perm = [*(i for i in range(rank) if i != axis), axis]
        if x is None:
            return None
        last = self.transposed(rewriter, x, perm, group.quantizers[0])
        type = transposed_type(type_of(group.result), perm)
        y = self.emit(rewriter, "softmax", [last], type, [group.quantizers[0], group.outputs[0]])
        return self.transposed(rewriter, y, np.argsort(perm).tolist(), group.outputs[0])

    def reduced(self, group: Group, rewriter: Rewriter, name: str, axes: Sequence[int], keep: bool) -> Value | None:
        """A reduction. On codes it drops its axes, and a reshape brings them back: kernels with ``keep_dims`` may round
        otherwise."""
        x, result, codes = group.operands[0], type_of(group.result), group.outputs[0] is not None
        sizes = shape_of(x)
        axes = tuple(sorted(a % len(sizes) for a in axes))
        left = result.with_shape(tuple(n for i, n in enumerate(sizes) if i not in axes))
        quant = [group.quantizers[0], group.outputs[0]]
        if keep and not codes:
            return self.emit(rewriter, name, [x], result, quant, axes=axes, keep_dims=True)
        y = self.emit(rewriter, name, [x], left, quant, axes=axes)
        return self.reshaped(rewriter, y, result, group.outputs[0]) if keep else y

    def mean(self, group: Group, rewriter: Rewriter) -> Value | None:
        return self._reduce(group, rewriter, "mean")

    def sum(self, group: Group, rewriter: Rewriter) -> Value | None:
        return self._reduce(group, rewriter, "sum")

    def _reduce(self, group: Group, rewriter: Rewriter, name: str) -> Value | None:
        axes, rank = integers(group.op, 1, "axes"), len(shape_of(group.operands[0]))
        if axes is None and ([*group.operands, None][1] is not None or group.op.attr("noop_with_empty_axes", 0)):
            return None
        return self.reduced(group, rewriter, name, axes or range(rank), bool(group.op.attr("keepdims", 1)))

    def spatial_mean(self, group: Group, rewriter: Rewriter) -> Value | None:
        """The mean of an image's pixels, as GlobalAveragePool has it."""
        return self.reduced(group, rewriter, "mean", range(2, len(shape_of(group.operands[0]))), True)
