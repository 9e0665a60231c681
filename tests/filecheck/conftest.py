"""RUN/CHECK tests, in process: every ``.qir`` (and ``.mlir``, ``.test``) file here with RUN lines is a test.

A RUN line is a command: our tools, ``filecheck``, ``not`` and ``cat`` run in this process, 5 ms a test instead of 400;
anything else goes to a shell. Known are pipes (a failing stage fails the line), ``&&``, ``2>&1``, ``>``, ``2>``,
``<``, a trailing ``\\``, and ``%s`` (this file), ``%S`` (its folder), ``%t`` (a temporary path of the test's own).
``REQUIRES: name`` names peers (tests/conftest.py).
"""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SUFFIXES = {".qir", ".mlir", ".test"}
TOOLS = {"qir-opt": "qir.tools.qir_opt", "qir-translate": "qir.tools.qir_translate", "qir": "qir.tools.qir"}
_RUN = re.compile(r"^\s*(?://|#)\s*RUN:\s?(.*)$")
_REQUIRES = re.compile(r"^\s*(?://|#)\s*REQUIRES:\s*(.*)$")
_MERGE, _ERROR = "\0merge", "\0error"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix in SUFFIXES and any(map(_RUN.match, file_path.read_text(encoding="utf-8").splitlines())):
        return CheckFile.from_parent(parent, path=file_path)
    return None


class CheckFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        yield CheckTest.from_parent(self, name="run")


class CheckTest(pytest.Item):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for line in self.path.read_text(encoding="utf-8").splitlines():
            found = _REQUIRES.match(line)
            for name in re.split(r"[,\s]+", found[1].strip()) if found else ():
                self.add_marker(pytest.mark.peer(name))

    def runtest(self) -> None:
        factory = self.config._tmp_path_factory  # type: ignore[attr-defined]
        temporary = factory.mktemp(self.path.stem, numbered=True) / "t"
        for command in commands(self.path):
            for part in command.split(" && "):
                status, log = run_line(substitute(part, self.path, temporary))
                if status != 0:
                    raise CheckFailure(part, status, log)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, CheckFailure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, str(self.path.name)


class CheckFailure(Exception):
    def __init__(self, command: str, status: int, log: str) -> None:
        super().__init__(f"RUN: {command}\nexit status {status}\n{log}")


def commands(path: Path) -> list[str]:
    """The RUN lines of a file, continued ones joined."""
    found: list[str] = []
    open_ = False
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _RUN.match(line)
        if match is None:
            continue
        text = match[1].rstrip()
        continued = text.endswith("\\")
        text = text.removesuffix("\\").rstrip()
        found = [*found[:-1], f"{found[-1]} {text}"] if open_ else [*found, text]
        open_ = continued
    return found


def substitute(command: str, path: Path, temporary: Path) -> str:
    values = {"%s": path, "%S": path.parent, "%t": temporary}
    return re.sub(r"%[sSt](?![A-Za-z0-9_])", lambda m: shlex.quote(str(values[m[0]])), command)


def run_line(command: str) -> tuple[int, str]:
    """Run one pipeline. Its status is the first that is not 0; the log holds what went to standard error, and the
    output."""
    marked = command.replace("2>&1", f" {_MERGE} ").replace("2>", f" {_ERROR} ")
    lexer = shlex.shlex(marked, posix=True, punctuation_chars="|<>;")
    lexer.whitespace_split, lexer.commenters = True, ""
    lexer.wordchars += "\0"
    words = list(lexer)
    stages: list[list[str]] = [[]]
    for word in words:
        if word == "|":
            stages.append([])
        else:
            stages[-1].append(word)
    if any(not stage or not in_process(stage) for stage in stages) or ";" in words:
        return run_shell(command)
    text, status, log = "", 0, []
    for stage in stages:
        text, code, errors = run_stage(stage, text)
        log.append(errors)
        status = status or code
    return status, "".join(log) + (text if status else "")


def in_process(stage: list[str]) -> bool:
    name = stage[1] if stage[0] == "not" and len(stage) > 1 else stage[0]
    return name in TOOLS or name.lower() in ("filecheck", "cat")


def run_shell(command: str) -> tuple[int, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("FileCheck", "filecheck")],
        capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def run_stage(stage: list[str], text: str) -> tuple[str, int, str]:
    """Run one command of a pipeline on `text`: what it prints, its status, what it says on standard error."""
    inverted = stage[0] == "not"
    words = stage[1:] if inverted else stage
    files: dict[str, str] = {}
    arguments: list[str] = []
    merged = False
    pending = ""
    for word in words:
        if pending:
            files[pending], pending = word, ""
        elif word in (">", "<", _ERROR):
            pending = word
        elif word == _MERGE:
            merged = True
        else:
            arguments.append(word)
    if "<" in files:
        text = Path(files["<"]).read_text(encoding="utf-8")
    out = io.StringIO()
    err = out if merged else io.StringIO()
    code = run_tool(arguments, io.StringIO(text), out, err)
    if inverted:
        code = 0 if code else 1
    printed, said = out.getvalue(), "" if merged else err.getvalue()
    if ">" in files:
        Path(files[">"]).write_text(printed, encoding="utf-8")
        printed = ""
    if _ERROR in files:
        Path(files[_ERROR]).write_text(said, encoding="utf-8")
        said = ""
    return printed, code, said


def run_tool(arguments: list[str], stdin: io.StringIO, stdout: io.StringIO, stderr: io.StringIO) -> int:
    name, *rest = arguments
    if name in TOOLS:
        return int(importlib.import_module(TOOLS[name]).main(rest, stdin, stdout, stderr))
    if name == "cat":
        stdout.write("".join(Path(p).read_text(encoding="utf-8") for p in rest) or stdin.read())
        return 0
    return run_filecheck(rest, stdin.read(), stderr)


def run_filecheck(arguments: list[str], text: str, stderr: io.StringIO) -> int:
    from filecheck.finput import FInput
    from filecheck.matcher import Matcher
    from filecheck.options import parse_argv_options
    from filecheck.parser import Parser

    options = parse_argv_options(["filecheck", *arguments])
    if options.input_file != "-":
        text = Path(options.input_file).read_text(encoding="utf-8")
    matcher = Matcher(options, FInput("<stdin>", FInput.canonicalize_line_ends(text)), Parser.from_opts(options))
    matcher.stderr = stderr
    status = matcher.run()
    if status:
        stderr.write(f"--- the input was:\n{text}")
    return status


def pytest_configure(config: pytest.Config) -> None:
    """Passes that only these tests use: ``toy-fail`` fails, ``toy-crash`` has a bug."""
    import attrs

    from qir.passes import Pass, option, register_pass

    @register_pass
    @attrs.frozen
    class ToyFail(Pass):
        """Fail with a message, and the number of operations in the functions."""

        name = "toy-fail"
        message: str = option("it failed", "what to say")

        def run(self, module: Any, ctx: Any) -> bool:
            count = sum(op.parent_op is not None and op.parent_op.name == "func.func" for op in module.walk())
            raise module.error(f"{self.message}: {count} operations") from None

    @register_pass
    @attrs.frozen
    class ToyCrash(Pass):
        """Raise what no pass should."""

        name = "toy-crash"

        def run(self, module: Any, ctx: Any) -> bool:
            raise KeyError("an index that was lost")
