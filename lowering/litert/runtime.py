"""The real runtimes: ai-edge-litert with its three kernel sets, and TFLite Micro, chosen by profile.

Both are optional packages, imported at the first use; without them a diagnostic says how to install them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qir.ir import fail

__all__ = ["check", "load", "run", "schema", "version"]

RESOLVERS = {"xnnpack": "BUILTIN", "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
MICRO = "pip install --no-deps tflite-micro pyyaml bitarray pillow"


def _module(name: str, install: str = "pip install ai-edge-litert") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        fail(
            None,
            f"'{name.partition('.')[0]}' is not installed, so .tflite files can be neither written nor run",
            install,
        )


def schema() -> Any:
    """The classes of the .tflite schema, which come with the runtime."""
    return _module("ai_edge_litert.schema_py_generated")


def version() -> str | None:
    """The installed version, or None."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("ai-edge-litert")
    except PackageNotFoundError:
        return None


def parse(data: bytes, where: str) -> Any:
    """The file as the schema's objects, read whole: the runtimes trust its offsets and indices. Raises QirError."""
    if data[4:8] != b"TFL3":
        fail(where, "it is no .tflite file: it does not bear the identifier TFL3")
    try:
        model = schema().ModelT.InitFromPackedBuf(data)
        (graph,) = model.subgraphs
        codes, count = len(model.operatorCodes), len(graph.tensors)
        for tensor in graph.tensors:
            held = model.buffers[tensor.buffer].data
            if held is not None and len(held) * 2 < math.prod(max(0, int(n)) for n in tensor.shape):
                raise ValueError(f"the tensor {tensor.name!r} has too little data")
        for op in graph.operators:
            indices = [*op.inputs, *op.outputs]
            if not 0 <= op.opcodeIndex < codes or not all(-1 <= i < count for i in indices):
                raise ValueError("an operator names a tensor or a code that is not there")
        if not all(0 <= i < count for i in (*graph.inputs, *graph.outputs)):
            raise ValueError("an input or output is no tensor")
    except Exception as error:  # whatever reading broken offsets leads to
        fail(where, f"it is a broken .tflite file: {error or type(error).__name__}", "export the model again")
    return model


def load(data: bytes, where: str, profile: str = "") -> Any:
    """An Interpreter of ai-edge-litert with tensors allocated. Raises QirError where it does not load."""
    lite = _module("ai_edge_litert.interpreter")
    try:
        resolver = lite.OpResolverType[RESOLVERS[profile or "xnnpack"]]
        found = lite.Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=1)
        found.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        fail(where, f"ai-edge-litert {version()} cannot load it: {str(error).strip().splitlines()[0]}")
    return found


def check(data: bytes, where: str) -> None:
    """Load what is about to be written, where the runtime is there. Raises QirError."""
    parse(data, where)
    load(data, where)


def run(path: str | Path, inputs: Mapping[str, Any], profile: str = "") -> dict[str, Any]:
    """Outputs by name of a .tflite file on arrays by input name, in one of the target's profiles.

    A file made for one sample runs the samples of a batch one by one. Raises QirError for a file that is broken or does
    not run, and for an unknown profile.
    """
    if profile not in ("", "micro", *RESOLVERS):
        fail(str(path), f"there is no profile '{profile}'", f"they are {', '.join((*RESOLVERS, 'micro'))}")
    data = Path(path).read_bytes()
    graph = parse(data, str(path)).subgraphs[0]
    tensors = [graph.tensors[i] for i in graph.inputs]
    named = [(t, np.asarray(inputs[t.name.decode()])) for t in tensors]
    sample = all(t.shapeSignature is not None and t.shapeSignature[0] == -1 for t, _ in named)
    batch = {len(array) for _, array in named} if sample else {1}
    feeds = [[array[i : i + 1] if sample else array for _, array in named] for i in range(min(batch))]
    names = [graph.tensors[i].name.decode() for i in graph.outputs]
    step = _micro(data, str(path), len(names)) if profile == "micro" else _lite(load(data, str(path), profile))
    try:
        found = [step(feed) for feed in feeds]
    except (ValueError, RuntimeError) as error:
        fail(str(path), f"the runtime cannot run it: {str(error).strip().splitlines()[0]}")
    return {name: np.concatenate(parts) if len(parts) > 1 else parts[0] for name, parts in zip(names, zip(*found))}


def _lite(interpreter: Any) -> Any:
    def step(feed: list[Any]) -> list[Any]:
        details = interpreter.get_input_details()
        if any(tuple(d["shape"]) != array.shape for d, array in zip(details, feed)):
            for d, array in zip(details, feed):
                interpreter.resize_tensor_input(d["index"], array.shape)
            interpreter.allocate_tensors()
        for d, array in zip(details, feed):
            interpreter.set_tensor(d["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    return step


def _micro(data: bytes, where: str, outputs: int) -> Any:
    micro = _module("tflite_micro.python.tflite_micro.runtime", MICRO)
    try:
        interpreter = micro.Interpreter.from_bytes(data, arena_size=1 << 26)
    except (ValueError, RuntimeError) as error:
        fail(where, f"TFLite Micro cannot load it: {str(error).strip().splitlines()[0]}")

    def step(feed: list[Any]) -> list[Any]:
        for i, array in enumerate(feed):
            interpreter.set_input(array, i)
        interpreter.invoke()
        return [interpreter.get_output(i) for i in range(outputs)]

    return step
