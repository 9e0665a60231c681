"""The data sheet of OpenVINO's CPU plugin on x86-64: what its low-precision transformations (LPT) run on integers.

Tried with 2026.4.1; O1 to O9 are LPT's rules as README.md lists them. The graph stays float: a FakeQuantize in front
of a convolution or product, and an int8 constant with a scale per output channel as its weight, make it one on
integers. Results are float32 until the next FakeQuantize, biases always.
"""

from __future__ import annotations

from qir.datasheet import FLOAT_RESULT, PADS_ZERO, PLAIN_GEMM, computed, constant, operand_of, rank_is
from qir.numerics.scheme import Granularity, Scheme
from qir.passes.lower.reading import shape_of
from qir.target import Axis, Constraint, Data, Fused, Rule, Weight, attribute_is

__all__ = ["GROUP", "MODES", "RULES", "SCHEMES"]

GROUP = 32
"""Weights of 4 bits have one scale for so many numbers along the axis that is summed over."""

SCHEMES = {
    "activation": Scheme(storage="u8", symmetric=False),  # O1: 256 levels; of 255 LPT makes another grid
    "weight": Scheme(storage="i8", qmin=-127, qmax=127),  # O2, O6: no zero point, 255 levels
}
INT4 = Scheme(storage="i4", qmin=-7, qmax=7)
MODES: dict[str, dict[str, Scheme | None]] = {
    "weights-int8": {"activation": None},
    "weights-int4": {
        "activation": None,
        "columns4": INT4.evolve(granularity=Granularity.block({0: GROUP, 1: 1})),
        "rows4": INT4.evolve(granularity=Granularity.block({0: 1, 1: GROUP})),
    },
}


def whole_groups(axis: int) -> Constraint:
    """A matrix whose `axis` is whole groups long."""
    words = f"matrix of whole groups of {GROUP}"
    return Constraint(f"B is a {words}", f"B is no {words}", lambda op: rank_is("B", 2).holds(op) and
                      (shape_of(operand_of(op, "B"))[axis] or 1) % GROUP == 0)  # fmt: skip


COLUMNS = Axis("one scale per column", lambda op, value: 0 if op.attr("transB", 0) else 1)
PRODUCT = (computed("A"), constant("B"), PLAIN_GEMM)
PRODUCTS = ("Conv", "Gemm", "MatMul")
X8 = Data("activation")
FUSED = tuple(map(Fused, ("Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish")))
CORNERS = Constraint("no corners are aligned", "corners are aligned", lambda op:
                     op.attr("coordinate_transformation_mode", "") != "align_corners")  # fmt: skip

RULES = (
    Rule("Conv", "compute", {"X": Data("activation", joint=True), "W": Weight("weight", axis=0)}, fused=FUSED,
         where=(computed("X"), constant("W")), note="O7: sums of u8 codes; a residual reads the codes too"),
    Rule("Gemm", "compute", {"B": Weight("rows4")}, modes="weights-int4",
         where=(*PRODUCT, attribute_is("transB", 1, default=0), whole_groups(1))),
    Rule(("MatMul", "Gemm"), "compute", {"B": Weight("columns4")}, modes="weights-int4",
         where=(*PRODUCT, attribute_is("transB", 0, default=0), whole_groups(0))),
    Rule(("MatMul", "Gemm"), "compute", {"A": X8, "B": Weight("weight", axis=COLUMNS)},
         fused=FUSED, where=(*PRODUCT, rank_is("B", 2)), note="sums of u8 codes"),
    Rule("MatMul", "float", note="O3: both activations would have to be symmetric, and attention gains little"),

    Rule(("AveragePool", "GlobalAveragePool"), "follow", {"X": X8}, result="activation", note="O5: sums of codes",
         where=(attribute_is("count_include_pad", 0, default=0),)),
    Rule("Concat", "follow", {"inputs": X8}, result="activation", share="always", where=(FLOAT_RESULT,),
         note="O4: on codes, with one scale for all"),
    Rule(("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Split", "Identity",
          "DepthToSpace", "SpaceToDepth"), "move", {0: X8}, where=(FLOAT_RESULT,), note="O5: on codes"),
    Rule("Resize", "move", {0: X8}, where=(FLOAT_RESULT, attribute_is("mode", "nearest", default="nearest"), CORNERS),
         note="O5: on codes where it copies"),
    Rule("Pad", "move", {0: X8}, where=(FLOAT_RESULT, PADS_ZERO), note="O5: on codes"),

    Rule(("Add", "Mul", "Sub", "Div", "Max", "Min", "Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish"), "float",
         within=PRODUCTS, note="O9: float32 on what it reads, codes or floats"),
    Rule(("Softmax", "Sigmoid", "HardSigmoid", "Tanh", "Gelu", "Erf", "Exp", "Sqrt", "Pow", "LayerNormalization",
          "ReduceMean", "Elu", "Resize"), "float", note="O8: float32"),
)  # fmt: skip
