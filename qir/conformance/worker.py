"""Artifacts run by the target's runtime in one process of their own, which may crash."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qir.conformance.text import Broken
from qir.ir import QirError
from qir.target import Target, get_target, is_installed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Worker"]


class Worker:
    """Runs artifacts for a target, hundreds in one process; where the runtime has crashed, the next gets a new one.

    A target that is registered in this process only, or whose runtime says that it needs no isolation, runs here. A
    context manager.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.apart = target.runtime is not None and target.runtime.isolated and is_installed(target)
        self.process: Any = None
        self.pipe: Connection | None = None

    def run(self, path: Path, inputs: Mapping[str, NDArray[Any]], profile: str) -> dict[str, NDArray[Any]]:
        """The outputs of an artifact by name. Raises Broken where the runtime cannot load or run it, or crashes."""
        if not self.apart:
            answer = _answer(self.target, path, inputs, profile)
        else:
            if self.pipe is None:
                self._start()
            assert self.pipe is not None
            try:
                self.pipe.send((path, dict(inputs), profile))
                answer = self.pipe.recv()
            except (EOFError, ConnectionError):
                code = self._stop()
                raise Broken(f"the runtime crashed (status {code})") from None
        if isinstance(answer, str):
            raise Broken(f"the runtime cannot run it: {answer}".replace(f"{path.parent}/", ""))
        return answer

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.target.name, other), daemon=True)
        self.process.start()
        other.close()

    def _stop(self) -> int | None:
        """End the process; its exit status."""
        if self.pipe is None:
            return None
        self.pipe.close()
        self.process.join()
        self.pipe = None
        status: int = self.process.exitcode
        return status

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()


def _serve(name: str, pipe: Connection) -> None:
    """The process: an answer to each request, until the other end is closed."""
    target = get_target(name)
    with tempfile.TemporaryFile("w+b") as log:  # what libraries print goes with the error that it explains
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        while True:
            try:
                request = pipe.recv()
            except EOFError:
                return
            start = log.seek(0, os.SEEK_END)
            answer = _answer(target, *request)
            log.seek(start)
            said = log.read().decode(errors="replace").strip().splitlines()
            pipe.send(f"{answer} ({said[-1]})" if isinstance(answer, str) and said else answer)


def _answer(
    target: Target, path: Path, inputs: Mapping[str, NDArray[Any]], profile: str
) -> dict[str, NDArray[Any]] | str:
    """The outputs, or in words why there are none: a binding may raise anything."""
    assert target.runtime is not None
    try:
        return target.runtime.run(path, inputs, profile)
    except QirError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
