"""``cse``: common subexpressions, computed once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

import attrs

from qir.ir import (
    Block,
    Context,
    DenseResourceAttr,
    Operation,
    TensorAttr,
    Trait,
    same_data,
)
from qir.ir.types import NoneType
from qir.passes.base import Pass, option
from qir.passes.registry import register_pass
from qir.rewrite import Rewriter

__all__ = ["CommonSubexpressions"]

_ABSENT = object()
Known = dict[Hashable, list[tuple[Operation, list[TensorAttr]]]]
"""The operations met so far by a key that equal ones share, each with its tensors, which must be compared besides."""


@register_pass
@attrs.frozen
class CommonSubexpressions(Pass):
    """Compute equal expressions once: pure operations with equal operands and attributes.

    Constants are equal if their data is; that of large ones is compared only where they are the same tensor in the
    file.
    """

    name: ClassVar[str] = "cse"
    anchor: ClassVar[str | None] = None
    compare_limit: int = option(1 << 16, "compare the data of constants of up to so many bytes")

    def run(self, module: Operation, ctx: Context) -> bool:
        rewriter = Rewriter(ctx)
        pending: list[tuple[Operation, Known]] = [(module, {})]
        while pending:
            op, known = pending.pop()
            for region in op.regions:
                for block in region.blocks:
                    # A block sees what is known around it, unless its operation is isolated from that.
                    seen = {} if op.has_trait(Trait.ISOLATED_FROM_ABOVE) else {k: list(v) for k, v in known.items()}
                    pending += [(inner, seen) for inner in self._block(block, seen, rewriter)]
        if rewriter.erased:
            self.count(ctx, "operations merged", rewriter.erased)
        return rewriter.changes > 0

    def _block(self, block: Block, seen: Known, rewriter: Rewriter) -> list[Operation]:
        """Merge what is equal in one block; returns its operations with regions."""
        nested = []
        for op in block:
            if op.regions:
                nested.append(op)
                continue
            if (
                not op.has_trait(Trait.PURE)
                or not op.results
                or (not op.operands and not op.has_trait(Trait.CONSTANT_LIKE))
            ):
                continue
            key, tensors = self._key(op)
            candidates = seen.setdefault(key, [])
            for other, held in candidates:
                if _same_tensors(tensors, held):
                    for old, new in zip(op.results, other.results, strict=True):
                        rewriter.replace_all_uses(old, new)
                    rewriter.erase(op)
                    break
            else:
                candidates.append((op, tensors))
        return nested

    def _key(self, op: Operation) -> tuple[Hashable, list[TensorAttr]]:
        """A key that equal operations share, and the tensors that must be compared besides."""
        tensors: list[TensorAttr] = []
        parts: list[Hashable] = []
        for name, value in sorted(op.attributes.items()):
            if isinstance(value, DenseResourceAttr) and value.tensor is not None:
                large = value.tensor.nbytes > self.compare_limit
                identity = id(value.tensor) if large else None
                parts.append((name, value.type, identity if large else hash(_bytes(value))))
                tensors.append(value)
            else:
                parts.append((name, value))
        operands = tuple(_ABSENT if isinstance(v.type, NoneType) else v for v in op.operands)
        return (op.name, operands, tuple(r.type for r in op.results), tuple(parts)), tensors


def _bytes(value: DenseResourceAttr) -> bytes:
    assert value.tensor is not None
    return bytes(value.tensor.tobytes())


def _same_tensors(a: list[TensorAttr], b: list[TensorAttr]) -> bool:
    return all(same_data(x, y) for x, y in zip(a, b, strict=True))
