"""A missing peer is said by name, and fails the run where CI=true: programs, data, and the runtimes of qir's extras."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
VENDORS = {"ai_edge_litert", "iree", "ncnn", "openvino", "tflite_micro", "tvm"}
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
RUNTIME_TESTS = """
import pytest

def test_alone():
    pass

@pytest.mark.runtime("{0}")
def test_with_runtime():
    assert "{0}" == "ncnn"

@pytest.mark.runtime("ncnn", "{0}")
def test_with_both():
    assert "{0}" == "ncnn"
"""
METADATA = """Metadata-Version: 2.4
Name: qir
Version: 99
Provides-Extra: litert
Requires-Dist: no-such-package>=1; extra == "litert"
Provides-Extra: ncnn
Requires-Dist: pytest>=1; extra == "ncnn"
Provides-Extra: openvino
Requires-Dist: pytest>=1000; extra == "openvino"
Provides-Extra: tvm
Requires-Dist: no-such-package; python_version < "3" and extra == "tvm"
"""
"""An installed qir of another kind: one runtime is here, one is not, one is too old, and one has no wheel."""


def run(folder: Path, *options: str, **env: str) -> tuple[int, str]:
    """pytest on a folder with our conftest, where no peer can be found."""
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  peer(name): needs it\n  runtime(name): needs it\n")
    if not (folder / "tests" / "test_it.py").exists():
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


def run_runtimes(folder: Path, name: str, *options: str, **env: str) -> tuple[int, str]:
    """pytest on tests that need the runtime `name`, where the installed qir is the one of METADATA."""
    installed = folder / "site" / "qir-99.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(METADATA)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text(RUNTIME_TESTS.format(name))
    return run(folder, *options, PYTHONPATH=str(folder / "site"), **env)


def test_a_runtime_that_is_here_runs(tmp_path: Path) -> None:
    status, text = run_runtimes(tmp_path, "ncnn", "-m", "runtime", CI="true")
    assert status == 0, text
    assert "2 passed" in text
    assert "NOT RUN" not in text


@pytest.mark.parametrize("name", ["litert", "openvino", "iree"], ids=["missing", "too old", "no such extra yet"])
def test_a_missing_runtime_is_named_and_fails_in_ci(name: str, tmp_path: Path) -> None:
    status, text = run_runtimes(tmp_path, name, CI="true")
    assert status == 1, text
    assert f"NOT RUN: 2 tests that need {name}" in text
    assert "make test-runtimes" in text
    assert "this is a failure" in text


def test_tests_that_nobody_asked_for_are_not_missed(tmp_path: Path) -> None:
    status, text = run_runtimes(tmp_path, "litert", "-m", "not runtime", CI="true")
    assert status == 0, text
    assert "NOT RUN" not in text


def test_a_runtime_without_a_wheel_for_this_python_never_fails(tmp_path: Path) -> None:
    status, text = run_runtimes(tmp_path, "tvm", CI="true")
    assert status == 0, text
    assert "NOT RUN: 2 tests that need tvm" in text
    assert "no wheel" in text


def test_an_unknown_runtime_is_an_error(tmp_path: Path) -> None:
    status, text = run_runtimes(tmp_path, "mlir-opt-22")
    assert status == 4, text
    assert "unknown runtime mlir-opt-22" in text


def test_no_file_needs_a_runtime_to_be_imported() -> None:
    """`make test` imports every file without them, and so does who uses qir for another target."""
    found = []
    for folder in ("qir", "dialects", "lowering", "tools", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found += [(path.name, name) for name in names if name.partition(".")[0] in VENDORS]
    assert not found


def test_every_package_of_the_runtimes_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    extras = importlib.metadata.metadata("qir").get_all("Requires-Dist") or []
    wanted = [Requirement(text) for text in extras if "extra ==" in text]
    assert {canonicalize_name(r.name) for r in wanted} - {"qir"} <= pinned
