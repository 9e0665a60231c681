"""Operators with everything stated: the same numbers, in the form that is promised."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context, Operation
from qir.passes.lower.explicit import BIAS_APART, EXPLICIT
from qir.rewrite import apply_patterns

X = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype(np.float32)


def model(op_type: str, constants: tuple[Any, ...], outputs: int, attributes: dict[str, Any]) -> onnx.ModelProto:
    data = [numpy_helper.from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants)]
    names = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, ["x", *(d.name for d in data)], names, name="node", **attributes)
    inputs = [helper.make_tensor_value_info("x", 1, X.shape)]
    graph = helper.make_graph([node], "net", inputs, [onnx.ValueInfoProto(name=n) for n in names], data)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(made)


def names(module: Operation) -> list[str]:
    return [op.name for op in module.walk() if op.name.startswith("onnx.") and op.name != "onnx.Constant"]


W = np.random.default_rng(1).normal(size=(3, 6, 2, 2)).astype(np.float32)
FORMS = [
    ("Flatten", (), 1, {}, ["onnx.Reshape"], 2),
    ("Flatten", (), 1, {"axis": -2}, ["onnx.Reshape"], 2),
    ("GlobalAveragePool", (), 1, {}, ["onnx.ReduceMean"], 2),
    ("GlobalMaxPool", (), 1, {}, ["onnx.ReduceMax"], 2),
    ("ReduceSum", (), 1, {"keepdims": 0}, ["onnx.ReduceSum"], 2),
    ("Split", (), 4, {"axis": 1, "num_outputs": 4}, ["onnx.Split"], 2),
    ("Slice", (np.array([1, 2]), np.array([2, 5])), 1, {}, ["onnx.Slice"], 5),
    ("Transpose", (), 1, {}, ["onnx.Transpose"], 1),
    ("Max", (np.float32(0.1), np.float32(0.3)), 1, {}, ["onnx.Max", "onnx.Max"], 2),
    ("Sum", (X, X), 1, {}, ["onnx.Add", "onnx.Add"], 2),
    ("Conv", (W, np.arange(3, dtype=np.float32)), 1, {"kernel_shape": [2, 2]}, ["onnx.Conv", "onnx.Add"], 2),
]


@pytest.mark.parametrize(("op", "constants", "outputs", "attributes", "wanted", "operands"), FORMS)
def test_the_form_is_another_and_the_numbers_are_not(
    op: str, constants: tuple[Any, ...], outputs: int, attributes: dict[str, Any], wanted: list[str], operands: int
) -> None:
    ctx = Context()
    module = import_onnx(model(op, constants, outputs, attributes), ctx)
    before = {k: as_array(v) for k, v in Plan(module).run({"x": X}).items()}
    assert apply_patterns(module, [*EXPLICIT, *BIAS_APART], ctx)
    assert names(module) == wanted
    last = [o for o in module.walk() if o.name == wanted[-1]][-1]
    assert len(last.operands) == operands
    after = Plan(module).run({"x": X})
    for name, array in before.items():
        assert np.allclose(as_array(after[name]), array, rtol=1e-6, atol=1e-6)
    assert not apply_patterns(module, [*EXPLICIT, *BIAS_APART], ctx), "a form that is explicit stays"
