"""Artifacts on their way out: written into a folder of their own, run by the real runtime, compared, then put in place.

An exporter only writes. What it wrote is loaded by the target's runtime and run on a sample, and the results are
compared with the interpretation of the module that it was written from, the same way for all targets.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from qir.dialects.func import main_function
from qir.interpreter import Plan, as_array
from qir.interpreter.inputs import argument_name
from qir.interpreter.lookup import port_names
from qir.ir import Context, IntegerType, Operation, StringAttr, TensorType, Value, fail
from qir.ir.tensors import numpy_dtype
from qir.passes import run_pipeline
from qir.rewrite import constant_of
from qir.runtime_process import run_artifact
from qir.target import Artifact, Target

if TYPE_CHECKING:
    from qir.dialects.builtin import ModuleOp

__all__ = [
    "Agreement", "agreement", "interpret", "interpreter", "make_sample", "moved", "simulate", "staged",
    "try_artifact", "write_artifact",
]  # fmt: skip

Arrays = Mapping[str, NDArray[Any]]

AGREEMENT_DB = 20.0
"""How far runtime and interpretation must agree on the sample. Where all is integer they are equal. Where an operator
runs in float both round differently, some codes behind it are one step off, and that noise is carried on: it lies below
the noise of quantization itself. A wrong scale, zero point or axis gives less than 10 dB."""


# ---------------------------------------------------------------- the folder
@contextmanager
def staged(out: Path | None) -> Iterator[Path]:
    """A folder to write into, on the disk of `out`; it is removed at the end, so a failed job leaves nothing."""
    if out is not None and out.exists() and not out.is_dir():
        fail(str(out), f"{out} is a file", "-o takes the name of a folder")
    made = [] if out is None else [p for p in (out, *out.parents) if not p.exists()]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".qir-", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # it holds the results
                path.rmdir()


def moved(files: Sequence[Artifact], folder: Path, out: Path) -> list[Artifact]:
    """Staged files, put in their places; the first one last, so that the artifact is whole when it is there."""
    placed = []
    for file in reversed(files):
        final = out / file.path.relative_to(folder)
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file.path, final)
        placed.append(attrs.evolve(file, path=final, command=file.command.replace(str(file.path), str(final))))
    return placed[::-1]


def write_artifact(
    module: ModuleOp,
    target: Target,
    ctx: Context,
    folder: Path,
    name: str,
    *,
    sample: Arrays | None = None,
    profile: str = "",
) -> list[Artifact]:
    """The files that the target's exporter writes into `folder`, the artifact first, tried by `try_artifact`.

    The caller gives a folder that it removes if this fails.
    """
    if target.export is None:
        fail(None, f"the target '{target.name}' writes no artifact")
    first, *others = target.export(module, ctx, folder, name)
    said = try_artifact(module, target, ctx, first.path, sample, profile)
    if said:
        first = attrs.evolve(first, what=f"{first.what}: {said}")
    return [first, *others]


# ---------------------------------------------------------------- trying it
def try_artifact(
    module: ModuleOp,
    target: Target,
    ctx: Context,
    path: Path,
    sample: Arrays | None = None,
    profile: str = "",
) -> str:
    """Load and run an artifact by the target's runtime and compare with the module; what the runtime made of it.

    It runs `sample` (arrays by input name), else made-up numbers. A runtime that is not installed is a warning. Raises
    QirError where the file cannot be loaded or run and where the results disagree.
    """
    runtime = target.runtime
    if runtime is None:
        return ""
    runtime.check_profile(profile)
    if runtime.version() is None:
        ctx.warning(module.location, f"the artifact was not run: {runtime.name} is not installed", runtime.install)
        return ""
    given = make_sample(module, sample or {})
    theirs = run_artifact(target, path, given, profile)
    _check_shapes(module, runtime.name, theirs)
    found = agreement(simulate(module, target, given, profile), theirs)
    if found.decibels < AGREEMENT_DB:
        raise module.error(
            f"on a sample, {runtime.name}'s result is only {found.decibels:.1f} dB from what qir computed",
            "compare them layer by layer with qir compare, and report it with the module",
        )
    ctx.remark("analysis", module.location, f"{runtime.name} ran a sample; its results are {found}", "export")
    return runtime.account(path) if runtime.account is not None else ""


def _check_shapes(module: ModuleOp, runtime: str, results: Arrays) -> None:
    """Whether all outputs are there, each of the rank and the sizes that the module states."""
    main = main_function(module)
    values = main.return_op.operands
    for name, value in zip(port_names(main)[1], values, strict=True):
        if name not in results:
            raise module.error(
                f"the artifact that was written has no output '{name}'{_no_layer(value, main.return_op.operands)}",
                f"its outputs are {', '.join(results)}; leave '{name}' out of the model's",
            )
        shape = value.type.shape if isinstance(value.type, TensorType) else None
        found = results[name].shape
        if shape is not None and not _fits(found, shape):
            words = ", ".join("?" if size is None else str(size) for size in shape)
            raise module.error(f"{runtime} gives '{name}' in the shape {found}, the module says ({words})")


def _no_layer(value: Value, values: Sequence[Value]) -> str:
    """Why no layer of an artifact may give an output of the module, where that can be told."""
    if value.defining_op is None:
        return ", which is an input handed on"
    if constant_of(value) is not None:
        return ", which is a constant"
    return ", which is the value of another output" if sum(v is value for v in values) > 1 else ""


def _fits(found: tuple[int, ...], stated: tuple[int | None, ...]) -> bool:
    return len(found) == len(stated) and all(s is None or s == f for f, s in zip(found, stated))


def simulate(module: ModuleOp, target: Target, inputs: Arrays, profile: str = "") -> dict[str, NDArray[Any]]:
    """What the target's runtime gives for a lowered module, computed by the interpreter.

    It runs a copy to which is done what the runtime does on load, in the profile given, else in the module's own.
    """
    loaded = module.clone()
    if profile:
        loaded.attributes["qir.profile"] = StringAttr(profile)
    if target.runtime is not None and target.runtime.on_load:
        run_pipeline(loaded, target.runtime.on_load, Context(allow_unregistered=True))
    return interpret(loaded, inputs)


def interpreter(module: Operation, device: str = "cpu") -> Callable[[Arrays], dict[str, NDArray[Any]]]:
    """A module at any stage as a function of arrays by input name; it gives the results by name, as arrays."""
    plan = Plan(module, device=device)
    types = {name: value.type for name, value in zip(plan.outputs, plan.results, strict=True)}
    elements = {name: t.element for name, t in types.items() if isinstance(t, TensorType)}
    return lambda inputs: {name: as_array(value, elements.get(name)) for name, value in plan.run(inputs).items()}


def interpret(module: Operation, inputs: Arrays, device: str = "cpu") -> dict[str, NDArray[Any]]:
    """Interpret a module once; see `interpreter`."""
    return interpreter(module, device)(inputs)


# ---------------------------------------------------------------- comparing
@attrs.frozen
class Agreement:
    """How near two sets of results are: how many elements differ, of how many, and the SQNR in dB of the worst output.

    The ratio is taken of floats and of codes of up to 16 bits; wider integers are indices, whose distance says nothing.
    It is infinite where nothing of these differs.
    """

    different: int
    elements: int
    decibels: float

    def __str__(self) -> str:
        if not self.different:
            return "equal to the interpreter's"
        return f"{self.decibels:.0f} dB from the interpreter's ({self.different} of {self.elements} elements differ)"


def agreement(ours: Arrays, theirs: Arrays) -> Agreement:
    """Compare a runtime's results with the interpreter's, output by output, both of which have all of them.

    An output whose shape depends on the data, as of a non-maximum suppression, counts as different where the shapes
    are.
    """
    decibels = float("inf")
    different = elements = 0
    for name, a in ours.items():
        b = np.asarray(theirs[name])
        elements += a.size
        if a.shape != b.shape:
            different += a.size
            continue
        if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
            different += int((a != b).sum())
            continue
        wrong = (a != b) & ~((a != a) & (b != b))
        different += int(wrong.sum())
        if a.dtype.kind == "f" or (a.dtype.kind in "iu" and a.dtype.itemsize <= 2):
            signal, computed = (np.nan_to_num(v.astype(np.float64)) for v in (b, a))
            noise = float(((signal - computed) ** 2).sum())
            if noise:
                decibels = min(decibels, float(10 * np.log10(max(float((signal**2).sum()), 1e-30) / noise)))
    return Agreement(different, elements, decibels)


def make_sample(module: ModuleOp, given: Arrays) -> dict[str, NDArray[Any]]:
    """Arrays for the inputs of a module: those given where their type is the input's, else random numbers.

    Made up are normal floats, codes (8 and 16 bits) of the whole range, zeros for indices; free sizes are 1. Raises
    QirError for inputs without a rank.
    """
    main = main_function(module)
    rng = np.random.default_rng(0)
    sample = {}
    for arg in main.body.args:
        name = argument_name(arg)
        if not isinstance(arg.type, TensorType) or arg.type.shape is None:
            if name in given:
                sample[name] = given[name]
                continue
            fail(
                main.location,
                f"the artifact cannot be tried: no sample can be made up for '{name}' of {arg.type}",
                "give calibration data",
            )
        dtype = numpy_dtype(arg.type.element)
        if name in given and given[name].dtype == dtype:
            sample[name] = given[name]
            continue
        shape = [1 if size is None else size for size in arg.type.shape]
        if dtype.kind in "iu" and 8 <= 8 * dtype.itemsize <= 16 and isinstance(arg.type.element, IntegerType):
            limits = np.iinfo(dtype)
            sample[name] = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            numbers = rng.normal(size=shape) if dtype.kind == "f" else np.zeros(shape)
            sample[name] = np.asarray(numbers).astype(dtype)
    return sample
