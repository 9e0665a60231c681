"""OpenVINO's CPU plugin: IR v11 with FakeQuantize and int8 weights, compressed weights, and QDQ ONNX."""

from __future__ import annotations

from qir.lowering.openvino.rules import MODES, RULES, SCHEMES
from qir.target import Runtime, Target, Tolerance, installed, late

__all__ = ["TARGET"]

_HERE = "qir.lowering.openvino"

TARGET = Target(
    name="openvino", title="OpenVINO's CPU plugin on x86-64, as IR v11 or QDQ ONNX", dialect="openvino",
    schemes=SCHEMES, modes=MODES, rules=RULES, opset={"ai.onnx": 18},
    pipeline="inline,convert-opset{version=18},canonicalize,shape-inference,fold-batch-norm,decompose,"
    "expand{target=openvino also=square-as-power},fuse,canonicalize,cse,cross-layer-equalization,"
    "annotate{target=openvino},calibrate{data={data}},materialise,lower{target=openvino},verify-target{target=openvino}",
    formats={"ir": "", "qdq": "materialise,lower-to-onnxruntime"},
    patterns=late(f"{_HERE}.patterns:patterns"), export=late(f"{_HERE}.export:export"),
    runtime=Runtime("openvino", "pip install openvino", installed("openvino"), late(f"{_HERE}.runtime:run"),
                    profiles=("f32",), suffixes=(".xml", ".onnx"), account=late(f"{_HERE}.runtime:account")),
    verify=late(f"{_HERE}.export:verify"),
    bounds={
        ("Resize", ""): Tolerance(1, 0.001, reason="numbers half-way between two codes: the last bit of a sum decides"),
        ("net", ""): Tolerance(relative=0.03, reason="float layers sum in another order, and codes behind them move"),
    },
)  # fmt: skip
