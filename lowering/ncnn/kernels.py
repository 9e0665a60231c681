"""What the interpreter runs for ncnn's layers: integers exactly as on x86, floats up to the order of sums."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from qir.interpreter.batchless import register_blobs
from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.node import Node
from qir.interpreter.plain import delegated
from qir.interpreter.planes import clamping, pad_planes, plane, pool_planes, resize_planes
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.rescaled import block_rows, rescaled, rounded_by_block
from qir.lowering.ncnn.emitters import BLOBS, POWERS, REDUCE, UNARY, runs_winograd
from qir.numerics.winograd import winograd43


def _packs(node: Node, channels: int, by: int) -> bool:
    """Whether ncnn keeps so many channels in packs: what it does by default, and not in the profile no-packing."""
    return node.settings.profile == "default" and channels % by == 0


@kernel("ncnn.Convolution", "ncnn.ConvolutionDepthWise", fresh=True)
def _convolution(node: Node) -> Kernel:
    """A depthwise one is scaled and biased in one rounding only by its kernels for 3x3 with one or two steps, no other
    activation than ReLU, and channels that are not packed."""
    p, weight, frame, activate = node.parameter, node.constant(1), plane(node), clamping(node)
    groups = p("group") if node.name.endswith("DepthWise") else 1
    if not p("int8_scale_term"):
        plain = as_onnx(node, "Conv", group=groups, **frame)
        return lambda *tensors: activate(plain(*tensors))
    sums = integer_conv(weight, x_range=(-127, 127), groups=groups, **frame)
    window = (weight.shape[2:], frame["dilations"], frame["strides"])
    special = window in (((3, 3), (1, 1), (1, 1)), ((3, 3), (1, 1), (2, 2))) and p("activation_type") < 2
    depthwise = groups > 1 and groups == len(weight) and weight.shape[1] == 1
    fused = not depthwise or (special and not _packs(node, groups, 8))
    winograd = runs_winograd(p, groups, weight.shape)
    found: Callable[[Tensor], Tensor] = (lambda codes: winograd43(sums(codes))) if winograd else sums
    return rescaled(node, found, (-1, 1, 1), fused, activate)


@kernel("ncnn.InnerProduct", fresh=True)
def _inner_product(node: Node) -> Kernel:
    return rescaled(node, integer_matmul(node.constant(1).t(), x_range=(-127, 127)), (-1,), False, lambda v: v)


@kernel("ncnn.Gemm", fresh=True)
def _gemm(node: Node) -> Kernel:
    """Weights in blocks of 4 bits meet floats; with 8 bits each block of a row is quantized by its own maximum."""
    weight, found, alpha, beta = node.constant(1), node.quantization(1), node.parameter("alpha"), node.parameter("beta")
    dynamic = node.parameter("quantize_term") // 100 == 8
    rows = (weight if found is None else block_rows(weight, found)).t() * alpha

    def run(x: Tensor, _: Tensor, c: Tensor | None = None) -> Tensor:
        product: Tensor = (rounded_by_block(x, 32) if dynamic else x) @ rows
        return product if c is None else product + c * beta

    return run


def _reduction(node: Node) -> Kernel:
    axes = torch.tensor(node.parameter("axes")) + 1
    return as_onnx(node, _REDUCE[node.parameter("operation")], [0, axes], keepdims=node.parameter("keepdims"))


_UNARY, _REDUCE = ({code: name for name, code in table.items()} for table in (UNARY, REDUCE))
_POWERS = {code: functools.partial(torch.pow, exponent=exponent) for exponent, code in POWERS.items()}
_KERNELS: dict[str, Callable[[Node], Kernel]] = {
    "Split": lambda node: lambda x: (x,) * len(node.op.results),
    "Embed": lambda node: lambda x, w: w[x.long()],
    "UnaryOp": lambda node: _POWERS.get(code := node.parameter("op_type")) or as_onnx(node, _UNARY[code]),
    "Pooling": lambda node: pool_planes(node, lambda channels: _packs(node, channels, 4)),
    "Padding": pad_planes,
    "Interp": resize_planes,
    "PReLU": lambda node: lambda x, slope: torch.where(x < 0, x * slope.reshape(-1, *(1,) * (x.dim() - 2)), x),
    "Reduction": _reduction,
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
delegated("ncnn.ELU", "Elu", alpha="alpha")
delegated("ncnn.HardSigmoid", "HardSigmoid", alpha="alpha", beta="beta")
delegated("ncnn.InstanceNorm", "InstanceNormalization", epsilon="eps")
delegated("ncnn.LayerNorm", "LayerNormalization", epsilon="eps")
register_blobs(BLOBS, absent=-233)
