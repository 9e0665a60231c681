"""The instructions of a tinynpu program, in the order of their opcodes; ../chip.md says what each computes."""

from math import inf
from typing import Any

from qir.ir.records import Record, records

CLAMP: dict[str, Any] = {"low": -inf, "high": inf}
WINDOW: dict[str, Any] = {"pads": (0, 0, 0, 0), "strides": (1, 1)}

DIALECT = records("tinynpu", __doc__, {
    "Quantize": Record(),
    "Dequantize": Record(),
    "Conv": Record("x w b?", **CLAMP, groups=1, **WINDOW, dilations=(1, 1)),
    "Dense": Record("x w b?", **CLAMP, transposed=0),
    "Add": Record("a b", **CLAMP),
    "MaxPool": Record(kernel=(1, 1), **WINDOW),
    "Concat": Record("xs*", axis=1),
    "Flatten": Record(),
    "Mean": Record(),
})  # fmt: skip
