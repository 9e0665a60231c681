"""The data sheet of chipname: which operations it computes on integers, and what each asks for."""

from qir.datasheet import BOUNDS_KNOWN, COLUMN_BIAS, rank_is
from qir.target import Bias, Data, Fused, Rule, Scheme, Weight, attribute_is

CODES = Scheme(storage="i8")
SCHEMES = {"codes": CODES, "weight": CODES, "bias": Scheme(storage="i32")}

X, W = Data("codes"), Weight("weight")
CLAMPED = (Fused("Relu"), Fused("Clip", where=(BOUNDS_KNOWN,)))
PLAIN = tuple(attribute_is(k, v, default=v) for k, v in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)))

RULES = (
    Rule("Conv", "compute", {"X": X, "W": W, "B": Bias("bias", of=("X", "W"))}, result="codes", output="always",
         fused=CLAMPED, where=(rank_is("X", 4),)),
    Rule("Gemm", "compute", {"A": X, "B": W, "C": Bias("bias", of=("A", "B"))}, result="codes", output="always",
         fused=CLAMPED, where=(*PLAIN, COLUMN_BIAS)),
    Rule("Add", "follow", {"A": X, "B": X}, result="codes", fused=CLAMPED),
)  # fmt: skip
