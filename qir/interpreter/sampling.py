"""Which Resize of ONNX is one of the three ways in which TFLite places pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from qir.interpreter.kernels.resize import nearest_places
from qir.ir import Operation, TensorType
from qir.numerics.sampling import nearest_pixels, nearest_pixels_fixed, stays_inside
from qir.rewrite import constant_array

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Sampling", "sampling_of"]


@attrs.frozen
class Sampling:
    """Copies of pixels (``nearest``) or ``linear`` between them; `half` and `corners` as in `qir.numerics.sampling`.
    `of_codes`: it may work on codes; not where TFLite's kernels would read pixels behind the image."""

    mode: str
    half: bool
    corners: bool
    of_codes: bool = True


WAYS = ((False, False), (True, False), (False, True))


def sampling_of(op: Operation) -> Sampling | None:
    """How a Resize (from opset 11 on) of images of known sizes samples them; None where it is neither way.

    Copies are told by the pixels that they take, whatever the modes are called: for whole factors most of ONNX's ways
    to round take the same.
    """
    x, y = op.operands[0].type, op.results[0].type
    if not isinstance(x, TensorType) or not isinstance(y, TensorType) or x.shape is None or y.shape is None:
        return None
    olds, news = x.shape[2:], y.shape[2:]
    if len(olds) != 2 or None in (*olds, *news) or x.shape[:2] != y.shape[:2]:
        return None
    sizes = [(old or 0, new or 0) for old, new in zip(olds, news, strict=True)]
    scales = _scales(op, sizes)
    how = op.attr("coordinate_transformation_mode", "half_pixel")
    if scales is None or how == "tf_crop_and_resize":
        return None
    if op.attr("mode", "nearest") == "nearest":
        return _nearest(op, how, sizes, scales)
    if how == "pytorch_half_pixel" and all(new > 1 for _, new in sizes):
        how = "half_pixel"
    same = all(math.isclose(scale, new / old) for scale, (old, new) in zip(scales, sizes, strict=True))
    plain = op.attr("mode", "nearest") == "linear" and not op.attr("antialias", 0) and not op.attr("exclude_outside", 0)
    if not same or not plain or how not in ("half_pixel", "align_corners", "asymmetric"):
        return None
    half, corners = how == "half_pixel", how == "align_corners"
    return Sampling("linear", half, corners, all(stays_inside(*size, half, corners) for size in sizes))


def _scales(op: Operation, sizes: Sequence[tuple[int, int]]) -> list[float] | None:
    """The factors of height and width; None where they are computed, or not those of the sizes by a policy."""
    given = constant_array(op.operands[2]) if len(op.operands) > 2 else None
    if given is None or not given.size:
        stretched = op.attr("keep_aspect_ratio_policy", "stretch") == "stretch"
        return [new / old for old, new in sizes] if stretched and len(op.operands) > 3 else None
    axes = op.attr("axes", None)
    named = dict(zip((a % 4 for a in axes) if axes is not None else range(4), given.tolist(), strict=True))
    return [float(named.get(axis, 1.0)) for axis in (2, 3)]


def _nearest(op: Operation, how: str, sizes: Sequence[tuple[int, int]], scales: Sequence[float]) -> Sampling | None:
    rounding = op.attr("nearest_mode", "round_prefer_floor")
    wanted = [nearest_places(how, rounding, *size, scale) for size, scale in zip(sizes, scales, strict=True)]
    for half, corners in WAYS:
        found = [[nearest_pixels(*size, half, corners) for size in sizes]]
        if not half and not corners:  # the one way that some kernels work out by another formula
            found.append([nearest_pixels_fixed(*size) for size in sizes])
        if all(a.equal(b) for pixels in found for a, b in zip(pixels, wanted, strict=True)):
            return Sampling("nearest", half, corners)
    return None
