"""What every committed file keeps to."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = {".py", ".pyi", ".md", ".toml", ".txt", ".lark", ".qir", ".yml", ".cfg", ".json", ""}


def committed() -> list[Path]:
    """The files that git knows or would add; outside a checkout, every file of the source folders."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == 0 and done.stdout:
        paths = [ROOT / line for line in done.stdout.splitlines()]
    else:
        tops = ("qir", "dialects", "lowering", "triton_kernels", "tools", "tests", "docs", "examples", "benchmarks")
        paths = [p for top in tops for p in (ROOT / top).rglob("*")]
    return [p for p in paths if p.is_file() and not p.is_symlink() and p.suffix in TEXT]


FILES = committed()


def test_no_path_or_host_of_one_machine() -> None:
    """A path or index of the machine that a file was written on means nothing elsewhere."""
    words = ["/" + "work/", "/" + "root/", "/" + "opt/py", "/" + "opt/wheels", "pypi" + ".org", "PIP_" + "FIND_LINKS"]
    pattern = re.compile("|".join(map(re.escape, words)))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in FILES
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_nothing_is_left_for_later() -> None:
    """No markers of unfinished work, no tests that are passed over."""
    words = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "mark.skip", "mark.x" + "fail", "pytest.skip", "pytest.x" + "fail",
             "importor" + "skip"]  # fmt: skip
    pattern = re.compile("|".join(rf"(?<![\w]){re.escape(w)}\b" for w in words))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in FILES
        if path.suffix in (".py", ".pyi", ".md", ".lark") and path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ["qir", "dialects", "lowering", "triton_kernels", "tools", "tests", "examples"])
def test_sources_are_python_3_10(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        ast.parse(path.read_text(), str(path), feature_version=(3, 10))


def test_every_module_says_what_it_is() -> None:
    bare = []
    for folder in ("qir", "dialects", "lowering", "triton_kernels", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None:
                bare.append(str(path.relative_to(ROOT)))
    assert not bare, "\n".join(bare)


def test_wheel_version_is_the_package_version() -> None:
    import qir

    assert f'version = "{qir.__version__}"' in (ROOT / "pyproject.toml").read_text()
