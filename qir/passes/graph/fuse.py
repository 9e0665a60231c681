"""``fuse``: two operators that are one record on most targets become one."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, Operation, TensorType, Value
from qir.passes.base import Pass
from qir.passes.graph.gelu import erf_to_gelu
from qir.passes.graph.operations import kept_attributes, tensor_rank
from qir.passes.registry import register_pass
from qir.rewrite import (
    Match,
    Node,
    PatternSet,
    Rewriter,
    apply_patterns,
    const,
    constant_array,
    is_absent,
    onnx,
    opt,
    pattern,
    rest,
    splat_of,
)

__all__ = ["FUSIONS", "Fuse"]


# ---------------------------------------------------------------- padding
@pattern
def pad_into_conv(x: Value, w: Value, b: Value) -> Node:
    """conv(pad(x, p), w, b, pads = q) = conv(x, w, b, pads = q + p) for zeros on spatial axes."""
    padded = onnx.Pad(x, rest("padding")).bind("pad")
    return onnx.Conv(padded, w, opt(b)).bind("conv")


def paddings(m: Match) -> tuple[int, ...] | str:
    """The paddings of a Pad, begins then ends for every axis; or why they cannot go into a window's attributes."""
    pad, rank = m.pad, tensor_rank(m.x)
    if pad.attr("mode", "constant") != "constant":
        return f"it pads by mode '{pad.attr('mode')}'"
    if rank is None:
        return "the rank is not known"
    if not m.padding:  # before opset 11 both are attributes
        pads, value = pad.attr("pads") or pad.attr("paddings"), pad.attr("value", 0.0)
    else:
        array = constant_array(m.padding[0])
        pads = None if array is None else tuple(int(v) for v in array)
        given = m.padding[1] if len(m.padding) > 1 else None
        value = 0.0 if is_absent(given) else splat_of(given)
        if len(m.padding) > 2 and not is_absent(m.padding[2]):
            pads = _on_all_axes(pads, m.padding[2], rank)
    if pads is None:
        return "the paddings are not constant"
    if value != 0.0:
        return "it does not pad with zeros"
    if min(pads) < 0:
        return "it crops"
    if any(pads[i] for i in (0, 1, rank, rank + 1)):
        return "it pads the batch or the channels"
    return tuple(pads)


def _on_all_axes(pads: tuple[int, ...] | None, axes: Value, rank: int) -> tuple[int, ...] | None:
    array = constant_array(axes)
    if array is None or pads is None:
        return None
    full = [0] * (2 * rank)
    for i, axis in enumerate(int(a) % rank for a in array):
        full[axis], full[rank + axis] = pads[i], pads[array.size + i]
    return tuple(full)


def _can_pad(m: Match) -> bool | str:
    if m.conv.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return "the convolution pads automatically"
    found = paddings(m)
    return found if isinstance(found, str) else True


pad_into_conv.where("the padding cannot go into the convolution", _can_pad)


@pad_into_conv.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    found = paddings(m)
    assert not isinstance(found, str)
    half = len(found) // 2
    spatial = (*found[2:half], *found[half + 2 :])
    old = m.conv.attr("pads") or (0,) * len(spatial)
    attributes = {
        **kept_attributes(m.conv),
        "auto_pad": None,
        "pads": [a + b for a, b in zip(old, spatial, strict=True)],
    }
    return rewriter.op("onnx.Conv", [m.x, m.w, m.b], attributes)


# ---------------------------------------------------------------- matrix products
@pattern
def matmul_add_to_gemm(x: Value, w: Value, b: Value) -> Node:
    """x·w + b = gemm(x, w, b) for matrices and a constant row b."""
    return onnx.Add(onnx.MatMul(x, const(w)), const(b))


def _matrices(m: Match) -> bool | str:
    if tensor_rank(m.x) != 2 or tensor_rank(m.w) != 2:
        return "the factors are no matrices"
    w, b = m.w.type, m.b.type
    if not isinstance(w, TensorType) or not isinstance(b, TensorType) or w.shape is None or b.shape is None:
        return "the shapes are not known"
    if len(b.shape) > 2 or b.shape[:-1] not in ((), (1,)) or (b.shape and b.shape[-1] not in (1, w.shape[1])):
        return "the bias is not one row"
    return True


matmul_add_to_gemm.where("the factors are no matrices", _matrices)


@matmul_add_to_gemm.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("onnx.Gemm", [m.x, m.w, m.b])


FUSIONS = PatternSet([pad_into_conv, matmul_add_to_gemm, erf_to_gelu], "fuse")


@register_pass
@attrs.frozen
class Fuse(Pass):
    """Put padding into convolutions, matrix products with their bias into Gemm, what spells out a GELU into Gelu."""

    name: ClassVar[str] = "fuse"
    anchor: ClassVar[str | None] = None

    def run(self, module: Operation, ctx: Context) -> bool:
        return apply_patterns(module, FUSIONS, ctx, name=self.name)
