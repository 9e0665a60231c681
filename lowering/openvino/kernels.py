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
from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.node import Node
from qir.interpreter.plain import delegated, dequantized, known
from qir.interpreter.quantizers import Quantization, quantization_of
from qir.interpreter.registry import Kernel, kernel
from qir.ir import Operation, TensorType, Value
from qir.lowering.openvino.dialect import CARRIES, FAKE, LIKE, ends, onnx_attributes
from qir.passes.lower.fakes import absorbed_by, grid_source, readers, weight_source
from qir.passes.lower.reading import array_of

__all__ = ["Grid", "grid_of"]

CONVS = ("openvino.Convolution", "openvino.GroupConvolution")
ABSORBING = (*CONVS, *(f"openvino.{name}" for name in ("MatMul", "AvgPool", "MaxPool", "ReduceMean")))
ABSORBED = frozenset(f"openvino.{name}" for name in ("Add", "ReLU", "Clamp", "PRelu", "HSwish", "Sigmoid"))
"""What a layer of `ABSORBING` computes on its results, a FakeQuantize behind it too."""


class Grid:
    """The numbers of a FakeQuantize: from `low` to `high` in steps of ``fl(fl(high - low) / (levels - 1))``, which may
    differ from the quantizer's scale in the last bit. `factor` and `shift` make codes of numbers, or of multiples of
    the step of `unit`. All are float32 of numpy, for torch divides a number by a tensor in two roundings.

    Codes are stored as int8, without a zero point, where low is at -128 steps and a product reads them (`signed`), and
    no convolution, which wants uint8.
    """

    def __init__(self, q: Quantization, fake: Operation, unit: Grid | None = None) -> None:
        self.zero, last = int(q.zero) - int(q.scheme.qmin), np.float32(q.scheme.qmax - q.scheme.qmin)
        self.levels = int(last) + 1
        self.low, self.high = ends(q.scale.item(), self.zero, self.levels)
        self.step = (self.high - self.low) / last
        if unit is not None:
            self.low, self.high = self.low / unit.step, self.high / unit.step
        self.factor, self.shift = last / (self.high - self.low), -self.low * last / (self.high - self.low)
        users = readers(fake.results[0], CARRIES) if fake.name == FAKE else set[str]()
        self.signed = self.zero == 128 and "openvino.MatMul" in users and not users.intersection(CONVS)

    def centred(self, x: Tensor) -> Tensor:
        """``code - zero`` of numbers on the grid."""
        return torch.round(x / float(self.step))

    def codes(self, x: Tensor) -> Tensor:
        return (self.centred(x) + self.zero).to(torch.uint8)


def grid_of(node: Node, value: Value) -> Grid | None:
    """The grid of a value's numbers, where its codes are 8 bits wide."""
    source = grid_source(value, FAKE, CARRIES)
    found = None if source is None else quantization_of(source, 1, node.settings.symbols.get)
    return None if found is None or source is None or (grid := Grid(found, source)).levels != 256 else grid


def weight_of(node: Node, value: Value) -> tuple[Tensor, Tensor] | None:
    """Codes and scales of a weight of one scale per channel, in the layout of its constant."""
    op = weight_source(value, "openvino.Dequantize", "openvino.Reshape")
    q = None if op is None else quantization_of(op, 0, node.settings.symbols.get)
    if op is None or q is None or q.scale.dim() > 1 or (codes := array_of(op.operands[0])) is None:
        return None
    return torch.from_numpy(codes.astype(np.int8)).to(node.device), q.scale.to(node.device)


# ---------------------------------------------------------------- on codes
@kernel(FAKE, fresh=True)
def _fake_quantize(node: Node) -> Kernel:
    """``code = rhe(fma(clip(x), isc, ish))``, ``isc = fl((L - 1) / fl(high - low))``, ``ish = fl(fl(-low (L - 1)) /
    fl(high - low))``. A convolution with low = 0 has it as its output scale: ``rhe(fl(x * fl(1 / fl(1 / isc))))``. Of
    numbers on another grid the codes are read, and the range is in its steps.

    Of fixed sizes, and not absorbed, it is compiled to ``rhe(fl(fl(clip(x) * isc) + fl(-low * isc)))``, to
    ``rhe(fl(clip(x) * isc))`` where codes are int8.
    """
    x = node.op.operands[0]
    unit, before, maker = node.quantization(0), grid_of(node, x), absorbed_by(x, ABSORBED)
    grid = Grid(known(node, 1), node.op, before if unit is None else Grid(unit, node.op))
    factor, shift, zero, source = grid.factor, grid.shift, grid.zero, "" if maker is None else maker.name
    if maker is not None and maker is x.defining_op and (sums := _sums_of(node, maker)) is not None:
        return _behind_sums(grid, *sums)
    if zero == 0 and source in CONVS:
        factor = 1 / (1 / factor)
    compiled = isinstance(x.type, TensorType) and x.type.is_static and source not in ABSORBING
    if compiled:
        shift, zero = (np.float32(0), 0) if grid.signed else (-grid.low * factor, zero)
    low, high, f, s, step = (float(v) for v in (grid.low, grid.high, factor, shift, grid.step))

    def run(x: Tensor) -> Tensor:
        x = (x if before is None else before.centred(x)).clamp(low, high)
        return (torch.round(x * f + s if compiled else (x.double() * f + s).float()) - zero) * step

    return run


def _sums_of(node: Node, product: Operation) -> tuple[Tensor, Tensor] | None:
    """Of a product of codes by a quantized matrix: what makes numbers of its sums, and what the zero point adds."""
    if product.name != "openvino.MatMul":
        return None
    grid, weight = grid_of(node, product.operands[0]), weight_of(node, product.operands[1])
    if grid is None or weight is None:
        return None
    zero = 0 if grid.signed else grid.zero
    return weight[1] * float(grid.step), weight[0].sum(1 if product.attr("transB", 0) else 0).float() * zero


def _behind_sums(grid: Grid, scale: Tensor, offset: Tensor) -> Kernel:
    """Behind a product without a bias the sums themselves are quantized, zero point and all: the range is divided by
    the scale of each column, ``fl(fl(low / s) + offset)``, and multiplied and added without fma."""
    low, high = (torch.full_like(scale, float(end)) / scale + offset for end in (grid.low, grid.high))
    last, signed = torch.full_like(scale, grid.levels - 1), 128 if grid.signed else 0
    factor, shift = last / (high - low), -low * last / (high - low) - signed

    def run(x: Tensor) -> Tensor:
        sums = (torch.round(x.double() / scale.double()) + offset.double()).float().clamp(low, high)
        return (torch.round(sums * factor + shift) + (signed - grid.zero)) * float(grid.step)

    return run


@kernel("openvino.Add")
def _add(node: Node) -> Kernel:
    """Where the sum is taken in steps of the grid of one operand: ``fl(fl(x * fl(1 / s)) + (code - zero))`` of another
    float, ``fl(fl((code' - zero') * fl(s' / s)) + (code - zero))`` of another grid."""
    known = [None if (q := node.quantization(i)) is None else Grid(q, node.op) for i in range(2)]
    if node.quantization(2) is None:
        return as_onnx(node, "Add")
    last = 1 if known[1] is not None else 0
    unit, other = known[last], known[1 - last]
    assert unit is not None
    factor = float((1 if other is None else other.step) / unit.step)

    def run(*operands: Tensor) -> Tensor:
        x = operands[1 - last]
        return (x if other is None else other.centred(x)) * factor + unit.centred(operands[last])

    return run


@kernel(*CONVS, fresh=True)
def _convolution(node: Node) -> Kernel:
    """``fl(float(sum (x - zx) w) * fl(sx * sw[c]))`` on codes, else float."""
    grid, weight, w, grouped = grid_of(node, node.op.operands[0]), weight_of(node, node.op.operands[1]), node.constant(1), node.name == CONVS[1]
    window = {key: node.parameter(key) for key in ("strides", "pads", "dilations")}
    groups = int(w.shape[0]) if grouped else 1
    if grid is None or weight is None:
        return as_onnx(node, "Conv", (0, w.flatten(0, 1) if grouped else 1), **window, group=groups)
    sums = integer_conv(weight[0], x_zero=grid.zero, **window, groups=groups)
    factor = (weight[1] * float(grid.step)).reshape(-1, *[1] * len(window["strides"]))
    return lambda x, _: sums(grid.codes(x)).to(torch.float32) * factor


@kernel("openvino.MatMul", fresh=True)
def _matmul(node: Node) -> Kernel:
    """As a convolution, where b is a quantized matrix."""
    grid, weight = grid_of(node, node.op.operands[0]), weight_of(node, node.op.operands[1])
    left, right = node.parameter("transA"), node.parameter("transB")
    if grid is None or weight is None or left:
        return lambda a, b: torch.matmul(a.mT if left else a, b.mT if right else b)
    sums, factor = integer_matmul(weight[0].T if right else weight[0], x_zero=grid.zero), weight[1] * float(grid.step)
    return lambda a, _: sums(grid.codes(a)).to(torch.float32) * factor


# ---------------------------------------------------------------- as ONNX's operators
@kernel("openvino.AvgPool", "openvino.ReduceMean", fresh=True)
def _mean(node: Node) -> Kernel:
    """Of codes the scale comes after the mean: ``fl(fl(sum (x - zx) / count) * sx)``."""
    theirs, row = LIKE[node.name.removeprefix("openvino.")]
    run = as_onnx(node, theirs, **{key: node.parameter(key) for key in onnx_attributes(row)})
    grid = grid_of(node, node.op.operands[0])
    return run if grid is None else lambda x, *axes: run(grid.centred(x), *axes) * float(grid.step)


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
delegated("openvino.HardSigmoid", "HardSigmoid", (0,), alpha=lambda n: n.constant(1).item(),
          beta=lambda n: n.constant(2).item())  # fmt: skip
delegated("openvino.Clamp", "Clip", lambda n: (0, torch.tensor(n.parameter("min")), torch.tensor(n.parameter("max"))))
