"""QDQ models written node by node, run by onnxruntime and by the interpreter."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qir.artifact import write_artifact
from qir.dialects.builtin import ModuleOp
from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context, verify
from qir.lowering.onnxruntime import TARGET, runtime
from qir.passes import run_pipeline

Array = NDArray[Any]


class QdqNet:
    """An ONNX graph with QuantizeLinear and DequantizeLinear, built one node after the other; names are values."""

    def __init__(self, seed: object = 0, opset: int = 21) -> None:
        self.rng = np.random.default_rng(zlib.crc32(repr(seed).encode()))
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: dict[str, tuple[Any, ...]] = {}
        self.outputs: list[str] = []
        self.scales: dict[str, Array] = {}

    def input(self, name: str, *shape: int | str) -> str:
        self.inputs[name] = shape
        return name

    def constant(self, value: Array | float | Sequence[int], name: str = "c", dtype: Any = None) -> str:
        array = np.asarray(value, dtype)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        unique = f"{name}{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, unique))
        return unique

    def op(self, op_type: str, *operands: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(op_type, operands, names, name=f"{op_type.lower()}{len(self.nodes)}", **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def parameters(self, scale: float, zero: int, dtype: Any = np.uint8) -> tuple[str, str]:
        return self.constant(scale, "s", np.float32), self.constant(zero, "z", dtype)

    def quantize(self, value: str, scale: float, zero: int, dtype: Any = np.uint8) -> str:
        return str(self.op("QuantizeLinear", value, *self.parameters(scale, zero, dtype)))

    def dequantize(self, codes: str, scale: Any, zero: Any, dtype: Any, **attributes: Any) -> str:
        scale = np.asarray(scale, np.float32)
        value = str(
            self.op("DequantizeLinear", codes, self.constant(scale, "s"), self.constant(zero, "z", dtype), **attributes)
        )
        self.scales[value] = scale
        return value

    def pair(self, value: str, scale: float = 0.05, zero: int = 120, dtype: Any = np.uint8) -> str:
        """QuantizeLinear and DequantizeLinear; gives the dequantized value."""
        return self.dequantize(self.quantize(value, scale, zero, dtype), scale, zero, dtype)

    def weight(self, *shape: int, axis: int | None = 0, dtype: Any = np.int8) -> str:
        """A dequantized int8 constant, with one scale per index of `axis`."""
        zero = 0 if dtype == np.int8 else 128
        stored = self.constant((self.rng.integers(-127, 128, shape) + zero).astype(dtype), "w")
        if axis is None:
            return self.dequantize(stored, 0.01, zero, dtype)
        scale = self.rng.uniform(0.002, 0.02, shape[axis])
        return self.dequantize(stored, scale, np.full(shape[axis], zero), dtype, axis=axis)

    def bias(self, x: str, weight: str, factor: float = 1.0) -> str:
        """A dequantized int32 bias at the product of the scales of data and weight, times `factor`."""
        scale = (self.scales[x] * self.scales[weight] * np.float32(factor)).astype(np.float32)
        codes = self.constant(self.rng.integers(-3000, 3000, scale.shape).astype(np.int32), "b")
        return str(self.op("DequantizeLinear", codes, self.constant(scale, "bs"), axis=0))

    def conv(self, x: str, c_in: int, c_out: int, k: int = 3, bias: float | None = 1.0, **attributes: Any) -> str:
        weight = self.weight(c_out, c_in // attributes.get("group", 1), k, k)
        operands = [x, weight, *([self.bias(x, weight, bias)] if bias is not None else [])]
        return str(self.op("Conv", *operands, kernel_shape=[k, k], pads=[k // 2] * 4, **attributes))

    def output(self, value: str) -> None:
        self.outputs.append(value)

    def model(self) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(n, 1, list(s)) for n, s in self.inputs.items()]
        outputs = [onnx.ValueInfoProto(name=n) for n in self.outputs]
        graph = helper.make_graph(self.nodes, "net", infos, outputs, self.initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return onnx.shape_inference.infer_shapes(model)

    def feed(self, batch: int = 2, kind: str = "random") -> dict[str, Array]:
        """Inputs: normal numbers, or all at one end of the quantizers' range."""
        feed = {}
        for name, shape in self.inputs.items():
            sizes = [batch if isinstance(s, str) else s for s in shape]
            numbers = (
                self.rng.normal(0, 3, sizes) if kind == "random" else np.full(sizes, 1e6 if kind == "high" else -1e6)
            )
            feed[name] = numbers.astype(np.float32)
        return feed


class FloatNet(QdqNet):
    """A float graph, to be quantized by a whole job."""

    def convolution(self, x: str, c_in: int, c_out: int, k: int = 3, **attributes: Any) -> str:
        weight = self.rng.normal(
            0, (c_in / attributes.get("group", 1) * k * k) ** -0.5, (c_out, c_in // attributes.get("group", 1), k, k)
        )
        bias = self.rng.normal(0, 0.2, c_out)
        attributes.setdefault("pads", [k // 2] * 4)
        return str(
            self.op("Conv", x, self.constant(weight, "w"), self.constant(bias, "b"), kernel_shape=[k, k], **attributes)
        )

    def linear(self, x: str, n_in: int, n_out: int, op_type: str = "Gemm") -> str:
        weight = self.constant(self.rng.normal(0, n_in**-0.5, (n_in, n_out)), "w")
        bias = self.constant(self.rng.normal(0, 0.2, n_out), "b")
        return str(
            self.op("Gemm", x, weight, bias)
            if op_type == "Gemm"
            else self.op("Add", self.op("MatMul", x, weight), bias)
        )


class Outcome:
    """What both sides made of one model."""

    def __init__(
        self,
        module: ModuleOp,
        ours: Mapping[str, Array],
        theirs: Mapping[str, Array],
        kernels: Counter[str],
        ctx: Context,
    ) -> None:
        self.module, self.ours, self.theirs, self.kernels, self.ctx = module, ours, theirs, kernels, ctx

    @property
    def operators(self) -> Counter[str]:
        """Operator types of the fused module, constants apart."""
        kinds = (
            op.name.partition(".")[2] for op in self.module.walk() if op.name.startswith(("onnx.", "onnxruntime."))
        )
        return Counter(k for k in kinds if k not in ("Constant", "NoValue"))

    def wrong(self) -> int:
        """How many elements differ."""
        assert set(self.ours) == set(self.theirs)
        return sum(int((self.ours[n] != e).sum()) for n, e in self.theirs.items())

    def missed(self) -> list[str]:
        return [d.message for d in self.ctx.diagnostics if d.category == "missed"]


@pytest.fixture
def net() -> Callable[..., QdqNet]:
    return QdqNet


@pytest.fixture
def float_net() -> Callable[..., FloatNet]:
    return FloatNet


class Job:
    """One quantization job, stage by stage."""

    def __init__(self, source: QdqNet | onnx.ModelProto, folder: Path, feed: Mapping[str, Array] | None = None) -> None:
        self.folder = folder
        model = source.model() if isinstance(source, QdqNet) else source
        self.feed = dict(source.feed(8) if feed is None and isinstance(source, QdqNet) else feed or {})
        np.savez(folder / "data.npz", **self.feed)
        self.ctx = Context()
        self.module = import_onnx(model, self.ctx)

    def run(self, pipeline: str) -> Job:
        run_pipeline(self.module, pipeline, self.ctx)
        verify(self.module)
        return self

    def materialised(self) -> Job:
        return self.run(
            "canonicalize,fold-batch-norm,canonicalize,annotate{target=onnxruntime},"
            f"calibrate{{data={self.folder / 'data.npz'} method=minmax}},materialise"
        )

    def lowered(self) -> Job:
        return self.materialised().run("lower-to-onnxruntime,verify-target{target=onnxruntime}")

    def artifact(self, name: str = "model") -> Path:
        return write_artifact(self.module, TARGET, self.ctx, self.folder, name, sample=self.feed)[0].path

    def simulated(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """The fused module's results: what the runtime should compute."""
        module = self.module.clone()
        run_pipeline(module, "onnxruntime-fuse", self.ctx)
        verify(module)
        return {name: as_array(value) for name, value in Plan(module).run(feed).items()}


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    return lambda source, feed=None: Job(source, tmp_path, feed)


@pytest.fixture
def fused(tmp_path: Path) -> Callable[..., Outcome]:
    """Fuses a QDQ model as the runtime does, and runs it on both sides."""

    def run(source: QdqNet | onnx.ModelProto, kind: str = "random", feed: Mapping[str, Array] | None = None) -> Outcome:
        model = source.model() if isinstance(source, QdqNet) else source
        if feed is None:
            assert isinstance(source, QdqNet)
            feed = source.feed(kind=kind)
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        ctx = Context()
        module = import_onnx(model, ctx)
        run_pipeline(module, "onnxruntime-fuse", ctx)
        verify(module)
        ours = {name: as_array(value) for name, value in Plan(module).run(feed).items()}
        kernels = Counter(node.op_type for node in runtime.optimised(path).graph.node if node.op_type != "Constant")
        return Outcome(module, ours, runtime.run(path, feed), kernels, ctx)

    return run
