"""decompose: transposed convolutions by convolutions, general matrix products by plain ones."""

import numpy as np
import onnx
import onnx.helper as oh
import onnxruntime
import pytest

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context
from qir.passes import run_pipeline

WEIGHTS = {1: (4, 3, 4), 2: (4, 3, 3, 4), 3: (2, 2, 3, 2, 3)}
SIZES = {1: (7,), 2: (5, 6), 3: (3, 4, 5)}


def ran(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {model.graph.input[0].name: x})[0]


def decomposed(nodes, arrays, x, out_rank, dynamic=False, opset=13):
    """A model of these nodes before and after, by onnxruntime; the operators left."""
    rng = np.random.default_rng(3)
    tensors = [
        onnx.numpy_helper.from_array(a if isinstance(a, np.ndarray) else rng.normal(size=a).astype(np.float32), name)
        for name, a in arrays.items()
    ]
    shape = [None if dynamic else s for s in x.shape]
    shape[1] = x.shape[1]
    graph = oh.make_graph(
        nodes,
        "g",
        [oh.make_tensor_value_info("x", 1, shape)],
        [oh.make_tensor_value_info("y", 1, [None] * out_rank)],
        tensors,
    )
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", opset)], ir_version=8)
    ctx = Context(allow_unregistered=True)
    module = import_onnx(model, ctx)
    run_pipeline(module, "shape-inference,decompose,canonicalize", ctx)
    names = [op.name.removeprefix("onnx.") for op in module.body.last.body if op.name.startswith("onnx.")]
    before, after = ran(model, x), ran(export_onnx(module), x)
    assert before.shape == after.shape
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-6 * float(np.abs(before).max()))
    return [n for n in names if n not in ("Constant", "NoValue")]


CASES = [
    (1, {"strides": [2], "pads": [1, 1]}),
    (1, {"strides": [3], "output_padding": [1]}),
    (2, {}),
    (2, {"pads": [1, 2, 1, 0]}),
    (2, {"strides": [2, 2]}),
    (2, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    (2, {"strides": [2, 2], "pads": [2, 3, 0, 1]}),
    (2, {"strides": [4, 4], "pads": [0, 1, 2, 0], "output_padding": [3, 2]}),
    (2, {"strides": [3, 2]}),
    (2, {"strides": [1, 2], "dilations": [2, 3], "pads": [1, 0, 0, 1]}),
    (2, {"strides": [2, 2], "dilations": [2, 2], "group": 2}),
    (2, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    (2, {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    (2, {"strides": [2, 2], "auto_pad": "VALID"}),
    (2, {"strides": [2, 2], "output_shape": [11, 13]}),
    (3, {"strides": [2, 1, 2], "pads": [1, 0, 1, 0, 0, 1]}),
]


@pytest.mark.parametrize(("rank", "attributes"), CASES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolution(rank, attributes, bias):
    group = attributes.get("group", 1)
    arrays = {"w": WEIGHTS[rank]} | ({"b": (WEIGHTS[rank][1] * group,)} if bias else {})
    node = oh.make_node("ConvTranspose", ["x", *arrays], ["y"], **attributes)
    x = np.random.default_rng(0).normal(size=(2, WEIGHTS[rank][0], *SIZES[rank])).astype(np.float32)
    left = decomposed([node], arrays, x, rank + 2)
    assert "ConvTranspose" not in left and left.count("Conv") == 1


@pytest.mark.parametrize(("rank", "left"), [(1, "Reshape"), (2, "DepthToSpace")])
def test_sizes_may_be_dynamic(rank, left):
    node = oh.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2] * rank, pads=[1] * (2 * rank))
    x = np.random.default_rng(0).normal(size=(2, 4, *SIZES[rank])).astype(np.float32)
    assert left in decomposed([node], {"w": WEIGHTS[rank]}, x, rank + 2, dynamic=True)


@pytest.mark.parametrize("opset", [9, 10])
def test_depth_to_space_before_opset_11(opset):
    node = oh.make_node("ConvTranspose", ["x", "w", "b"], ["y"], strides=[2, 2], pads=[1] * 4)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    left = decomposed([node], {"w": WEIGHTS[2], "b": (3,)}, x, 4, dynamic=True, opset=opset)
    assert left == ["Conv", "DepthToSpace", "Slice"]


def test_unknown_sizes_of_unlike_strides_stay():
    node = oh.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 3])
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    assert decomposed([node], {"w": WEIGHTS[2]}, x, 4, dynamic=True) == ["ConvTranspose"]


def test_relu_behind_goes_before_the_rearrangement():
    nodes = [oh.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[2, 2]), oh.make_node("Relu", ["t"], ["y"])]
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    assert decomposed(nodes, {"w": WEIGHTS[2]}, x, 4)[:3] == ["Conv", "Relu", "DepthToSpace"]


GEMMS = [
    ({}, (6, 5), (5,), ["Gemm"]),
    ({"alpha": 0.5, "beta": 2.0}, (6, 5), (1, 5), ["Gemm"]),
    ({"alpha": -1.0, "transB": 1}, (5, 6), (), ["Gemm"]),
    ({"beta": 0.25, "transB": 1}, (5, 6), (1,), ["Gemm"]),
    ({"transA": 1, "alpha": 3.0}, (4, 5), None, ["Transpose", "Gemm"]),
    ({"beta": 0.25}, (6, 5), (4, 1), ["Gemm", "Add"]),
    ({"beta": 0.5}, (6, 5), (4, 5), ["Gemm", "Add"]),
]


@pytest.mark.parametrize(("attributes", "w", "c", "left"), GEMMS, ids=str)
def test_gemm(attributes, w, c, left):
    arrays = {"w": w} | ({} if c is None else {"c": c})
    node = oh.make_node("Gemm", ["x", *arrays], ["y"], **attributes)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    assert decomposed([node], arrays, x, 2) == left


@pytest.mark.parametrize("attributes", [{}, {"transA": 1, "alpha": 2.0, "beta": 0.5}, {"transB": 1}], ids=str)
def test_gemm_with_a_constant_on_the_left(attributes):
    inner = 6 if attributes.get("transB") else 4
    w = (inner, 3) if attributes.get("transA") else (3, inner)
    node = oh.make_node("Gemm", ["w", "x", "c"], ["y"], **attributes)
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    left = decomposed([node], {"w": w, "c": (4,) if attributes.get("transB") else (6,)}, x, 2)
    assert [n for n in left if n != "Transpose"] == ["MatMul", "Add"]


def test_computed_addend_is_added_behind():
    nodes = [oh.make_node("Gemm", ["x", "w", "x"], ["y"], beta=0.5, alpha=2.0)]
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    assert decomposed(nodes, {"w": (6, 6)}, x, 2) == ["Gemm", "Mul", "Add"]
