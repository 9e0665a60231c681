"""What the README and the guide show is what happens.

In a fenced block marked ``console`` every line that starts with ``$ `` is run, in order, in one folder that has the
checkout's examples beside it; the lines below it must be found in its output, in order, where ``…`` stands for
anything and a number with a decimal point for any such number. A block marked ``python`` is run, and a block marked
``text`` right after it is its output.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "guide.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
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


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_shown_commands_and_code_do_what_is_shown(page: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert any(kind == "console" for kind, _ in blocks)
    output = None
    for kind, body in blocks:
        if kind == "console":
            for command, shown in commands(body):
                expect(shown, shell(command, tmp_path), f"$ {command}")
        elif kind == "python":
            (tmp_path / "shown.py").write_text(body)
            output = shell(f"{sys.executable} shown.py", tmp_path)
        elif kind == "text" and output is not None:
            expect(body, output, body)
        output = output if kind == "python" else None


FOLDERS = ("", "docs", "benchmarks", "lowering/onnxruntime")


@pytest.mark.parametrize("page", sorted(p for f in FOLDERS for p in (ROOT / f).glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
