"""``qir run``: a module or a model is interpreted, an artifact runs in its target's runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qir.ir import StringAttr, fail
from qir.target import Target, get_target, targets_for
from qir.tools._terminal import Streams, Usage, existing

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["run_command"]

Arrays = dict[str, NDArray[Any]]


def run_command(args: Namespace, streams: Streams) -> int:
    """Run a file on the inputs of the command line, print a line for each result, and write them where asked."""
    inputs = _inputs(args.input)
    if args.output and Path(args.output).exists() and not Path(args.output).is_dir():
        fail(args.output, f"{args.output} is a file", "-o takes the name of a folder")
    path = existing(args.model, "a model file: .qir, .onnx or a target's artifact")
    results = _results(path, inputs, args)
    for name, array in results.items():
        shape = "x".join(map(str, array.shape)) or "scalar"
        figures = ""
        if array.size and array.dtype.kind in "fiub":
            wide = array.astype(np.float64)
            figures = f"  min {wide.min():.6g}  max {wide.max():.6g}  mean {wide.mean():.6g}"
        streams.print(f"{name}  {array.dtype} {shape}{figures}")
    if args.output:
        _write(results, Path(args.output), streams)
    return 0


def _inputs(texts: Sequence[str]) -> Arrays:
    """``--input NAME=FILE.npy`` as arrays. Raises Usage for another form, QirError for a file that is no array."""
    inputs: Arrays = {}
    for text in texts:
        name, separator, file = text.rpartition("=")
        if not separator or not name:
            raise Usage(f"qir run: error: --input takes NAME=FILE.npy, not '{text}'\n", 2)
        if name in inputs:
            raise Usage(f"qir run: error: --input {name} is given twice\n", 2)
        try:
            array = np.load(existing(file, "an .npy file"), allow_pickle=False)
        except (ValueError, EOFError) as error:
            fail(file, f"{file} is no array: {error}", "write it with numpy.save")
        if not isinstance(array, np.ndarray):
            fail(file, f"{file} holds several arrays", "give an .npy with one")
        inputs[name] = array
    return inputs


def _results(path: Path, inputs: Arrays, args: Namespace) -> Arrays:
    target = _target(path, args.target)
    if target is not None:
        from qir.runtime_process import run_artifact

        if args.device != "cpu":
            raise Usage(f"qir run: error: {target.name}'s runtime runs {path.name} where it does; no --device\n", 2)
        return run_artifact(target, path, inputs, args.profile)
    from qir.api import load
    from qir.artifact import interpret

    module = load(path)
    if args.profile:
        runtime = get_target(str(module.attr("qir.target", ""))).runtime
        if runtime is not None:
            runtime.check_profile(args.profile)
        module.attributes["qir.profile"] = StringAttr(args.profile)
    return interpret(module, inputs, args.device)


def _target(path: Path, name: str | None) -> Target | None:
    """The target whose runtime is to run a file; None for what is interpreted: text, and ONNX unless asked otherwise.

    Raises QirError for an ending that nothing takes, and where several targets' runtimes take it.
    """
    if name is not None:
        target = get_target(name)
        endings = target.runtime.suffixes if target.runtime is not None else ()
        if not path.name.endswith(endings):
            what = f"it takes {', '.join(endings)}" if endings else "it has no runtime"
            fail(str(path), f"{target.name} cannot run {path.name}: {what}")
        return target
    if path.suffix in (".qir", ".mlir", ".onnx"):
        return None
    found = targets_for(path)
    if len(found) > 1:
        names = ", ".join(t.name for t in found)
        fail(str(path), f"several targets have a runtime for {path.name}: {names}", "say which one with --target")
    if not found and not _is_text(path):
        fail(str(path), f"{path} is no model that qir knows", "a model is .qir, .onnx or " + _endings())
    return found[0] if found else None


def _is_text(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"\0" not in stream.read(4096)


def _endings() -> str:
    from qir.target import list_targets

    runtimes = [(name, get_target(name).runtime) for name in list_targets()]
    ends = [f"{' '.join(r.suffixes)} ({name})" for name, r in runtimes if r is not None and r.suffixes != (".onnx",)]
    return f"a target's artifact: {', '.join(ends)}" if ends else "a target's artifact"


def _write(results: Arrays, folder: Path, streams: Streams) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in results.items():
        path = folder / f"{name.replace('/', '_')}.npy"
        part = path.with_name(path.name + ".part")
        with part.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
        part.replace(path)
        streams.print(f"{path}  the output '{name}'; numpy.load reads it")
