"""shape-inference: what it learns, what it keeps, and through which operations it sees."""

from __future__ import annotations

import pytest

from qir.ir import Context, Operation, TensorType, Type, f32, i8, is_equal, verify
from qir.passes import run_pipeline
from qir.passes.graph.shape_inference import refined
from qir.text import parse_module, print_module

HEAD = "module attributes {onnx.opset = {ai.onnx = 21 : i64}} {\n"


def inferred(body: str) -> str:
    ctx = Context()
    module = parse_module(HEAD + body + "\n}", ctx)
    run_pipeline(module, "shape-inference", ctx)
    verify(module)
    assert is_equal(parse_module(print_module(module), Context()), module)
    return print_module(module)


def test_a_chain_from_a_known_input() -> None:
    text = inferred("""
      func.func @main(%x: tensor<?x3x8x8xf32> {onnx.dims = ["N"]}) -> (tensor<*xf32> {onnx.name = "y"}) {
        %w = onnx.Constant() {value = dense<0.5> : tensor<4x3x3x3xf32>} : () -> tensor<4x3x3x3xf32>
        %a = onnx.Conv(%x, %w) : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<*xf32>
        %y = onnx.Flatten(%a) : (tensor<*xf32>) -> tensor<*xf32>
        return %y : tensor<*xf32>
      }""")
    assert "-> tensor<?x4x6x6xf32>" in text
    assert "-> (tensor<?x144xf32>" in text


def test_computed_shapes_are_followed() -> None:
    text = inferred("""
      func.func @main(%x: tensor<2x3x4xf32>) -> !onnx.unknown {
        %s = onnx.Shape(%x) : (tensor<2x3x4xf32>) -> !onnx.unknown
        %i = onnx.Constant() {value = dense<1> : tensor<1xi64>} : () -> tensor<1xi64>
        %m = onnx.Constant() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
        %g = onnx.Gather(%s, %i) : (!onnx.unknown, tensor<1xi64>) -> !onnx.unknown
        %t = onnx.Concat(%g, %m) {axis = 0 : i64} : (!onnx.unknown, tensor<1xi64>) -> !onnx.unknown
        %y = onnx.Reshape(%x, %t) : (tensor<2x3x4xf32>, !onnx.unknown) -> !onnx.unknown
        return %y : !onnx.unknown
      }""")
    assert "return %y : tensor<3x8xf32>" in text


def test_shapes_go_through_simulated_quantization_and_codes() -> None:
    text = inferred("""
      qsim.quantizer @q : i8 affine per_tensor scale(0.5) zero(0)
      func.func @main(%x: tensor<2x3xf32>) -> tensor<*xf32> {
        %a = onnx.Relu(%x) : (tensor<2x3xf32>) -> tensor<*xf32>
        %b = qsim.fake %a by @q : tensor<*xf32>
        %c = qsim.encode %b by @q : tensor<*xf32> to tensor<*xi8>
        %d = qsim.decode %c by @q : tensor<*xi8> to tensor<*xf32>
        %y = onnx.Transpose(%d) : (tensor<*xf32>) -> tensor<*xf32>
        return %y : tensor<*xf32>
      }""")
    assert "tensor<*x" not in text and "tensor<2x3xi8>" in text and "tensor<3x2xf32>" in text


def test_types_inside_regions() -> None:
    text = inferred("""
      func.func @main(%c: tensor<i1>, %x: tensor<2x3xf32>) -> !onnx.unknown {
        %y = onnx.If(%c) ({
          %a = onnx.Neg(%x) : (tensor<2x3xf32>) -> !onnx.unknown
          onnx.Yield(%a) : (!onnx.unknown) -> ()
        }, {
          %b = onnx.Abs(%x) : (tensor<2x3xf32>) -> !onnx.unknown
          onnx.Yield(%b) : (!onnx.unknown) -> ()
        }) : (tensor<i1>) -> !onnx.unknown
        return %y : !onnx.unknown
      }""")
    assert "!onnx.unknown" not in text and text.count("tensor<2x3xf32>") >= 6


def test_group_normalization_of_which_onnx_infers_nothing() -> None:
    text = inferred("""
      func.func @main(%x: tensor<2x4x3xf32>, %s: tensor<4xf32>) -> !onnx.unknown {
        %a = onnx.GroupNormalization(%x, %s, %s) {num_groups = 2 : i64} : (tensor<2x4x3xf32>, tensor<4xf32>, tensor<4xf32>) -> !onnx.unknown
        %y = onnx.Relu(%a) : (!onnx.unknown) -> !onnx.unknown
        return %y : !onnx.unknown
      }""")  # noqa: E501
    assert "!onnx.unknown" not in text


def test_sizes_that_a_rewrite_changed_and_names_that_no_longer_fit() -> None:
    text = inferred("""
      func.func @main(%x: tensor<2x3xf32>) -> (tensor<5x5x5xf32> {onnx.dims = ["A", "", "B"], onnx.name = "y"}) {
        %y = onnx.Relu(%x) : (tensor<2x3xf32>) -> tensor<5x5x5xf32>
        return %y : tensor<5x5x5xf32>
      }""")
    assert '-> (tensor<2x3xf32> {onnx.name = "y"})' in text


def test_what_onnx_does_not_know_stays() -> None:
    body = """
      func.func @main(%x: tensor<2x3xf32>) -> tensor<7xf32> {
        %a = com.example.Op(%x) : (tensor<2x3xf32>) -> tensor<7xf32>
        return %a : tensor<7xf32>
      }"""
    ctx = Context(allow_unregistered=True)
    module: Operation = parse_module(HEAD + body + "}", ctx)
    before = print_module(module)
    run_pipeline(module, "shape-inference", ctx)
    assert print_module(module) == before


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (TensorType(None, f32), TensorType((2, None), f32), TensorType((2, None), f32)),
        (TensorType((2, None), f32), TensorType((None, 3), f32), TensorType((2, 3), f32)),
        (TensorType((2,), f32), TensorType(None, f32), TensorType((2,), f32)),
        (TensorType((2,), f32), TensorType((4,), f32), TensorType((4,), f32)),
        (TensorType((2,), i8), TensorType((2,), f32), TensorType((2,), i8)),
        (TensorType((2, 2), f32), TensorType((4,), f32), TensorType((4,), f32)),
    ],
)
def test_refined(old: Type, new: Type, wanted: Type) -> None:
    assert refined(old, new) == wanted
