"""Reading and writing elements by index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from qir.interpreter.kernels.common import int_list, wide
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor


def _wrapped(indices: torch.Tensor, size: int) -> torch.Tensor:
    """Indices as int64, negative ones counted from the end."""
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


@kernel("onnx.Gather", fresh=True)
def _gather(node: Node) -> Kernel:
    axis = node.attr("axis", 0)

    def run(x: Any, indices: torch.Tensor) -> Any:
        if isinstance(x, np.ndarray):  # strings
            return np.take(x, indices.numpy(), axis)
        dim = axis % x.dim()
        flat = _wrapped(indices, x.shape[dim]).reshape(-1)
        return x.index_select(dim, flat).reshape((*x.shape[:dim], *indices.shape, *x.shape[dim + 1 :]))

    return run


@kernel("onnx.GatherElements", fresh=True)
def _gather_elements(node: Node) -> Kernel:
    axis = node.attr("axis", 0)
    return wide(lambda x, indices: torch.gather(x, axis, _wrapped(indices, x.shape[axis])))


def _positions(indices: torch.Tensor, shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """Index tuples along the last axis as positions in the flattened leading axes of `shape`."""
    depth = indices.shape[-1]
    position = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=indices.device)
    for axis in range(depth):
        index = _wrapped(indices[..., axis], shape[axis])
        if index.numel() and not bool(((index >= 0) & (index < shape[axis])).all()):
            raise IndexError(f"an index is outside of axis {axis}, whose size is {shape[axis]}")
        position = position * shape[axis] + index
    return position


@kernel("onnx.GatherND", fresh=True)
def _gather_nd(node: Node) -> Kernel:
    batch = node.attr("batch_dims", 0)

    def run(x: torch.Tensor, indices: torch.Tensor) -> Any:
        depth = indices.shape[-1]
        rows = math.prod(x.shape[:batch])
        inner = x.shape[batch + depth :]
        flat = x.reshape(rows, math.prod(x.shape[batch : batch + depth]), *inner)
        places = _positions(indices.reshape(rows, -1, depth), x.shape[batch:])
        row = torch.arange(rows, device=x.device).reshape(-1, 1)
        return flat[row, places].reshape((*indices.shape[:-1], *inner))

    return run


_REDUCE = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _scatter_into(x: torch.Tensor, dim: int, places: torch.Tensor, updates: torch.Tensor, how: str) -> torch.Tensor:
    if how == "none":
        return x.scatter(dim, places, updates)
    return x.scatter_reduce(dim, places, updates, _REDUCE[how], include_self=True)


@kernel("onnx.Scatter", "onnx.ScatterElements", fresh=True)
def _scatter_elements(node: Node) -> Kernel:
    axis, how = node.attr("axis", 0), node.attr("reduction", "none")

    def run(x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor) -> Any:
        places = _wrapped(indices, x.shape[axis])
        return wide(lambda t, u: _scatter_into(t, axis, places, u, how))(x, updates)

    return run


@kernel("onnx.ScatterND", fresh=True)
def _scatter_nd(node: Node) -> Kernel:
    how = node.attr("reduction", "none")

    def run(x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor) -> Any:
        depth = indices.shape[-1]
        inner = math.prod(x.shape[depth:])
        flat = x.reshape(math.prod(x.shape[:depth]), inner)
        places = _positions(indices, x.shape).reshape(-1, 1).expand(-1, inner)
        values = updates.reshape(places.shape)
        return wide(lambda t, u: _scatter_into(t, 0, places, u, how))(flat, values).reshape(x.shape)

    return run


@kernel("onnx.TensorScatter", fresh=True)
def _tensor_scatter(node: Node) -> Kernel:
    """Writes each batch entry's update at its own place along `axis`: a key or value cache."""
    axis, circular = node.attr("axis", -2), node.attr("mode", "linear") == "circular"

    def run(x: torch.Tensor, update: torch.Tensor, starts: torch.Tensor | None = None) -> Any:
        dim = axis % x.dim()
        steps = torch.arange(update.shape[dim], device=x.device)
        begin = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device) if starts is None else starts.long()
        places = begin.reshape(-1, 1) + steps
        if circular:
            places = places % x.shape[dim]
        shape = [1] * x.dim()
        shape[0], shape[dim] = places.shape
        return x.scatter(dim, places.reshape(shape).expand(update.shape), update)

    return run


@kernel("onnx.Compress", fresh=True)
def _compress(node: Node) -> Kernel:
    axis = node.attr("axis", None)

    def run(x: torch.Tensor, condition: torch.Tensor) -> Any:
        x = x.reshape(-1) if axis is None else x
        dim = 0 if axis is None else axis
        return x.index_select(dim, torch.nonzero(condition).reshape(-1))

    return run


@kernel("onnx.NonZero", fresh=True)
def _non_zero(node: Node) -> Kernel:
    def run(x: torch.Tensor) -> Any:
        return torch.nonzero(x.reshape(1) if x.dim() == 0 else x).t().contiguous()

    return run


@kernel("onnx.OneHot", fresh=True)
def _one_hot(node: Node) -> Kernel:
    axis = node.attr("axis", -1)

    def run(indices: torch.Tensor, depth: torch.Tensor, values: torch.Tensor) -> Any:
        size = int(depth.reshape(-1)[0])
        dim = axis % (indices.dim() + 1)
        places = _wrapped(indices.to(torch.int64), size).unsqueeze(dim)
        shape = [1] * (indices.dim() + 1)
        shape[dim] = size
        hot = places == torch.arange(size, device=indices.device).reshape(shape)
        return torch.where(hot, values[1], values[0])

    return run


@kernel("onnx.TopK", fresh=True)
def _top_k(node: Node) -> Kernel:
    """Equal elements come in the order of their indices, which only a stable sort gives."""
    axis, fixed = node.attr("axis", -1), node.attr("k", None)
    largest = bool(node.attr("largest", 1))

    def run(x: torch.Tensor, k: Any = None) -> Any:
        count = int(fixed) if k is None else int(k.reshape(-1)[0])

        def pick(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            values, places = torch.sort(t, dim=axis, descending=largest, stable=True)
            return values.narrow(axis, 0, count), places.narrow(axis, 0, count)

        if x.dtype == torch.uint64:  # int64 would order the upper half below the lower
            array = as_array(x)
            order = np.argsort(np.iinfo(np.uint64).max - array if largest else array, axis=axis, kind="stable")
            places = as_tensor(np.take(order, range(count), axis), x.device)
            return as_tensor(np.take_along_axis(array, as_array(places), axis), x.device), places
        return wide(pick)(x)

    return run


@kernel("onnx.Unique", fresh=True)
def _unique(node: Node) -> Kernel:
    axis, ordered = node.attr("axis", None), bool(node.attr("sorted", 1))

    def run(x: torch.Tensor) -> Any:
        values, first, inverse, counts = np.unique(as_array(x), True, True, True, axis=axis)
        inverse = inverse.reshape(-1)
        if not ordered:
            order = np.argsort(first, kind="stable")
            values, first, counts = np.take(values, order, 0 if axis is None else axis), first[order], counts[order]
            inverse = np.argsort(order)[inverse]
        found = (values, *(v.astype(np.int64) for v in (first, inverse, counts)))
        return tuple(as_tensor(np.ascontiguousarray(v), x.device) for v in found)

    return run


@kernel("onnx.NonMaxSuppression", fresh=True)
def _non_max_suppression(node: Node) -> Kernel:
    """Per batch and class: the best boxes that overlap no better one by more than the threshold."""
    centered = bool(node.attr("center_point_box", 0))

    def corners(boxes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        a, b, c, d = boxes.T
        if centered:
            return np.stack([b - d / 2, a - c / 2, b + d / 2, a + c / 2], 1)
        return np.stack([np.minimum(a, c), np.minimum(b, d), np.maximum(a, c), np.maximum(b, d)], 1)

    def overlap(box: np.ndarray[Any, Any], others: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        top, bottom = np.maximum(box[0], others[:, 0]), np.minimum(box[2], others[:, 2])
        left, right = np.maximum(box[1], others[:, 1]), np.minimum(box[3], others[:, 3])
        shared = np.maximum(bottom - top, 0) * np.maximum(right - left, 0)
        area = (box[2] - box[0]) * (box[3] - box[1])
        areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
        total = area + areas - shared
        ratio: np.ndarray[Any, Any] = np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)
        return ratio

    def run(boxes: torch.Tensor, scores: torch.Tensor, most: Any = None, iou: Any = None, least: Any = None) -> Any:
        limit = 0 if most is None else int(most.reshape(-1)[0])
        threshold = 0.0 if iou is None else float(iou.reshape(-1)[0])
        floor = None if least is None else float(least.reshape(-1)[0])
        chosen = []
        for batch in range(boxes.shape[0]):
            places = corners(as_array(boxes[batch]))
            for kind in range(scores.shape[1]):
                values = as_array(scores[batch, kind])
                order = np.argsort(-values, kind="stable")
                if floor is not None:
                    order = order[values[order] > floor]
                kept = 0
                while order.size and kept < limit:
                    best, order = order[0], order[1:]
                    chosen.append((batch, kind, int(best)))
                    kept += 1
                    order = order[overlap(places[best], places[order]) <= threshold]
        return torch.tensor(chosen, dtype=torch.int64, device=boxes.device).reshape(-1, 3)

    return run


@kernel("ai.onnx.ml.ArrayFeatureExtractor", fresh=True)
def _array_feature_extractor(node: Node) -> Kernel:
    def run(x: torch.Tensor, places: torch.Tensor) -> Any:
        picked = x.index_select(-1, torch.tensor(int_list(places), device=x.device))
        return picked.reshape(1, -1) if x.dim() == 1 else picked

    return run
