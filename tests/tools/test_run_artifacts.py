"""Every target's artifact by `qir quantize` and `qir run`, in its real runtime: equal numbers; broken files."""

from __future__ import annotations

import io
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from qir.api import load
from qir.artifact import agreement, simulate
from qir.target import get_target
from qir.tools.qir import main

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
CUTS = (0.0, 0.001, 0.02, 0.3, 0.7, 0.98)


def command(*argv: object) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    status = main([str(a) for a in argv], io.StringIO(), out, errors)
    return status, out.getvalue(), errors.getvalue()


@pytest.fixture(
    scope="module",
    params=["onnxruntime", *(pytest.param(n, marks=pytest.mark.runtime(n)) for n in ("litert", "ncnn", "openvino"))],
)
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, str]:
    """A target, the artifact of the trained example for it, and what the job said. An input lies beside it: x.npy."""
    folder = tmp_path_factory.mktemp(request.param)
    images = np.load(DIGITS / "digits.npz")["train_x"][:64, None].astype(np.float32) / 16
    np.savez(folder / "calib.npz", input=images)
    base = ("quantize", DIGITS / "digits.onnx", "--target", request.param, "--data", folder / "calib.npz")
    status, _, errors = command(*base, "-o", folder / "out", "--remarks", "ran a sample")
    assert status == 0, errors
    np.save(folder / "out" / "x.npy", images[:3])
    suffix = get_target(request.param).runtime.suffixes[0]  # type: ignore[union-attr]
    return request.param, folder / "out" / f"digits{suffix}", errors


def test_the_job_has_run_it(job: tuple[str, Path, str]) -> None:
    assert "ran a sample; its results are equal to the interpreter's" in job[2]


def test_run_gives_the_numbers_of_the_simulation(job: tuple[str, Path, str], tmp_path: Path) -> None:
    name, path, _ = job
    given = ("--input", f"input={path.with_name('x.npy')}")
    status, said, errors = command("run", path, "--target", name, *given, "-o", tmp_path)
    assert status == 0, errors
    assert said.startswith("scores  float32 3x10")
    theirs = np.load(tmp_path / "scores.npy")
    target = get_target(name)
    images = np.load(path.with_name("x.npy"))
    found = agreement(simulate(load(path.with_suffix(".qir")), target, {"input": images}), {"scores": theirs})
    assert found.different == 0 or found.decibels > 120, found


def test_broken_files_are_diagnostics(job: tuple[str, Path, str], tmp_path: Path) -> None:
    """Each file of the artifact cut short, made of noise, missing, and with bytes changed: one error or a result."""
    name, path, _ = job
    parts = [p for p in path.parent.iterdir() if p.stem == path.stem and p.suffix in (path.suffix, ".bin", ".data")]
    rng = random.Random(0)

    def run(part: Path, data: bytes | None) -> int:
        for other in parts:
            shutil.copy(other, tmp_path)
        (tmp_path / part.name).unlink()
        if data is not None:
            (tmp_path / part.name).write_bytes(data)
        given = ("--input", f"input={path.with_name('x.npy')}")
        status, _, errors = command("run", tmp_path / path.name, "--target", name, *given)
        assert "Traceback" not in errors and "internal" not in errors, errors
        assert (status, errors.count("error: ")) in ((0, 0), (1, 1)), errors
        return status

    for part in parts:
        whole = part.read_bytes()
        for cut in CUTS:
            assert run(part, whole[: int(cut * len(whole))]) == 1, f"{part.name} cut to {cut}"
        assert run(part, None) == 1
        for _ in range(4):
            changed = bytearray(whole)
            for _ in range(4):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            run(part, bytes(changed))
        if part == path:
            assert run(part, rng.randbytes(len(whole))) == 1
            assert run(part, (DIGITS / "digits.npz").read_bytes()) == 1


def test_inputs_are_named_and_sized(job: tuple[str, Path, str], tmp_path: Path) -> None:
    name, path, _ = job
    np.save(tmp_path / "wrong.npy", np.zeros((3, 5), np.float32))
    for given in ((), ("--input", f"nobody={path.with_name('x.npy')}"), ("--input", f"input={tmp_path / 'wrong.npy'}")):
        status, out, errors = command("run", path, "--target", name, *given)
        assert (status, out) == (1, ""), given
        assert errors.count("error: ") == 1 and "internal" not in errors, errors
