"""Emitters for records with Caffe's parameters: windows over planes, with a number for each side.

Windows are `kernel_w`, `kernel_h`, `stride_w`, `stride_h`, `pad_left`, `pad_right`, `pad_top` and `pad_bottom`. Values
are blobs without a batch axis (`qir.passes.lower.batchless`). Kernels: `qir.interpreter.planes`.
"""

from __future__ import annotations

import numpy as np

from qir.ir import Operation, TensorType, Value, f32
from qir.passes.lower.batchless import Batchless, type_of
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.plain import window
from qir.passes.lower.reading import array_of, axis_of, integers, shape_of
from qir.rewrite import Rewriter

__all__ = ["embedding", "layer_norm", "padding", "plane_window", "pooling"]


def plane_window(op: Operation) -> dict[str, int] | None:
    """The window of a convolution or pooling as parameters; None for windows that are not two-dimensional."""
    found = window(op)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right")
    numbers = (*found["kernel_shape"], *found["strides"], *found["pads"])
    return dict(zip(names, numbers, strict=True)) if len(numbers) == 8 else None


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
        number = array_of(group.operands[2] if len(group.operands) > 2 else None)
        mode = group.op.attr("mode", "constant")
        if pads is None or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0 or mode not in kinds:
            return None
        given = {"top": pads[2], "left": pads[3], "bottom": pads[6], "right": pads[7], "type": kinds[mode],
                 "value": 0.0 if number is None else float(number.reshape(()))}  # fmt: skip
        return record(rewriter, name, group.operands[:1], group.result.type, given).result

    return emit


def layer_norm(name: str) -> Emitter:
    """The record `name` of a normalization along the last axis, with both its constants: `affine_size` and `eps`."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        (x, gamma, *rest), size = group.operands, (shape_of(group.operands[0]) or (None,))[-1]
        scale = array_of(gamma)
        if scale is None or scale.size != size or axis_of(group.op) != len(shape_of(x)) - 1:
            return None
        beta = rest[0] if rest else rewriter.constant(np.zeros(size, np.float32))
        given = {"affine_size": size, "eps": group.op.attr("epsilon", 1e-5)}
        return record(rewriter, name, [x, gamma, beta], group.result.type, given).result

    return emit


def embedding(name: str) -> Emitter:
    """The record `name` of rows of a constant table, by indices: `num_output`, `input_dim` and `weight_data_size`."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        table, indices = array_of(group.operands[0]), group.operands[1]
        if table is None or table.ndim != 2 or group.op.attr("axis", 0) != 0 or len(shape_of(indices)) != 2:
            return None
        given = {"num_output": table.shape[1], "input_dim": table.shape[0], "weight_data_size": table.size}
        return record(rewriter, name, [indices, group.operands[0]], group.result.type, given).result

    return emit
