"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from qir.interpreter.kernels.common import unsigned
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel


@kernel("onnx.Relu", fresh=True, inplace=True)
def _relu(node: Node) -> Kernel:
    if node.inplace != 0:
        return torch.relu
    return lambda x: torch.relu(x) if x.requires_grad else torch.relu_(x)


@kernel("onnx.Sigmoid", fresh=True, inplace=True)
def _sigmoid(node: Node) -> Kernel:
    if node.inplace != 0:
        return torch.sigmoid
    return lambda x: torch.sigmoid(x) if x.requires_grad else torch.sigmoid_(x)


@kernel("onnx.Tanh", fresh=True)
def _tanh(node: Node) -> Kernel:
    return torch.tanh


@kernel("onnx.LeakyRelu", fresh=True)
def _leaky_relu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 0.01)
    return lambda x: F.leaky_relu(x, alpha)


@kernel("onnx.PRelu", fresh=True)
def _prelu(node: Node) -> Kernel:
    def compute(x: torch.Tensor, slope: torch.Tensor) -> Any:
        return torch.where(x < 0, x * slope, x)

    def legacy(x: torch.Tensor, slope: torch.Tensor) -> Any:
        """Before opset 7 one slope per channel, whatever follows the channel axis."""
        if slope.dim() == 1 and slope.numel() > 1 and x.dim() > 2:
            slope = slope.reshape(-1, *(1,) * (x.dim() - 2))
        return compute(x, slope)

    modern = unsigned(compute, lambda x, slope: np.where(x < 0, x * slope, x))
    return modern if node.opset >= 7 else legacy


@kernel("onnx.Elu", fresh=True)
def _elu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 1.0)
    return lambda x: F.elu(x, alpha)


@kernel("onnx.Celu", fresh=True)
def _celu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 1.0)
    return lambda x: F.celu(x, alpha)


@kernel("onnx.Selu", fresh=True)
def _selu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 1.67326319217681884765625 if node.opset >= 6 else 1.6732)
    gamma = node.attr("gamma", 1.05070102214813232421875 if node.opset >= 6 else 1.0507)
    return lambda x: gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


@kernel("onnx.ThresholdedRelu", fresh=True)
def _thresholded_relu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 1.0)
    return lambda x: torch.where(x > alpha, x, torch.zeros((), dtype=x.dtype, device=x.device))


@kernel("onnx.HardSigmoid", fresh=True)
def _hard_sigmoid(node: Node) -> Kernel:
    alpha, beta = node.attr("alpha", 0.2), node.attr("beta", 0.5)
    return lambda x: torch.clamp(x * alpha + beta, 0, 1)


@kernel("onnx.HardSwish", fresh=True)
def _hard_swish(node: Node) -> Kernel:
    return lambda x: x * torch.clamp(x * (1 / 6) + 0.5, 0, 1)


@kernel("onnx.Softplus", fresh=True)
def _softplus(node: Node) -> Kernel:
    return lambda x: torch.logaddexp(x, torch.zeros((), dtype=x.dtype, device=x.device))


@kernel("onnx.Softsign", fresh=True)
def _softsign(node: Node) -> Kernel:
    return F.softsign


@kernel("onnx.Mish", fresh=True)
def _mish(node: Node) -> Kernel:
    return F.mish


@kernel("onnx.Swish", fresh=True)
def _swish(node: Node) -> Kernel:
    alpha = node.attr("alpha", 1.0)
    return F.silu if alpha == 1.0 else lambda x: x * torch.sigmoid(alpha * x)


@kernel("onnx.Gelu", fresh=True)
def _gelu(node: Node) -> Kernel:
    approximate = node.attr("approximate", "none")
    return lambda x: F.gelu(x, approximate=approximate)


@kernel("onnx.Shrink", fresh=True)
def _shrink(node: Node) -> Kernel:
    bias, lambd = node.attr("bias", 0.0), node.attr("lambd", 0.5)

    def run(x: torch.Tensor) -> Any:
        zero = torch.zeros((), dtype=x.dtype, device=x.device)
        return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, zero)).to(x.dtype)

    return run


def flattened(node: Node, compute: Callable[[Any, int], Any], legacy_axis: int = 1) -> Kernel:
    """Softmax and its kin by opset: along one axis since 13; before, over all axes from `axis` on at once."""
    if node.opset >= 13:
        axis = node.attr("axis", -1)
        return lambda x: compute(x, axis)
    first = node.attr("axis", legacy_axis)

    def run(x: torch.Tensor) -> Any:
        start = first if first >= 0 else first + x.dim()
        if start == x.dim() - 1 or math.prod(x.shape[start + 1 :]) == 1:
            return compute(x, start)  # nothing to flatten: the layout stays
        rows = math.prod(x.shape[:start])
        return compute(x.reshape(rows, -1), 1).reshape(x.shape)

    return run


@kernel("onnx.Softmax", fresh=True)
def _softmax(node: Node) -> Kernel:
    return flattened(node, lambda x, axis: torch.softmax(x, axis))


@kernel("onnx.LogSoftmax", fresh=True)
def _log_softmax(node: Node) -> Kernel:
    return flattened(node, lambda x, axis: torch.log_softmax(x, axis))


@kernel("onnx.Hardmax")
def _hardmax(node: Node) -> Kernel:
    def compute(x: torch.Tensor, axis: int) -> Any:
        largest = torch.argmax(x, axis, keepdim=True)
        return torch.zeros_like(x).scatter_(axis, largest, 1)

    return flattened(node, compute)
