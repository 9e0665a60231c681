"""ncnn on CPUs: ``.param`` and ``.bin`` with int8 convolutions and products, written without ncnn's own converters."""

from __future__ import annotations

import attrs

from qir.lowering.ncnn.rules import MODES, RULES, SCHEMES
from qir.target import Runtime, Target, Tolerance, installed, late

__all__ = ["TARGET"]

_HERE = "qir.lowering.ncnn"
_LONG = Tolerance(relative=1e-4, reason="long float sums in another order")
_PACKED = Tolerance(steps=1, fraction=0.001, relative=3e-4,
                    reason="channels packed by eight: the scale is a reciprocal of 12 bits (rcpps)")  # fmt: skip

TARGET = Target(
    name="ncnn", title="ncnn on CPUs: .param and .bin, int8 layers between float ones", dialect="ncnn",
    schemes=SCHEMES, modes=MODES, rules=RULES, opset={"ai.onnx": 13},
    pipeline=(
        "inline,convert-opset{version=13},canonicalize,shape-inference,fold-batch-norm,decompose,"
        "expand{target=ncnn also=conv-in-two-dimensions,maxpool-in-two-dimensions,averagepool-in-two-dimensions},fuse,"
        "canonicalize,cse,cross-layer-equalization,annotate{target=ncnn},calibrate{data={data}},materialise,"
        "lower{target=ncnn},verify-target{target=ncnn}"
    ),
    patterns=late(f"{_HERE}.patterns:lowering_patterns"),
    export=late(f"{_HERE}.export:export"),
    verify=late(f"{_HERE}.patterns:verify_lowered"),
    runtime=Runtime("ncnn", "pip install ncnn", installed("ncnn"), late(f"{_HERE}.runtime:run"),
                    profiles=("no-packing", "default"), suffixes=(".param",)),
    bounds={
        ("Conv", "default"): _PACKED, ("Gemm", ""): _LONG, ("MatMul", ""): _LONG,
        ("net", "default"): attrs.evolve(_PACKED, relative=0.3, reason=f"{_PACKED.reason}; codes behind it flip"),
        ("net", ""): Tolerance(fraction=0.15, reason="float sums in another order: codes behind them flip"),
    },
    notes=(
        "Samples run one by one. Exact with opt.use_packing_layout = False (the profile no-packing); otherwise "
        "depthwise convolutions are a step off in one element of some thousand.",
    ),
)  # fmt: skip
