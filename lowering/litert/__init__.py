"""LiteRT (TensorFlow Lite): .tflite files, and the kernels of its runtime exactly."""

from __future__ import annotations

from qir.lowering.litert.rules import MODES, RULES, SCHEMES
from qir.target import Runtime, Target, Tolerance, installed, late

__all__ = ["TARGET"]

_HERE = "qir.lowering.litert"

MICRO = "no GELU, POW, FULLY_CONNECTED of int4, GATHER by int64, floats by codes; in int16 no GATHER, resizes, mirrors"
ROWS = "where rows of floats are quantized at run time, one number that rounds otherwise moves a whole row of floats"
FLOATS = "where float operators stand between, they sum in another order, and codes behind them move"
FIXED = "the exponential is in fixed point (Q5.26, its sum Q12.19), and simulated by a table of floats"
HALF = "one in 50,000 where the optimized kernels add int16: the cause is not known"
PRODUCTS = ("Conv", "Gemm", "MatMul")
BOUNDS: dict[tuple[str, str] | tuple[str, str, str], Tolerance] = {
    **{(op, "micro"): Tolerance(absent="partly", reason=MICRO) for op in ("", "net", *PRODUCTS)},
    **{(op, "", "dynamic"): Tolerance(fraction=0.02, reason=ROWS) for op in PRODUCTS},
    ("net", ""): Tolerance(steps=2, fraction=0.05, reason=FLOATS),
    **{("MatMul", profile, "int16x8"): Tolerance(1, 0.0001, reason=FLOATS) for profile in ("", "micro")},
    ("Softmax", "reference"): Tolerance(1, 0.001, reason=FIXED),
    ("Softmax", "micro"): Tolerance(1, 0.001, absent="partly", reason=FIXED),
    **{("Add", profile, "int16x8"): Tolerance(1, 0.0001, reason=HALF) for profile in ("xnnpack", "optimized")},
    ("Conv", "reference", "int4"): Tolerance(absent="partly", reason="no DEPTHWISE_CONV_2D of int4"),
}

TARGET = Target(
    name="litert", title="LiteRT (TensorFlow Lite) and TFLite Micro, as a .tflite file", dialect="litert",
    schemes=SCHEMES, modes=MODES, rules=RULES,
    pipeline=(
        "convert-opset{version=20},inline,canonicalize,shape-inference,fold-batch-norm,decompose,expand{target=litert "
        "also=prelu-of-one-slope,depth-to-space-crd,gather-of-convolution,pad-edge,bias-of-product,conv-in-two-dimensions,"
        "maxpool-in-two-dimensions,averagepool-in-two-dimensions},fuse,canonicalize,cse,cross-layer-equalization,"
        "annotate{target=litert},calibrate{spread=4 data={data}},materialise,lower{target=litert},"
        "verify-target{target=litert}"
    ),
    formats={"tflite": ""},
    patterns=late(f"{_HERE}.patterns:lowering_patterns"),
    export=late(f"{_HERE}.export:export"),
    verify=late(f"{_HERE}.export:verify"),
    runtime=Runtime(
        "ai-edge-litert", "pip install 'qir[litert,tflite-micro]'", installed("ai-edge-litert"),
        late(f"{_HERE}.runtime:run"), profiles=("xnnpack", "optimized", "reference", "micro"), suffixes=(".tflite",),
    ),
    bounds=BOUNDS,
    opset={"ai.onnx": 20},
    io=("float", "integer"),
    notes=("Flatbuffer schema version 3; the operator versions are those of op_version.cc in LiteRT 2.3.",),
)  # fmt: skip
