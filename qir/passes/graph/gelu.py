"""The exact GELU, which exporters write out over Erf, as one operation."""

from __future__ import annotations

import math

from qir.ir import Operation
from qir.passes.graph.operations import opset
from qir.rewrite import Match, Node, Rewriter, Value, any_of, const, onnx, pattern

__all__ = ["erf_to_gelu"]


@pattern
def erf_to_gelu(x: Value, root: Value, one: Value, half: Value) -> Node:
    """x · (1 + erf(x / √2)) · ½ = gelu(x), in whatever order its factors stand."""
    inside = any_of(onnx.Div(x, const(root)).bind("div"), onnx.Mul(x, const(root)).bind("mul"))
    bracket = onnx.Add(onnx.Erf(inside), const(one))
    return any_of(
        onnx.Mul(onnx.Mul(x, bracket), const(half)),
        onnx.Mul(onnx.Mul(x, const(half)), bracket),
        onnx.Mul(x, onnx.Mul(bracket, const(half))),
    )


def _is_gelu(m: Match) -> bool | str:
    root = math.sqrt(2) if m.div is not None else math.sqrt(0.5)
    for name, number in (("root", root), ("one", 1.0), ("half", 0.5)):
        found = m.splat(name)
        if found is None or not math.isclose(found, number, rel_tol=1e-5):
            return f"a factor or term is {found}, where the exact GELU has {number:.6g}"
    return True if opset(m.root) >= 20 else "Gelu came with opset 20"


erf_to_gelu.where("it is no exact GELU", _is_gelu)


@erf_to_gelu.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("onnx.Gelu", [m.x])
