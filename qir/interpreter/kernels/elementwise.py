"""Arithmetic, comparisons and logic, element by element with broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch

from qir.interpreter.kernels.common import WIDE_UNSIGNED, unsigned
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor

Binary = Callable[[Any, Any], Any]


def aligned(node: Node, compute: Binary) -> Binary:
    """Broadcasting by opset: numpy's since 7; before, `b` is laid along `axis` of `a` when ``broadcast = 1``."""
    if node.opset >= 7 or not node.attr("broadcast", 0):
        return compute
    axis = node.attr("axis", None)

    def run(a: torch.Tensor, b: torch.Tensor) -> Any:
        if axis is None:
            return compute(a, b)
        start = axis if axis >= 0 else axis + a.dim()
        return compute(a, b.reshape(b.shape + (1,) * (a.dim() - start - b.dim())))

    return run


def _in_place(node: Node, compute: Binary, overwrite: Binary | None) -> Binary:
    """The form that writes its result into the dying operand, where shapes and types allow it."""
    if overwrite is None or node.inplace is None:
        return compute
    over = overwrite
    if node.inplace == 0:
        return lambda a, b: over(a, b) if _fits(a, b) else compute(a, b)
    return lambda a, b: over(b, a) if _fits(b, a) else compute(a, b)


def _fits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether `a op b` may be written into `a`; not while gradients flow, which may need the old value."""
    if a.requires_grad or b.requires_grad or a.dtype != b.dtype:
        return False
    return a.shape == b.shape or (a.dim() >= b.dim() and torch.broadcast_shapes(a.shape, b.shape) == a.shape)


def _binary(
    name: str, compute: Binary, by_numpy: Callable[..., Any], overwrite: Binary | None = None, since: int = 1
) -> None:
    @kernel(f"onnx.{name}", since=since, fresh=True, inplace=overwrite is not None)
    def build(node: Node) -> Kernel:
        return aligned(node, _in_place(node, unsigned(compute, by_numpy), overwrite))


def _divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if a.is_floating_point() or a.is_complex():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


_binary("Add", torch.add, np.add, lambda a, b: a.add_(b))
_binary("Sub", torch.sub, np.subtract)
_binary("Mul", torch.mul, np.multiply, lambda a, b: a.mul_(b))
_binary("Div", _divide, lambda a, b: (a // b).astype(a.dtype))
_binary("And", torch.logical_and, np.logical_and)
_binary("Or", torch.logical_or, np.logical_or)
_binary("Xor", torch.logical_xor, np.logical_xor)
_binary("Equal", torch.eq, np.equal)
_binary("Less", torch.lt, np.less)
_binary("Greater", torch.gt, np.greater)
_binary("LessOrEqual", torch.le, np.less_equal)
_binary("GreaterOrEqual", torch.ge, np.greater_equal)
_binary("BitwiseAnd", torch.bitwise_and, np.bitwise_and)
_binary("BitwiseOr", torch.bitwise_or, np.bitwise_or)
_binary("BitwiseXor", torch.bitwise_xor, np.bitwise_xor)


@kernel("onnx.Equal")
def _equal(node: Node) -> Kernel:
    compare = aligned(node, unsigned(torch.eq, np.equal))

    def run(a: Any, b: Any) -> Any:
        if isinstance(a, np.ndarray):  # strings
            return torch.from_numpy(np.asarray(a == b, bool))
        return compare(a, b)

    return run


def _power(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if a.is_floating_point() or not b.is_floating_point():
        exponent = b if b.is_floating_point() or not a.is_floating_point() else b.to(a.dtype)
        return torch.pow(a, exponent).to(a.dtype)
    return torch.pow(a.to(b.dtype), b).to(a.dtype)


@kernel("onnx.Pow")
def _pow(node: Node) -> Kernel:
    exponent = node.constant(1)
    if exponent is not None and exponent.numel() == 1 and exponent.dim() <= 1 and node.opset >= 7:
        value = float(exponent)
        if value == 2.0:  # x * x rounds once, as other runtimes do it
            return lambda a, b: a * a if a.dim() >= b.dim() else _power(a, b)

    def run(a: torch.Tensor, b: torch.Tensor) -> Any:
        if a.dtype in WIDE_UNSIGNED or b.dtype in WIDE_UNSIGNED:
            left = as_array(a)
            return as_tensor(np.power(left, as_array(b)).astype(left.dtype), a.device)
        return _power(a, b)

    return aligned(node, run)


@kernel("onnx.Mod")
def _mod(node: Node) -> Kernel:
    if node.attr("fmod", 0):
        return unsigned(torch.fmod, np.fmod)
    return unsigned(torch.remainder, np.mod)


@kernel("onnx.BitShift")
def _bit_shift(node: Node) -> Kernel:
    if node.attr("direction") == "LEFT":
        return unsigned(torch.bitwise_left_shift, np.left_shift)
    return unsigned(torch.bitwise_right_shift, np.right_shift)


def _variadic(name: str, compute: Binary, by_numpy: Binary, mean: bool = False) -> None:
    step = unsigned(compute, by_numpy)

    @kernel(f"onnx.{name}")
    def build(node: Node) -> Kernel:
        if mean:
            return lambda *tensors: reduce(step, tensors) / len(tensors)
        return lambda *tensors: reduce(step, tensors)


_variadic("Sum", torch.add, np.add)
_variadic("Max", torch.maximum, np.maximum)
_variadic("Min", torch.minimum, np.minimum)
_variadic("Mean", torch.add, np.add, mean=True)


def _unary(name: str, compute: Callable[[Any], Any], overwrite: Callable[[Any], Any] | None = None) -> None:
    @kernel(f"onnx.{name}", fresh=overwrite is not None, inplace=overwrite is not None)
    def build(node: Node) -> Kernel:
        if overwrite is None or node.inplace != 0:
            return compute
        over = overwrite
        return lambda x: compute(x) if x.requires_grad else over(x)


def _sign(x: torch.Tensor) -> torch.Tensor:
    return unsigned(torch.sign, np.sign)(x)  # type: ignore[no-any-return]


def _rounder(round_float: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: round_float(x) if x.is_floating_point() else x


_unary("Abs", unsigned(torch.abs, np.abs))
_unary("Neg", torch.neg)
_unary("Exp", torch.exp, torch.exp_)
_unary("Log", torch.log)
_unary("Sqrt", torch.sqrt)
_unary("Reciprocal", lambda x: (1 / x).to(x.dtype))
_unary("Floor", _rounder(torch.floor))
_unary("Ceil", _rounder(torch.ceil))
_unary("Round", _rounder(torch.round))
_unary("Sign", _sign)
_unary("Not", torch.logical_not)
_unary("BitwiseNot", unsigned(torch.bitwise_not, np.bitwise_not))
_unary("Erf", lambda x: torch.erf(x) if x.is_floating_point() else torch.erf(x.float()).to(x.dtype))
_unary("IsNaN", torch.isnan)
for _name in ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"):
    _unary(_name, getattr(torch, _name.lower()))


@kernel("onnx.IsInf")
def _is_inf(node: Node) -> Kernel:
    positive, negative = node.attr("detect_positive", 1), node.attr("detect_negative", 1)
    if positive and negative:
        return torch.isinf
    if positive:
        return torch.isposinf
    return torch.isneginf if negative else lambda x: torch.zeros_like(x, dtype=torch.bool)


@kernel("onnx.Where")
def _where(node: Node) -> Kernel:
    def run(condition: torch.Tensor, x: Any, y: Any) -> Any:
        if isinstance(x, np.ndarray):  # strings
            return np.where(condition.numpy(), x, y)
        return torch.where(condition, x, y)

    return run


@kernel("onnx.Clip", until=10, fresh=True, inplace=True)
def _clip_6(node: Node) -> Kernel:
    low, high = node.attr("min", None), node.attr("max", None)
    if low is None and high is None:
        return torch.clone
    return _clamped(node, low, high)


@kernel("onnx.Clip", since=11, fresh=True, inplace=True)
def _clip_11(node: Node) -> Kernel:
    low, high = node.constant(1), node.constant(2)
    dynamic = (node.has(1) and low is None) or (node.has(2) and high is None)
    if dynamic or (low is None and high is None):
        return _clip_dynamic
    if (low is not None and low.dtype in WIDE_UNSIGNED) or (high is not None and high.dtype in WIDE_UNSIGNED):
        return _clip_dynamic
    clamp = _clamped(node, None if low is None else low.item(), None if high is None else high.item())
    return lambda x, *_: clamp(x)


def _clip_dynamic(x: torch.Tensor, low: torch.Tensor | None = None, high: torch.Tensor | None = None) -> Any:
    if x.dtype in WIDE_UNSIGNED:
        array = as_array(x)
        array = array if low is None else np.maximum(array, as_array(low))
        return as_tensor(array if high is None else np.minimum(array, as_array(high)), x.device).clone()
    if low is None and high is None:
        return x.clone()
    return torch.clamp(x, low, high)


def _clamped(node: Node, low: float | None, high: float | None) -> Kernel:
    if low is not None and high is not None and low > high:
        low = high  # the standard: the upper bound wins
    if node.inplace != 0:
        return lambda x: torch.clamp(x, low, high)
    return lambda x: torch.clamp(x, low, high) if x.requires_grad else torch.clamp_(x, low, high)
