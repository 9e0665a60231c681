"""Shape arithmetic with dynamic sizes, constants through the interpreter, and the limits of both."""

import numpy as np
import pytest

from qir.ir import Context, QirError
from qir.passes import run_pipeline
from qir.rewrite import constant_array
from qir.text import parse_module

D = "tensor<?x5x4xf32>"
S = "tensor<i64>"
V = "tensor<1xi64>"


def head(*constants: tuple[str, str, str]) -> str:
    return "".join(f"%{n} = onnx.Constant() {{value = dense<{v}> : {t}}} : () -> {t}\n" for n, v, t in constants)


def test_static_shape_is_a_constant(keeps_meaning):
    body = """func.func @main(%x: tensor<2x5xf32>) -> tensor<2xi64> {
      %s = onnx.Shape(%x) : (tensor<2x5xf32>) -> tensor<2xi64>
      return %s : tensor<2xi64>
    }"""
    keeps_meaning(body, "canonicalize", [])


def test_known_sizes_of_a_dynamic_shape(keeps_meaning):
    body = f"""func.func @main(%x: {D}) -> (tensor<i64>, tensor<2xi64>, tensor<i64>) {{
      {head(("one", "1", S), ("s_", "1", V), ("e", "3", V), ("zero", "0", S))}
      %s = onnx.Shape(%x) : ({D}) -> tensor<3xi64>
      %a = onnx.Gather(%s, %one) : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
      %b = onnx.Slice(%s, %s_, %e) : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
      %c = onnx.Gather(%s, %zero) : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
      return %a, %b, %c : tensor<i64>, tensor<2xi64>, tensor<i64>
    }}"""
    keeps_meaning(body, "canonicalize", ["Shape", "Gather"])


def test_reshape_to_a_computed_shape(keeps_meaning):
    """The attention pattern: reshape(x, [shape(x)[0], 4, 5])."""
    body = f"""func.func @main(%x: {D}) -> tensor<?x4x5xf32> {{
      {head(("zero", "0", S), ("axis", "0", V), ("four", "4", V), ("five", "5", V))}
      %s = onnx.Shape(%x) : ({D}) -> tensor<3xi64>
      %n = onnx.Gather(%s, %zero) : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
      %u = onnx.Unsqueeze(%n, %axis) : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
      %t = onnx.Concat(%u, %four, %five) {{axis = 0 : i64}} : ({V}, {V}, {V}) -> tensor<3xi64>
      %y = onnx.Reshape(%x, %t) : ({D}, tensor<3xi64>) -> tensor<?x4x5xf32>
      return %y : tensor<?x4x5xf32>
    }}"""
    module = keeps_meaning(body, "canonicalize", ["Reshape"])
    reshape = next(op for op in module.walk() if op.name == "onnx.Reshape")
    assert constant_array(reshape.operands[1]).tolist() == [0, 4, 5]


def test_reshape_with_two_open_sizes_stays(keeps_meaning):
    """Sizes 0 and 1 of x change places: neither is at its own place, and only one may be computed."""
    body = f"""func.func @main(%x: tensor<?x?x4xf32>) -> tensor<?x?x4xf32> {{
      {head(("i", "[1, 0, 2]", "tensor<3xi64>"))}
      %s = onnx.Shape(%x) : (tensor<?x?x4xf32>) -> tensor<3xi64>
      %t = onnx.Gather(%s, %i) : (tensor<3xi64>, tensor<3xi64>) -> tensor<3xi64>
      %y = onnx.Reshape(%x, %t) : (tensor<?x?x4xf32>, tensor<3xi64>) -> tensor<?x?x4xf32>
      return %y : tensor<?x?x4xf32>
    }}"""
    keeps_meaning(body, "canonicalize", ["Shape", "Gather", "Reshape"])


def test_a_size_copied_from_its_own_place(keeps_meaning):
    body = f"""func.func @main(%x: tensor<?x?x4xf32>) -> tensor<?x?xf32> {{
      {head(("zero", "0", "tensor<1xi64>"), ("rest", "-1", "tensor<1xi64>"))}
      %s = onnx.Shape(%x) : (tensor<?x?x4xf32>) -> tensor<3xi64>
      %n = onnx.Gather(%s, %zero) : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
      %t = onnx.Concat(%n, %rest) {{axis = 0 : i64}} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
      %y = onnx.Reshape(%x, %t) : (tensor<?x?x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
      return %y : tensor<?x?xf32>
    }}"""
    module = keeps_meaning(body, "canonicalize", ["Reshape"])
    reshape = next(op for op in module.walk() if op.name == "onnx.Reshape")
    assert constant_array(reshape.operands[1]).tolist() == [0, -1]


def test_constants_are_folded_and_keep_names_and_locations():
    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
      func.func @main(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
        %a = onnx.Constant() {value = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
        %b = onnx.Transpose(%a) : (tensor<2x2xf32>) -> tensor<2x2xf32> loc("turn")
        %c = onnx.MatMul(%b, %a) : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32> loc("product")
        %y = onnx.Add(%x, %c) : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
        return %y : tensor<2x2xf32>
      }
    }"""
    ctx = Context()
    module = parse_module(text, ctx)
    assert run_pipeline(module, "canonicalize", ctx)
    body = module.body.first.body
    assert [op.name for op in body] == ["onnx.Constant", "onnx.Add", "func.return"]
    folded = body.first.result
    assert folded.name == "c" and body.first.location.names() == ("product",)
    assert constant_array(folded).tolist() == [[10.0, 14.0], [14.0, 20.0]]


def test_large_results_are_not_folded(keeps_meaning):
    body = f"""func.func @main(%x: tensor<1xf32>) -> tensor<64x64xf32> {{
      {head(("v", "2.0", "tensor<1x1xf32>"), ("n", "[64, 64]", "tensor<2xi64>"))}
      %e = onnx.Expand(%v, %n) : (tensor<1x1xf32>, tensor<2xi64>) -> tensor<64x64xf32>
      %y = onnx.Add(%e, %x) : (tensor<64x64xf32>, tensor<1xf32>) -> tensor<64x64xf32>
      return %y : tensor<64x64xf32>
    }}"""
    keeps_meaning(body, "canonicalize{fold-limit=4095}", ["Expand", "Add"])
    keeps_meaning(body, "canonicalize{fold-limit=4096}", ["Add"])


def test_hostile_sizes_are_not_computed():
    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
      func.func @main() -> tensor<?x?xf32> {
        %n = onnx.Constant() {value = dense<1000000000> : tensor<2xi64>} : () -> tensor<2xi64>
        %y = onnx.ConstantOfShape(%n) : (tensor<2xi64>) -> tensor<?x?xf32>
        return %y : tensor<?x?xf32>
      }
    }"""
    ctx = Context()
    module = parse_module(text, ctx)
    assert not run_pipeline(module, "canonicalize", ctx)


def test_what_the_model_quantizes_stays_quantized():
    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
      func.func @main() -> tensor<2xf32> {
        %w = onnx.Constant() {value = dense<[1, 2]> : tensor<2xi8>} : () -> tensor<2xi8>
        %s = onnx.Constant() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
        %y = onnx.DequantizeLinear(%w, %s) : (tensor<2xi8>, tensor<f32>) -> tensor<2xf32>
        return %y : tensor<2xf32>
      }
    }"""
    ctx = Context()
    assert not run_pipeline(parse_module(text, ctx), "canonicalize", ctx)


def test_fakes_are_folded_only_if_they_repeat_one_static_quantizer():
    def run(first: str, second: str, extra: str = "") -> list[str]:
        ctx = Context()
        module = parse_module(
            f"""module {{
              qsim.quantizer @a : u8 affine per_tensor {extra} range(-1.0, 1.0) scale(0.0078125) zero(128)
              qsim.quantizer @b : u8 affine per_tensor range(-2.0, 2.0) scale(0.015625) zero(128)
              func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {{
                %y = qsim.fake %x by @{first} : tensor<2xf32>
                %z = qsim.fake %y by @{second} : tensor<2xf32>
                return %z : tensor<2xf32>
              }}
            }}""",
            ctx,
        )
        run_pipeline(module, "canonicalize", ctx)
        return [op.attr("quantizer").root for op in module.walk() if op.name == "qsim.fake"]

    assert run("a", "a") == ["a"]
    assert run("a", "b") == ["a", "b"]


def test_encode_and_decode():
    def run(body: str) -> list[str]:
        ctx = Context()
        module = parse_module(
            f"""module {{
              qsim.quantizer @a : u8 affine per_tensor range(-1.0, 1.0) scale(0.0078125) zero(128)
              func.func @main(%x: tensor<2xf32>, %i: tensor<2xui8>) -> (tensor<2xf32>, tensor<2xui8>) {{
                {body}
                return %f, %j : tensor<2xf32>, tensor<2xui8>
              }}
            }}""",
            ctx,
        )
        run_pipeline(module, "canonicalize", ctx)
        return [op.name for op in module.walk() if op.name.startswith("qsim.") and op.name != "qsim.quantizer"]

    real, code = "tensor<2xf32>", "tensor<2xui8>"
    there = f"%e = qsim.encode %x by @a : {real} to {code}\n%f = qsim.decode %e by @a : {code} to {real}\n"
    back = f"%d = qsim.decode %i by @a : {code} to {real}\n%j = qsim.encode %d by @a : {real} to {code}\n"
    assert run(there + back) == ["qsim.encode", "qsim.decode"]


def test_wrong_pipeline_is_one_error():
    with pytest.raises(QirError) as error:
        run_pipeline(parse_module("module {\n}", Context()), "canonicalize{fold=maybe}")
    assert "expected true or false" in str(error.value)
    assert np.size(error.value.diagnostics) == 1
