"""fuse: padding into convolutions, products and bias into Gemm."""

import pytest

X = "tensor<2x3x5x5xf32>"
W = "tensor<3x2xf32>"


def padded(pads: str, value: str = "0.0", conv: str = "", out: str = "tensor<2x4x5x6xf32>", pad: str = "") -> str:
    """conv(pad(x)) with 3x3 windows; `pads` for four axes."""
    numbers = [int(v) for v in pads.split(",")]
    between = "x".join(str(s + numbers[i] + numbers[i + 4]) for i, s in enumerate((2, 3, 5, 5)))
    channels = 3 + numbers[1] + numbers[5]
    return f"""func.func @main(%x: {X}) -> {out} {{
      %p = onnx.Constant() {{value = dense<[{pads}]> : tensor<8xi64>}} : () -> tensor<8xi64>
      %v = onnx.Constant() {{value = dense<{value}> : tensor<f32>}} : () -> tensor<f32>
      %w = onnx.Constant() {{value = dense<0.37> : tensor<4x{channels}x3x3xf32>}} : () -> tensor<4x{channels}x3x3xf32>
      %i = onnx.Pad(%x, %p, %v){pad} : ({X}, tensor<8xi64>, tensor<f32>) -> tensor<{between}xf32>
      %y = onnx.Conv(%i, %w){conv} : (tensor<{between}xf32>, tensor<4x{channels}x3x3xf32>) -> {out}
      return %y : {out}
    }}"""


def test_padding_is_added(keeps_meaning):
    module = keeps_meaning(padded("0, 0, 1, 0, 0, 0, 1, 3"), "fuse", ["Conv"], 1e-6)
    conv = next(op for op in module.walk() if op.name == "onnx.Conv")
    assert conv.attr("pads") == (1, 0, 1, 3)
    both = padded("0, 0, 1, 0, 0, 0, 0, 1", conv=" {pads = array<i64: 0, 1, 1, 1>}")
    module = keeps_meaning(both, "fuse", ["Conv"], 1e-6)
    assert next(op for op in module.walk() if op.name == "onnx.Conv").attr("pads") == (1, 1, 1, 2)


@pytest.mark.parametrize(
    ("pads", "options", "out"),
    [
        ("0, 0, 1, 0, 0, 0, 1, 3", {"value": "1.0"}, "tensor<2x4x5x6xf32>"),
        ("0, 0, 1, 0, 0, 0, 1, 3", {"pad": ' {mode = "reflect"}'}, "tensor<2x4x5x6xf32>"),
        ("0, 1, 1, 0, 0, 0, 1, 3", {}, "tensor<2x4x5x6xf32>"),
        ("0, 0, -1, 0, 0, 0, 0, 0", {}, "tensor<2x4x2x3xf32>"),
        ("0, 0, 1, 0, 0, 0, 1, 3", {"conv": ' {auto_pad = "SAME_UPPER"}'}, "tensor<2x4x7x8xf32>"),
    ],
)
def test_other_paddings_stay(keeps_meaning, pads, options, out):
    keeps_meaning(padded(pads, out=out, **options), "fuse", ["Pad", "Conv"])


def test_axes_of_opset_18(keeps_meaning):
    body = f"""func.func @main(%x: {X}) -> tensor<2x4x3x6xf32> {{
      %p = onnx.Constant() {{value = dense<[1, 2]> : tensor<2xi64>}} : () -> tensor<2xi64>
      %a = onnx.Constant() {{value = dense<[-1]> : tensor<1xi64>}} : () -> tensor<1xi64>
      %w = onnx.Constant() {{value = dense<0.37> : tensor<4x3x3x3xf32>}} : () -> tensor<4x3x3x3xf32>
      %i = onnx.Pad(%x, %p, _, %a) : ({X}, tensor<2xi64>, none, tensor<1xi64>) -> tensor<2x3x5x8xf32>
      %y = onnx.Conv(%i, %w) : (tensor<2x3x5x8xf32>, tensor<4x3x3x3xf32>) -> tensor<2x4x3x6xf32>
      return %y : tensor<2x4x3x6xf32>
    }}"""
    module = keeps_meaning(body, "fuse", ["Conv"], 1e-6, opset=18)
    assert next(op for op in module.walk() if op.name == "onnx.Conv").attr("pads") == (0, 1, 0, 2)


def linear(x: str, b: str, out: str) -> str:
    return f"""func.func @main(%x: {x}) -> {out} {{
      %w = onnx.Constant() {{value = dense<[[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]]> : {W}}} : () -> {W}
      %b = onnx.Constant() {{value = dense<0.3> : {b}}} : () -> {b}
      %p = onnx.MatMul(%x, %w) : ({x}, tensor<3x2xf32>) -> {out}
      %y = onnx.Add(%b, %p) : ({b}, {out}) -> {out}
      return %y : {out}
    }}"""


@pytest.mark.parametrize("bias", ["tensor<2xf32>", "tensor<1x2xf32>", "tensor<f32>", "tensor<1xf32>"])
def test_linear(keeps_meaning, bias):
    keeps_meaning(linear("tensor<?x3xf32>", bias, "tensor<?x2xf32>"), "fuse", ["Gemm"], 1e-6)


def test_linear_over_more_axes_or_with_a_column_stays(keeps_meaning):
    keeps_meaning(linear("tensor<2x4x3xf32>", "tensor<2xf32>", "tensor<2x4x2xf32>"), "fuse", ["MatMul", "Add"])
    keeps_meaning(linear("tensor<4x3xf32>", "tensor<4x1xf32>", "tensor<4x2xf32>"), "fuse", ["MatMul", "Add"])
