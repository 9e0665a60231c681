"""From ONNX's operations with their quantizers to the chip's records."""

from collections.abc import Sequence

from qir.passes.lower.groups import group_patterns
from qir.passes.lower.plain import edge_patterns, plain
from qir.rewrite import PatternSet
from qir.target import Target

EMITTERS = {
    "Conv": plain("chipname.Conv", groups="group", pads="pads", strides="strides", dilations="dilations"),
    "Gemm": plain("chipname.Dense", transposed="transB"),
    "Add": plain("chipname.Add"),
}


def patterns(target: Target) -> Sequence[PatternSet]:
    return group_patterns(target, EMITTERS), edge_patterns("chipname.Quantize", "chipname.Dequantize")
