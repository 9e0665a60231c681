"""Operators as older opsets write them, and the boolean identities."""

import pytest

X = "%x: tensor<1x2x4x4xf32>"
T = "tensor<1x2x4x4xf32>"
B = "tensor<3xi1>"


def test_clip_with_bounds_as_attributes(keeps_meaning):
    body = f"""func.func @main({X}) -> {T} {{
      %y = onnx.Clip(%x) {{min = 0.0 : f32}} : ({T}) -> {T}
      return %y : {T}
    }}"""
    keeps_meaning(body, "canonicalize", ["Relu"], opset=9)
    keeps_meaning(body.replace("min = 0.0", "max = 0.0"), "canonicalize", ["Clip"], opset=9)
    keeps_meaning(body.replace("{min = 0.0 : f32}", ""), "canonicalize", [], opset=9)


def test_slice_with_bounds_as_attributes(keeps_meaning):
    body = f"""func.func @main({X}) -> {T} {{
      %y = onnx.Slice(%x) {{axes = array<i64: 2>, starts = array<i64: 0>, ends = array<i64: 9>}} : ({T}) -> {T}
      %z = onnx.Relu(%y) : ({T}) -> {T}
      return %z : {T}
    }}"""
    keeps_meaning(body, "canonicalize", ["Relu"], opset=9)


@pytest.mark.parametrize("opset", [9, 14])
def test_batch_normalization(keeps_meaning, opset):
    v = "tensor<2xf32>"
    w = "tensor<2x2x1x1xf32>"
    body = f"""func.func @main({X}) -> {T} {{
      %w = onnx.Constant() {{value = dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[-1.0]]]]> : {w}}} : () -> {w}
      %a = onnx.Constant() {{value = dense<[1.0, 2.0]> : {v}}} : () -> {v}
      %b = onnx.Constant() {{value = dense<[0.5, 0.25]> : {v}}} : () -> {v}
      %c = onnx.Conv(%x, %w) : ({T}, {w}) -> {T}
      %y = onnx.BatchNormalization(%c, %a, %b, %b, %a) : ({T}, {v}, {v}, {v}, {v}) -> {T}
      return %y : {T}
    }}"""
    keeps_meaning(body, "fold-batch-norm", ["Conv"], 1e-6, opset=opset)


def test_pad_as_attribute_goes_into_the_convolution(keeps_meaning):
    w = "tensor<2x2x3x3xf32>"
    body = f"""func.func @main({X}) -> {T} {{
      %w = onnx.Constant() {{value = dense<0.3> : {w}}} : () -> {w}
      %p = onnx.Pad(%x) {{pads = array<i64: 0, 0, 1, 1, 0, 0, 1, 1>}} : ({T}) -> tensor<1x2x6x6xf32>
      %y = onnx.Conv(%p, %w) : (tensor<1x2x6x6xf32>, {w}) -> {T}
      return %y : {T}
    }}"""
    keeps_meaning(body, "fuse", ["Conv"], 1e-6, opset=10)


def test_reshapes_with_axes_as_attributes(keeps_meaning):
    body = f"""func.func @main({X}) -> tensor<32xf32> {{
      %s = onnx.Constant() {{value = dense<32> : tensor<1xi64>}} : () -> tensor<1xi64>
      %y = onnx.Squeeze(%x) {{axes = array<i64: 0>}} : ({T}) -> tensor<2x4x4xf32>
      %z = onnx.Reshape(%y, %s) : (tensor<2x4x4xf32>, tensor<1xi64>) -> tensor<32xf32>
      return %z : tensor<32xf32>
    }}"""
    keeps_meaning(body, "canonicalize", ["Reshape"], opset=11)


@pytest.mark.parametrize(("op", "value"), [("Or", "false"), ("Xor", "false"), ("And", "true")])
def test_booleans(keeps_meaning, op, value):
    body = f"""func.func @main(%x: {B}) -> {B} {{
      %c = onnx.Constant() {{value = dense<{value}> : tensor<i1>}} : () -> tensor<i1>
      %y = onnx.{op}(%c, %x) : (tensor<i1>, {B}) -> {B}
      %z = onnx.Not(%y) : ({B}) -> {B}
      %a = onnx.Not(%z) : ({B}) -> {B}
      %b = onnx.Not(%a) : ({B}) -> {B}
      return %b : {B}
    }}"""
    keeps_meaning(body, "canonicalize", ["Not"])


def test_size_is_a_constant(keeps_meaning):
    body = f"""func.func @main({X}) -> tensor<i64> {{
      %y = onnx.Size(%x) : ({T}) -> tensor<i64>
      return %y : tensor<i64>
    }}"""
    keeps_meaning(body, "canonicalize", [])


def test_integers_have_identities_too(keeps_meaning):
    t = "tensor<4xi64>"
    body = f"""func.func @main(%x: {t}) -> {t} {{
      %one = onnx.Constant() {{value = dense<1> : {t}}} : () -> {t}
      %zero = onnx.Constant() {{value_int = 0 : i64}} : () -> tensor<i64>
      %y = onnx.Mul(%x, %one) : ({t}, {t}) -> {t}
      %z = onnx.Add(%y, %zero) : ({t}, tensor<i64>) -> {t}
      %a = onnx.Neg(%z) : ({t}) -> {t}
      return %a : {t}
    }}"""
    keeps_meaning(body, "canonicalize", ["Neg"])
