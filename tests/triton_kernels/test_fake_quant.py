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


@pytest.mark.skipif(sys.platform != "linux", reason="Triton exists for Linux only")
def test_the_kernels_in_tritons_interpreter() -> None:
    """Every case of interpreted.py, in a process whose Triton is the interpreter from the start."""
    root = CASES.parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", str(CASES)]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    # The process must not take itself for one of xdist's workers.
    environment = {k: v for k, v in environment.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    assert " passed" in run.stdout


def test_dispatch_takes_torch_on_the_cpu() -> None:
    x = torch.randn(50, requires_grad=True)
    y = dispatch.fake(x, Scheme(storage="i8"), 0.1)
    assert torch.equal(y, fake(x, Scheme(storage="i8"), 0.1))
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and torch.equal(x.grad, torch.ones(50))
