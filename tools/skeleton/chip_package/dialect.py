"""The records of the artifact, in the order of their codes."""

from math import inf
from typing import Any

from qir.ir.records import Record, records

CLAMP: dict[str, Any] = {"low": -inf, "high": inf}
WINDOW: dict[str, Any] = {"pads": (0, 0, 0, 0), "strides": (1, 1)}

DIALECT = records("chipname", __doc__, {
    "Quantize": Record(),
    "Dequantize": Record(),
    "Conv": Record("x w b?", **CLAMP, groups=1, **WINDOW, dilations=(1, 1)),
    "Dense": Record("x w b?", **CLAMP, transposed=0),
    "Add": Record("a b", **CLAMP),
})  # fmt: skip
