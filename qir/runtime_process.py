"""Running an artifact in its target's runtime: here, or in a process of its own where a broken file may crash it.

The process is ``python -m qir.runtime_process TARGET FILE PROFILE FOLDER``. It reads the inputs from the folder and
leaves the outputs there, or the diagnostic; if it leaves neither, the runtime has crashed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qir.ir import Diagnostic, QirError, fail
from qir.target import Runtime, Target, get_target, is_installed

__all__ = ["main", "run_artifact"]

Arrays = Mapping[str, NDArray[Any]]


def run_artifact(target: Target, path: str | Path, inputs: Arrays, profile: str = "") -> dict[str, NDArray[Any]]:
    """The outputs by name of an artifact on arrays by input name, computed by the target's runtime.

    Raises QirError, with one diagnostic, where the runtime is missing or has no such profile, and where it cannot load
    or run the file, even if it crashes on it.
    """
    path, runtime = Path(path), target.runtime
    if runtime is None:
        fail(str(path), f"there is no runtime of {target.name} that could run it")
    runtime.check_profile(profile)
    if runtime.version() is None:
        fail(str(path), f"{runtime.name} is not installed, so it cannot be run", runtime.install)
    if not path.stat().st_size:
        fail(str(path), f"{path} is empty", _again(target))
    if runtime.isolated and is_installed(target):
        return _run_apart(target, runtime, path, inputs, profile)
    return _run_here(runtime, path, inputs, profile)


def _again(target: Target) -> str:
    return f"the file is broken or cut short; write it again from its text: qir-translate --export={target.name}"


def _run_here(runtime: Runtime, path: Path, inputs: Arrays, profile: str) -> dict[str, NDArray[Any]]:
    """A binding may raise anything: what is no diagnostic yet becomes one."""
    try:
        return runtime.run(path, inputs, profile)
    except QirError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]  # C++ says where first, and the cause last
        fail(str(path), f"{runtime.name} {runtime.version()} cannot load or run it: {lines[-1].strip()}")


def _run_apart(target: Target, runtime: Runtime, path: Path, inputs: Arrays, profile: str) -> dict[str, NDArray[Any]]:
    with tempfile.TemporaryDirectory(prefix="qir-") as name:
        folder = Path(name)
        _save(folder / "inputs", inputs)
        command = [sys.executable, "-m", "qir.runtime_process", target.name, str(path), profile, name]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        failure = folder / "failure.json"
        if failure.exists():
            fail(str(path), *json.loads(failure.read_text(encoding="utf-8")))
        if done.returncode == 0:
            return _load(folder / "outputs")
        how = _ending(done.returncode)
        said = _last_line(done.stderr)
        fail(str(path), f"{runtime.name} {runtime.version()} crashed on it ({how}{said})", _again(target))


def _ending(status: int) -> str:
    """How a process ended: the name of the signal that killed it, else its status."""
    if status < 0 and -status in set(signal.Signals):
        return signal.Signals(-status).name
    return f"status {status}"


def _last_line(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""


def _save(stem: Path, arrays: Arrays) -> None:
    """Arrays as ``stem.npz``, by number, and their names as ``stem.json``: a name may be anything."""
    np.savez(stem.with_suffix(".npz"), *arrays.values())
    stem.with_suffix(".json").write_text(json.dumps(list(arrays)), encoding="utf-8")


def _load(stem: Path) -> dict[str, NDArray[Any]]:
    names = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(stem.with_suffix(".npz"), allow_pickle=False) as arrays:
        return {name: arrays[f"arr_{number}"] for number, name in enumerate(names)}


def _failure(found: Diagnostic) -> str:
    return json.dumps([found.message, found.hint])


def main(argv: Sequence[str]) -> int:
    """The process: ``TARGET FILE PROFILE FOLDER``. Returns 0; the outputs or the failure lie in the folder."""
    name, path, profile, folder = argv
    runtime = get_target(name).runtime
    assert runtime is not None
    try:
        outputs = _run_here(runtime, Path(path), _load(Path(folder) / "inputs"), profile)
        _save(Path(folder) / "outputs", outputs)
    except QirError as error:
        (Path(folder) / "failure.json").write_text(_failure(error.diagnostics[0]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
