"""The data sheet of ncnn on a CPU: what runs on integers, and what it asks for.

Read from the sources of July 2026 and tried with the Python package 1.0.20261020. Activations are symmetric int8
without -128, per tensor; weights per output channel; biases stay float32. A layer quantizes its float input by itself,
and gives integers only to other convolutions; every other layer is float.
"""

from __future__ import annotations

from qir.ir import Operation, TensorType
from qir.numerics.scheme import Granularity, Scheme
from qir.passes.lower.plain import BOUNDS_KNOWN
from qir.target import Axis, Constraint, Data, Fused, Rule, Weight, attribute_is, constant_of, is_constant, operand_indices

__all__ = ["MODES", "RULES", "SCHEMES"]

_INT8 = Scheme(storage="i8", qmin=-127, qmax=127, rounding="half_away")
_BLOCK = 32

SCHEMES = {"activation": _INT8, "weight": _INT8}


def _blocks(storage: str, most: int) -> dict[str, Scheme | None]:
    """Weight-only: blocks of 32 along the inputs, whichever axis of the matrix these lie on."""
    scheme = Scheme(storage=storage, qmin=-most, qmax=most, rounding="half_away")
    rows = Granularity.block({0: 1, 1: _BLOCK}, tail="short")
    columns = Granularity.block({0: _BLOCK, 1: 1}, tail="short")
    return {"activation": None, "rows": scheme.evolve(granularity=rows), "columns": scheme.evolve(granularity=columns)}


MODES = {"weights": _blocks("i8", 127), "weights4": _blocks("i4", 7)}


# ---------------------------------------------------------------- conditions
def _shape(op: Operation, index: int) -> tuple[int | None, ...]:
    """The sizes of an operand; none where it is not there or has no known rank."""
    type = op.operands[index].type if index < len(op.operands) else None
    return type.shape or () if isinstance(type, TensorType) else ()


def _groups(op: Operation) -> int:
    return int(op.attr("group", 1))


def _constant(key: str, optional: bool = False) -> Constraint:
    def holds(op: Operation) -> bool:
        found = operand_indices(op, key)
        return is_constant(op.operands[found[0]]) if found else optional

    return Constraint(f"{key} is a constant", f"{key} is computed", holds)


def _bias_fits(op: Operation) -> bool:
    """A bias of one number per column; its leading sizes may be 1."""
    data = constant_of(op.operands[2]) if operand_indices(op, "C") else None
    columns = _shape(op, 1)[0 if op.attr("transB", 0) else 1]
    return not operand_indices(op, "C") or (data is not None and data.numpy().size == columns)


PLANE = Constraint("its windows are two-dimensional", "its windows are not two-dimensional", lambda op: len(_shape(op, 1)) == 4)
DEPTHWISE = Constraint("each channel is a group", "not every channel is a group",
                       lambda op: 1 < _groups(op) == (_shape(op, 1) or (0,))[0])  # fmt: skip
WHOLE = Constraint("it has one group", "it has groups", lambda op: _groups(op) == 1)
PRODUCT = (attribute_is("transA", 0, default=0), attribute_is("alpha", 1.0, default=1.0),
           attribute_is("beta", 1.0, default=1.0), _constant("B"),
           Constraint("C is one constant per column or absent", "C is not one constant per column", _bias_fits))  # fmt: skip
MATRIX = Constraint("B is a matrix", "B is no matrix", lambda op: len(_shape(op, 1)) == 2)
ROWS = Constraint("A is rows of one sample", "A has more axes than rows of one sample",
                  lambda op: len(_shape(op, 0)) in (2, 3))  # fmt: skip
TRANSPOSED = attribute_is("transB", 1)
COLUMNS = Axis("one scale per column", lambda op, value: 0 if op.name == "onnx.Gemm" and op.attr("transB", 0) else 1)

X8 = Data("activation")
CONV = (PLANE, _constant("W"), _constant("B", optional=True))
FUSED = (Fused("Relu"), Fused("Clip", where=(BOUNDS_KNOWN,)))
WEIGHTS = tuple(MODES)

RULES = (
    # ---------------------------------------------------------- compute
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0)}, result="activation", fused=FUSED,
         where=(WHOLE, *CONV), modes=("",),
         note="Convolution: int32 sums, then float; int8 out where only convolutions and products read it"),
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0)}, result="activation", fused=FUSED,
         where=(DEPTHWISE, *CONV), modes=("",), note="ConvolutionDepthWise with a scale per channel"),
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight")}, result="activation", fused=FUSED, where=CONV, modes=("",),
         note="ConvolutionDepthWise with one scale for all groups: it has none per channel"),
    Rule("Gemm", "compute", {"A": X8, "B": Weight("weight", axis=COLUMNS)}, where=PRODUCT, modes=("",),
         note="InnerProduct: gives float only"),
    Rule("MatMul", "compute", {"A": X8, "B": Weight("weight", axis=COLUMNS)}, where=(_constant("B"), MATRIX, ROWS),
         modes=("",), note="InnerProduct: gives float only"),
    Rule("Gemm", "compute", {"B": Weight("rows")}, where=(*PRODUCT, TRANSPOSED), modes=WEIGHTS,
         note="Gemm with weights in blocks of 32, float activations"),
    Rule("Gemm", "compute", {"B": Weight("columns")}, where=PRODUCT, modes=WEIGHTS,
         note="Gemm with weights in blocks of 32, float activations"),
    Rule("MatMul", "compute", {"B": Weight("columns")}, where=(_constant("B"), MATRIX, ROWS), modes=WEIGHTS,
         note="Gemm with weights in blocks of 32, float activations"),
    Rule("Conv", "float", modes=WEIGHTS, note="ncnn has no convolution with integer weights and float activations"),

    # ---------------------------------------------------------- float
    Rule("MatMul", "float", note="a product of two activations: MatMul is float"),
    Rule(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Add", "Sub", "Mul", "Div", "Transpose",
          "Resize", "Reshape", "Slice"), "float", note="its layer returns garbage for int8 blobs, so it gets floats"),
    Rule(("Concat", "Flatten", "Pad", "Relu"), "float",
         note="passes int8 on between convolutions where all its blobs have one scale; else float"),
    Rule(("Softmax", "LayerNormalization", "ReduceMean", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSwish", "HardSigmoid",
          "Exp", "Gather", "DepthToSpace"), "float", note="a float layer"),
)  # fmt: skip
