"""The kit on targets as users have them: onnxruntime's, and one that a package registers, whose runtime crashes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from qir.conformance import check_target
from qir.conformance.cases import CASES
from qir.conformance.net import Net
from qir.tools.qir import main


def test_onnxruntime_conforms_on_some_operators() -> None:
    report = check_target("onnxruntime", only=["Gemm", "Add", "AveragePool", "Concat", "Sigmoid", "Softmax"])
    assert not report.failed and not report.without_case
    quantized = {row.op: row for row in report.rows.values() if row.quantized}
    assert set(quantized) == {"Gemm", "Add", "AveragePool", "Concat", "Sigmoid"}
    assert all(row.wrong == 0 and row.elements > 1000 for row in quantized.values())


def test_onnxruntime_conforms_on_convolutions() -> None:
    report = check_target("onnxruntime", only=["Conv"])
    assert not report.failed
    (row,) = (row for row in report.rows.values() if row.quantized)
    assert row.cases > 40 and row.elements > 200_000 and row.wrong == 0


# ---------------------------------------------------------------- nets
@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """A zoo of one net."""
    net = Net(0, 21)
    x = net.data(1, 3, 8, 8)
    y = net.op("Relu", net.op("Conv", x, net.weight(4, 3, 3, 3), net.bias(4), pads=[1] * 4))
    onnx.save(net.model([net.op("Conv", y, net.weight(2, 4, 1, 1))]), tmp_path / "small.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3))
    np.savez(tmp_path / "data.npz", x=pixels.astype(np.float32))
    pre = {"mean": 127.5, "scale": 0.01, "nchw": True}
    entry = {"model": "small.onnx", "input": "x0", "calib": "data.npz", "pre": pre}
    absent = {**entry, "model": "absent.onnx"}
    (tmp_path / "entries.json").write_text(json.dumps({"small": entry, "absent": absent}))
    return tmp_path


def test_the_nets_of_a_folder_are_tried(nets: Path) -> None:
    out = io.StringIO()
    assert main(["check-target", "onnxruntime", "--no-suite", "--zoo", str(nets)], io.StringIO(), out, out) == 0
    (row,) = [line for line in out.getvalue().splitlines() if line.startswith("small")]
    assert row.split() == ["small", "1", "512", "0", "0", "quantized"]


@pytest.mark.slow
def test_the_cnns_of_the_zoo_are_equal(zoo: Path) -> None:
    report = check_target("onnxruntime", suite=False, zoo=zoo)
    assert not report.failed
    wrong = {row.op: row.wrong for row in report.rows.values()}
    assert {name: n for name, n in wrong.items() if "gpt" not in name and "vit" not in name} == {
        "squeezenet-imagenet": 0, "mobilenet_v1_025-imagenet": 0, "resnet8-cifar10": 0, "digits-cnn": 0,
        "rfb320-face": 0, "espcn-x3": 0,
    }  # fmt: skip


# ---------------------------------------------------------------- a package whose runtime crashes
PACKAGE = """
import os
import qir
from pathlib import Path
from qir.target import Artifact, Rule, Runtime, Target

def export(module, ctx, folder, name, **_):
    path = Path(folder) / (name + ".crash")
    path.write_text(qir.print(module))
    return [Artifact(path, "text", "none")]

def run(path, inputs, profile):
    module = qir.parse(path.read_text())
    if any(op.name == "onnx.Tanh" for op in module.walk()):
        print("a library's last words", flush=True)
        os.abort()
    if any(op.name == "onnx.Exp" for op in module.walk()):
        os.write(2, b"no kernel: Exp")
        raise RuntimeError("load failed")
    return qir.run(module, inputs)

TARGET = Target(
    "crashing", rules=(Rule(("Tanh", "Exp", "Abs"), "float"),), pipeline="canonicalize", level="simulated",
    export=export, held=("builtin", "func", "onnx"),
    runtime=Runtime("crashsim", "none", lambda: "1", run),
)
"""


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A distribution on the path with an entry point of its own."""
    (tmp_path / "crashing_target.py").write_text(PACKAGE)
    info = tmp_path / "crashing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qir.targets]\ncrashing = crashing_target:TARGET\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "crashing"
    sys.modules.pop("crashing_target", None)


def test_a_crash_of_the_runtime_is_one_failure_and_the_next_case_runs(
    crashing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for op in ("Tanh", "Exp", "Abs"):
        monkeypatch.setitem(CASES, op, CASES[op][:1])
    report = check_target(crashing, only=["Tanh", "Exp", "Abs"])
    assert {row.op: (row.cases, row.wrong) for row in report.rows.values()} == {"Abs": (1, 0)}
    errors = {(e.op, e.label): e.error for e in report.errors}
    assert errors["Tanh", "an image"] == "the runtime crashed (status -6)"
    assert errors["Exp", "an image"] == "the runtime cannot run it: RuntimeError: load failed (no kernel: Exp)"
    assert len(errors) == 2
