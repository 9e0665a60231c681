"""One calibrated module, several chips: every pair of targets, each artifact run by its real runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir import quantize
from qir.frontends.onnx import import_onnx
from qir.interpreter.codes import decode_outputs, encode_inputs
from qir.ir import Context
from qir.passes import run_pipeline
from qir.target import get_target

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "digits"
DIGITS = np.load(EXAMPLES / "digits.npz")
NAMES = ("onnxruntime", "litert", "ncnn", "openvino")
START = "canonicalize,fold-batch-norm,decompose,canonicalize"
PAIRS = [(a, b) for a in NAMES for b in NAMES if a != b]


def marked(pair: tuple[str, str]) -> Any:
    """A test of a pair needs the second one's runtime; onnxruntime is always there."""
    other = [] if pair[1] == "onnxruntime" else [pytest.mark.runtime(pair[1])]
    return pytest.param(*pair, marks=other, id="-to-".join(pair))


def images(name: str, count: int) -> Any:
    return DIGITS[name][:count, None].astype(np.float32) / 16


@pytest.fixture(scope="module")
def calib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "calib.npz"
    np.savez(path, input=images("train_x", 32))
    return path


@pytest.fixture(scope="module")
def calibrated(calib: Path) -> dict[str, Any]:
    found = {}
    for name in NAMES:
        ctx = Context(allow_unregistered=True)
        module = import_onnx(EXAMPLES / "digits.onnx", ctx)
        run_pipeline(module, f"{START},annotate{{target={name}}},calibrate{{data={calib}}}", ctx)
        found[name] = module
    return found


def accuracy(predict: Any) -> float:
    scores = predict({"input": images("test_x", 300)})["scores"]
    return float((scores.argmax(1) == DIGITS["test_y"][:300]).mean())


@pytest.mark.parametrize(("first", "second"), [marked(pair) for pair in PAIRS])
def test_what_was_calibrated_for_one_runs_on_the_other(
    first: str, second: str, calibrated: dict[str, Any], calib: Path, tmp_path: Path
) -> None:
    """The data is there for ranges that the first one had no need of; nothing that is known is found anew."""
    module = calibrated[first]
    result = quantize(module, second, calib, tmp_path, evaluate=accuracy)
    assert f"retarget{{target={second} weights=later}},calibrate{{" in result.pipeline
    assert result.scores["quantized"] >= 0.96


@pytest.mark.parametrize("second", [pytest.param(n, marks=pytest.mark.runtime(n)) for n in ("ncnn", "openvino")])
def test_no_data_is_needed_where_every_range_is_known(second: str, calibrated: dict[str, Any], tmp_path: Path) -> None:
    result = quantize(calibrated["onnxruntime"], second, out=tmp_path, evaluate=accuracy)
    assert "calibrate" not in result.pipeline and result.scores["quantized"] >= 0.96


@pytest.mark.runtime("litert")
def test_a_microcontrollers_model_takes_and_gives_bytes(calib: Path, tmp_path: Path) -> None:
    result = quantize(EXAMPLES / "digits.onnx", "litert", calib, tmp_path, io="integer", evaluate=accuracy)
    runtime = get_target("litert").runtime
    assert runtime is not None
    given = encode_inputs(result.module, {"input": images("test_x", 8)})
    assert given["input"].dtype == np.int8
    codes = runtime.run(result.files[0].path, given)
    assert codes["scores"].dtype == np.int8
    decoded = decode_outputs(result.module, codes)["scores"]
    assert (decoded.argmax(1) == DIGITS["test_y"][:8]).all() and result.scores["quantized"] >= 0.96
