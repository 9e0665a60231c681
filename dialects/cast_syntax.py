"""The pretty form of casts: ``%y = quant.qcast %x : t to u``, as MLIR prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qir.ir.core import Operation

if TYPE_CHECKING:
    from qir.text.clauses import ClauseReader, ClauseWriter

__all__ = ["CastOp"]


class CastOp(Operation):
    """Base of operations that change types: values, attributes, ``: types to types``."""

    __slots__ = ()

    @classmethod
    def from_clauses(cls, clauses: ClauseReader) -> Operation:
        names = clauses.names()
        attributes = clauses.attributes()
        types = clauses.types()
        return cls.create(clauses.values(names, types), clauses.targets(), attributes)

    def to_clauses(self, writer: ClauseWriter) -> str | None:
        if not self.operands or not self.results:
            return None
        types, results = (", ".join(str(v.type) for v in values) for values in (self.operands, self.results))
        return f"{writer.values(self.operands)}{writer.attributes()} : {types} to {results}"
