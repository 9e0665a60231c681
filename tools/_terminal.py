"""What the commands share: streams, usage errors, diagnostics, progress bars."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import attrs

from qir.ir import Diagnostic, QirError, Severity, render
from qir.passes.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ArgumentParser", "Bars", "Streams", "Usage", "console", "count", "existing", "no_model_file", "run_tool"]


@attrs.frozen
class Streams:
    """Where a command reads and writes."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO

    def print(self, text: str = "") -> None:
        self.stdout.write(text + "\n")

    def show(self, diagnostic: Diagnostic) -> None:
        self.stderr.write(render(diagnostic) + "\n")


class Usage(Exception):
    """The command line is wrong (status 2) or asked for help (status 0)."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class ArgumentParser(argparse.ArgumentParser):
    """argparse without its own ways out: what it would print and exit with is raised as `Usage`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise Usage(f"{self.format_usage()}{self.prog}: error: {message}\n", 2)

    def print_help(self, file: Any = None) -> None:
        raise Usage(self.format_help(), 0)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise Usage(message or "", status)

    def _print_message(self, message: str, file: Any = None) -> None:
        raise Usage(message, 0)


def run_tool(
    body: Callable[[Sequence[str], Streams], int],
    argv: Sequence[str] | None,
    stdin: TextIO | None,
    stdout: TextIO | None,
    stderr: TextIO | None,
) -> int:
    """Run a command's body: 0 done, 1 the input or the job failed with a diagnostic, 2 wrong usage."""
    streams = Streams(stdin or sys.stdin, stdout or sys.stdout, stderr or sys.stderr)
    # Read when torch starts: threads that spin while they wait take the cores from each other where others work too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = body(sys.argv[1:] if argv is None else argv, streams)
        streams.stdout.flush()
        return status
    except Usage as usage:
        (streams.stderr if usage.status else streams.stdout).write(usage.text)
        return usage.status
    except QirError as error:
        for diagnostic in error.diagnostics:
            streams.show(diagnostic)
        return 1
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader has gone: `qir ... | head`
            if streams.stdout is sys.stdout:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        place = f"{error.filename}: " if error.filename else ""
        streams.stderr.write(f"{place}{Severity.ERROR.value}: {error.strerror or error}\n")
        return 1
    except MemoryError as error:
        streams.stderr.write(f"error: there is not enough memory: {error}\n")
        return 1
    except KeyboardInterrupt:
        streams.stderr.write("interrupted\n")
        return 130
    except Exception as error:
        if os.environ.get("QIR_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}"
        streams.stderr.write(f"error: internal error, please report it: {what}\n  hint: QIR_DEBUG=1 shows where\n")
        return 1


def console(stream: TextIO) -> Console:
    """A rich console on a stream; as wide as its text needs where it is no terminal."""
    from rich.console import Console

    terminal = stream.isatty()
    return Console(file=stream, highlight=False, soft_wrap=not terminal, width=None if terminal else 160)


class Bars(Progress):
    """Progress bars on a terminal, nothing elsewhere. A context manager."""

    def __init__(self, stream: TextIO) -> None:
        self.bars: Any = None
        self.open: list[Any] = []
        if stream.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self.bars = RichProgress(*columns, console=console(stream), transient=True)

    def __enter__(self) -> Bars:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def start(self, label: str, total: int | None) -> None:
        if self.bars is not None:
            self.open.append(self.bars.add_task(label, total=total))

    def step(self) -> None:
        if self.bars is not None:
            self.bars.advance(self.open[-1])

    def stop(self) -> None:
        if self.bars is not None:
            self.bars.remove_task(self.open.pop())


def existing(path: str, what: str = "a model file: .onnx or .qir") -> Path:
    """A path of a file that is there. Raises QirError, with the nearest name beside it."""
    import difflib

    from qir.ir import fail

    found = Path(path)
    if found.is_dir():
        fail(path, f"{path} is a folder", f"give {what}")
    if not found.exists():
        beside = [p.name for p in found.parent.glob(f"*{found.suffix}")] if found.parent.is_dir() else []
        near = difflib.get_close_matches(found.name, beside, 1)
        if not near and found.parent.is_dir():  # the ending itself may be misspelt
            near = difflib.get_close_matches(found.name, [p.name for p in found.parent.glob("*")], 1, 0.8)
        fail(path, f"there is no file {path}", f"did you mean {found.parent / near[0]}?" if near else None)
    return found


def no_model_file(path: str) -> None:
    """Text is not written over a model in another format. Raises QirError for the name of one."""
    from qir.ir import fail

    if Path(path).suffix == ".onnx":
        fail(path, f"{path} would get text, its name says ONNX", "give -o NAME.qir")


def count(text: str) -> int:
    """A type of arguments: a number that is not negative."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 on")
    return int(text)
