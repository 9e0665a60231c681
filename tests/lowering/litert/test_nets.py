"""Whole nets: every tensor of codes is the runtime's, in each profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir.conformance.net import Net
from qir.interpreter import Plan, as_array
from qir.ir import StringAttr

from .conftest import PROFILES, expose, quantized

pytestmark = pytest.mark.runtime("litert", "tflite-micro")

DIGITS = Path(__file__).resolve().parents[3] / "examples" / "digits" / "digits.onnx"


def differing(module: Any, folder: Path, inputs: dict[str, Any], profile: str) -> dict[str, int]:
    """How many elements of each tensor of codes differ, where some do; every record's result is made an output."""
    from qir.lowering.litert.export import to_bytes
    from qir.lowering.litert.runtime import run

    path = folder / "net.tflite"
    path.write_bytes(to_bytes(module))
    module.attributes["qir.profile"] = StringAttr(profile)
    ours = [as_array(v) for v in Plan(module).run(inputs).values()]
    theirs = list(run(path, inputs, profile).values())
    assert len(ours) == len(theirs) > 3
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a.dtype.kind == "i"]
    return {str(i): int((a != b).sum()) for i, (a, b) in enumerate(pairs) if not np.array_equal(a, b)}


@pytest.mark.parametrize("mode", ["", "int16x8"])
def test_the_example(mode: str, tmp_path: Path) -> None:
    module = quantized(DIGITS, tmp_path, mode)
    expose(module)
    inputs = {"input": np.random.default_rng(5).uniform(-1, 1, (3, 1, 8, 8)).astype(np.float32)}
    name = next(iter(Plan(module).inputs)).name
    for profile in PROFILES:
        assert differing(module, tmp_path, {str(name): inputs["input"]}, profile) == {}


@pytest.mark.parametrize("model", ["resnet8", "squeezenet", "mobilenet_v1_025_128"])
def test_nets_of_the_zoo(model: str, zoo: Path, tmp_path: Path) -> None:
    """In the default profile every tensor; the input's range is not the true one, which makes codes saturate."""
    module = quantized(zoo / "models" / f"{model}.onnx", tmp_path, samples=2)
    expose(module)
    (arg,) = Plan(module).inputs
    shape = (1, *arg.type.shape[1:])  # type: ignore[attr-defined]
    inputs = {arg.name: np.random.default_rng(5).uniform(-3.5, 3.5, shape).astype(np.float32)}
    for profile in ("xnnpack", "reference") if model == "resnet8" else ("xnnpack",):
        assert differing(module, tmp_path, inputs, profile) == {}  # type: ignore[arg-type]


def test_sizes_that_are_free(tmp_path: Path) -> None:
    """Another size than the file's is set when it runs."""
    from qir.lowering.litert.export import to_bytes
    from qir.lowering.litert.runtime import run

    n = Net(0, 17)
    x = n.op("Conv", n.data(1, 1, 8, 8), n.weight(9, 1, 3, 3), n.bias(9), pads=[1, 1, 1, 1])
    model = n.model([n.op("DepthToSpace", x, blocksize=3, mode="CRD")])
    for end in (*model.graph.input, *model.graph.output):
        for i, size in zip((0, 2, 3), ("N", "H", "W"), strict=True):
            end.type.tensor_type.shape.dim[i].dim_param = size
    del model.graph.value_info[:]
    module = quantized(model, tmp_path)
    (tmp_path / "net.tflite").write_bytes(to_bytes(module))
    image = np.random.default_rng(2).uniform(-3, 3, (2, 1, 12, 7)).astype(np.float32)
    (ours,) = (as_array(v) for v in Plan(module).run({"x0": image}).values())
    (theirs,) = run(tmp_path / "net.tflite", {"x0": image}).values()
    assert theirs.shape == (2, 1, 36, 21)
    np.testing.assert_array_equal(ours, theirs)
