"""Progress bars: on a terminal only, and only on the error stream."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from qir.ir import Context
from qir.passes.progress import Progress, track
from qir.tools.qir import main


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Recorder(Progress):
    def __init__(self) -> None:
        self.events: list[object] = []

    def start(self, label: str, total: int | None) -> None:
        self.events.append((label, total))

    def step(self) -> None:
        self.events.append("step")

    def stop(self) -> None:
        self.events.append("stop")


def test_track_tells_about_each_item() -> None:
    ctx = Context()
    assert list(track(ctx, [1, 2], "work")) == [1, 2]
    recorder = ctx.extensions[Progress] = Recorder()
    assert list(track(ctx, [1, 2], "work")) == [1, 2]
    assert recorder.events == [("work", 2), "step", "step", "stop"]


def test_a_loop_that_fails_closes_its_bar() -> None:
    ctx = Context()
    recorder = ctx.extensions[Progress] = Recorder()
    with pytest.raises(ZeroDivisionError):
        for item in track(ctx, iter([1, 0]), "work"):
            _ = 1 // item
    assert recorder.events[0] == ("work", None)
    assert recorder.events[-1] == "stop"


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_bars_are_drawn_on_terminals(stream: type[io.StringIO], repo: Path, tmp_path: Path) -> None:
    digits = np.load(repo / "examples" / "digits" / "digits.npz")["train_x"][:16, None].astype(np.float32) / 16
    np.savez(tmp_path / "c.npz", input=digits)
    out, errors = io.StringIO(), stream()
    argv = ["quantize", repo / "examples" / "digits" / "digits.onnx", "--target", "onnxruntime"]
    argv += ["--data", tmp_path / "c.npz", "-o", tmp_path / "out"]
    assert main([str(a) for a in argv], io.StringIO(), out, errors) == 0
    assert ("calibrate" in errors.getvalue()) == (stream is Terminal)
    assert "\x1b" not in out.getvalue()
