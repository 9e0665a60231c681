"""Kernels of runtimes whose graph stays float: what they compute on codes, found by looking back in the graph.

Values between records are numbers on a grid. The codes are taken back from them, which is exact; the grid is that of
the *fake* (float in, numbers on a grid out) that they come from through records that only move numbers, and a weight is
the result of a *dequantize* of a constant.
"""

from __future__ import annotations

import attrs
import numpy as np
import torch
from torch import Tensor

from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.node import Node
from qir.interpreter.quantizers import Quantization, quantization_of
from qir.interpreter.registry import Kernel
from qir.ir import Operation, Value
from qir.ir.records import RecordOp
from qir.numerics.span import SpanGrid
from qir.rewrite import constant_of

__all__ = ["FloatGraph", "conv_on_grid", "fake_of_scaled_sums", "fake_of_sums", "grid_of", "matmul_on_grid",
           "sum_in_units"]  # fmt: skip

SAME_SHIFT = 5e-5
"""Shifts of channels that differ by less are taken to be that of the first."""

NO_SHIFT = 1e-5
"""A shift for all channels that is a smaller part of the codes' range is taken to be none."""

Bounds = tuple[float, float]

Weight = tuple[Tensor, Tensor]
"""Codes, in the layout of their constant, and scales: one, or one per output channel."""


@attrs.frozen
class FloatGraph:
    """The IR names of a dialect's records: `fake`, `dequantize`, `reshape`, `add`, `clamp` (by `min` and `max`), those
    that carry numbers on unchanged, and those that the record before them absorbs."""

    fake: str
    dequantize: str
    reshape: str
    add: str
    clamp: str
    carries: frozenset[str]
    absorbed: frozenset[str]

    def moves(self, op: Operation) -> bool:
        """Whether an operation carries numbers on: not where its mode is to work out those between."""
        return op.name in self.carries and op.attr("mode", "") not in ("linear", "cubic")

    def source(self, value: Value) -> RecordOp | None:
        """The fake on whose grid a value's numbers lie; None where there is none."""
        op = value.defining_op
        while op is not None and self.moves(op):
            op = op.operands[0].defining_op
        return op if isinstance(op, RecordOp) and op.name == self.fake else None

    def grid(self, node: Node, value: Value) -> SpanGrid | None:
        """The grid of a value's numbers, where its codes are 8 bits wide."""
        source = self.source(value)
        q = None if source is None else quantization_of(source, 1, node.settings.symbols.get)
        return None if q is None or (found := grid_of(q)).levels != 256 else found

    def readers(self, value: Value) -> set[str]:
        """The records that compute with a value's numbers, behind those that only move them."""
        found = (self.readers(u.results[0]) if self.moves(u) else {u.name} for u in value.users)
        return set[str]().union(*found)

    def maker(self, value: Value) -> Operation | None:
        """The record that computes a value which nothing else reads, with what it absorbs behind it."""
        while value.has_one_use() and (op := value.defining_op) is not None:
            if op.name not in self.absorbed:
                return op
            value = next((v for v in op.operands if constant_of(v) is None), value)
        return None

    def clipped(self, value: Value) -> tuple[Value, Bounds]:
        """What a value is clipped from by the record that makes it, if it is, and the bounds in float32."""
        op = value.defining_op
        if not isinstance(op, RecordOp) or op.name != self.clamp:
            return value, (-np.inf, np.inf)
        return op.operands[0], (float(np.float32(op.parameter("min"))), float(np.float32(op.parameter("max"))))

    def bias(self, value: Value, device: torch.device) -> tuple[Value, Tensor | None]:
        """What a constant for each of the last axis, or one for all, is added to, and that constant."""
        op = value.defining_op
        if op is None or op.name != self.add:
            return value, None
        for x, held in zip(op.operands, map(constant_of, reversed(op.operands)), strict=True):
            if held is not None and held.numpy().size in (1, *held.numpy().shape[-1:]):
                return x, torch.from_numpy(held.numpy().reshape(-1)).to(device)
        return value, None

    def weight(self, node: Node, value: Value) -> Weight | None:
        """The weight that a value is, whatever its shape was made into; None without one of a scale per channel."""
        op = value.defining_op
        while op is not None and op.name == self.reshape:
            op = op.operands[0].defining_op
        held = constant_of(op.operands[0]) if op is not None and op.name == self.dequantize else None
        if held is None or not isinstance(op, RecordOp):
            return None
        q = quantization_of(op, 0, node.settings.symbols.get)
        if q is None or q.scale.dim() > 1:
            return None
        return torch.from_numpy(held.numpy().astype(np.int8)).to(node.device), q.scale.to(node.device)


def grid_of(q: Quantization, unit: SpanGrid | None = None) -> SpanGrid:
    """The grid of a quantizer with one scale, in steps of `unit` if there is one."""
    return SpanGrid(q.scale.item(), int(q.zero) - int(q.scheme.qmin), int(q.scheme.qmax - q.scheme.qmin) + 1, unit)


def conv_on_grid(node: Node, grid: SpanGrid, weight: Weight, groups: int) -> Kernel:
    """``fl(float(sum (x - zx) w) * fl(sx * sw[c]))``; the record's parameters are strides, pads and dilations."""
    window = {key: node.parameter(key) for key in ("strides", "pads", "dilations")}
    sums = integer_conv(weight[0], x_zero=grid.zero, **window, groups=groups)
    factor = (weight[1] * grid.size).reshape(-1, *[1] * len(window["strides"]))
    return lambda x, _: sums(grid.codes(x)).to(torch.float32) * factor


def matmul_on_grid(grid: SpanGrid, weight: Weight, transposed: bool) -> Kernel:
    """The same of a product with a matrix ``[K, N]``, or ``[N, K]`` if transposed."""
    sums = integer_matmul(weight[0].T if transposed else weight[0], x_zero=grid.zero)
    factor = weight[1] * grid.size
    return lambda a, _: sums(grid.codes(a)).to(torch.float32) * factor


def sum_in_units(grids: tuple[SpanGrid | None, SpanGrid | None]) -> Kernel:
    """The sum of two operands, in steps of the grid of one (the second, if both are on grids).

    ``fl(fl(x * fl(1 / s)) + (code - zero))`` of another float, ``fl(fl((code' - zero') * fl(s' / s)) + (code - zero))``
    of another grid.
    """
    last = 1 if grids[1] is not None else 0
    unit, other = grids[last], grids[1 - last]
    assert unit is not None
    factor = float((1 if other is None else other.step) / unit.step)

    def run(*operands: Tensor) -> Tensor:
        x = operands[1 - last]
        return (x if other is None else other.centred(x)) * factor + unit.centred(operands[last])

    return run


def fake_of_sums(grid: SpanGrid, scale: Tensor, offset: Tensor, down: int) -> Kernel:
    """The fake of a product without a bias, made of its sums: the range is divided by the scale of each column.

    ``rhe(fl(fl((sum + offset) * isc) + ish))`` with ``fl(fl(low / scale) + offset)`` for low, and so for high; `offset`
    is what the zero point adds to a sum, `down` is subtracted from ish (codes are stored so much lower). Of one range
    for all columns isc and ish are applied by fma, isc as ``fl(1 / fl(1 / isc))`` where ish is 0.
    """
    low, high = (torch.full_like(scale, float(end)) / scale + offset for end in (grid.low, grid.high))
    last = torch.full_like(scale, grid.levels - 1)
    factor, shift = last / (high - low), _common(-low * last / (high - low), down, grid.levels)
    one = bool((factor == factor[0]).all() and (shift == shift[0]).all())
    if one and shift[0] == 0:
        factor = 1 / (1 / factor)

    def run(x: Tensor) -> Tensor:
        sums = ((x.double() / scale.double()).round() + offset.double()).float().clamp(low, high)
        codes = (sums.double() * factor.double() + shift.double()).float() if one else sums * factor + shift
        return (codes.round() + (down - grid.zero)) * grid.size

    return run


def _common(shift: Tensor, down: int, levels: int) -> Tensor:
    """The shifts of channels less `down`: the first for all if the others are near, 0 where that is next to none."""
    if (shift - shift[0]).abs().max() < SAME_SHIFT:
        shift = shift[:1].expand_as(shift)
        if abs(float(shift[0]) - down) < (levels - 1) * NO_SHIFT:
            return torch.zeros_like(shift)
    return shift - down


def fake_of_scaled_sums(
    grid: SpanGrid, scale: Tensor, bias: Tensor | None, bounds: Bounds, apart: bool, down: int
) -> Kernel:
    """The fake of ``clip(sum * scale[c] + bias[c])``, with scale, bias and clip made part of the fake.

    ``rhe(fl(fl(sum * fl(isc * scale[c])) + shift[c]))``, ``shift[c] = fl(ish + fl(bias[c] * isc))``, kept between the
    codes of the ends: of `bounds` and of the range those that are the narrower. An end's code is ``rhe(fl(fl(fl(end -
    bias[c]) * isc) + shift[c]))``; what was clipped is known by its number, which is the end. If the scale is `apart`
    from the product (something is subtracted in between), an end is divided by it, then multiplied by ``fl(isc *
    scale[c])``. Where one factor and one shift are for all channels, they are applied by fma. `down` is subtracted
    from shifts (codes are stored so much lower).
    """
    isc, ish = (torch.full_like(scale, float(part)) for part in (grid.factor, grid.shift))
    offset = torch.zeros_like(scale) if bias is None else bias
    factor, shift = isc * scale, _common(ish + offset * isc, 0, grid.levels)
    ends = [torch.full_like(scale, min(max(bound, float(grid.low)), float(grid.high))) for bound in bounds]
    first, last = ((((e - offset) / scale * factor if apart else (e - offset) * isc) + shift).round() for e in ends)
    shift = _common(shift, down, grid.levels)
    one = not apart and bool((shift == shift[0]).all()) and shift[0] != 0

    def run(x: Tensor) -> Tensor:
        sums = ((x.double() - offset.double()) / scale.double()).round().float()
        if one:
            codes = ((sums * scale).double() * isc.double() + shift.double()).float()
        else:
            codes = sums * factor + shift
        codes = (codes.round() + down).clamp(first, last)
        codes = torch.where(x <= ends[0], first, torch.where(x >= ends[1], last, codes))
        return (codes.clamp(0, grid.levels - 1) - grid.zero) * grid.size

    return run
