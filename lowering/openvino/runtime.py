"""The real runtime: OpenVINO's CPU plugin, an optional package, imported at the first use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["CONFIG", "account", "executed", "load", "run"]

CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
"""Without the first, machines with AVX512-BF16 or AMX compute what is float in bfloat16; without the second, products
with compressed weights quantize their activations."""


def load(path: str | Path) -> Any:
    """The artifact compiled for the CPU."""
    import openvino

    return openvino.Core().compile_model(str(path), "CPU", CONFIG)


def run(path: str | Path, inputs: Mapping[str, Any], profile: str = "") -> dict[str, Any]:
    """Outputs by name of an artifact on arrays by input name."""
    model = load(path)
    known = {name for port in model.inputs for name in port.names}
    results = model({name: array for name, array in inputs.items() if name in known})
    return {name: results[port].copy() for port in model.outputs for name in port.names}


def executed(path: str | Path) -> list[tuple[str, bool]]:
    """The kinds of the layers that the plugin runs after its fusions, and whether their kernels are on integers."""
    facts = [node.get_rt_info() for node in load(path).get_runtime_model().get_ordered_ops()]
    return [(f["layerType"].astype(str), f["primitiveType"].astype(str).lower().endswith("i8")) for f in facts]


def account(path: str | Path) -> str:
    """How many of the convolutions and products run on integers."""
    found = [integer for kind, integer in executed(path) if kind in ("Convolution", "FullyConnected", "MatMul")]
    return f"{sum(found)} of {len(found)} convolutions and products run on integers" if found else ""
