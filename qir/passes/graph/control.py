"""Control flow that is decided before the model runs."""

from __future__ import annotations

from qir.dialects.onnx import region_names
from qir.ir import Operation, Value
from qir.rewrite import RewritePattern, Rewriter, constant_array

__all__ = ["CONTROL", "InlineIf"]


class InlineIf(RewritePattern):
    """if(true) {a} {b} = a, if(false) {a} {b} = b: the operations of the branch stand where the If stood."""

    name = "inline-if"
    roots = ("onnx.If",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        condition = constant_array(op.operands[0])
        if condition is None or condition.size != 1 or len(op.regions) != 2:
            return False
        names = op.attr("onnx.regions") or region_names(op.name)
        branch = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
        if branch not in names:
            return False
        block = op.regions[tuple(names).index(branch)].block
        terminator = block.last
        assert terminator is not None
        values: list[Value] = list(terminator.operands)
        for inner in list(block):
            if inner is not terminator:
                inner.detach()
                rewriter.insert(inner)
        around = op.parent_op
        while around is not None:  # nodes of two graphs may have had one name: they are in one graph now
            around.attributes.pop("onnx.shared_node_names", None)
            around = around.parent_op
        rewriter.replace(op, values)
        return True


CONTROL = [InlineIf()]
