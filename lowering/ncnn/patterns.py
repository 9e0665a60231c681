"""From a materialised module to layers: one for each group, then what ncnn fuses, then one reader for every blob."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qir.ir import Operation
from qir.ir.records import RecordOp
from qir.lowering.ncnn.emitters import EMITTERS
from qir.passes.lower.blobs import AbsorbEncode, Handover, SplitFanout
from qir.passes.lower.groups import group_patterns, quant_attribute
from qir.passes.lower.reading import array_of
from qir.rewrite import PatternSet, RewritePattern, Rewriter
from qir.target import Target

__all__ = ["CODES", "lowering_patterns"]

CONVOLUTIONS = ("ncnn.Convolution", "ncnn.ConvolutionDepthWise")
RESHAPES = ("ncnn.Reshape", "ncnn.Flatten")
BIAS = {"ncnn.InnerProduct": {"bias_term": 1}, "ncnn.Gemm": {"constant_broadcast_type_C": 4}}
"""Products, and what says that they have a bias."""


def _requantizing(op: RecordOp) -> dict[str, Any] | None:
    term = op.parameter("int8_scale_term")
    return {"int8_scale_term": term + 100} if 0 < term < 100 else None


CODES = Handover(
    takes=frozenset((*CONVOLUTIONS, "ncnn.InnerProduct")),
    gives=dict.fromkeys(CONVOLUTIONS, _requantizing),
    passes={
        "ncnn.Concat": lambda op: True,
        "ncnn.Flatten": lambda op: True,
        "ncnn.ReLU": lambda op: op.parameter("slope") == 0,
        "ncnn.Padding": lambda op: op.parameter("type") == 0 and op.parameter("value") == 0,
    },
)
"""The layers between which int8 blobs were seen to go through unharmed. Pooling, BinaryOp, Interp and Permute give
garbage, silently, and Dequantize takes int32: no layer makes floats of an int8 blob."""


class _Fusion(RewritePattern):
    """A rewrite of an operation and the layer before it."""

    depth = 2

    def __init__(self, name: str, roots: Sequence[str], rewrite: Callable[[Any, Any, Rewriter], bool]) -> None:
        self.name, self.roots, self.rewrite, self.doc = name, tuple(roots), rewrite, rewrite.__doc__ or ""

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        source = op.operands[0].defining_op if op.operands else None
        alone = isinstance(source, RecordOp) and op.operands[0].has_one_use()
        return alone and self.rewrite(op, source, rewriter)


def _activation(op: RecordOp, source: RecordOp, rewriter: Rewriter) -> bool:
    """clip(convolution(x)) = convolution(x) with an activation."""
    if source.name not in (*CONVOLUTIONS, "ncnn.InnerProduct") or source.parameter("activation_type"):
        return False
    if op.name == "ncnn.Clip":
        kind, numbers = 3, (op.parameter("min"), op.parameter("max"))
    else:
        kind, numbers = (2, (op.parameter("slope"),)) if op.parameter("slope") else (1, (0.0,))
    rewriter.set_attr(source, "activation_type", kind)
    rewriter.set_attr(source, "activation_params", numbers)
    rewriter.replace(op, source.results[0])
    return True


def _bias(op: RecordOp, source: RecordOp, rewriter: Rewriter) -> bool:
    """product(x, w) + b = product(x, w, b) for one number per column."""
    data = op.operands[1].defining_op if len(op.operands) > 1 else None
    numbers = array_of(data.operands[0]) if data is not None and data.name == "ncnn.MemoryData" else None
    columns = array_of(source.operands[1]) if source.name in BIAS and len(source.operands) == 2 else None
    if numbers is None or columns is None or not numbers.size == numbers.shape[-1] == len(columns):
        return False
    if op.parameter("op_type") or ("activation_type" in source.attributes):
        return False
    assert source.parent is not None and data is not None
    with rewriter.at(source.parent, source):
        bias = rewriter.constant(numbers.reshape(-1), data.operands[0].name)
    names = source.quantizer_names()
    rewriter.set_operands(source, [*source.operands, bias])
    rewriter.set_attr(source, "quant", quant_attribute([*names[:2], None, *names[2:]]))
    for key, value in BIAS[source.name].items():
        rewriter.set_attr(source, key, value)
    rewriter.replace(op, source.results[0])
    return True


def _reshape(op: RecordOp, source: RecordOp, rewriter: Rewriter) -> bool:
    """reshape(reshape(x)) = reshape(x)."""
    if source.name not in RESHAPES:
        return False
    rewriter.set_operand(op, 0, source.operands[0])
    return True


def lowering_patterns(target: Target) -> list[PatternSet]:
    """The phases, for the data sheet of one mode."""
    fusions = [
        _Fusion("ncnn-fuse-activation", ("ncnn.ReLU", "ncnn.Clip"), _activation),
        _Fusion("ncnn-fuse-bias", ("ncnn.BinaryOp",), _bias),
        _Fusion("ncnn-fuse-reshape", RESHAPES, _reshape),
    ]
    return [
        group_patterns(target, EMITTERS),
        PatternSet(fusions, "ncnn-fusions"),
        PatternSet([AbsorbEncode(CODES)], "ncnn-codes"),
        PatternSet([SplitFanout("ncnn.Split")], "ncnn-fanout"),
    ]
