"""Runtimes whose graph stays float and says between the operations on which grid the numbers lie.

Their records are ``fake`` (float in, numbers on a grid out) and ``dequantize`` (a constant's codes in, floats out);
all others read and give floats. What the runtime computes on integers it finds by looking back to these two, through
records that only move numbers.
"""

from __future__ import annotations

import numpy as np

from qir.dialects.qsim import DecodeOp, EncodeOp, QuantizerOp
from qir.interpreter.lookup import symbols_of
from qir.interpreter.quantizers import quantization_of
from qir.ir import Attribute, Diagnostic, Operation, QirError, Severity, Trait, Value
from qir.ir.records import RecordOp
from qir.passes.lower.groups import record
from qir.passes.lower.reading import array_of
from qir.passes.quantize.queries import symbol
from qir.rewrite import RewritePattern, Rewriter
from qir.target import Target

__all__ = ["FakePattern", "OnTheGrid", "absorbed_by", "check_fakes", "grid_source", "readers", "weight_source"]


class FakePattern(RewritePattern):
    """decode(encode(x, q), q) = fake(x, q); decode(constant codes, q) = dequantize(codes, q).

    Where a constant stands in an activation's place, with a zero point, its numbers get a fake. The quantizer is noted
    in `quant` for the fake's result, for the operand of a dequantize.
    """

    roots = ("qsim.decode",)
    depth = 2

    def __init__(self, fake: str, dequantize: str) -> None:
        self.name, self.fake, self.dequantize = f"{fake.replace('.', '-').lower()}s", fake, dequantize

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        assert isinstance(op, DecodeOp)
        name, source, codes = symbol(op), op.x.defining_op, array_of(op.x)
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

    `carries` are the records that move numbers, by their IR names; of those named in `joins` all operands must lie on
    the grid, of the others the first.
    """

    depth = 8

    def __init__(self, fake: str, carries: frozenset[str], joins: frozenset[str]) -> None:
        self.name, self.roots = f"{fake.replace('.', '-').lower()}-on-the-grid", (fake,)
        self.fake, self.carries, self.joins = fake, carries, joins

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        source = op.operands[0].defining_op
        if source is None or source.name not in self.carries:
            return False
        if not self._lies(op.operands[0], op.attributes["quant"]):
            return False
        rewriter.replace(op, op.operands[0])
        return True

    def _lies(self, value: Value, quant: Attribute) -> bool:
        op = value.defining_op
        if op is None or op.name not in self.carries:
            return op is not None and op.name == self.fake and op.attributes["quant"] == quant
        return all(self._lies(v, quant) for v in (op.operands if op.name in self.joins else op.operands[:1]))


# ---------------------------------------------------------------- looking back and forth
def grid_source(value: Value, fake: str, carries: frozenset[str]) -> RecordOp | None:
    """The fake on whose grid a value's numbers lie; None where there is none."""
    op = value.defining_op
    while op is not None and op.name in carries:
        op = op.operands[0].defining_op
    return op if isinstance(op, RecordOp) and op.name == fake else None


def weight_source(value: Value, dequantize: str, reshape: str) -> RecordOp | None:
    """The dequantize of a constant that a weight is, whatever its shape was made into."""
    op = value.defining_op
    while op is not None and op.name == reshape:
        op = op.operands[0].defining_op
    return op if isinstance(op, RecordOp) and op.name == dequantize and array_of(op.operands[0]) is not None else None


def readers(value: Value, carries: frozenset[str]) -> set[str]:
    """The records that compute with a value's numbers, behind those that only move them."""
    found = (readers(user.results[0], carries) if user.name in carries else {user.name} for user in value.users)
    return set[str]().union(*found)


def absorbed_by(value: Value, absorbed: frozenset[str]) -> Operation | None:
    """The record that computes a value which nothing else reads, with what is `absorbed` into it behind it."""
    while value.has_one_use() and (op := value.defining_op) is not None:
        if op.name not in absorbed:
            return op
        sources = (v for v in op.operands if v.defining_op is None or not v.defining_op.has_trait(Trait.CONSTANT_LIKE))
        value = next(sources, value)
    return None


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
