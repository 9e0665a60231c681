"""Rewrites of two records, one of which alone reads the other: what runtimes fuse when records stand side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qir.ir import Operation
from qir.ir.records import RecordOp
from qir.passes.lower.groups import quant_attribute
from qir.rewrite import RewritePattern, Rewriter, constant_array

__all__ = ["ComposeShapes", "FuseBias"]

Attributes = Mapping[str, Any]


class _Neighbours(RewritePattern):
    """A record and the one that makes its first operand, where nothing else reads that."""

    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        source = op.operands[0].defining_op if op.operands else None
        if not isinstance(op, RecordOp) or not isinstance(source, RecordOp) or not op.operands[0].has_one_use():
            return False
        return self.fuse(op, source, rewriter)

    def fuse(self, op: RecordOp, source: RecordOp, rewriter: Rewriter) -> bool:
        raise NotImplementedError


class FuseBias(_Neighbours):
    """product(x, w) + b = product(x, w, b) for a constant (the record `data`) of one number per row of w.

    `products` are the records, each with what says that it has a bias; `adds` tells a sum from its record's other
    kinds.
    """

    name = "fuse-bias"

    def __init__(
        self, products: Mapping[str, Attributes], data: str, add: str, adds: Callable[[RecordOp], bool]
    ) -> None:
        self.products, self.data, self.roots, self.adds = products, data, (add,), adds

    def fuse(self, op: RecordOp, source: RecordOp, rewriter: Rewriter) -> bool:
        held = op.operands[1].defining_op if len(op.operands) > 1 else None
        if held is None or held.name != self.data or source.name not in self.products or len(source.operands) != 2:
            return False
        numbers, rows = constant_array(held.operands[0]), constant_array(source.operands[1])
        if numbers is None or rows is None or not numbers.size == numbers.shape[-1] == len(rows):
            return False
        if not self.adds(op):
            return False
        assert source.parent is not None
        with rewriter.at(source.parent, source):
            bias = rewriter.constant(numbers.reshape(-1), held.operands[0].name)
        names = source.quantizer_names()
        rewriter.set_operands(source, [*source.operands, bias])
        rewriter.set_attr(source, "quant", quant_attribute([*names[:2], None, *names[2:]]))
        for key, value in self.products[source.name].items():
            rewriter.set_attr(source, key, value)
        rewriter.replace(op, source.results[0])
        return True


class ComposeShapes(_Neighbours):
    """reshape(reshape(x)) = reshape(x), for records that say their result's whole shape."""

    name = "compose-shapes"

    def __init__(self, records: Sequence[str]) -> None:
        self.roots = tuple(records)

    def fuse(self, op: RecordOp, source: RecordOp, rewriter: Rewriter) -> bool:
        if source.name not in self.roots:
            return False
        rewriter.set_operand(op, 0, source.operands[0])
        return True
