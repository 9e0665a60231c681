"""Kernels of records with Caffe's parameters for windows over planes (`qir.passes.lower.planes`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.delegate import as_onnx
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel
from qir.interpreter.windows import average, lane_sums

__all__ = ["clamping", "pad_planes", "plane", "pool_planes", "resize_planes"]


def plane(node: Node) -> dict[str, Any]:
    """Strides, dilations and pads of a convolution, as ONNX has them."""
    p = node.parameter
    return {
        "strides": (p("stride_h"), p("stride_w")), "dilations": (p("dilation_h"), p("dilation_w")), "pads": _pads(node)
    }  # fmt: skip


def _pads(node: Node) -> tuple[int, ...]:
    return tuple(node.parameter(f"pad_{side}") for side in ("top", "left", "bottom", "right"))


def clamping(node: Node) -> Callable[[Tensor], Tensor]:
    """The activation that `activation_type` names: 0 none, 1 ReLU, 2 leaky with the slope, 3 a clip to the bounds, in
    `activation_params`."""
    kind, numbers = node.parameter("activation_type"), node.parameter("activation_params")
    if kind == 3:
        return lambda v: v.clamp(*numbers)
    return lambda v: v if kind == 0 else torch.where(v > 0, v, v * (numbers[0] if kind == 2 else 0.0))


def pool_planes(node: Node, packed: Callable[[int], bool]) -> Kernel:
    """A pooling. Averages over windows whose number of channels is `packed` are times the inverse of the count; others
    are sums in the order of the loop, with four lanes for whole planes, and divided where the count varies."""
    p, pads = node.parameter, _pads(node)
    frame = (p("kernel_h"), p("kernel_w")), (p("stride_h"), p("stride_w"))
    ceil, include, whole = not p("pad_mode"), bool(p("avgpool_count_include_pad")), p("global_pooling")
    if not p("pooling_type"):
        plain = as_onnx(node, "MaxPool", kernel_shape=frame[0], strides=frame[1], pads=pads, ceil_mode=int(ceil))
        return (lambda x: x.amax((2, 3))) if whole else plain

    def run(x: Tensor) -> Tensor:
        inverse = packed(x.shape[1])
        if not whole:
            return average(x, *frame, pads, ceil=ceil, include_pads=include, inverse=inverse or include)
        if inverse:
            return average(x, x.shape[2:], (1, 1), pads, ceil=False, include_pads=True, inverse=True).flatten(1)
        return lane_sums(x) * (1 / torch.tensor(float(math.prod(x.shape[2:]))))

    return run


def pad_planes(node: Node) -> Kernel:
    """Planes with a border."""
    sides = [node.parameter(side) for side in ("left", "right", "top", "bottom")]
    mode = ("constant", "replicate", "reflect")[node.parameter("type")]
    value = node.parameter("value") if mode == "constant" else None
    return lambda x: torch.nn.functional.pad(x, sides, mode, value)


def resize_planes(node: Node) -> Kernel:
    """Planes of another size."""
    p = node.parameter
    size, mode = (p("output_height"), p("output_width")), (None, "nearest", "bilinear", "bicubic")[p("resize_type")]
    assert mode is not None
    aligned = None if mode == "nearest" else bool(p("align_corner"))
    return lambda x: torch.nn.functional.interpolate(x, size, mode=mode, align_corners=aligned)
