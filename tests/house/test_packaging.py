"""A wheel, an sdist and an editable install each give the one package, with its data files and its commands.

The installs go into bare virtual environments; the libraries that qir needs are lent to them by a path file, so that
nothing is downloaded and the checkout's own installation cannot be seen.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("qir", "dialects", "lowering", "triton_kernels", "tools")
TEXT = "module {\n  func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {\n    return %x : tensor<2xf32>\n  }\n}\n"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without any of this checkout's own settings; its output, or an assertion with it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would give: the sources with their links, nothing built."""
    copy = tmp_path_factory.mktemp("checkout") / "qir"
    copy.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path) -> Path:
    """The sdist, and the wheel built from that sdist."""
    run(sys.executable, "-m", "build", "--no-isolation", "-o", checkout.parent / "dist", cwd=checkout)
    return checkout.parent / "dist"


def bare_venv(folder: Path) -> Path:
    """A virtual environment with nothing installed that finds this one's libraries, but not its path files."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    packages = run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder.parent).strip()
    (Path(packages) / "lent.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


def install(python: Path, *what: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    # The lent packages hold the checkout's own metadata: it is passed over, not removed.
    run(*pip, "--ignore-installed", "--no-build-isolation", *what, cwd=python.parent)


def names_in_sdist(dist: Path) -> set[str]:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as tar:
        return {m.name.split("/", 1)[1] for m in tar.getmembers() if "/" in m.name and m.isfile()}


def names_in_wheel(dist: Path) -> set[str]:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def sources() -> set[str]:
    """Every file that the package must hold, by its import path."""
    found = set()
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            if path.suffix in (".py", ".pyi", ".lark", ".toml") or path.name == "py.typed":
                inner = path.relative_to(ROOT).as_posix()
                found.add(inner if part == "qir" else f"qir/{inner}")
    return found


def test_wheel_and_sdist_hold_every_source_and_data_file(built: Path) -> None:
    expected = sources()
    assert "qir/py.typed" in expected
    assert any(name.endswith(".lark") for name in expected)
    assert expected <= names_in_wheel(built)
    assert expected <= names_in_sdist(built)


def test_wheel_adds_one_top_level_name(built: Path) -> None:
    tops = {name.split("/")[0] for name in names_in_wheel(built)}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"qir"}


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_installed_commands_run_from_another_folder(kind: str, built: Path, checkout: Path, tmp_path: Path) -> None:
    python = bare_venv(tmp_path / "venv")
    if kind == "editable":
        install(python, "-e", checkout)
    else:
        install(python, next(built.glob("*.whl" if kind == "wheel" else "*.tar.gz")))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "f.qir").write_text(TEXT)

    home = Path(run(python, "-c", "import qir; print(qir.__file__)", cwd=elsewhere).strip())
    assert home.is_relative_to(checkout if kind == "editable" else tmp_path / "venv")
    assert "func.func @f" in run(python.parent / "qir-opt", "f.qir", cwd=elsewhere)
    assert "onnxruntime" in run(python.parent / "qir", "targets", cwd=elsewhere)
    assert "--import-onnx" in run(python.parent / "qir-translate", "--help", cwd=elsewhere)
    assert "npu7/pyproject.toml" in run(python.parent / "qir", "new-target", "npu7", cwd=elsewhere)
