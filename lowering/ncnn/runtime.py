"""The real ncnn, from its Python package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qir.ir import fail

__all__ = ["OPTIONS", "run"]

OPTIONS: dict[str, dict[str, bool]] = {"no-packing": {"use_packing_layout": False}, "default": {}}
"""ncnn's options in each profile: channels not packed, which makes depthwise convolutions exact; as they come."""


def run(path: Path, inputs: Mapping[str, Any], profile: str = "") -> dict[str, Any]:
    """Outputs by name of ``name.param`` and ``name.bin`` beside it, on arrays ``[N, ...]`` by input name, one by one.

    Raises QirError where the files cannot be loaded or run; a network that does not fit its numbers may crash.
    """
    import ncnn

    net, weights = ncnn.Net(), Path(path).with_suffix(".bin")
    for option, value in ({"num_threads": 1} | OPTIONS[profile or "no-packing"]).items():
        setattr(net.opt, option, value)
    if net.load_param(str(path)) != 0 or not weights.exists() or net.load_model(str(weights)) != 0:
        fail(str(path), f"ncnn {ncnn.__version__} cannot load it with {weights.name}", "write both files again")
    if set(net.input_names()) != set(inputs):
        fail(str(path), f"its inputs are {', '.join(net.input_names())}, not {', '.join(inputs)}")
    arrays = {k: np.ascontiguousarray(a, np.float32 if a.dtype.kind == "f" else np.int32) for k, a in inputs.items()}
    found: dict[str, list[Any]] = {name: [] for name in net.output_names() if name not in inputs}  # read by no layer
    if not found:
        fail(str(path), "it has no layers, and so no outputs", "write it again, by qir-translate")
    for sample in range(min(map(len, arrays.values()))):
        extractor = net.create_extractor()
        for name, array in arrays.items():  # where a Mat only points into an array, layers that work in place crash
            extractor.input(name, ncnn.Mat(array[sample]).clone())
        for name, rows in found.items():
            status, blob = extractor.extract(name)
            if status != 0:
                fail(str(path), f"ncnn {ncnn.__version__} cannot compute '{name}' (status {status})")
            rows.append(np.array(blob))
    return {name: np.stack(rows) for name, rows in found.items()}
