"""Quantized operations: casts by hand, ONNX's integer operators against onnxruntime's, code by code."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.helper as oh
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context
from qir.text import parse_module

X = np.array([[1.0, -2.0, 3.0], [0.3, 0.6, -9.0]], np.float32)


def run_text(text: str, **inputs: Any) -> list[Any]:
    plan = Plan(parse_module(text, Context()))
    results = plan.run(inputs)
    return [results[name].tolist() for name in plan.outputs]


def cast(quantizer: str, element: str) -> list[Any]:
    """The codes and the decoded values of X."""
    return run_text(
        f"""module {{
  qsim.quantizer @q : {quantizer}
  func.func @main(%x: tensor<2x3xf32>) -> (tensor<2x3x{element}>, tensor<2x3xf32>) {{
    %a = qsim.encode %x by @q : tensor<2x3xf32> to tensor<2x3x{element}>
    %b = qsim.decode %a by @q : tensor<2x3x{element}> to tensor<2x3xf32>
    return %a, %b : tensor<2x3x{element}>, tensor<2x3xf32>
  }} }}""",
        x=X,
    )


def test_codes_have_the_zero_point_and_saturate() -> None:
    codes, values = cast("u8 affine per_tensor scale(0.5) zero(10)", "ui8")
    assert codes == [[12, 6, 16], [11, 11, 0]]
    assert values == [[1.0, -2.0, 3.0], [0.5, 0.5, -5.0]]


def test_four_bits_lie_one_a_byte_with_a_scale_per_row() -> None:
    codes, values = cast("i4 symmetric per_axis(0) scale([0.5, 0.25])", "i4")
    assert codes == [[2, -4, 6], [1, 2, -8]]
    assert values == [[1.0, -2.0, 3.0], [0.25, 0.5, -2.0]]


def test_floats_of_four_bits() -> None:
    _, values = cast("f4E2M1FN symmetric per_tensor scale(0.5)", "f4E2M1FN")
    assert values == [[1.0, -2.0, 3.0], [0.25, 0.5, -3.0]]


def test_dynamic_quantizers_take_the_range_of_what_they_see() -> None:
    (values,) = run_text(
        """module {
  qsim.quantizer @q : u8 affine per_tensor dynamic
  func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
    %a = qsim.fake %x by @q : tensor<2x3xf32>
    return %a : tensor<2x3xf32>
  } }""",
        x=X,
    )
    step = np.float32(12) / np.float32(255)
    assert np.abs(np.array(values) - X).max() <= step / 2 * 1.001


def test_a_bias_has_the_product_of_two_scales() -> None:
    (values,) = run_text(
        """module {
  qsim.quantizer @x : u8 affine per_tensor scale(0.5) zero(10)
  qsim.quantizer @w : i8 symmetric per_axis(0) scale([0.5, 0.25])
  qsim.quantizer @b : i32 symmetric product(@x, @w) axis(0)
  func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %a = qsim.fake %x by @b : tensor<2xf32>
    return %a : tensor<2xf32>
  } }""",
        x=np.array([0.3, 0.3], np.float32),
    )
    assert values == [0.25, 0.25]


def test_casts_of_mlir() -> None:
    quantized = "tensor<2x2x!quant.uniform<u8:f32:0, {5.000000e-01:3,2.500000e-01}>>"
    values, stored = run_text(
        f"""module {{
  func.func @main(%x: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2x2xi8>) {{
    %0 = quant.qcast %x : tensor<2x2xf32> to {quantized}
    %a = quant.dcast %0 : {quantized} to tensor<2x2xf32>
    %b = quant.scast %0 : {quantized} to tensor<2x2xi8>
    return %a, %b : tensor<2x2xf32>, tensor<2x2xi8>
  }} }}""",
        x=np.array([[1, -9], [0.3, 99]], np.float32),
    )
    assert values == [[1.0, -1.5], [0.25, 63.75]]
    assert stored == [[5, 0], [1, -1]]  # 255 read as a signed byte


def both(node: Any, inputs: dict[str, Any], constants: dict[str, Any], outputs: int = 1) -> list[tuple[Any, Any]]:
    """What the interpreter and onnxruntime give for one node."""
    infos = [oh.make_tensor_value_info(k, oh.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in inputs.items()]
    initializers = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    results = [oh.make_empty_tensor_value_info(name) for name in node.output[:outputs]]
    graph = oh.make_graph([node], "g", infos, results, initializers)
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    got = Plan(import_onnx(model, Context(), check=False)).run(inputs)
    return [(as_array(got[n]), want) for n, want in zip(node.output, session.run(None, inputs), strict=True)]


def extremes(rng: np.random.Generator, kind: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if kind == "random":
        return rng.integers(low, high + 1, shape).astype(dtype)
    return np.full(shape, high if kind == "highest" else low, dtype)


SCALE, FINE = np.array(0.5, np.float32), np.array(0.013, np.float32)


@pytest.mark.parametrize("kind", ["random", "highest", "lowest"])
@pytest.mark.parametrize("channels", [3, 300])
@pytest.mark.parametrize("side", ["random", "highest"])
def test_qlinear_conv(kind: str, side: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    x = extremes(rng, kind, np.uint8, (2, channels, 6, 5))
    constants = {
        "xs": FINE, "xz": np.array(7, np.uint8),
        "w": extremes(rng, side, np.int8, (4, channels, 3, 3)),
        "ws": rng.uniform(0.001, 0.01, 4).astype(np.float32), "wz": np.zeros(4, np.int8),
        "ys": np.array(0.4 if kind == "random" else 40, np.float32), "yz": np.array(100, np.uint8),
        "b": rng.integers(-10000, 10000, 4).astype(np.int32),
    }  # fmt: skip
    node = oh.make_node("QLinearConv", ["x", *constants], ["y"], pads=[1, 0, 2, 1], strides=[2, 1])
    for got, want in both(node, {"x": x}, constants):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("kind", ["random", "highest", "lowest"])
def test_qlinear_matmul(kind: str) -> None:
    rng = np.random.default_rng(1)
    a = extremes(rng, kind, np.uint8, (5, 700))
    constants = {
        "as": FINE, "az": np.array(130, np.uint8), "b": extremes(rng, "random", np.int8, (700, 6)),
        "bs": np.array(0.01, np.float32), "bz": np.array(0, np.int8), "ys": np.array(0.3, np.float32),
        "yz": np.array(128, np.uint8),
    }  # fmt: skip
    for got, want in both(oh.make_node("QLinearMatMul", ["a", *constants], ["y"]), {"a": a}, constants):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("kind", ["random", "highest", "lowest"])
@pytest.mark.parametrize("constant", [False, True])
def test_integer_products(kind: str, constant: bool) -> None:
    rng = np.random.default_rng(2)
    a, b = extremes(rng, kind, np.uint8, (5, 700)), extremes(rng, kind, np.uint8, (700, 6))
    zeros = {"az": np.array(3, np.uint8), "bz": np.array(128, np.uint8)}
    node = oh.make_node("MatMulInteger", ["a", "b", "az", "bz"], ["y"])
    inputs, constants = ({"a": a}, {"b": b, **zeros}) if constant else ({"a": a, "b": b}, zeros)
    for got, want in both(node, inputs, constants):
        assert np.array_equal(got, want)
    x, w = extremes(rng, kind, np.uint8, (1, 90, 5, 5)), extremes(rng, kind, np.uint8, (3, 90, 3, 3))
    node = oh.make_node("ConvInteger", ["x", "w", "az", "bz"], ["y"], pads=[1, 1, 1, 1])
    inputs, constants = ({"x": x}, {"w": w, **zeros}) if constant else ({"x": x, "w": w}, zeros)
    for got, want in both(node, inputs, constants):
        assert np.array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantize_and_dequantize_at_ties(dtype: Any) -> None:
    x = (np.arange(-700, 700, dtype=np.float32) * 0.25).reshape(2, 700)
    zero = np.array(3, dtype)
    constants = {"s": SCALE, "z": zero}
    for got, want in both(oh.make_node("QuantizeLinear", ["x", "s", "z"], ["y"]), {"x": x}, constants):
        assert np.array_equal(got, want)
    q = np.arange(256, dtype=np.uint8).view(dtype)
    for got, want in both(oh.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]), {"q": q}, constants):
        assert np.array_equal(got, want)


def test_dynamic_quantize_linear() -> None:
    rng = np.random.default_rng(3)
    for x in (
        rng.standard_normal((3, 50), np.float32),
        rng.uniform(2, 3, 9).astype(np.float32),
        -np.ones(3, np.float32),
    ):
        node = oh.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"])
        for got, want in both(node, {"x": x}, {}, outputs=3):
            assert np.array_equal(got, want)
