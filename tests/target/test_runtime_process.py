"""Artifacts run by a target's runtime: what comes back, and that nothing a native library does ends the command."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from qir.ir import QirError
from qir.runtime_process import run_artifact
from qir.target import get_target, targets_for
from qir.tools.qir import main

MODULE = """
import ctypes, os, sys
import numpy as np
from qir.ir import fail
from qir.target import Runtime, Target

def run(path, inputs, profile=""):
    what = path.read_text()
    if what == "abort":
        print("Fatal: no such layer", file=sys.stderr, flush=True)
        os.abort()
    if what == "segfault":
        ctypes.string_at(0)
    if what == "leave":
        os._exit(3)
    if what == "raise":
        raise RuntimeError("from core.cpp:132:" + chr(10) + "the file is strange" + chr(10))
    if what == "refuse":
        fail(str(path), "made for version 2", "convert it")
    if what == "print":
        print("noise"); sys.stdout.flush()
    return {f"{name}/twice": 2 * array for name, array in inputs.items()} | {"file": np.array(len(profile), np.int8)}

def make(name, **more):
    runtime = Runtime(name, "pip install it", lambda: "7.1", run, ("fast", "exact"), (".chip",), **more)
    return Target(name=name, runtime=runtime)

SAFE, QUICK = make("chip"), make("quick", isolated=False)
MISSING = Target(name="gone", runtime=Runtime("gone", "pip install gone", lambda: None, run, suffixes=(".gone",)))
"""


@pytest.fixture(autouse=True)
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with three targets, and a current folder with an input."""
    site = tmp_path / "site"
    (site / "chips-1.dist-info").mkdir(parents=True)
    (site / "chips_of_test.py").write_text(MODULE)
    (site / "chips-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: chips\nVersion: 1\n")
    points = "chip = chips_of_test:SAFE\nquick = chips_of_test:QUICK\ngone = chips_of_test:MISSING\n"
    (site / "chips-1.dist-info" / "entry_points.txt").write_text(f"[qir.targets]\n{points}")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr("qir.target.registry._REGISTERED", {})
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.arange(6, dtype=np.float16).reshape(2, 3))


def command(*argv: str) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    status = main(list(argv), io.StringIO(), out, errors)
    return status, out.getvalue(), errors.getvalue()


@pytest.mark.parametrize("name", ["chip", "quick"])
def test_arrays_go_in_and_come_back(name: str, tmp_path: Path) -> None:
    Path("a.chip").write_text("print")
    given = {"x": np.arange(6, dtype=np.float16).reshape(2, 3), "file": np.array([-3], np.int64), "a/b c": np.zeros(0)}
    results = run_artifact(get_target(name), "a.chip", given, "exact")
    assert list(results) == ["x/twice", "file/twice", "a/b c/twice", "file"]
    for key, array in given.items():
        assert results[f"{key}/twice"].dtype == array.dtype
        assert np.array_equal(results[f"{key}/twice"], 2 * array)
    assert results["file"] == len("exact")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("abort", "chip 7.1 crashed on it (SIGABRT: "),
        ("segfault", "chip 7.1 crashed on it (SIGSEGV"),
        ("leave", "chip 7.1 crashed on it (status 3)\n  hint: the file is broken or cut short"),
        ("raise", "chip 7.1 cannot load or run it: the file is strange\n"),
        ("refuse", "made for version 2\n  hint: convert it"),
        ("", "a.chip is empty\n  hint: the file is broken or cut short"),
    ],
)
def test_what_a_runtime_does_on_a_broken_file_is_one_diagnostic(what: str, message: str) -> None:
    Path("a.chip").write_text(what)
    status, out, errors = command("run", "a.chip", "--target", "chip", "--input", "x=x.npy", "-o", "out")
    assert (status, out) == (1, "")
    assert errors.count("error: ") == 1 and "Traceback" not in errors and "internal" not in errors
    assert errors.startswith("a.chip: error: ") and message in errors, errors
    assert not Path("out").exists()


def test_the_runtime_is_found_by_the_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.chip").write_text("")
    assert [t.name for t in targets_for(Path("a.chip"))] == ["chip", "quick"]
    status, _, errors = command("run", "a.chip")
    assert status == 1 and "several targets have a runtime for a.chip: chip, quick" in errors
    Path("b.chip").write_text("fine")
    status, out, errors = command("run", "b.chip", "--target", "quick", "--input", "x=x.npy", "-o", "out")
    assert status == 0, errors
    assert out.splitlines()[0] == "x/twice  float16 2x3  min 0  max 10  mean 5"
    assert np.array_equal(np.load("out/x_twice.npy"), 2 * np.load("x.npy"))


def test_a_missing_runtime_says_how_to_get_it() -> None:
    Path("a.gone").write_text("x")
    status, _, errors = command("run", "a.gone")
    assert status == 1 and "gone is not installed" in errors and "pip install gone" in errors


def test_profiles() -> None:
    Path("a.chip").write_text("fine")
    assert command("run", "a.chip", "--target", "chip", "--profile", "exact")[1].startswith("file  int8 scalar  min 5")
    status, _, errors = command("run", "a.chip", "--target", "chip", "--profile", "slow")
    assert status == 1 and "chip has no profile 'slow'\n  hint: its profiles are fast, exact" in errors


@pytest.mark.parametrize(
    ("name", "content", "argv", "message"),
    [
        ("a.onnx", b"x", ("--target", "chip"), "chip cannot run a.onnx: it takes .chip"),
        ("a.bin", b"\0\1\2", (), "a.bin is no model that qir knows"),
        ("a.chip", b"fine", ("--target", "chap"), "there is no target 'chap'"),
    ],
)
def test_files_of_another_kind(name: str, content: bytes, argv: tuple[str, ...], message: str) -> None:
    Path(name).write_bytes(content)
    status, _, errors = command("run", name, *argv)
    assert status == 1 and errors.count("error: ") == 1 and message in errors, errors


def test_a_device_is_for_what_is_interpreted() -> None:
    Path("a.chip").write_text("fine")
    assert command("run", "a.chip", "--target", "quick", "--device", "cuda")[0] == 2


def test_a_target_that_only_this_process_knows_runs_here() -> None:
    import attrs

    Path("a.chip").write_text("fine")
    known = attrs.evolve(get_target("chip"), name="only-here")
    assert run_artifact(known, "a.chip", {"x": np.ones(2)})["x/twice"].tolist() == [2, 2]
    with pytest.raises(QirError, match="cannot load or run it: the file is strange"):
        Path("a.chip").write_text("raise")
        run_artifact(known, "a.chip", {})
