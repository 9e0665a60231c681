"""Kernels put together from the shared parts, against the same sums in Python's integers and numpy."""

from __future__ import annotations

from fractions import Fraction
from math import floor, inf

import numpy as np
import pytest

from qir.interpreter import Plan, kernel
from qir.interpreter.plain import conv_sums, delegated, dequantized, product_sums, quantized, requantized
from qir.ir import Context, QirError
from qir.ir.records import Record, records
from qir.passes.lower.program import program_of
from qir.text import parse_module

DIALECT = records("plain", "For these tests.", {
    "Quantize": Record(), "Dequantize": Record(),
    "Conv": Record("x w b?", low=-inf, high=inf, groups=1, pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1)),
    "Dense": Record("x w b?", low=-inf, high=inf, transposed=0),
    "Turn": Record(order=(0, 1)),
})  # fmt: skip

kernel("plain.Quantize")(quantized)
kernel("plain.Dequantize")(dequantized)
kernel("plain.Conv")(lambda node: requantized(node, conv_sums(node), "shift"))
kernel("plain.Dense")(lambda node: requantized(node, product_sums(node), "shift", axis=-1))
delegated("plain.Turn", "Transpose", perm="order")

QUANTIZERS = """
  qsim.quantizer @x : u8 affine per_tensor scale(0.25) zero(3)
  qsim.quantizer @w : i8 symmetric per_axis(0) scale([0.5, 0.125])
  qsim.quantizer @m : i8 affine per_tensor scale(0.5) zero(-7)
  qsim.quantizer @b : i32 symmetric product(@x, @w) axis(0)
  qsim.quantizer @y : i8 affine per_tensor scale(2.0) zero(-5)
"""
CONV = (
    """module {"""
    + QUANTIZERS
    + """  func.func @main(%x: tensor<2x2x5x4xf32>) -> tensor<2x2x3x2xf32> {
    %w = onnx.Constant() {value = dense<WEIGHT> : tensor<2x1x3x2xi8>} : () -> tensor<2x1x3x2xi8>
    %b = onnx.Constant() {value = dense<[1000, -77]> : tensor<2xi32>} : () -> tensor<2xi32>
    %c = plain.Quantize(%x) {quant = [unit, @x]} : (tensor<2x2x5x4xf32>) -> tensor<2x2x5x4xui8>
    %s = plain.Conv(%c, %w, %b) {groups = 2, pads = [1, 0, 1, 1], strides = [2, 2], quant = [@x, @w, @b, @y]BOUNDS} : (tensor<2x2x5x4xui8>, tensor<2x1x3x2xi8>, tensor<2xi32>) -> tensor<2x2x3x2xi8>
    %y = plain.Dequantize(%s) {quant = [@y, unit]} : (tensor<2x2x3x2xi8>) -> tensor<2x2x3x2xf32>
    return %y : tensor<2x2x3x2xf32>
  }
}"""  # noqa: E501
)


def context() -> Context:
    ctx = Context()
    ctx.register_dialect(DIALECT)
    return ctx


def step(sums: int, scale: Fraction, zero: int, low: int, high: int) -> int:
    """Half up, then the zero point, then the range: for one sum."""
    return min(max(floor(sums * scale + Fraction(1, 2)) + zero, low), high)


@pytest.mark.parametrize(("bounds", "low", "high"), [("", -128, 127), (", low = 0.0, high = 60.0", -5, 25)])
def test_a_convolution_with_zero_points_and_a_scale_per_channel(bounds: str, low: int, high: int) -> None:
    rng = np.random.default_rng(1)
    w = rng.integers(-128, 128, (2, 1, 3, 2))
    x = rng.normal(0, 20, (2, 2, 5, 4)).astype(np.float32)
    module = parse_module(CONV.replace("WEIGHT", str(w.tolist())).replace("BOUNDS", bounds), context())
    (y,) = Plan(module).run({"x": x}).values()

    codes = np.clip(np.round(x / 0.25) + 3, 0, 255).astype(int)
    padded = np.pad(codes - 3, ((0, 0), (0, 0), (1, 1), (0, 1)))
    for n, m, i, j in np.ndindex(2, 2, 3, 2):
        sums = int((padded[n, m, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2] * w[m, 0]).sum()) + (1000, -77)[m]
        code = step(sums, Fraction(1, 4) * (Fraction(1, 2), Fraction(1, 8))[m] / 2, -5, low, high)
        assert y[n, m, i, j] == 2.0 * (code + 5)


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_product_with_a_zero_point_in_the_weight(transposed: int) -> None:
    rng = np.random.default_rng(2)
    w = rng.integers(-128, 128, (3, 6) if transposed else (6, 3))
    kind = "3x6" if transposed else "6x3"
    text = f"""module {{{QUANTIZERS}  func.func @main(%x: tensor<4x6xf32>) -> tensor<3x4xf32> {{
    %w = onnx.Constant() {{value = dense<{w.tolist()}> : tensor<{kind}xi8>}} : () -> tensor<{kind}xi8>
    %c = plain.Quantize(%x) {{quant = [unit, @x]}} : (tensor<4x6xf32>) -> tensor<4x6xui8>
    %s = plain.Dense(%c, %w) {{transposed = {transposed}, quant = [@x, @m, @y]}} : (tensor<4x6xui8>, tensor<{kind}xi8>) -> tensor<4x3xi8>
    %t = plain.Turn(%s) {{order = [1, 0], quant = [@y, @y]}} : (tensor<4x3xi8>) -> tensor<3x4xi8>
    %y = plain.Dequantize(%t) {{quant = [@y, unit]}} : (tensor<3x4xi8>) -> tensor<3x4xf32>
    return %y : tensor<3x4xf32>
  }}
}}"""  # noqa: E501
    x = rng.normal(0, 20, (4, 6)).astype(np.float32)
    (y,) = Plan(parse_module(text, context())).run({"x": x}).values()
    sums = (np.clip(np.round(x / 0.25) + 3, 0, 255).astype(int) - 3) @ ((w.T if transposed else w) + 7)
    for i, j in np.ndindex(4, 3):
        code = step(int(sums[i, j]), Fraction(1, 16), -5, -128, 127)
        assert y[j, i] == 2.0 * (code + 5)


def test_a_record_that_names_no_quantizers_is_an_error_at_its_place() -> None:
    text = CONV.replace("WEIGHT", "1").replace("BOUNDS", "").replace(", quant = [@x, @w, @b, @y]", "")
    with pytest.raises(QirError, match=r"plain.Conv.* names no quantizer"):
        Plan(parse_module(text, context()))


def test_a_program_numbers_values_and_keeps_their_quantizers() -> None:
    text = CONV.replace("WEIGHT", "1").replace("BOUNDS", "")
    program = program_of(parse_module(text, context()))
    assert [line.op.name for line in program.lines] == ["plain.Quantize", "plain.Conv", "plain.Dequantize"]
    quantize, conv, dequantize = program.lines
    assert program.inputs == (("x", quantize.reads[0]),) and program.outputs[0][1] == dequantize.writes[0]
    assert conv.reads[0] == quantize.writes[0] and dequantize.reads == conv.writes
    data, weight, bias, result = (program.slots[n] for n in (*conv.reads, *conv.writes))
    assert [s.quantization.name for s in (data, weight, bias, result)] == ["x", "w", "b", "y"]
    assert data.data is None and weight.data.shape == (2, 1, 3, 2) and bias.data.tolist() == [1000, -77]
    assert bias.quantization.scale.tolist() == [0.125, 0.03125]
    assert conv.numbers == [-128, 127, 2, 1, 0, 1, 1, 2, 2, 1, 1] and quantize.numbers == []
    assert (data.quantization.exponent, result.quantization.exponent) == (-2, 1)
    with pytest.raises(QirError, match="the scale of @w is no power of two"):
        weight.quantization.exponent  # noqa: B018  (one for each channel)
    assert program.slots[program.outputs[0][1]].quantization is None


def test_a_program_refuses_what_is_not_lowered_and_a_value_with_two_scales() -> None:
    text = CONV.replace("WEIGHT", "1").replace("BOUNDS", "")
    with pytest.raises(QirError, match=r"two quantizers, @y and @m"):
        program_of(parse_module(text.replace("[@y, unit]", "[@m, unit]"), context()))
    with pytest.raises(QirError, match="is no record"):
        program_of(parse_module(text.replace("plain.Dequantize(%s) {quant = [@y, unit]}", "onnx.Cast(%s) {to = f32}"),
                                context()))  # fmt: skip
