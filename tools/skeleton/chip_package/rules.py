"""The data sheet of chipname: which operations it computes on integers, and what each asks for."""

from qir.datasheet import BOUNDS_KNOWN, COLUMN_BIAS, PLAIN_GEMM, rank_is
from qir.target import Bias, Data, Fused, Rule, Scheme, Weight

CODES = Scheme(storage="i8")
SCHEMES = {"codes": CODES, "weight": CODES, "bias": Scheme(storage="i32")}

X, W = Data("codes"), Weight("weight")
CLAMPED = (Fused("Relu"), Fused("Clip", where=(BOUNDS_KNOWN,)))

RULES = (
    Rule("Conv", "compute", {"X": X, "W": W, "B": Bias("bias", of=("X", "W"))}, result="codes", output="always",
         fused=CLAMPED, where=(rank_is("X", 4),)),
    Rule("Gemm", "compute", {"A": X, "B": W, "C": Bias("bias", of=("A", "B"))}, result="codes", output="always",
         fused=CLAMPED, where=(PLAIN_GEMM, COLUMN_BIAS)),
    Rule("Add", "follow", {"A": X, "B": X}, result="codes", fused=CLAMPED),
)  # fmt: skip
