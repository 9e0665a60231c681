"""Resize and Upsample: separable interpolation, axis by axis, as the standard defines it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import torch

from qir.interpreter.kernels.common import wide
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel


@attrs.frozen
class _Rule:
    """How output positions become input coordinates, and coordinates become weighted neighbours."""

    mode: str = "nearest"
    coordinates: str = "asymmetric"
    nearest: str = "floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    outside: float = 0.0


def _coordinates(rule: _Rule, size: int, out: int, scale: float, roi: tuple[float, float]) -> torch.Tensor:
    """Where each of `out` positions lies on an axis of `size`, in float64."""
    x = torch.arange(out, dtype=torch.float64)
    how = rule.coordinates
    if how == "half_pixel":
        return (x + 0.5) / scale - 0.5
    if how == "half_pixel_symmetric":
        adjustment = out / (scale * size)
        return size / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
    if how == "pytorch_half_pixel":
        return (x + 0.5) / scale - 0.5 if out > 1 else torch.zeros(1, dtype=torch.float64)
    if how == "align_corners":
        return x * (size - 1) / (size * scale - 1) if out > 1 else torch.zeros(1, dtype=torch.float64)
    if how == "asymmetric":
        return x / scale
    if how == "tf_half_pixel_for_nn":
        return (x + 0.5) / scale
    if how == "tf_crop_and_resize":
        start, end = roi
        if out > 1:
            return start * (size - 1) + x * (end - start) * (size - 1) / (out - 1)
        return torch.full((1,), 0.5 * (start + end) * (size - 1), dtype=torch.float64)
    raise ValueError(f"coordinate_transformation_mode {how!r} is not known")


def _nearest(rule: _Rule, x: torch.Tensor) -> torch.Tensor:
    if rule.nearest == "floor":
        return torch.floor(x)
    if rule.nearest == "ceil":
        return torch.ceil(x)
    if rule.nearest == "round_prefer_ceil":
        return torch.floor(x + 0.5)
    return torch.ceil(x - 0.5)


def nearest_places(coordinates: str, nearest: str, size: int, out: int, scale: float) -> torch.Tensor:
    """The elements of an axis of `size` that `out` results copy, by ONNX's names of the modes; int64 [out]."""
    rule = _Rule("nearest", coordinates, nearest)
    return _nearest(rule, _coordinates(rule, size, out, scale, (0.0, 1.0))).long().clamp(0, size - 1)


def _cubic(distance: torch.Tensor, a: float) -> torch.Tensor:
    """Keys' kernel."""
    d = distance.abs()
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _taps(rule: _Rule, x: torch.Tensor, size: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbours and their weights, each [out, taps], for linear and cubic."""
    reach = 1 if rule.mode == "linear" else 2
    shrink = min(scale, 1.0) if rule.antialias else 1.0
    first = math.floor(-reach / shrink) + 1
    steps = torch.arange(first, 2 - first)
    base = torch.floor(x)
    distance = (steps - (x - base).unsqueeze(1)) * shrink
    if rule.mode == "linear":
        weights = (1 - distance.abs()).clamp(min=0)
    else:
        weights = _cubic(distance, rule.cubic)
    places = base.long().unsqueeze(1) + steps
    if rule.exclude_outside:
        weights = torch.where((places >= 0) & (places < size), weights, torch.zeros_like(weights))
    if rule.exclude_outside or rule.antialias:
        weights = weights / weights.sum(1, keepdim=True)
    return places.clamp(0, size - 1), weights


def _along(x: torch.Tensor, axis: int, rule: _Rule, out: int, scale: float, roi: tuple[float, float]) -> torch.Tensor:
    size = x.shape[axis]
    coordinates = _coordinates(rule, size, out, scale, roi)
    if rule.mode == "nearest":
        places = _nearest(rule, coordinates).long().clamp(0, size - 1).to(x.device)
        y = x.index_select(axis, places)
    else:
        neighbours, weights = _taps(rule, coordinates, size, scale)
        shape = [1] * x.dim()
        shape[axis] = -1
        y = torch.zeros((), dtype=x.dtype, device=x.device)
        for tap in range(neighbours.shape[1]):
            weight = weights[:, tap]
            if bool((weight != 0).any()):
                part = x.index_select(axis, neighbours[:, tap].to(x.device))
                y = y + part * weight.to(x.device, x.dtype).reshape(shape)
    return y


def _outside(rule: _Rule, x: torch.Tensor, sizes: Sequence[int], rois: Sequence[tuple[float, float]]) -> torch.Tensor:
    """Where any coordinate of an output lies outside of the input."""
    mask = torch.zeros((), dtype=torch.bool)
    for axis, (size, out, roi) in enumerate(zip(x.shape, sizes, rois, strict=True)):
        coordinates = _coordinates(rule, size, out, out / size, roi)
        shape = [1] * x.dim()
        shape[axis] = -1
        mask = mask | ((coordinates < 0) | (coordinates > size - 1)).reshape(shape)
    return mask.to(x.device)


def resized(
    x: torch.Tensor, rule: _Rule, sizes: Sequence[int], scales: Sequence[float], rois: Sequence[tuple[float, float]]
) -> torch.Tensor:
    """`x` at another size; integers are interpolated in float32 and rounded back."""
    crop = rule.coordinates == "tf_crop_and_resize"
    y = x if rule.mode == "nearest" or x.is_floating_point() else x.float()
    for axis, (out, scale) in enumerate(zip(sizes, scales, strict=True)):
        if out != x.shape[axis] or scale != 1 or (crop and rois[axis] != (0.0, 1.0)):
            y = _along(y, axis, rule, out, scale, rois[axis])
    if y.dtype != x.dtype:
        info = torch.iinfo(x.dtype)
        y = torch.round(y).clamp(info.min, info.max).to(x.dtype)
    if crop:
        y = y.masked_fill(_outside(rule, x, sizes, rois), rule.outside)
    return y


def _rule(node: Node) -> _Rule:
    if node.opset < 11:
        return _Rule(mode=node.attr("mode", "nearest"))
    return _Rule(
        node.attr("mode", "nearest"),
        node.attr("coordinate_transformation_mode", "half_pixel"),
        node.attr("nearest_mode", "round_prefer_floor"),
        node.attr("cubic_coeff_a", -0.75),
        bool(node.attr("exclude_outside", 0)),
        bool(node.attr("antialias", 0)),
        node.attr("extrapolation_value", 0.0),
    )


@kernel("onnx.Upsample")
@kernel("onnx.Resize", until=10)
def _upsample(node: Node) -> Kernel:
    rule = _rule(node) if node.opset < 11 else _Rule(mode=node.attr("mode", "nearest"))
    fixed = node.attr("scales", None)
    if rule.mode == "bilinear":
        rule = attrs.evolve(rule, mode="linear")

    def run(x: torch.Tensor, scales: torch.Tensor | None = None) -> Any:
        factors = list(fixed) if scales is None else scales.tolist()
        sizes = [math.floor(n * s) for n, s in zip(x.shape, factors, strict=True)]
        return wide(lambda t: resized(t, rule, sizes, factors, [(0.0, 1.0)] * x.dim()))(x)

    return run


@kernel("onnx.Resize", since=11)
def _resize(node: Node) -> Kernel:
    rule = _rule(node)
    given_axes = node.ints("axes")
    policy = node.attr("keep_aspect_ratio_policy", "stretch")

    def run(x: torch.Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
        axes = list(range(x.dim())) if given_axes is None else [a % x.dim() for a in given_axes]
        factors, wanted = [1.0] * x.dim(), list(x.shape)
        if scales is not None and scales.numel():
            for axis, scale in zip(axes, scales.tolist(), strict=True):
                factors[axis], wanted[axis] = scale, math.floor(x.shape[axis] * scale)
        elif sizes is not None and sizes.numel():
            targets = dict(zip(axes, sizes.tolist(), strict=True))
            if policy != "stretch":
                ratios = [size / x.shape[axis] for axis, size in targets.items()]
                ratio = min(ratios) if policy == "not_larger" else max(ratios)
                targets = {axis: math.floor(ratio * x.shape[axis] + 0.5) for axis in targets}
            for axis, size in targets.items():
                factors[axis] = size / x.shape[axis] if policy == "stretch" else ratio
                wanted[axis] = size
        else:
            raise ValueError("neither scales nor sizes are given")
        rois = [(0.0, 1.0)] * x.dim()
        if roi is not None and roi.numel():
            values = roi.tolist()
            for position, axis in enumerate(axes):
                rois[axis] = (values[position], values[position + len(axes)])
        return wide(lambda t: resized(t, rule, wanted, factors, rois))(x)

    return run
