"""Groups, records and the pass `lower`, on a chip made for these tests."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from qir.interpreter import Plan
from qir.ir import Context, QirError, verify
from qir.passes import run_pipeline
from qir.rewrite import PatternSet
from qir.target import Target
from qir.target.registry import _REGISTERED
from qir.text import parse_module, print_module

NET = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<1x2x4x4xf32>) -> tensor<1x3x4x4xf32> {
    %w = onnx.Constant() {value = dense<0.5> : tensor<3x2x3x3xf32>} : () -> tensor<3x2x3x3xf32>
    %b = onnx.Constant() {value = dense<[1.0, 2.0, -3.0]> : tensor<3xf32>} : () -> tensor<3xf32>
    %y = onnx.Conv(%x, %w, %b) {pads = [1, 1, 1, 1]} : (tensor<1x2x4x4xf32>, tensor<3x2x3x3xf32>, tensor<3xf32>) -> tensor<1x3x4x4xf32> loc("first")
    %r = onnx.Relu(%y) : (tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32> loc("act")
    %w2 = onnx.Constant() {value = dense<0.25> : tensor<3x3x1x1xf32>} : () -> tensor<3x3x1x1xf32>
    %z = onnx.Conv(%r, %w2) : (tensor<1x3x4x4xf32>, tensor<3x3x1x1xf32>) -> tensor<1x3x4x4xf32> loc("second")
    return %z : tensor<1x3x4x4xf32>
  }
}
"""  # noqa: E501


def data(path) -> str:  # type: ignore[no-untyped-def]
    np.savez(path / "d.npz", x=np.random.default_rng(0).normal(size=(4, 2, 4, 4)).astype(np.float32))
    return str(path / "d.npz")


def lowered(text: str, ctx: Context, pipeline: str):  # type: ignore[no-untyped-def]
    module = parse_module(text, ctx)
    run_pipeline(module, pipeline, ctx)
    verify(module)
    return module


def test_groups_become_records(toy: Target, ctx: Context, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Both convolutions with bias, activation and quantizers are one record each; the ends are converted."""
    steps = f"annotate{{target=toy}},calibrate{{data={data(tmp_path)}}},materialise,lower,verify-target{{target=toy}}"
    module = lowered(NET, ctx, steps)
    names = [op.name for op in module.walk() if op.name.startswith(("toy.", "onnx.", "qsim.")) and op.results]
    assert [n for n in names if n != "onnx.Constant"] == ["toy.Quantize", "toy.Conv", "toy.Conv", "toy.Dequantize"]
    first, second = (op for op in module.walk() if op.name == "toy.Conv")
    assert first.quantizer_names() == ["x", "w", "b", "r"] and second.quantizer_names() == ["r", "w2", "z"]
    assert first.parameter("relu") and not second.parameter("relu")
    assert "first" in first.location.names()
    text = print_module(module)
    again = parse_module(text, ctx)
    assert print_module(again) == text


def test_an_excluded_operation_comes_as_floats(toy: Target, ctx: Context, tmp_path) -> None:  # type: ignore[no-untyped-def]
    steps = f"annotate{{target=toy exclude=second}},calibrate{{data={data(tmp_path)}}},materialise,lower{{target=toy}}"
    module = lowered(NET, ctx, steps)
    second = [op for op in module.walk() if op.name == "toy.Conv"][1]
    assert second.quant is None and str(second.operands[0].type.element) == "f32"


def test_an_operation_without_a_record_is_an_error(toy: Target, ctx: Context) -> None:
    text = NET.replace("onnx.Relu(%y)", "onnx.Tanh(%y)")
    with pytest.raises(QirError, match=r"toy cannot run 'onnx.Tanh': it has no record for it") as caught:
        lowered(text, ctx, "lower{target=toy}")
    assert "act" in str(caught.value.diagnostics[0].location)


def test_the_error_says_what_the_data_sheet_lacks(toy: Target, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation in float that has a record for codes alone, and one that does not meet its rule."""
    monkeypatch.setitem(_REGISTERED, "toy", attrs.evolve(toy, patterns=lambda target: PatternSet([], "none")))
    with pytest.raises(QirError) as caught:
        text = NET.replace("onnx.Conv(%r, %w2)", "onnx.Conv(%r, %r)").replace("3x3x1x1xf32>) ->", "1x3x4x4xf32>) ->")
        lowered(text, ctx, "lower{target=toy}")
    said = [d.message for d in caught.value.diagnostics]
    assert said == [
        "toy cannot run 'onnx.Conv' in float, only on integers",
        "toy cannot run 'onnx.Relu': it has no record for it",
        "toy cannot run 'onnx.Conv': W is not a constant",
    ]


def test_the_error_names_a_tensor_where_the_node_has_no_name(toy: Target, ctx: Context) -> None:
    text = NET.replace("onnx.Relu(%y)", "onnx.Tanh(%y)").replace(' loc("act")', "")
    with pytest.raises(QirError, match=r"toy cannot run 'onnx.Tanh' that gives 'r': it has no record for it"):
        lowered(text, ctx, "lower{target=toy}")


def test_a_promised_fusion_that_does_not_happen_is_an_error(toy: Target, ctx: Context, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """The float result of the first convolution is read beside the Relu: nothing can be fused."""
    module = lowered(NET, ctx, f"annotate{{target=toy}},calibrate{{data={data(tmp_path)}}},materialise")
    func = next(op for op in module.walk() if op.name == "func.func")
    conv = next(op for op in module.walk() if op.name == "onnx.Conv")
    reader = ctx.create_op("onnx.Tanh", [conv.result], [conv.result.type])
    func.regions[0].block.insert_before(reader, conv.next)
    with pytest.raises(QirError, match=r"onnx.Relu 'act' behind it is not fused into it"):
        run_pipeline(module, "lower{target=toy}", ctx)


def test_modes_replace_schemes(toy: Target, ctx: Context, tmp_path) -> None:  # type: ignore[no-untyped-def]
    module = lowered(NET, ctx, f"annotate{{target=toy mode=int16}},calibrate{{data={data(tmp_path)}}}")
    storages = {op.sym_name: op.storage for op in module.body if op.name == "qsim.quantizer"}
    assert storages["x"] == "i16" and storages["w"] == "i8"
    assert module.attr("qir.mode") == "int16"
    weights = lowered(NET, ctx, "annotate{target=toy mode=weights},calibrate,materialise,lower")
    convs = [op for op in weights.walk() if op.name == "toy.Conv"]
    assert convs[0].quantizer_names() == [None, "w", None, None]
    with pytest.raises(QirError, match="no mode 'int4'"):
        lowered(NET, ctx, "annotate{target=toy mode=int4}")


TAIL = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<1x2x4x4xf32>) -> tensor<1x5x4x4xf32> {
    %w = onnx.Constant() {value = dense<0.5> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %c = onnx.Conv(%x, %w) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %s = onnx.Softmax(%c) {axis = 1 : i64} : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %w1 = onnx.Constant() {value = dense<8.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %d = onnx.Conv(%c, %w1) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    %j = onnx.Concat(%c, %s, %d) {axis = 1 : i64} : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x5x4x4xf32>
    %w2 = onnx.Constant() {value = dense<0.25> : tensor<5x5x1x1xf32>} : () -> tensor<5x5x1x1xf32>
    %z = onnx.Conv(%j, %w2) : (tensor<1x5x4x4xf32>, tensor<5x5x1x1xf32>) -> tensor<1x5x4x4xf32>
    return %z : tensor<1x5x4x4xf32>
  }
}
"""  # noqa: E501


def test_concat_has_one_quantizer_and_softmax_its_own(toy: Target, ctx: Context, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """What Concat joins is all at its quantizer: shared where nothing else reads it, else requantized."""
    module = lowered(TAIL, ctx, f"annotate{{target=toy}},calibrate{{data={data(tmp_path)}}}")
    concat = next(op for op in module.walk() if op.name == "onnx.Concat")
    readers = [v.defining_op for v in concat.operands]
    assert {op.name for op in readers} == {"qsim.fake"} and len({op.quantizer for op in readers}) == 1
    assert readers[0].x.defining_op.name == "qsim.fake"  # c: others read it at its own scale
    assert readers[1].x.defining_op.name == "qsim.fake"  # softmax: its kernel's scale
    assert readers[2].x.defining_op.name == "onnx.Conv"  # d: shares
    softmax = next(op for op in module.body if op.name == "qsim.quantizer" and op.sym_name == "s")
    assert softmax.scale.numpy() == np.float32(1 / 256) and softmax.zero.numpy() == -128


def test_records_run_as_onnx_operators(toy: Target, ctx: Context) -> None:
    text = """
    func.func @main(%x: tensor<2x5xf32>) -> (tensor<2x5xf32>, tensor<2x2xf32>) {
      %s = toy.Softmax(%x) {axis = 0 : i64} : (tensor<2x5xf32>) -> tensor<2x5xf32>
      %c = toy.Slice(%x) {ends = array<i64: 3>, starts = array<i64: 1>} : (tensor<2x5xf32>) -> tensor<2x2xf32>
      return %s, %c : tensor<2x5xf32>, tensor<2x2xf32>
    }
    """
    x = np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32)
    softmax, cut = Plan(parse_module(text, ctx)).run({"x": x}).values()
    np.testing.assert_allclose(softmax, np.exp(x) / np.exp(x).sum(0), rtol=1e-6)
    np.testing.assert_array_equal(cut, x[:, 1:3])


def test_requantized_operands_are_calibrated(toy: Target, ctx: Context, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Everything that the Concat joins is read by others at its own scale: its quantizer stands on fakes alone."""
    reader = "    %t = onnx.Tanh(%d) : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>\n"
    text = TAIL.replace("    %w2 =", f"{reader}    %w2 =")
    module = lowered(text, ctx, f"annotate{{target=toy}},calibrate{{data={data(tmp_path)}}}")
    concat = next(op for op in module.walk() if op.name == "onnx.Concat")
    assert all(v.defining_op.x.defining_op.name == "qsim.fake" for v in concat.operands)
    assert all(op.is_calibrated for op in module.body if op.name == "qsim.quantizer")
