"""Errors of quantized tensors against the float network, on modules built by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qir.analysis import quantization_errors
from qir.dialects.builtin import ModuleOp
from qir.ir import Context
from qir.text import parse_module

# Two layers: h = relu(x), y = h + h; x and h are quantized coarsely.
TEXT = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @qx : i8 symmetric per_tensor scale(0.5)
  qsim.quantizer @qh : u8 affine per_tensor scale(0.25) zero(0)
  qsim.quantizer @qw : i8 symmetric per_tensor scale(1.0)
  func.func @main(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>) {
    %0 = qsim.fake %x by @qx : tensor<2x3xf32>
    %h = onnx.Relu(%0) {} : (tensor<2x3xf32>) -> tensor<2x3xf32>
    %1 = qsim.fake %h by @qh : tensor<2x3xf32>
    %w = onnx.Constant() {value = dense<0.75> : tensor<3xf32>} : () -> tensor<3xf32>
    %2 = qsim.fake %w by @qw : tensor<3xf32>
    %s = onnx.Add(%1, %1) {} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
    %y = onnx.Add(%s, %2) {} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
    return %y : tensor<2x3xf32>
  }
}
"""


def parse(text: str) -> ModuleOp:
    return parse_module(text, Context())


def test_each_tensor_is_compared_with_the_float_network() -> None:
    x = np.array([[0.1, 0.7, -1.0], [2.0, 3.3, 0.2]], np.float32)
    qx = np.round(x / 0.5) * 0.5
    qh = np.round(np.maximum(qx, 0) / 0.25) * 0.25
    errors = {e.tensor: e for e in quantization_errors(parse(TEXT), [{"x": x}])}
    assert set(errors) == {"x", "h", "w", "y"}
    assert errors["x"].measure.max_error == pytest.approx(np.abs(qx - x).max(), abs=1e-7)
    assert errors["h"].measure.max_error == pytest.approx(np.abs(qh - np.maximum(x, 0)).max(), abs=1e-7)
    assert errors["w"].measure.max_error == 0.25
    assert errors["w"].kind == "constant"
    assert errors["x"].quantizer == "qx"
    assert errors["h"].storage == "u8"
    y = 2 * np.maximum(x, 0) + 0.75
    assert errors["y"].kind == "output"
    assert errors["y"].measure.max_error == pytest.approx(np.abs(2 * qh + 1.0 - y).max(), abs=1e-6)


def test_batches_add_up_and_the_module_is_not_changed() -> None:
    rng = np.random.default_rng(0)
    module = parse(TEXT)
    before = str(sum(1 for _ in module.walk()))
    batches = [{"x": rng.standard_normal((2, 3)).astype(np.float32)} for _ in range(3)]
    together = quantization_errors(module, batches)
    single = [quantization_errors(module, [b]) for b in batches]
    for index, error in enumerate(together):
        if error.kind != "constant":
            assert error.measure.noise == pytest.approx(sum(s[index].measure.noise for s in single), rel=1e-9)
    assert str(sum(1 for _ in module.walk())) == before


def test_indices_are_not_compared() -> None:
    text = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @qx : i8 symmetric per_tensor scale(0.5)
  func.func @main(%x: tensor<1x1x4xf32>) -> (tensor<1x1x2xf32>, tensor<1x1x2xi64>) {
    %0 = qsim.fake %x by @qx : tensor<1x1x4xf32>
    %y, %i = onnx.MaxPool(%0) {kernel_shape = array<i64: 2>, strides = array<i64: 2>}
      : (tensor<1x1x4xf32>) -> (tensor<1x1x2xf32>, tensor<1x1x2xi64>)
    return %y, %i : tensor<1x1x2xf32>, tensor<1x1x2xi64>
  }
}
"""
    x = np.array([[[0.1, 0.7, -1.0, 2.0]]], np.float32)
    assert {e.tensor for e in quantization_errors(parse(text), [{"x": x}])} == {"x", "y"}
