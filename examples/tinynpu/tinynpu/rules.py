"""The data sheet of tinynpu, as ../chip.md has it."""

from qir.datasheet import BOUNDS_KNOWN, COLUMN_BIAS, PLAIN_GEMM, rank_is
from qir.target import Bias, Data, Fused, Rule, Scheme, Weight, attribute_is

CODES = Scheme(storage="i8", pow2="nearest", rounding="half_up")
SCHEMES = {"codes": CODES, "weight": CODES, "bias": Scheme(storage="i32", rounding="half_up")}

X, W = Data("codes"), Weight("weight")
CLAMPED = (Fused("Relu"), Fused("Clip", where=(BOUNDS_KNOWN,)))

RULES = (
    Rule("Conv", "compute", {"X": X, "W": W, "B": Bias("bias", of=("X", "W"))}, result="codes", output="always",
         fused=CLAMPED, where=(rank_is("X", 4),), note="CONV"),
    Rule(("Gemm", "MatMul"), "compute", {"A": X, "B": W, "C": Bias("bias", of=("A", "B"))}, result="codes",
         output="always", fused=CLAMPED, where=(PLAIN_GEMM, rank_is("B", 2), COLUMN_BIAS), note="DENSE"),
    Rule("Add", "follow", {"A": X, "B": X}, result="codes", fused=CLAMPED, note="ADD"),
    Rule("MaxPool", "move", {"X": X}, where=(rank_is("X", 4), attribute_is("ceil_mode", 0, default=0)), note="MAXPOOL"),
    Rule("Concat", "follow", {"inputs": X}, result="codes", share="always", note="CONCAT"),
    Rule("Flatten", "move", {"input": X}, where=(attribute_is("axis", 1, default=1),), note="FLATTEN"),
    Rule("GlobalAveragePool", "float", note="the chip has no unit for means: the driver takes them, in float32"),
)  # fmt: skip
