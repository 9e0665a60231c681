"""The emitters of a whole chip with array records: every ONNX operator that `Arrays` has records for.

Beside what `arrays` says the records have the attributes `fused_activation_function` (a name of
`qir.numerics.clamps`), `stride_h`, `stride_w`, `padding`, `dilation_h_factor`, `dilation_w_factor`, `depth_multiplier`,
`filter_height`, `filter_width`, `keep_num_dims`, `asymmetric_quantize_inputs`, `adj_y`, `alpha`, `approximate`,
`block_size`, `size`, `half_pixel_centers` and `align_corners`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from qir.datasheet import clamp_bounds
from qir.interpreter.sampling import sampling_of
from qir.ir import Value
from qir.numerics.scheme import Scheme
from qir.passes.lower.arrays import Arrays
from qir.passes.lower.groups import Emitter, Group
from qir.passes.lower.layout import TO_CHANNELS_LAST, Layout
from qir.passes.lower.parts import bias_of, clamp_name
from qir.passes.lower.plain import window
from qir.passes.lower.reading import shape_of, type_of
from qir.rewrite import Rewriter, constant_array

__all__ = ["array_emitters", "array_layout"]


def _conv(group: Group, rw: Rewriter, a: Arrays, bias_scheme: Scheme) -> Value | None:
    """``conv``, or ``depthwise`` where each channel is a group of its own; always with a bias."""
    x, w, act = group.operands[0], group.operands[1], clamp_name(group.activation)
    filters = constant_array(w)
    if w is None or filters is None or filters.ndim != 4 or act is None:
        return None
    image = a.image(group, rw, filters.shape[2:])
    if image is None:
        return None
    bias, bias_by = bias_of(group, rw, filters.shape[0], bias_scheme)
    found = window(group.op)
    attributes = {**image[1], "fused_activation_function": act, "dilation_h_factor": found["dilations"][0],
                  "dilation_w_factor": found["dilations"][1]}  # fmt: skip
    name, perm = "conv", (0, 2, 3, 1)
    if found["group"] > 1 and found["group"] == shape_of(x)[1]:
        name, perm = "depthwise", (1, 2, 3, 0)
        attributes["depth_multiplier"] = filters.shape[0] // found["group"]
    weight = a.constant(rw, filters.transpose(perm), w)
    return a.from_image(group, rw, name, [image[0], weight, bias], [*group.quantizers[:2], bias_by], **attributes)


def _product(group: Group, rw: Rewriter, a: Arrays, bias_scheme: Scheme) -> Value | None:
    """``product`` for a constant matrix, ``matmul`` for the rest."""
    x, b, act, turned = *group.operands[:2], clamp_name(group.activation), bool(group.op.attr("transB", 0))
    w = constant_array(b)
    general = any(group.op.attr(k, d) != d for k, d in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)))
    if x is None or b is None or act is None or general:
        return None
    if w is None or w.ndim != 2:
        quant = [*group.quantizers[:2], *group.outputs]
        batched = act == "NONE" and len(group.operands) == 2
        return a.emit(rw, "matmul", [x, b], type_of(group.result), quant, adj_y=turned) if batched else None
    w = w if turned else w.T
    bias, bias_by = bias_of(group, rw, w.shape[0], bias_scheme)
    by_x, by_w = group.quantizers[:2]
    return a.emit(rw, "product", [x, a.constant(rw, w, b), bias], type_of(group.result),
                  [by_x, by_w, bias_by, *group.outputs], fused_activation_function=act,
                  keep_num_dims=len(shape_of(x)) != 2,
                  asymmetric_quantize_inputs=by_x is None and by_w is not None)  # fmt: skip


def _pool(group: Group, rw: Rewriter, a: Arrays) -> Value | None:
    """``average_pool`` copies the quantizer: where the result has its own the window is the image, and it is a mean."""
    op, average = group.op, group.op.name == "onnx.AveragePool"
    kernel = op.attr("kernel_shape")
    if len(op.results) > 1 or any(d != 1 for d in op.attr("dilations") or ()):
        return None
    if average and group.quantizers[0] != group.outputs[0]:
        return a.spatial_mean(group, rw)
    filling = ("counted" if op.attr("count_include_pad", 0) else "never") if average else "lowest"
    image = a.image(group, rw, kernel, filling)
    if image is None:
        return None
    sides = {"filter_height": kernel[0], "filter_width": kernel[1]}
    name = "average_pool" if average else "max_pool"
    return a.from_image(group, rw, name, [image[0]], group.quantizers[:1], **image[1], **sides)


def _elementwise(group: Group, rw: Rewriter, a: Arrays, name: str) -> Value | None:
    """Two operands at most, which broadcast."""
    act = clamp_name(group.activation)
    if act is None or len(group.operands) > 2:
        return None
    approximate = True if group.op.attr("approximate") == "tanh" else None
    given = {"alpha": group.op.attr("alpha"), "approximate": approximate}
    given["fused_activation_function"] = None if act == "NONE" else act
    given = {key: value for key, value in given.items() if value is not None}
    return a.emit(rw, name, group.operands, type_of(group.result), group.quant, **given)


def _clip(group: Group, rw: Rewriter, a: Arrays) -> Value | None:
    """On floats: ``relu``, ``relu6``, or ``maximum`` and ``minimum``."""
    bounds, x, name = clamp_bounds(group.op), group.operands[0], clamp_name(group.op)
    if bounds is None:
        return None
    if name in ("RELU", "RELU6"):
        return a.emit(rw, name.lower(), [x], type_of(group.result), [])
    for what, bound in zip(("maximum", "minimum"), bounds, strict=True):
        if np.isfinite(bound):
            x = a.emit(rw, what, [x, rw.constant(np.array(bound, np.float32))], type_of(group.result), [])
    return x


def _depth_to_space(group: Group, rw: Rewriter, a: Arrays) -> Value | None:
    """Channels are (row, column, channel), as in DCR; with one channel behind it CRD is the same."""
    x, block, name = group.operands[0], int(group.op.attr("blocksize")), group.quantizers[0]
    if x is None or (group.op.attr("mode", "DCR") == "CRD" and shape_of(x)[1] != block * block):
        return None
    image = a.transposed(rw, x, TO_CHANNELS_LAST, name)
    return a.from_image(group, rw, "depth_to_space", [image], [name], block_size=block)


def _resize(group: Group, rw: Rewriter, a: Arrays) -> Value | None:
    """To sizes that are known: copies of pixels, or linear between them, with three ways to place them."""
    x, name, found = group.operands[0], group.quantizers[0], sampling_of(group.op)
    if x is None or found is None:
        return None
    given = {"size": shape_of(group.result)[2:], "half_pixel_centers": found.half, "align_corners": found.corners}
    image = a.transposed(rw, x, TO_CHANNELS_LAST, name)
    return a.from_image(group, rw, f"resize_{found.mode}", [image], [name], **given)


ELEMENTWISE = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "Max": "maximum", "Min": "minimum",
    "HardSwish": "hard_swish", "Sigmoid": "sigmoid", "Tanh": "tanh", "Exp": "exp", "Log": "log", "Sqrt": "sqrt",
    "Abs": "abs", "Neg": "neg", "LeakyRelu": "leaky", "Gelu": "gelu",
}  # fmt: skip


AXES = {"concat": "axis", "split": "axis", "split_at": "axis", "mean": "axes", "sum": "axes"}
PER_AXIS = {"pad": ("paddings",), "mirror": ("paddings",), "slice": ("begin", "end", "strides")}


def array_layout(names: Mapping[str, str], shape: str) -> Layout:
    """What the patterns of layout must know of a target's records; `shape` is the parameter of its ``reshape``."""
    elementwise = (*ELEMENTWISE.values(), "relu", "relu6", "quantize", "dequantize")
    return Layout(
        transpose=names["transpose"], reshape=names["reshape"], shape=shape,
        elementwise=frozenset(names[n] for n in elementwise if n in names),
        axes={names[n]: key for n, key in AXES.items() if n in names},
        reducing=frozenset(names[n] for n in ("mean", "sum") if n in names),
        per_axis={names[n]: keys for n, keys in PER_AXIS.items() if n in names},
    )  # fmt: skip


def array_emitters(a: Arrays, bias: Scheme) -> dict[str, Emitter]:
    """An emitter for each ONNX operator whose record the target names. `bias` is the data sheet's scheme for biases."""
    product: Callable[..., Any] = functools.partial(_product, a=a, bias_scheme=bias)
    pool: Callable[..., Any] = functools.partial(_pool, a=a)
    clip: Callable[..., Any] = functools.partial(_clip, a=a)
    emitters: dict[str, tuple[str, Emitter]] = {
        **{op: (name, functools.partial(_elementwise, a=a, name=name)) for op, name in ELEMENTWISE.items()},
        "Conv": ("conv", functools.partial(_conv, a=a, bias_scheme=bias)),
        "Gemm": ("product", product), "MatMul": ("product", product),
        "MaxPool": ("max_pool", pool), "AveragePool": ("average_pool", pool),
        "GlobalAveragePool": ("mean", a.spatial_mean), "ReduceMean": ("mean", a.mean), "ReduceSum": ("sum", a.sum),
        "Relu": ("relu", clip), "Clip": ("relu6", clip), "Softmax": ("softmax", a.softmax),
        "Concat": ("concat", a.concat), "Split": ("split", a.split), "Slice": ("slice", a.slice),
        "Gather": ("gather", a.gather), "Pad": ("pad", a.pad), "Transpose": ("transpose", a.transpose),
        "DepthToSpace": ("depth_to_space", functools.partial(_depth_to_space, a=a)),
        "Resize": ("resize_nearest", functools.partial(_resize, a=a)),
        **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), ("reshape", a.reshape)),
    }  # fmt: skip
    return {op: emit for op, (name, emit) in emitters.items() if name in a.names}
