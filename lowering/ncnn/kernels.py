"""What the interpreter runs for ncnn's layers: integers exactly as on x86, floats up to the order of sums.

The formulas are those of `qir.interpreter.rescaled`, with one rounding in convolutions and two in products.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from qir.interpreter.batchless import register_blobs
from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.node import Node
from qir.interpreter.plain import delegated
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.rescaled import codes_of, rescaled
from qir.interpreter.windows import average, lane_sums
from qir.lowering.ncnn.emitters import BLOBS, POWERS, REDUCE, UNARY, runs_winograd
from qir.numerics import decode
from qir.passes.lower.batchless import AXES

__all__ = ["winograd43"]


def winograd43(acc: Tensor) -> Tensor:
    """An exact sum as the int8 kernel for F(4,3) gives it: 576 times too large in int32, and divided in float32."""
    wrapped = (acc.to(torch.int64) * 576 + 2**31) % 2**32 - 2**31
    return torch.trunc(wrapped.to(torch.float32) * torch.tensor(1 / 576, dtype=torch.float32))


def _activation(node: Node) -> Callable[[Tensor], Tensor]:
    kind, numbers = node.parameter("activation_type"), node.parameter("activation_params")
    if kind == 3:
        return lambda v: v.clamp(*numbers)
    return lambda v: v if kind == 0 else torch.where(v > 0, v, v * (numbers[0] if kind == 2 else 0.0))


def _fuses(node: Node, depthwise: bool, channels: int) -> bool:
    """Whether sums are scaled and biased in one rounding. A depthwise convolution is only by its kernels for 3x3 with
    one or two steps, no other activation than ReLU, and channels that are not packed."""
    frame = [node.parameter(k) for k in ("kernel_w", "kernel_h", "dilation_w", "dilation_h", "stride_w", "stride_h")]
    packed = node.settings.profile == "default" and channels % 8 == 0
    special = not packed and node.parameter("activation_type") < 2 and frame[:4] == [3, 3, 1, 1]
    return not depthwise or (special and frame[4:] in ([1, 1], [2, 2]))


@kernel("ncnn.Convolution", "ncnn.ConvolutionDepthWise", fresh=True)
def _convolution(node: Node) -> Kernel:
    p, weight = node.parameter, node.constant(1)
    groups = p("group") if node.name.endswith("DepthWise") else 1
    strides, dilations, pads = (p("stride_h"), p("stride_w")), (p("dilation_h"), p("dilation_w")), _pads(node)
    if not p("int8_scale_term"):
        plain = as_onnx(node, "Conv", group=groups, strides=strides, dilations=dilations, pads=pads)
        activate = _activation(node)
        return lambda *tensors: activate(plain(*tensors))
    sums = integer_conv(weight, x_range=(-127, 127), strides=strides, pads=pads, dilations=dilations, groups=groups)
    depthwise = groups > 1 and groups == len(weight) and weight.shape[1] == 1
    winograd = runs_winograd(p, groups, weight.shape)
    found: Callable[[Tensor], Tensor] = (lambda codes: winograd43(sums(codes))) if winograd else sums
    return rescaled(node, found, (-1, 1, 1), _fuses(node, depthwise, groups), _activation(node))


@kernel("ncnn.InnerProduct", fresh=True)
def _inner_product(node: Node) -> Kernel:
    sums = integer_matmul(node.constant(1).t(), x_range=(-127, 127))
    return rescaled(node, sums, (-1,), False, _activation(node))


@kernel("ncnn.Gemm", fresh=True)
def _gemm(node: Node) -> Kernel:
    """Weights in blocks of 4 bits meet floats; with 8 bits each block of a row is quantized by its own maximum."""
    weight, found, alpha, beta = node.constant(1), node.quantization(1), node.parameter("alpha"), node.parameter("beta")
    dynamic = node.parameter("quantize_term") // 100 == 8
    if found is not None:  # the quantizer's blocks lie along the inputs, on the first axis where the model's matrix did
        rows = dict(found.scheme.granularity.blocks)[0] == 1
        weight = decode(weight if rows else weight.t(), found.scheme, found.scale)
        weight = weight if rows else weight.t()

    def run(x: Tensor, _: Tensor, c: Tensor | None = None) -> Tensor:
        if dynamic:
            blocks = torch.nn.functional.pad(x, (0, -x.shape[-1] % 32)).unflatten(-1, (-1, 32))
            steps = 127 / blocks.abs().amax(-1, keepdim=True).clamp(min=1e-30)
            x = (codes_of(blocks, steps) / steps).flatten(-2)[..., : x.shape[-1]]
        product: Tensor = x @ weight.t() * alpha
        return product if c is None else product + c * beta

    return run


# ---------------------------------------------------------------- floats
def _pads(node: Node) -> tuple[int, ...]:
    return tuple(node.parameter(f"pad_{side}") for side in ("top", "left", "bottom", "right"))


@kernel("ncnn.Pooling", fresh=True)
def _pooling(node: Node) -> Kernel:
    """Averages of packed channels are times the inverse of the count; others where the compiler makes that of it."""
    p, packs, pads = node.parameter, node.settings.profile == "default", _pads(node)
    frame = (p("kernel_h"), p("kernel_w")), (p("stride_h"), p("stride_w"))
    ceil, include, whole = not p("pad_mode"), bool(p("avgpool_count_include_pad")), p("global_pooling")
    if not p("pooling_type"):
        plain = as_onnx(node, "MaxPool", kernel_shape=frame[0], strides=frame[1], pads=pads, ceil_mode=int(ceil))
        return (lambda x: x.amax((2, 3))) if whole else plain

    def run(x: Tensor) -> Tensor:
        packed = packs and x.shape[1] % 4 == 0
        if not whole:
            return average(x, *frame, pads, ceil=ceil, include_pads=include, inverse=packed or include)
        if packed:
            return average(x, x.shape[2:], (1, 1), pads, ceil=False, include_pads=True, inverse=True).flatten(1)
        return lane_sums(x) * (1 / torch.tensor(float(math.prod(x.shape[2:]))))

    return run


@kernel("ncnn.Padding", fresh=True)
def _padding(node: Node) -> Kernel:
    sides = [node.parameter(side) for side in ("left", "right", "top", "bottom")]
    mode = ("constant", "replicate", "reflect")[node.parameter("type")]
    return lambda x: torch.nn.functional.pad(x, sides, mode, node.parameter("value") if mode == "constant" else None)


@kernel("ncnn.Reduction", fresh=True)
def _reduction(node: Node) -> Kernel:
    name = next(name for name, code in REDUCE.items() if code == node.parameter("operation"))
    axes = torch.tensor([a + 1 for a in node.parameter("axes")])
    return as_onnx(node, name, [0, axes], keepdims=node.parameter("keepdims"))


_UNARY = {code: name for name, code in UNARY.items()}
_POWERS = {code: functools.partial(torch.pow, exponent=exponent) for exponent, code in POWERS.items()}
_KERNELS: dict[str, Callable[[Node], Kernel]] = {
    "Split": lambda node: lambda x: (x,) * len(node.op.results),
    "Embed": lambda node: lambda x, w: w[x.long()],
    "UnaryOp": lambda node: _POWERS.get(code := node.parameter("op_type")) or as_onnx(node, _UNARY[code]),
    "PixelShuffle": lambda node: as_onnx(node, "DepthToSpace", blocksize=node.parameter("upscale_factor"),
                                         mode="DCR" if node.parameter("mode") else "CRD"),
    "Softmax": lambda node: as_onnx(node, "Softmax", axis=node.parameter("axis") + 1),
    "ReLU": lambda node: lambda x: torch.where(x > 0, x, x * node.parameter("slope")).to(x.dtype),
    "Clip": lambda node: lambda x: x.clamp(node.parameter("min"), node.parameter("max")),
    "GELU": lambda node: as_onnx(node, "Gelu", approximate="tanh" if node.parameter("fast_gelu") else "none"),
}  # fmt: skip
for _name, _build in _KERNELS.items():
    kernel(f"ncnn.{_name}")(_build)
for _name, _type in {"HardSwish": "HardSwish", "Sigmoid": "Sigmoid", "TanH": "Tanh", "Erf": "Erf"}.items():
    delegated(f"ncnn.{_name}", _type)
delegated("ncnn.HardSigmoid", "HardSigmoid", alpha="alpha", beta="beta")
delegated("ncnn.LayerNorm", "LayerNormalization", epsilon="eps")
register_blobs(BLOBS, AXES, absent=-233)
