"""Interchange with MLIR: the same text, character by character, and the same numbers after a way there and back."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

import random
import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from qir.dialects.qsim import QuantizerOp
from qir.dialects.quant_types import Uniform, mlir_double
from qir.interpreter import Plan, as_array
from qir.ir import Context, OpaqueType, Operation, QirError, is_equal, verify
from qir.passes import run_pipeline
from qir.text import parse_module, print_module


def mlir(tool: Path, text: str) -> str:
    done = subprocess.run([tool, "--allow-unregistered-dialect"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers() -> list[float]:
    chosen = random.Random(4)
    found = [1.234567, 1.23456, 1234567.0, 123456.0, 100.0, 1e-7, 3e-5, 0.1, 1 / 255, 2**-20, 2**-120, 1e20, 64.82]
    for _ in range(1500):
        scale = 10.0 ** chosen.randint(-12, 10)
        exact = chosen.random() * scale
        rounded = struct.unpack("<f", struct.pack("<f", exact))[0]
        found += [exact, rounded, float(f"{exact:.4g}"), float(chosen.randint(1, 10**9))]
    return found


def test_scales_are_printed_as_mlir_prints_them(mlir_opt: Path) -> None:
    values = numbers()
    bits = [f"0x{struct.unpack('<Q', struct.pack('<d', v))[0]:016X}" for v in values]
    body = "".join(
        f"  %{i} = quant.qcast %x : tensor<4xf32> to tensor<4x!quant.uniform<i8:f32, {b}>>\n"
        for i, b in enumerate(bits)
    )
    printed = mlir(mlir_opt, f"func.func @f(%x: tensor<4xf32>) {{\n{body}  return\n}}\n")
    assert re.findall(r"i8:f32, ([^>]+)>", printed) == [mlir_double(v) for v in values]


TYPES = [
    "uniform<i8:f32, 5.000000e-01:3>",
    "uniform<u8<0:200>:f32, 0.0078431372549019607:128>",
    "uniform<i8<-127:127>:f32:0, {1.000000e-01:-3,2.000000e-01,0x419D6F3454000000,1.000000e+20}>",
    "uniform<i8:f32:{0:1, 1:2}, {{2.000000e+00:120, 3.000000e+00}, {4.000000e+00, 5.000000e+00}}>",
    "uniform<u4:f16, 1.000000e-02:8>",
    "uniform<i32:f32, 3.0517578125E-5>",
]


@pytest.mark.parametrize("body", TYPES)
def test_types_read_and_print_as_they_are(body: str, mlir_opt: Path) -> None:
    found = Uniform.parse(OpaqueType("quant", body))
    assert found is not None and str(found) == body
    shape = {0: "8", 1: "4", 2: "2x4"}[len(found.shape)]
    text = f"func.func @f(%x: tensor<{shape}x!quant.{body}>) {{ return }}"
    assert f"!quant.{body}" in mlir(mlir_opt, text)


@pytest.mark.parametrize(
    "body",
    [
        "uniform<i8:f32>",
        "uniform<i8:f32:0, 0.5>",
        "uniform<8:f32, 0.5>",
        "uniform<i8:f32, {0.5>",
        "uniform<i8:f32, 0.5 0.25>",
    ],
)
def test_types_that_are_none_are_an_error(body: str) -> None:
    with pytest.raises(ValueError):
        Uniform.parse(OpaqueType("quant", body))


MODULE = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @x : u8 affine per_tensor range(-1.0, 3.0) scale(0.015686275) zero(64)
  qsim.quantizer @w : i8<-127:127> symmetric per_axis(0) scale([0.007, 0.003])
  qsim.quantizer @b : i32 symmetric product(@x, @w)
  qsim.quantizer @y : i8 symmetric per_tensor scale(0.02)
  qsim.quantizer @z : i4 affine block({0: 1, 1: 2}) scale([[0.5, 0.25], [1.0, 2.0]]) zero([[1, 2], [3, -4]])
  func.func @main(%x: tensor<1x2x4x4xf32>, %z: tensor<2x4xf32>) -> (tensor<1x2x4x4xf32>, tensor<2x4xf32>) {
    %w = onnx.Constant() {value = dense<[[[[0.5]], [[-0.7]]], [[[0.25]], [[0.3]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %b = onnx.Constant() {value = dense<[0.5, -0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
    %0 = qsim.fake %x by @x : tensor<1x2x4x4xf32>
    %1 = qsim.fake %w by @w : tensor<2x2x1x1xf32>
    %2 = qsim.fake %b by @b : tensor<2xf32>
    %c = onnx.Conv(%0, %1, %2) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32> loc("conv")
    %p = qsim.fake %c by @y : tensor<1x2x4x4xf32>
    %m = onnx.MaxPool(%p) {kernel_shape = array<i64: 1, 1>} : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %y = qsim.fake %m by @y : tensor<1x2x4x4xf32>
    %q = qsim.fake %z by @z : tensor<2x4xf32>
    return %y, %q : tensor<1x2x4x4xf32>, tensor<2x4xf32>
  }
}
"""


def outputs(module: Operation) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    feeds = {"x": rng.normal(size=(1, 2, 4, 4)).astype(np.float32), "z": rng.normal(size=(2, 4)).astype(np.float32)}
    return [as_array(v) for v in Plan(module).run(feeds).values()]


@pytest.mark.parametrize("stage", ["", "materialise,"])
def test_there_and_back_gives_the_same_quantizers_and_numbers(stage: str, mlir_opt: Path) -> None:
    before = parse_module(MODULE, Context())
    there = parse_module(MODULE, Context())
    run_pipeline(there, f"{stage}qsim-to-quant", Context())
    verify(there)
    assert not any(op.name.startswith("qsim.") for op in there.walk())
    read = parse_module(mlir(mlir_opt, print_module(there, generic=True)), Context(allow_unregistered=True))
    assert is_equal(read, there)
    run_pipeline(read, "quant-to-qsim", Context())
    verify(read)
    for a, b in zip(outputs(before), outputs(read), strict=True):
        assert np.array_equal(a, b)

    def said(module: Operation) -> dict[str, object]:
        found = {}
        for op in module.walk():
            if isinstance(op, QuantizerOp):
                scheme = op.scheme
                found[op.sym_name] = (scheme.storage, scheme.qmin, scheme.product, scheme.granularity, op.scale)
        return found

    assert said(read) == said(before)


def test_casts_are_checked_as_mlir_checks_them() -> None:
    for target, message in (
        ("tensor<5x!quant.uniform<i8:f32, 0.5>>", "differ in shape"),
        ("tensor<4x!quant.uniform<i8:f16, 0.5>>", "expresses f16"),
        ("tensor<4x!quant.uniform<i8:f32:0, {0.5,0.25}>>", "has 2 scales for 4 channels"),
        ("tensor<4x!quant.uniform<i8:f32:1, {0.5}>>", "names axis 1 of a value of rank 1"),
        ("tensor<4x!quant.uniform<i8:f32, 0.5:>>", "not expected|ends"),
        ("tensor<4xi8>", "casts between a float type and a quantized one"),
    ):
        text = f"module {{ func.func @main(%x: tensor<4xf32>) {{\n%0 = quant.qcast %x : tensor<4xf32> to {target}\nreturn\n}} }}"
        with pytest.raises(QirError, match=message):
            verify(parse_module(text, Context()))


def test_a_quantized_value_outside_of_casts_is_an_error() -> None:
    type = "tensor<4x!quant.uniform<i8:f32, 0.5>>"
    text = f"module {{ func.func @main(%x: tensor<4xf32>) -> {type} {{\n%0 = quant.qcast %x : tensor<4xf32> to {type}\nreturn %0 : {type}\n}} }}"
    module = parse_module(text, Context())
    with pytest.raises(QirError, match="which only casts may do here"):
        run_pipeline(module, "quant-to-qsim", Context())


def test_computed_codes_of_other_readers_are_named() -> None:
    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @x : u8 affine per_tensor scale(0.5) zero(3)
  func.func @main(%x: tensor<4xf32>) -> tensor<4xui8> {
    %0 = qsim.encode %x by @x : tensor<4xf32> to tensor<4xui8>
    return %0 : tensor<4xui8>
  }
}"""
    with pytest.raises(QirError, match=r"cannot say its codes as they are read by func\.return"):
        run_pipeline(parse_module(text, Context()), "qsim-to-quant", Context())
