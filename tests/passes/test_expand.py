"""`expand`: every formula gives what the operator gives, and runs only where a target lacks the operator."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import qir
from qir.frontends.onnx import export_onnx
from qir.interpreter import Plan
from qir.ir import QirError, verify

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def model(op, shape, constants=(), out=None, opset=21, **attributes):
    names = ["x", *(f"c{i}" for i in range(len(constants)))]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], name="it", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out or shape)],
        [numpy_helper.from_array(a, n) for n, a in zip(names[1:], constants)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return qir.import_onnx(made)


def outputs(module, shape):
    x = np.random.default_rng(1).normal(size=[2 if isinstance(n, str) else n for n in shape]).astype(np.float32) * 3
    return next(iter(Plan(module).run({"x": x}).values())).numpy()


def check(op, shape, constants=(), also="", **keywords):
    """The formula in place of the operator gives the same numbers; returns the operators that it is made of."""
    module = model(op, shape, constants, **keywords)
    qir.run_pipeline(module, "shape-inference")
    before = outputs(module, shape)
    qir.run_pipeline(module, f"expand{{also={also}}}" if also else "expand")
    verify(module)
    np.testing.assert_allclose(outputs(module, shape), before, rtol=2e-6, atol=1e-6)
    onnx.checker.check_model(export_onnx(module))
    return [o.name for o in module.walk() if o.name.startswith("onnx.") and o.name != "onnx.Constant"]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("HardSigmoid", {}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.1}),
        ("HardSwish", {}),
        ("Elu", {"alpha": 0.7}),
        ("Celu", {"alpha": 0.7}),
        ("Selu", {}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("Mish", {}),
        ("LogSoftmax", {"axis": 1}),
        ("LogSoftmax", {}),
        ("Sum", {}),
    ],
)
def test_functions(op, attributes):
    assert f"onnx.{op}" not in check(op, ["N", 3, 4], **attributes)


@pytest.mark.parametrize("opset", [7, 9, 13, 18])
def test_attributes_or_operands_as_the_opset_has_them(opset):
    check("HardSigmoid", [2, 3], opset=opset)
    check("LogSoftmax", [2, 3], opset=opset)
    check("GlobalMaxPool", [2, 3, 4, 5], out=[2, 3, 1, 1], opset=opset)
    check("InstanceNormalization", [2, 3, 4, 5], [floats(3), floats(3)], opset=opset)


def test_several_operands():
    assert check("Sum", [2, 3], [floats(2, 3), floats(3), floats(2, 1)]) == ["onnx.Add"] * 3
    check("Mean", [2, 3], [floats(2, 3), floats(3)])
    check("PRelu", [2, 3, 4], [floats(3, 1)])


@pytest.mark.parametrize("name", ["ReduceL1", "ReduceL2", "ReduceSumSquare"])
@pytest.mark.parametrize("opset", [13, 18])
def test_reductions(name, opset):
    attributes = {"axes": [1]} if opset < 18 else {}
    axes = [] if opset < 18 else [np.array([1], np.int64)]
    assert f"onnx.{name}" not in check(name, ["N", 3, 4], axes, out=["N", 1, 4], opset=opset, **attributes)
    assert check(name, [2, 3], axes, out=[2], opset=opset, keepdims=0, **attributes) == [f"onnx.{name}"]


def test_normalization():
    check("InstanceNormalization", ["N", 3, 4, 5], [floats(3), floats(3)])
    check("GroupNormalization", ["N", 4, 4, 5], [floats(4), floats(4)], num_groups=2)
    check("LayerNormalization", ["N", 3, 4], [floats(4), floats(4)], epsilon=0.01)
    assert len(check("LayerNormalization", ["N", 3, 4], [floats(3, 4)], axis=1)) == 8
    statistics = [floats(3), floats(3), floats(3), np.abs(floats(3)) + 0.1]
    assert check("BatchNormalization", ["N", 3, 4, 5], statistics) == ["onnx.Mul", "onnx.Add"]
    check("BatchNormalization", ["N", 3], statistics, epsilon=0.1)


def test_a_square_is_a_power():
    text = """func.func @main(%x: tensor<2x3xf32>, %y: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
      %a = onnx.Mul(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
      %b = onnx.Mul(%x, %y) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
      return %a, %b : tensor<2x3xf32>, tensor<2x3xf32>
    }"""
    module = qir.parse(text)
    qir.run_pipeline(module, "expand{target=openvino also=square-as-power}")
    assert [op.name for op in module.walk() if op.name in ("onnx.Mul", "onnx.Pow")] == ["onnx.Pow", "onnx.Mul"]
    x = floats(2, 3)
    square, product = Plan(module).run({"x": x, "y": x}).values()
    np.testing.assert_allclose(square.numpy(), product.numpy(), rtol=1e-6)


def test_special_cases_run_only_where_they_are_named():
    one = np.full((3, 1), 0.25, np.float32)
    assert check("PRelu", [2, 3, 4], [one], "prelu-of-one-slope") == ["onnx.LeakyRelu"]
    d2s = {"out": ["N", 3, 6, 8], "blocksize": 2, "mode": "CRD"}
    turned = check("DepthToSpace", ["N", 12, 3, 4], also="depth-to-space-crd", **d2s)
    assert turned == ["onnx.Gather", "onnx.DepthToSpace"]
    assert check("DepthToSpace", ["N", 12, 3, 4], **d2s) == ["onnx.DepthToSpace"]
    pads = np.array([0, 0, 2, 0, 1, 3], np.int64)
    assert check("Pad", [2, 3, 4], [pads], "pad-edge", out=[2, 4, 9], mode="edge") == ["onnx.Gather"] * 2
    assert check("Pad", [2, 3, 4], [pads], "pad-edge", out=[2, 4, 9], mode="reflect") == ["onnx.Pad"]
    with pytest.raises(QirError, match="no special case 'prelu'"):
        qir.run_pipeline(model("Relu", [2, 3]), "expand{also=prelu}")


@pytest.mark.parametrize(
    ("op", "constants", "out", "attributes"),
    [
        ("Conv", [(6, 4, 3), (6,)], 9, {"pads": [1, 1]}),
        ("Conv", [(6, 2, 3)], 4, {"group": 2, "strides": [2]}),
        ("Conv", [(6, 4, 3)], 6, {"dilations": [2], "pads": [1, 0]}),
        ("MaxPool", [], 5, {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
        ("AveragePool", [], 9, {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}),
    ],
)
def test_one_dimension_as_two(op, constants, out, attributes):
    channels = constants[0][0] if constants else 4
    names = check(op, ["N", 4, 9], [floats(*s) for s in constants], f"{op.lower()}-in-two-dimensions",
                  out=["N", channels, out], **attributes)  # fmt: skip
    assert names == ["onnx.Reshape", f"onnx.{op}", "onnx.Reshape"]


def test_what_a_target_lowers_is_left_alone():
    module = model("HardSwish", [2, 3, 4, 4])
    qir.run_pipeline(module, "expand{target=openvino}")
    assert any(op.name == "onnx.HardSwish" for op in module.walk())


@pytest.mark.parametrize("swapped", [False, True])
def test_the_bias_of_a_product_of_many_rows(swapped):
    w, b = floats(4, 5), floats(5)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["b", "p"] if swapped else ["p", "b"], ["y"], name="it"),
    ]
    for sizes, names in (
        ([2, 3, 4], ["onnx.Reshape", "onnx.Gemm", "onnx.Reshape"]),
        (["N", 3, 4], ["onnx.Reshape", "onnx.Gemm", "onnx.Reshape"]),
        (["N", "S", 4], ["onnx.MatMul", "onnx.Add"]),
        (["N", 4], ["onnx.MatMul", "onnx.Add"]),
    ):
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*sizes[:-1], 5])],
            [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
        )  # fmt: skip
        module = qir.import_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=8))
        qir.run_pipeline(module, "shape-inference")
        before = outputs(module, sizes)
        qir.run_pipeline(module, "expand{also=bias-of-product},canonicalize")
        verify(module)
        np.testing.assert_allclose(outputs(module, sizes), before, rtol=2e-6, atol=1e-6)
        found = [o.name for o in module.walk() if o.name.startswith("onnx.") and o.name != "onnx.Constant"]
        assert found == names
