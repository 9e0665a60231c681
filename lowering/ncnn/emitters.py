"""ONNX operations to ncnn's layers: convolutions and products; the rest is a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qir.ir import IntegerType, TensorType, Value, dense_from_numpy, f32
from qir.numerics.winograd import overflowing_channels
from qir.passes.lower import planes
from qir.passes.lower.batchless import Batchless, attribute, either, exponent, layer, sample_axes, sample_axis
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.plain import window
from qir.passes.lower.reading import shape_of, type_of
from qir.rewrite import Rewriter, constant_array

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
NO_WINOGRAD = 64  # the bit of a layer's feature mask that makes ncnn use another kernel


def runs_winograd(parameter: Callable[[str], Any], groups: int, shape: Sequence[int]) -> bool:
    """Whether x86 computes an int8 convolution by F(4,3): 3x3, stride and dilation 1, above 8 channels in or out."""
    frame = [parameter(k) for k in ("kernel_w", "kernel_h", "stride_w", "stride_h", "dilation_w", "dilation_h")]
    depthwise = groups > 1 and groups == shape[0] and shape[1] == 1
    wide = not depthwise and max(shape[0] // groups, shape[1]) > 8
    return frame == [3, 3, 1, 1, 1, 1] and wide and not parameter("featmask") & NO_WINOGRAD


def _conv(group: Group, rewriter: Rewriter) -> Value | None:
    """Convolution, or ConvolutionDepthWise where there are groups."""
    op, bias = group.op, [v for v in group.operands[2:] if v is not None]
    weights, frame, found = constant_array(group.operands[1]), planes.plane_window(op), window(op)
    if weights is None or frame is None or any(constant_array(v) is None for v in bias):
        return None
    groups, (dilation_h, dilation_w) = found["group"], found["dilations"]
    given = {"num_output": len(weights), "bias_term": len(bias), "weight_data_size": weights.size, "featmask": 0,
             "dilation_h": dilation_h, "dilation_w": dilation_w, **frame, **planes.activation_type(group.activation),
             **({"group": groups} if groups > 1 else {})}  # fmt: skip
    if group.quantized:
        given["int8_scale_term"] = (1 if 1 < groups == len(weights) else 2) + (100 if group.outputs[0] else 0)
        why = overflowing_channels(weights)
        if why and runs_winograd(given.__getitem__, groups, weights.shape):
            given["featmask"] = NO_WINOGRAD
            rewriter.ctx.remark("missed", op.location, f"{op.name} runs without Winograd, for {why}", "lower")
        if 1 < groups == len(weights) and groups % 8 == 0:
            exact = f"{op.name} is exact with opt.use_packing_layout = False; else its scale has 12 bits"
            rewriter.ctx.remark("analysis", op.location, exact, "lower")
    name = "ncnn.ConvolutionDepthWise" if groups > 1 else "ncnn.Convolution"
    return record(rewriter, name, group.operands, group.result.type, given, group.quant).result


def _product(group: Group, rewriter: Rewriter) -> Value | None:
    """InnerProduct on integers; in float Gemm, for InnerProduct has half-precision weights; MatMul for two blobs."""
    op, (a, b, c) = group.op, (*group.operands, None)[:3]
    weights, bias, sizes = constant_array(b), constant_array(c), shape_of(group.result)
    if weights is None or a is None or b is None or weights.ndim != 2 or len(shape_of(a)) not in (2, 3):
        return None if op.name == "onnx.Gemm" else BLOBS.emit_matmul(group, rewriter)
    rows, element = np.ascontiguousarray(weights if op.attr("transB", 0) else weights.T), type_of(b).element
    if op.attr("transA", 0) or (c is not None and (bias is None or bias.size != len(rows))):
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
    return BLOBS.reshaped(rewriter, record(rewriter, "ncnn.Gemm", operands, matrix, given, quant).result, type)


EMITTERS: Mapping[str, Emitter] = {
    **BLOBS.emitters(),
    "Conv": _conv, "Gemm": _product, "MatMul": _product, "Pad": planes.padding("ncnn.Padding"),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"),
                    planes.pooling("ncnn.Pooling", BLOBS)),
    "Resize": planes.resize("ncnn.Interp"), "PRelu": planes.prelu("ncnn.PReLU"),
    "LayerNormalization": planes.layer_norm("ncnn.LayerNorm"),
    "InstanceNormalization": planes.instance_norm("ncnn.InstanceNorm"),
    "Gather": either(planes.embedding("ncnn.Embed"), BLOBS.emit_gather),
    **{name: layer("ncnn.UnaryOp", op_type=code) for name, code in UNARY.items()},
    "Pow": layer("ncnn.UnaryOp", op_type=exponent(POWERS)),
    **{name: layer("ncnn.Reduction", operation=code, axes=sample_axes, keepdims=attribute("keepdims", 1))
       for name, code in REDUCE.items()},
    "Softmax": layer("ncnn.Softmax", axis=sample_axis), "Elu": layer("ncnn.ELU", alpha=attribute("alpha", 1.0)),
    "DepthToSpace": layer("ncnn.PixelShuffle", upscale_factor=attribute("blocksize", 1),
                          mode=lambda group: int(group.op.attr("mode", "DCR") != "CRD")),
    "Clip": planes.clipping("ncnn.Clip"), "Relu": layer("ncnn.ReLU"),
    "LeakyRelu": layer("ncnn.ReLU", slope=attribute("alpha", 0.01)),
    "Sigmoid": layer("ncnn.Sigmoid"), "Tanh": layer("ncnn.TanH"), "Erf": layer("ncnn.Erf"),
    "Gelu": layer("ncnn.GELU", fast_gelu=lambda group: int(group.op.attr("approximate", "none") == "tanh")),
    "HardSwish": layer("ncnn.HardSwish", alpha=1 / 6, beta=0.5),
    "HardSigmoid": layer("ncnn.HardSigmoid", alpha=attribute("alpha", 0.2), beta=attribute("beta", 0.5)),
}  # fmt: skip
