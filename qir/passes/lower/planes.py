"""Emitters for records with Caffe's parameters: windows over planes, with a number for each side.

Windows are `kernel_w`, `kernel_h`, `stride_w`, `stride_h`, `pad_left`, `pad_right`, `pad_top` and `pad_bottom`. Values
are blobs without a batch axis (`qir.passes.lower.batchless`). Kernels: `qir.interpreter.planes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from qir.datasheet import clamp_bounds
from qir.ir import Operation, TensorType, Value, f32
from qir.passes.lower.batchless import Batchless
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.plain import window
from qir.passes.lower.reading import axis_of, integers, shape_of, type_of
from qir.rewrite import Rewriter, constant_array

__all__ = [
    "activation_type", "clipping", "embedding", "instance_norm", "layer_norm", "padding", "plane_window", "pooling",
    "prelu", "resize",
]  # fmt: skip


def plane_window(op: Operation) -> dict[str, int] | None:
    """The window of a convolution or pooling as parameters; None for windows that are not two-dimensional."""
    found = window(op)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right")
    numbers = (*found["kernel_shape"], *found["strides"], *found["pads"])
    return dict(zip(names, numbers, strict=True)) if len(numbers) == 8 else None


def activation_type(op: Operation | None) -> dict[str, Any]:
    """A fused Relu, LeakyRelu or Clip as `activation_type` (1, 2, 3) and `activation_params` (slope, or the bounds);
    nothing for None."""
    if op is None:
        return {}
    if op.name == "onnx.LeakyRelu":
        return {"activation_type": 2, "activation_params": (op.attr("alpha", 0.01),)}
    bounds = clamp_bounds(op)
    if bounds is None:
        raise op.error("is no clamp", "the data sheet fuses Relu, LeakyRelu, and Clip where BOUNDS_KNOWN")
    if op.name == "onnx.Relu":
        return {"activation_type": 1}
    return {"activation_type": 3, "activation_params": _finite(bounds)}


def _finite(bounds: Iterable[float]) -> tuple[float, ...]:
    largest = float(np.finfo(np.float32).max)
    return tuple(min(max(b, -largest), largest) for b in bounds)


def clipping(name: str) -> Emitter:
    """The record `name` of a Clip with constant bounds: `min` and `max`, which are finite."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        bounds = clamp_bounds(group.op)
        if bounds is None:
            return None
        given = dict(zip(("min", "max"), _finite(bounds), strict=True))
        return record(rewriter, name, group.operands[:1], group.result.type, given).result

    return emit


def pooling(name: str, blobs: Batchless) -> Emitter:
    """The record `name` of poolings.

    Its parameters beside the window are `pooling_type` (0 largest, 1 average), `global_pooling` (1: the result is a
    vector), `pad_mode` (0: the last window may reach beyond the end, 1: not) and `avgpool_count_include_pad`.
    """

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        op, type = group.op, type_of(group.result)
        given = {"pooling_type": int("Average" in op.name)}
        if op.name.startswith("onnx.Global"):
            given["global_pooling"] = 1
            vector = TensorType((type.shape or ())[:2], f32)
            return blobs.reshaped(rewriter, record(rewriter, name, group.operands, vector, given).result, type)
        frame, ceil, include = plane_window(op), op.attr("ceil_mode", 0), op.attr("count_include_pad", 0)
        if frame is None or (ceil and include) or set(window(op)["dilations"]) != {1} or len(op.results) > 1:
            return None
        given |= {**frame, "pad_mode": 1 - ceil, "avgpool_count_include_pad": include}
        return record(rewriter, name, group.operands, type, given).result

    return emit


def padding(name: str) -> Emitter:
    """The record `name` that pads planes: `top`, `bottom`, `left`, `right`, `type` (0 with `value`, 1 with the edge, 2
    reflected)."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        pads, kinds = integers(group.op, 1, "pads"), {"constant": 0, "edge": 1, "reflect": 2}
        number = constant_array(group.operands[2] if len(group.operands) > 2 else None)
        mode = group.op.attr("mode", "constant")
        if pads is None or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0 or mode not in kinds:
            return None
        given = {"top": pads[2], "left": pads[3], "bottom": pads[6], "right": pads[7], "type": kinds[mode],
                 "value": 0.0 if number is None else float(number.reshape(()))}  # fmt: skip
        return record(rewriter, name, group.operands[:1], group.result.type, given).result

    return emit


def resize(name: str) -> Emitter:
    """The record `name` of a Resize of planes of known sizes: `resize_type` (1 nearest, 2 linear, 3 cubic),
    `output_height`, `output_width` and `align_corner`.

    The nearest is the one at floor(i · h / H), which all of ONNX's ways of rounding choose for whole factors; corners
    are aligned, or coordinates are those of the elements' centres.
    """

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        op, old, new = group.op, shape_of(group.operands[0]), shape_of(group.result)
        kinds, mode = {"nearest": 1, "linear": 2, "cubic": 3}, op.attr("mode", "nearest")
        how = op.attr("coordinate_transformation_mode", "half_pixel")
        if len(old) != 4 or None in (*old[1:], *new[1:]) or old[1] != new[1] or op.attr("antialias", 0):
            return None
        sizes = [(a or 0, b or 0) for a, b in zip(old[2:], new[2:], strict=True)]
        floor = how == "asymmetric" and op.attr("nearest_mode", "round_prefer_floor") == "floor"
        if mode == "nearest":
            fits = floor or (how != "align_corners" and all(b % a == 0 for a, b in sizes))
        else:
            fits = how in ("half_pixel", "align_corners") or (
                how == "pytorch_half_pixel" and all(b > 1 for _, b in sizes)
            )
        if not fits or op.attr("exclude_outside", 0) or op.attr("cubic_coeff_a", -0.75) != -0.75:
            return None
        given = {"resize_type": kinds[mode], "output_height": sizes[0][1], "output_width": sizes[1][1],
                 "align_corner": int(mode != "nearest" and how == "align_corners")}  # fmt: skip
        return record(rewriter, name, group.operands[:1], group.result.type, given).result

    return emit


def prelu(name: str) -> Emitter:
    """The record `name` of a PRelu with one constant slope, or one for each channel: `num_slope`."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        x, slope = group.operands[0], constant_array(group.operands[1])
        channels = (*shape_of(x), None, None)[1]
        if slope is None or slope.size not in (1, channels):
            return None
        if slope.size > 1 and slope.ndim and slope.shape[-(len(shape_of(x)) - 1) :][0] != channels:
            return None
        held = rewriter.constant(slope.reshape(-1))
        return record(rewriter, name, [x, held], group.result.type, {"num_slope": slope.size}).result

    return emit


def instance_norm(name: str) -> Emitter:
    """The record `name` of a normalization of each channel, with both its constants: `channels` and `eps`."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        scale, shift = (constant_array(v) for v in group.operands[1:3])
        if scale is None or shift is None:
            return None
        given = {"channels": scale.size, "eps": group.op.attr("epsilon", 1e-5)}
        return record(rewriter, name, group.operands, group.result.type, given).result

    return emit


def layer_norm(name: str) -> Emitter:
    """The record `name` of a normalization along the last axis, with both its constants: `affine_size` and `eps`."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        (x, gamma, *rest), size = group.operands, (shape_of(group.operands[0]) or (None,))[-1]
        scale = constant_array(gamma)
        if scale is None or scale.size != size or axis_of(group.op) != len(shape_of(x)) - 1:
            return None
        beta = rest[0] if rest else rewriter.constant(np.zeros(size, np.float32))
        given = {"affine_size": size, "eps": group.op.attr("epsilon", 1e-5)}
        return record(rewriter, name, [x, gamma, beta], group.result.type, given).result

    return emit


def embedding(name: str) -> Emitter:
    """The record `name` of rows of a constant table, by indices: `num_output`, `input_dim` and `weight_data_size`."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        table, indices = constant_array(group.operands[0]), group.operands[1]
        if table is None or table.ndim != 2 or group.op.attr("axis", 0) != 0 or len(shape_of(indices)) != 2:
            return None
        given = {"num_output": table.shape[1], "input_dim": table.shape[0], "weight_data_size": table.size}
        return record(rewriter, name, [indices, group.operands[0]], group.result.type, given).result

    return emit
