"""Normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from qir.interpreter.kernels.common import onnx_type
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import torch_dtype


@kernel("onnx.BatchNormalization", fresh=True)
def _batch_norm(node: Node) -> Kernel:
    """Before opset 14 training shows in the number of results; after, in ``training_mode``."""
    epsilon, momentum = node.attr("epsilon", 1e-5), node.attr("momentum", 0.9)
    spatial = node.attr("spatial", 1) if node.opset < 9 else 1
    if node.opset < 7:
        training = not node.attr("is_test", 0) and len(node.op.results) > 1
    elif node.opset < 14:
        training = False
    else:
        training = bool(node.attr("training_mode", 0))
    count = len(node.op.results)

    def run(x: torch.Tensor, scale: Any, bias: Any, mean: torch.Tensor, var: torch.Tensor) -> Any:
        if training:
            dims = [0, *range(2, x.dim())]
            shape = (1, -1, *(1,) * (x.dim() - 2))
            batch_mean, batch_var = x.mean(dims), x.var(dims, correction=0)
            normal = (x - batch_mean.reshape(shape)) / torch.sqrt(batch_var.reshape(shape) + epsilon)
            y = (normal * scale.reshape(shape) + bias.reshape(shape)).to(x.dtype)
            running = (mean * momentum + batch_mean * (1 - momentum), var * momentum + batch_var * (1 - momentum))
            return (y, *running, batch_mean, batch_var)[:count] if count > 1 else y
        if not spatial:
            y = (x - mean) / torch.sqrt(var + epsilon) * scale + bias
        elif x.dtype == mean.dtype == scale.dtype and x.dim() > 1:
            y = F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)
        else:
            shape = (1, -1, *(1,) * (x.dim() - 2)) if x.dim() > 1 else (-1,)
            factor = scale.reshape(shape) / torch.sqrt(var.reshape(shape) + epsilon)
            y = ((x - mean.reshape(shape)) * factor + bias.reshape(shape)).to(x.dtype)
        return (y, *(mean, var, mean, var)[: count - 1]) if count > 1 else y

    return run


@kernel("onnx.InstanceNormalization", fresh=True)
def _instance_norm(node: Node) -> Kernel:
    epsilon = node.attr("epsilon", 1e-5)

    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> Any:
        dims = tuple(range(2, x.dim()))
        shape = (1, -1, *(1,) * (x.dim() - 2))
        mean, var = x.mean(dims, keepdim=True), x.var(dims, correction=0, keepdim=True)
        return (x - mean) / torch.sqrt(var + epsilon) * scale.reshape(shape) + bias.reshape(shape)

    return run


@kernel("onnx.LayerNormalization", fresh=True)
def _layer_norm(node: Node) -> Kernel:
    axis, epsilon = node.attr("axis", -1), node.attr("epsilon", 1e-5)
    count = len(node.op.results)
    stash = onnx_type(node, "stash_type", 1)
    inner = torch_dtype(stash) if stash is not None else torch.float32

    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
        shape = x.shape[axis if axis >= 0 else axis + x.dim() :]
        same = scale.shape == shape and (bias is None or bias.shape == shape)
        if count == 1 and same and x.dtype in (inner, torch.float64):
            return F.layer_norm(x, shape, scale, bias, epsilon)
        dims = tuple(range(x.dim() - len(shape), x.dim()))
        wide = x.to(inner) if x.dtype != torch.float64 else x
        mean = wide.mean(dims, keepdim=True)
        inverse = 1 / torch.sqrt((wide - mean).square().mean(dims, keepdim=True) + epsilon)
        y = ((wide - mean) * inverse).to(x.dtype) * scale
        y = y if bias is None else y + bias
        return (y, mean, inverse)[:count] if count > 1 else y

    return run


@kernel("onnx.RMSNormalization", fresh=True)
def _rms_norm(node: Node) -> Kernel:
    axis, epsilon = node.attr("axis", -1), node.attr("epsilon", 1e-5)
    stash = onnx_type(node, "stash_type", 1)
    inner = torch_dtype(stash) if stash is not None else torch.float32

    def run(x: torch.Tensor, scale: torch.Tensor) -> Any:
        first = axis if axis >= 0 else axis + x.dim()
        wide = x.to(inner) if x.dtype != torch.float64 else x
        mean = wide.square().mean(tuple(range(first, x.dim())), keepdim=True)
        return (wide / torch.sqrt(mean + epsilon)).to(x.dtype) * scale

    return run


@kernel("onnx.GroupNormalization", fresh=True)
def _group_norm(node: Node) -> Kernel:
    """Scale and bias are per group before opset 21, per channel since."""
    groups, epsilon = node.attr("num_groups"), node.attr("epsilon", 1e-5)
    stash = onnx_type(node, "stash_type", 1)
    inner = torch_dtype(stash) if stash is not None else torch.float32

    def run(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> Any:
        parts = x.reshape(x.shape[0], groups, -1)
        wide = parts.to(inner) if x.dtype != torch.float64 else parts
        mean, var = wide.mean(2, keepdim=True), wide.var(2, correction=0, keepdim=True)
        normal = ((wide - mean) / torch.sqrt(var + epsilon)).to(x.dtype)
        if node.opset < 21:
            return (normal * scale.reshape(1, -1, 1) + bias.reshape(1, -1, 1)).reshape(x.shape)
        shape = (1, -1, *(1,) * (x.dim() - 2))
        return normal.reshape(x.shape) * scale.reshape(shape) + bias.reshape(shape)

    return run


@kernel("onnx.LRN", fresh=True)
def _lrn(node: Node) -> Kernel:
    """y = x / (bias + alpha / size * sum of squares over `size` channels around) ** beta."""
    size, alpha, beta, bias = (
        node.attr("size"),
        node.attr("alpha", 1e-4),
        node.attr("beta", 0.75),
        node.attr("bias", 1.0),
    )
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2

    def run(x: torch.Tensor) -> Any:
        squares = F.pad(x.square().transpose(1, -1), (before, after)).transpose(1, -1)
        total: Any = squares.narrow(1, 0, x.shape[1])
        for offset in range(1, size):
            total = total + squares.narrow(1, offset, x.shape[1])
        return x / (bias + alpha / size * total) ** beta

    return run


@kernel("onnx.MeanVarianceNormalization", fresh=True)
def _mean_variance_norm(node: Node) -> Kernel:
    axes = node.ints("axes", (0, 2, 3))

    def run(x: torch.Tensor) -> Any:
        mean = x.mean(axes, keepdim=True)
        deviation = torch.sqrt(x.square().mean(axes, keepdim=True) - mean.square())
        return (x - mean) / (deviation + 1e-9)

    return run


@kernel("onnx.LpNormalization", fresh=True)
def _lp_norm(node: Node) -> Kernel:
    axis, p = node.attr("axis", -1), node.attr("p", 2)

    def run(x: torch.Tensor) -> Any:
        norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
        return torch.where(norm == 0, torch.zeros_like(x), x / torch.where(norm == 0, torch.ones_like(norm), norm))

    return run


@kernel("onnx.Dropout", until=11)
def _dropout_1(node: Node) -> Kernel:
    """At inference the identity; the mask keeps everything. Training (is_test = 0 before 7) is not what a plan runs."""
    masked = len(node.op.results) > 1
    boolean = node.opset >= 10

    def run(x: torch.Tensor) -> Any:
        return (x, torch.ones_like(x, dtype=torch.bool if boolean else x.dtype)) if masked else x

    return run


@kernel("onnx.Dropout", since=12, pure=False)
def _dropout_12(node: Node) -> Kernel:
    masked = len(node.op.results) > 1
    seed = node.attr("seed", None)

    def run(x: torch.Tensor, ratio: Any = None, training: Any = None) -> Any:
        share = 0.5 if ratio is None else float(ratio)
        if training is None or not bool(training) or share == 0:
            return (x, torch.ones_like(x, dtype=torch.bool)) if masked else x
        drawn = np.random.RandomState(seed).uniform(0, 1, tuple(x.shape))  # as ONNX's reference draws it
        mask = torch.from_numpy(drawn >= share).to(x.device)
        y = x * mask / (1 - share)
        return (y, mask) if masked else y

    return run
