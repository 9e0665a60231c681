"""Shapes and layouts: what moves elements without computing with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from qir.interpreter.kernels.common import int_list, pairs, wide
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel


@kernel("onnx.Identity")
def _identity(node: Node) -> Kernel:
    return lambda x: x


@kernel("onnx.Shape", fresh=True)
def _shape(node: Node) -> Kernel:
    start, end = node.attr("start", 0), node.attr("end", None)

    def run(x: Any) -> Any:
        return torch.tensor(list(x.shape)[start:end], dtype=torch.int64, device=node.device)

    return run


@kernel("onnx.Size", fresh=True)
def _size(node: Node) -> Kernel:
    return lambda x: torch.tensor(math.prod(x.shape), dtype=torch.int64, device=node.device)


def _reshaped(x: Any, wanted: Sequence[int], keep_zero: bool) -> Any:
    """0 copies the input's size there (unless `keep_zero`), -1 is what remains."""
    shape = [x.shape[i] if n == 0 and not keep_zero else n for i, n in enumerate(wanted)]
    return x.reshape(shape)


@kernel("onnx.Reshape", until=4)
def _reshape_1(node: Node) -> Kernel:
    wanted = node.ints("shape", ()) or ()
    return lambda x: _reshaped(x, wanted, False)


@kernel("onnx.Reshape", since=5)
def _reshape_5(node: Node) -> Kernel:
    keep_zero = bool(node.attr("allowzero", 0))
    known = node.constant_list(1)
    if known is not None:
        fixed = known
        return lambda x, shape: _reshaped(x, fixed, keep_zero)
    return lambda x, shape: _reshaped(x, int_list(shape), keep_zero)


@kernel("onnx.Flatten")
def _flatten(node: Node) -> Kernel:
    axis = node.attr("axis", 1)

    def run(x: torch.Tensor) -> Any:
        first = axis if axis >= 0 else axis + x.dim()
        return x.reshape(math.prod(x.shape[:first]), math.prod(x.shape[first:]))

    return run


def _axes(node: Node, operand: torch.Tensor | None) -> list[int] | None:
    if operand is not None:
        return int_list(operand)
    axes = node.ints("axes")
    return None if axes is None else list(axes)


@kernel("onnx.Squeeze")
def _squeeze(node: Node) -> Kernel:
    def run(x: Any, operand: torch.Tensor | None = None) -> Any:
        axes = _axes(node, operand)
        rank = len(x.shape)
        drop = {i for i, n in enumerate(x.shape) if n == 1} if axes is None else {a % rank if rank else a for a in axes}
        wrong = [a for a in drop if x.shape[a] != 1]
        if wrong:
            raise ValueError(f"axis {wrong[0]} has size {x.shape[wrong[0]]}, only axes of size 1 can be squeezed")
        return x.reshape([n for i, n in enumerate(x.shape) if i not in drop])

    return run


@kernel("onnx.Unsqueeze")
def _unsqueeze(node: Node) -> Kernel:
    def run(x: Any, operand: torch.Tensor | None = None) -> Any:
        axes = _axes(node, operand) or []
        rank = len(x.shape) + len(axes)
        new = {a % rank for a in axes}
        sizes = iter(x.shape)
        return x.reshape([1 if i in new else next(sizes) for i in range(rank)])

    return run


@kernel("onnx.Transpose")
def _transpose(node: Node) -> Kernel:
    perm = node.ints("perm")

    def run(x: Any) -> Any:
        order = perm if perm is not None else tuple(reversed(range(len(x.shape))))
        return x.transpose(order) if isinstance(x, np.ndarray) else x.permute(order)

    return run


@kernel("onnx.Expand")
def _expand(node: Node) -> Kernel:
    def run(x: torch.Tensor, shape: torch.Tensor) -> Any:
        return x.expand(torch.broadcast_shapes(x.shape, int_list(shape)))

    return run


@kernel("onnx.Tile", until=5)
def _tile_1(node: Node) -> Kernel:
    def run(x: torch.Tensor, tiles: torch.Tensor, axis: torch.Tensor) -> Any:
        repeats = [1] * x.dim()
        repeats[int(axis)] = int(tiles)
        return x.repeat(repeats)

    return run


@kernel("onnx.Tile", since=6)
def _tile_6(node: Node) -> Kernel:
    return lambda x, repeats: x.repeat(int_list(repeats))


@kernel("onnx.Concat", fresh=True)
def _concat(node: Node) -> Kernel:
    axis = node.attr("axis", 1 if node.opset < 4 else None)
    if axis is None:
        raise node.error("axis is missing", "say along which axis the operands are concatenated")

    def run(*tensors: Any) -> Any:
        if isinstance(tensors[0], np.ndarray):  # strings
            return np.concatenate(tensors, axis)
        return torch.cat(tensors, axis)

    return run


@kernel("onnx.Split")
def _split(node: Node) -> Kernel:
    axis = node.attr("axis", 0)
    count = len(node.op.results)

    def run(x: torch.Tensor, operand: torch.Tensor | None = None) -> Any:
        size = x.shape[axis]
        if operand is not None:
            sizes = int_list(operand)
        elif node.ints("split") is not None:
            sizes = list(node.ints("split") or ())
        else:
            chunk = -(-size // count)  # the last may be smaller (since 18); before, the size must divide
            sizes = [max(0, min(chunk, size - i * chunk)) for i in range(count)]
        return tuple(torch.split(x, sizes, axis))

    return run


def sliced(x: Any, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]) -> Any:
    """Slices, with bounds clamped as the standard has it (for negative steps not as numpy has it).

    torch has no negative steps: those axes are flipped after a forward slice.
    """
    rank = len(x.shape)
    index: list[Any] = [slice(None)] * rank
    flips = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=False):
        axis = axis + rank if axis < 0 else axis
        taken = _taken(start, end, step, x.shape[axis])
        if len(taken) == 0:
            index[axis] = slice(0, 0)
        elif step > 0:
            index[axis] = slice(taken[0], taken[-1] + 1, step)
        else:
            index[axis] = slice(taken[-1], taken[0] + 1, -step)
            flips.append(axis)
    x = x[tuple(index)]
    if not flips:
        return x
    return np.flip(x, tuple(flips)) if isinstance(x, np.ndarray) else wide(lambda t: t.flip(flips))(x)


def _taken(start: int, end: int, step: int, size: int) -> range:
    """The indices that a slice takes of an axis."""
    start, end = (v + size if v < 0 else v for v in (start, end))
    if step > 0:
        return range(min(max(start, 0), size), min(max(end, 0), size), step)
    return range(min(max(start, 0), size - 1), min(max(end, -1), size - 1), step)


@kernel("onnx.Slice", until=9)
def _slice_1(node: Node) -> Kernel:
    starts, ends = node.ints("starts", ()) or (), node.ints("ends", ()) or ()
    axes = node.ints("axes") or tuple(range(len(starts)))
    return lambda x: sliced(x, starts, ends, axes, [1] * len(starts))


@kernel("onnx.Slice", since=10)
def _slice_10(node: Node) -> Kernel:
    def run(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
        begin = int_list(starts)
        along = list(range(len(begin))) if axes is None else int_list(axes)
        return sliced(x, begin, int_list(ends), along, [1] * len(begin) if steps is None else int_list(steps))

    return run


_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def padded(x: torch.Tensor, pads: Sequence[int], mode: str, value: float) -> torch.Tensor:
    """ONNX Pad on every axis; negative pads crop (before the padding of the same axis, as the standard has it)."""
    spans = pairs(pads)
    if mode == "constant":
        order = [p for begin, end in reversed(spans) for p in (begin, end)]
        if x.dtype == torch.bool:
            return F.pad(x.to(torch.uint8), order, value=int(value)).to(torch.bool)
        return F.pad(x, order, value=value)
    for axis, (begin, end) in enumerate(spans):
        size = x.shape[axis]
        if begin == end == 0:
            continue
        places = torch.arange(-begin, size + end, device=x.device)
        if mode == "edge":
            places = places.clamp(0, size - 1)
        elif mode == "wrap":
            places = places % size
        elif mode == "reflect":
            period = max(2 * (size - 1), 1)
            places = places.remainder(period)
            places = torch.where(places >= size, period - places, places)
        else:
            raise ValueError(f"mode {mode!r} is none of constant, reflect, edge, wrap")
        x = x.index_select(axis, places)
    return x


@kernel("onnx.Pad", until=10)
def _pad_2(node: Node) -> Kernel:
    pads = node.ints("pads", node.ints("paddings", ())) or ()
    mode, value = node.attr("mode", "constant"), node.attr("value", 0.0)
    return lambda x: padded(x, pads, mode, value)


@kernel("onnx.Pad", since=11)
def _pad_11(node: Node) -> Kernel:
    mode = node.attr("mode", "constant")

    def run(x: torch.Tensor, pads: torch.Tensor, value: Any = None, axes: Any = None) -> Any:
        given = int_list(pads)
        if axes is not None:
            full = [0] * (2 * x.dim())
            for (begin, end), axis in zip(pairs(given), int_list(axes), strict=False):
                full[axis % x.dim()], full[axis % x.dim() + x.dim()] = begin, end
            given = full
        fill = 0 if value is None or value.numel() == 0 else value.reshape(-1)[0].item()
        return wide(lambda t: padded(t, given, mode, fill))(x)

    return run


@kernel("onnx.DepthToSpace")
def _depth_to_space(node: Node) -> Kernel:
    block, mode = node.attr("blocksize"), node.attr("mode", "DCR")

    def run(x: torch.Tensor) -> Any:
        n, c, h, w = x.shape
        if mode == "CRD":
            return F.pixel_shuffle(x, block)
        parts = x.reshape(n, block, block, c // block**2, h, w)
        return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, c // block**2, h * block, w * block)

    return run


@kernel("onnx.SpaceToDepth")
def _space_to_depth(node: Node) -> Kernel:
    block = node.attr("blocksize")
    order = (0, 1, 3, 5, 2, 4) if node.attr("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)

    def run(x: torch.Tensor) -> Any:
        n, c, h, w = x.shape
        parts = x.reshape(n, c, h // block, block, w // block, block)
        return parts.permute(order).reshape(n, c * block**2, h // block, w // block)

    return run


@kernel("onnx.ReverseSequence", fresh=True)
def _reverse_sequence(node: Node) -> Kernel:
    time_axis = node.attr("time_axis", 0)

    def run(x: torch.Tensor, lengths: torch.Tensor) -> Any:
        steps = torch.arange(x.shape[time_axis], device=x.device).reshape(-1, 1)
        ends = lengths.reshape(1, -1)
        places = torch.where(steps < ends, ends - 1 - steps, steps)
        places = places if time_axis == 0 else places.t()
        places = places.reshape(*places.shape, *(1,) * (x.dim() - 2)).expand(x.shape)
        return wide(lambda t: torch.gather(t, time_axis, places))(x)

    return run


@kernel("onnx.Trilu", fresh=True)
def _trilu(node: Node) -> Kernel:
    cut = torch.triu if node.attr("upper", 1) else torch.tril

    def run(x: torch.Tensor, k: Any = None) -> Any:
        return wide(lambda t: cut(t, 0 if k is None else int(k)))(x)

    return run


@kernel("onnx.CenterCropPad", fresh=True)
def _center_crop_pad(node: Node) -> Kernel:
    given = node.ints("axes")

    def run(x: torch.Tensor, shape: torch.Tensor) -> Any:
        axes = list(range(x.dim())) if given is None else [a % x.dim() for a in given]
        pads = [0] * (2 * x.dim())
        for axis, size in zip(axes, int_list(shape), strict=False):
            more = size - x.shape[axis]
            begin = more // 2 if more >= 0 else -((-more) // 2)
            pads[axis], pads[axis + x.dim()] = begin, more - begin
        return padded(x, pads, "constant", 0)

    return run
