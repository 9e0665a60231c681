"""Fake quantization by Triton: the kernels in Triton's interpreter, and the choice between Triton and torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from qir.numerics import Scheme, fake
from qir.triton_kernels import dispatch

CASES = Path(__file__).parent / "interpreted.py"


ROOT = CASES.parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="Triton exists for Linux only")


def run(arguments: list[str], **environment: str) -> str:
    """What Python prints with these arguments, in a process that does not take itself for one of pytest-xdist's."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TRITON_"))}
    environment = {**inherited, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


@linux
def test_the_kernels_in_tritons_interpreter() -> None:
    """Every case of interpreted.py, in a process whose Triton is the interpreter from the start."""
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore"]
    assert " passed" in run(["-m", "pytest", *options, str(CASES)], TRITON_INTERPRET="1")


@linux
def test_the_kernels_compile_for_a_gpu_with_ieee_division(tmp_path: Path) -> None:
    """For compute capability 9.0: forward and backward, three schemes, one of them for three tensor types."""
    printed = run([str(CASES.with_name("compiled.py"))], TRITON_CACHE_DIR=str(tmp_path))
    assert printed.count("compiled ") == 10


def test_dispatch_takes_torch_on_the_cpu() -> None:
    x = torch.randn(50, requires_grad=True)
    y = dispatch.fake(x, Scheme(storage="i8"), 0.1)
    assert torch.equal(y, fake(x, Scheme(storage="i8"), 0.1))
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and torch.equal(x.grad, torch.ones(50))
