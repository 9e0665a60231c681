"""ONNX operations to ncnn's layers: convolutions and products; the rest is a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qir.datasheet import clamp_bounds
from qir.ir import IntegerType, Operation, TensorType, Value, dense_from_numpy, f32
from qir.numerics.winograd import overflowing_channels
from qir.passes.lower.batchless import Batchless, layer, sample_axes, sample_axis, type_of
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.plain import window
from qir.passes.lower.planes import embedding, layer_norm, padding, plane_window, pooling
from qir.passes.lower.reading import array_of, shape_of
from qir.rewrite import Rewriter

__all__ = ["BLOBS", "EMITTERS", "NO_WINOGRAD", "POWERS", "REDUCE", "UNARY", "runs_winograd"]

UNARY = {"Abs": 0, "Neg": 1, "Floor": 2, "Ceil": 3, "Sqrt": 5, "Exp": 7, "Log": 8, "Sin": 9, "Cos": 10}
POWERS = {2.0: 4, 0.5: 5, -0.5: 6}
"""UnaryOp's powers; BinaryOp's is exp(y log x), which has no negative x."""
REDUCE = {"ReduceSum": 0, "ReduceMean": 3, "ReduceMax": 4, "ReduceMin": 5}
BLOBS = Batchless(
    names={"data": "ncnn.MemoryData", "reshape": "ncnn.Reshape", "flatten": "ncnn.Flatten", "permute": "ncnn.Permute",
           "crop": "ncnn.Crop", "concat": "ncnn.Concat", "matmul": "ncnn.MatMul", "binary": "ncnn.BinaryOp"},
    kinds={"Add": 0, "Sub": 1, "Mul": 2, "Div": 3, "Max": 4, "Min": 5},
    reverse={1: 7, 3: 8},
    orders={2: "wh hw".split(), 3: "whc hwc wch cwh hcw chw".split(),
            4: "whdc hwdc wdhc dwhc hdwc dhwc whcd hwcd wchd cwhd hcwd chwd wdch dwch wcdh cwdh dcwh cdwh hdcw dhcw "
               "hcdw chdw dchw cdhw".split()},
)  # fmt: skip
NO_WINOGRAD = 64
"""The bit of a layer's feature mask that makes ncnn use another kernel."""
LARGEST = float(np.finfo(np.float32).max)


def _clip(op: Operation) -> tuple[float, ...] | None:
    bounds = clamp_bounds(op)
    return None if bounds is None else tuple(min(max(b, -LARGEST), LARGEST) for b in bounds)


def _activation(op: Operation | None) -> dict[str, Any]:
    """A Relu, LeakyRelu, Clip or nothing as a layer's fused activation: 1, 2 with its slope, 3 with its bounds."""
    if op is None:
        return {}
    if op.name == "onnx.LeakyRelu":
        return {"activation_type": 2, "activation_params": (op.attr("alpha", 0.01),)}
    return {"activation_type": 1} if op.name == "onnx.Relu" else {"activation_type": 3, "activation_params": _clip(op)}


def runs_winograd(parameter: Callable[[str], Any], groups: int, shape: Sequence[int]) -> bool:
    """Whether x86 computes an int8 convolution by F(4,3): 3x3, stride and dilation 1, above 8 channels in or out."""
    frame = [parameter(k) for k in ("kernel_w", "kernel_h", "stride_w", "stride_h", "dilation_w", "dilation_h")]
    depthwise = groups > 1 and groups == shape[0] and shape[1] == 1
    wide = not depthwise and max(shape[0] // groups, shape[1]) > 8
    return frame == [3, 3, 1, 1, 1, 1] and wide and not parameter("featmask") & NO_WINOGRAD


def _conv(group: Group, rewriter: Rewriter) -> Value | None:
    """Convolution, or ConvolutionDepthWise where there are groups."""
    op, (x, w, *rest) = group.op, group.operands
    weights, frame, found = array_of(w), plane_window(op), window(op)
    if weights is None or frame is None or any(array_of(bias) is None for bias in rest if bias is not None):
        return None
    groups, (dilation_h, dilation_w) = found["group"], found["dilations"]
    given = {"num_output": len(weights), "bias_term": len(rest), "weight_data_size": weights.size, **frame,
             "dilation_h": dilation_h, "dilation_w": dilation_w, "featmask": 0, **_activation(group.activation),
             **({"group": groups} if groups > 1 else {})}  # fmt: skip
    if group.quantized:
        given["int8_scale_term"] = (1 if 1 < groups == len(weights) else 2) + (100 if group.outputs[0] else 0)
        why = overflowing_channels(weights)
        if why and runs_winograd(given.__getitem__, groups, weights.shape):
            given["featmask"] = NO_WINOGRAD
            rewriter.ctx.remark("missed", op.location, f"{op.name} runs without Winograd, for {why}", "lower")
    name = "ncnn.ConvolutionDepthWise" if groups > 1 else "ncnn.Convolution"
    return record(rewriter, name, [x, w, *rest], group.result.type, given, group.quant).result


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
        given = {"num_output": len(rows), "bias_term": len(rest), "weight_data_size": rows.size, "int8_scale_term": 2}
        return record(rewriter, "ncnn.InnerProduct", operands, type, given, quant).result
    if len(sizes) == 2:  # Gemm takes a packed vector for many rows
        operands[0] = BLOBS.reshaped(rewriter, a, TensorType((sizes[0], 1, rows.shape[1]), f32))
    matrix = TensorType((sizes[0], *(sizes[1:-1] or (1,)), sizes[-1]), f32)
    given = {"constantN": len(rows), "constantK": rows.shape[1], "constant_broadcast_type_C": 4 if rest else -1,
             "quantize_term": 100 * element.width if isinstance(element, IntegerType) else 0,
             "alpha": op.attr("alpha", 1.0), "beta": op.attr("beta", 1.0)}  # fmt: skip
    return BLOBS.reshaped(rewriter, record(rewriter, "ncnn.Gemm", operands, matrix, given, quant).result, type)


# ---------------------------------------------------------------- the table
def _attribute(name: str, default: Any) -> Callable[[Group], Any]:
    return lambda group: group.op.attr(name, default)


def _bound(index: int) -> Callable[[Group], float | None]:
    return lambda group: None if (bounds := _clip(group.op)) is None else bounds[index]


def _power(group: Group) -> int | None:
    exponent = array_of(group.operands[1])
    return None if exponent is None or exponent.size != 1 else POWERS.get(float(exponent.reshape(())))


POOLING = pooling("ncnn.Pooling", BLOBS)
EMITTERS: Mapping[str, Emitter] = {
    **BLOBS.emitters(),
    "Conv": _conv, "Gemm": _product, "MatMul": _product, "Pad": padding("ncnn.Padding"),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), POOLING),
    "LayerNormalization": layer_norm("ncnn.LayerNorm"), "Gather": embedding("ncnn.Embed"),
    **{name: layer("ncnn.UnaryOp", op_type=code) for name, code in UNARY.items()},
    "Pow": layer("ncnn.UnaryOp", op_type=_power),
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
