"""Targets: the registry, data sheets of one's own, and their printed form."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qir.ir import Context, QirError
from qir.numerics.scheme import Scheme
from qir.passes import run_pipeline
from qir.target import (
    Data,
    Fused,
    Rule,
    Target,
    Tolerance,
    Weight,
    attribute_is,
    get_target,
    installed,
    list_targets,
    register_target,
    render_target,
)
from qir.text import parse_module, print_module


def test_the_builtin_target_is_found_by_name() -> None:
    assert "onnxruntime" in list_targets()
    target = get_target("onnxruntime")
    assert target.name == "onnxruntime" and target is get_target("onnxruntime")


def test_an_unknown_target_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(QirError, match="there is no target 'onnxruntim'\n  hint: did you mean 'onnxruntime'"):
        get_target("onnxruntim")


def test_a_target_whose_package_is_broken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"broken": "qir.lowering.nowhere:TARGET", "number": "qir.ir:f32"}
    monkeypatch.setattr("qir.target.registry._BUILTIN", broken)
    with pytest.raises(QirError, match=r"'broken' .* cannot be loaded"):
        get_target("broken")
    with pytest.raises(QirError, match="which is no Target"):
        get_target("number")


def test_a_rule_that_names_no_scheme_of_the_target_is_an_error() -> None:
    with pytest.raises(QirError, match="names the scheme 'fp8'"):
        Target(
            "t",
            schemes={"act": Scheme(storage="u8", symmetric=False)},
            rules=(Rule("Conv", "compute", {"X": Data("fp8")}),),
        )


def test_the_data_sheet_prints_every_rule() -> None:
    text = render_target(get_target("onnxruntime"))
    for line in (
        "weight      i8<-127:127> symmetric",
        "Conv",
        "fused into it: Relu, Clip",
        "axis 0",
        "Default pipeline",
    ):
        assert line in text


def test_listing_targets_needs_neither_torch_nor_onnxruntime() -> None:
    code = "import sys, qir.target as t; t.render_target(t.get_target('onnxruntime')); print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'torch'" not in out


CHIP = Target(
    "test-chip",
    schemes={
        "act": Scheme(storage="i8", symmetric=True),
        "weight": Scheme(storage="i8", qmin=-127, qmax=127),
        "wide": Scheme(storage="i16", symmetric=True),
    },
    rules=(
        Rule(
            "ConvTranspose",
            "compute",
            {"X": Data("act"), "W": Weight("weight", axis=1)},
            result="act",
            output="always",
            fused=(Fused("LeakyRelu", (attribute_is("alpha", 0.5),)),),
        ),
        Rule("MatMul", "compute", {"A": Data("wide"), "B": Weight("weight", axis=-1)}, result="wide"),
        Rule("com.chip.Blend", "follow", {0: Data("act"), 1: Data("act")}, result="act"),
    ),
)


def annotated(body: str) -> str:
    register_target(CHIP)
    ctx = Context(allow_unregistered=True)
    module = parse_module(f"module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{\n{body}\n}}", ctx)
    run_pipeline(module, "annotate{target=test-chip}", ctx)
    return print_module(module)


def test_a_data_sheet_of_ones_own_says_axes_fusions_and_formats() -> None:
    text = annotated("""
      func.func @main(%x: tensor<1x2x4x4xf32>, %z: tensor<1x6x8x8xf32>) -> tensor<1x6x8x5xf32> {
        %w = onnx.Constant() {value = dense<0.5> : tensor<2x6x2x2xf32>} : () -> tensor<2x6x2x2xf32>
        %m = onnx.Constant() {value = dense<0.5> : tensor<8x5xf32>} : () -> tensor<8x5xf32>
        %t = onnx.ConvTranspose(%x, %w) {strides = array<i64: 2, 2>} : (tensor<1x2x4x4xf32>, tensor<2x6x2x2xf32>) -> tensor<1x6x8x8xf32>
        %l = onnx.LeakyRelu(%t) {alpha = 0.5 : f32} : (tensor<1x6x8x8xf32>) -> tensor<1x6x8x8xf32>
        %y = onnx.MatMul(%l, %m) : (tensor<1x6x8x8xf32>, tensor<8x5xf32>) -> tensor<1x6x8x5xf32>
        return %y : tensor<1x6x8x5xf32>
      }""")
    assert "qsim.quantizer @w : i8<-127:127> symmetric per_axis(1)" in text  # ConvTranspose's outputs
    assert "qsim.quantizer @m : i8<-127:127> symmetric per_axis(1)" in text  # -1 of rank 2
    assert "qsim.quantizer @l : i8 symmetric per_tensor" in text  # behind the fused LeakyRelu
    assert "qsim.quantizer @t" not in text
    assert "qsim.quantizer @l_0 : i16 symmetric per_tensor" in text  # a requantization: MatMul wants i16
    assert "%2 = qsim.fake %l by @l :" in text and "%3 = qsim.fake %2 by @l_0 :" in text


def test_an_activation_that_breaks_its_constraint_is_not_fused() -> None:
    text = annotated("""
      func.func @main(%x: tensor<1x2x4x4xf32>) -> tensor<1x6x8x8xf32> {
        %w = onnx.Constant() {value = dense<0.5> : tensor<2x6x2x2xf32>} : () -> tensor<2x6x2x2xf32>
        %t = onnx.ConvTranspose(%x, %w) {strides = array<i64: 2, 2>} : (tensor<1x2x4x4xf32>, tensor<2x6x2x2xf32>) -> tensor<1x6x8x8xf32>
        %l = onnx.LeakyRelu(%t) {alpha = 0.25 : f32} : (tensor<1x6x8x8xf32>) -> tensor<1x6x8x8xf32>
        return %l : tensor<1x6x8x8xf32>
      }""")
    assert "qsim.fake %t by @t" in text and "qsim.fake %l" not in text


def test_operators_of_other_domains_have_rules_by_their_full_name() -> None:
    text = annotated("""
      func.func @main(%x: tensor<1x2x4x4xf32>) -> tensor<1x6x8x8xf32> {
        %w = onnx.Constant() {value = dense<0.5> : tensor<2x6x2x2xf32>} : () -> tensor<2x6x2x2xf32>
        %v = onnx.Constant() {value = dense<0.5> : tensor<6x6x1x1xf32>} : () -> tensor<6x6x1x1xf32>
        %t = onnx.ConvTranspose(%x, %w) {strides = array<i64: 2, 2>} : (tensor<1x2x4x4xf32>, tensor<2x6x2x2xf32>) -> tensor<1x6x8x8xf32>
        %b = "com.chip.Blend"(%t, %t) : (tensor<1x6x8x8xf32>, tensor<1x6x8x8xf32>) -> tensor<1x6x8x8xf32>
        %y = onnx.ConvTranspose(%b, %v) : (tensor<1x6x8x8xf32>, tensor<6x6x1x1xf32>) -> tensor<1x6x8x8xf32>
        return %y : tensor<1x6x8x8xf32>
      }""")
    assert "qsim.fake %b by @b" in text


@pytest.mark.parametrize("name", ["rules.py"])
def test_the_data_sheet_is_short(name: str, repo: Path) -> None:
    assert len((repo / "lowering" / "onnxruntime" / name).read_text().splitlines()) < 260


def test_the_version_of_what_is_installed() -> None:
    from importlib.metadata import version

    assert installed("no-such-distribution", "onnx")() == version("onnx")
    assert installed("no-such-distribution")() is None


def test_a_bound_of_one_mode_is_before_that_of_all() -> None:
    numbers = {("Conv", ""): 1, ("Conv", "", "wide"): 2, ("Conv", "fast"): 3, ("", "fast"): 4, ("", "fast", ""): 5}
    target = Target("t", bounds={key: Tolerance(steps=n) for key, n in numbers.items()})
    asked = [("Conv", "", ""), ("Conv", "", "wide"), ("Conv", "slow", "wide"), ("Conv", "fast", "wide")]
    assert [target.tolerance(*key).steps for key in asked] == [1, 2, 2, 3]
    assert [target.tolerance("Add", *key).steps for key in (("fast", ""), ("fast", "wide"), ("slow", ""))] == [5, 4, 0]
