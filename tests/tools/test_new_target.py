"""`qir new-target`: what it writes, and what it refuses to."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qir.tools.qir import main


def command(*argv: str | Path) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    status = main([str(a) for a in argv], io.StringIO(), out, errors)
    return status, out.getvalue(), errors.getvalue()


def test_it_writes_a_package_in_the_names_given(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    status, said, _ = command("new-target", "npu7", "-o", folder, "--package", "acme_npu")
    assert status == 0 and "qir check-target npu7" in said
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {"pyproject.toml", "README.md", "test_npu7.py", "acme_npu/rules.py", "acme_npu/chip.py"} <= files
    assert not any("__pycache__" in name or name == "__init__.py" for name in files)
    assert 'npu7 = "acme_npu:TARGET"' in (folder / "pyproject.toml").read_text()
    text = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "chipname" not in text and "chip_package" not in text
    assert [p.name for p in folder.parent.iterdir()] == ["where"], "nothing else is left"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("My-Chip", "'My-Chip' cannot be the name of a target", "take 'my_chip'"),
        ("class", "'class' cannot be the name", "a letter first"),
        ("7", "'7' cannot be the name", "a letter first"),
        ("../up", "'../up' cannot be the name", "take 'up'"),
        ("onnxruntime", "there is a target 'onnxruntime' already", "qir targets onnxruntime"),
        ("qsim", "'qsim' is the name of a dialect", "the chip's"),
        ("numpy", "Python has a module 'numpy' already", "--package"),
        ("json", "Python has a module 'json' already", "--package"),
    ],
)
def test_names_that_cannot_be_used_are_diagnostics(
    name: str, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said, errors = command("new-target", name)
    assert status == 1 and said == "" and message in errors and hint in errors
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "npu8").mkdir()
    assert command("new-target", "npu8")[0] == 0, "an empty folder is as good as none"
    before = sorted(tmp_path.rglob("*"))
    status, _, errors = command("new-target", "npu8")
    assert status == 1 and "npu8 is there already" in errors and "-o" in errors
    (tmp_path / "file").write_text("mine")
    status, _, errors = command("new-target", "npu9", "-o", "file")
    assert status == 1 and "file is a file" in errors and (tmp_path / "file").read_text() == "mine"
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "file"])


def small_net(folder: Path) -> None:
    """A net of convolutions and an Add, and its data."""
    rng = np.random.default_rng(0)
    weights = {"w": (6, 3, 3, 3), "b": (6,), "v": (6, 2, 3, 3), "o": (4, 6, 1, 2)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["p"], name="first", auto_pad="SAME_UPPER"),
        helper.make_node("Relu", ["p"], ["q"], name="act"),
        helper.make_node("Conv", ["q", "v"], ["r"], name="second", pads=[1, 1, 1, 1], group=3),
        helper.make_node("Add", ["q", "r"], ["s"], name="sum"),
        helper.make_node("Conv", ["s", "o"], ["t"], name="last", strides=[2, 1], dilations=[1, 2]),
    ]
    arrays = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in weights.items()}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    t = helper.make_tensor_value_info("t", TensorProto.FLOAT, ["N", 4, 4, 6])
    graph = helper.make_graph(nodes, "g", [x], [t], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "net.onnx")
    np.savez(folder / "data.npz", x=rng.normal(size=(32, 3, 8, 8)).astype(np.float32))
    np.save(folder / "x.npy", rng.normal(size=(50, 3, 8, 8)).astype(np.float32))


def test_the_package_works_as_it_is_written(tmp_path: Path, environment: Callable[[], Any]) -> None:
    """Installed by pip, it quantizes a net, and its chip gives what qir computes, element by element."""
    own = environment()

    def shell(command: str) -> str:
        done = own.run(command, tmp_path)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout + done.stderr)

    shell("qir new-target npu7 --package acme_npu && pip install -e npu7")
    assert "Gemm" in shell("qir targets npu7")
    small_net(tmp_path)
    said = shell("qir quantize net.onnx --target npu7 --data data.npz -o out --remarks export")
    assert "its results are equal to the interpreter's" in said
    shell("qir run out/net.npu7 --input x=x.npy -o chip && qir run out/net.qir --input x=x.npy -o ours")
    chip, ours = (np.load(tmp_path / name / "t.npy") for name in ("chip", "ours"))
    assert chip.std() > 0.1 and np.array_equal(chip, ours)
    (tmp_path / "out" / "cut.npu7").write_bytes((tmp_path / "out" / "net.npu7").read_bytes()[:-9])
    done = own.run("qir run out/cut.npu7 --input x=x.npy", tmp_path)
    assert done.returncode == 1 and "it is cut short" in done.stderr
