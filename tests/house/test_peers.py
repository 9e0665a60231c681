"""A missing peer is said by name, and fails the run where CI=true."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_alone():
    pass

@pytest.mark.peer("mlir-opt-22")
def test_with_mlir():
    raise AssertionError("this must not run")

def test_with_zoo(zoo):
    raise AssertionError("this must not run")
"""


def run(folder: Path, *options: str, **env: str) -> tuple[int, str]:
    """pytest on a folder with our conftest, where no peer can be found."""
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  peer(name): needs it\n")
    (folder / "tests" / "test_it.py").write_text(TESTS)
    clean = {k: v for k, v in os.environ.items() if k not in ("CI", "QIR_ZOO") and not k.startswith("PYTEST_")}
    clean |= {"PATH": "/nowhere", **env}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "tests"]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_missing_peers_are_named(options: tuple[str, ...], tmp_path: Path) -> None:
    status, text = run(tmp_path, *options)
    assert status == 0, text
    assert "NOT RUN: 1 tests that need mlir-opt-22" in text
    assert "apt-get install mlir-22-tools" in text
    assert "NOT RUN: 1 tests that need zoo" in text
    assert "1 passed" in text


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_a_missing_program_fails_in_ci(options: tuple[str, ...], tmp_path: Path) -> None:
    status, text = run(tmp_path, *options, CI="true")
    assert status == 1, text
    assert "this is a failure" in text


def test_a_missing_zoo_never_fails(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mlir-opt-22").write_text("#!/bin/sh\n")
    (folder / "mlir-opt-22").chmod(0o755)
    status, text = run(tmp_path, "--deselect", "tests/test_it.py::test_with_mlir", CI="true", PATH=str(folder))
    assert status == 0, text
    assert "NOT RUN: 1 tests that need zoo" in text
