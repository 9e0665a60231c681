"""What ONNX says survives the text and MLIR's own tool, and still exports to the same model."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context, difference
from qir.text import parse_module, print_module

from . import models


@pytest.mark.parametrize("generic", [False, True], ids=["pretty", "generic"])
def test_every_field_survives_the_text(generic: bool) -> None:
    module = import_onnx(models.rich(), Context())
    text = print_module(module, generic=generic, debuginfo=generic)
    parsed = parse_module(text, Context(allow_unregistered=True))
    assert difference(module, parsed, names=True, locations=True) is None
    assert print_module(parsed, generic=generic, debuginfo=generic) == text
    found = models.sort_attributes(export_onnx(parsed))
    assert models.first_difference(models.sort_attributes(models.rich()), found) is None


def test_every_field_survives_mlir_opt(mlir_opt: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    path.write_text(print_module(import_onnx(models.rich(), Context()), generic=True, debuginfo=True))
    flags = ["--allow-unregistered-dialect", "--mlir-print-op-generic", "--mlir-print-debuginfo"]
    run = subprocess.run([mlir_opt, *flags, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    parsed = parse_module(run.stdout, Context(allow_unregistered=True))
    found = models.sort_attributes(export_onnx(parsed))
    assert models.first_difference(models.sort_attributes(models.rich()), found) is None
