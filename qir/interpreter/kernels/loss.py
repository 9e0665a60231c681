"""Losses, and the optimizer steps of the training domain."""

from __future__ import annotations

from typing import Any

import torch

from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel


def _nll(
    log_p: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, ignore: int | None, reduction: str
) -> torch.Tensor:
    """Minus the log probability of each target, weighted by its class; "mean" divides by the sum of these weights."""
    classes = log_p.shape[1]
    ignored = torch.zeros_like(target, dtype=torch.bool) if ignore is None else target == ignore
    index = torch.where(ignored, torch.zeros_like(target), target).long()
    index = torch.where(index < 0, index + classes, index)
    loss = -torch.gather(log_p, 1, index.unsqueeze(1)).squeeze(1)
    weights = torch.ones(classes, dtype=log_p.dtype, device=log_p.device) if weight is None else weight
    per_target = torch.where(ignored, torch.zeros((), dtype=log_p.dtype, device=log_p.device), weights[index])
    loss = torch.where(ignored, torch.zeros_like(loss), loss * per_target)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.sum() / per_target.sum() if weight is not None or ignore is not None else loss.mean()


@kernel("onnx.NegativeLogLikelihoodLoss", fresh=True)
def _negative_log_likelihood(node: Node) -> Kernel:
    ignore, reduction = node.attr("ignore_index", None), node.attr("reduction", "mean")
    return lambda x, target, weight=None: _nll(x, target, weight, ignore, reduction)


@kernel("onnx.SoftmaxCrossEntropyLoss", fresh=True)
def _softmax_cross_entropy(node: Node) -> Kernel:
    ignore, reduction = node.attr("ignore_index", None), node.attr("reduction", "mean")

    def run(scores: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> Any:
        log_p = torch.log_softmax(scores, 1)
        loss = _nll(log_p, target, weight, ignore, reduction)
        return (loss, log_p) if len(node.op.results) > 1 else loss

    return run


_TRAINING = "ai.onnx.preview.training"


@kernel(f"{_TRAINING}.Momentum", fresh=True)
def _momentum(node: Node) -> Kernel:
    alpha, beta, decay = node.attr("alpha"), node.attr("beta"), node.attr("norm_coefficient")
    nesterov = node.attr("mode") == "nesterov"

    def run(rate: torch.Tensor, step: torch.Tensor, *tensors: torch.Tensor) -> Any:
        count = len(tensors) // 3
        xs, vs = [], []
        for x, g, v in zip(tensors[:count], tensors[count : 2 * count], tensors[2 * count :], strict=True):
            g = g + decay * x
            v = alpha * v + (beta if int(step) > 0 else 1.0) * g
            xs.append(x - rate * (g + alpha * v if nesterov else v))
            vs.append(v)
        return (*xs, *vs)

    return run


@kernel(f"{_TRAINING}.Adagrad", fresh=True)
def _adagrad(node: Node) -> Kernel:
    decay_factor, epsilon = node.attr("decay_factor", 0.0), node.attr("epsilon", 1e-6)
    decay = node.attr("norm_coefficient", 0.0)

    def run(rate: torch.Tensor, step: torch.Tensor, *tensors: torch.Tensor) -> Any:
        count = len(tensors) // 3
        slower = rate / (1 + step * decay_factor)
        xs, hs = [], []
        for x, g, h in zip(tensors[:count], tensors[count : 2 * count], tensors[2 * count :], strict=True):
            g = g + decay * x
            h = h + g * g
            xs.append(x - slower * g / (torch.sqrt(h) + epsilon))
            hs.append(h)
        return (*xs, *hs)

    return run


@kernel(f"{_TRAINING}.Adam", fresh=True)
def _adam(node: Node) -> Kernel:
    alpha, beta, epsilon = node.attr("alpha", 0.9), node.attr("beta", 0.999), node.attr("epsilon", 1e-6)
    decay, after = node.attr("norm_coefficient", 0.0), node.attr("norm_coefficient_post", 0.0)

    def run(rate: torch.Tensor, step: torch.Tensor, *tensors: torch.Tensor) -> Any:
        count = len(tensors) // 4
        t = int(step)
        speed = rate * (1 - beta**t) ** 0.5 / (1 - alpha**t) if t > 0 else rate
        groups = [tensors[i * count : (i + 1) * count] for i in range(4)]
        xs, vs, hs = [], [], []
        for x, g, v, h in zip(*groups, strict=True):
            g = decay * x + g
            v = alpha * v + (1 - alpha) * g
            h = beta * h + (1 - beta) * g * g
            x = x - speed * v / (torch.sqrt(h) + epsilon)
            xs.append((1 - after) * x)
            vs.append(v)
            hs.append(h)
        return (*xs, *vs, *hs)

    return run
