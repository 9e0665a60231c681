"""The data sheet of onnxruntime's CPU provider on x86-64: which operators run on integers, and what they ask for.

Every line was tried with onnxruntime 1.32 (QDQ groups at optimization level EXTENDED). The runtime replaces a group of
DequantizeLinear, operator and QuantizeLinear by an integer kernel only where the types, parameters and neighbours below
are met; otherwise it silently computes in float. Activations are uint8 (int8 ones stay float on x86 where the tensor
is a graph input), weights int8 without -128, biases int32.
"""

from __future__ import annotations

from qir.datasheet import (
    BOUNDS_KNOWN,
    COLUMN_BIAS,
    FLOAT_RESULT,
    NO_MASK,
    PADS_ZERO,
    computed,
    constant,
    constant_or_absent,
)
from qir.ir import TensorType
from qir.numerics.scheme import Granularity, Scheme
from qir.target import Axis, Bias, Constraint, Data, Fused, Rule, Weight, attribute_is

__all__ = ["RULES", "SCHEMES"]

SCHEMES = {
    "activation": Scheme(storage="u8", symmetric=False),
    "weight": Scheme(storage="i8", qmin=-127, qmax=127, symmetric=True),
    "bias": Scheme(storage="i32", symmetric=True, granularity=Granularity.per_axis(0)),
}


GEMM_COLUMNS = Axis(
    "one scale per column (axis 0 if transB, else 1)", lambda op, value: 0 if op.attr("transB", 0) else 1
)
MATMUL_COLUMNS = Axis(
    "one scale per column (a matrix), else per tensor",
    lambda op, value: 1 if isinstance(value.type, TensorType) and value.type.rank == 2 else None,
)

# A Relu or Clip in front of a quantizer whose smallest and largest codes lie at the bounds does nothing that saturation
# would not do: the runtime drops it. Where they do not, it clips codes. So no fake stands between it and the operator
# before it.
ACTIVATIONS = (Fused("Relu"), Fused("Clip", where=(BOUNDS_KNOWN,)))

X8 = Data("activation")

RULES = (
    # ---------------------------------------------------------- compute
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0), "B": Bias("bias", of=("X", "W"))},
         result="activation", output="always", fused=ACTIVATIONS,
         where=(computed("X"), constant("W"), constant_or_absent("B")),
         note="QLinearConv: int32 sums, one float multiplier per channel; it gives codes only"),
    Rule("Gemm", "compute", {"A": X8, "B": Weight("weight", axis=GEMM_COLUMNS),
                             "C": Bias("bias", of=("A", "B"), factor=lambda op: float(op.attr("alpha", 1.0)))},
         result="activation", fused=ACTIVATIONS,
         where=(computed("A"), constant("B"), constant_or_absent("C"), attribute_is("beta", 1.0, default=1.0),
                attribute_is("transA", 0, default=0), COLUMN_BIAS,
                Constraint("alpha is positive", "alpha is not positive", lambda op: op.attr("alpha", 1.0) > 0)),
         note="QGemm; gives float where nobody asks for integers"),
    Rule("MatMul", "compute", {"A": X8, "B": Weight("weight", axis=MATMUL_COLUMNS)},
         result="activation", fused=ACTIVATIONS, where=(computed("A"), constant("B")),
         note="QLinearMatMul; MatMulIntegerToFloat where nobody asks for integers"),
    Rule("MatMul", "compute", {"A": X8, "B": X8}, result="activation", fused=ACTIVATIONS,
         where=(constant("A"), computed("B")),
         note="a constant on the left has one scale: the kernel takes scales per column of the right operand only"),
    Rule("MatMul", "float", where=(computed("A"), computed("B")),
         note="a product of two activations (attention) costs accuracy and little time: float"),

    # ---------------------------------------------------------- follow
    Rule("Add", "follow", {"A": X8, "B": X8}, result="activation", fused=ACTIVATIONS, where=(FLOAT_RESULT, NO_MASK),
         note="QLinearAdd"),
    Rule("Mul", "follow", {"A": X8, "B": X8}, result="activation", fused=ACTIVATIONS, where=(FLOAT_RESULT, NO_MASK),
         note="QLinearMul"),
    Rule("AveragePool", "follow", {"X": X8}, result="activation", fused=ACTIVATIONS, note="QLinearAveragePool"),
    Rule("GlobalAveragePool", "follow", {"X": X8}, result="activation", fused=ACTIVATIONS,
         note="QLinearGlobalAveragePool"),
    Rule("LeakyRelu", "follow", {"X": X8}, result="activation", note="QLinearLeakyRelu: a table of 256 entries"),
    Rule("Sigmoid", "follow", {"X": X8}, result="activation", note="QLinearSigmoid: a table of 256 entries"),
    Rule("Concat", "follow", {"inputs": X8}, result="activation", fused=ACTIVATIONS, share=True, where=(FLOAT_RESULT,),
         note="QLinearConcat: copies codes where parameters are equal, else a table of 256 entries per operand"),

    # ---------------------------------------------------------- move
    Rule("MaxPool", "move", {"X": X8}, note="on codes"),
    Rule(("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "GatherElements", "Expand",
          "Tile", "Split", "Identity", "ReduceMax", "ReduceMin"), "move", {0: X8}, where=(FLOAT_RESULT,),
         note="on codes"),
    Rule(("Resize", "Upsample"), "move", {0: X8}, where=(attribute_is("mode", "nearest", default="nearest"),),
         note="on codes"),
    Rule("Pad", "move", {0: X8}, where=(FLOAT_RESULT, PADS_ZERO),
         note="in float between DequantizeLinear and QuantizeLinear; 0 has a code of its own, so nothing is lost"),
    Rule(("DepthToSpace", "SpaceToDepth", "GlobalMaxPool"), "move", {0: X8},
         note="in float between DequantizeLinear and QuantizeLinear; nothing is lost"),

    # ---------------------------------------------------------- float
    Rule("ConvTranspose", "float", note="onnxruntime has no integer ConvTranspose on the CPU"),
    Rule("Softmax", "float", note="QLinearSoftmax rounds 1/scale down, and its operand holds masked scores"),
    Rule("Where", "float", note="selects between numbers and a mask"),
    Rule(("LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
          "BatchNormalization"), "float", note="onnxruntime has no integer kernel for normalization"),
    Rule(("Relu", "Clip", "HardSigmoid", "HardSwish", "Gelu", "Tanh", "Erf", "PRelu", "Elu"), "float",
         note="alone it has no integer kernel; behind a quantized op Relu and Clip are fused into it"),
    Rule(("ReduceMean", "Sub", "Div", "Pow", "Sqrt"), "float", note="onnxruntime has no integer kernel for it"),
)  # fmt: skip
