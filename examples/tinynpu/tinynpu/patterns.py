"""From ONNX's operations with their quantizers to tinynpu's instructions."""

from collections.abc import Sequence

from qir.passes.lower.groups import group_patterns
from qir.passes.lower.plain import edge_patterns, plain
from qir.rewrite import PatternSet
from qir.target import Target

EMITTERS = {
    "Conv": plain("tinynpu.Conv", groups="group", pads="pads", strides="strides", dilations="dilations"),
    "Gemm": plain("tinynpu.Dense", transposed="transB"),
    "MatMul": plain("tinynpu.Dense"),
    "Add": plain("tinynpu.Add"),
    "MaxPool": plain("tinynpu.MaxPool", kernel="kernel_shape", pads="pads", strides="strides"),
    "Concat": plain("tinynpu.Concat", axis="axis"),
    "Flatten": plain("tinynpu.Flatten", floats=True),
    "GlobalAveragePool": plain("tinynpu.Mean", floats=True),
}


def patterns(target: Target) -> Sequence[PatternSet]:
    return group_patterns(target, EMITTERS), edge_patterns("tinynpu.Quantize", "tinynpu.Dequantize")
