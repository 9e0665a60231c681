"""From a quantized module to the layers of the IR: quantizers first, then one emitter for each ONNX operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np

from qir.datasheet import clamp_bounds
from qir.interpreter.grids import FloatGraph
from qir.ir import TensorType, Value, f32
from qir.lowering.openvino.dialect import FAKE, INTERPOLATE, LIKE, onnx_attributes
from qir.passes.lower.explicit import BIAS_APART, EXPLICIT
from qir.passes.lower.fakes import FakePattern, OnTheGrid, SumInUnits
from qir.passes.lower.groups import Emitter, group_patterns, record
from qir.passes.lower.make import Make, making, only, resizing
from qir.passes.lower.plain import plain, window
from qir.passes.lower.reading import axis_of, integers, shape_of
from qir.rewrite import PatternSet
from qir.target import Target

__all__ = ["GRAPH", "patterns"]

GRAPH = FloatGraph(
    FAKE, "openvino.Dequantize", "openvino.Reshape", "openvino.Add", "openvino.Clamp",
    carries=frozenset(map("openvino.{}".format, ("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice",
                                                 "Gather", "VariadicSplit", "Pad", "DepthToSpace", "SpaceToDepth",
                                                 "Concat", "Interpolate"))),
    absorbed=frozenset(map("openvino.{}".format, ("Add", "ReLU", "Clamp", "PRelu", "HSwish", "Sigmoid"))),
)  # fmt: skip


def conv(m: Make) -> Value | None:
    """Convolution or, with its weight as [groups, out, in, ...], GroupConvolution."""
    given, (w, bias, *_), shape = window(m.op), m.others, shape_of(m.others[0])
    groups = given.pop("group")
    del given["kernel_shape"]
    if bias is not None or None in shape:
        return None
    if groups == 1:
        return m.record("Convolution", m.x, w, **given)
    split = (groups, (shape[0] or 0) // groups, *shape[1:])
    w = m.record("Reshape", w, m.numbers(split), type=TensorType(split, f32))
    return m.record("GroupConvolution", m.x, w, **given)


def apart(m: Make, x: Value) -> Value:
    """max(x, the smallest number), which nothing is fused across."""
    return m.record("Maximum", x, m.numbers(np.finfo(np.float32).min, np.float32), type=x.type)


def reduce(m: Make) -> Value:
    """ReduceMax and ReduceMin, which round to an integer before they scale, if a FakeQuantize is fused into them."""
    return apart(m, m.record(m.op.name[5:], m.x, m.others[0], keepdims=m.op.attr("keepdims", 1)))


def average(m: Make) -> Value | None:
    """AvgPool. On codes LPT counts padding as the code 0: where padding counts, it is kept off the codes."""
    given, counted = window(m.op), m.op.attr("count_include_pad", 0)
    if set(given.pop("dilations")) != {1}:
        return None
    x = apart(m, m.x) if counted and any(given["pads"]) else m.x
    return m.record("AvgPool", x, **given, count_include_pad=counted, ceil_mode=m.op.attr("ceil_mode", 0))


def layer_norm(m: Make) -> Value | None:
    """MVN over the last axes, then scale and shift."""
    if any(result.uses for result in m.op.results[1:]):
        return None
    axes = m.numbers(range(axis_of(m.op), len(shape_of(m.x))))
    y = m.record("Multiply", m.record("MVN", m.x, axes, eps=m.op.attr("epsilon", 1e-5)), m.others[0])
    return y if m.others[1] is None else m.record("Add", y, m.others[1])


def clip(m: Make) -> Value | None:
    """Clamp between constants."""
    bounds, most = clamp_bounds(m.op), float(np.finfo(np.float32).max)
    return None if bounds is None else m.record("Clamp", m.x, min=max(bounds[0], -most), max=min(bounds[1], most))


def pad(m: Make) -> Value | None:
    """Pad by constant sizes, of all axes."""
    sizes, mode, rank = integers(m.op, 1), m.op.attr("mode", "constant"), len(shape_of(m.x))
    if sizes is None or m.others[2] is not None or mode == "wrap":
        return None
    value = m.others[1] or m.stated("value", 0.0)
    return m.record("Pad", m.x, m.numbers(sizes[:rank]), m.numbers(sizes[rank:]), value, pad_mode=mode)


def split(m: Make) -> Sequence[Value]:
    """VariadicSplit."""
    operands, types = [m.x, m.numbers(axis_of(m.op, 0)), m.others[0]], [r.type for r in m.op.results]
    return record(m.rewriter, "openvino.VariadicSplit", operands, types).results


MADE: dict[str, Callable[[Make], Value | Sequence[Value] | None]] = {
    "Conv": conv, "AveragePool": average, "LayerNormalization": layer_norm, "Clip": clip, "Pad": pad, "Split": split,
    "Resize": resizing("Interpolate", onnx_attributes(INTERPOLATE)),
    "ReduceMax": reduce, "ReduceMin": reduce, "Identity": lambda m: m.x,
    "LeakyRelu": lambda m: m.record("PRelu", m.x, m.stated("alpha", 0.01, (1,))),
    "HardSigmoid": lambda m: m.record("HardSigmoid", m.x, m.stated("alpha", 0.2), m.stated("beta", 0.5)),
    "Gather": lambda m: m.record("Gather", m.x, m.others[0], m.numbers(m.op.attr("axis", 0))),
    "Transpose": lambda m: m.record("Transpose", m.x, m.numbers(m.op.attr("perm"))),
    "Slice": lambda m: m.record("Slice", m.x, *m.others[:2], m.others[3], m.others[2]),
}  # fmt: skip


_matmul = only(plain("openvino.MatMul", floats=True, transA="transA", transB="transB"), alpha=1.0, beta=1.0)
EMITTERS: dict[str, Emitter] = {
    **{theirs: plain(f"openvino.{ours}", floats=True, **onnx_attributes(row)) for ours, (theirs, row) in LIKE.items()},
    **{name: making("openvino", make) for name, make in MADE.items()}, "MatMul": _matmul, "Gemm": _matmul,
}  # fmt: skip


def patterns(target: Target) -> Sequence[PatternSet]:
    """Quantizers; then all operators, on floats; then quantizers that say again what those before them said."""
    return (
        PatternSet([*EXPLICIT, *BIAS_APART, FakePattern(GRAPH)], "openvino-quantizers"),
        group_patterns(attrs.evolve(target, rules=()), EMITTERS),
        PatternSet([OnTheGrid(GRAPH, "openvino.Concat")], "openvino-grids"),
        PatternSet([SumInUnits(GRAPH, "openvino.Add", frozenset(["openvino.ReLU"]))], "openvino-units"),
    )
