"""Every stage of a job as text: a fixed point in both forms, carried by mlir-opt, and as good to go on from as memory.

The job of an example of the repository, and those of the zoo where it is.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import qir
from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp
from qir.frontends.onnx import import_onnx
from qir.ir import Context, IntegerType, TensorType, difference
from qir.ir.tensors import numpy_dtype
from qir.passes import PassManager, parse_pipeline
from qir.passes.base import format_value
from qir.target import get_target
from qir.text import parse_module, print_module

from .corpus import zoo_models

STAGES = ("annotate", "calibrate", "materialise", "lower-to-onnxruntime", "onnxruntime-fuse")
FREE = 2
"""What a free size is here: the stages are tried, not the accuracy."""


def job(name: str, folder: Path, zoo: Path | None) -> tuple[ModuleOp, list[PassManager]]:
    """A float module, and the passes of its job in parts: after each but the last stands a stage."""
    if zoo is None:
        module = qir.import_onnx(Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx")
    else:
        module = import_onnx(dict(zoo_models(zoo))[name], Context())
    data = folder / "data.npz"
    np.savez(data, **samples(module))
    text = f"{get_target('onnxruntime').pipeline},onnxruntime-fuse".replace("{data}", format_value(str(data)))
    parts: list[PassManager] = []
    held: list[Any] = []
    for item in parse_pipeline(text).root.items:
        held.append(item)
        if getattr(item, "name", "") in STAGES:
            parts.append(PassManager(held))
            held = []
    return module, parts if not held else [*parts, PassManager(held)]


def samples(module: ModuleOp) -> dict[str, Any]:
    """Inputs of the right shapes and types; indices are small."""
    rng = np.random.default_rng(0)
    func = next(op for op in module.body if isinstance(op, FuncOp))
    found = {}
    for arg in func.body.args:
        assert isinstance(arg.type, TensorType) and arg.type.shape is not None and arg.name is not None
        shape = [FREE if size is None else size for size in arg.type.shape]
        dtype = numpy_dtype(arg.type.element)
        if isinstance(arg.type.element, IntegerType):
            found[arg.name] = rng.integers(0, 2, shape).astype(dtype)
        else:
            found[arg.name] = rng.standard_normal(shape).astype(dtype)
    return found


def check_text(module: ModuleOp, where: str) -> ModuleOp:
    """Print, parse, print, in both forms. Returns what was parsed from the pretty form."""
    again = module
    for generic in (True, False):
        text = print_module(module, generic=generic)
        again = parse_module(text, Context(), where)
        assert difference(module, again, names=True, locations=not generic) is None, (where, generic)
        assert print_module(again, generic=generic) == text, (where, generic)
    return again


def check_mlir(module: ModuleOp, where: str, mlir_opt: Path) -> None:
    """mlir-opt reads the generic form, and what it prints is the same module."""
    text = print_module(module, generic=True)
    flags = ["--allow-unregistered-dialect", "--mlir-print-op-generic"]
    env = {**os.environ, "LC_ALL": "C.UTF-8"}
    run = subprocess.run([mlir_opt, *flags], input=text, capture_output=True, text=True, env=env, check=False)
    assert run.returncode == 0, (where, run.stderr[:2000])
    assert print_module(parse_module(run.stdout, Context(), where), generic=True) == text, where


def stages(name: str, folder: Path, zoo: Path | None) -> list[tuple[str, ModuleOp]]:
    """The uninterrupted job's module at every stage, after one that goes on from the text came to the same."""
    module, parts = job(name, folder, zoo)
    ctx, other = Context(), Context()
    continued, found = module.clone(), []
    for part in parts:
        where = f"{name} after {list(part.passes)[-1].name}"
        part.run(module, ctx)
        part.run(continued, other)
        assert difference(module, continued, names=True) is None, where
        continued = check_text(continued, where)
        found.append((where, module.clone()))
    assert print_module(module) == print_module(continued)
    return found


def test_stages_of_the_example(tmp_path: Path) -> None:
    found = stages("digits", tmp_path, None)
    assert len(found) == len(STAGES), found


def test_mlir_carries_the_stages_of_the_example(tmp_path: Path, mlir_opt: Path) -> None:
    for where, module in stages("digits", tmp_path, None):
        check_mlir(module, where, mlir_opt)


def test_stages_of_the_zoo(zoo: Path, tmp_path: Path) -> None:
    for name, _ in zoo_models(zoo):
        assert len(stages(name, tmp_path, zoo)) >= len(STAGES), name


def test_mlir_carries_the_stages_of_the_zoo(zoo: Path, tmp_path: Path, mlir_opt: Path) -> None:
    for name, _ in zoo_models(zoo):
        for where, module in stages(name, tmp_path, zoo):
            check_mlir(module, where, mlir_opt)
