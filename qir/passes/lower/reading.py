"""What an emitter asks of an ONNX operation, at any opset."""

from __future__ import annotations

from qir.ir import Operation, TensorType, Value, is_absent
from qir.rewrite import constant_array

__all__ = ["axis_of", "integers", "ranges_of_slice", "resized_axes", "shape_of", "type_of"]


def type_of(value: Value | None) -> TensorType:
    """The type of a tensor that is there."""
    assert value is not None and isinstance(value.type, TensorType)
    return value.type


def shape_of(value: Value | None) -> tuple[int | None, ...]:
    """The sizes of a tensor, None where they are free; () where the rank is not known."""
    type = value.type if value is not None else None
    return type.shape or () if isinstance(type, TensorType) else ()


def integers(op: Operation, index: int, name: str = "") -> list[int] | None:
    """A list that is the constant operand `index` in new opsets and the attribute `name` in old ones.

    None where it is absent or computed.
    """
    if index < len(op.operands) and not is_absent(op.operands[index]):
        array = constant_array(op.operands[index])
        return None if array is None else [int(v) for v in array.reshape(-1)]
    given = op.attr(name, None) if name else None
    return None if given is None else [int(v) for v in given]


def axis_of(op: Operation, default: int = -1) -> int:
    """The attribute `axis`, counted from the front of the first operand."""
    return int(op.attr("axis", default)) % max(1, len(shape_of(op.operands[0])))


def ranges_of_slice(op: Operation) -> dict[int, range] | None:
    """What a Slice takes of each axis that it names, as indices; None where that is computed or a size is free."""
    sizes, starts, ends = shape_of(op.operands[0]), integers(op, 1, "starts"), integers(op, 2, "ends")
    if not sizes or starts is None or ends is None:
        return None
    axes, steps = integers(op, 3, "axes") or list(range(len(starts))), integers(op, 4) or [1] * len(starts)
    found = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = sizes[axis]
        if size is None:
            return None
        found[axis % len(sizes)] = range(*slice(start, end, step).indices(size))
    return found


def resized_axes(op: Operation) -> tuple[str, list[float], list[int]] | None:
    """How a Resize (from opset 11 on) changes the axes behind the second: by ``scales`` or to ``sizes``, these, and the
    axes that they are for.

    None where that is computed or chosen by a policy, where other axes are changed, where it crops, weighs elements
    outside otherwise, or filters before it shrinks.
    """
    plain = {"antialias": 0, "exclude_outside": 0, "keep_aspect_ratio_policy": "stretch"}
    crops = op.attr("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    sizes = shape_of(op.operands[0])
    if crops or len(sizes) < 3 or any(op.attr(key, value) != value for key, value in plain.items()):
        return None
    for index, kind, kept in ((2, "scales", (1.0, 1.0)), (3, "sizes", sizes[:2])):
        array = constant_array(op.operands[index]) if index < len(op.operands) else None
        if array is None or not array.size:
            continue
        axes = op.attr("axes", None) or range(len(sizes))
        given = dict(zip((axis % len(sizes) for axis in axes), array.tolist(), strict=True))
        if any(given.pop(axis, kept[axis]) != kept[axis] for axis in (0, 1)):
            return None
        return kind, list(given.values()), list(given)
    return None
