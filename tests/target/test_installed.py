"""What an installed package brings with one entry point: its target, and the dialect, kernels and passes beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

FILES = {
    "__init__.py": "from qir.target import Target\nTARGET = Target('acme', 'a chip', dialect='acme')\n",
    "dialect.py": "from qir.ir.records import Record, records\nDIALECT = records('acme', '', {'Twice': Record()})\n",
    "kernels.py": "from qir.interpreter import kernel\n\n@kernel('acme.Twice')\ndef _twice(node):\n"
    "    return lambda x: x + x\n",
    "passes.py": "from typing import ClassVar\nfrom qir.passes import Pass, register_pass\n\n"
    "@register_pass\nclass Nothing(Pass):\n    '''Does nothing.'''\n    name: ClassVar[str] = 'acme-nothing'\n\n"
    "    def run(self, module, ctx):\n        return False\n",
}
TEXT = """module attributes {qir.target = "acme"} {
  func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %y = acme.Twice(%x) : (tensor<2xf32>) -> tensor<2xf32>
    return %y : tensor<2xf32>
  }
}
"""


def package(folder: Path, files: dict[str, str], entry_point: str) -> None:
    for name, text in files.items():
        path = folder / "acme_npu" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    info = folder / "acme_npu-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme_npu\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[qir.targets]\nacme = {entry_point}\n")


def run(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process that finds what lies in `folder` installed."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    code = f"from qir.tools.{tool} import main; raise SystemExit(main())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_one_entry_point_brings_all(tmp_path: Path) -> None:
    package(tmp_path, FILES, "acme_npu:TARGET")
    (tmp_path / "t.qir").write_text(TEXT)
    np.save(tmp_path / "x.npy", np.float32([1, -2]))
    assert re.search("^acme +a chip$", run(tmp_path, "qir", "targets").stdout, re.M)
    assert "acme.Twice" in run(tmp_path, "qir_opt", "t.qir", "-p", "acme-nothing").stdout
    done = run(tmp_path, "qir", "run", "t.qir", "--input", "x=x.npy")
    assert "min -4  max 2" in done.stdout, done.stderr


def test_a_broken_dialect_of_a_package_is_a_diagnostic(tmp_path: Path) -> None:
    package(tmp_path, {**FILES, "dialect.py": "import nowhere\n"}, "acme_npu:TARGET")
    (tmp_path / "t.qir").write_text(TEXT)
    done = run(tmp_path, "qir_opt", "t.qir")
    assert done.returncode == 1
    assert "the dialect 'acme' of acme_npu.dialect:DIALECT cannot be loaded: No module named 'nowhere'" in done.stderr


def test_a_package_that_is_not_there_harms_nothing_else(tmp_path: Path) -> None:
    package(tmp_path, {}, "acme_gone.npu:TARGET")
    (tmp_path / "t.qir").write_text("module {\n}\n")
    assert run(tmp_path, "qir_opt", "t.qir", "-p", "canonicalize").returncode == 0
    done = run(tmp_path, "qir", "targets", "acme")
    assert done.returncode == 1 and "cannot be loaded" in done.stderr
