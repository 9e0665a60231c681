"""The kernels on codes against the real onnxruntime, node by node: not one element may differ.

Every kernel sees random data, extreme values of one sign (where float32 sums would be wrong), power-of-two scales with
odd zero points (ties everywhere) and, where the kernel has one, both storage types. It runs twice: with everything but
the data known when the plan is made, and with nothing known.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper

from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context

Array = NDArray[Any]
F32 = np.float32
RANGE = {np.dtype(np.uint8): (0, 255), np.dtype(np.int8): (-128, 127)}


def model_of(node: onnx.NodeProto, inputs: Sequence[Array | None], fed: Collection[int]) -> onnx.ModelProto:
    """A model of one node: the inputs ``i0``, ``i1`` … in `fed` are fed, the others that are there initializers."""
    given = {i: value for i, value in enumerate(inputs) if value is not None}
    infos = [
        helper.make_tensor_value_info(f"i{i}", helper.np_dtype_to_tensor_dtype(given[i].dtype), given[i].shape)
        for i in sorted(fed)
    ]
    results = [onnx.ValueInfoProto(name=name) for name in node.output]
    constants = [onnx.numpy_helper.from_array(v, f"i{i}") for i, v in given.items() if i not in fed]
    graph = helper.make_graph([node], "one", infos, results, constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def same(expected: Array, got: Array) -> None:
    assert expected.dtype == got.dtype
    assert expected.shape == got.shape
    wrong = int((expected != got).sum())
    assert wrong == 0, f"{wrong} of {expected.size} elements differ"


def check(
    op_type: str, inputs: Sequence[Array | None], domain: str = "", outputs: int = 1, **attributes: Any
) -> list[Array]:
    """Compares one node's results, and gives them."""
    names = ["" if value is None else f"i{i}" for i, value in enumerate(inputs)]
    node = helper.make_node(op_type, names, [f"o{i}" for i in range(outputs)], domain=domain, **attributes)
    present = [i for i, value in enumerate(inputs) if value is not None]
    tensors = [i for i in present if np.ndim(inputs[i]) > 1] or [0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    content = model_of(node, inputs, tensors).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    expected = session.run(None, {f"i{i}": inputs[i] for i in tensors})
    for fed in (tensors[:1], present):
        plan = Plan(import_onnx(model_of(node, inputs, fed), Context(allow_unregistered=True), check=False))
        got = plan.run({f"i{i}": inputs[i] for i in fed})
        for name, value in zip(node.output, expected, strict=True):
            same(np.asarray(value), as_array(got[name]))
    return [np.asarray(value) for value in expected]


def codes(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, kind: str) -> Array:
    low, high = RANGE[np.dtype(dtype)]
    if kind == "high":
        return np.full(shape, high, dtype)
    if kind == "low":
        return np.full(shape, low, dtype)
    return rng.integers(low, high, shape, endpoint=True).astype(dtype)


def parameters(rng: np.random.Generator, dtype: Any, kind: str, scale: float = 0.05) -> tuple[Array, Array]:
    """A scale and a zero point: powers of two with odd zero points for `ties`, else anything."""
    low, high = RANGE[np.dtype(dtype)]
    zero = int(rng.integers(low, high, endpoint=True))
    if kind == "ties":
        return np.array(2.0 ** np.round(np.log2(scale)), F32), np.array(zero | 1 if zero < high else high, dtype)
    if kind in ("high", "low"):
        zero = low if kind == "high" else high
    return np.array(scale * rng.uniform(0.5, 1.5), F32), np.array(zero, dtype)


KINDS = ["random", "ties", "high", "low"]
PAIRS = [(np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)]
both_types = pytest.mark.parametrize("dtype", [np.uint8, np.int8])
all_kinds = pytest.mark.parametrize("kind", KINDS)
all_pairs = pytest.mark.parametrize("pair", PAIRS, ids=["u8s8", "u8u8", "s8s8"])


def seeded(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def weights(rng: np.random.Generator, count: int, dtype: Any, kind: str) -> tuple[Array, Array]:
    """Scales and zero points per output channel."""
    scale = 2.0 ** rng.integers(-9, -5, count) if kind == "ties" else rng.uniform(0.001, 0.02, count)
    return scale.astype(F32), np.full(count, 0 if dtype is np.int8 else 128, dtype)


@all_kinds
@all_pairs
@pytest.mark.parametrize("name", ["3x3", "1x1", "depthwise", "grouped", "strided", "dilated", "1d"])
def test_qlinear_conv(kind: str, pair: tuple[Any, Any], name: str) -> None:
    rng = seeded(kind, name)
    dtype, weight = pair
    x_shape = (2, 64, 40) if name == "1d" else (2, 64, 9, 9)
    out, group, k = {"depthwise": (64, 64, 3), "grouped": (32, 4, 3), "1x1": (24, 1, 1)}.get(name, (24, 1, 3))
    rank = len(x_shape) - 2
    x, w = codes(rng, x_shape, dtype, kind), codes(rng, (out, 64 // group) + (k,) * rank, weight, kind)
    (xs, xz), (ys, yz) = parameters(rng, dtype, kind), parameters(rng, dtype, kind, 0.9)
    ws, wz = weights(rng, out, weight, kind)
    bias = rng.integers(-20000, 20000, out).astype(np.int32)
    attributes = {
        "strides": [2 if name == "strided" else 1] * rank,
        "dilations": [2 if name == "dilated" else 1] * rank,
        "pads": [1 if k == 3 else 0] * (2 * rank),
        "group": group,
    }
    for values in ([x, xs, xz, w, ws, wz, ys, yz, bias], [x, xs, xz, w, ws, wz, ys, yz]):
        check("QLinearConv", values, **attributes)


@all_kinds
@all_pairs
@pytest.mark.parametrize("per_column", [False, True])
def test_products(kind: str, pair: tuple[Any, Any], per_column: bool) -> None:
    rng = seeded(kind, per_column)
    dtype, weight = pair
    a, b = codes(rng, (2, 17, 300), dtype, kind), codes(rng, (300, 21), weight, kind)
    (az_scale, az), (ys, yz) = parameters(rng, dtype, kind), parameters(rng, dtype, kind, 0.9)
    bs, bz = weights(rng, 21, weight, kind)
    if not per_column:
        bs, bz = bs[0], bz[0]
    values = [a, az_scale, az, b, bs, bz, ys, yz]
    check("QLinearMatMul", values)
    values = [a, b, az_scale, bs, az, bz]
    check("MatMulIntegerToFloat", values, "com.microsoft")
    bias = rng.normal(0, 10, 21).astype(F32)
    check("MatMulIntegerToFloat", [*values, bias], "com.microsoft")
    if pair != (np.int8, np.int8):
        check("MatMulInteger", [a, b, az, bz])


@all_kinds
@all_pairs
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_q_gemm(kind: str, pair: tuple[Any, Any], trans: int, alpha: float) -> None:
    rng = seeded(kind, trans, alpha)
    dtype, weight = pair
    a = codes(rng, (300, 17) if trans else (17, 300), dtype, kind)
    b = codes(rng, (21, 300) if trans else (300, 21), weight, kind)
    (a_s, az), (ys, yz) = parameters(rng, dtype, kind), parameters(rng, dtype, kind, 0.9)
    bs, bz = weights(rng, 21, weight, kind)
    bias = rng.integers(-20000, 20000, 21).astype(np.int32)
    for c in (bias, None):
        for output in ([ys, yz], []):
            values = [a, a_s, az, b, bs, bz, c, *output]
            check("QGemm", values, "com.microsoft", transA=trans, transB=trans, alpha=alpha)


@all_kinds
@both_types
@pytest.mark.parametrize("shape", [(3, 8, 5, 7), (1, 8, 1, 1), (1, 1), (7,)])
def test_add_and_mul(kind: str, dtype: Any, shape: tuple[int, ...]) -> None:
    rng = seeded(kind, shape)
    a, b = codes(rng, (3, 8, 5, 7), dtype, kind), codes(rng, shape, dtype, "random")
    pa, pb, py = (parameters(rng, dtype, kind, s) for s in (0.05, 0.04, 0.09))
    for op in ("QLinearAdd", "QLinearMul"):
        for values in ([a, *pa, b, *pb, *py], [b, *pb, a, *pa, *py]):
            check(op, values, "com.microsoft")


@all_kinds
@both_types
def test_tables(kind: str, dtype: Any) -> None:
    """Every code, under 60 pairs of parameters."""
    rng = seeded(kind)
    x = np.arange(*RANGE[np.dtype(dtype)]).astype(dtype).reshape(5, 51)
    for _ in range(60):
        px, py = parameters(rng, dtype, kind), parameters(rng, dtype, kind, 0.01)
        if kind == "ties":
            py = (np.array(2.0**-8, F32), py[1])
        values = [x, *px, *py]
        check("QLinearSigmoid", values, "com.microsoft")
        check("QLinearLeakyRelu", values, "com.microsoft", alpha=0.1)


@all_kinds
@both_types
def test_softmax(kind: str, dtype: Any) -> None:
    rng = seeded(kind)
    x, (xs, xz) = codes(rng, (4, 50, 33), dtype, kind), parameters(rng, dtype, kind)
    for axis, opset in ((-1, 21), (1, 21), (1, 12)):
        for ys in (1 / 256, 1 / 255, 0.0039):
            values = [x, xs, xz, np.array(ys, F32), np.array(RANGE[np.dtype(dtype)][0], dtype)]
            check("QLinearSoftmax", values, "com.microsoft", axis=axis, opset=opset)


@all_kinds
@both_types
@pytest.mark.parametrize("same_parameters", [False, True])
def test_concat_and_where(kind: str, dtype: Any, same_parameters: bool) -> None:
    rng = seeded(kind, same_parameters)
    a, b = codes(rng, (4, 6, 11), dtype, kind), codes(rng, (4, 6, 11), dtype, "random")
    pa, pb, py = (parameters(rng, dtype, kind) for _ in range(3))
    if same_parameters:
        pb = py = pa
    values = [*py, a, *pa, b, *pb]
    check("QLinearConcat", values, "com.microsoft", axis=1)
    if dtype is np.uint8:
        values = [rng.random((4, 1, 11)) > 0.4, a, *pa, b, *pb, *py]
        check("QLinearWhere", values, "com.microsoft")


@all_kinds
@both_types
@pytest.mark.parametrize("name", ["valid", "pads", "include", "ceil", "1d"])
def test_average_pool(kind: str, dtype: Any, name: str) -> None:
    rng = seeded(kind, name)
    x = codes(rng, (2, 16, 20) if name == "1d" else (2, 16, 10, 9), dtype, kind)
    rank = x.ndim - 2
    px, py = parameters(rng, dtype, kind), parameters(rng, dtype, kind, 0.06)
    pads = [1 if name in ("pads", "include") else 0] * (2 * rank)
    attributes = {
        "kernel_shape": [3] * rank,
        "strides": [2] * rank,
        "pads": pads,
        "count_include_pad": int(name == "include"),
        "ceil_mode": int(name == "ceil"),
    }
    check("QLinearAveragePool", [x, *px, *py], "com.microsoft", **attributes)


@all_kinds
@both_types
@pytest.mark.parametrize("channels_last", [0, 1])
def test_global_average_pool(kind: str, dtype: Any, channels_last: int) -> None:
    rng = seeded(kind, channels_last)
    x = codes(rng, (2, 33, 9, 10), dtype, kind)
    px, py = parameters(rng, dtype, kind), parameters(rng, dtype, kind, 0.02)
    check("QLinearGlobalAveragePool", [x, *px, *py], "com.microsoft", channels_last=channels_last)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("shape", [(), (7,), "blocks"])
def test_quantize_and_dequantize(dtype: Any, shape: Any) -> None:
    rng = seeded(str(dtype), shape)
    info = np.iinfo(dtype)
    x = np.concatenate([rng.normal(0, 30, 4000), np.arange(-100, 100) / 8, [1e30, -1e30, np.inf, -np.inf, 0.0, -0.0]])
    x = np.resize(x.astype(F32), (6, 7, 96))
    scale_shape = (6, 7, 3) if shape == "blocks" else shape
    scale = rng.uniform(0.01, 0.3, scale_shape).astype(F32) if shape != () else np.array(0.25, F32)
    zero = np.array(rng.integers(info.min, info.max, scale_shape, endpoint=True)).astype(dtype)
    attributes = {"axis": 2, "block_size": 32} if shape == "blocks" else {"axis": 1}
    (q,) = check("QuantizeLinear", [x, scale, zero], **attributes)
    check("DequantizeLinear", [q, scale, zero], **attributes)


@pytest.mark.parametrize("name", ["f8E4M3FN", "f8E5M2"])
def test_float8(name: str) -> None:
    number = {"f8E4M3FN": onnx.TensorProto.FLOAT8E4M3FN, "f8E5M2": onnx.TensorProto.FLOAT8E5M2}[name]
    rng = seeded(name)
    x = (
        np.concatenate([rng.normal(0, 50, 5000), rng.normal(0, 1e-3, 1000), [1e9, -1e9, 0.0]])
        .astype(F32)
        .reshape(1, -1)
    )
    scale = np.array(0.37, F32)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=number),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "f8", [value("x", 1, x.shape)], [value("y", 1, x.shape)], [onnx.numpy_helper.from_array(scale, "s")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    same(expected, as_array(Plan(import_onnx(model, Context())).run({"x": x})["y"]))


@pytest.mark.parametrize(
    "low, high", [(-3.0, 5.0), (1.0, 5.0), (-7.0, -1.0), (0.0, 0.0), (-1e-3, 0.0), (-100.0, 255.0)]
)
def test_dynamic_quantize_linear(low: float, high: float) -> None:
    x = np.linspace(low, high, 3000, dtype=F32).reshape(30, 100)
    check("DynamicQuantizeLinear", [x], outputs=3)


@all_kinds
def test_conv_integer(kind: str) -> None:
    rng = seeded(kind)
    x, w = codes(rng, (2, 64, 9, 9), np.uint8, kind), codes(rng, (8, 64, 3, 3), np.uint8, kind)
    zeros = np.array(7, np.uint8), np.array(128, np.uint8)
    check("ConvInteger", [x, w, *zeros], pads=[1] * 4)
