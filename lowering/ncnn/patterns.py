"""From a materialised module to layers: one for each group, then what ncnn fuses, then one reader for every blob."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.ir import Context
from qir.ir.records import RecordOp
from qir.lowering.ncnn.emitters import EMITTERS, runs_winograd
from qir.numerics.winograd import overflowing_channels
from qir.passes.lower.blobs import AbsorbEncode, Handover, SplitFanout, check_blobs
from qir.passes.lower.groups import group_patterns
from qir.passes.lower.neighbours import ComposeShapes, FuseBias
from qir.rewrite import PatternSet, constant_array
from qir.target import Target

__all__ = ["CODES", "lowering_patterns", "verify_lowered"]

CONVOLUTIONS = ("ncnn.Convolution", "ncnn.ConvolutionDepthWise")


def _term(op: RecordOp) -> int:
    return int(op.parameter("int8_scale_term"))


CODES = Handover(
    takes=frozenset((*CONVOLUTIONS, "ncnn.InnerProduct")),
    gives=dict.fromkeys(CONVOLUTIONS, lambda op: {"int8_scale_term": t + 100} if 0 < (t := _term(op)) < 100 else None),
    passes={
        "ncnn.Flatten": lambda op: True,
        "ncnn.ReLU": lambda op: op.parameter("slope") == 0,
        "ncnn.Padding": lambda op: op.parameter("type") == 0 and op.parameter("value") == 0,
    },
    split="ncnn.Split",
)
"""The layers that int8 blobs were seen to go through unharmed. Pooling, BinaryOp, Interp and Permute make garbage of
them, silently, and Dequantize takes int32: no layer makes floats of an int8 blob. Concat would do, but takes twice the
time of all the rest: it and its reader unpack and pack int8 blobs, number by number (squeezenet on x86)."""


def lowering_patterns(target: Target) -> list[PatternSet]:
    """The phases, for the data sheet of one mode."""
    products = {"ncnn.InnerProduct": {"bias_term": 1}, "ncnn.Gemm": {"constant_broadcast_type_C": 4}}
    bias = FuseBias(products, "ncnn.MemoryData", "ncnn.BinaryOp", lambda op: op.parameter("op_type") == 0)
    fusions = PatternSet([bias, ComposeShapes(["ncnn.Reshape", "ncnn.Flatten"])], "ncnn-fusions")
    blobs = PatternSet([AbsorbEncode(CODES)], "ncnn-codes"), PatternSet([SplitFanout(CODES.split)], "ncnn-fanout")
    return [group_patterns(target, EMITTERS), fusions, *blobs]


def verify_lowered(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with every blob that ncnn would misread; warn of convolutions whose sums may overflow."""
    check_blobs(module, CODES)
    for op in module.walk():
        if isinstance(op, RecordOp) and op.name in CONVOLUTIONS and _term(op):
            groups = op.parameter("group") if op.name == CONVOLUTIONS[1] else 1
            codes = constant_array(op.operands[1])
            why = "" if codes is None else overflowing_channels(codes)
            if codes is not None and why and runs_winograd(op.parameter, groups, codes.shape):
                said = f"{op.name} may overflow in ncnn's Winograd kernel: {why}"
                ctx.warning(op.location, said, "write featmask = 64")
