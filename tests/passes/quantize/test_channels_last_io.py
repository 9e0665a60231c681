"""channels-last-io: models of images with their channels last compute what the model computes."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qir.interpreter import Plan, as_array
from qir.interpreter.codes import decode_outputs, encode_inputs
from qir.ir import Context, DenseArrayAttr, QirError, verify
from qir.ir.compare import difference
from qir.passes import run_pipeline
from qir.text import parse_module, print_module

IMAGE = "tensor<?x3x?x4xf32>"
TEXT = f"""
module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{
  qsim.quantizer @image : i8 affine per_tensor scale(0.0625) zero(-3)
  qsim.quantizer @y : i8 affine per_axis(1) scale([0.125, 0.25, 0.5]) zero([1, 2, 3])
  func.func @main(%image: {IMAGE} {{onnx.dims = ["N", "", "H"]}}, %bias: tensor<3x1x1xf32>) -> ({IMAGE} {{onnx.dims = ["N", "", "H"], onnx.name = "y"}}, tensor<?x3xf32> {{onnx.name = "mean"}}) {{
    %0 = qsim.fake %image by @image : {IMAGE}
    %1 = onnx.Add(%0, %bias) : ({IMAGE}, tensor<3x1x1xf32>) -> {IMAGE}
    %2 = qsim.fake %1 by @y : {IMAGE}
    %3 = onnx.GlobalAveragePool(%1) : ({IMAGE}) -> tensor<?x3x1x1xf32>
    %4 = onnx.Flatten(%3) : (tensor<?x3x1x1xf32>) -> tensor<?x3xf32>
    return %2, %4 : {IMAGE}, tensor<?x3xf32>
  }}
}}
"""
RANDOM = np.random.default_rng(4)
INPUTS = {
    "image": RANDOM.normal(0, 1, (2, 3, 5, 4)).astype(np.float32),
    "bias": np.array([[[0.5]], [[-1.25]], [[0.0625]]], np.float32),
}
"""Sums of sixteenths, which are exact in any order: the transposed tensor is read in another one."""


def module(pipeline: str) -> Any:
    made = parse_module(TEXT, Context())
    run_pipeline(made, pipeline, Context())
    verify(made)
    return made


def results(made: Any) -> dict[str, Any]:
    found = Plan(made).run(encode_inputs(made, INPUTS))
    return decode_outputs(made, {name: as_array(value) for name, value in found.items()})


@pytest.mark.parametrize("pipeline", ["channels-last-io", "quantize-io,channels-last-io"])
def test_results_are_those_of_the_model(pipeline: str) -> None:
    wanted, found = results(module("materialise")), results(module(f"materialise,{pipeline}"))
    assert wanted.keys() == found.keys() == {"y", "mean"}
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])


def test_what_is_run_has_its_channels_last() -> None:
    made = module("materialise,quantize-io,channels-last-io")
    given = encode_inputs(made, INPUTS)
    assert (given["image"].shape, given["image"].dtype) == ((2, 5, 4, 3), np.int8)
    assert given["bias"].shape == (3, 1, 1), "only images change"
    assert tuple(Plan(made).run(given)["y"].shape) == (2, 5, 4, 3)


def test_names_of_dimensions_and_the_order_of_axes_are_in_the_text() -> None:
    made = module("channels-last-io")
    text = print_module(made)
    axes = "qir.axes = array<i64: 0, 2, 3, 1>"
    assert f'%image: tensor<?x?x4x3xf32> {{onnx.dims = ["N", "H"], {axes}}}' in text
    assert f'-> (tensor<?x?x4x3xf32> {{onnx.dims = ["N", "H"], onnx.name = "y", {axes}}}' in text
    assert difference(made, parse_module(text, Context())) is None


def test_a_second_time_changes_nothing() -> None:
    made = module("channels-last-io")
    once = print_module(made)
    run_pipeline(made, "channels-last-io", Context())
    assert print_module(made) == once


def test_inputs_and_outputs_are_chosen_by_name() -> None:
    from qir.dialects.func import main_function
    from qir.dialects.qsim import AXES

    func = main_function(module("channels-last-io{inputs=im* outputs=mean}"))
    assert isinstance(func.arg_attr(0, AXES), DenseArrayAttr)
    assert func.res_attr(0, AXES) is None
    with pytest.raises(QirError, match="no input 'picture'"):
        module("channels-last-io{inputs=picture}")
