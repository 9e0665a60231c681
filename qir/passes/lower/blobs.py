"""Records that quantize what they read, give codes to each other, and have one reader per value.

Where such a runtime's groups have become records, ``qsim.encode`` are left in front of them: `AbsorbEncode` takes these
into the records. `SplitFanout` gives every reader of a value one of its own, `check_blobs` says what breaks the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from qir.ir import Diagnostic, IntegerType, Operation, QirError, Severity, TensorType, Type, Value
from qir.ir.records import RecordOp
from qir.passes.lower.groups import quant_attribute
from qir.passes.quantize.queries import symbol
from qir.rewrite import RewritePattern, Rewriter, constant_of

__all__ = ["AbsorbEncode", "Handover", "SplitFanout", "check_blobs"]


@attrs.frozen
class Handover:
    """Which records, by their IR names, deal with codes how.

    - `takes`: those that read codes or floats as their first operand, and quantize floats by the quantizer that their
      `quant` names for it; those that name none take floats only.
    - `gives`: those that can give codes instead of floats, and the attributes that make them; None for one that can't.
    - `passes`: those that give the codes that they read, where all have one scale, and whether this one does.
    - `split`: the record that gives each reader of a value one of its own.
    """

    takes: frozenset[str]
    gives: Mapping[str, Callable[[RecordOp], Mapping[str, object] | None]]
    passes: Mapping[str, Callable[[RecordOp], bool]]
    split: str


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

    Constants are left alone: they are data of the records that read them. So are readers in the bodies of other
    operations, for no record has one: the pass names those operations.
    """

    roots = ("func.func",)

    def __init__(self, split: str) -> None:
        self.name, self.split = f"{split.replace('.', '-').lower()}-fanout", split

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        block = op.regions[0].block
        changed = False
        for value in [*block.args, *(r for inner in block for r in inner.results)]:
            source = value.defining_op
            if constant_of(value) is None and (source is None or source.name != self.split):
                changed = self._split(value, source.next if source is not None else block.first, rewriter) or changed
        return changed

    def _split(self, value: Value, before: Operation | None, rewriter: Rewriter) -> bool:
        block = value.block
        assert block is not None
        order = {inner: i for i, inner in enumerate(block)}
        users = sorted((user for user in value.users if user in order), key=order.__getitem__)
        readers = [(user, i) for user in users for i, v in enumerate(user.operands) if v is value]
        if len(readers) < 2:
            return False
        source = value.defining_op
        quant = quant_attribute([_quantizer(value)] * (1 + len(readers)))
        with rewriter.at(block, before):
            made = rewriter.op(self.split, [value], {"quant": quant}, [value.type] * len(readers),
                               location=source.location if source is not None else None)  # fmt: skip
        for (user, index), result in zip(readers, made.results, strict=True):
            result.name = None if value.name is None else f"{value.name}_{result.index}"
            rewriter.set_operand(user, index, result)
        return True


def _quantizer(value: Value) -> str | None:
    """The quantizer of a record's result."""
    source = value.defining_op
    if not isinstance(source, RecordOp):
        return None
    return source.quantizer_names()[len(source.operands) + next(r.index for r in source.results if r is value)]


# ---------------------------------------------------------------- what breaks the rules
def check_blobs(module: Operation, handover: Handover) -> None:
    """Raise a QirError with every value that has several readers, and all codes that a record reads as something else.

    For both runtimes have no error: they give wrong numbers.
    """
    found = [
        Diagnostic(Severity.ERROR, op.location, message, hint=hint)
        for op in module.walk()
        for value in op.results
        if isinstance(op, RecordOp)
        for message, hint in _wrong(value, handover)
    ]
    if found:
        raise QirError(found)


def _wrong(value: Value, handover: Handover) -> Iterator[tuple[str, str]]:
    if sum(list(user.operands).count(value) for user in value.users) > 1:
        yield "has a result that is read more than once", f"each reader needs one of its own, of {handover.split}"
    if not _is_codes(value):
        return
    passing, given = ", ".join(sorted(handover.passes)), _quantizer(value)
    for user in value.users:
        if not _takes(user, value, handover):
            yield (f"gives codes to {user.name}, which reads them as something else",
                   f"codes go to {', '.join(sorted(handover.takes))}, directly or through {passing}")  # fmt: skip
            continue
        assert isinstance(user, RecordOp)
        if user.quantizer_names()[list(user.operands).index(value)] != given:
            yield (f"gives codes of @{given} to {user.name}, which reads them by another quantizer",
                   "let both name one quantizer")  # fmt: skip


def _is_codes(value: Value) -> bool:
    return (
        isinstance(value.type, TensorType)
        and isinstance(value.type.element, IntegerType)
        and value.type.element.width == 8
    )


def _takes(user: Operation, value: Value, handover: Handover) -> bool:
    if not isinstance(user, RecordOp):
        return False
    if user.name in handover.takes:
        return user.operands[0] is value and user.quantizer_names()[0] is not None
    passes = handover.passes.get(user.name)
    return user.name == handover.split or (passes is not None and passes(user) and all(map(_is_codes, user.operands)))
