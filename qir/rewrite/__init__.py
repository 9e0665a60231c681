"""Rewriting: patterns as expressions, and the greedy driver that applies them.

::

    from qir.rewrite import Match, Node, PatternSet, Rewriter, Value, apply_patterns, const, onnx, opt, pattern

    @pattern
    def fold_scale(x: Value, w: Value, s: Value) -> Node:
        "matmul(x, w) · s = matmul(x, w·s) for a number s"
        return onnx.Mul(onnx.MatMul(x, const(w)), const(s))

    fold_scale.where("the factor is not one number", lambda m: m.splat("s") is not None)

    @fold_scale.rewrite
    def _(m: Match, rewriter: Rewriter) -> Operation:
        w = rewriter.constant(m.array("w") * m.array("s").item(), m.w.name)
        return rewriter.op("onnx.MatMul", [m.x, w])

    apply_patterns(module, PatternSet([fold_scale]), ctx)

Words: ``onnx.Conv(x, w)``, ``onnx["Mul", "Div"](x, y)``, ``op("my.Op")(x)``, ``const(w)``, ``const(1.0)``, ``opt(b)``,
``rest("xs")``, ``any_of(p, q)``, ``fake(x, q)``, ``maybe_fake(x, q)``, ``encode(x, q)``, ``decode(x, q)``; on a node
``[1]`` (a further result), ``.shared()``, ``.where(reason, f)``, ``.bind("name")``; keywords of an operation are its
attributes: a literal, a predicate, or a parameter of type `Attr`.
"""

from qir.ir.core import Operation, Value
from qir.rewrite.constants import constant_array, constant_of, is_absent, splat_of
from qir.rewrite.control import DebugCounter, RewriteControl, control_of
from qir.rewrite.driver import Folder, apply_patterns
from qir.rewrite.language import (
    Attr,
    DialectWords,
    Pattern,
    Quantizer,
    any_of,
    const,
    decode,
    encode,
    fake,
    maybe_fake,
    onnx,
    op,
    opt,
    pattern,
    qsim,
    rest,
    words,
)
from qir.rewrite.match import Match
from qir.rewrite.matcher import Progress, attribute_value
from qir.rewrite.nodes import Node, PatternError
from qir.rewrite.pattern_set import PatternSet, RewritePattern
from qir.rewrite.rewriter import Rewriter

__all__ = [
    "Attr",
    "DebugCounter",
    "DialectWords",
    "Folder",
    "Match",
    "Node",
    "Operation",
    "Pattern",
    "PatternError",
    "PatternSet",
    "Progress",
    "Quantizer",
    "RewriteControl",
    "RewritePattern",
    "Rewriter",
    "Value",
    "any_of",
    "apply_patterns",
    "attribute_value",
    "const",
    "constant_array",
    "constant_of",
    "control_of",
    "decode",
    "encode",
    "fake",
    "is_absent",
    "maybe_fake",
    "onnx",
    "op",
    "opt",
    "pattern",
    "qsim",
    "rest",
    "splat_of",
    "words",
]
