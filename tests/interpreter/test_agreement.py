"""The float interpreter against onnxruntime, on real models and on ONNX's light ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
ZOO = (
    "chargpt", "chargpt_outlier", "digits_cnn", "digits_vit", "espcn_x3", "mobilenet_v1_025_128", "resnet8", "rfb320",
    "squeezenet",
)  # fmt: skip
TOLERANCE = 1e-5


def session(model: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feeds(run: Any, free: int) -> dict[str, Any]:
    """Random inputs; dimensions that the model leaves open are 2 for the batch, else `free`."""
    rng = np.random.default_rng(0)
    found = {}
    for info in run.get_inputs():
        shape = [n if isinstance(n, int) else 2 if axis == 0 else free for axis, n in enumerate(info.shape)]
        if info.type == "tensor(int64)":
            found[info.name] = rng.integers(0, 65, shape)
        else:
            found[info.name] = rng.standard_normal(shape, np.float32)
    return found


def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in float64: what the exact result is, as far as float32 is concerned."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for node in wide.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t") and attribute.t.data_type == onnx.TensorProto.FLOAT:
                attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float64)))
    for info in (*wide.graph.input, *wide.graph.output):
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            info.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    del wide.graph.value_info[:]
    return wide


def check(model: onnx.ModelProto, free: int) -> None:
    """Every output agrees within 1e-5 of its range, or is within 4 times onnxruntime's own error against float64."""
    run = session(model.SerializeToString())
    inputs = feeds(run, free)
    results = Plan(import_onnx(model, Context())).run(inputs)
    exact: dict[str, Any] = {}
    for info, want in zip(run.get_outputs(), run.run(None, inputs), strict=True):
        got = as_array(results[info.name])
        assert got.shape == want.shape
        if np.abs(got - want).max() <= TOLERANCE * np.ptp(want):
            continue
        if not exact:
            wide = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in inputs.items()}
            exact = Plan(import_onnx(doubled(model), Context())).run(wide)
        truth = as_array(exact[info.name])
        ours, theirs = (float(np.abs(v - truth).max()) for v in (got, want))
        assert ours <= 4 * theirs, f"{info.name}: {ours:.2e} against onnxruntime's {theirs:.2e}"


@pytest.mark.parametrize("name", ZOO)
def test_zoo(zoo: Path, name: str) -> None:
    check(onnx.load(zoo / "models" / f"{name}.onnx"), free=128 if name.startswith("chargpt") else 40)


def with_random_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The light models make all weights of one constant, which hides most errors: give them random ones instead."""
    rng = np.random.default_rng(1)
    graph = model.graph
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    kept, fresh = [], []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = [int(n) for n in shapes[node.input[0]]]
        if len(shape) > 1:
            values = rng.standard_normal(shape, np.float32) * np.sqrt(2 / max(np.prod(shape[1:]), 1), dtype=np.float32)
        else:
            values = rng.uniform(0.5, 1.5, shape)  # variances and scales of normalizations must be positive
        fresh.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(fresh)
    return model


@pytest.mark.parametrize("path", sorted(LIGHT.glob("*.onnx")), ids=lambda p: p.stem.removeprefix("light_"))
def test_light_models(path: Path) -> None:
    check(with_random_weights(onnx.load(path)), free=224)
