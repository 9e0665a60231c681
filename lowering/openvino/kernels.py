"""The arithmetic of OpenVINO's CPU plugin with INFERENCE_PRECISION_HINT=f32.

Values between layers are floats, as in the IR. What the plugin computes on codes is found as its low-precision
transformations find it: by the FakeQuantize that put an operand on its grid, through layers that only move numbers, and
by the Dequantize of a weight. The codes are then taken back from the floats, which is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from qir.interpreter.delegate import as_onnx
from qir.interpreter.grids import conv_on_grid, fake_of_scaled_sums, fake_of_sums, grid_of, matmul_on_grid, sum_in_units
from qir.interpreter.node import Node
from qir.interpreter.plain import delegated, dequantized, known
from qir.interpreter.registry import Kernel, kernel
from qir.ir import Operation, TensorType
from qir.lowering.openvino.dialect import FAKE, INTERPOLATE, LIKE, onnx_attributes
from qir.lowering.openvino.patterns import GRAPH
from qir.numerics.span import SpanGrid

CONVS = ("openvino.Convolution", "openvino.GroupConvolution")
ABSORBING = (*CONVS, *(f"openvino.{name}" for name in ("MatMul", "AvgPool", "MaxPool", "ReduceMean")))
"""Layers that compute a FakeQuantize behind them, and what `GRAPH` says they absorb."""


def signed(found: SpanGrid, fake: Operation) -> bool:
    """Whether codes are stored as int8, without a zero point: low is at -128 steps, a product reads them, and no
    convolution, which wants uint8."""
    users = GRAPH.readers(fake.results[0])
    return (found.zero, found.levels) == (128, 256) and "openvino.MatMul" in users and not users.intersection(CONVS)


# ---------------------------------------------------------------- on codes
@kernel(FAKE, fresh=True)
def _fake_quantize(node: Node) -> Kernel:
    """``code = rhe(fma(clip(x), isc, ish))``, ``isc = fl((L - 1) / fl(high - low))``, ``ish = fl(fl(-low (L - 1)) /
    fl(high - low))``. Of numbers on another grid the codes are read, and the range is in its steps. Where low is 0 or
    codes are int8, convolutions and products have it as an output scale: ``rhe(fl(x * fl(1 / fl(1 / isc))))``.

    Of fixed sizes, and not absorbed, it is compiled to ``rhe(fl(fl(clip(x) * isc) + fl(-low * isc)))``, to
    ``rhe(fl(clip(x) * isc))`` where codes are int8.
    """
    x, unit = node.op.operands[0], node.quantization(0)
    before, maker, (inner, bounds) = GRAPH.grid(node, x), GRAPH.maker(x), GRAPH.clipped(x)
    found = grid_of(known(node, 1), before if unit is None else grid_of(unit))
    factor, shift, zero, source = found.factor, found.shift, found.zero, "" if maker is None else maker.name
    centred = signed(found, node.op)
    if maker is not None and (sums := _sums_of(node, maker)) is not None:
        if maker is x.defining_op:
            return fake_of_sums(found, *sums, 128 if centred else 0)
        inner, bias = GRAPH.bias(inner, node.device)
        if maker is inner.defining_op:
            return fake_of_scaled_sums(found, sums[0], bias, bounds, bool(sums[1].any()), 128 if centred else 0)
    compiled = isinstance(x.type, TensorType) and x.type.is_static and source not in ABSORBING
    product = source in (*CONVS, "openvino.MatMul")
    if centred and (product or compiled):
        shift, zero = np.float32(0), 0
    elif compiled:
        shift = -found.low * factor
    ends = np.clip(np.array(bounds, np.float32), found.low, found.high)
    first, last = np.rint(ends * factor + shift).tolist()
    if zero == 0 and product and last - first >= found.levels - 1:
        factor = 1 / (1 / factor)
    low, high, f, s, step = (float(v) for v in (*ends, factor, shift, found.step))

    def run(x: Tensor) -> Tensor:
        x = (x if before is None else before.centred(x)).clamp(low, high)
        codes = torch.round(x * f + s if compiled else (x.double() * f + s).float())
        if product:  # what was clipped has the bound's code, made without fma
            codes = torch.where(x == low, first, torch.where(x == high, last, codes))
        return (codes - zero) * step

    return run


def _sums_of(node: Node, product: Operation) -> tuple[Tensor, Tensor] | None:
    """Of a product of codes by a quantized matrix: what makes numbers of its sums, and what the zero point adds."""
    if product.name != "openvino.MatMul" or (source := GRAPH.source(product.operands[0])) is None:
        return None
    found, weight = GRAPH.grid(node, product.operands[0]), GRAPH.weight(node, product.operands[1])
    if found is None or weight is None:
        return None
    zero = 0 if signed(found, source) else found.zero
    return weight[1] * found.size, weight[0].sum(1 if product.attr("transB", 0) else 0).float() * zero


@kernel("openvino.Add")
def _add(node: Node) -> Kernel:
    first, second = (None if (q := node.quantization(i)) is None else grid_of(q) for i in range(2))
    return as_onnx(node, "Add") if node.quantization(2) is None else sum_in_units((first, second))


@kernel(*CONVS, fresh=True)
def _convolution(node: Node) -> Kernel:
    found, weight = GRAPH.grid(node, node.op.operands[0]), GRAPH.weight(node, node.op.operands[1])
    w, grouped = node.constant(1), node.name == CONVS[1]
    groups = int(w.shape[0]) if grouped else 1
    if found is not None and weight is not None:
        return conv_on_grid(node, found, weight, groups)
    window = {key: node.parameter(key) for key in ("strides", "pads", "dilations")}
    return as_onnx(node, "Conv", (0, w.flatten(0, 1) if grouped else 1), **window, group=groups)


@kernel("openvino.MatMul", fresh=True)
def _matmul(node: Node) -> Kernel:
    found, weight = GRAPH.grid(node, node.op.operands[0]), GRAPH.weight(node, node.op.operands[1])
    left, right = node.parameter("transA"), node.parameter("transB")
    if found is None or weight is None or left:
        return lambda a, b: torch.matmul(a.mT if left else a, b.mT if right else b)
    return matmul_on_grid(found, weight, bool(right))


# ---------------------------------------------------------------- as ONNX's operators
@kernel("openvino.AvgPool", "openvino.ReduceMean", fresh=True)
def _mean(node: Node) -> Kernel:
    """Of codes the scale comes after the mean: ``fl(fl(sum (x - zx) / count) * sx)``."""
    theirs, row = LIKE[node.name.removeprefix("openvino.")]
    run = as_onnx(node, theirs, **{key: node.parameter(key) for key in onnx_attributes(row)})
    found = GRAPH.grid(node, node.op.operands[0])
    return run if found is None else lambda x, *axes: run(found.centred(x), *axes) * found.size


kernel("openvino.Dequantize", fresh=True)(dequantized)
for ours, (theirs, row) in LIKE.items():
    if ours not in ("Add", "AvgPool", "ReduceMean"):
        delegated(f"openvino.{ours}", theirs, None, **onnx_attributes(row))


def _first(index: int) -> Callable[[Node], int]:
    """The first number of an operand, which is a constant."""
    return lambda node: (node.constant_list(index) or [0])[0]


delegated("openvino.MVN", "LayerNormalization", lambda n: (0, torch.ones(1)), epsilon="eps", axis=_first(1))
delegated("openvino.Transpose", "Transpose", (0,), perm=lambda n: n.constant_list(1))
delegated("openvino.Slice", "Slice", (0, 1, 2, 4, 3))
delegated("openvino.Gather", "Gather", (0, 1), axis=_first(2))
delegated("openvino.VariadicSplit", "Split", (0, 2), axis=_first(1))
delegated("openvino.Pad", "Pad", lambda n: (0, torch.cat([n.constant(1), n.constant(2)]), 3), mode="pad_mode")
delegated("openvino.Interpolate", "Resize", lambda n: (0, 3, 1) if n.parameter("shape_calculation_mode") == "scales"
          else (0, 3, 3, 1), axes=lambda n: n.constant_list(2), **onnx_attributes(INTERPOLATE))  # fmt: skip
delegated("openvino.HardSigmoid", "HardSigmoid", (0,), alpha=lambda n: n.constant(1).item(),
          beta=lambda n: n.constant(2).item())  # fmt: skip
delegated("openvino.Clamp", "Clip", lambda n: (0, torch.tensor(n.parameter("min")), torch.tensor(n.parameter("max"))))
