"""From quantized ONNX operations to the records of a .tflite file: an emitter per operator, then layout.

An emitter writes the record of a group whether its values are codes or floats. Records that want channels last stand
between transposes, which the last phases move and cancel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from qir.ir import Value
from qir.lowering.litert.dialect import ARRAYS
from qir.lowering.litert.rules import SCHEMES
from qir.passes.lower.arrays import Arrays, sizes_of, type_of
from qir.passes.lower.groups import Emitter, Group, group_patterns
from qir.passes.lower.layout import TO_CHANNELS_LAST, Layout, layout_phases
from qir.passes.lower.parts import LAYER_NORM, bias_of, clamp_name
from qir.passes.lower.plain import clamp_bounds, edge_patterns, window
from qir.rewrite import PatternSet, Rewriter, constant_array
from qir.target import Target

__all__ = ["lowering_patterns"]

T = "litert."
ELEMENTWISE = {
    "Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Pow": "POW", "Max": "MAXIMUM", "Min": "MINIMUM",
    "HardSwish": "HARD_SWISH", "Sigmoid": "LOGISTIC", "Tanh": "TANH", "Exp": "EXP", "Log": "LOG", "Sqrt": "SQRT",
    "Abs": "ABS", "Neg": "NEG", "LeakyRelu": "LEAKY_RELU", "Gelu": "GELU",
}  # fmt: skip
"""Records on operands of one shape (or that broadcast), by ONNX's operator."""
LAYOUT = Layout(
    transpose=f"{T}TRANSPOSE", reshape=f"{T}RESHAPE", shape="new_shape",
    elementwise=frozenset(T + n for n in (*ELEMENTWISE.values(), "RELU", "RELU6", "QUANTIZE", "DEQUANTIZE")),
    axes={f"{T}CONCATENATION": "axis", f"{T}SPLIT": "axis", f"{T}MEAN": "axes", f"{T}SUM": "axes"},
    reducing=frozenset((f"{T}MEAN", f"{T}SUM")),
    per_axis={f"{T}PAD": ("paddings",), f"{T}STRIDED_SLICE": ("begin", "end", "strides")},
)  # fmt: skip
A = Arrays(LAYOUT, ARRAYS)


def _conv(group: Group, rw: Rewriter, target: Target) -> Value | None:
    """CONV_2D, or DEPTHWISE_CONV_2D where each channel is a group of its own. It does not load without a bias."""
    x, w, act = group.operands[0], group.operands[1], clamp_name(group.activation)
    filters = constant_array(w)
    if w is None or filters is None or filters.ndim != 4 or act is None:
        return None
    image = A.image(group, rw, filters.shape[2:])
    if image is None:
        return None
    bias, bias_by = bias_of(group, rw, filters.shape[0], SCHEMES["bias"])
    found = window(group.op)
    attributes = {**image[1], "fused_activation_function": act, "dilation_h_factor": found["dilations"][0],
                  "dilation_w_factor": found["dilations"][1]}  # fmt: skip
    name, perm = "CONV_2D", (0, 2, 3, 1)
    if found["group"] > 1 and found["group"] == sizes_of(x)[1]:
        name, perm = "DEPTHWISE_CONV_2D", (1, 2, 3, 0)
        attributes["depth_multiplier"] = filters.shape[0] // found["group"]
    weight = A.constant(rw, filters.transpose(perm), w)
    return A.from_image(group, rw, T + name, [image[0], weight, bias], [*group.quantizers[:2], bias_by], **attributes)


def _product(group: Group, rw: Rewriter, target: Target) -> Value | None:
    """FULLY_CONNECTED for a constant matrix, BATCH_MATMUL for the rest."""
    a, b, act, turned = *group.operands[:2], clamp_name(group.activation), bool(group.op.attr("transB", 0))
    w = constant_array(b)
    general = any(group.op.attr(k, d) != d for k, d in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)))
    if a is None or b is None or act is None or general:
        return None
    if w is None or w.ndim != 2:
        quant = [*group.quantizers[:2], *group.outputs]
        batched = act == "NONE" and len(group.operands) == 2
        return A.emit(rw, f"{T}BATCH_MATMUL", [a, b], type_of(group.result), quant, adj_y=turned) if batched else None
    w = w if turned else w.T
    bias, bias_by = bias_of(group, rw, w.shape[0], SCHEMES["bias"])
    by_x, by_w = group.quantizers[:2]
    return A.emit(rw, f"{T}FULLY_CONNECTED", [a, A.constant(rw, w, b), bias], type_of(group.result),
                  [by_x, by_w, bias_by, *group.outputs], fused_activation_function=act,
                  keep_num_dims=len(sizes_of(a)) != 2,
                  asymmetric_quantize_inputs=by_x is None and by_w is not None)  # fmt: skip


def _pool(group: Group, rw: Rewriter) -> Value | None:
    """AVERAGE_POOL_2D copies the quantizer: where the result has its own, the window is the image, and it is a MEAN."""
    op, average = group.op, group.op.name == "onnx.AveragePool"
    kernel = op.attr("kernel_shape")
    if len(op.results) > 1 or any(d != 1 for d in op.attr("dilations") or ()):
        return None
    if average and group.quantizers[0] != group.outputs[0]:
        return A.spatial_mean(group, rw)
    filling = ("zero" if op.attr("count_include_pad", 0) else "never") if average else "lowest"
    image = A.image(group, rw, kernel, filling)
    if image is None:
        return None
    sides = {"filter_height": kernel[0], "filter_width": kernel[1]}
    name = f"{T}{'AVERAGE' if average else 'MAX'}_POOL_2D"
    return A.from_image(group, rw, name, [image[0]], group.quantizers[:1], **image[1], **sides)


def _elementwise(name: str) -> Emitter:
    def emit(group: Group, rw: Rewriter) -> Value | None:
        act = clamp_name(group.activation)
        if act is None or len(group.operands) > 2:
            return None
        given = {"alpha": group.op.attr("alpha"), "approximate": group.op.attr("approximate") == "tanh" or None}
        given = {k: v for k, v in given.items() if v is not None}
        fused = {} if act == "NONE" else {"fused_activation_function": act}
        return A.emit(rw, T + name, group.operands, type_of(group.result), group.quant, **given, **fused)

    return emit


def _clip(group: Group, rw: Rewriter) -> Value | None:
    """RELU, RELU6, or MAXIMUM and MINIMUM."""
    bounds, x, type = clamp_bounds(group.op), group.operands[0], type_of(group.result)
    name = clamp_name(group.op)
    if bounds is None:
        return None
    if name in ("RELU", "RELU6"):
        return A.emit(rw, T + name, [x], type, [])
    for record, bound in zip(("MAXIMUM", "MINIMUM"), bounds):
        if np.isfinite(bound):
            x = A.emit(rw, T + record, [x, rw.constant(np.array(bound, np.float32))], type, [])
    return x


def _concat(group: Group, rw: Rewriter) -> Value | None:
    return A.concat(group, rw)


def _depth_to_space(group: Group, rw: Rewriter) -> Value | None:
    """Channels are (row, column, channel), as in DCR; with one channel behind it CRD is the same."""
    x, block, name = group.operands[0], int(group.op.attr("blocksize")), group.quantizers[0]
    if x is None or (group.op.attr("mode", "DCR") == "CRD" and sizes_of(x)[1] != block * block):
        return None
    image = A.transposed(rw, x, TO_CHANNELS_LAST, name)
    return A.from_image(group, rw, f"{T}DEPTH_TO_SPACE", [image], [name], block_size=block)


def lowering_patterns(target: Target) -> list[PatternSet]:
    """Groups, then what is left of the quantizers, then layout."""
    product: Callable[..., Any] = functools.partial(_product, target=target)
    emitters: dict[str, Emitter] = {
        **{op: _elementwise(name) for op, name in ELEMENTWISE.items()},
        "Conv": functools.partial(_conv, target=target), "Gemm": product, "MatMul": product,
        "MaxPool": _pool, "AveragePool": _pool, "GlobalAveragePool": A.spatial_mean, "ReduceMean": A.mean,
        "ReduceSum": A.sum, "Relu": _clip, "Clip": _clip, "Softmax": A.softmax, "Concat": A.concat, "Split": A.split,
        "Slice": A.slice, "Gather": A.gather, "Pad": A.pad, "DepthToSpace": _depth_to_space, "Transpose": A.transpose,
        **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), A.reshape),
    }  # fmt: skip
    edges = edge_patterns(f"{T}QUANTIZE", f"{T}DEQUANTIZE")
    return [LAYER_NORM, group_patterns(target, emitters), edges, *layout_phases(LAYOUT)]
