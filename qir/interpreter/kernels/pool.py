"""Pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from qir.interpreter.kernels.conv import CONVS, Window, channels_last, pad_spatial, window_of
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel

MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pool_window(node: Node) -> Window:
    """The node's window. Raises QirError when it has no kernel_shape."""
    shape = node.ints("kernel_shape")
    if shape is None:
        raise node.error("kernel_shape is missing", "give the window's size, one number per spatial axis")
    if len(shape) not in MAX_POOLS:
        raise node.error(f"pooling over {len(shape)} spatial axes is not supported", "only over 1 to 3")
    return window_of(node, shape)


def extra_for_ceil(window: Window, sizes: Sequence[int], pads: Sequence[int], ceil: bool) -> list[int]:
    """Cells beyond the end pads that the last windows reach into under ``ceil_mode``.

    A window that would start beyond the input and its begin pad does not exist.
    """
    rank, extra = window.rank, []
    for i, (size, k, stride, dilation) in enumerate(
        zip(sizes, window.kernel, window.strides, window.dilations, strict=False)
    ):
        reach = (k - 1) * dilation + 1
        free = size + pads[i] + pads[i + rank] - reach
        count = (-(-free // stride) if ceil else free // stride) + 1
        if ceil and (count - 1) * stride >= size + pads[i]:
            count -= 1
        extra.append(max(0, (count - 1) * stride - free))
    return extra


def _builtin(window: Window, pads: Sequence[int]) -> bool:
    """Whether torch's own padding does: equal at both ends, at most half a window."""
    rank = window.rank
    return pads[:rank] == pads[rank:] and all(0 <= p <= k // 2 for p, k in zip(pads, window.kernel, strict=False))


def _lowest(dtype: torch.dtype) -> float:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


@kernel("onnx.MaxPool", fresh=True)
def _max_pool(node: Node) -> Kernel:
    window = pool_window(node)
    ceil = bool(node.attr("ceil_mode", 0))
    rank = window.rank
    pool: Any = MAX_POOLS[rank]
    if len(node.op.results) > 1 and node.op.results[1].uses:
        column_major = bool(node.attr("storage_order", 0))
        return lambda x: _max_pool_indices(x, window, ceil, column_major)

    def run(x: torch.Tensor) -> Any:
        codes = x.dtype if x.dtype in (torch.uint8, torch.int8) else None
        x = channels_last(
            x if codes is None else x.float()
        )  # torch indexes in the type of the elements: 8 bits overflow
        pads = window.pads_for(x.shape[2:])
        if _builtin(window, pads):
            result = pool(x, window.kernel, window.strides, pads[:rank], window.dilations, ceil)
        else:
            extra = extra_for_ceil(window, x.shape[2:], pads, ceil)
            ends = [p + e for p, e in zip(pads[rank:], extra, strict=False)]
            padded = pad_spatial(x, [*pads[:rank], *ends], _lowest(x.dtype))
            result = pool(padded, window.kernel, window.strides, 0, window.dilations)
        result = result if codes is None else result.to(codes)
        return (result, None) if len(node.op.results) > 1 else result

    return run


def _max_pool_indices(x: torch.Tensor, window: Window, ceil: bool, column_major: bool) -> tuple[Any, Any]:
    """Maxima and where they lie in the whole flattened input."""
    rank, sizes = window.rank, x.shape[2:]
    pads = window.pads_for(sizes)
    extra = extra_for_ceil(window, sizes, pads, ceil)
    padded = pad_spatial(
        x, [*pads[:rank], *(p + e for p, e in zip(pads[rank:], extra, strict=False))], _lowest(x.dtype)
    )
    pool: Any = MAX_POOLS[rank]
    values, flat = pool(padded, window.kernel, window.strides, 0, window.dilations, False, True)
    places = []
    for size, begin in zip(reversed(padded.shape[2:]), reversed(pads[:rank]), strict=False):
        places.append(flat % size - begin)
        flat = flat // size
    places.reverse()  # coordinates in the unpadded input, slowest axis first
    order = range(rank - 1, -1, -1) if column_major else range(rank)
    index = torch.zeros_like(flat)
    for axis in order:
        index = index * sizes[axis] + places[axis]
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device).reshape(x.shape[0], x.shape[1], *(1,) * rank)
    return values, index + planes * math.prod(sizes)


def _window_sums(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Sums over each window of an already padded input."""
    rank = window.rank
    single = x.reshape(-1, 1, *x.shape[2:])
    ones = torch.ones(1, 1, *window.kernel, dtype=x.dtype, device=x.device)
    convolve: Any = CONVS[rank]
    sums: torch.Tensor = convolve(single, ones, None, window.strides, 0, window.dilations)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


@kernel("onnx.AveragePool", fresh=True)
def _average_pool(node: Node) -> Kernel:
    window = pool_window(node)
    ceil, include = bool(node.attr("ceil_mode", 0)), bool(node.attr("count_include_pad", 0))
    rank = window.rank
    pool: Any = AVERAGE_POOLS[rank]
    dilated = any(d != 1 for d in window.dilations)

    def run(x: torch.Tensor) -> Any:
        x = channels_last(x)
        pads = window.pads_for(x.shape[2:])
        if _builtin(window, pads) and not dilated:
            return pool(x, window.kernel, window.strides, pads[:rank], ceil, include)
        extra = extra_for_ceil(window, x.shape[2:], pads, ceil)
        ends = [p + e for p, e in zip(pads[rank:], extra, strict=False)]
        sums = _window_sums(pad_spatial(x, [*pads[:rank], *ends]), window)
        counted = torch.ones(1, 1, *x.shape[2:], dtype=x.dtype, device=x.device)
        counted = pad_spatial(counted, pads, 1 if include else 0)
        counted = pad_spatial(counted, [0] * rank + extra)
        return sums / _window_sums(counted, window)

    return run


@kernel("onnx.LpPool", fresh=True)
def _lp_pool(node: Node) -> Kernel:
    window = pool_window(node)
    ceil, p = bool(node.attr("ceil_mode", 0)), node.attr("p", 2)
    rank = window.rank

    def run(x: torch.Tensor) -> Any:
        pads = window.pads_for(x.shape[2:])
        extra = extra_for_ceil(window, x.shape[2:], pads, ceil)
        ends = [e + more for e, more in zip(pads[rank:], extra, strict=False)]
        powers = pad_spatial(x.abs() ** p, [*pads[:rank], *ends])
        return _window_sums(powers, window) ** (1 / p)

    return run


def _spatial(x: torch.Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.dim()))


@kernel("onnx.GlobalAveragePool", fresh=True)
def _global_average_pool(node: Node) -> Kernel:
    return lambda x: x.mean(_spatial(x), keepdim=True)


@kernel("onnx.GlobalMaxPool", fresh=True)
def _global_max_pool(node: Node) -> Kernel:
    return lambda x: x.amax(_spatial(x), keepdim=True)


@kernel("onnx.GlobalLpPool", fresh=True)
def _global_lp_pool(node: Node) -> Kernel:
    p = node.attr("p", 2)
    return lambda x: (x.abs() ** p).sum(_spatial(x), keepdim=True) ** (1 / p)


@kernel("onnx.MaxUnpool", fresh=True)
def _max_unpool(node: Node) -> Kernel:
    window = pool_window(node)
    rank = window.rank
    pads = window.pads or (0,) * (2 * rank)

    def run(x: torch.Tensor, indices: torch.Tensor, shape: torch.Tensor | None = None) -> Any:
        natural = [
            (n - 1) * s - pads[i] - pads[i + rank] + k
            for i, (n, s, k) in enumerate(zip(x.shape[2:], window.strides, window.kernel, strict=False))
        ]
        flat = torch.zeros(x.shape[0] * x.shape[1] * math.prod(natural), dtype=x.dtype, device=x.device)
        natural_shape = [*x.shape[:2], *natural]
        result = flat.scatter(0, indices.reshape(-1), x.reshape(-1)).reshape(natural_shape)
        if shape is None:
            return result
        wanted = [int(v) for v in shape.tolist()]
        full = torch.zeros(wanted, dtype=x.dtype, device=x.device)
        full[tuple(slice(0, n) for n in natural_shape)] = result
        return full

    return run


@kernel("onnx.MaxRoiPool", fresh=True)
def _max_roi_pool(node: Node) -> Kernel:
    pooled = node.ints("pooled_shape") or (1, 1)
    scale = node.attr("spatial_scale", 1.0)

    def run(x: torch.Tensor, rois: torch.Tensor) -> Any:
        rows = []
        for roi in rois.tolist():
            image = x[int(roi[0])]
            x0, y0, x1, y1 = (math.floor(v * scale + 0.5) for v in roi[1:])
            height, width = max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)
            cells = []
            for i in range(pooled[0]):
                for j in range(pooled[1]):
                    top = max(0, math.floor(i * height / pooled[0]) + y0)
                    bottom = min(image.shape[1], math.ceil((i + 1) * height / pooled[0]) + y0)
                    left = max(0, math.floor(j * width / pooled[1]) + x0)
                    right = min(image.shape[2], math.ceil((j + 1) * width / pooled[1]) + x0)
                    cell = image[:, top:bottom, left:right]
                    cells.append(cell.amax((1, 2)) if cell.numel() else image.new_zeros(image.shape[0]))
            rows.append(torch.stack(cells, 1).reshape(-1, *pooled))
        return torch.stack(rows) if rows else x.new_zeros((0, x.shape[1], *pooled))

    return run
