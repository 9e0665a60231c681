"""Kernels of array records, the ones that `qir.passes.lower.arrays` emits: moves, and windows with channels last.

`register_moves` registers what only moves elements, on floats and codes alike. The rest are parts for a target's own
kernels, which read the window's parameters under these names: `padding` (SAME or VALID), `stride_h` and `stride_w`,
`dilation_h_factor` and `dilation_w_factor`, and for poolings `filter_height` and `filter_width`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import integer_conv
from qir.interpreter.kernels.conv import Window, conv_nd, same_pads
from qir.interpreter.node import Node
from qir.interpreter.quantizers import Quantization
from qir.interpreter.registry import Kernel, kernel

__all__ = ["code_sums", "float_conv", "register_moves", "window_maximum", "window_sum"]


# ---------------------------------------------------------------- moves
def register_moves(names: Mapping[str, str], perm: str = "perm", shape: str = "shape") -> None:
    """Register the kernels of a target's records by what they do: ``transpose``, ``reshape`` (with their parameters
    `perm` and `shape`), ``slice``, ``split``, ``split_at``, ``gather``, ``concat``, ``pad``, ``fill`` and ``mirror``.

    Zero padding of codes is padding with their zero point.
    """

    def ints(node: Node, name: str) -> Tensor:
        return torch.tensor(node.parameter(name), dtype=torch.int64)

    def sliced(node: Node) -> Kernel:
        begin, end, strides = (ints(node, name) for name in ("begin", "end", "strides"))
        return as_onnx(node, "Slice", (0, begin, end, torch.arange(len(begin)), strides))

    def ends(node: Node) -> Tensor:
        return ints(node, "paddings").reshape(-1, 2).T.reshape(-1)

    def padded(node: Node) -> Kernel:
        fill, q = as_onnx(node, "Pad", (0, ends(node), 1)), node.quantization(0)
        zero = 0 if q is None else int(q.zero)
        return lambda x: fill(x, torch.tensor(zero, dtype=x.dtype))

    builders: dict[str, Callable[[Node], Kernel]] = {
        "transpose": lambda node: as_onnx(node, "Transpose", perm=node.parameter(perm)),
        "reshape": lambda node: as_onnx(node, "Reshape", (0, ints(node, shape))),
        "slice": sliced,
        "split": lambda node: as_onnx(
            node, "Split", axis=node.parameter("axis"), num_outputs=node.parameter("num_splits")
        ),
        "split_at": lambda node: as_onnx(node, "Split", (0, ints(node, "size_splits")), axis=node.parameter("axis")),
        "mirror": lambda node: as_onnx(node, "Pad", (0, ends(node)), mode="reflect"),
        "gather": lambda node: as_onnx(node, "Gather", axis=node.parameter("axis")),
        "concat": lambda node: as_onnx(node, "Concat", axis=node.parameter("axis")),
        "pad": padded,
        "fill": lambda node: as_onnx(node, "Pad", (0, ends(node), 1)),
    }
    for what, build in builders.items():
        if what in names:
            kernel(names[what])(build)


# ---------------------------------------------------------------- windows
def _pair(node: Node, height: str, width: str) -> tuple[int, int]:
    return node.parameter(height), node.parameter(width)


def _pads(node: Node, kernel_size: Sequence[int], dilations: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
    """Top, left, bottom, right."""
    if node.parameter("padding") == "VALID":
        return (0,) * 4
    return same_pads(Window(kernel_size, _pair(node, "stride_h", "stride_w"), dilations, (), "SAME_UPPER"), sizes)


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _filters(weight: Tensor, depthwise: bool) -> Tensor:
    """``[M, C / groups, kh, kw]`` from OHWI, or from 1HWM of a depthwise convolution."""
    return weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)


def float_conv(node: Node, depthwise: bool) -> Callable[..., Tensor]:
    """``conv(x, w, b or None)`` for floats or, in float64, whole numbers; x and the result have channels last."""
    strides = _pair(node, "stride_h", "stride_w")
    dilations = _pair(node, "dilation_h_factor", "dilation_w_factor")

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x, w = _first(x), _filters(weight, depthwise)
        window = Window(w.shape[2:], strides, dilations, _pads(node, w.shape[2:], dilations, x.shape[2:]), "NOTSET")
        return _last(conv_nd(x, w, bias, window, x.shape[1] // w.shape[1]))

    return run


def code_sums(node: Node, depthwise: bool, x_: Quantization) -> Callable[..., Tensor]:
    """``Σ (x - zx) w + b`` for codes, exact; x and the result have channels last."""
    strides = _pair(node, "stride_h", "stride_w")
    dilations = _pair(node, "dilation_h_factor", "dilation_w_factor")
    plans: dict[tuple[int, ...], Any] = {}

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x, w = _first(x), _filters(weight, depthwise)
        key = tuple(x.shape[1:])
        if key not in plans:
            plans[key] = integer_conv(
                w, wide=x_.scheme.bits > 8, x_zero=int(x_.zero), x_range=x_.codes, bias=bias, strides=strides,
                pads=_pads(node, w.shape[2:], dilations, key[1:]), dilations=dilations, groups=key[0] // w.shape[1],
            )  # fmt: skip
        return _last(plans[key](x))

    return run


def _pooled(node: Node, x: Tensor, fill: float) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
    """The padded images in float64, and the window's sides and strides."""
    sides, strides = _pair(node, "filter_height", "filter_width"), _pair(node, "stride_h", "stride_w")
    top, left, bottom, right = _pads(node, sides, (1, 1), x.shape[1:3])
    return F.pad(_first(x).to(torch.float64), (left, right, top, bottom), value=fill), sides, strides


def window_maximum(node: Node, x: Tensor) -> Tensor:
    """The largest number of each window, of the type of x."""
    padded, sides, strides = _pooled(node, x, -math.inf)
    return _last(F.max_pool2d(padded, sides, strides)).to(x.dtype)


def window_sum(node: Node, x: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of each window in float64, and how many numbers of the image it has."""
    padded, sides, strides = _pooled(node, x, 0.0)
    inside, _, _ = _pooled(node, torch.ones_like(x[:1, :, :, :1]), 0.0)
    total, count = (F.avg_pool2d(v, sides, strides, divisor_override=1) for v in (padded, inside))
    return _last(total), _last(count)
