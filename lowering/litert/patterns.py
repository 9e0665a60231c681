"""From quantized ONNX operations to the records of a .tflite file: an emitter per operator, then layout.

An emitter writes the record of a group whether its values are codes or floats. Records that want channels last stand
between transposes, which the last phases move and cancel.
"""

from __future__ import annotations

from qir.lowering.litert.dialect import ARRAYS
from qir.lowering.litert.rules import SCHEMES
from qir.passes.lower.array_emitters import ELEMENTWISE, array_emitters
from qir.passes.lower.arrays import Arrays
from qir.passes.lower.groups import group_patterns
from qir.passes.lower.layout import Layout, layout_phases
from qir.passes.lower.parts import LAYER_NORM
from qir.passes.lower.plain import edge_patterns
from qir.rewrite import PatternSet
from qir.target import Target

__all__ = ["LAYOUT", "lowering_patterns"]

LAYOUT = Layout(
    transpose=ARRAYS["transpose"], reshape=ARRAYS["reshape"], shape="new_shape",
    elementwise=frozenset(ARRAYS[n] for n in (*ELEMENTWISE.values(), "relu", "relu6", "quantize", "dequantize")),
    axes={ARRAYS[n]: key for n, key in (("concat", "axis"), ("split", "axis"), ("mean", "axes"), ("sum", "axes"))},
    reducing=frozenset((ARRAYS["mean"], ARRAYS["sum"])),
    per_axis={ARRAYS["pad"]: ("paddings",), ARRAYS["slice"]: ("begin", "end", "strides")},
)  # fmt: skip


def lowering_patterns(target: Target) -> list[PatternSet]:
    """Normalizations by their formula, groups, what is left of the quantizers, layout."""
    groups = group_patterns(target, array_emitters(Arrays(LAYOUT, ARRAYS), SCHEMES["bias"]))
    return [LAYER_NORM, groups, edge_patterns(ARRAYS["quantize"], ARRAYS["dequantize"]), *layout_phases(LAYOUT)]
