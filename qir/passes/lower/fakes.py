"""Runtimes whose graph stays float and says between the operations on which grid the numbers lie.

Their records are ``fake`` (float in, numbers on a grid out) and ``dequantize`` (a constant's codes in, floats out);
all others read and give floats. What the runtime computes on integers it finds by looking back to these two, through
records that only move numbers.
"""

from __future__ import annotations

import numpy as np

from qir.dialects.qsim import DecodeOp, EncodeOp, QuantizerOp
from qir.interpreter.grids import FloatGraph
from qir.interpreter.lookup import symbols_of
from qir.interpreter.quantizers import quantization_of
from qir.ir import Attribute, Diagnostic, Operation, QirError, Severity, Value
from qir.ir.records import RecordOp
from qir.passes.lower.groups import quant_attribute, record
from qir.passes.quantize.queries import symbol
from qir.rewrite import RewritePattern, Rewriter, constant_array
from qir.target import Target

__all__ = ["FakePattern", "OnTheGrid", "SumInUnits", "check_fakes"]


class FakePattern(RewritePattern):
    """decode(encode(x, q), q) = fake(x, q); decode(constant codes, q) = dequantize(codes, q).

    Where a constant stands in an activation's place, with a zero point, its numbers get a fake. The quantizer is noted
    in `quant` for the fake's result, for the operand of a dequantize.
    """

    roots = ("qsim.decode",)
    depth = 2

    def __init__(self, graph: FloatGraph) -> None:
        self.name, self.fake, self.dequantize = f"{graph.fake.replace('.', '-').lower()}s", graph.fake, graph.dequantize

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        assert isinstance(op, DecodeOp)
        name, source, codes = symbol(op), op.x.defining_op, constant_array(op.x)
        quantizer = rewriter.lookup(op, name)
        if not isinstance(quantizer, QuantizerOp):
            return False
        if isinstance(source, EncodeOp) and symbol(source) == name:
            x = source.x
        elif codes is None:
            return False
        elif quantizer.scheme.symmetric:
            rewriter.replace(op, record(rewriter, self.dequantize, [op.x], op.y.type, quant=[name, None]))
            return True
        else:
            scale, zero = quantizer.parameters()
            centred = codes.astype(np.int64) - (quantizer.scheme.fixed_zero if zero is None else zero)
            x = rewriter.constant((centred * scale).astype(np.float32), op.y.name)
        rewriter.replace(op, record(rewriter, self.fake, [x], op.y.type, quant=[None, name]))
        return True


class OnTheGrid(RewritePattern):
    """fake(move(fake(x, q)), q) = move(fake(x, q)): numbers that were only moved lie on their grid already.

    Of the records named in `joins` all operands must lie on the grid, of the others the first.
    """

    depth = 8

    def __init__(self, graph: FloatGraph, *joins: str) -> None:
        self.name, self.roots = f"{graph.fake.replace('.', '-').lower()}-on-the-grid", (graph.fake,)
        self.graph, self.joins = graph, joins

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        source = op.operands[0].defining_op
        if source is None or not self.graph.moves(source):
            return False
        if not self._lies(op.operands[0], op.attributes["quant"]):
            return False
        rewriter.replace(op, op.operands[0])
        return True

    def _lies(self, value: Value, quant: Attribute) -> bool:
        op = value.defining_op
        if op is None or not self.graph.moves(op):
            return op is not None and op.name == self.graph.fake and op.attributes["quant"] == quant
        return all(self._lies(v, quant) for v in (op.operands if op.name in self.joins else op.operands[:1]))


class SumInUnits(RewritePattern):
    """fake(relu(x + y)), y on a grid: the sum is taken in steps of that grid, ``x / s + (code - zero)``.

    For runtimes that move the scale of y behind the sum, and there into the range of the fake. That changes the
    rounding alone: the quantizer of y (of the second operand, if both are on grids) is noted in `quant` as that of the
    sum, and of what the fake reads. `add` and `through` are the records of sums, and of what may stand between.
    """

    depth = 8

    def __init__(self, graph: FloatGraph, add: str, through: frozenset[str]) -> None:
        self.name, self.roots = f"{graph.fake.replace('.', '-').lower()}-units", (graph.fake,)
        self.graph, self.add, self.through = graph, add, through

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        add = op.operands[0].defining_op
        while add is not None and add.name in self.through and add.results[0].has_one_use():
            add = add.operands[0].defining_op
        if add is None or add.name != self.add or not add.results[0].has_one_use() or "quant" in add.attributes:
            return False
        sources = [self.graph.source(value) for value in add.operands]
        names = [None if source is None else source.quantizer_names()[1] for source in sources]
        unit = names[1] or names[0]
        if unit is None:
            return False
        assert isinstance(op, RecordOp)
        rewriter.set_attr(op, "quant", quant_attribute([unit, op.quantizer_names()[1]]))
        rewriter.set_attr(add, "quant", quant_attribute([*names, unit]))
        return True


def check_fakes(module: Operation, fake: str, target: Target, scheme: str) -> None:
    """Raise a QirError with every fake whose quantizer has other codes or another granularity than the scheme."""
    wanted, symbols, found = target.schemes[scheme], symbols_of(module), []
    for op in module.walk():
        q = quantization_of(op, 1, symbols.get) if isinstance(op, RecordOp) and op.name == fake else None
        if q is None:
            continue
        codes, scales = int(q.scheme.qmax - q.scheme.qmin) + 1, q.scheme.granularity
        if (codes, scales) != (int(wanted.qmax - wanted.qmin) + 1, wanted.granularity):
            message = f"{target.name} cannot keep @{q.name}: it has {codes} codes, {scales}"
            found.append(Diagnostic(Severity.ERROR, op.location, message, hint=f"what runs is {wanted}"))
    if found:
        raise QirError(found)
