"""Groups: `onnxruntime-fuse` makes integer operations where the runtime does, and they compute the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

KINDS = ["random", "high", "low"]
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("name", ["plain", "relu", "no-bias", "depthwise", "1x1-strided", "clip"])
def test_conv(net: Any, fused: Any, kind: str, name: str) -> None:
    n = net((kind, name))
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    group = 8 if name == "depthwise" else 1
    strides = [2, 2] if name == "1x1-strided" else [1, 1]
    k, bias = 1 if name == "1x1-strided" else 3, None if name == "no-bias" else 1.0
    y = n.conv(x, 8, 8 if group > 1 else 12, k, bias=bias, group=group, strides=strides)
    if name == "relu":
        y = n.op("Relu", y)
    if name == "clip":
        y = n.op("Clip", y, n.constant(0.0), n.constant(6.0))
    n.output(n.pair(y, 6 / 255 if name == "clip" else 0.1, 0 if name in ("relu", "clip") else 131))
    result = fused(n, kind)
    assert result.operators["QLinearConv"] == result.kernels["QLinearConv"] == 1
    assert result.wrong() == 0


@pytest.mark.parametrize("dtype, zero", [(np.uint8, 3), (np.int8, -100)])
def test_relu_that_is_not_implied_keeps_the_convolution_in_float(net: Any, fused: Any, dtype: Any, zero: int) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    n.output(n.pair(n.op("Relu", n.conv(x, 8, 12)), 0.1, zero, dtype))
    result = fused(n)
    assert result.kernels["QLinearConv"] == result.operators["QLinearConv"] == 0
    assert result.missed() == ["Conv runs in float: the codes behind it do not imply the Relu"]


def test_bias_at_another_scale_keeps_the_convolution_in_float(net: Any, fused: Any) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    n.output(n.pair(n.conv(x, 8, 12, bias=2.0), 0.1, 131))
    result = fused(n)
    assert result.kernels["QLinearConv"] == result.operators["QLinearConv"] == 0
    assert result.missed() == ["Conv runs in float: its bias has another scale than data times weight"]


@kinds
@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize("rank", [2, 3])
def test_matmul(net: Any, fused: Any, kind: str, quantized: bool, rank: int) -> None:
    n = net((kind, rank))
    x = n.pair(n.input("x", *("n", 5, 64)[3 - rank :]), 0.04, 101)
    y = n.op("MatMul", x, n.weight(64, 24, axis=1))
    n.output(n.pair(y, 0.2, 131) if quantized else y)
    result = fused(n, kind)
    wanted = "QLinearMatMul" if quantized else "MatMulIntegerToFloat"
    assert result.operators[wanted] == result.kernels[wanted] == 1
    assert result.wrong() == 0


@kinds
@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_gemm(net: Any, fused: Any, kind: str, quantized: bool, trans: int, bias: bool) -> None:
    n = net((kind, trans, bias))
    x = n.pair(n.input("x", "n", 64), 0.04, 101)
    weight = n.weight(24, 64, axis=0) if trans else n.weight(64, 24, axis=1)
    y = n.op("Gemm", x, weight, *([n.bias(x, weight)] if bias else []), transB=trans)
    n.output(n.pair(y, 0.2, 131) if quantized else y)
    result = fused(n, kind)
    assert result.operators["QGemm"] == result.kernels["QGemm"] == 1
    assert result.wrong() == 0


@kinds
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("op", ["Add", "Mul"])
@pytest.mark.parametrize("ties", [False, True])
def test_binary(net: Any, fused: Any, kind: str, dtype: Any, op: str, ties: bool) -> None:
    n = net((kind, op, ties))
    shift = -128 if dtype is np.int8 else 0
    a = n.pair(n.input("a", "n", 8, 9, 9), 2.0**-5 if ties else 0.04, 101 + shift, dtype)
    b = n.pair(n.input("b", "n", 8, 9, 9), 2.0**-4 if ties else 0.05, 97 + shift, dtype)
    n.output(n.pair(n.op(op, a, b), 2.0**-3 if ties else 0.11, 131 + shift, dtype))
    result = fused(n, kind)
    assert result.operators[f"QLinear{op}"] == result.kernels[f"QLinear{op}"] == 1
    assert result.wrong() == 0


@kinds
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    "op", ["AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu", "Softmax", "ceil", "include"]
)
def test_unary(net: Any, fused: Any, kind: str, ties: bool, op: str) -> None:
    n = net((kind, op, ties))
    x = n.pair(n.input("x", "n", 8, 10, 9), 2.0**-5 if ties else 0.04, 101)
    attributes: dict[str, Any] = {}
    if op in ("AveragePool", "ceil", "include"):
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        attributes |= {"ceil_mode": int(op == "ceil"), "count_include_pad": int(op == "include")}
        op = "AveragePool"
    if op == "LeakyRelu":
        attributes = {"alpha": 0.2}
    scale = 2.0**-8 if op in ("Sigmoid", "Softmax") else 2.0**-4 if ties else 0.05
    n.output(n.pair(n.op(op, x, **attributes), scale, 0 if op in ("Sigmoid", "Softmax") else 101))
    result = fused(n, kind)
    assert result.operators[f"QLinear{op}"] == result.kernels[f"QLinear{op}"] == 1
    assert result.wrong() == 0


@kinds
def test_concat_and_where(net: Any, fused: Any, kind: str) -> None:
    n = net(kind)
    a = n.pair(n.input("a", "n", 8, 9), 0.04, 101)
    b = n.pair(n.input("b", "n", 8, 9), 0.06, 90)
    n.output(n.pair(n.op("Concat", a, b, axis=1), 0.06, 90))
    condition = n.constant(n.rng.random((8, 9)) > 0.5)
    c, d = n.pair("a", 0.03, 90), n.pair("b", 0.05, 80)
    n.output(n.pair(n.op("Where", condition, c, d), 0.05, 80))
    result = fused(n, kind)
    for name in ("QLinearConcat", "QLinearWhere"):
        assert result.operators[name] == result.kernels[name] == 1
    assert result.wrong() == 0


MOVERS = {
    "MaxPool": lambda n, x: n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2]),
    "Reshape": lambda n, x: n.op("Reshape", x, n.constant([0, -1], dtype=np.int64)),
    "Flatten": lambda n, x: n.op("Flatten", x),
    "Transpose": lambda n, x: n.op("Transpose", x, perm=[0, 2, 3, 1]),
    "Squeeze": lambda n, x: n.op(
        "Squeeze", n.op("Unsqueeze", x, n.constant([1], dtype=np.int64)), n.constant([1], dtype=np.int64)
    ),
    "Slice": lambda n, x: n.op("Slice", x, *(n.constant([v], dtype=np.int64) for v in (1, 6, 1))),
    "Gather": lambda n, x: n.op("Gather", x, n.constant([3, 1, 1], dtype=np.int64), axis=1),
    "Expand": lambda n, x: n.op("Expand", x, n.constant([3, 1, 8, 9, 9], dtype=np.int64)),
    "Tile": lambda n, x: n.op("Tile", x, n.constant([1, 2, 1, 1], dtype=np.int64)),
    "ReduceMax": lambda n, x: n.op("ReduceMax", x, n.constant([2, 3], dtype=np.int64), keepdims=0),
    "ReduceMin": lambda n, x: n.op("ReduceMin", x, n.constant([1], dtype=np.int64)),
    "Resize": lambda n, x: n.op("Resize", x, "", n.constant([1, 1, 2, 2], dtype=np.float32), mode="nearest"),
}


@pytest.mark.parametrize("name", MOVERS)
@pytest.mark.parametrize("same", [True, False])
def test_movers(net: Any, fused: Any, name: str, same: bool) -> None:
    """On codes where both ends have the same parameters, in float where not; the same numbers either way."""
    n = net(name)
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    n.output(n.pair(MOVERS[name](n, x), 0.04 if same else 0.05, 101))
    result = fused(n)
    assert result.wrong() == 0
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        assert result.operators[kind] == result.kernels[kind]


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_a_resize_that_interpolates_stays_in_float(net: Any, fused: Any, mode: str) -> None:
    n = net(mode)
    x = n.pair(n.input("x", 1, 8, 6, 4), 0.04, 101)
    scales = n.constant([1, 1, 3, 3], dtype=np.float32)  # thirds: no result lies between two codes
    options = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    n.output(n.pair(n.op("Resize", x, "", scales, **options), 0.04, 101))
    result = fused(n)
    assert result.operators["QuantizeLinear"] == result.kernels["QuantizeLinear"] == (1 if mode == "nearest" else 2)
    assert result.wrong() == 0


def test_split(net: Any, fused: Any) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9), 0.04, 101)
    for part in n.op("Split", x, outputs=2, axis=1, num_outputs=2):
        n.output(n.pair(part, 0.04, 101))
    result = fused(n)
    assert result.operators["QuantizeLinear"] == result.kernels["QuantizeLinear"] == 1
    assert result.wrong() == 0


def test_int8_pairs_run_as_uint8(net: Any, fused: Any) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, -20, np.int8)
    n.output(n.pair(n.op("Relu", n.conv(x, 8, 12)), 0.1, -128, np.int8))
    result = fused(n)
    assert result.operators["QLinearConv"] == result.kernels["QLinearConv"] == 1
    assert result.wrong() == 0


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("op", ["Add", "Sum"])
def test_addition_behind_a_product(net: Any, fused: Any, rank: int, op: str) -> None:
    """An Add takes the product into a float Gemm; Sum leaves it on integers."""
    n = net()
    x = n.pair(n.input("x", *(2, 5, 64)[3 - rank :]), 0.04, 101)
    y = n.op("MatMul", x, n.weight(64, 24, axis=1))
    n.output(n.op(op, y, n.constant(n.rng.normal(size=24).astype(np.float32))))
    result = fused(n)
    assert result.operators["MatMulIntegerToFloat"] == result.kernels["MatMulIntegerToFloat"] == int(op == "Sum")
    if op == "Sum":
        assert result.wrong() == 0


@pytest.mark.parametrize("op", ["Relu", "Max"])
def test_activation_behind_a_product(net: Any, fused: Any, op: str) -> None:
    """A Relu without a QuantizeLinear behind it leaves the product in float; Max does not."""
    n = net()
    x = n.pair(n.input("x", "n", 64), 0.04, 101)
    weight = n.weight(24, 64, axis=0)
    y = n.op("Gemm", x, weight, n.bias(x, weight), transB=1)
    y = n.op("Relu", y) if op == "Relu" else n.op("Max", y, n.constant(0.0))
    n.output(n.op("Exp", n.op("Mul", y, n.constant(0.01))))
    result = fused(n)
    assert result.operators["QGemm"] == result.kernels["QGemm"] == int(op == "Max")


@kinds
def test_double_pairs(net: Any, fused: Any, kind: str) -> None:
    """Two pairs in a row become one over the intersection of their ranges."""
    n = net(kind)
    x = n.pair(n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101), 0.031, 140)
    n.output(n.pair(n.conv(x, 8, 12, bias=None), 0.1, 131))
    result = fused(n, kind)
    assert result.operators["QuantizeLinear"] == result.kernels["QuantizeLinear"] == 1
    assert result.wrong() == 0


@kinds
def test_float_bias_becomes_int32(net: Any, fused: Any, kind: str) -> None:
    n = net(kind)
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    bias = n.constant(n.rng.normal(size=12).astype(np.float32))
    y = n.op("Conv", x, n.weight(12, 8, 3, 3), bias, kernel_shape=[3, 3])
    n.output(n.pair(y, 0.1, 131))
    result = fused(n, kind)
    assert result.operators["QLinearConv"] == result.kernels["QLinearConv"] == 1
    assert result.wrong() == 0


@kinds
@pytest.mark.parametrize("op", ["Conv", "Gemm"])
@pytest.mark.parametrize("bias", [False, True])
def test_float_weight_becomes_int8(net: Any, fused: Any, kind: str, op: str, bias: bool) -> None:
    """The runtime quantizes a float weight between codes itself, with one scale."""
    n = net((kind, op))
    x = n.pair(n.input("x", "n", *((8, 9, 9) if op == "Conv" else (64,))), 0.04, 101)
    weight = n.constant(n.rng.normal(0, 0.3, (12, 8, 3, 3) if op == "Conv" else (64, 12)))
    biases = [n.constant(n.rng.normal(size=12))] if bias else []
    n.output(n.pair(n.op(op, x, weight, *biases), 0.1, 131))
    result = fused(n, kind)
    kernel = {"Conv": "QLinearConv", "Gemm": "QGemm"}[op]
    assert result.operators[kernel] == result.kernels[kernel] == 1
    assert result.wrong() == 0


@kinds
def test_parameters_move_past_movers(net: Any, fused: Any, kind: str) -> None:
    """The runtime moves QuantizeLinear up and DequantizeLinear down, and so finds groups that nobody wrote."""
    n = net(kind)
    x = n.pair(n.input("x", "n", 64, 5), 0.04, 101)
    x = n.op("Transpose", x, perm=[0, 2, 1])
    y = n.op("MatMul", x, n.weight(64, 24, axis=1))
    y = n.op("Transpose", n.op("Reshape", y, n.constant([0, 5, 4, 6], dtype=np.int64)), perm=[0, 2, 1, 3])
    n.output(n.pair(y, 0.2, 131))
    result = fused(n, kind)
    assert result.operators["QLinearMatMul"] == result.kernels["QLinearMatMul"] == 1
    assert result.wrong() == 0


def test_shared_dequantize_is_split(net: Any, fused: Any) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    y = n.pair(n.conv(x, 8, 8), 0.1, 131)
    n.output(n.pair(n.op("Add", y, x), 0.12, 128))
    n.output(n.pair(n.op("Mul", y, y), 0.5, 3))
    result = fused(n)
    for name in ("QLinearConv", "QLinearAdd", "QLinearMul"):
        assert result.operators[name] == result.kernels[name] == 1
    assert result.wrong() == 0


def test_result_that_is_read_in_float_too(net: Any, fused: Any) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.04, 101)
    y = n.conv(x, 8, 12)
    n.output(n.pair(y, 0.1, 131))
    n.output(y)
    result = fused(n)
    assert result.operators["QLinearConv"] == result.kernels["QLinearConv"] == 0
    assert result.missed() == ["Conv runs in float: its result is read in float beside the QuantizeLinear"]


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_sixteen_bits_stay_in_float(net: Any, fused: Any, dtype: Any) -> None:
    n = net()
    x = n.pair(n.input("x", "n", 8, 9, 9), 0.001, 7, dtype)
    n.output(n.pair(n.op("Add", x, n.pair("x", 0.002, 9, dtype)), 0.003, 5, dtype))
    result = fused(n)
    assert result.operators["Add"] == result.kernels["Add"] == 1
    assert result.wrong() == 0


@kinds
@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
def test_products_of_dynamically_quantized_data(net: Any, fused: Any, kind: str, op: str) -> None:
    """The runtime multiplies their codes too (as DynamicQuantizeMatMul, which is the two operations in one)."""
    n = net((kind, op))
    q, s, z = n.op("DynamicQuantizeLinear", n.input("x", "n", 64), outputs=3)
    y = n.op(op, n.op("DequantizeLinear", q, s, z), n.weight(64, 24, axis=1))
    n.output(y)
    result = fused(n, "random" if kind == "low" else kind)
    wanted = {"MatMul": "MatMulIntegerToFloat", "Gemm": "QGemm"}[op]
    assert result.operators[wanted] == 1
    assert result.kernels["DynamicQuantizeMatMul" if op == "MatMul" else "QGemm"] == 1
    for name, expected in result.theirs.items():
        np.testing.assert_allclose(result.ours[name], expected, rtol=1e-6, atol=1e-6 * float(np.abs(expected).max()))


def test_weights_in_blocks(net: Any, fused: Any) -> None:
    """int4 blocks: MatMulNBits in the runtime, which by default rounds activations to int8 in blocks of its own."""
    n = net()
    codes = n.constant(np.zeros((64, 24), np.int8), "w")
    n.initializers[-1].CopyFrom(
        helper.make_tensor(codes, onnx.TensorProto.INT4, (64, 24), n.rng.integers(-8, 8, 64 * 24).tolist())
    )
    w = n.op("DequantizeLinear", codes, n.constant(n.rng.uniform(0.01, 0.1, (4, 24)), "s"), axis=0, block_size=16)
    n.output(n.op("MatMul", n.input("x", "n", 64), w))
    result = fused(n)
    assert result.kernels["MatMulNBits"] == 1 and result.operators["MatMul"] == 1
    for name, expected in result.theirs.items():
        noise = float(((result.ours[name] - expected) ** 2).sum() / (expected**2).sum())
        assert noise < 10**-3.5
