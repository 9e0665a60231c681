"""convert-opset: every changed operator, in its old form and raised, gives the same numbers in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context, QirError, verify
from qir.passes import run_pipeline

Node = Callable[..., onnx.NodeProto]
X = (2, 4, 6, 6)


def model(opset: int, op_type: str, constants: dict[str, Any], outputs: int = 1, **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(op_type, ["x", *constants], [f"y{i}" for i in range(outputs)], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, X)],
        [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    made = onnx.shape_inference.infer_shapes(made)
    for output in made.graph.output:
        if not output.type.tensor_type.elem_type:
            output.type.CopyFrom(made.graph.input[0].type)
    return made


def run(proto: onnx.ModelProto, x: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return list(onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, {"x": x}))


F32 = np.float32
CASES: dict[str, tuple[int, str, dict[str, Any], dict[str, Any]]] = {
    "clip": (7, "Clip", {}, {"min": -0.5, "max": 0.7}),
    "clip-above": (10, "Clip", {}, {"max": 0.7}),
    "pad": (10, "Pad", {}, {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 1.5}),
    "pad-edge": (9, "Pad", {}, {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "mode": "edge"}),
    "slice": (9, "Slice", {}, {"starts": [1, -3], "ends": [4, 100], "axes": [2, 3]}),
    "slice-all": (8, "Slice", {}, {"starts": [0, 1], "ends": [2, 3]}),
    "topk": (9, "TopK", {}, {"k": 2, "axis": 1}),
    "upsample-7": (7, "Upsample", {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "nearest"}),
    "upsample-9": (9, "Upsample", {"s": np.array([1, 1, 2, 2], F32)}, {"mode": "linear"}),
    "resize-10": (10, "Resize", {"s": np.array([1, 1, 2, 2], F32)}, {"mode": "nearest"}),
    "resize-10-down": (10, "Resize", {"s": np.array([1, 1, 0.5, 0.5], F32)}, {"mode": "nearest"}),
    "scatter": (9, "Scatter", {"i": np.zeros((1, 4, 6, 6), np.int64), "u": np.ones((1, 4, 6, 6), F32)}, {"axis": 0}),
    "softmax": (12, "Softmax", {}, {}),
    "softmax-last": (11, "Softmax", {}, {"axis": 3}),
    "softmax-middle": (9, "LogSoftmax", {}, {"axis": 2}),
    "unsqueeze": (12, "Unsqueeze", {}, {"axes": [0, 3]}),
    "reduce-sum": (12, "ReduceSum", {}, {"axes": [2, 3], "keepdims": 0}),
    "reduce-mean": (12, "ReduceMean", {}, {"axes": [1, 2]}),
    "reduce-all": (12, "ReduceMax", {}, {}),
    "split": (12, "Split", {}, {"axis": 1, "split": [1, 3]}),
    "split-even": (12, "Split", {}, {"axis": 1}),
    "dropout": (11, "Dropout", {}, {"ratio": 0.3}),
    "batch-norm": (
        8,
        "BatchNormalization",
        {n: np.linspace(0.5, 1.5, 4).astype(F32) for n in "abcd"},
        {"epsilon": 1e-3, "spatial": 1},
    ),
    "batch-norm-9": (9, "BatchNormalization", {n: np.linspace(0.5, 1.5, 4).astype(F32) for n in "abcd"}, {}),
    "gemm-like": (9, "Conv", {"w": np.ones((3, 4, 3, 3), F32)}, {"kernel_shape": [3, 3]}),
    "group-norm": (
        18,
        "GroupNormalization",
        {"s": np.array([1.5, 2], F32), "b": np.array([0, 1], F32)},
        {"num_groups": 2},
    ),
}


@pytest.mark.parametrize("version", [13, 18, 21])
@pytest.mark.parametrize("name", CASES)
def test_same_numbers(name: str, version: int) -> None:
    opset, op_type, constants, attributes = CASES[name]
    outputs = {"TopK": 2, "Split": 2}.get(op_type, 1)
    before = model(opset, op_type, constants, outputs, **attributes)
    ctx = Context()
    module = import_onnx(before, ctx)
    run_pipeline(module, f"convert-opset{{version={version}}}", ctx)
    verify(module)
    after = export_onnx(module)
    after.ir_version = max(after.ir_version, 10)
    if version > opset:
        onnx.checker.check_model(after, full_check=True)
    assert after.opset_import[0].version == max(version, opset)
    x = np.random.default_rng(0).normal(size=X).astype(F32)
    for a, b in zip(run(before, x), run(after, x), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_a_newer_module_stays() -> None:
    ctx = Context()
    module = import_onnx(model(17, "Relu", {}), ctx)
    run_pipeline(module, "convert-opset{version=13}", ctx)
    assert export_onnx(module).opset_import[0].version == 17


@pytest.mark.parametrize(
    "opset, version, message",
    [
        (17, 999, "cannot be raised to opset 999: the installed onnx knows"),
    ],
)
def test_what_cannot_be_raised(opset: int, version: int, message: str) -> None:
    ctx = Context()
    module = import_onnx(model(opset, "Relu", {}), ctx)
    with pytest.raises(QirError, match=message):
        run_pipeline(module, f"convert-opset{{version={version}}}", ctx)
