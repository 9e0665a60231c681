"""Sampling of feature maps: grids, regions and columns."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from qir.interpreter.kernels.common import int_list
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel

_MODES = {"linear": "bilinear", "cubic": "bicubic"}


@kernel("onnx.GridSample", fresh=True)
def _grid_sample(node: Node) -> Kernel:
    mode = node.attr("mode", "bilinear" if node.opset < 20 else "linear")
    mode, padding = _MODES.get(mode, mode), node.attr("padding_mode", "zeros")
    align = bool(node.attr("align_corners", 0))
    return lambda x, grid: F.grid_sample(x, grid.to(x.dtype), mode=mode, padding_mode=padding, align_corners=align)


@kernel("onnx.AffineGrid", fresh=True)
def _affine_grid(node: Node) -> Kernel:
    align = bool(node.attr("align_corners", 0))
    return lambda theta, size: F.affine_grid(theta, int_list(size), align_corners=align)


def _samples(start: float, bin_size: float, bins: int, per_bin: int) -> torch.Tensor:
    """Sampling points along one side of a region: `per_bin` evenly in each bin, [bins * per_bin]."""
    places = torch.arange(bins * per_bin, dtype=torch.float64)
    return start + (places + 0.5) * (bin_size / per_bin)


def _neighbours(places: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lower and upper index of each point and the weight of the upper; and which points count at all."""
    inside = (places >= -1) & (places <= size)
    clamped = places.clamp(0, size - 1)
    low = torch.floor(clamped).long()
    return low, (low + 1).clamp(max=size - 1), clamped - low, inside


@kernel("onnx.RoiAlign", fresh=True)
def _roi_align(node: Node) -> Kernel:
    """Bilinear samples on a grid inside each bin of a region, averaged or their largest taken (He et al. 2017)."""
    height, width = node.attr("output_height", 1), node.attr("output_width", 1)
    ratio, scale = node.attr("sampling_ratio", 0), node.attr("spatial_scale", 1.0)
    largest = node.attr("mode", "avg") == "max"
    half = node.attr("coordinate_transformation_mode", "half_pixel") == "half_pixel" and node.opset >= 16

    def run(x: torch.Tensor, rois: torch.Tensor, batches: torch.Tensor) -> Any:
        results = []
        for roi, batch in zip(rois.tolist(), int_list(batches), strict=True):
            left, top, right, bottom = (v * scale - (0.5 if half else 0.0) for v in roi)
            wide, high = right - left, bottom - top
            if not half:
                wide, high = max(wide, 1.0), max(high, 1.0)
            across = ratio if ratio > 0 else math.ceil(wide / width)
            down = ratio if ratio > 0 else math.ceil(high / height)
            y0, y1, wy, in_y = _neighbours(_samples(top, high / height, height, down), x.shape[2])
            x0, x1, wx, in_x = _neighbours(_samples(left, wide / width, width, across), x.shape[3])
            image = x[batch]
            wy, wx = wy.to(x.dtype).reshape(-1, 1), wx.to(x.dtype)
            corners = (
                image[:, y0][:, :, x0] * ((1 - wy) * (1 - wx)), image[:, y0][:, :, x1] * ((1 - wy) * wx),
                image[:, y1][:, :, x0] * (wy * (1 - wx)), image[:, y1][:, :, x1] * (wy * wx),
            )  # fmt: skip
            inside = in_y.reshape(-1, 1) & in_x
            if largest:
                best = torch.stack([torch.where(inside, c, torch.zeros_like(c)) for c in corners]).amax(0)
                cells = best.reshape(x.shape[1], height, down, width, across)
                results.append(cells.amax((2, 4)))
                continue
            values = torch.where(inside, sum(corners[1:], corners[0]), torch.zeros((), dtype=x.dtype))
            cells = values.reshape(x.shape[1], height, down, width, across)
            results.append(cells.sum((2, 4)) / max(down * across, 1))
        return torch.stack(results) if results else x.new_zeros((0, x.shape[1], height, width))

    return run


@kernel("onnx.Col2Im", fresh=True)
def _col2im(node: Node) -> Kernel:
    """Adds columns of windows back into an image, for any number of spatial axes."""
    dilations, pads, strides = node.ints("dilations"), node.ints("pads"), node.ints("strides")

    def run(x: torch.Tensor, image_shape: torch.Tensor, block_shape: torch.Tensor) -> Any:
        sizes, block = int_list(image_shape), int_list(block_shape)
        rank = len(sizes)
        step, spread = strides or (1,) * rank, dilations or (1,) * rank
        edges = pads or (0,) * (2 * rank)
        taps = math.prod(block)
        counts = [
            (sizes[i] + edges[i] + edges[i + rank] - spread[i] * (block[i] - 1) - 1) // step[i] + 1 for i in range(rank)
        ]
        channels = x.shape[1] // taps
        columns = x.reshape(x.shape[0], channels, taps, *counts)
        full = [sizes[i] + edges[i] + edges[i + rank] for i in range(rank)]
        image = x.new_zeros((x.shape[0], channels, *full))
        for tap in range(taps):
            where: list[Any] = []
            rest = tap
            for axis in reversed(range(rank)):
                start = rest % block[axis] * spread[axis]
                where.insert(0, slice(start, start + (counts[axis] - 1) * step[axis] + 1, step[axis]))
                rest //= block[axis]
            place = (slice(None), slice(None), *where)
            image[place] += columns[:, :, tap]
        for axis in range(rank):
            image = image.narrow(axis + 2, edges[axis], sizes[axis])
        return image

    return run
