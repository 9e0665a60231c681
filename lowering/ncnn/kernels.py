"""What the interpreter runs for ncnn's layers: integers exactly as on x86, floats up to the order of sums.

Notation: s are real values of one step, ncnn's scales are their float32 inverses; f() rounds to float32::

    codes   xq  = clip(trunc(f(v + copysign(0.5, v))), -127, 127),  v = f(x * sx)
    sums    si  = f(1 / f(sx * sw)),  y = f(f(acc) * si + bias), rounded once (convolution) or twice (product)
    F(4,3)  acc = trunc(f(576 * acc wrapped to int32) * f(1 / 576))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.windows import window_sums
from qir.lowering.ncnn.emitters import AXES, BINARY, ORDERS, REDUCE, UNARY, runs_winograd

__all__ = ["block_steps", "quantize", "winograd43"]

PACKED = ("default", "winograd23")
"""The profiles in which channels are packed by 4, 8 or 16 where their number allows it."""
def quantize(x: Tensor, steps: Tensor) -> Tensor:
    """int8 codes of floats, `steps` per unit; what is beyond int32 (and NaN) gives -127, as the conversion does."""
    v = x * steps
    codes = torch.trunc(v + torch.copysign(torch.tensor(0.5), v))
    inside = codes.abs() < 2.0**31
    return torch.where(inside, codes.clamp(-127, 127), -127.0).to(torch.int8)


def winograd43(acc: Tensor) -> Tensor:
    """An exact sum as the int8 kernel for F(4,3) gives it: 576 times too large in int32, and divided in float32."""
    wrapped = (acc.to(torch.int64) * 576 + 2**31) % 2**32 - 2**31
    return torch.trunc(wrapped.to(torch.float32) * torch.tensor(1 / 576, dtype=torch.float32))


def _steps(node: Node, index: int) -> Tensor | None:
    found = node.quantization(index)
    return None if found is None else 1 / found.scale


def _dequantizer(node: Node, shape: tuple[int, ...], fused: bool) -> Callable[[Tensor], Tensor]:
    """Exact sums to floats: scale and bias (one rounding where `fused`), then the activation."""
    x_steps, w_steps, bias = _steps(node, 0), _steps(node, 1), node.constant(2)
    assert x_steps is not None and w_steps is not None
    factor = (1 / (x_steps * w_steps)).reshape(shape if w_steps.dim() else ())
    kind, numbers = node.parameter("activation_type"), node.parameter("activation_params")

    def run(acc: Tensor) -> Tensor:
        v = acc.to(torch.float32)
        if bias is not None and fused:  # a product of two float32 numbers is exact in float64
            v = (v.double() * factor.double() + bias.reshape(shape).double()).to(torch.float32)
        else:
            v = v * factor if bias is None else v * factor + bias.reshape(shape)
        if kind == 3:
            return v.clamp(*numbers)
        return v if kind == 0 else torch.where(v > 0, v, v * (numbers[0] if kind == 2 else 0.0))

    return run


@kernel("ncnn.Convolution", "ncnn.ConvolutionDepthWise", fresh=True)
def _convolution(node: Node) -> Kernel:
    p, weight, last = node.parameter, node.constant(1), len(node.operands)
    groups = p("group") if node.name.endswith("DepthWise") else 1
    strides, dilations = (p("stride_h"), p("stride_w")), (p("dilation_h"), p("dilation_w"))
    pads = tuple(p(f"pad_{side}") for side in ("top", "left", "bottom", "right"))
    if not p("int8_scale_term"):
        plain = as_onnx(node, "Conv", strides=strides, dilations=dilations, pads=pads, group=groups)
        return lambda *tensors: _activate(node, plain(*tensors))
    sums = integer_conv(weight, x_range=(-127, 127), strides=strides, pads=pads, dilations=dilations, groups=groups)
    finish = _dequantizer(node, (-1, 1, 1), fused=_fuses(node, weight, groups))
    winograd = node.settings.profile != "winograd23" and runs_winograd(p, groups, weight.shape)
    x_steps, y_steps = _steps(node, 0), _steps(node, last)

    def run(x: Tensor, *_: Any) -> Tensor:
        acc = sums(x if x.dtype == torch.int8 else quantize(x, x_steps))  # type: ignore[arg-type]
        y = finish(winograd43(acc) if winograd else acc)
        return y if y_steps is None else quantize(y, y_steps)

    return run


def _fuses(node: Node, weight: Tensor, groups: int) -> bool:
    """Whether sums are scaled and biased in one rounding: a depthwise convolution has a kernel of its own for 3x3 with
    one or two steps and no other activation than ReLU, where its channels are not packed."""
    if groups == 1 or groups != weight.shape[0] or weight.shape[1] != 1:
        return True
    window = [node.parameter(k) for k in ("kernel_w", "kernel_h", "dilation_w", "dilation_h", "stride_w", "stride_h")]
    packed = node.settings.profile in PACKED and groups % 8 == 0
    return not packed and node.parameter("activation_type") < 2 and window in ([3, 3, 1, 1, 1, 1], [3, 3, 1, 1, 2, 2])


def _activate(node: Node, v: Tensor) -> Tensor:
    kind, numbers = node.parameter("activation_type"), node.parameter("activation_params")
    if kind == 3:
        return v.clamp(*numbers)
    return v if kind == 0 else torch.where(v > 0, v, v * (numbers[0] if kind == 2 else 0.0))


@kernel("ncnn.InnerProduct", fresh=True)
def _inner_product(node: Node) -> Kernel:
    weight, x_steps = node.constant(1), _steps(node, 0)
    sums, finish = integer_matmul(weight.t(), x_range=(-127, 127)), _dequantizer(node, (-1,), fused=False)
    return lambda x, *_: finish(sums(x if x.dtype == torch.int8 else quantize(x, x_steps)))  # type: ignore[arg-type]


@kernel("ncnn.Gemm", fresh=True)
def _gemm(node: Node) -> Kernel:
    """Weights in blocks of 4 bits meet floats; with 8 bits each block of a row is quantized by its own maximum."""
    weight, found, alpha, beta = node.constant(1), node.quantization(1), node.parameter("alpha"), node.parameter("beta")
    dynamic = node.parameter("quantize_term") // 100 == 8
    if found is not None:
        weight = weight / block_steps(found, weight.shape[1])

    def run(x: Tensor, _: Tensor, c: Tensor | None = None) -> Tensor:
        x = x.unsqueeze(1) if x.dim() == 2 else x
        if dynamic:
            blocks = torch.nn.functional.pad(x, (0, -x.shape[-1] % 32)).unflatten(-1, (-1, 32))
            steps = 127 / blocks.abs().amax(-1, keepdim=True).clamp(min=1e-30)
            x = (quantize(blocks, steps) / steps).flatten(-2)[..., : x.shape[-1]]
        return x @ weight.t() * alpha + (0 if c is None else c * beta)

    return run


def block_steps(found: Any, columns: int) -> Tensor:
    """Steps per unit of each weight ``[N, K]``, from scales per block of `columns` along either axis of the quantizer."""
    blocks = dict(found.scheme.granularity.blocks)
    scale = found.scale if blocks[0] == 1 else found.scale.t()
    return (1 / scale).repeat_interleave(max(blocks.values()), 1)[:, :columns]


def _sizes(node: Node) -> list[int]:
    return [v for v in (node.parameter(k) for k in AXES[4]) if v != -233]


def _permuted(node: Node, x: Tensor) -> Tensor:
    rank = x.dim() - 1
    order = reversed(ORDERS[rank][node.parameter("order_type")])
    return x.permute(0, *(1 + AXES[rank].index(axis) for axis in order))


def _cropped(node: Node, x: Tensor) -> Tensor:
    for axis, start, end in zip(*(node.parameter(k) for k in ("axes", "starts", "ends")), strict=True):
        x = x.narrow(axis + 1, start, end - start)
    return x


_BY_CODE = {code: name for name, code in BINARY.items()} | {7: "Sub", 8: "Div", 9: "Pow"}


def _binary(node: Node) -> Kernel:
    code, scalar = node.parameter("op_type"), torch.tensor(node.parameter("scalar"), dtype=torch.float32)
    if code == 3 and node.parameter("with_scalar"):
        return lambda x: x * (1 / scalar)
    operands: list[int | Tensor] = [0, scalar] if node.parameter("with_scalar") else [0, 1]
    return as_onnx(node, _BY_CODE[code], operands[::-1] if code in (7, 8, 9) else operands)


def _pooling(node: Node) -> Kernel:
    p, packs = node.parameter, node.settings.profile in PACKED
    kernel, strides = (p("kernel_h"), p("kernel_w")), (p("stride_h"), p("stride_w"))
    pads = [p(f"pad_{side}") for side in ("top", "left", "bottom", "right")]
    if not p("pooling_type"):
        if p("global_pooling"):
            return lambda x: x.amax((2, 3))
        return as_onnx(node, "MaxPool", kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=1 - p("pad_mode"))

    def average(x: Tensor) -> Tensor:
        """Sums in the order of the window, times the inverse of the count, or divided by it as sources and compiler
        have it."""
        packed = packs and x.shape[1] % 4 == 0
        if p("global_pooling"):
            flat = x.flatten(2).unsqueeze(3)
            total = window_sums(flat, (flat.shape[2], 1), (1, 1), (0,) * 4, (1, 1))[..., 0, 0] if packed else _by_four(flat)
            return total * (1 / torch.tensor(float(flat.shape[2])))
        room = [n + pads[i] + pads[i + 2] - k for i, (n, k) in enumerate(zip(x.shape[2:], kernel, strict=True))]
        sizes = [(r if p("pad_mode") else r + s - 1) // s + 1 for r, s in zip(room, strides, strict=True)]
        total = window_sums(x, kernel, strides, pads, sizes)
        if p("avgpool_count_include_pad"):
            return total * (1 / torch.tensor(float(math.prod(kernel))))
        count = window_sums(torch.ones_like(x[:1, :1]), kernel, strides, pads, sizes)
        return total * (1 / count) if packed else total / count

    return average


def _by_four(x: Tensor) -> Tensor:
    """Sums of ``[N, C, n, 1]`` in four lanes, which are then added crosswise; what is left over comes last."""
    whole = x.shape[2] // 4
    lanes = window_sums(x[:, :, : 4 * whole, 0].unflatten(2, (whole, 4)), (whole, 1), (1, 1), (0,) * 4, (1, 4))[:, :, 0]
    total: Tensor = (lanes[..., 0] + lanes[..., 2]) + (lanes[..., 1] + lanes[..., 3])
    for value in x[:, :, 4 * whole :, 0].unbind(2):
        total = total + value
    return total


def _padding(node: Node) -> Kernel:
    p = node.parameter
    sides = [p(side) for side in ("left", "right", "top", "bottom")]
    mode = ("constant", "replicate", "reflect")[p("type")]
    value = {"value": p("value")} if mode == "constant" else {}
    return lambda x: torch.nn.functional.pad(x, sides, mode, **value)


def _reduction(node: Node) -> Kernel:
    names = {code: name for name, code in REDUCE.items()}
    axes = torch.tensor([a + 1 for a in node.parameter("axes")])
    return as_onnx(node, names[node.parameter("operation")], [0, axes], keepdims=node.parameter("keepdims"))


_UNARY = {code: name for name, code in UNARY.items()}
_KERNELS: dict[str, Callable[[Node], Kernel]] = {
    "Split": lambda n: lambda x: (x,) * len(n.op.results),
    "MemoryData": lambda n: lambda x: x,
    "MatMul": lambda n: as_onnx(n, "MatMul"),
    "Embed": lambda n: lambda x, w: w[x.long()],
    "BinaryOp": _binary,
    "UnaryOp": lambda n: as_onnx(n, _UNARY[n.parameter("op_type")]),
    "Pooling": _pooling,
    "Reduction": _reduction,
    "Concat": lambda n: lambda *xs: torch.cat([x.expand(len(xs[0]), *x.shape[1:]) for x in xs], n.parameter("axis") + 1),
    "Crop": lambda n: lambda x: _cropped(n, x),
    "Padding": _padding,
    "Reshape": lambda n: lambda x: x.reshape(len(x), *_sizes(n)),
    "Flatten": lambda n: lambda x: x.flatten(1),
    "Permute": lambda n: lambda x: _permuted(n, x),
    "PixelShuffle": lambda n: as_onnx(n, "DepthToSpace", blocksize=n.parameter("upscale_factor"),
                                      mode="DCR" if n.parameter("mode") else "CRD"),
    "Softmax": lambda n: as_onnx(n, "Softmax", axis=n.parameter("axis") + 1),
    "LayerNorm": lambda n: as_onnx(n, "LayerNormalization", axis=-1, epsilon=n.parameter("eps")),
    "ReLU": lambda n: lambda x: torch.where(x > 0, x, x * n.parameter("slope")).to(x.dtype),
    "Clip": lambda n: lambda x: x.clamp(n.parameter("min"), n.parameter("max")),
    "HardSwish": lambda n: as_onnx(n, "HardSwish"),
    "HardSigmoid": lambda n: as_onnx(n, "HardSigmoid", alpha=n.parameter("alpha"), beta=n.parameter("beta")),
    "Sigmoid": lambda n: as_onnx(n, "Sigmoid"),
    "TanH": lambda n: as_onnx(n, "Tanh"),
    "Erf": lambda n: as_onnx(n, "Erf"),
    "GELU": lambda n: as_onnx(n, "Gelu", approximate="tanh" if n.parameter("fast_gelu") else "none"),
}  # fmt: skip
for _name, _build in _KERNELS.items():
    kernel(f"ncnn.{_name}")(_build)
