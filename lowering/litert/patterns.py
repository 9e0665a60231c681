"""From quantized ONNX operations to the records of a .tflite file: an emitter per operator, then layout.

An emitter writes the record of a group whether its values are codes or floats. Records that want channels last stand
between transposes, which the last phases move and cancel.
"""

from __future__ import annotations

from qir.lowering.litert.dialect import ARRAYS
from qir.lowering.litert.rules import SCHEMES
from qir.passes.graph.expansions import expansion_of
from qir.passes.lower.array_emitters import array_emitters, array_layout
from qir.passes.lower.arrays import Arrays
from qir.passes.lower.groups import group_patterns
from qir.passes.lower.layout import layout_phases
from qir.passes.lower.plain import edge_patterns
from qir.rewrite import PatternSet
from qir.target import Target

__all__ = ["LAYOUT", "lowering_patterns"]

LAYOUT = array_layout(ARRAYS, "new_shape")


def lowering_patterns(target: Target) -> list[PatternSet]:
    """Layer normalization by its formula, behind quantization; groups; what is left of the quantizers; layout."""
    norms, groups = expansion_of("LayerNormalization"), array_emitters(Arrays(LAYOUT, ARRAYS), SCHEMES["bias"])
    edges = edge_patterns(ARRAYS["quantize"], ARRAYS["dequantize"])
    return [norms, group_patterns(target, groups), edges, *layout_phases(LAYOUT)]
