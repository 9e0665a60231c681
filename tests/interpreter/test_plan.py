"""Plans: inputs are checked, values are freed and observed, constants are evaluated once, errors name the node."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest
import torch

import qir
from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, evaluate, kernel
from qir.interpreter.registry import find_kernel
from qir.ir import Context, Operation, QirError, Value
from qir.text import parse_module

CHAIN = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<?x3xf32>, %y: tensor<3xf32>) -> tensor<?x3xf32> {
    %a = onnx.Add(%x, %y) : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32> loc("add")
    %b = onnx.Relu(%a) : (tensor<?x3xf32>) -> tensor<?x3xf32> loc("relu")
    %c = onnx.Mul(%b, %y) : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32> loc("mul")
    return %c : tensor<?x3xf32>
  }
}
"""
X = np.array([[-3, 1, 2]], np.float32)
Y = np.array([1, 2, -1], np.float32)


def module(text: str) -> Operation:
    return parse_module(text, Context(allow_unregistered=True))


def ops(m: Operation, name: str) -> list[Operation]:
    return [op for op in m.walk() if op.name == name]


def result(m: Operation, inputs: dict[str, Any], **options: Any) -> np.ndarray[Any, Any]:
    plan = Plan(m, **options)
    return np.asarray(plan.run(inputs)[plan.outputs[0]])


def test_runs_in_order() -> None:
    assert result(module(CHAIN), {"x": X, "y": Y}).tolist() == [[0, 6, -1]]


def test_a_plan_runs_again_with_the_same_result() -> None:
    plan = Plan(module(CHAIN))
    first, second = (plan.run({"x": X, "y": Y})["c"].tolist() for _ in range(2))
    assert first == second == [[0, 6, -1]]
    assert X.tolist() == [[-3, 1, 2]]


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        ({"x": X}, "input 'y' (tensor<3xf32>) is missing", "give an array"),
        ({"x": X, "y": Y, "yy": Y}, "has no input 'yy'", "did you mean 'y'?"),
        ({"x": X.astype(np.float64), "y": Y}, "input 'x' is float64", "convert it to float32"),
        ({"x": X[0], "y": Y}, "input 'x' has rank 1", "add the batch axis"),
        ({"x": X[:, :2], "y": Y}, "input 'x' is 1x2", "axis 1 is 2, it must be 3"),
        ({"x": X, "y": Y[:2]}, "input 'y' is 2", "first axis is fixed"),
        ({"x": X[:0], "y": Y}, "input 'x' is empty (0x3)", "at least one element"),
        ({"x": "text", "y": Y}, "input 'x' holds no numbers", "the model wants tensor<?x3xf32>"),
    ],
)
def test_wrong_inputs_are_named(inputs: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(QirError) as caught:
        Plan(module(CHAIN)).run(inputs)
    (diagnostic,) = caught.value.diagnostics
    assert message in diagnostic.message
    assert hint in str(diagnostic.hint)


def test_symbolic_dimensions_must_agree() -> None:
    nodes = [oh.make_node("Add", ["a", "b"], ["c"])]
    infos = [oh.make_tensor_value_info(n, 1, ["N", 2]) for n in "abc"]
    model = oh.make_model(oh.make_graph(nodes, "g", infos[:2], infos[2:]), opset_imports=[oh.make_opsetid("", 17)])
    plan = Plan(import_onnx(model, Context()))
    with pytest.raises(QirError, match="input 'b' has 3 along axis 0 \\('N'\\), but input 'a' has 1"):
        plan.run({"a": np.zeros((1, 2), np.float32), "b": np.zeros((3, 2), np.float32)})


def test_all_ops_without_a_kernel_are_listed() -> None:
    text = CHAIN.replace("onnx.Relu", "my.Odd").replace("onnx.Mul", "my.Odder")
    with pytest.raises(QirError) as caught:
        Plan(module(text))
    (diagnostic,) = caught.value.diagnostics
    assert "my.Odd: 1 op ('relu')" in diagnostic.message
    assert "my.Odder: 1 op ('mul')" in diagnostic.message
    assert "@qir.kernel" in str(diagnostic.hint)


def test_an_error_in_an_operation_names_its_node() -> None:
    text = CHAIN.replace("tensor<3xf32>", "tensor<?xf32>")
    with pytest.raises(QirError) as caught:
        Plan(module(text)).run({"x": X, "y": np.zeros(2, np.float32)})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.location.names() == ("add",)
    assert "'onnx.Add' cannot be computed: The size of tensor a" in diagnostic.message
    assert "1x3xfloat32, 2xfloat32" in str(diagnostic.hint)


def test_functions_are_chosen_by_name() -> None:
    text = CHAIN.replace("@main", "@other")
    assert Plan(module(text)).outputs == ("c",)
    assert Plan(module(text), function="other").function.attr("sym_name") == "other"
    with pytest.raises(QirError, match="no function @missing"):
        Plan(module(text), function="missing")


def values_of(m: Operation) -> dict[str, Value]:
    return {op.name: op.results[0] for op in m.walk() if op.name in ("onnx.Add", "onnx.Relu", "onnx.Mul")}


def test_taps_see_every_value_and_change_nothing() -> None:
    m = module(CHAIN)
    seen: dict[str, Any] = {}
    taps = {v: lambda t, n=n: seen.__setitem__(n, t) for n, v in values_of(m).items()}
    taps[ops(m, "func.func")[0].regions[0].block.args[0]] = lambda t: seen.__setitem__("x", t)
    plan = Plan(m)
    out = plan.run({"x": X, "y": Y}, taps)["c"]
    assert out.tolist() == [[0, 6, -1]]
    # The sum is kept as it was, though relu and mul may overwrite their operands otherwise.
    assert seen["onnx.Add"].tolist() == [[-2, 3, 1]]
    assert seen["onnx.Relu"].tolist() == [[0, 3, 1]]
    assert seen["x"].tolist() == X.tolist()


def test_taps_in_regions_and_on_constants() -> None:
    m = module(BRANCH)
    seen: list[Any] = []
    inner = ops(m, "onnx.Neg")[0].results[0]
    constant = ops(m, "onnx.Constant")[0].results[0]
    plan = Plan(m)
    plan.run({"c": np.array(True), "x": X}, {inner: seen.append, constant: seen.append})
    assert [t.tolist() for t in seen] == [[2.0], (-X - 2).tolist()]


def test_kept_values_are_returned_too() -> None:
    m = module(CHAIN)
    plan = Plan(m, keep=[values_of(m)["onnx.Add"]])
    results = plan.run({"x": X, "y": Y})
    assert [v.tolist() for v in results.values()] == [[[0, 6, -1]], [[-2, 3, 1]]]


def test_values_are_freed_after_their_last_use() -> None:
    alive: list[int] = []
    refs: list[weakref.ref[torch.Tensor]] = []

    @qir.kernel("test.Probe")
    def probe(op: Operation, x: torch.Tensor) -> torch.Tensor:
        alive.append(sum(r() is not None for r in refs))
        y = x + 1
        refs.append(weakref.ref(y))
        return y

    lines = "\n".join(f'%{i + 1} = "test.Probe"(%{i}) : (tensor<4xf32>) -> tensor<4xf32>' for i in range(6)).replace(
        "%0)", "%x)"
    )
    text = f"""module {{ func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {{
{lines}
return %6 : tensor<4xf32> }} }}"""
    m = module(text)
    for taps in (None, {ops(m, "test.Probe")[2].results[0]: lambda t: None}):
        alive.clear()
        refs.clear()
        Plan(m).run({"x": np.zeros(4, np.float32)}, taps)
        assert max(alive) <= 1


def test_what_depends_on_constants_only_runs_once() -> None:
    calls: list[str] = []

    @qir.kernel("test.Count")
    def count(op: Operation, x: torch.Tensor) -> torch.Tensor:
        calls.append(op.attr("who"))
        return x * 2

    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %w = onnx.Constant() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %0 = "test.Count"(%w) {who = "constant"} : (tensor<2xf32>) -> tensor<2xf32>
    %1 = "test.Count"(%x) {who = "input"} : (tensor<2xf32>) -> tensor<2xf32>
    %2 = onnx.Add(%0, %1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    return %2 : tensor<2xf32>
  } }"""
    plan = Plan(module(text))
    for _ in range(3):
        assert plan.run({"x": np.ones(2, np.float32)})["result0"].tolist() == [4, 6]
    assert calls.count("constant") == 1
    assert calls.count("input") == 3


def test_constants_are_not_copied() -> None:
    weights = np.arange(64, dtype=np.float32).reshape(8, 8)
    nodes = [oh.make_node("MatMul", ["x", "w"], ["y"])]
    x, y = (oh.make_tensor_value_info(n, 1, [1, 8]) for n in "xy")
    initializer = [onnx.numpy_helper.from_array(weights, "w")]
    graph = oh.make_graph(nodes, "g", [x], [y], initializer)
    m = import_onnx(oh.make_model(graph, opset_imports=[oh.make_opsetid("", 17)]), Context())
    constant = ops(m, "onnx.Constant")[0]
    array = constant.attr("value").numpy()
    tensor = Plan(m).constants[constant.results[0]]
    assert tensor.data_ptr() == array.__array_interface__["data"][0]


VIEWS = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<1x3xf32>) -> (tensor<3xf32>, tensor<1x3xf32>) {
    %a = onnx.Neg(%x) : (tensor<1x3xf32>) -> tensor<1x3xf32>
    %s = onnx.Add(%a, %a) : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
    %f = onnx.Squeeze(%s) : (tensor<1x3xf32>) -> tensor<3xf32>
    %r = onnx.Relu(%s) : (tensor<1x3xf32>) -> tensor<1x3xf32>
    return %f, %r : tensor<3xf32>, tensor<1x3xf32>
  }
}
"""


def test_overwriting_spares_values_that_a_view_still_shows() -> None:
    out = Plan(module(VIEWS)).run({"x": X})
    assert [v.tolist() for v in out.values()] == [[6, -2, -4], [[6, 0, 0]]]


BOUNDS = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<1x3xf32>, %b: tensor<f32>) -> (tensor<1x3xf32>, tensor<1x3xf32>) {
    %s = onnx.Add(%x, %x) : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
    %l = onnx.Sub(%b, %b) : (tensor<f32>, tensor<f32>) -> tensor<f32>
    %r = onnx.Clip(%s, %l) : (tensor<1x3xf32>, tensor<f32>) -> tensor<1x3xf32>
    return %s, %r : tensor<1x3xf32>, tensor<1x3xf32>
  }
}
"""


def test_only_the_operand_that_dies_is_overwritten() -> None:
    """The bound's memory is free to take, the clipped value is returned too."""
    out = Plan(module(BOUNDS)).run({"x": X, "b": np.array(1, np.float32)})
    assert [v.tolist() for v in out.values()] == [[[-6, 2, 4]], [[0, 2, 4]]]


@pytest.mark.parametrize("kind", ["Relu", "Sigmoid", "Exp", "Add", "Mul"])
def test_overwriting_gives_what_not_overwriting_gives(kind: str) -> None:
    operands, types = (
        ("%a, %y", "tensor<1x3xf32>, tensor<3xf32>") if kind in ("Add", "Mul") else ("%a", "tensor<1x3xf32>")
    )
    text = f"""module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{
  func.func @main(%x: tensor<1x3xf32>, %y: tensor<3xf32>) -> tensor<1x3xf32> {{
    %a = onnx.Add(%x, %y) : (tensor<1x3xf32>, tensor<3xf32>) -> tensor<1x3xf32>
    %c = onnx.{kind}({operands}) : ({types}) -> tensor<1x3xf32>
    return %c : tensor<1x3xf32>
  }} }}"""
    m = module(text)
    plan = Plan(m)
    kept: list[Any] = []
    tapped = plan.run({"x": X, "y": Y}, {ops(m, "onnx.Add")[0].results[0]: kept.append})["c"]
    free = plan.run({"x": X, "y": Y})["c"]
    assert kept[0].tolist() == [[-2, 3, 1]]
    assert tapped.tolist() == free.tolist() != [[-2, 3, 1]]


def test_gradients_flow_through_a_plan() -> None:
    x = torch.tensor(X, requires_grad=True)
    Plan(module(CHAIN)).run({"x": x, "y": Y})["c"].sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 2, -1]]


BRANCH = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%c: tensor<i1>, %x: tensor<1x3xf32>) -> tensor<1x3xf32> {
    %two = onnx.Constant() {value = dense<2.0> : tensor<1xf32>} : () -> tensor<1xf32>
    %s = onnx.Add(%x, %two) : (tensor<1x3xf32>, tensor<1xf32>) -> tensor<1x3xf32>
    %r = onnx.If(%c) ({
      %n = onnx.Neg(%s) : (tensor<1x3xf32>) -> tensor<1x3xf32>
      onnx.Yield(%n) : (tensor<1x3xf32>) -> ()
    }, {
      %m = onnx.Mul(%s, %two) : (tensor<1x3xf32>, tensor<1xf32>) -> tensor<1x3xf32>
      onnx.Yield(%m) : (tensor<1x3xf32>) -> ()
    }) : (tensor<i1>) -> tensor<1x3xf32>
    return %r : tensor<1x3xf32>
  }
}
"""


def test_branches_read_values_from_outside() -> None:
    m = module(BRANCH)
    assert result(m, {"c": np.array(True), "x": X}).tolist() == [[1, -3, -4]]
    assert result(m, {"c": np.array(False), "x": X}).tolist() == [[-2, 6, 8]]


def test_calls() -> None:
    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func private @twice(%a: tensor<3xf32>) -> tensor<3xf32> {
    %0 = onnx.Add(%a, %a) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    return %0 : tensor<3xf32>
  }
  func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
    %0 = call @twice(%x) : (tensor<3xf32>) -> tensor<3xf32>
    %1 = call @twice(%0) : (tensor<3xf32>) -> tensor<3xf32>
    return %1 : tensor<3xf32>
  } }"""
    assert result(module(text), {"x": Y}).tolist() == [4, 8, -4]


def test_functions_of_the_model_take_attributes_and_defaults() -> None:
    body = [oh.make_node("LeakyRelu", ["a"], ["b"]), oh.make_node("Constant", [], ["k"])]
    reference = body[0].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "alpha", "slope", onnx.AttributeProto.FLOAT
    reference = body[1].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "value_float", "bias", onnx.AttributeProto.FLOAT
    body.append(oh.make_node("Add", ["b", "k"], ["c"]))
    opsets = [oh.make_opsetid("", 17), oh.make_opsetid("mine", 1)]
    function = oh.make_function(
        "mine", "Leak", ["a"], ["c"], body, opsets[:1], ["slope"], [oh.make_attribute("bias", 10.0)]
    )
    nodes = [
        oh.make_node("Leak", ["x"], ["y"], domain="mine", slope=0.5),
        oh.make_node("Leak", ["y"], ["z"], domain="mine", slope=1.0, bias=1.0),
    ]
    x, z = (oh.make_tensor_value_info(n, 1, [3]) for n in "xz")
    model = oh.make_model(oh.make_graph(nodes, "g", [x], [z]), opset_imports=opsets, functions=[function])
    m = import_onnx(model, Context(allow_unregistered=True))
    assert Plan(m).run({"x": np.array([-2, 0, 2], np.float32)})["z"].tolist() == [10, 11, 13]


FAKE = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @q : i8 symmetric per_tensorPARAMS
  func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
    %0 = qsim.fake %x by @q : tensor<3xf32>
    return %0 : tensor<3xf32>
  }
}
"""


def test_fakes_use_the_scale_of_their_quantizer() -> None:
    x = np.array([0.3, 1.0, -100.0], np.float32)
    assert result(module(FAKE.replace("PARAMS", " scale(0.5)")), {"x": x}).tolist() == [0.5, 1.0, -64.0]


def test_a_fake_without_a_scale_is_an_error_or_passes() -> None:
    m = module(FAKE.replace("PARAMS", ""))
    x = np.array([0.3, 1.0, -100.0], np.float32)
    with pytest.raises(QirError, match="quantizer @q has no scale yet"):
        Plan(m)
    assert result(m, {"x": x}, uncalibrated="passthrough").tolist() == x.tolist()


def test_newer_kernels_stand_before_older_ones() -> None:
    @kernel("test.Versioned", until=3)
    def old(node: Any) -> Any:
        return lambda x: x + 1

    @kernel("test.Versioned", since=4)
    def new(node: Any) -> Any:
        return lambda x: x + 2

    entries = [find_kernel("test.Versioned", n) for n in (1, 3, 4, 99)]
    assert [e.build for e in entries if e is not None] == [old, old, new, new]


def test_evaluate_gives_the_value_of_one_operation() -> None:
    add = ops(module(CHAIN), "onnx.Add")[0]
    (value,) = evaluate(add, [torch.tensor(X), torch.tensor(Y)])
    assert value.tolist() == [[-2, 3, 1]]
