"""The public functions of ``qir``: thin, typed, one job each. They are re-exported from the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qir.job import QuantizeResult
from qir.job import quantize as _quantize

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from qir.dialects.builtin import ModuleOp
    from qir.ir import Context, Operation
    from qir.target import Artifact, Target

__all__ = ["QuantizeResult", "export", "import_onnx", "load", "parse", "print", "quantize", "run", "run_pipeline"]


def _context(ctx: Context | None) -> Context:
    if ctx is not None:
        return ctx
    from qir.ir import Context

    return Context(allow_unregistered=True)


def import_onnx(model: str | Path | onnx.ModelProto, ctx: Context | None = None) -> ModuleOp:
    """An ONNX model (a file or a ModelProto) as a module. Raises QirError for a model that is broken."""
    from qir.frontends.onnx import import_onnx as load_model

    return load_model(model, _context(ctx))


def parse(text: str, ctx: Context | None = None, filename: str = "-") -> ModuleOp:
    """A module from its text, in either form. Raises QirError with the place of each mistake."""
    from qir.text import parse_module

    return parse_module(text, _context(ctx), filename)


def load(path: str | Path, ctx: Context | None = None) -> ModuleOp:
    """A module from a file: ``.onnx`` is imported, anything else is parsed as text."""
    from qir.job import load_model

    return load_model(path, _context(ctx))


def print(module: Operation, *, generic: bool = False, debuginfo: bool = False, elide: int | None = None) -> str:
    """The text of a module. `generic` is the form that mlir-opt reads too; `elide` leaves out longer constants."""
    from qir.text import print_module

    return print_module(module, generic=generic, debuginfo=debuginfo, elide=elide)


def run_pipeline(module: ModuleOp, pipeline: str, ctx: Context | None = None) -> ModuleOp:
    """Run a pipeline string (``canonicalize,annotate{target=onnxruntime}``) on a module, in place; returns it."""
    from qir.passes import run_pipeline as run_passes

    run_passes(module, pipeline, _context(ctx))
    return module


def run(
    module: Operation | str | Path, inputs: Mapping[str, Any], device: str = "cpu"
) -> dict[str, NDArray[np.generic]]:
    """Interpret a module at any stage (or a file of one) on arrays by input name; results by name, as arrays."""
    from qir.artifact import interpret

    return interpret(load(module) if isinstance(module, (str, Path)) else module, inputs, device)


def export(
    module: ModuleOp, path: str | Path, target: str | Target = "onnx", ctx: Context | None = None
) -> Sequence[Artifact]:
    """Write a module as a target's artifact, or as plain ONNX; gives the files written, the artifact first."""
    from qir.job import export_module

    return export_module(module, Path(path), target, _context(ctx))


def quantize(
    model: str | Path | ModuleOp,
    target: str,
    data: str | Path | None = None,
    out: str | Path | None = None,
    *,
    method: str | None = None,
    only: Sequence[str] = (),
    exclude: Sequence[str] = (),
    format: str | None = None,
    mode: str | None = None,
    profile: str | None = None,
    io: str | None = None,
    channels_last: bool = False,
    device: str | None = None,
    seed: int | None = None,
    pipeline: str | None = None,
    evaluate: str | Callable[..., Any] | None = None,
    unchecked: bool = False,
    strict: bool = False,
    ctx: Context | None = None,
) -> QuantizeResult:
    """Quantize a model for a target: the whole job of ``qir quantize``.

    `data` is what ``--data`` takes (an ``.npz``, a folder, ``module:function``), `out` the folder for the artifact, the
    final module, the pipeline and the report (None: nothing is written). The other options are those of the command.
    Raises QirError.
    """
    return _quantize(
        model,
        target,
        None if data is None else str(data),
        None if out is None else Path(out),
        options={
            "method": method, "only": tuple(only), "exclude": tuple(exclude), "format": format, "mode": mode,
            "profile": profile, "io": io, "channels_last": channels_last or None, "device": device, "seed": seed,
        },
        pipeline=pipeline,
        evaluate=evaluate,
        unchecked=unchecked,
        strict=strict,
        ctx=_context(ctx),
    )  # fmt: skip
