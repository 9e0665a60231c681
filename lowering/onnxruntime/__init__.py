"""onnxruntime's CPU provider on x86-64: QDQ models that it turns into integer kernels, and these kernels exactly.

`TARGET` is the data sheet with everything around it; what needs torch, onnx or onnxruntime is imported when it is used.
"""

from __future__ import annotations

from qir.lowering.onnxruntime.rules import RULES, SCHEMES
from qir.target import Runtime, Target, Tolerance, late

__all__ = ["TARGET"]

_HERE = "qir.lowering.onnxruntime"

TARGET = Target(
    name="onnxruntime",
    title="onnxruntime's CPU provider on x86-64, as QDQ or integer-operator ONNX",
    dialect="onnxruntime",
    schemes=SCHEMES,
    rules=RULES,
    pipeline=(
        "inline,canonicalize,shape-inference,fold-batch-norm,decompose,fuse,canonicalize,cse,cross-layer-equalization,annotate{target=onnxruntime},calibrate{data={data}},"
        "materialise,lower-to-onnxruntime,verify-target{target=onnxruntime}"
    ),
    formats={"qdq": "", "qoperator": "onnxruntime-fuse"},
    level="materialised",
    patterns=late(f"{_HERE}.patterns:lowering_patterns"),
    export=late(f"{_HERE}.export:export"),
    runtime=Runtime(
        "onnxruntime",
        "pip install onnxruntime",
        late(f"{_HERE}.runtime:version"),
        late(f"{_HERE}.runtime:run"),
        on_load="onnxruntime-fuse",
        account=late(f"{_HERE}.runtime:account"),
        isolated=False,
    ),
    opset={"ai.onnx": 13},
    verify=late(f"{_HERE}.verify:verify_lowered"),
    held=("builtin", "func", "onnx"),
    io=("float", "integer"),
    bounds={
        ("Resize", ""): Tolerance(
            1, 0.001, reason="interpolates in float, in another order of sums: a tie between codes may fall otherwise"
        ),
        ("net", ""): Tolerance(
            fraction=0.01,
            reason="float operators between integer ones are rounded in another order: some codes are a step off",
        ),
    },
    notes=(
        "The runtime fuses when it loads the model, from level EXTENDED on; onnxruntime-fuse is that fusion.",
        "Integer kernels are simulated bit for bit on CPUs with VNNI; without, uint8 times int8 saturates.",
    ),
)
