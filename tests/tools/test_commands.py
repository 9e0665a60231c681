"""What `qir run` and `qir compare` print and write."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime

from qir.tools.qir import main


def command(*argv: str | Path) -> str:
    out, errors = io.StringIO(), io.StringIO()
    assert main([str(a) for a in argv], io.StringIO(), out, errors) == 0, errors.getvalue()
    return out.getvalue()


def digits(repo: Path, count: int) -> np.ndarray:
    data = np.load(repo / "examples" / "digits" / "digits.npz")
    return data["test_x"][:count, None].astype(np.float32) / 16


def test_run_gives_what_onnxruntime_gives(repo: Path, tmp_path: Path) -> None:
    model = repo / "examples" / "digits" / "digits.onnx"
    x = digits(repo, 5)
    np.save(tmp_path / "x.npy", x)
    text = command("run", model, "--input", f"input={tmp_path / 'x.npy'}", "-o", tmp_path / "out")
    assert "scores  float32 5x10" in text
    ours = np.load(tmp_path / "out" / "scores.npy")
    (theirs,) = onnxruntime.InferenceSession(str(model)).run(None, {"input": x})
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["scores.npy"]


def test_compare_a_model_with_itself_is_exact(repo: Path, tmp_path: Path) -> None:
    model = repo / "examples" / "digits" / "digits.onnx"
    np.savez(tmp_path / "d.npz", input=digits(repo, 5))
    text = command("compare", model, model, "--data", tmp_path / "d.npz")
    lines = [line for line in text.splitlines() if "exact" in line]
    assert len(lines) == 22, "the output and every inner tensor"


def test_compare_shows_a_changed_layer(repo: Path, tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    path = repo / "examples" / "digits" / "digits.onnx"
    model = onnx.load(path)
    weight = next(t for t in model.graph.initializer if t.name == "wide.weight")
    rounded = np.round(numpy_helper.to_array(weight), 1)
    weight.CopyFrom(numpy_helper.from_array(rounded, weight.name))
    onnx.save(model, tmp_path / "b.onnx")
    np.savez(tmp_path / "d.npz", input=digits(repo, 20))
    text = command("compare", path, tmp_path / "b.onnx", "--data", tmp_path / "d.npz")
    rows = {line.split()[0]: line for line in text.splitlines() if line and not line.startswith(("─", " "))}
    assert "exact" in rows["narrow"]
    assert "exact" not in rows["wide"]
    x = digits(repo, 20)
    ours, theirs = (
        onnxruntime.InferenceSession(str(p)).run(None, {"input": x})[0].astype(np.float64)
        for p in (path, tmp_path / "b.onnx")
    )
    sqnr = 10 * np.log10((ours**2).sum() / ((ours - theirs) ** 2).sum())
    shown = float(rows["scores"].split()[2])
    assert abs(shown - sqnr) < 0.06
