"""qir quantize on modules that are quantized already, and models whose inputs and outputs are codes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from qir import quantize
from qir.ir import Context, QirError
from qir.numerics import Scheme
from qir.passes import run_pipeline
from qir.target import get_target, register_target
from qir.text import parse_file, write_module
from qir.tools.qir import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "digits"
START = "inline,canonicalize,shape-inference,fold-batch-norm,decompose,canonicalize,cse"


@pytest.fixture(scope="module", autouse=True)
def chip() -> Iterator[None]:
    """Another chip: onnxruntime's data sheet with symmetric activations, and the classifier's result as codes too."""
    sheet = get_target("onnxruntime")
    rules = tuple(attrs.evolve(r, output="always") if r.role == "compute" else r for r in sheet.rules)
    schemes = {**sheet.schemes, "activation": Scheme(storage="i8")}
    pipeline = f"{START},annotate{{target=cli-chip}},calibrate{{data={{data}}}},materialise"
    changes = {"schemes": schemes, "rules": rules, "pipeline": pipeline, "runtime": None, "io": ("float",)}
    register_target(attrs.evolve(sheet, name="cli-chip", **changes))
    yield
    from qir.target import registry

    del registry._REGISTERED["cli-chip"]


@pytest.fixture(scope="module")
def calib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    digits = np.load(EXAMPLES / "digits.npz")
    path = tmp_path_factory.mktemp("data") / "calib.npz"
    np.savez(path, input=digits["train_x"][:32, None].astype(np.float32) / 16)
    return path


@pytest.fixture(scope="module")
def calibrated(calib: Path) -> dict[str, Path]:
    """The example calibrated for each of the two targets."""
    from qir.frontends.onnx import import_onnx

    found = {}
    for target in ("onnxruntime", "cli-chip"):
        ctx = Context(allow_unregistered=True)
        module = import_onnx(EXAMPLES / "digits.onnx", ctx)
        run_pipeline(module, f"{START},annotate{{target={target}}},calibrate{{data={calib}}}", ctx)
        found[target] = calib.with_name(f"{target}.qir")
        write_module(module, found[target])
    return found


def accuracy(predict: Any) -> float:
    digits = np.load(EXAMPLES / "digits.npz")
    scores = predict({"input": digits["test_x"][:200, None].astype(np.float32) / 16})["scores"]
    assert scores.dtype == np.float32
    return float((scores.argmax(1) == digits["test_y"][:200]).mean())


def command(*argv: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main(list(map(str, argv)), io.StringIO(), out, err)
    return status, out.getvalue(), err.getvalue()


def test_a_module_of_another_target_is_converted_without_data(calibrated: dict[str, Path], tmp_path: Path) -> None:
    """What the chip gave as codes and onnxruntime does not is only left out, so every range is known."""
    status, out, err = command("quantize", calibrated["cli-chip"], "--target", "onnxruntime", "-o", tmp_path / "o",
                               "--remarks", "retarget")  # fmt: skip
    assert status == 0, err
    assert "retarget{target=onnxruntime},materialise," in out and "calibrate" not in out.partition("qir-opt")[2]
    assert "cross-layer-equalization" not in out  # it would change the weights that the ranges belong to
    assert "7 of 7 convolutions and products run on integers" in out
    assert "@input on 'input': i8 symmetric per_tensor becomes u8 affine per_tensor" in err
    assert (tmp_path / "o" / "cli-chip.onnx").is_file()


def test_the_converted_model_is_as_good_as_one_made_for_the_target(calibrated: dict[str, Path], calib: Path) -> None:
    moved = quantize(calibrated["cli-chip"], "onnxruntime", evaluate=accuracy).scores
    made = quantize(EXAMPLES / "digits.onnx", "onnxruntime", calib, evaluate=accuracy).scores
    assert moved["quantized"] >= made["quantized"] - 0.01 and made["float"] > 0.95


def test_where_a_range_is_missing_the_job_names_it_and_data_finds_it(
    calibrated: dict[str, Path], calib: Path, tmp_path: Path
) -> None:
    with pytest.raises(QirError, match=r"\[/scores\] the quantizer @scores has no scale"):
        quantize(calibrated["onnxruntime"], "cli-chip")
    ctx = Context(allow_unregistered=True)
    module = parse_file(str(calibrated["onnxruntime"]), ctx)
    run_pipeline(module, f"retarget{{target=cli-chip}},calibrate{{data={calib}}},materialise", ctx)
    assert all(op.is_calibrated for op in module.body if op.name == "qsim.quantizer")  # type: ignore[attr-defined]


def test_a_module_of_the_same_target_goes_on_as_it_stands(calibrated: dict[str, Path], tmp_path: Path) -> None:
    """Edits by hand stay: a scale that was changed, an edge that was taken out."""
    lines = calibrated["onnxruntime"].read_text().splitlines(keepends=True)
    text = "".join(lines).replace("scale(0.003921569)", "scale(0.0078125)")
    assert text != "".join(lines)
    edited = calibrated["onnxruntime"].with_name("edited.qir")
    edited.write_text(text)
    result = quantize(edited, "onnxruntime", out=tmp_path / "o")
    assert result.pipeline.startswith("materialise,")
    assert "0.0078125" in (tmp_path / "o" / "edited.qir").read_text()


def test_codes_in_and_out_by_one_option(calib: Path, tmp_path: Path) -> None:
    result = quantize(EXAMPLES / "digits.onnx", "onnxruntime", calib, tmp_path / "o", io="integer", evaluate=accuracy)
    assert ",materialise,quantize-io," in result.pipeline
    (argument,) = result.module.body.last.body.args  # type: ignore[union-attr]
    assert str(argument.type) == "tensor<?x1x8x8xui8>"
    assert result.scores["quantized"] >= result.scores["float"] - 0.02  # the scorer feeds and gets floats
    images = np.zeros((1, 1, 8, 8), np.uint8)
    np.save(tmp_path / "x.npy", images)
    status, out, err = command("run", tmp_path / "o" / "digits.qir", "--input", f"input={tmp_path / 'x.npy'}")
    assert status == 0 and "scores  float32 1x10" in out, err


def test_a_pipeline_without_integers_has_no_integer_inputs(calib: Path) -> None:
    with pytest.raises(QirError, match="makes no integers: its inputs and outputs stay as they are"):
        quantize(EXAMPLES / "digits.onnx", "onnxruntime", calib, io="integer", pipeline="canonicalize")


def test_a_target_of_floats_takes_no_codes(calib: Path) -> None:
    with pytest.raises(QirError, match="inputs and outputs of an artifact for cli-chip are float only, not integer"):
        quantize(EXAMPLES / "digits.onnx", "cli-chip", calib, io="integer")


def test_all_files_of_weights_are_handed_over(tmp_path: Path, calib: Path) -> None:
    """Weights that stay float are those of the text before, in its file; the codes are in a new one beside it."""
    from qir.frontends.onnx import import_onnx

    ctx = Context(allow_unregistered=True)
    module = import_onnx(EXAMPLES / "digits.onnx", ctx)
    run_pipeline(module, f"{START},annotate{{target=onnxruntime exclude=/wide}},calibrate{{data={calib}}}", ctx)
    write_module(module, tmp_path / "mixed.qir")
    result = quantize(tmp_path / "mixed.qir", "onnxruntime", out=tmp_path / "out")
    weights = [file.path for file in result.files if file.path.suffix == ".safetensors"]
    assert len(weights) == 2 and all(path.parent == tmp_path / "out" for path in weights)
    again = parse_file(str(tmp_path / "out" / "mixed.qir"), ctx)
    assert any(op.name == "onnxruntime.QuantizeLinear" for op in again.walk())
