"""Bad input to the commands: one diagnostic that says what is wrong, exit status 1, never a traceback."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qir.tools.qir import main


def command(*argv: str | Path) -> tuple[int, str, str]:
    """The command's status, output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    status = main([str(a) for a in argv], io.StringIO(), out, errors)
    return status, out.getvalue(), errors.getvalue()


def fails(*argv: str | Path) -> str:
    """The one diagnostic of a command that must fail with status 1."""
    status, _, errors = command(*argv)
    assert status == 1, errors
    assert errors.count("error: ") == 1, errors
    assert "Traceback" not in errors
    assert "internal error" not in errors, errors
    return errors


def build(folder: Path, opset: int = 17, extra: tuple[str, str] | None = None) -> Path:
    """y = Relu(Conv(x)), x: N x 2 x 6 x 6, and after it one more node (op type, domain) where given."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((4, 2, 3, 3)).astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="/conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y" if extra is None else "r"], name="/relu"),
    ]
    domains = [helper.make_opsetid("", opset)]
    if extra is not None:
        nodes.append(helper.make_node(extra[0], ["r"], ["y"], name="/extra", domain=extra[1]))
        domains.append(helper.make_opsetid(extra[1], 1))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 6, 6])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=domains)
    model.ir_version = 8
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build(tmp_path)


@pytest.fixture
def calib(tmp_path: Path) -> Path:
    path = tmp_path / "calib.npz"
    np.savez(path, x=np.random.default_rng(1).standard_normal((8, 2, 6, 6)).astype(np.float32))
    return path


GOOD = np.zeros((4, 2, 6, 6), np.float32)


def with_nan() -> np.ndarray:
    array = GOOD.copy()
    array[2, 1, 0, 0] = np.nan
    return array


DATA: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "wrong shape": (lambda p: np.savez(p, x=np.zeros((4, 3, 6, 6), np.float32)), ("'x'", "4x3x6x6", "calib.npz")),
    "wrong dtype": (lambda p: np.savez(p, x=GOOD.astype(np.float64)), ("'x'", "float64", "float32")),
    "wrong name": (lambda p: np.savez(p, X=GOOD), ("'x'", "it holds X")),
    "NaN": (lambda p: np.savez(p, x=with_nan()), ("'x'", "NaN", "sample 2")),
    "no samples": (lambda p: np.savez(p, x=GOOD[:0]), ("'x'", "empty")),
    "no arrays": (lambda p: np.savez(p), ("calib.npz", "no arrays")),
    "no archive": (lambda p: p.write_bytes(b"not an archive"), ("calib.npz",)),
    "cut short": (lambda p: (np.savez(p, x=GOOD), p.write_bytes(p.read_bytes()[:300])), ("calib.npz",)),
    "pickled": (lambda p: np.savez(p, x=np.array([{}, {}], object)), ("calib.npz",)),
}


@pytest.mark.parametrize("case", DATA)
def test_data(case: str, model: Path, tmp_path: Path) -> None:
    write, words = DATA[case]
    path = tmp_path / "calib.npz"
    write(path)
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", path, "-o", tmp_path / "out")
    for word in words:
        assert word in errors
    assert not list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else True


def test_data_that_is_not_there(model: Path, calib: Path, tmp_path: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", tmp_path / "calip.npz")
    assert "calip.npz" in errors
    assert "did you mean" in errors


def test_no_data(model: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime")
    assert "calibration data" in errors
    assert "--data" in errors


def test_data_function_that_is_not_there(model: Path) -> None:
    assert "nowhere" in fails("quantize", model, "--target", "onnxruntime", "--data", "nowhere:samples")


def test_unknown_target(model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntim", "--data", calib)
    assert "did you mean 'onnxruntime'?" in errors
    assert "did you mean 'onnxruntime'?" in fails("targets", "onnxruntim")


@pytest.mark.parametrize("option", ["--only", "--exclude"])
def test_filter_that_matches_nothing(option: str, model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", calib, option, "/covn")
    assert "/covn" in errors
    assert "/conv" in errors, "the nearest name is the hint"


def test_op_that_cannot_run(tmp_path: Path, calib: Path) -> None:
    path = build(tmp_path, extra=("Frobnicate", "my.domain"))
    errors = fails("quantize", path, "--target", "onnxruntime", "--data", calib, "-o", tmp_path / "out")
    assert "Frobnicate" in errors
    assert "/extra" in errors


def test_opset_that_is_not_known(tmp_path: Path, calib: Path) -> None:
    path = build(tmp_path, opset=999)
    errors = fails("quantize", path, "--target", "onnxruntime", "--data", calib, "-o", tmp_path / "out")
    assert "999" in errors


def test_missing_runtime(model: Path, calib: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qir.lowering.onnxruntime import runtime

    monkeypatch.setattr(runtime, "version", lambda: None)
    base = ("quantize", model, "--target", "onnxruntime", "--data", calib, "-o", tmp_path / "out")
    errors = fails(*base)
    assert "pip install onnxruntime" in errors
    assert "--unchecked" in errors
    assert not (tmp_path / "out").exists()
    status, _, errors = command(*base, "--unchecked")
    assert status == 0, errors
    assert "warning" in errors
    assert (tmp_path / "out" / "model.onnx").exists()


def test_unknown_method(model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", calib, "--method", "magic")
    assert "magic" in errors
    assert "minmax" in errors


def test_unknown_format(model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", calib, "--format", "tflite")
    assert "tflite" in errors
    assert "qdq, qoperator" in errors


def test_pipeline_with_a_caret(model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", calib, "--pipeline", "canonicalise")
    assert "did you mean 'canonicalize'" in errors
    assert "^" in errors


def test_output_that_is_a_file(model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", calib, "-o", calib)
    assert "is a file" in errors


def test_score_function_that_is_not_there(model: Path, calib: Path) -> None:
    errors = fails("quantize", model, "--target", "onnxruntime", "--data", calib, "--eval", "nowhere:score")
    assert "nowhere" in errors


@pytest.mark.parametrize("name", ["model.onnx", "model.qir"])
@pytest.mark.parametrize("what", ["missing", "garbage", "empty", "folder"])
def test_models(name: str, what: str, tmp_path: Path, calib: Path) -> None:
    path = tmp_path / name
    if what == "garbage":
        path.write_bytes(bytes(range(256)))
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "folder":
        path.mkdir()
    data = ("--data", calib)
    for argv in (("quantize", path, "--target", "onnxruntime", *data), ("run", path), ("compare", path, path, *data)):
        assert name in fails(*argv)


def test_run_inputs(model: Path, calib: Path, tmp_path: Path) -> None:
    good, other = tmp_path / "x.npy", tmp_path / "other.npy"
    np.save(good, GOOD)
    np.save(other, GOOD[:, :1])
    assert "'x'" in fails("run", model)
    assert "no input 'y'" in fails("run", model, "--input", f"y={good}")
    assert "'x'" in fails("run", model, "--input", f"x={other}")
    assert "nothing.npy" in fails("run", model, "--input", "x=nothing.npy")
    assert "several arrays" in fails("run", model, "--input", f"x={calib}")
    assert "no array" in fails("run", model, "--input", f"x={model}")


def test_compare_models_without_a_common_output(model: Path, calib: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = onnx.load(build(folder))
    other.graph.output[0].name = other.graph.node[-1].output[0] = "z"
    onnx.save(other, str(folder / "z.onnx"))
    assert "share no output" in fails("compare", model, folder / "z.onnx", "--data", calib)


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("frobnicate",),
        ("quantize", "model.onnx"),
        ("quantize", "model.onnx", "--target", "onnxruntime", "--recipe", "best"),
        ("quantize", "model.onnx", "--target", "onnxruntime", "--max-drop", "0.1"),
        ("quantize", "model.onnx", "--target", "onnxruntime", "--seed", "x"),
        ("run", "model.onnx", "--input", "x"),
        ("compare", "a.onnx", "b.onnx"),
    ],
)
def test_wrong_usage_is_status_2(argv: tuple[str, ...]) -> None:
    status, out, errors = command(*argv)
    assert status == 2
    assert errors
    assert "Traceback" not in errors + out


@pytest.mark.parametrize("argv", [("--help",), ("quantize", "--help"), ("run", "-h"), ("--version",), ("targets",)])
def test_help_is_status_0(argv: tuple[str, ...]) -> None:
    status, out, errors = command(*argv)
    assert status == 0, errors
    assert out
