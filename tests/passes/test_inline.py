"""inline: a model's own functions in the place of their calls."""

import numpy as np
import onnx
import onnx.helper as oh

from qir.frontends.onnx import export_onnx, import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context
from qir.passes import run_pipeline

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)


def attribute_reference(node: onnx.NodeProto, name: str, of: str) -> onnx.NodeProto:
    node.attribute.add(name=name, ref_attr_name=of, type=onnx.AttributeProto.FLOAT)
    return node


def model(opset: int = 17) -> onnx.ModelProto:
    """Leaky(x, slope) twice, inside Twice(x, low); Clip has an operand that the second call leaves out."""
    leaky = oh.make_function(
        "own", "Leaky", ["x", "low", "high"], ["y"],
        [attribute_reference(oh.make_node("LeakyRelu", ["x"], ["t"], name="n"), "alpha", "slope"),
         oh.make_node("Clip", ["t", "low", "high"], ["y"], name="m")],
        [oh.make_opsetid("", opset)], ["slope"],
    )  # fmt: skip
    twice = oh.make_function(
        "own", "Twice", ["x", "low"], ["y"],
        [oh.make_node("Leaky", ["x", "low"], ["t"], domain="own", slope=0.25),
         oh.make_node("Leaky", ["t", "", "high"], ["y"], domain="own", slope=0.5),
         oh.make_node("Constant", [], ["high"], value_float=0.75)],
        [oh.make_opsetid("", opset), oh.make_opsetid("own", 1)],
    )  # fmt: skip
    twice.node.insert(0, twice.node.pop())
    low = onnx.numpy_helper.from_array(np.array(-0.3, np.float32), "low")
    graph = oh.make_graph(
        [oh.make_node("Twice", ["x", "low"], ["a"], domain="own", name="first"),
         oh.make_node("Twice", ["a", "low"], ["y"], domain="own", name="second")],
        "g", [oh.make_tensor_value_info("x", 1, [2, 3])], [oh.make_tensor_value_info("y", 1, [2, 3])], [low],
    )  # fmt: skip
    imports = [oh.make_opsetid("", 17), oh.make_opsetid("own", 1)]
    return oh.make_model(graph, opset_imports=imports, ir_version=8, functions=[leaky, twice])


def reference(x: np.ndarray) -> np.ndarray:
    for _ in range(2):
        x = np.maximum(np.where(x < 0, np.float32(0.25) * x, x), np.float32(-0.3))
        x = np.minimum(np.where(x < 0, np.float32(0.5) * x, x), np.float32(0.75))
    return x


def test_calls_in_calls():
    ctx = Context(allow_unregistered=True)
    module = import_onnx(model(), ctx)
    run_pipeline(module, "inline,shape-inference", ctx)
    assert len(list(module.body)) == 1  # the functions went with their last calls
    assert not any("unknown" in str(r.type) for op in module.walk() for r in op.results)
    np.testing.assert_array_equal(as_array(Plan(module).run({"x": X})["y"]), reference(X))
    exported = export_onnx(module)
    onnx.checker.check_model(exported, full_check=True)
    assert not len(exported.functions)
    assert next(n.name for n in exported.graph.node if n.op_type == "Clip").startswith("first")


def test_functions_of_another_opset_stay_calls():
    ctx = Context(allow_unregistered=True)
    module = import_onnx(model(opset=16), ctx)
    run_pipeline(module, "inline", ctx)
    assert sum(op.name == "own.Twice" for op in module.walk()) == 2
    assert any("another opset" in d.message for d in ctx.diagnostics)
