"""The data sheet of LiteRT (TensorFlow Lite): which operators run on integers, and what they ask for.

From the quantization specification (ai.google.dev/edge/litert/models/quantization_spec) and the kernels of
ai-edge-litert 2.3. Activations are int8 with a zero point (int16 without in the mode int16x8), weights symmetric int8
per output channel, biases int32 (int64 beside int16) with the scale of the product.
"""

from __future__ import annotations

from collections.abc import Mapping

from qir import datasheet as d
from qir.numerics.scheme import Granularity, Scheme
from qir.target import Axis, Bias, Data, Fused, Rule, Weight

__all__ = ["MODES", "RULES", "SCHEMES"]

SCHEMES = {
    "activation": Scheme(storage="i8", symmetric=False),
    "weight": Scheme(storage="i8", qmin=-127, qmax=127, symmetric=True),
    "bias": Scheme(storage="i32", symmetric=True, granularity=Granularity.per_axis(0)),
}
MODES: Mapping[str, Mapping[str, Scheme | None]] = {
    "int16x8": {"activation": Scheme(storage="i16", qmin=-32767, qmax=32767, symmetric=True)},
    "int4": {"weight": Scheme(storage="i4", qmin=-7, qmax=7, symmetric=True)},
    "dynamic": {"activation": None, "bias": None},
}

ACTIVATIONS = (Fused("Relu"), Fused("Clip", (d.clips_to((0.0, 6.0), (-1.0, 1.0)),)))
GEMM_ROWS = Axis("one scale per column (axis 0 if transB, else 1)", lambda op, value: 0 if op.attr("transB", 0) else 1)
COLUMNS = Axis("one scale per column", lambda op, value: 1)
X = Data("activation")
INT8 = ("", "int4")

RULES = (
    # ---------------------------------------------------------- compute
    Rule("Conv", "compute", {"X": X, "W": Weight("weight", axis=0), "B": Bias("bias", of=("X", "W"))},
         result="activation", output="always", fused=ACTIVATIONS,
         where=(d.computed("X"), d.constant("W"), d.constant_or_absent("B"), d.rank_is("X", 4)),
         note="CONV_2D, DEPTHWISE_CONV_2D"),
    Rule("Gemm", "compute", {"A": X, "B": Weight("weight", axis=GEMM_ROWS), "C": Bias("bias", of=("A", "B"))},
         result="activation", output="always", fused=ACTIVATIONS,
         where=(d.computed("A"), d.constant("B"), d.constant_or_absent("C"), d.COLUMN_BIAS, d.PLAIN_GEMM),
         note="FULLY_CONNECTED"),
    Rule("MatMul", "compute", {"A": X, "B": Weight("weight", axis=COLUMNS)}, result="activation", output="always",
         fused=ACTIVATIONS, where=(d.computed("A"), d.constant("B"), d.rank_is("B", 2)), note="FULLY_CONNECTED"),
    Rule("GlobalAveragePool", "compute", {0: X}, result="activation", output="always",
         where=(d.FLOAT_RESULT,), modes=(*INT8, "int16x8"), note="MEAN"),
    Rule("AveragePool", "compute", {"X": X}, result="activation", output="always", modes=(*INT8, "int16x8"),
         where=(d.WINDOW_IS_IMAGE,), note="MEAN"),
    # ---------------------------------------------------------- follow
    Rule("ReduceMean", "follow", {0: X}, result="activation", where=(d.FLOAT_RESULT,), note="MEAN"),
    Rule("MatMul", "follow", {"A": X, "B": X}, result="activation", where=(d.computed("A"), d.computed("B")),
         modes=INT8, note="BATCH_MATMUL"),
    Rule(("Add", "Sub", "Mul"), "follow", {"A": X, "B": X}, result="activation", fused=ACTIVATIONS,
         where=(d.FLOAT_RESULT, d.NO_MASK), note="of the operator's name"),
    Rule("Sigmoid", "follow", {"X": X}, result="activation", fixed=(1 / 256, -128), modes=INT8, note="LOGISTIC"),
    Rule("Tanh", "follow", {"input": X}, result="activation", fixed=(1 / 128, 0), modes=INT8, note="TANH"),
    Rule("Softmax", "follow", {"input": X}, result="activation", fixed=(1 / 256, -128), modes=INT8,
         where=(d.axis_below(512, "the reference and micro kernels abort"),), note="SOFTMAX"),
    Rule(("LeakyRelu", "Gelu"), "follow", {"X": X}, result="activation", modes=INT8, note="of the operator's name"),
    Rule("Concat", "follow", {"inputs": X}, result="activation", share="always", where=(d.FLOAT_RESULT,),
         note="CONCATENATION: it copies codes"),
    # ---------------------------------------------------------- move
    Rule(("MaxPool", "AveragePool"), "move", {0: X}, where=(d.IMAGE_WINDOW,), note="on codes"),
    Rule(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Gather", "Slice", "Split"), "move", {0: X},
         where=(d.FLOAT_RESULT,), note="on codes"),
    Rule("Pad", "move", {0: X}, where=(d.FLOAT_RESULT, d.PADS_ALIKE), note="PAD, MIRROR_PAD: on codes"),
    Rule("Resize", "move", {0: X}, where=(d.SAMPLED,), note="RESIZE_NEAREST_NEIGHBOR, RESIZE_BILINEAR: on codes"),
    Rule("DepthToSpace", "move", {0: X}, where=(d.DEPTH_FIRST,), modes=INT8, note="on codes"),
    # ---------------------------------------------------------- float
    Rule(("Relu", "Clip"), "float", note="behind a quantized operation they are fused into it"),
    Rule("LayerNormalization", "float", note="MEAN, SUB, MUL, ADD and RSQRT in float: XNNPACK has no 8-bit form"),
    Rule(("ReduceSum", "Div", "Pow", "Exp", "Log", "Sqrt", "Abs", "Neg", "Max", "Min", "HardSwish"), "float",
         note="of the operator's name, in float"),
)  # fmt: skip
