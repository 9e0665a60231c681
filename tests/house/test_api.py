"""The public names of ``qir``, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qir

TEXT = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>) {
    %y = onnx.Relu(%x) {} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %z = onnx.Identity(%y) {} : (tensor<?x3xf32>) -> tensor<?x3xf32>
    return %z : tensor<?x3xf32>
  }
}
"""


@pytest.mark.parametrize("name", qir.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(qir, name) is not None
    assert name in dir(qir)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="frobnicate"):
        _ = qir.frobnicate  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["qir", "qir.ir", "qir.text", "qir.rewrite", "qir.passes", "qir.tools.qir_opt"])
def test_text_needs_neither_torch_nor_onnx(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'onnx', 'triton', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parse_run_print_and_export(tmp_path: Path) -> None:
    module = qir.parse(TEXT)
    x = np.array([[-1.0, 0.0, 2.0]], np.float32)
    assert qir.run(module, {"x": x})["z"].tolist() == [[0.0, 0.0, 2.0]]
    qir.run_pipeline(module, "canonicalize")
    text = qir.print(module)
    assert "onnx.Identity" not in text
    assert qir.print(qir.parse(text)) == text
    (artifact,) = qir.export(module, tmp_path / "m.onnx")
    assert artifact.path == tmp_path / "m.onnx"
    assert qir.run(tmp_path / "m.onnx", {"x": x})["z"].tolist() == [[0.0, 0.0, 2.0]]
    assert qir.print(qir.import_onnx(tmp_path / "m.onnx")).count("onnx.Relu") == 1


def test_a_kernel_of_ones_own() -> None:
    @qir.kernel("house.test.Scale")
    def scale(op: Any, x: Any) -> Any:
        return x * op.attr("by", 1.0)

    module = qir.parse(
        """
        func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32>) {
          %y = house.test.Scale(%x) {by = 3.0 : f32} : (tensor<2xf32>) -> tensor<2xf32>
          return %y : tensor<2xf32>
        }
        """
    )
    assert qir.run(module, {"x": np.array([1.0, 2.0], np.float32)})["y"].tolist() == [3.0, 6.0]


def test_errors_are_diagnostics() -> None:
    with pytest.raises(qir.QirError) as failure:
        qir.parse("module {\n  func.func @f(", filename="f.qir")
    assert "f.qir:2:" in str(failure.value)
