"""Real models of old opsets, raised: onnxruntime gives the same numbers, and the checker has nothing to say."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context, verify
from qir.passes import run_pipeline


def run(proto: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return list(session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()}))


def raised(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
    ctx = Context()
    module = import_onnx(proto, ctx)
    run_pipeline(module, f"convert-opset{{version={version}}}", ctx)
    verify(module)
    found = export_onnx(module)
    onnx.checker.check_model(found, full_check=True)
    return found


def opset(proto: onnx.ModelProto) -> int:
    return int(next(e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")))


@functools.cache
def exported_by_pytorch() -> list[tuple[str, onnx.ModelProto, dict[str, Any]]]:
    """ONNX's models from PyTorch of 2017 and 2018 (opset 6), with the inputs that come with them."""
    found = []
    for kind in ("pytorch-converted", "pytorch-operator"):
        for case in load_model_tests(kind=kind):
            proto = onnx.load(os.path.join(case.model_dir, "model.onnx"))
            initial = {t.name for t in proto.graph.initializer}
            feeds = {}
            for i, info in enumerate(v for v in proto.graph.input if v.name not in initial):
                path = os.path.join(case.model_dir, "test_data_set_0", f"input_{i}.pb")
                with open(path, "rb") as file:
                    feeds[info.name] = numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))
            found.append((case.name, proto, feeds))
    return found


@pytest.mark.parametrize("version", [9, 13, 21])
def test_models_that_pytorch_exported(version: int) -> None:
    wrong, compared = {}, 0
    for name, proto, feeds in exported_by_pytorch():
        if opset(proto) >= version:
            continue
        found = raised(proto, version)
        try:
            wanted = run(proto, feeds)
        except Exception:  # what this onnxruntime no longer runs as it was
            continue
        compared += 1
        for a, b in zip(wanted, run(found, feeds), strict=True):
            if not np.array_equal(a, b, equal_nan=True):
                wrong[name] = np.abs(a - b).max()
    assert wrong == {}
    assert compared > 70


OLD: dict[str, tuple[int, str, list[Any], dict[str, Any]]] = {
    "add at an axis": (6, "Add", [np.arange(3, dtype=np.float32)], {"broadcast": 1, "axis": 1}),
    "mul of two axes": (6, "Mul", [np.ones((3, 4), np.float32) * 2], {"broadcast": 1, "axis": 1}),
    "sub at the end": (6, "Sub", [np.arange(5, dtype=np.float32)], {"broadcast": 1}),
    "slope per channel": (6, "PRelu", [np.array([0.1, 0.2, 0.3], np.float32)], {}),
    "batch norm": (6, "BatchNormalization", [np.array([1, 2, 3], np.float32)] * 4, {"is_test": 1}),
    "dropout": (6, "Dropout", [], {"is_test": 1, "ratio": 0.5}),
    "clip": (6, "Clip", [], {"min": 0.0, "max": 0.5}),
    "cast": (1, "Cast", [], {"to": "INT32"}),
    "reshape": (1, "Reshape", [], {"shape": [2, -1], "consumed_inputs": [0]}),
    "concat": (1, "Concat", [np.ones((2, 3, 4, 5), np.float32)], {}),
    "pad": (1, "Pad", [], {"paddings": [0, 0, 1, 1, 0, 0, 2, 2], "value": 1.0}),
}


def expected(name: str, x: Any, others: list[Any]) -> Any:
    """What the old operator gives, by its definition."""
    if name == "add at an axis":
        return x + others[0].reshape(1, 3, 1, 1)
    if name == "mul of two axes":
        return x * others[0].reshape(1, 3, 4, 1)
    if name == "sub at the end":
        return x - others[0]
    if name == "slope per channel":
        return np.where(x < 0, x * others[0].reshape(1, 3, 1, 1), x)
    if name == "batch norm":
        s, b, m, v = (o.reshape(1, 3, 1, 1) for o in others)
        return (x - m) / np.sqrt(v + np.float32(1e-5)) * s + b
    if name == "clip":
        return np.clip(x, 0.0, 0.5)
    if name == "cast":
        return x.astype(np.int32)
    if name == "reshape":
        return x.reshape(2, -1)
    if name == "concat":
        return np.concatenate([x, others[0]], 1)
    if name == "pad":
        return np.pad(x, [(0, 0), (0, 0), (1, 2), (1, 2)], constant_values=1.0)
    return x


@pytest.mark.parametrize("version", [7, 12, 21])
@pytest.mark.parametrize("name", OLD)
def test_operators_of_the_first_opsets(name: str, version: int) -> None:
    old, op_type, others, attributes = OLD[name]
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    names = [f"c{i}" for i in range(len(others))]
    y = expected(name, x, others)
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x", *names], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", 1, x.shape)]
        + [helper.make_tensor_value_info(n, 1, o.shape) for n, o in zip(names, others, strict=True)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(y.dtype), y.shape)],
        [numpy_helper.from_array(o, n) for n, o in zip(names, others, strict=True)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", old)], ir_version=3)
    found = raised(proto, version)
    assert (len(found.graph.input) == 1) == (found.ir_version >= 4 or not found.graph.initializer)
    np.testing.assert_allclose(run(found, {"x": x})[0], y, rtol=1e-5, atol=1e-6)
