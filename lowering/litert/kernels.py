"""What the interpreter runs for the ``litert`` dialect: which formulas each kernel set has, by the module's profile.

``xnnpack`` is the runtime's default: XNNPACK where it takes an operator, else the optimized builtin kernels;
``optimized`` and ``reference`` are the builtin kernels, ``micro`` the portable ones of TFLite Micro. The formulas are
those of `qir.interpreter.arithmetic`. Found by running single operators against ai-edge-litert 2.3 and tflite-micro
0.dev20261023, and where they differ from each other in the sources (README.md); x86-64 with AVX512-VNNI.
"""

from __future__ import annotations

from torch import Tensor

from qir.interpreter.arithmetic import register_arithmetic, sizes_of
from qir.interpreter.arrays import register_moves
from qir.interpreter.node import Node
from qir.lowering.litert.dialect import ARRAYS

__all__ = ["FORMULAS", "LIMITS", "choose"]

PROFILES = ("xnnpack", "optimized", "reference", "micro")

FORMULAS = {  #      xnnpack       optimized   reference   micro
    "conv":         ("float",      "ruy",      "double",   "double"),
    "depthwise":    ("float",      "vectors",  "double",   "double"),
    "grouped":      ("float",      "double",   "double",   "double"),
    "product":      ("float",      "ruy",      "real",     "double"),
    "matmul":       ("",           "double",   "double",   "double"),
    "add":          ("shifted",    "vectors",  "rescaled", "rescaled"),
    "sub":          ("shifted",    "rescaled", "rescaled", "rescaled"),
    "mul":          ("float",  "vectors f32",  "double f32", "double"),
    "requantize":   ("eighths",    "double",   "double",   "double"),
    "leaky":        ("eighths",    "double",   "double",   "double"),
    "resize":       ("eleven",     "ten",      "ten",      "ten"),
    "mean":         ("float",      "double",   "double",   "double"),
    "quantize":     ("reciprocal", "vectors",  "quotient", "quotient"),
    "dequantize":   ("product",    "vectors",  "product",  "product"),
    "rows":         ("unsigned",   "portable", "portable", ""),
    "rows equal":   ("unsigned",   "symmetric", "symmetric", ""),
    "rows grouped": ("unsigned",   "portable", "portable", ""),
    "rows depthwise": ("",         "portable", "portable", ""),
    # beside int16, of which XNNPACK takes nothing
    **dict.fromkeys(("conv 16", "depthwise 16", "grouped 16"), ("", "reduced", "reduced", "reduced")),
    "product 16":   ("",           "real",     "real",     "reduced"),
    **dict.fromkeys(("add 16", "sub 16"), ("", "rescaled", "rescaled", "rescaled")),
    "mul 16":       ("",       "double f32",   "double f32", "double"),
    **dict.fromkeys(("requantize 16", "mean 16"), ("", "double", "double", "double")),
    "resize 16":    ("",           "ten",      "ten",      "ten"),
    "quantize 16":  ("",           "vectors",  "quotient", "quotient"),
    "dequantize 16": ("",          "vectors",  "product",  "product"),
}  # fmt: skip

LIMITS = {
    "conv": (0.0, 256.0), "depthwise": (0.0, 256.0), "grouped": (0.0, 256.0), "product": (0.0, 256.0),
    "add": (2.0**-10, 256.0), "sub": (2.0**-10, 256.0), "mul": (2.0**-16, 256.0), "requantize": (2.0**-8, 128.0),
    "leaky": (2.0**-8, 128.0),
}  # fmt: skip
"""The ratios of scales that XNNPACK takes, [low, high); others it leaves to the builtin kernels."""


def choose(node: Node, what: str, *ratios: Tensor) -> str:
    """The formula that the kernel set of the module's profile has for an operation."""
    elements = {str(node.element(0)), str(node.result_element())}
    low, high = LIMITS.get(what, (0.0, float("inf")))
    what = f"{what} 16" if "i16" in elements else what
    row = FORMULAS[what]
    packed = str(node.element(1)) == "i4" and (what != "product" or (sizes_of(node, 1)[-1] or 1) % 2 == 1)
    taken = all(bool(((r >= low) & (r < high)).all()) for r in ratios) and not packed
    profile = node.settings.profile or "xnnpack"
    if profile == "xnnpack" and not (row[0] and taken):
        profile = "optimized"
    return row[PROFILES.index(profile)]


register_moves(ARRAYS, shape="new_shape")
register_arithmetic(ARRAYS, choose)
