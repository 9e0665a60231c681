"""The data sheet of ncnn on a CPU: what runs on integers, and what it asks for.

Read from the sources of July 2026 and tried with the Python package 1.0.20261020. Activations are int8, symmetric,
without -128, per tensor; weights per output channel; biases stay float32. A layer quantizes a float input by itself,
and gives integers only to convolutions and products; every other layer is float.
"""

from __future__ import annotations

from qir.datasheet import BOUNDS_KNOWN, computed, constant_or_absent, rank_is
from qir.ir import Operation
from qir.numerics.scheme import Granularity, Scheme
from qir.passes.lower.reading import shape_of
from qir.rewrite import constant_array
from qir.target import Axis, Constraint, Data, Fused, Rule, Weight, attribute_is

__all__ = ["MODES", "RULES", "SCHEMES"]

INT8 = Scheme(storage="i8", qmin=-127, qmax=127, rounding="half_away")
SCHEMES = {"activation": INT8, "weight": INT8}


def _blocks(storage: str, most: int) -> dict[str, Scheme | None]:
    """Weights alone, in blocks of 32 along the inputs, whichever axis of the matrix these lie on."""
    scheme = Scheme(storage=storage, qmin=-most, qmax=most, rounding="half_away")
    rows, columns = (Granularity.block(sizes, tail="short") for sizes in ({0: 1, 1: 32}, {0: 32, 1: 1}))
    return {"activation": None, "rows": scheme.evolve(granularity=rows), "columns": scheme.evolve(granularity=columns)}


MODES = {"weights": _blocks("i8", 127), "weights4": _blocks("i4", 7)}


def _column_bias(op: Operation) -> bool:
    """A constant of one number per column, whose leading sizes may be 1, or none."""
    bias = constant_array(op.operands[2]) if len(op.operands) > 2 else None
    return len(op.operands) < 3 or (bias is not None and (bias.size,) == shape_of(op.results[0])[-1:])


X8 = Data("activation")
FUSED = (Fused("Relu"), Fused("LeakyRelu"), Fused("Clip", where=(BOUNDS_KNOWN,)))
CONV = (computed("X"), rank_is("W", 4), constant_or_absent("B"))
DEPTHWISE = Constraint("each output channel is a group", "a group has several output channels",
                       lambda op: (op.attr("group", 1),) == shape_of(op.operands[1])[:1])  # fmt: skip
FEW = Constraint(
    "a group has not 8, 16, … output channels", "a group has a multiple of 8 output channels",
    lambda op: ((shape_of(op.operands[1]) or (None,))[0] or 0) // op.attr("group", 1) % 8 != 0,
)  # fmt: skip
GEMM = (computed("A"), attribute_is("transA", 0, default=0), attribute_is("alpha", 1.0, default=1.0),
        attribute_is("beta", 1.0, default=1.0),
        Constraint("C is one constant per column or absent", "C is no constant per column", _column_bias))  # fmt: skip
MATMUL = (computed("A"), rank_is("A", 2, 3), rank_is("B", 2))
COLUMNS = Axis("one scale per column", lambda op, value: 0 if op.attr("transB", 0) else 1)

RULES = (
    # ---------------------------------------------------------- compute
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0)}, result="activation", fused=FUSED,
         where=(attribute_is("group", 1, default=1), *CONV), modes="",
         note="Convolution: int32 sums, scaled in float; codes where codes are read"),
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0)}, result="activation", fused=FUSED,
         where=(DEPTHWISE, *CONV), modes="", note="ConvolutionDepthWise: a scale per group"),
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight")}, result="activation", fused=FUSED,
         where=(*CONV, FEW), modes="", note="ConvolutionDepthWise with one scale: it has none per output channel"),
    Rule("Gemm", "compute", {"A": X8, "B": Weight("weight", axis=COLUMNS)}, where=GEMM, modes="",
         note="InnerProduct: gives floats only"),
    Rule("MatMul", "compute", {"A": X8, "B": Weight("weight", axis=COLUMNS)}, where=MATMUL, modes="",
         note="InnerProduct: gives floats only"),
    Rule("Gemm", "compute", {"B": Weight("rows")}, where=(*GEMM, attribute_is("transB", 1)), modes=tuple(MODES),
         note="Gemm: activations stay float; with 8 bits ncnn quantizes them by row and block"),
    Rule("Gemm", "compute", {"B": Weight("columns")}, where=GEMM, modes=tuple(MODES), note="Gemm as above"),
    Rule("MatMul", "compute", {"B": Weight("columns")}, where=MATMUL, modes=tuple(MODES), note="Gemm as above"),
    # ---------------------------------------------------------- float: they would make garbage of int8 blobs
    Rule("Conv", "float", fused=FUSED, note="a float layer where a group has 8, 16, … output channels, of which packed "
         "channels make garbage, and where weights alone are quantized; windows have two axes"),
    Rule(("MaxPool", "AveragePool"), "float", note="Pooling is a float layer, of planes and without dilation"),
    Rule(("Add", "Sub", "Mul", "Div", "Max", "Min"), "float", note="a float layer; constants are for all samples"),
    Rule(("Concat", "Flatten", "Pad", "Relu"), "float", note="a float layer; between convolutions it passes codes on "
         "where all have one scale; it pads planes, and joins no samples"),
    Rule(("Gemm", "MatMul", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Softmax", "ReduceMean",
          "ReduceSum", "ReduceMax", "ReduceMin"), "float",
         note="a float layer, of each sample alone, known sizes and steps of 1"),
    Rule("Gather", "float", note="a float layer: rows of a constant table, or one index of an axis"),
    Rule("Pow", "float", note="a float layer, for the powers 2, 1/2 and -1/2"),
    Rule(("LayerNormalization", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSwish", "HardSigmoid", "LeakyRelu", "Clip",
          "Exp", "Log", "Sqrt", "Abs", "Neg", "Floor", "Ceil", "Sin", "Cos", "DepthToSpace", "GlobalAveragePool",
          "GlobalMaxPool", "BatchNormalization", "InstanceNormalization", "PRelu", "Elu", "Resize"), "float",
         note="a float layer"),
)  # fmt: skip
