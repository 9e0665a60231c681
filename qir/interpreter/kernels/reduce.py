"""Reductions, arg-reductions and cumulative sums, with axes as an attribute (old opsets) or an operand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from qir.interpreter.kernels.common import WIDE_UNSIGNED, int_list, unsigned
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor

Reducer = Callable[[Any, Sequence[int], bool], Any]


def _reduction(name: str, compute: Reducer, by_numpy: Callable[..., Any] | None, since: int) -> None:
    """`since` is the opset in which the axes became an operand."""

    @kernel(f"onnx.{name}", fresh=False)
    def build(node: Node) -> Kernel:
        keep = bool(node.attr("keepdims", 1))
        idle = bool(node.attr("noop_with_empty_axes", 0)) and node.opset >= since
        fixed = node.ints("axes") if node.opset < since else None

        def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> Any:
            given = list(fixed) if fixed is not None else int_list(axes) if axes is not None else []
            if not given:
                if idle:
                    return compute(x, (), True) if name in _MAPPED else x
                given = list(range(x.dim()))
            dims = tuple(d if d >= 0 else d + x.dim() for d in given)
            if x.dim() == 0:
                return compute(x.reshape(1), (0,), False) if not dims or dims == (0,) else compute(x, dims, keep)
            if x.dtype in WIDE_UNSIGNED and by_numpy is not None:
                array = by_numpy(as_array(x), axis=dims, keepdims=keep)
                return as_tensor(np.asarray(array).astype(as_array(x).dtype), x.device)
            return compute(x, dims, keep)

        return run


_MAPPED = {"ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"}
"""Reductions that change a single element too, so that reducing over no axis is still a function."""


def _sum(x: torch.Tensor, dims: Sequence[int], keep: bool) -> torch.Tensor:
    return x.sum(tuple(dims), keepdim=keep, dtype=x.dtype) if dims else x


def _mean(x: torch.Tensor, dims: Sequence[int], keep: bool) -> torch.Tensor:
    if x.is_floating_point():
        return x.mean(tuple(dims), keepdim=keep)
    return x.double().mean(tuple(dims), keepdim=keep).to(x.dtype)


def _prod(x: torch.Tensor, dims: Sequence[int], keep: bool) -> torch.Tensor:
    for dim in sorted(dims, reverse=True):
        x = x.prod(dim, keepdim=keep, dtype=x.dtype)
    return x


def _extreme(largest: bool) -> Reducer:
    def compute(x: torch.Tensor, dims: Sequence[int], keep: bool) -> torch.Tensor:
        if any(x.shape[d] == 0 for d in dims):
            shape = [1 if d in dims else n for d, n in enumerate(x.shape) if keep or d not in dims]
            return torch.full(shape, _neutral(x.dtype, largest), dtype=x.dtype, device=x.device)
        return x.amax(tuple(dims), keepdim=keep) if largest else x.amin(tuple(dims), keepdim=keep)

    return compute


def _neutral(dtype: torch.dtype, largest: bool) -> Any:
    if dtype == torch.bool:
        return not largest
    if dtype.is_floating_point:
        return float("-inf") if largest else float("inf")
    return torch.iinfo(dtype).min if largest else torch.iinfo(dtype).max


def _log_sum_exp(x: torch.Tensor, dims: Sequence[int], keep: bool) -> torch.Tensor:
    floating = x if x.is_floating_point() else x.double()
    result = torch.logsumexp(floating, tuple(dims), keepdim=keep) if dims else floating
    return result.to(x.dtype)


def _l2(x: torch.Tensor, dims: Sequence[int], keep: bool) -> torch.Tensor:
    return torch.sqrt(_sum(x * x, dims, keep).to(x.dtype if x.is_floating_point() else torch.float64)).to(x.dtype)


_reduction("ReduceSum", _sum, np.sum, since=13)
_reduction("ReduceMean", _mean, np.mean, since=18)
_reduction("ReduceProd", _prod, np.prod, since=18)
_reduction("ReduceMax", _extreme(True), np.max, since=18)
_reduction("ReduceMin", _extreme(False), np.min, since=18)
_reduction("ReduceL1", lambda x, dims, keep: _sum(x.abs(), dims, keep), None, since=18)
_reduction("ReduceL2", _l2, None, since=18)
_reduction("ReduceSumSquare", lambda x, dims, keep: _sum(x * x, dims, keep), None, since=18)
_reduction("ReduceLogSum", lambda x, dims, keep: torch.log(_sum(x, dims, keep)), None, since=18)
_reduction("ReduceLogSumExp", _log_sum_exp, None, since=18)


def _arg(name: str, pick: Callable[..., torch.Tensor]) -> None:
    @kernel(f"onnx.{name}", fresh=True)
    def build(node: Node) -> Kernel:
        axis, keep = node.attr("axis", 0), bool(node.attr("keepdims", 1))
        last = bool(node.attr("select_last_index", 0))

        def run(x: torch.Tensor) -> Any:
            if not last:
                return pick(x, axis, keepdim=keep)
            return x.shape[axis] - 1 - pick(x.flip(axis), axis, keepdim=keep)

        return run


_arg("ArgMax", torch.argmax)
_arg("ArgMin", torch.argmin)


def _cumulative(name: str, scan: Callable[..., torch.Tensor], by_numpy: Callable[..., Any], first: int) -> None:
    @kernel(f"onnx.{name}", fresh=True)
    def build(node: Node) -> Kernel:
        exclusive, reverse = bool(node.attr("exclusive", 0)), bool(node.attr("reverse", 0))

        def run(x: torch.Tensor, axis: torch.Tensor) -> Any:
            dim = int(axis)
            x = x.flip(dim) if reverse else x
            if exclusive:
                start = torch.full_like(x.narrow(dim, 0, 1), first)
                x = torch.cat([start, x.narrow(dim, 0, x.shape[dim] - 1)], dim)
            total = unsigned(lambda t: scan(t, dim, dtype=t.dtype), lambda t: by_numpy(t, axis=dim).astype(t.dtype))(x)
            return total.flip(dim) if reverse else total

        return run


_cumulative("CumSum", torch.cumsum, np.cumsum, 0)
_cumulative("CumProd", torch.cumprod, np.cumprod, 1)
