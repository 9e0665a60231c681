"""quantize-io: models that take and give codes compute what the model with floats computes."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qir.interpreter import Plan, as_array
from qir.interpreter.codes import decode_outputs, encode_inputs, integer_io
from qir.ir import Context, QirError, verify
from qir.ir.compare import difference
from qir.passes import run_pipeline
from qir.passes.quantize.quantize_io import float_io
from qir.text import parse_module, print_module

T = "tensor<?x3xf32>"


def text(scheme: str = "u8 affine per_tensor scale(0.125) zero(100)", result: str = "fake %s by @y") -> str:
    return f"""
module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{
  qsim.quantizer @x : {scheme}
  qsim.quantizer @y : {scheme}
  func.func @main(%x: {T}) -> ({T} {{onnx.name = "y"}}) {{
    %w = onnx.Constant() {{value = dense<[[0.5, 0.25, -1.0], [1.0, 0.75, 0.5], [0.0, -2.0, 1.0]]> : tensor<3x3xf32>}} : () -> tensor<3x3xf32>
    %0 = qsim.fake %x by @x : {T}
    %s = onnx.MatMul(%0, %w) : ({T}, tensor<3x3xf32>) -> {T}
    %r = qsim.{result} : {T}
    return %r : {T}
  }}
}}
"""


def module(source: str, pipeline: str = "materialise,quantize-io") -> Any:
    made = parse_module(source, Context())
    run_pipeline(made, pipeline, Context())
    verify(made)
    return made


X = np.random.default_rng(6).normal(0, 2, (5, 3)).astype(np.float32)
SCHEMES = {
    "i8 symmetric per_tensor scale(0.125)": np.int8,
    "u8 affine per_tensor scale(0.125) zero(100)": np.uint8,
    "i16 symmetric per_tensor scale(0.001)": np.int16,
    "u16 affine per_tensor scale(0.001) zero(3000)": np.uint16,
    "i4 symmetric per_tensor scale(1.0)": ml_dtypes.int4,
    "i8 symmetric per_axis(1) scale([0.125, 0.25, 0.5])": np.int8,
    "f8E4M3FN symmetric per_tensor scale(0.5)": ml_dtypes.float8_e4m3fn,
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_codes_in_and_out_are_the_floats_encoded_and_decoded(scheme: str) -> None:
    floats, codes = module(text(scheme), "materialise"), module(text(scheme))
    expected = Plan(floats).run({"x": X})
    given = encode_inputs(codes, {"x": X})
    assert given["x"].dtype == SCHEMES[scheme] and given["x"].shape == X.shape
    plan = Plan(codes)
    out = plan.run(given)
    decoded = decode_outputs(codes, out)
    np.testing.assert_array_equal(decoded["y"], as_array(expected["y"]))
    element = plan.results[0].type.element  # type: ignore[attr-defined]
    array = as_array(out["y"], element)
    assert array.dtype == SCHEMES[scheme]
    np.testing.assert_array_equal(decode_outputs(codes, {"y": array})["y"], decoded["y"])


def test_floats_are_no_input_of_a_model_that_takes_codes() -> None:
    with pytest.raises(QirError, match=r"(?s)input 'x' is float32, but the model wants .*hint: it takes codes of @x"):
        Plan(module(text())).run({"x": X})


def test_codes_and_other_inputs_are_left_as_they_are() -> None:
    codes = module(text(), "materialise,quantize-io{outputs=}")
    given = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert encode_inputs(codes, {"x": given, "other": 3}) == {"x": given, "other": 3}
    assert decode_outputs(codes, {"y": 1.5}) == {"y": 1.5}
    assert [list(side) for side in integer_io(codes)] == [["x"], []]


def test_the_way_back_is_the_module_before() -> None:
    whole = module(text(), "materialise")
    there = module(text())
    assert float_io(there)
    verify(there)
    assert difference(whole, there) is None
    assert not float_io(there)


def test_retarget_takes_a_model_with_codes() -> None:
    source = text().replace("{onnx.opset", '{qir.target = "chip", onnx.opset')
    made = module(source, "materialise,quantize-io,retarget{target=onnxruntime}")
    kept = module(source, "retarget{target=onnxruntime}")
    assert print_module(made) == print_module(kept)


def test_an_argument_that_goes_through_is_its_codes() -> None:
    source = text(result="fake %x by @x")
    made = module(source)
    assert made.body.last.return_op.operands[0] is made.body.last.body.args[0]


def test_two_quantizers_of_an_input_are_a_reason() -> None:
    source = text(result="fake %x by @y").replace("scale(0.125) zero(100)\n  func", "scale(0.25) zero(100)\n  func")
    ctx = Context()
    made = parse_module(source, ctx)
    run_pipeline(made, "materialise,quantize-io{outputs=}", ctx)
    assert any("it is quantized by @x and by @y" in d.message for d in ctx.diagnostics)
    assert "qir.io" not in print_module(made)


def test_what_a_kernel_computes_at_run_time_cannot_go_out() -> None:
    dynamic = "i8 symmetric per_tensor dynamic"
    ctx = Context()
    made = parse_module(text(dynamic), ctx)
    run_pipeline(made, "materialise,quantize-io", ctx)
    messages = " ".join(d.message for d in ctx.diagnostics)
    assert "the input 'x' stays as it is: nothing quantizes it with a scale of its own" in messages
    assert "no codes are made of it" in messages


def test_codes_of_no_quantizer_are_an_error() -> None:
    made = module(text())
    next(op for op in made.body if op.name == "qsim.quantizer").detach()
    with pytest.raises(QirError, match="'x' is codes of @x, which is no quantizer"):
        encode_inputs(made, {"x": X})


def test_no_pass_takes_a_quantizer_away_that_an_input_needs() -> None:
    made = module(text(), "materialise,quantize-io,symbol-dce")
    assert integer_io(made)[0]["x"].sym_name == "x"
