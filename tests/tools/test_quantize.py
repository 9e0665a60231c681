"""The whole job of `qir quantize`: what it writes, what it says, and that it can be repeated."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import qir
from qir.ir import Context, is_equal
from qir.tools.qir import main
from qir.tools.qir_opt import main as qir_opt


def command(*argv: str | Path) -> str:
    out, errors = io.StringIO(), io.StringIO()
    assert main([str(a) for a in argv], io.StringIO(), out, errors) == 0, errors.getvalue()
    return out.getvalue()


@pytest.fixture(scope="module")
def model() -> Path:
    return Path(__file__).resolve().parents[2] / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def images(model: Path) -> Mapping[str, np.ndarray]:
    data = np.load(model.with_name("digits.npz"))
    return {k: data[k][:, None].astype(np.float32) / 16 if k.endswith("x") else data[k] for k in data.files}


@pytest.fixture(scope="module")
def calib(images: Mapping[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calib") / "calib.npz"
    np.savez(path, input=images["train_x"][:128])
    return path


@pytest.fixture(scope="module")
def job(model: Path, calib: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that a job with default options wrote, and what it said."""
    out = tmp_path_factory.mktemp("job") / "out"
    return out, command("quantize", model, "--target", "onnxruntime", "--data", calib, "-o", out)


def scores(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(["scores"], {"input": x})[0]
    return result


def op_types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_what_it_writes(job: tuple[Path, str]) -> None:
    out, said = job
    names = {p.name for p in out.iterdir()}
    assert names == {"digits.onnx", "digits.qir", "digits.safetensors", "digits.pipeline", "digits.report.json"}
    for name in names:
        (line,) = [line for line in said.splitlines() if line.startswith(f"{out / name} ")]
        assert len(line.split()) > 3, "each file has a line: what it is and the command that runs it"


def test_the_quantized_model_is_as_good(job: tuple[Path, str], model: Path, images: Mapping[str, np.ndarray]) -> None:
    right = [scores(p, images["test_x"]).argmax(1) == images["test_y"] for p in (model, job[0] / "digits.onnx")]
    assert right[0].mean() > 0.98
    assert right[1].mean() > right[0].mean() - 0.01


def test_the_lowered_module_runs_as_the_artifact_does(
    job: tuple[Path, str], images: Mapping[str, np.ndarray], tmp_path: Path
) -> None:
    x = images["test_x"][:50]
    np.save(tmp_path / "x.npy", x)
    command("run", job[0] / "digits.qir", "--input", f"input={tmp_path / 'x.npy'}", "-o", tmp_path / "o")
    ours, theirs = np.load(tmp_path / "o" / "scores.npy"), scores(job[0] / "digits.onnx", x)
    sqnr = 10 * np.log10((theirs**2).sum() / max(((ours - theirs) ** 2).sum(), 1e-30))
    assert sqnr > 40, "QDQ as it is written rounds a few codes otherwise than the integer kernels"


def test_the_pipeline_repeats_the_job(job: tuple[Path, str], model: Path, tmp_path: Path) -> None:
    pipeline = (job[0] / "digits.pipeline").read_text().strip()
    assert pipeline in job[1]
    again = tmp_path / "again.qir"
    errors = io.StringIO()
    assert qir_opt([str(model), "-p", pipeline, "-o", str(again)], io.StringIO(), io.StringIO(), errors) == 0, (
        errors.getvalue()
    )
    ctx = Context(allow_unregistered=True)
    first, second = (qir.parse(p.read_text(), ctx, str(p)) for p in (job[0] / "digits.qir", again))
    assert is_equal(first, second, names=True)


def test_the_table_is_worst_first(job: tuple[Path, str]) -> None:
    report = json.loads((job[0] / "digits.report.json").read_text())
    for bias in (False, True):
        sqnr = [row["sqnr_db"] for row in report["tensors"] if (row["kind"] == "bias") == bias]
        assert sqnr == sorted(sqnr)
    table = [line.split() for line in job[1].splitlines() if " @" in line]
    assert table[0][0] == next(r["tensor"] for r in report["tensors"] if r["quantizer"])
    assert "10 of" in job[1]


def test_integer_operators(
    job: tuple[Path, str], model: Path, calib: Path, images: Mapping[str, np.ndarray], tmp_path: Path
) -> None:
    base = ("quantize", model, "--target", "onnxruntime", "--data", calib)
    said = command(*base, "-o", tmp_path, "--format", "qoperator", "--report")
    (artifact,) = tmp_path.glob("*.onnx")
    types = op_types(artifact)
    assert types.count("QLinearConv") == 6
    assert "Conv" not in types
    assert types.count("QuantizeLinear") == 1
    x = images["test_x"]
    theirs = scores(artifact, x)
    assert np.array_equal(theirs, scores(job[0] / "digits.onnx", x))
    for form in (artifact, tmp_path / "digits.qir"):  # the simulation is the device: no element differs
        assert np.array_equal(theirs, qir.run(form, {"input": x})["scores"])
    assert "10 of" not in said


def test_filters(model: Path, calib: Path, tmp_path: Path) -> None:
    base = ("quantize", model, "--target", "onnxruntime", "--data", calib)
    command(*base, "-o", tmp_path / "a", "--exclude", "/stem", "--exclude", "Gemm")
    command(*base, "-o", tmp_path / "b", "--only", "/w*", "--method", "minmax")
    counts = {}
    for name in ("a", "b"):
        said = (tmp_path / name / "digits.pipeline").read_text()
        graph = onnx.load(tmp_path / name / "digits.onnx").graph
        dequantized = {o for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output}
        heavy = [n for n in graph.node if n.op_type in ("Conv", "Gemm")]
        counts[name] = {n.name for n in heavy if n.input[1] in dequantized}, said
    assert counts["a"][0] == {"/depthwise", "/pointwise", "/narrow", "/wide", "/mix"}
    assert "exclude=/stem,Gemm" in counts["a"][1]
    assert counts["b"][0] == {"/wide"}
    assert "method=minmax" in counts["b"][1]


def test_options_of_passes(model: Path, images: Mapping[str, np.ndarray], tmp_path: Path) -> None:
    """A folder of images, with the size and scale that the model wants; the pipeline keeps them."""
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for number, image in enumerate(images["train_x"][:16, 0]):
        Image.fromarray(np.uint8(np.round(image * 255))).resize((16, 16)).save(folder / f"{number}.png")
    base = ("quantize", model, "--target", "onnxruntime", "--data", folder, "-o", tmp_path / "out")
    said = command(*base, "--set", "size=8,8", "--set", "scale=0.00392156862745098", "--set", "samples=12")
    assert "size=8,8 scale=0.00392156862745098" in said
    report = json.loads((tmp_path / "out" / "digits.report.json").read_text())
    row = next(r for r in report["tensors"] if r["tensor"] == "input")
    assert 0.9 < row["reference_max"] <= 1.0
    out, errors = io.StringIO(), io.StringIO()
    assert main([*map(str, base), "--set", "colour=red"], io.StringIO(), out, errors) == 1
    assert "colour" in errors.getvalue()
    assert main([*map(str, base), "--set", "size"], io.StringIO(), out, errors) == 2


SCORE = """
import numpy as np

def right(predict):
    data = np.load({path!r})
    scores = predict({{"input": data["test_x"][:200, None].astype(np.float32) / 16}})["scores"]
    return {{"right": (scores.argmax(1) == data["test_y"][:200]).mean()}}
"""


def test_scores_by_a_function(model: Path, calib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "score_digits.py").write_text(SCORE.format(path=str(model.with_name("digits.npz"))))
    monkeypatch.chdir(tmp_path)
    said = command(
        "quantize", model, "--target", "onnxruntime", "--data", calib, "-o", "out", "--eval", "score_digits:right"
    )
    shown = dict(line.split(None, 1) for line in said.splitlines() if line.startswith(("float ", "quantized ")))
    assert float(shown["float"].removeprefix("right ")) > 0.97
    assert float(shown["quantized"].removeprefix("right ")) > 0.96


def test_python_gives_the_same(job: tuple[Path, str], model: Path, calib: Path, tmp_path: Path) -> None:
    result = qir.quantize(model, target="onnxruntime", data=calib, out=tmp_path)
    assert (tmp_path / "digits.onnx").read_bytes() == (job[0] / "digits.onnx").read_bytes()
    assert next(f.path.name for f in result.files) == "digits.onnx"
    assert all(f.path.exists() for f in result.files)
    assert result.pipeline == (job[0] / "digits.pipeline").read_text().strip()
    before = qir.import_onnx(model)
    given: Any = qir.quantize(before, target="onnxruntime", data=calib)
    assert given.files == ()
    assert is_equal(before, qir.import_onnx(model)), "the module that was given is not changed"


def test_remarks_say_why(model: Path, calib: Path, tmp_path: Path) -> None:
    out, errors = io.StringIO(), io.StringIO()
    argv = ["quantize", str(model), "--target", "onnxruntime", "--data", str(calib), "-o", str(tmp_path / "o")]
    argv += ["--exclude", "/stem", "--remarks", "stem"]
    assert main(argv, io.StringIO(), out, errors) == 0
    assert "exclude=/stem" in errors.getvalue()
    assert "depthwise]" not in errors.getvalue()


def fails(*argv: str | Path) -> str:
    out, errors = io.StringIO(), io.StringIO()
    assert main([str(a) for a in argv], io.StringIO(), out, errors) == 1
    return errors.getvalue()


def test_remarks_are_there_where_the_job_fails(model: Path, calib: Path, tmp_path: Path) -> None:
    """The error names what cannot be done; why it came to that is in the remarks."""
    pipeline = "annotate{target=onnxruntime exclude=/stem},calibrate{data=gone.npz}"
    base = ("quantize", model, "--target", "onnxruntime", "--data", calib, "-o", tmp_path, "--pipeline", pipeline)
    assert "remark" not in fails(*base)
    said = fails(*base, "--remarks", "stays float")
    assert "[/stem] annotate: onnx.Conv stays float: left out by exclude=/stem" in said
    assert said.index("remark (missed)") < said.index("error: ")


def test_strict_names_the_node_that_stays_float(model: Path, calib: Path, tmp_path: Path) -> None:
    """An operation that the target has nothing for: a remark, or an error; --exclude takes it as it is."""
    proto = onnx.load(model)
    proto.graph.node.append(onnx.helper.make_node("Sin", ["scores"], ["wave"], name="/wave"))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("wave", onnx.TensorProto.FLOAT, [None, 10]))
    path = tmp_path / "wave.onnx"
    onnx.save(proto, path)
    base = ("quantize", path, "--target", "onnxruntime", "--data", calib, "-o", tmp_path / "out")
    errors = fails(*base, "--strict")
    assert errors.startswith("error: [/wave] onnx.Sin stays float: "), errors
    assert errors.count("error: ") == 1
    assert not (tmp_path / "out").exists()
    assert "strict=true" in command(*base, "--strict", "--exclude", "/wave")
    command(*base)


def test_strict_holds_where_all_runs_on_integers(model: Path, calib: Path, tmp_path: Path) -> None:
    said = command("quantize", model, "--target", "onnxruntime", "--data", calib, "-o", tmp_path, "--strict")
    assert "7 of 7 convolutions" in said


def test_modes_and_profiles_that_a_target_does_not_have(model: Path, calib: Path, tmp_path: Path) -> None:
    base = ("quantize", model, "--target", "onnxruntime", "--data", calib, "-o", tmp_path / "out")
    assert "the target 'onnxruntime' has no mode 'int3'" in fails(*base, "--mode", "int3")
    assert "onnxruntime has no profile 'fast'" in fails(*base, "--profile", "fast")
