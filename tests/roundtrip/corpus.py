"""The models that round trips are tried on: the zoo, ONNX's light models and ONNX's backend suite, in groups.

The suite's node cases are made by running its generators, once per process.
"""

from __future__ import annotations

import functools
import glob
import os
import warnings
from pathlib import Path

import onnx

__all__ = ["GROUPS", "group"]

COUNTS = {"node": 1884, "simple": 23, "pytorch-converted": 82, "pytorch-operator": 35}
"""How many cases onnx 1.23 has; the groups are cut without loading them."""
SIZE = 200
NODE_GROUPS = [f"node-{i}" for i in range(-(-COUNTS["node"] // SIZE))]
GROUPS = [*NODE_GROUPS, "simple", "pytorch-converted", "pytorch-operator", "light"]


@functools.cache
def _cases(kind: str) -> list[tuple[str, onnx.ModelProto]]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # generators divide by zero on purpose
        cases = load_model_tests(kind=kind)
    found = []
    for case in cases:
        model = case.model if case.model is not None else onnx.load(os.path.join(case.model_dir, "model.onnx"))
        found.append((case.name, model))
    return found


def group(name: str) -> list[tuple[str, onnx.ModelProto]]:
    """The models of a group, by name; they must not be changed. The last node group takes all that are left."""
    if name == "light":
        folder = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
        return [(os.path.basename(p), onnx.load(p)) for p in sorted(glob.glob(folder + "/*.onnx"))]
    kind, _, index = name.partition("-") if name.startswith("node") else (name, "", "")
    cases = _cases(kind)
    if not index:
        return cases
    start = int(index) * SIZE
    return cases[start:] if name == NODE_GROUPS[-1] else cases[start : start + SIZE]


def zoo_models(zoo: Path) -> list[tuple[str, onnx.ModelProto]]:
    return [(p.name, onnx.load(p)) for p in sorted((zoo / "models").glob("*.onnx"))]
