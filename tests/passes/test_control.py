"""canonicalize: an If that is decided gives way to its branch."""

import numpy as np
import onnx
import onnx.helper as oh
import pytest

from qir.frontends.onnx import export_onnx, import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context
from qir.passes import run_pipeline


def branch(op: str, out: str) -> onnx.GraphProto:
    """relu-like op of x and 1, in the way of exporters: names repeat from branch to branch."""
    one = onnx.numpy_helper.from_array(np.array([1.0], np.float32), "one")
    nodes = [oh.make_node(op, ["x", "one"], ["t"], name="n"), oh.make_node("Relu", ["t"], [out], name="r")]
    return oh.make_graph(nodes, "b", [], [oh.make_tensor_value_info(out, 1, None)], [one])


def model(condition: list[onnx.NodeProto]) -> onnx.ModelProto:
    nodes = [
        *condition,
        oh.make_node("If", ["c"], ["a"], name="if1", then_branch=branch("Add", "p"), else_branch=branch("Sub", "q")),
        oh.make_node("Not", ["c"], ["d"]),
        oh.make_node("If", ["d"], ["b"], name="if2", then_branch=branch("Add", "p"), else_branch=branch("Sub", "q")),
        oh.make_node("Concat", ["a", "b"], ["y"], axis=0),
    ]
    graph = oh.make_graph(
        nodes, "g", [oh.make_tensor_value_info("x", 1, [3])], [oh.make_tensor_value_info("y", 1, [None])],
        [onnx.numpy_helper.from_array(np.array(16000), "rate")],
    )  # fmt: skip
    return oh.make_model(graph, opset_imports=[oh.make_opsetid("", 16)], ir_version=8)


@pytest.mark.parametrize("equal", [True, False])
def test_branches_of_known_conditions_are_inlined(equal):
    operands = ["rate", "rate"]
    proto = model([oh.make_node("Equal" if equal else "Less", operands, ["c"])])
    ctx = Context(allow_unregistered=True)
    module = import_onnx(proto, ctx)
    x = np.array([-3.0, 0.5, 2.0], np.float32)
    run_pipeline(module, "canonicalize,shape-inference", ctx)
    assert not any(op.name == "onnx.If" for op in module.walk())
    up, down = np.maximum(x + 1, 0), np.maximum(x - 1, 0)
    expected = np.concatenate([up, down] if equal else [down, up])
    np.testing.assert_array_equal(as_array(Plan(module).run({"x": x})["y"]), expected)
    exported = export_onnx(module)
    onnx.checker.check_model(exported, full_check=True)  # names that both branches had are told apart
    names = [node.name for node in exported.graph.node if node.name]
    assert len(names) == len(set(names))


def test_computed_conditions_stay():
    proto = model([oh.make_node("ReduceMax", ["x"], ["m"], keepdims=0), oh.make_node("Cast", ["m"], ["c"], to=9)])
    ctx = Context(allow_unregistered=True)
    module = import_onnx(proto, ctx)
    run_pipeline(module, "canonicalize", ctx)
    assert sum(op.name == "onnx.If" for op in module.walk()) == 2
