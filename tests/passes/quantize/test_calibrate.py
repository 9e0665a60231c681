"""calibrate and materialise: parameters from data, edits by hand that later passes respect, bad values."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.interpreter import Plan, as_array
from qir.ir import Context, Operation, QirError, dense_from_numpy, verify
from qir.passes import run_pipeline
from qir.text import parse_module, print_module

ANNOTATED = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @x : u8 affine per_tensor
  qsim.quantizer @w : i8<-127:127> symmetric per_axis(0)
  qsim.quantizer @b : i32 symmetric product(@x, @w)
  qsim.quantizer @y : u8 affine per_tensor
  func.func @main(%x: tensor<?x2x4x4xf32>) -> tensor<?x3x4x4xf32> {
    %w = onnx.Constant() {value = dense<[[[[0.5]], [[-1.0]]], [[[0.25]], [[0.125]]], [[[1.0e-20]], [[0.0]]]]> : tensor<3x2x1x1xf32>} : () -> tensor<3x2x1x1xf32>
    %b = onnx.Constant() {value = dense<[0.5, -0.25, 8.0]> : tensor<3xf32>} : () -> tensor<3xf32>
    %0 = qsim.fake %x by @x : tensor<?x2x4x4xf32>
    %1 = qsim.fake %w by @w : tensor<3x2x1x1xf32>
    %2 = qsim.fake %b by @b : tensor<3xf32>
    %c = onnx.Conv(%0, %1, %2) : (tensor<?x2x4x4xf32>, tensor<3x2x1x1xf32>, tensor<3xf32>) -> tensor<?x3x4x4xf32> loc("conv")
    %y = qsim.fake %c by @y : tensor<?x3x4x4xf32>
    return %y : tensor<?x3x4x4xf32>
  }
}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    x = rng.uniform(-1.0, 3.0, (6, 2, 4, 4)).astype(np.float32)
    x[0, 0, 0, 0], x[5, 1, 3, 3] = -1.0, 3.0
    np.savez(tmp_path / "calib.npz", x=x)
    return tmp_path / "calib.npz"


def run(text: str, pipeline: str, ctx: Context | None = None) -> Operation:
    ctx = ctx or Context()
    module = parse_module(text, ctx)
    run_pipeline(module, pipeline, ctx)
    verify(module)
    return module


def quantizer(module: Operation, name: str) -> QuantizerOp:
    return next(op for op in module.walk() if isinstance(op, QuantizerOp) and op.sym_name == name)


def outputs(module: Operation, x: Any) -> Any:
    return as_array(next(iter(Plan(module).run({"x": x}).values())))


def test_min_max_is_that_of_all_samples(data: Path) -> None:
    for batch in (1, 4):
        module = run(ANNOTATED, f"calibrate{{data={data} method=minmax weights=minmax batch={batch}}}")
        x = quantizer(module, "x")
        assert x.lo is not None and x.hi is not None and x.scale is not None and x.zero is not None
        assert (float(x.lo.numpy()), float(x.hi.numpy())) == (-1.0, 3.0)
        assert float(x.scale.numpy()) == np.float32(4.0) / np.float32(255) and int(x.zero.numpy()) == 64


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "kl"])
def test_every_method_gives_a_usable_quantizer(data: Path, method: str) -> None:
    module = run(ANNOTATED, f"calibrate{{data={data} method={method} p=99.9}}")
    x = np.load(data)["x"]
    simulated = outputs(module, x)
    reference = parse_module(ANNOTATED, Context())
    for op in list(reference.walk()):
        if isinstance(op, FakeOp):
            op.y.replace_all_uses_with(op.x)
            op.erase()
    wrong = simulated - outputs(reference, x)
    assert np.sqrt((wrong**2).mean()) < 0.08


def test_a_quantizers_own_wish_goes_before_the_jobs_method(data: Path) -> None:
    text = ANNOTATED.replace("@x : u8 affine per_tensor", "@x : u8 affine per_tensor observe(percentile, p = 75.0)")
    x = quantizer(run(text, f"calibrate{{data={data} method=minmax}}"), "x")
    assert x.lo is not None and x.hi is not None
    assert -0.2 < float(x.lo.numpy()) < 0.2 and 1.8 < float(x.hi.numpy()) < 2.2
    assert x.observe is not None  # stays, so that the text says how the range was found


@pytest.mark.parametrize(
    ("wish", "message"), [("best", "unknown method 'best'"), ("percentile, p = 10.0", "percentile 10.0")]
)
def test_a_wish_that_cannot_be_met_is_an_error(data: Path, wish: str, message: str) -> None:
    text = ANNOTATED.replace("@x : u8 affine per_tensor", f"@x : u8 affine per_tensor observe({wish})")
    with pytest.raises(QirError, match=message):
        run(text, f"calibrate{{data={data}}}")


def test_a_quantizer_observes_the_union_of_its_edges(data: Path) -> None:
    shared = ANNOTATED.replace("by @y", "by @x").replace("  qsim.quantizer @y : u8 affine per_tensor\n", "")
    x = quantizer(run(shared, f"calibrate{{data={data} method=minmax}}"), "x")
    assert x.hi is not None and float(x.hi.numpy()) > 7.9  # the third channel's bias
    alone = shared.replace("qsim.fake %c by @x", "qsim.fake %c by @x {observe = false}")
    x = quantizer(run(alone, f"calibrate{{data={data} method=minmax}}"), "x")
    assert x.hi is not None and float(x.hi.numpy()) == 3.0


def test_power_of_two_scales_are_found_inside_the_search(data: Path) -> None:
    text = ANNOTATED.replace("@x : u8 affine per_tensor", "@x : i8 symmetric per_tensor pow2(up)")
    for method in ("minmax", "mse"):
        x = quantizer(run(text, f"calibrate{{data={data} method={method}}}"), "x")
        assert x.scale is not None and float(x.scale.numpy()) == 2.0**-5  # 3 / 127 up


def test_a_scale_that_the_bias_needs_is_made_larger(data: Path) -> None:
    ctx = Context()
    module = run(ANNOTATED, f"calibrate{{data={data} weights=minmax}}", ctx)
    w, x = quantizer(module, "w").scale, quantizer(module, "x").scale
    assert w is not None and x is not None
    codes = 8.0 / (w.numpy()[2].astype(np.float64) * float(x.numpy()))
    assert codes <= 2**31 - 1 and w.numpy()[0] == np.float32(1.0) / np.float32(127)
    assert any("the scale of 1 channels is larger" in d.message for d in ctx.diagnostics)
    stored = run(print_module(module), "materialise")
    bias = next(op for op in stored.walk() if op.results and op.results[0].name == "b_quantized")
    assert (np.abs(bias.attr("value").numpy()[2].astype(np.int64)) <= 2**31 - 1).all()


def test_calibration_keeps_scales_written_by_hand(data: Path) -> None:
    text = ANNOTATED.replace("@x : u8 affine per_tensor", "@x : u8 affine per_tensor scale(0.5) zero(7)")
    x = quantizer(run(text, f"calibrate{{data={data}}}"), "x")
    assert x.scale is not None and float(x.scale.numpy()) == 0.5 and x.lo is None
    x = quantizer(run(text, f"calibrate{{data={data} again=true method=minmax}}"), "x")
    assert x.scale is not None and float(x.scale.numpy()) != 0.5


def test_dynamic_quantizers_are_left_alone(data: Path) -> None:
    text = ANNOTATED.replace("@y : u8 affine per_tensor", "@y : u8 affine per_tensor dynamic")
    assert quantizer(run(text, f"calibrate{{data={data}}}"), "y").scale is None


def test_the_float_model_runs_unquantized_while_it_is_calibrated(data: Path) -> None:
    coarse = ANNOTATED.replace("@x : u8 affine per_tensor", "@x : u8 affine per_tensor scale(3.0) zero(0)")
    fine = run(ANNOTATED, f"calibrate{{data={data} method=minmax}}")
    rough = run(coarse, f"calibrate{{data={data} method=minmax}}")
    assert quantizer(fine, "y").lo == quantizer(rough, "y").lo


def test_a_value_that_is_not_finite_is_named_with_its_sample(tmp_path: Path) -> None:
    text = ANNOTATED.replace("%c = onnx.Conv", "%d = onnx.Conv").replace(
        "    %y = qsim.fake %c",
        '    %c = onnx.Log(%d) : (tensor<?x3x4x4xf32>) -> tensor<?x3x4x4xf32> loc("log")\n    %y = qsim.fake %c',
    )
    x = np.full((5, 2, 4, 4), 1.0, np.float32)
    x[:, 1] = 0.0
    x[3] = -1.0  # the second output is negative from here: its logarithm is NaN
    text = text.replace("dense<[0.5, -0.25, 8.0]>", "dense<[2.0, 1.0e-3, 8.0]>")
    np.savez(tmp_path / "c.npz", x=x)
    with pytest.raises(QirError, match=r"\[log\] the value 'c' holds NaN at sample 3"):
        run(text, f"calibrate{{data={tmp_path / 'c.npz'}}}")


def test_without_data_activations_are_an_error() -> None:
    with pytest.raises(QirError, match="2 quantizers observe activations, and there is no data"):
        run(ANNOTATED, "calibrate")


def test_a_model_that_takes_one_sample_only_gets_one_at_a_time(data: Path) -> None:
    body = ANNOTATED.replace(
        "    return %y",
        "    %s = onnx.Constant() {value = dense<[1, 48]> : tensor<2xi64>} : () -> tensor<2xi64>\n"
        "    %r = onnx.Reshape(%y, %s) : (tensor<?x3x4x4xf32>, tensor<2xi64>) -> tensor<1x48xf32>\n    return %r",
    )
    body = body.replace("return %r : tensor<?x3x4x4xf32>", "return %r : tensor<1x48xf32>").replace(
        "-> tensor<?x3x4x4xf32> {", "-> tensor<1x48xf32> {"
    )
    ctx = Context()
    module = run(body, f"calibrate{{data={data} method=minmax}}", ctx)
    x = quantizer(module, "x")
    assert x.hi is not None and float(x.hi.numpy()) == 3.0
    assert any("fed one by one" in d.message for d in ctx.diagnostics)


def test_channels_count_by_what_their_weights_make_of_them(tmp_path: Path) -> None:
    """One channel is 60 times larger and its weights 60 times smaller, as behind a normalization: the range that is
    best for the values is not the one that is best for the product."""
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(256, 64)).astype(np.float32), rng.normal(size=(64, 16)).astype(np.float32)
    x[:, 5] *= 60
    w[5] /= 60
    np.savez(tmp_path / "c.npz", x=x)
    module = run(
        """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  qsim.quantizer @x : u8 affine per_tensor
  func.func @main(%x: tensor<?x64xf32>) -> tensor<?x16xf32> {
    %w = onnx.Constant() {value = dense<1.0> : tensor<64x16xf32>} : () -> tensor<64x16xf32>
    %0 = qsim.fake %x by @x : tensor<?x64xf32>
    %y = onnx.MatMul(%0, %w) : (tensor<?x64xf32>, tensor<64x16xf32>) -> tensor<?x16xf32>
    return %y : tensor<?x16xf32>
  }
}""",
        "",
    )
    constant = next(op for op in module.walk() if op.name == "onnx.Constant")
    constant.attributes["value"] = dense_from_numpy(w)

    def decibels(method: str) -> float:
        copy = module.clone()
        run_pipeline(copy, f"calibrate{{data={tmp_path / 'c.npz'} method={method}}}", Context())
        wrong = outputs(copy, x) - x @ w
        return float(10 * np.log10(((x @ w) ** 2).sum() / (wrong**2).sum()))

    assert decibels("mse") > decibels("minmax") + 6.0


def test_progress_counts_samples(data: Path) -> None:
    from qir.passes.progress import Progress

    class Listener(Progress):
        steps, total = 0, None

        def start(self, label: str, total: int | None) -> None:
            self.total = total

        def step(self) -> None:
            self.steps += 1

    ctx = Context()
    listener = Listener()
    ctx.extensions[Progress] = listener
    run(ANNOTATED, f"calibrate{{data={data} batch=4}}", ctx)
    assert listener.total == 6 and listener.steps == 6


# ---------------------------------------------------------------- materialise
def calibrated(data: Path) -> str:
    return print_module(run(ANNOTATED, f"calibrate{{data={data}}}"))


def test_materialised_modules_compute_exactly_what_was_simulated(data: Path) -> None:
    text = calibrated(data)
    x = np.load(data)["x"]
    stored = run(text, "materialise")
    assert not any(isinstance(op, FakeOp) for op in stored.walk())
    assert np.array_equal(outputs(parse_module(text, Context()), x), outputs(stored, x))
    codes = {op.results[0].name: op.attr("value").numpy() for op in stored.walk() if op.name == "onnx.Constant"}
    assert codes["w_quantized"].dtype == np.int8 and codes["b_quantized"].dtype == np.int32
    assert "w" not in codes and "b" not in codes  # the float weights are gone


def test_a_scale_changed_by_hand_shows_in_the_codes(data: Path) -> None:
    text = calibrated(data)
    module = parse_module(text, Context())
    quantizer(module, "x").set_parameters(np.float32(1.0), np.int32(3))
    again = run(print_module(module), "materialise")
    x = np.full((1, 2, 4, 4), 1.4, np.float32)
    encode = next(op for op in again.walk() if op.name == "qsim.encode")
    codes = as_array(list(Plan(again, keep=[encode.results[0]]).run({"x": x}).values())[-1])
    assert (codes == 4).all()  # round(1.4 / 1) + 3
    bias = next(op for op in again.walk() if op.results and op.results[0].name == "b_quantized").attr("value").numpy()
    w = quantizer(again, "w").scale
    assert w is not None and bias[0] == round(0.5 / float(w.numpy()[0]))  # the bias follows: it is a product with @x


def test_a_fake_deleted_by_hand_leaves_its_edge_in_float(data: Path) -> None:
    module = parse_module(calibrated(data), Context())
    last = [op for op in module.walk() if isinstance(op, FakeOp)][-1]
    last.y.replace_all_uses_with(last.x)
    last.erase()
    stored = run(print_module(module), "materialise")
    assert [op.attr("quantizer").root for op in stored.walk() if op.name == "qsim.encode"] == ["x"]


def test_a_quantizer_shared_by_hand_is_shared_in_the_codes(data: Path) -> None:
    shared = calibrated(data).replace("qsim.fake %c by @y", "qsim.fake %c by @x")
    stored = run(shared, "materialise")
    assert [op.attr("quantizer").root for op in stored.walk() if op.name == "qsim.encode"] == ["x", "x"]


def test_dynamic_quantizers_give_their_parameters_as_results(data: Path) -> None:
    text = ANNOTATED.replace("@y : u8 affine per_tensor", "@y : u8 affine per_tensor dynamic")
    text = print_module(run(text, f"calibrate{{data={data}}}"))
    x = np.load(data)["x"]
    stored = run(text, "materialise")
    assert any(op.name == "qsim.encode_dynamic" for op in stored.walk())
    assert np.array_equal(outputs(parse_module(text, Context()), x), outputs(stored, x))


@pytest.mark.parametrize("storage", ["i4", "u4", "i2", "f8E4M3FN", "f8E5M2", "f4E2M1FN", "i16"])
def test_weights_of_every_width_are_stored(data: Path, storage: str) -> None:
    text = ANNOTATED.replace("i8<-127:127> symmetric per_axis(0)", f"{storage} symmetric per_axis(0)")
    text = text.replace("@b : i32 symmetric product(@x, @w)", "@b : i32 symmetric per_tensor")
    text = print_module(run(text, f"calibrate{{data={data}}}"))
    x = np.load(data)["x"]
    stored = print_module(run(text, "materialise"))
    assert np.array_equal(outputs(parse_module(text, Context()), x), outputs(parse_module(stored, Context()), x))
