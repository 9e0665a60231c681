"""Whole jobs: nets quantized, lowered, exported, run by the real runtime and by the interpreter."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import qir
from qir.dialects.func import FuncOp
from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan
from qir.ir import Context, FunctionType
from qir.lowering.onnxruntime import runtime
from qir.lowering.onnxruntime.export import to_model
from qir.passes import run_pipeline


def residual(n: Any) -> Any:
    x = n.op("Relu", n.convolution(n.input("x", "n", 3, 16, 16), 3, 16))
    y = n.convolution(n.op("Relu", n.convolution(x, 16, 16)), 16, 16)
    x = n.op("Relu", n.op("Add", y, x))
    x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = n.op("Relu", n.convolution(x, 16, 32, strides=[2, 2]))
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    n.output(n.linear(x, 32, 10))
    return n


def mobile(n: Any) -> Any:
    lo, hi = n.constant(0.0), n.constant(6.0)
    x = n.op("Clip", n.convolution(n.input("x", "n", 3, 17, 17), 3, 16, strides=[2, 2]), lo, hi)
    x = n.op("Clip", n.convolution(x, 16, 16, group=16), lo, hi)
    x = n.convolution(x, 16, 24, 1)
    y = n.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = n.op("Relu", n.convolution(y, 24, 24, group=3))
    x = n.op("Flatten", n.op("GlobalAveragePool", n.convolution(x, 24, 8, 1)))
    n.output(n.linear(x, 8, 5))
    return n


def inception(n: Any) -> Any:
    x = n.op("Relu", n.convolution(n.input("x", "n", 3, 12, 12), 3, 8))
    branches = [
        n.op("Relu", n.convolution(x, 8, 8, 1)),
        n.op("LeakyRelu", n.convolution(x, 8, 12), alpha=0.1),
        n.convolution(n.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 8, 4, 1),
    ]
    x = n.op("Transpose", n.op("Concat", *branches, axis=1), perm=[0, 2, 3, 1])
    x = n.op("Reshape", x, n.constant([0, 144, 24], dtype=np.int64))
    n.output(n.linear(x, 24, 6, "MatMul"))
    return n


def gated(n: Any) -> Any:
    """Squeeze and excitation: a Sigmoid's result multiplies all channels."""
    x = n.op("Relu", n.convolution(n.input("x", "n", 3, 12, 12), 3, 16))
    s = n.convolution(n.op("Relu", n.convolution(n.op("GlobalAveragePool", x), 16, 4, 1)), 4, 16, 1)
    n.output(n.convolution(n.op("Mul", x, n.op("Sigmoid", s)), 16, 8))
    return n


def transformer(n: Any) -> Any:
    x = n.input("x", "n", 10, 32)
    for _ in range(2):
        y = n.op("LayerNormalization", x, n.constant(np.ones(32)), n.constant(np.zeros(32)))
        heads = n.constant([0, 10, 4, 8], dtype=np.int64)
        q, k, v = (
            n.op("Transpose", n.op("Reshape", n.linear(y, 32, 32, "MatMul"), heads), perm=perm)
            for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )
        a = n.op("Softmax", n.op("Mul", n.op("MatMul", q, k), n.constant(8**-0.5)), axis=-1)
        a = n.op("Transpose", n.op("MatMul", a, v), perm=[0, 2, 1, 3])
        x = n.op("Add", x, n.linear(n.op("Reshape", a, n.constant([0, 10, 32], dtype=np.int64)), 32, 32, "MatMul"))
        x = n.op("Add", x, n.linear(n.op("Gelu", n.linear(x, 32, 64, "MatMul")), 64, 32, "MatMul"))
    n.output(x)
    return n


INTEGER_NETS = {"residual": residual, "mobile": mobile, "inception": inception, "gated": gated}


def counts(module: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for op in module.walk():
        kind = op.name.partition(".")[2]
        if op.name.startswith("onnxruntime."):
            found[kind] = found.get(kind, 0) + 1
    return found


@pytest.mark.parametrize("name", INTEGER_NETS)
@pytest.mark.parametrize("kind", ["random", "high", "low"])
def test_integer_nets_are_equal_to_the_last_bit(float_net: Any, job: Any, name: str, kind: str) -> None:
    net = INTEGER_NETS[name](float_net(name))
    work = job(net).lowered()
    path = work.artifact()
    feed = net.feed(3, kind)
    ours, theirs = work.simulated(feed), runtime.run(path, feed)
    kernels = runtime.kernels_of(path)
    assert kernels.in_float == ()
    work.run("onnxruntime-fuse")
    for kernel, count in counts(work.module).items():
        assert kernels.counts.get(kernel, 0) == count, kernel
    for output, expected in theirs.items():
        assert int((ours[output] != expected).sum()) == 0


@pytest.mark.parametrize("name", INTEGER_NETS)
def test_both_forms_of_the_artifact_agree(float_net: Any, job: Any, name: str) -> None:
    net = INTEGER_NETS[name](float_net(name))
    work = job(net).lowered()
    qdq = work.artifact("qdq")
    operators = work.run("onnxruntime-fuse").artifact("operators")
    feed = net.feed(3)
    first, second = runtime.run(qdq, feed), runtime.run(operators, feed)
    left = [n.op_type for n in onnx.load(operators).graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert left in (["QuantizeLinear"], ["QuantizeLinear", "DequantizeLinear"])
    for output, expected in first.items():
        assert np.array_equal(expected, second[output])


def test_transformer_is_within_a_step_where_float_lies_between(float_net: Any, job: Any) -> None:
    """LayerNormalization, Softmax and Gelu run in float, where the runtime rounds otherwise (another order of sums):
    a code behind them may be one step off, and a step of an input is a small part of the output's range."""
    net = transformer(float_net("transformer"))
    work = job(net).lowered()
    path = work.artifact()
    feed = net.feed(3)
    kernels = runtime.kernels_of(path)
    assert kernels.in_float == () and kernels.integer == 12
    ours, theirs = work.simulated(feed), runtime.run(path, feed)
    for output, expected in theirs.items():
        span = float(expected.max() - expected.min())
        assert float(np.abs(ours[output] - expected).max()) <= span / 255
        assert float((np.abs(ours[output] - expected) > 1e-5 * span).mean()) <= 0.05


@pytest.mark.parametrize("fixed", [False, True])
def test_products_with_a_bias_run_on_integers(float_net: Any, job: Any, fixed: bool) -> None:
    """Whatever is known about the sizes: the runtime's fusion of MatMul and Add must not take them."""
    n = float_net(fixed)
    batch = 4 if fixed else "n"
    y = n.linear(n.input("x", batch, 6, 32), 32, 24, "MatMul")
    z = n.linear(n.input("m", batch, 32), 32, 24, "MatMul")
    n.output(n.op("Tanh", y))
    n.output(n.op("Tanh", n.op("Relu", z)))
    feed = {"x": n.rng.normal(size=(4, 6, 32)).astype(np.float32), "m": n.rng.normal(size=(4, 32)).astype(np.float32)}
    work = job(n, feed).lowered()
    assert runtime.kernels_of(work.artifact()).in_float == ()


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_what_is_excluded_stays_in_float(float_net: Any, job: Any, tmp_path: Path, op: str) -> None:
    """Between quantized neighbours too, where the runtime would quantize the weight on its own."""
    n = float_net(op)
    if op == "Conv":
        x = n.op("Relu", n.convolution(n.input("x", "n", 3, 8, 8), 3, 8))
        x = n.op("Relu", n.convolution(x, 8, 8))
        excluded = next(node.name for node in reversed(n.nodes) if node.op_type == op)
        n.output(n.convolution(x, 8, 4))
    else:
        x = n.op("Relu", n.linear(n.input("x", "n", 16), 16, 24))
        x = n.op("Relu", n.linear(x, 24, 24))
        excluded = next(node.name for node in reversed(n.nodes) if node.op_type == op)
        n.output(n.linear(x, 24, 4))
    work = job(n)
    work.run(
        f"annotate{{target=onnxruntime exclude={excluded}}},calibrate{{data={tmp_path / 'data.npz'}}},"
        "materialise,lower-to-onnxruntime,verify-target{target=onnxruntime}"
    )
    kernels = runtime.kernels_of(work.artifact())
    assert kernels.integer == 2 and kernels.in_float == (excluded,)


@pytest.mark.parametrize("opset", [7, 9, 11, 12])
def test_old_opsets_are_raised(float_net: Any, job: Any, opset: int) -> None:
    """A model of an opset that has no scales along an axis gets one that does; a remark says so."""
    n = float_net(opset, opset=opset)
    x = n.convolution(n.input("x", "n", 3, 12, 12), 3, 8)
    x = n.op("BatchNormalization", x, *(n.constant(n.rng.uniform(0.5, 1.5, 8)) for _ in range(4)))
    x = n.op("Clip", x, n.constant(0.0), n.constant(6.0)) if opset >= 11 else n.op("Clip", x, min=0.0, max=6.0)
    x = n.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = n.convolution(x, 8, 8)
    x = n.op("Relu", n.op("Add", y, x))
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    n.output(n.op("Softmax", n.linear(x, 8, 5), axis=1))
    work = job(n).lowered()
    path = work.artifact()
    assert onnx.load(path).opset_import[0].version == 13
    assert [d.message for d in work.ctx.diagnostics if "opset raised" in d.message] == [
        f"opset raised from {opset} to 13: scales along an axis need it"
    ]
    assert runtime.kernels_of(path).in_float == ()
    feed = n.feed(3)
    ours, theirs = work.simulated(feed), runtime.run(path, feed)
    for output, expected in theirs.items():
        np.testing.assert_allclose(ours[output], expected, rtol=1e-5)


ZOO = ["squeezenet-imagenet", "mobilenet_v1_025-imagenet", "resnet8-cifar10", "digits-cnn"]


@pytest.mark.slow
@pytest.mark.parametrize("entry", ZOO)
def test_zoo_is_equal_to_the_last_integer(zoo: Path, job: Any, tmp_path: Path, entry: str) -> None:
    """What stands before the float end of a net (pooling, Softmax), chained over the whole net: no element differs."""
    sys.path.insert(0, str(zoo))
    try:
        import evaluate

        samples = {k: v[:8] for k, v in evaluate.calib(entry).items()}
    finally:
        sys.path.remove(str(zoo))
    model = zoo / json.loads((zoo / "entries.json").read_text())[entry]["model"]
    work = job(onnx.load(model), samples).lowered()
    main = next(op for op in work.module.body if isinstance(op, FuncOp))
    value = main.return_op.operands[0]
    while value.defining_op.name not in ("onnxruntime.DequantizeLinear", "onnx.Gemm", "onnx.MatMul"):
        value = value.defining_op.operands[0]
    return_instead(main, value)
    run_pipeline(work.module, "canonicalize", work.ctx)
    path = tmp_path / "integers.onnx"
    to_model(work.module, path)
    feed = {k: v[:2] for k, v in samples.items()}
    ours, theirs = work.simulated(feed), runtime.run(path, feed)
    assert runtime.kernels_of(path).in_float == ()
    for output, expected in theirs.items():
        assert np.unique(expected).size > 5
        assert int((ours[output] != expected).sum()) == 0


def return_instead(main: FuncOp, value: Any) -> None:
    """Let the function give another value."""
    value.name = value.name or "integers"
    main.return_op.set_operands([value])
    main.function_type = FunctionType(main.function_type.inputs, (value.type,))
    main.res_attrs = None


def test_import_of_the_artifact_gives_the_same_numbers(float_net: Any, job: Any) -> None:
    """The artifact is a model like any other: read back and fused, it is the same net."""
    net = residual(float_net("residual"))
    path = job(net).lowered().artifact()
    ctx = Context()
    module = import_onnx(path, ctx)
    run_pipeline(module, "onnxruntime-fuse", ctx)
    feed = net.feed(3)
    ours, theirs = Plan(module).run(feed), runtime.run(path, feed)
    for output, expected in theirs.items():
        assert np.array_equal(ours[output].numpy(), expected)


def test_node_names_that_the_model_has_twice_are_told_apart(float_net: Any, tmp_path: Path) -> None:
    """onnxruntime takes no model with two nodes of one name; the artifact has none even where the model does."""
    proto = residual(float_net()).model()
    for node in proto.graph.node:
        node.name = "node"
    onnx.save(proto, tmp_path / "net.onnx")
    np.savez(tmp_path / "calib.npz", x=np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32))
    result = qir.quantize(tmp_path / "net.onnx", "onnxruntime", tmp_path / "calib.npz", tmp_path / "out")
    names = [node.name for node in onnx.load(result.files[0].path).graph.node]
    assert len(names) == len(set(names))
