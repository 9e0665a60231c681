"""cse and symbol-dce."""

from qir.ir import Context
from qir.passes import run_pipeline
from qir.text import parse_module, print_module


def run(text: str, pipeline: str) -> str:
    ctx = Context(allow_unregistered=True)
    module = parse_module(text, ctx)
    run_pipeline(module, pipeline, ctx)
    return print_module(module)


T = "tensor<2xf32>"


def test_equal_expressions_are_computed_once(keeps_meaning):
    keeps_meaning(
        f"""func.func @main(%x: {T}) -> {T} {{
          %c = onnx.Constant() {{value = dense<[1.0, 2.0]> : {T}}} : () -> {T}
          %d = onnx.Constant() {{value = dense<[1.0, 2.0]> : {T}}} : () -> {T}
          %a = onnx.Add(%x, %c) : ({T}, {T}) -> {T}
          %b = onnx.Add(%x, %d) : ({T}, {T}) -> {T}
          %y = onnx.Mul(%a, %b) : ({T}, {T}) -> {T}
          return %y : {T}
        }}""",
        "cse",
        ["Constant", "Add", "Mul"],
        constants=True,
    )


def test_different_attributes_types_and_side_effects_stay():
    text = run(
        f"""func.func @main(%x: {T}) -> ({T}, {T}, {T}, {T}) {{
          %a = onnx.LeakyRelu(%x) {{alpha = 0.1 : f32}} : ({T}) -> {T}
          %b = onnx.LeakyRelu(%x) {{alpha = 0.2 : f32}} : ({T}) -> {T}
          %c = "other.op"(%x) : ({T}) -> {T}
          %d = "other.op"(%x) : ({T}) -> {T}
          return %a, %b, %c, %d : {T}, {T}, {T}, {T}
        }}""",
        "cse",
    )
    assert text.count("LeakyRelu") == 2 and text.count("other.op") == 2


def test_a_negative_zero_is_another_constant():
    text = run(
        f"""func.func @main() -> ({T}, {T}) {{
          %a = onnx.Constant() {{value = dense<[0.0, 1.0]> : {T}}} : () -> {T}
          %b = onnx.Constant() {{value = dense<[-0.0, 1.0]> : {T}}} : () -> {T}
          return %a, %b : {T}, {T}
        }}""",
        "cse",
    )
    assert text.count("onnx.Constant") == 2


def test_absent_operands_are_alike():
    text = run(
        f"""func.func @main(%x: {T}, %hi: tensor<f32>) -> {T} {{
          %a = onnx.Clip(%x, _, %hi) : ({T}, none, tensor<f32>) -> {T}
          %b = onnx.Clip(%x, _, %hi) : ({T}, none, tensor<f32>) -> {T}
          %y = onnx.Add(%a, %b) : ({T}, {T}) -> {T}
          return %y : {T}
        }}""",
        "cse,canonicalize",
    )
    assert text.count("onnx.Clip") == 1 and "onnx.Add(%a, %a)" in text


def test_outputs_keep_their_names():
    text = run(
        f"""func.func @main(%x: {T}) -> ({T}, {T}) {{
          %first = onnx.Relu(%x) : ({T}) -> {T}
          %second = onnx.Relu(%x) : ({T}) -> {T}
          return %first, %second : {T}, {T}
        }}""",
        "cse",
    )
    assert text.count("onnx.Relu") == 1 and 'onnx.name = "second"' in text


def test_unused_quantizers_and_private_functions_go():
    text = run(
        f"""module {{
          qsim.quantizer @used : u8 affine per_tensor
          qsim.quantizer @w : i8 symmetric per_tensor
          qsim.quantizer @bias : i32 symmetric product(@used, @w) axis(0)
          qsim.quantizer @dead : u8 affine per_tensor
          qsim.quantizer @dead_bias : i32 symmetric product(@dead, @w) axis(0)
          func.func @main(%x: {T}) -> {T} {{
            %y = qsim.fake %x by @used : {T}
            %b = onnx.Constant() {{value = dense<0.5> : {T}}} : () -> {T}
            %c = qsim.fake %b by @bias : {T}
            %v = qsim.fake %b by @w : {T}
            %z = onnx.Sum(%y, %v, %c) : ({T}, {T}, {T}) -> {T}
            return %z : {T}
          }}
          func.func private @helper(%x: {T}) -> {T} {{
            %y = qsim.fake %x by @dead : {T}
            return %y : {T}
          }}
          func.func @public(%x: {T}) -> {T} {{
            return %x : {T}
          }}
        }}""",
        "symbol-dce",
    )
    assert "@used" in text and "@w" in text and "@bias" in text and "@public" in text
    assert "@dead" not in text and "@helper" not in text
