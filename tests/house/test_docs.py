"""What the README and the guide show is what happens.

In a fenced block marked ``console`` every line that starts with ``$ `` is run, in order, in one folder that has the
checkout's examples beside it; the lines below it must be found in its output, in order, where ``…`` stands for
anything and a number with a decimal point for any such number. A block marked ``python`` is run, and a block marked
``text`` right after it is its output. A block whose mark is followed by a file's name is written to that file.

The page on new targets installs a package: it is run in a virtual environment of its own.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "guide.md"]
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"\d+\\\.\d+")  # as re.escape leaves it
LINK = re.compile(r"\]\(([^)#:\s,]+)(?:#[^)]*)?\)")


def shell(command: str, folder: Path) -> str:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def expect(shown: str, output: str, what: str) -> None:
    """Every shown line is in the output, in order; blanks count as one, … is anything."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    at = 0
    for line in shown.splitlines():
        words = " ".join(line.split())
        if words in ("", "…"):
            continue
        pattern = re.compile(NUMBER.sub(r"\\d+\\.\\d+", ".*".join(map(re.escape, words.split("…")))))
        found = next((i for i in range(at, len(lines)) if pattern.fullmatch(lines[i])), None)
        assert found is not None, f"{what}: this line is not in its output:\n{line}\n--- output:\n{output}"
        at = found + 1


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output shown for it."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> "):  # the command goes on
            found[-1] = (found[-1][0] + "\n" + line[2:], "")
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + line + "\n")
    return found


def follow(page: Path, folder: Path, shell: Callable[[str, Path], str]) -> None:
    """Do what a page shows, in `folder`, and compare."""
    (folder / "examples").symlink_to(ROOT / "examples")
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert any(kind == "console" for kind, _, _ in blocks)
    output = None
    for kind, file, body in blocks:
        if file:
            assert (folder / file).parent.is_dir(), f"{page.name} writes {file} into a folder that is not there"
            (folder / file).write_text(body)
        elif kind == "console":
            for command, shown in commands(body):
                expect(shown, shell(command, folder), f"$ {command}")
        elif kind == "python":
            (folder / "shown.py").write_text(body)
            output = shell(f"{sys.executable} shown.py", folder)
        elif kind == "text" and output is not None:
            expect(body, output, body)
        output = output if kind == "python" and not file else None


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_shown_commands_and_code_do_what_is_shown(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path, shell)


LOWERING = ("__init__.py", "rules.py", "dialect.py", "patterns.py", "kernels.py", "export.py")
"""What the engineer writes for the chip of docs/new-target.md; the rest of its package is the chip itself."""


@pytest.mark.slow
def test_the_page_on_new_targets_makes_the_example(tmp_path: Path, environment: Callable[[], Any]) -> None:
    """Followed from the skeleton on, it gives what lies in examples/tinynpu, in a virtual environment of its own."""
    own = environment()

    def shell(command: str, folder: Path) -> str:
        done = own.run(command, folder)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout + done.stderr)

    follow(ROOT / "docs" / "new-target.md", tmp_path, shell)
    example = ROOT / "examples" / "tinynpu"
    files = ["chip.md", "pyproject.toml", "test_tinynpu.py", "tinynpu/chip.py", *(f"tinynpu/{n}" for n in LOWERING)]
    for name in files:
        assert (tmp_path / "tinynpu" / name).read_text() == (example / name).read_text(), name
    assert {p.name for p in (example / "tinynpu").glob("*.py")} == {*LOWERING, "chip.py"}


def test_a_lowering_takes_150_lines() -> None:
    """All lines, blank ones and docstrings too, of the package that the page makes out of the skeleton."""
    package = ROOT / "examples" / "tinynpu" / "tinynpu"
    lines = {name: len((package / name).read_text().splitlines()) for name in LOWERING}
    assert sum(lines.values()) <= 150, lines
    assert f": {sum(lines.values())} lines" in (ROOT / "docs" / "new-target.md").read_text()


def test_the_chip_of_the_example_shares_nothing_with_its_lowering() -> None:
    tree = ast.parse((ROOT / "examples" / "tinynpu" / "tinynpu" / "chip.py").read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    names = {a.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for a in node.names}
    names |= {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert names <= {*sys.stdlib_module_names, "numpy"}


FOLDERS = ("", "docs", "benchmarks", "examples/tinynpu", "lowering/onnxruntime")


@pytest.mark.parametrize("page", sorted(p for f in FOLDERS for p in (ROOT / f).glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
