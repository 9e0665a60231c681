"""Any artifact, qir's or a vendor's, in its runtime: opened once, run on arrays, its operators counted.

Models with one image as input and one output; arrays are float32, ``[1, C, H, W]``, whatever the artifact's layout and
element type are: a conversion at its edge is done here, and is no part of `Opened.step`, the call that is timed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PACKAGES", "RUNTIMES", "SUFFIXES", "Opened", "size_of"]

SUFFIXES = {
    "onnxruntime": (".onnx",),
    "litert": (".tflite",),
    "ncnn": (".param", ".bin"),
    "openvino": (".xml", ".bin"),
}
"""The files of an artifact, the one that is named first."""
PACKAGES = {"onnxruntime": "onnxruntime", "litert": "ai-edge-litert", "ncnn": "ncnn", "openvino": "openvino"}


def size_of(runtime: str, path: Path) -> int:
    """Bytes of the artifact whose first file is `path`."""
    return sum(path.with_suffix(suffix).stat().st_size for suffix in SUFFIXES[runtime])


class Opened:
    """An artifact that is loaded. `step` runs it once on the input of the last `feed`; `fetch` gives that result."""

    def feed(self, x: np.ndarray) -> None:
        raise NotImplementedError

    def step(self) -> None:
        raise NotImplementedError

    def fetch(self) -> np.ndarray:
        raise NotImplementedError

    def operators(self) -> Counter[str]:
        """How often each operator runs, with its element type where the runtime tells it."""
        raise NotImplementedError

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The outputs on a batch, run one by one."""
        results = []
        for sample in x:
            self.feed(sample[None])
            self.step()
            results.append(self.fetch())
        return np.concatenate(results)


class OnnxRuntime(Opened):
    """One session; its idle threads do not spin, for other artifacts are measured in the same process."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.path = path
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def feed(self, x: np.ndarray) -> None:
        self.inputs = {self.session.get_inputs()[0].name: x}

    def step(self) -> None:
        self.outputs = self.session.run(None, self.inputs)

    def fetch(self) -> np.ndarray:
        return self.outputs[0]

    def operators(self) -> Counter[str]:
        from qir.lowering.onnxruntime.runtime import kernels_of

        return Counter(kernels_of(self.path).counts)


class LiteRT(Opened):
    """The default resolver: XNNPACK for what it takes, the builtin kernels for the rest."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=threads)
        (self.source,) = self.interpreter.get_input_details()
        self.target = self.interpreter.get_output_details()[0]
        self.interpreter.allocate_tensors()

    def feed(self, x: np.ndarray) -> None:
        if tuple(self.source["shape"]) != x.shape:
            x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        scale, zero = self.source["quantization"]
        kind = self.source["dtype"]
        if scale:
            limits = np.iinfo(kind)
            x = np.clip(np.rint(x / np.float32(scale)) + zero, limits.min, limits.max)
        self.interpreter.set_tensor(self.source["index"], x.astype(kind))

    def step(self) -> None:
        self.interpreter.invoke()

    def fetch(self) -> np.ndarray:
        y = self.interpreter.get_tensor(self.target["index"])
        scale, zero = self.target["quantization"]
        if scale:
            y = (y.astype(np.float32) - zero) * np.float32(scale)
        return np.moveaxis(y, -1, 1) if y.ndim == 4 else y

    def operators(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for op in self.interpreter._get_ops_details():  # the only list of operators that the package offers
            result = self.interpreter._get_tensor_details(op["outputs"][0], 0)
            counts[f"{op['op_name']} {np.dtype(result['dtype']).name}"] += 1
        return counts


class Ncnn(Opened):
    """Default options but for the number of threads. The keys 8 and 18 of some layers say that they run on int8."""

    TERM_8 = ("Convolution", "ConvolutionDepthWise", "InnerProduct", "LSTM", "GRU", "RNN")
    TERM_18 = ("Gemm", "MultiHeadAttention", "SDPA", "Embed")

    def __init__(self, path: Path, threads: int) -> None:
        import ncnn

        self.ncnn, self.path = ncnn, path
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        if self.net.load_param(str(path)) or self.net.load_model(str(path.with_suffix(".bin"))):
            raise RuntimeError(f"ncnn cannot load {path}")
        (self.source,), (self.target, *_) = self.net.input_names(), self.net.output_names()

    def feed(self, x: np.ndarray) -> None:
        self.array = np.ascontiguousarray(x[0])  # a Mat neither copies nor keeps it
        self.mat = self.ncnn.Mat(self.array)

    def step(self) -> None:
        extractor = self.net.create_extractor()
        extractor.input(self.source, self.mat)
        status, self.output = extractor.extract(self.target)
        if status:
            raise RuntimeError(f"ncnn cannot run {self.path}")

    def fetch(self) -> np.ndarray:
        return np.array(self.output)[None].copy()

    def operators(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for line in self.path.read_text().splitlines()[2:]:
            kind = line.split()[0]
            found = re.search(r"\s18=(\d+)" if kind in self.TERM_18 else r"\s8=(\d+)", line)
            term = int(found[1]) if found and kind in (*self.TERM_8, *self.TERM_18) else 0
            counts[kind + (" int8 to int8" if term > 100 and kind in self.TERM_8 else " int8" if term else "")] += 1
        return counts


class OpenVINO(Opened):
    """The CPU plugin, floats in float32 (bfloat16, a default on some CPUs, would change float parts)."""

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(str(path))
        shape = model.input().get_partial_shape()
        if shape.is_dynamic:
            model.reshape([1, *(int(d.get_length()) for d in list(shape)[1:])])
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.compiled = core.compile_model(model, "CPU", options)
        self.request = self.compiled.create_infer_request()
        self.kind = self.compiled.input().get_element_type().to_dtype()

    def feed(self, x: np.ndarray) -> None:
        self.request.get_input_tensor().data[:] = x.astype(self.kind)

    def step(self) -> None:
        self.request.infer()

    def fetch(self) -> np.ndarray:
        return self.request.get_output_tensor(0).data.copy()

    def operators(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for node in self.compiled.get_runtime_model().get_ops():
            said = {key: node.rt_info[key] for key in ("layerType", "runtimePrecision")}
            kind = said["layerType"] if isinstance(said["layerType"], str) else said["layerType"].value
            form = said["runtimePrecision"]
            counts[f"{kind} {form if isinstance(form, str) else form.value}"] += 1
        return counts


RUNTIMES: dict[str, Callable[[Path, int], Any]] = {
    "onnxruntime": OnnxRuntime,
    "litert": LiteRT,
    "ncnn": Ncnn,
    "openvino": OpenVINO,
}
