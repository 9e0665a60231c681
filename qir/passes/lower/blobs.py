"""Runtimes whose records pass blobs on: layers that quantize what they read, give codes to each other, and have one
reader per blob.

After the groups are records there are ``qsim.encode`` left in front of them. `AbsorbEncode` takes these into the records,
`SplitFanout` gives every reader of a value a copy of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from qir.ir import Operation, TensorType, Type, Value
from qir.ir.records import RecordOp
from qir.passes.lower.groups import quant_attribute
from qir.passes.quantize.queries import symbol
from qir.rewrite import RewritePattern, Rewriter, constant_of

__all__ = ["AbsorbEncode", "Handover", "SplitFanout"]


@attrs.frozen
class Handover:
    """Which records, by their IR names, deal with codes how.

    - `takes`: those that read codes or floats as their first operand, and quantize floats by the quantizer that their
      `quant` names for it.
    - `gives`: those that can give codes instead of floats, and the attributes that make them; None where this one can't.
    - `passes`: those that give the codes that they read, where all have one scale, and whether this one does.
    """

    takes: frozenset[str]
    gives: Mapping[str, Callable[[RecordOp], Mapping[str, object] | None]]
    passes: Mapping[str, Callable[[RecordOp], bool]]


class AbsorbEncode(RewritePattern):
    """record(encode(x)) = record(x) where the record quantizes x itself; where nothing else reads x and what makes it
    can give codes, that one quantizes instead, and codes go from one to the other."""

    name = "absorb-encode"
    roots = ("qsim.encode",)
    depth = 4

    def __init__(self, handover: Handover) -> None:
        self.handover = handover

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        for user in op.results[0].uses:
            if user.name not in self.handover.takes or user.operands.index(op.results[0]) != 0:
                rewriter.missed = f"{user.name} reads the codes, and does not quantize by itself"
                return False
        x = op.operands[0]
        if self._gives(x):
            self._turn(x, symbol(op), op.results[0].type, rewriter)
        rewriter.replace(op, x)
        return True

    def _gives(self, x: Value) -> bool:
        """Whether codes can stand in the place of floats that have one reader."""
        source = x.defining_op
        if not isinstance(source, RecordOp) or not x.has_one_use():
            return False
        mark, passes = self.handover.gives.get(source.name), self.handover.passes.get(source.name)
        if mark is not None:
            return mark(source) is not None
        return passes is not None and passes(source) and all(map(self._gives, source.operands))

    def _turn(self, x: Value, quantizer: str, codes: Type, rewriter: Rewriter) -> None:
        source = x.defining_op
        assert isinstance(source, RecordOp) and isinstance(x.type, TensorType) and isinstance(codes, TensorType)
        mark = self.handover.gives.get(source.name)
        if mark is None:
            for operand in source.operands:
                self._turn(operand, quantizer, codes, rewriter)
            names: list[str | None] = [quantizer] * (len(source.operands) + 1)
        else:
            for key, value in (mark(source) or {}).items():
                rewriter.set_attr(source, key, value)
            names = [*source.quantizer_names()[:-1], quantizer]
        rewriter.set_attr(source, "quant", quant_attribute(names))
        rewriter.set_type(x, x.type.with_element(codes.element))


class SplitFanout(RewritePattern):
    """Every reader of a value reads a result of its own of the record `split`, in the order of the program.

    Constants are left alone: they are data of the records that read them.
    """

    roots = ("func.func",)

    def __init__(self, split: str) -> None:
        self.name, self.split = f"{split.replace('.', '-').lower()}-fanout", split

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        block = op.regions[0].block
        order = {inner: i for i, inner in enumerate(block)}
        changed = False
        for value in [*block.args, *(r for inner in block for r in inner.results)]:
            source = value.defining_op
            readers = [(u, i) for u in sorted(value.users, key=order.__getitem__) for i, v in enumerate(u.operands) if v is value]
            if len(readers) < 2 or constant_of(value) is not None or (source is not None and source.name == self.split):
                continue
            first = source.next if source is not None else block.first
            quant = None
            if isinstance(source, RecordOp):
                quant = quant_attribute([source.quantizer_names()[len(source.operands) + source.results.index(value)]] * (1 + len(readers)))
            with rewriter.at(block, first):
                made = rewriter.op(self.split, [value], {"quant": quant}, [value.type] * len(readers),
                                   location=source.location if source is not None else None)  # fmt: skip
            for (user, index), result in zip(readers, made.results, strict=True):
                result.name = None if value.name is None else f"{value.name}_{result.index}"
                rewriter.set_operand(user, index, result)
            changed = True
        return changed
