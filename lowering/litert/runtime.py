"""The real runtimes: ai-edge-litert with its three kernel sets, and TFLite Micro, chosen by profile."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qir.ir import fail

__all__ = ["RESOLVERS", "parse", "run", "schema"]

RESOLVERS = {"xnnpack": "BUILTIN", "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "reference": "BUILTIN_REF"}
ARENA = 1 << 26
"""Bytes for the tensors of TFLite Micro, which allocates nothing itself."""


def _module(name: str, install: str = "pip install 'qir[litert]'") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        fail(None, f"'{name.partition('.')[0]}' is not installed: no .tflite file can be written or run", install)


def schema() -> Any:
    """The classes of the .tflite schema, which come with the runtime."""
    return _module("ai_edge_litert.schema_py_generated")


def parse(data: bytes, where: str) -> Any:
    """The file's only subgraph as the schema's objects. The runtimes trust offsets and indices, so all are read here.

    Raises QirError for a file that is broken.
    """
    try:
        if data[4:8] != b"TFL3":
            raise ValueError("it does not bear the identifier TFL3")
        model = schema().ModelT.InitFromPackedBuf(data)
        (graph,) = model.subgraphs
        for tensor in graph.tensors:
            held, count = model.buffers[tensor.buffer].data, math.prod(int(n) for n in tensor.shape)
            if count < 0 or (held is not None and 2 * len(held) < count):
                raise ValueError(f"the tensor {tensor.name!r} has too little data")
        named = [i for op in graph.operators for i in (*op.inputs, *op.outputs)]
        codes = all(0 <= op.opcodeIndex < len(model.operatorCodes) for op in graph.operators)
        if not codes or not all(-1 <= i < len(graph.tensors) for i in (*named, *graph.inputs, *graph.outputs)):
            raise ValueError("something that it names is not there")
    except Exception as error:  # whatever reading broken offsets leads to
        fail(where, f"it is a broken .tflite file: {error or type(error).__name__}", "export the model again")
    return graph


def run(path: str | Path, inputs: Mapping[str, Any], profile: str = "") -> dict[str, Any]:
    """Outputs by name of a .tflite file on arrays by input name, in one of the target's profiles.

    A file whose batch is free holds one sample, and takes those of a batch one by one. Raises QirError for a broken
    file and for other inputs than it has; ValueError or RuntimeError where a runtime refuses it.
    """
    data = Path(path).read_bytes()
    graph = parse(data, str(path))
    tensors, names = [graph.tensors[i] for i in graph.inputs], [graph.tensors[i].name.decode() for i in graph.outputs]
    wanted = [t.name.decode() for t in tensors]
    if not set(wanted) <= set(inputs):
        fail(str(path), f"its inputs are {', '.join(wanted)}, not {', '.join(inputs) or 'none'}")
    arrays = [np.ascontiguousarray(inputs[name]) for name in wanted]
    free = bool(tensors) and all(t.shapeSignature is not None and t.shapeSignature[0] == -1 for t in tensors)
    samples = [[a[i : i + 1] for a in arrays] for i in range(min(map(len, arrays)))] if free else [arrays]
    for tensor, array in zip(tensors, samples[0]) if profile == "micro" else ():
        if (held := list(tensor.shape)) != (given := list(array.shape)):
            what = f"{tensor.name.decode()} has the sizes {', '.join(map(str, held))}, not {', '.join(map(str, given))}"
            fail(str(path), f"{what}, and TFLite Micro changes none", "give the model's free axes sizes first")
    step = _micro(data, len(names)) if profile == "micro" else _lite(data, profile or "xnnpack")
    found = zip(*map(step, samples))
    return {name: np.concatenate(parts) if len(parts) > 1 else parts[0] for name, parts in zip(names, found)}


def _lite(data: bytes, profile: str) -> Callable[[list[Any]], list[Any]]:
    lite = _module("ai_edge_litert.interpreter")
    resolver = lite.OpResolverType[RESOLVERS[profile]]
    interpreter = lite.Interpreter(model_content=data, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()

    def step(sample: list[Any]) -> list[Any]:
        details = interpreter.get_input_details()
        if any(tuple(d["shape"]) != array.shape for d, array in zip(details, sample)):
            for d, array in zip(details, sample):
                interpreter.resize_tensor_input(d["index"], array.shape)
            interpreter.allocate_tensors()
        for d, array in zip(details, sample):
            interpreter.set_tensor(d["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    return step


def _micro(data: bytes, outputs: int) -> Callable[[list[Any]], list[Any]]:
    micro = _module("tflite_micro.python.tflite_micro.runtime", "pip install 'qir[tflite-micro]'")
    interpreter = micro.Interpreter.from_bytes(data, arena_size=ARENA)

    def step(sample: list[Any]) -> list[Any]:
        for i, array in enumerate(sample):
            interpreter.set_input(array, i)
        interpreter.invoke()
        return [interpreter.get_output(i) for i in range(outputs)]

    return step
