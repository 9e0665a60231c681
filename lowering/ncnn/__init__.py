"""ncnn on CPUs: ``.param`` and ``.bin`` with int8 convolutions and products, written without ncnn's own converters.

`TARGET` is the data sheet with everything around it; what needs torch or ncnn is imported when it is used.
"""

from __future__ import annotations

from qir.lowering.ncnn.rules import MODES, RULES, SCHEMES
from qir.target import Runtime, Target, late

__all__ = ["TARGET"]

_HERE = "qir.lowering.ncnn"

TARGET = Target(
    name="ncnn",
    title="ncnn on CPUs: .param and .bin with int8 layers between float ones",
    dialect="ncnn",
    schemes=SCHEMES,
    modes=MODES,
    rules=RULES,
    pipeline=(
        "inline,canonicalize,shape-inference,fold-batch-norm,decompose,canonicalize,cse,cross-layer-equalization,"
        "annotate{target=ncnn},calibrate{data={data}},materialise,lower{target=ncnn},"
        "verify-target{target=ncnn}"
    ),
    level="materialised",
    patterns=late(f"{_HERE}.patterns:lowering_patterns"),
    export=late(f"{_HERE}.export:export"),
    verify=late(f"{_HERE}.verify:verify_lowered"),
    runtime=Runtime(
        "ncnn", "pip install ncnn", late(f"{_HERE}.runtime:version"), late(f"{_HERE}.runtime:run"),
        profiles=("default", "no-packing", "winograd23"), suffixes=(".param",),
    ),
    notes=(
        "Blobs have no batch axis: samples run one by one.",
        "Depthwise convolutions are exact in the profile no-packing; by default ncnn rounds their scale to 12 bits.",
    ),
)  # fmt: skip
