"""Small float nets, quantized by a whole job for OpenVINO."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import qir
from qir.dialects.builtin import ModuleOp
from qir.interpreter import Plan, as_array

Array = NDArray[Any]


class Net:
    """An ONNX graph, one node after the other; a node is named by its type and number, values by their node."""

    def __init__(self, seed: object = 0, batch: int | str = "N") -> None:
        self.rng = np.random.default_rng(zlib.crc32(repr(seed).encode()))
        self.batch = batch
        self.nodes: list[onnx.NodeProto] = []
        self.data: list[onnx.TensorProto] = []
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.outputs: list[str] = []

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs[name] = shape
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.data)}"
        self.data.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, op_type: str, *operands: str, **attributes: Any) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, operands, [f"{name}:0"], name=name, **attributes))
        return f"{name}:0"

    def conv(self, x: str, c_in: int, c_out: int, k: int = 3, group: int = 1, bias: bool = True, **more: Any) -> str:
        w = self.rng.normal(0, (c_in / group * k * k) ** -0.5, (c_out, c_in // group, k, k))
        extra = [self.constant(self.rng.normal(0, 0.3, c_out))] if bias else []
        more = {"pads": [k // 2] * 4, **more}
        return self.op("Conv", x, self.constant(w), *extra, kernel_shape=[k, k], group=group, **more)

    def linear(self, x: str, n_in: int, n_out: int, bias: bool = True) -> str:
        w = self.constant(self.rng.normal(0, n_in**-0.5, (n_in, n_out)))
        if not bias:
            return self.op("MatMul", x, w)
        return self.op("Gemm", x, w, self.constant(self.rng.normal(0, 0.3, n_out)))

    def model(self, *outputs: str) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(n, 1, [self.batch, *s]) for n, s in self.inputs.items()]
        graph = helper.make_graph(self.nodes, "net", inputs, [onnx.ValueInfoProto(name=n) for n in outputs], self.data)
        opsets = [helper.make_opsetid("", 18)]
        return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=9))

    def feed(self, samples: int, scale: float = 1.0) -> dict[str, Array]:
        return {
            name: self.rng.normal(0.2, scale, (samples, *shape)).astype(np.float32)
            for name, shape in self.inputs.items()
        }


@attrs.frozen
class Job:
    """What `qir quantize` left: the artifact, and the lowered module."""

    artifact: Path
    module: ModuleOp

    def simulate(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        return {name: as_array(value) for name, value in Plan(self.module).run(feed).items()}

    def layers(self) -> Sequence[str]:
        """The records of the lowered module, without the dialect's name."""
        return [op.name.partition(".")[2] for op in self.module.walk() if op.name.startswith("openvino.")]


@pytest.fixture(name="Net")
def net_class() -> type[Net]:
    return Net


@pytest.fixture
def quantize(tmp_path: Path) -> Callable[..., Job]:
    """Quantizes a model file, or outputs of a net, on made-up data; the artifact is not run."""

    def run(model: Net | Path, *outputs: str, data: Mapping[str, Array] | Path | None = None, **options: Any) -> Job:
        path, source = tmp_path / "net.onnx", tmp_path / "data.npz"
        if isinstance(model, Net):
            onnx.save(model.model(*outputs), path)
            data = data or model.feed(int(model.batch) if isinstance(model.batch, int) else 16)
        else:
            path = model
        if isinstance(data, Path):
            source = data
        else:
            np.savez(source, **(data or {}))
        done = qir.quantize(path, "openvino", data=str(source), out=tmp_path / "out", unchecked=True, **options)
        return Job(done.files[0].path, done.module)

    return run
