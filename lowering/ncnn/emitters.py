"""ONNX operations to ncnn's layers: windows, products, normalization; the rest is a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qir.datasheet import clamp_bounds
from qir.ir import IntegerType, Operation, TensorType, Value, dense_from_numpy, f32
from qir.passes.lower.batchless import Batchless, layer, sample_axes, sample_axis, type_of
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.plain import window
from qir.passes.lower.reading import array_of, axis_of, integers, shape_of
from qir.rewrite import Rewriter

__all__ = ["BLOBS", "EMITTERS", "POWERS", "REDUCE", "UNARY", "overflowing", "runs_winograd"]

UNARY = {"Abs": 0, "Neg": 1, "Floor": 2, "Ceil": 3, "Sqrt": 5, "Exp": 7, "Log": 8, "Sin": 9, "Cos": 10}
POWERS = {2.0: 4, 0.5: 5, -0.5: 6}
"""UnaryOp's powers; BinaryOp's is exp(y log x), which has no negative x."""
REDUCE = {"ReduceSum": 0, "ReduceMean": 3, "ReduceMax": 4, "ReduceMin": 5}
BLOBS = Batchless(
    names={"data": "ncnn.MemoryData", "reshape": "ncnn.Reshape", "flatten": "ncnn.Flatten", "permute": "ncnn.Permute",
           "crop": "ncnn.Crop", "concat": "ncnn.Concat", "matmul": "ncnn.MatMul", "binary": "ncnn.BinaryOp"},
    kinds={"Add": 0, "Sub": 1, "Mul": 2, "Div": 3, "Max": 4, "Min": 5},
    reverse={1: 7, 3: 8},
    orders={
        2: "wh hw".split(),
        3: "whc hwc wch cwh hcw chw".split(),
        4: "whdc hwdc wdhc dwhc hdwc dhwc whcd hwcd wchd cwhd hcwd chwd wdch dwch wcdh cwdh dcwh cdwh hdcw dhcw hcdw "
           "chdw dchw cdhw".split(),
    },
)  # fmt: skip
WINOGRAD_SUM, NO_WINOGRAD = 29_356, 64
"""Sum of the weights' magnitudes up to which no input overflows the int8 kernel of F(4,3), whose int32 sums are 576
times too large; and the bit of a layer's feature mask that makes ncnn use another kernel for it."""
LARGEST = float(np.finfo(np.float32).max)


def _finite(bounds: Iterable[float]) -> tuple[float, ...]:
    return tuple(min(max(b, -LARGEST), LARGEST) for b in bounds)


def _activation(op: Operation | None) -> dict[str, Any]:
    """A Relu, LeakyRelu, Clip or nothing as a layer's fused activation: 1, 2 with its slope, 3 with its bounds."""
    if op is not None and op.name == "onnx.LeakyRelu":
        return {"activation_type": 2, "activation_params": (op.attr("alpha", 0.01),)}
    bounds = clamp_bounds(op) if op is not None else None
    if bounds is None:
        return {}
    if bounds == (0.0, math.inf):
        return {"activation_type": 1}
    return {"activation_type": 3, "activation_params": _finite(bounds)}


# ---------------------------------------------------------------- windows
def _window(op: Operation) -> dict[str, int] | None:
    """The window of a plane as parameters; None for windows of other ranks."""
    found = window(op)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right")
    numbers = (*found["kernel_shape"], *found["strides"], *found["pads"])
    return dict(zip(names, numbers, strict=True)) if len(numbers) == 8 else None


def runs_winograd(parameter: Callable[[str], Any], groups: int, shape: Sequence[int]) -> bool:
    """Whether x86 computes an int8 convolution by F(4,3): 3x3, stride and dilation 1, above 8 channels in or out."""
    frame = [parameter(k) for k in ("kernel_w", "kernel_h", "stride_w", "stride_h", "dilation_w", "dilation_h")]
    depthwise = groups > 1 and groups == shape[0] and shape[1] == 1
    wide = not depthwise and max(shape[0] // groups, shape[1]) > 8
    return frame == [3, 3, 1, 1, 1, 1] and wide and not parameter("featmask") & NO_WINOGRAD


def overflowing(parameter: Callable[[str], Any], groups: int, codes: NDArray[Any]) -> str:
    """Which channels of an int8 convolution may overflow in F(4,3), in words; "" where none can."""
    sums = np.abs(codes.astype(np.int64)).reshape(len(codes), -1).sum(1)
    wrong = int((sums > WINOGRAD_SUM).sum())
    if not wrong or not runs_winograd(parameter, groups, codes.shape):
        return ""
    return f"the weights of {wrong} channels sum up to {sums.max()}, more than {WINOGRAD_SUM}"


def _conv(group: Group, rewriter: Rewriter) -> Value | None:
    """Convolution, or ConvolutionDepthWise where there are groups."""
    op, (x, w, *rest) = group.op, group.operands
    weights, bias, frame = array_of(w), rest[0] if rest else None, _window(op)
    if weights is None or frame is None or (bias is not None and array_of(bias) is None):
        return None
    groups, (dilation_h, dilation_w) = window(op)["group"], window(op)["dilations"]
    given = {"num_output": weights.shape[0], "bias_term": int(bias is not None), "weight_data_size": weights.size,
             "dilation_h": dilation_h, "dilation_w": dilation_w, "featmask": 0, **frame,
             **_activation(group.activation), **({"group": groups} if groups > 1 else {})}  # fmt: skip
    if group.quantized:
        per_group = 1 < groups == weights.shape[0]
        given["int8_scale_term"] = (1 if per_group else 2) + (100 if group.outputs[0] else 0)
        why = overflowing(given.__getitem__, groups, weights)
        if why:
            given["featmask"] = NO_WINOGRAD
            rewriter.ctx.remark("missed", op.location, f"{op.name} runs without Winograd, for {why}", "lower")
    name = "ncnn.ConvolutionDepthWise" if groups > 1 else "ncnn.Convolution"
    return record(rewriter, name, [x, w, *rest], group.result.type, given, group.quant).result


def _pool(group: Group, rewriter: Rewriter) -> Value | None:
    op, frame = group.op, _window(group.op)
    ceil, include = op.attr("ceil_mode", 0), op.attr("count_include_pad", 0)
    if frame is None or (ceil and include) or set(window(op)["dilations"]) != {1} or len(op.results) > 1:
        return None
    frame |= {"pooling_type": int("Average" in op.name), "pad_mode": 1 - ceil, "avgpool_count_include_pad": include}
    return record(rewriter, "ncnn.Pooling", group.operands, group.result.type, frame).result


def _global_pool(group: Group, rewriter: Rewriter) -> Value | None:
    type = type_of(group.result)
    given = {"pooling_type": int("Average" in group.op.name), "global_pooling": 1}
    made = record(rewriter, "ncnn.Pooling", group.operands, type.with_shape((type.shape or ())[:2]), given)
    return BLOBS.reshaped(rewriter, made.result, type)


# ---------------------------------------------------------------- products
def _product(group: Group, rewriter: Rewriter) -> Value | None:
    """InnerProduct on integers; in float Gemm, for InnerProduct cuts its weights to half precision on x86; MatMul for
    two blobs."""
    op, (a, b, *rest) = group.op, group.operands
    weights, bias, sizes = array_of(b), array_of(rest[0] if rest else None), shape_of(group.result)
    if weights is None or a is None or b is None or weights.ndim != 2 or len(shape_of(a)) not in (2, 3):
        return None if op.name == "onnx.Gemm" else BLOBS.emit_matmul(group, rewriter)
    rows, element = np.ascontiguousarray(weights if op.attr("transB", 0) else weights.T), type_of(b).element
    if op.attr("transA", 0) or (rest and (bias is None or bias.size != len(rows))):
        return None
    held = dense_from_numpy(rows, rewriter.resource_key(b.name or "weights"), TensorType(rows.shape, element))
    operands = [a, rewriter.constant(held, b.name), None if bias is None else rewriter.constant(bias.reshape(-1))]
    quant, type = [*group.quantizers[:2], None, *group.outputs], type_of(group.result)
    if group.quantizers[0] is not None:
        given = {"num_output": len(rows), "bias_term": int(bias is not None), "weight_data_size": rows.size,
                 "int8_scale_term": 2}  # fmt: skip
        return record(rewriter, "ncnn.InnerProduct", operands, type, given, quant).result
    if len(sizes) == 2:  # Gemm takes a packed vector for many rows
        operands[0] = BLOBS.reshaped(rewriter, a, TensorType((sizes[0], 1, rows.shape[1]), f32))
    matrix = TensorType((sizes[0], *(sizes[1:-1] or (1,)), sizes[-1]), f32)
    given = {"constantN": len(rows), "constantK": rows.shape[1], "constant_broadcast_type_C": -1 if bias is None else 4,
             "quantize_term": 100 * element.width if isinstance(element, IntegerType) else 0,
             "alpha": op.attr("alpha", 1.0), "beta": op.attr("beta", 1.0)}  # fmt: skip
    made = record(rewriter, "ncnn.Gemm", operands, matrix, given, quant)
    return BLOBS.reshaped(rewriter, made.result, type)


# ---------------------------------------------------------------- other layers with data
def _layer_norm(group: Group, rewriter: Rewriter) -> Value | None:
    (x, gamma, *rest), size = group.operands, (shape_of(group.operands[0]) or (None,))[-1]
    scale = array_of(gamma)
    if scale is None or scale.size != size or axis_of(group.op) != len(shape_of(x)) - 1:
        return None
    beta = rest[0] if rest else rewriter.constant(np.zeros(size, np.float32))
    given = {"affine_size": size, "eps": group.op.attr("epsilon", 1e-5)}
    return record(rewriter, "ncnn.LayerNorm", [x, gamma, beta], group.result.type, given).result


def _embed(group: Group, rewriter: Rewriter) -> Value | None:
    """Rows of a constant table, by indices."""
    table, indices = array_of(group.operands[0]), group.operands[1]
    if table is None or table.ndim != 2 or group.op.attr("axis", 0) != 0 or len(shape_of(indices)) != 2:
        return None
    given = {"num_output": table.shape[1], "input_dim": table.shape[0], "weight_data_size": table.size}
    return record(rewriter, "ncnn.Embed", [indices, group.operands[0]], group.result.type, given).result


def _pad(group: Group, rewriter: Rewriter) -> Value | None:
    pads, kinds = integers(group.op, 1, "pads"), {"constant": 0, "edge": 1, "reflect": 2}
    number, mode = array_of(group.operands[2] if len(group.operands) > 2 else None), group.op.attr("mode", "constant")
    if pads is None or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0 or mode not in kinds:
        return None
    given = {"top": pads[2], "left": pads[3], "bottom": pads[6], "right": pads[7], "type": kinds[mode],
             "value": 0.0 if number is None else float(number.reshape(()))}  # fmt: skip
    return record(rewriter, "ncnn.Padding", group.operands[:1], group.result.type, given).result


# ---------------------------------------------------------------- the table
def _attribute(name: str, default: Any) -> Callable[[Group], Any]:
    return lambda group: group.op.attr(name, default)


def _power(group: Group) -> int | None:
    exponent = array_of(group.operands[1])
    return POWERS.get(float(exponent.reshape(()))) if exponent is not None and exponent.size == 1 else None


def _bound(index: int) -> Callable[[Group], float | None]:
    return lambda group: None if (bounds := clamp_bounds(group.op)) is None else _finite(bounds)[index]


EMITTERS: Mapping[str, Emitter] = {
    **BLOBS.emitters(),
    "Conv": _conv, "Gemm": _product, "MatMul": _product, "MaxPool": _pool, "AveragePool": _pool, "Pad": _pad,
    "GlobalAveragePool": _global_pool, "GlobalMaxPool": _global_pool, "LayerNormalization": _layer_norm,
    "Gather": _embed, "Pow": layer("ncnn.UnaryOp", op_type=_power),
    **{name: layer("ncnn.UnaryOp", op_type=code) for name, code in UNARY.items()},
    **{name: layer("ncnn.Reduction", operation=code, axes=sample_axes, keepdims=_attribute("keepdims", 1))
       for name, code in REDUCE.items()},
    "Softmax": layer("ncnn.Softmax", axis=sample_axis),
    "DepthToSpace": layer("ncnn.PixelShuffle", upscale_factor=_attribute("blocksize", 1),
                          mode=lambda group: int(group.op.attr("mode", "DCR") != "CRD")),
    "Clip": layer("ncnn.Clip", min=_bound(0), max=_bound(1)), "Relu": layer("ncnn.ReLU"),
    "LeakyRelu": layer("ncnn.ReLU", slope=_attribute("alpha", 0.01)),
    "Sigmoid": layer("ncnn.Sigmoid"), "Tanh": layer("ncnn.TanH"), "Erf": layer("ncnn.Erf"),
    "Gelu": layer("ncnn.GELU", fast_gelu=lambda group: int(group.op.attr("approximate", "none") == "tanh")),
    "HardSwish": layer("ncnn.HardSwish", alpha=1 / 6, beta=0.5),
    "HardSigmoid": layer("ncnn.HardSigmoid", alpha=_attribute("alpha", 0.2), beta=_attribute("beta", 0.5)),
}  # fmt: skip
