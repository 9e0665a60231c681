"""A place in a block where operations are inserted."""

from __future__ import annotations

from typing import TypeVar

from qir.ir.core import Block, Operation
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import NoneType

__all__ = ["Builder", "loose_absent"]

Op = TypeVar("Op", bound=Operation)


class Builder:
    """Inserts before an operation, or at the end of a block. Operations without a location get the builder's."""

    def __init__(self, block: Block, before: Operation | None = None, location: Location = UNKNOWN) -> None:
        self.block, self.before, self.location = block, before, location

    @classmethod
    def at(cls, op: Operation) -> Builder:
        """Before `op`, with its location."""
        assert op.parent is not None
        return cls(op.parent, op, op.location)

    @classmethod
    def after(cls, op: Operation) -> Builder:
        """After `op`, with its location."""
        assert op.parent is not None
        return cls(op.parent, op.next, op.location)

    def insert(self, op: Op) -> Op:
        """Insert `op`, and before it the definitions of its absent operands (type none) that are in no block yet."""
        for maker in loose_absent(op):
            self.insert(maker)
        if op.location == UNKNOWN:
            op.location = self.location
        self.block.insert_before(op, self.before)
        return op


def loose_absent(op: Operation) -> list[Operation]:
    """The operations that define absent operands of `op` (type none) and are in no block yet, each once."""
    makers = (value.defining_op for value in op.operands if isinstance(value.type, NoneType))
    return list(dict.fromkeys(maker for maker in makers if maker is not None and maker.parent is None))
