"""Small ONNX models, lowered for ncnn; convolutions and products as numpy computes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from qir.dialects.builtin import ModuleOp
from qir.frontends.onnx import import_onnx
from qir.ir import Context
from qir.lowering.ncnn import TARGET
from qir.lowering.ncnn.export import export
from qir.passes import run_pipeline

Array = NDArray[Any]
F = np.float32


class Graph:
    """An ONNX graph, one node after the other; names are values, and a node is called by its type and number."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, *shape: int, kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["N", *shape]))
        return name

    def constant(self, value: Any) -> str:
        array = np.asarray(value)
        array = array.astype(F) if array.dtype.kind == "f" else array
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def op(self, op_type: str, *operands: str, **attributes: Any) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, operands, [f"{name}_y"], name=name, **attributes))
        return f"{name}_y"

    def conv(self, x: str, weight: Array, bias: Array | None = None, **attributes: Any) -> str:
        operands = [x, self.constant(weight), *([] if bias is None else [self.constant(bias)])]
        return self.op("Conv", *operands, **attributes)

    def output(self, value: str) -> Graph:
        self.outputs.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
        return self

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "g", self.inputs, self.outputs, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


Lowered = Callable[..., ModuleOp]


@pytest.fixture
def lowered(tmp_path: Path) -> Lowered:
    """``lowered(graph, mode="", **data)``: the graph through the target's pipeline, calibrated on the data by input.

    Without equalization, so that the weights stay what they are. `ctx` collects the remarks.
    """

    def run(graph: Graph, mode: str = "", ctx: Context | None = None, **data: Array) -> ModuleOp:
        np.savez(tmp_path / "calib.npz", **data)  # type: ignore[arg-type]
        onnx.save(graph.model(), tmp_path / "m.onnx")
        ctx = ctx or Context()
        module = import_onnx(tmp_path / "m.onnx", ctx)
        pipeline = TARGET.pipeline.replace("{data}", str(tmp_path / "calib.npz")).replace(
            "cross-layer-equalization,", ""
        )
        if mode:
            pipeline = pipeline.replace("annotate{target=ncnn}", f"annotate{{target=ncnn mode={mode}}}")
        run_pipeline(module, pipeline, ctx)
        return module

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[ModuleOp], tuple[list[str], bytes]]:
    """The lines of a module's .param file behind the head, and its .bin."""

    def write(module: ModuleOp) -> tuple[list[str], bytes]:
        network, weights = export(module, Context(), tmp_path, "m")
        magic, counts, *lines = network.path.read_text().splitlines()
        assert magic == "7767517"
        assert counts == f"{len(lines)} {sum(int(line.split()[3]) for line in lines)}"
        return lines, weights.path.read_bytes()

    return write


@pytest.fixture
def in_ncnn(tmp_path: Path) -> Callable[..., dict[str, Array]]:
    """``in_ncnn(module, profile="", **inputs)``: written, and run by ncnn."""
    from qir.lowering.ncnn.runtime import run as run_ncnn

    def run(module: ModuleOp, profile: str = "", **inputs: Array) -> dict[str, Array]:
        network, _ = export(module, Context(), tmp_path, "m")
        return run_ncnn(network.path, inputs, profile)

    return run


# ---------------------------------------------------------------- ncnn's arithmetic, from its sources
def steps(module: ModuleOp, name: str) -> Any:
    """ncnn's scale, steps per unit: the float32 inverse of the one that the quantizer keeps."""
    (quantizer,) = (op for op in module.body if op.attr("sym_name", "") == name)
    return F(1) / quantizer.attr("scale").numpy()


def codes(v: Array) -> Array:
    v = np.asarray(v, F)
    return np.clip(np.trunc(v + np.copysign(F(0.5), v)), -127, 127).astype(np.int64)


def sums(x: Array, w: Array, stride: int = 1, pad: int = 0, group: int = 1, dilation: int = 1) -> Array:
    """An exact convolution of integers, tap by tap."""
    x = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n, channels, height, width = x.shape
    m, _, kh, kw = w.shape
    oh, ow = ((size - (k - 1) * dilation - 1) // stride + 1 for size, k in ((height, kh), (width, kw)))
    out = np.zeros((n, m, oh, ow), np.int64)
    for g in range(group):
        xs = x[:, g * channels // group : (g + 1) * channels // group]
        ws = w[g * m // group : (g + 1) * m // group].astype(np.int64)
        for i in range(kh):
            for j in range(kw):
                a, b = i * dilation, j * dilation
                tap = xs[:, :, a : a + stride * (oh - 1) + 1 : stride, b : b + stride * (ow - 1) + 1 : stride]
                out[:, g * m // group : (g + 1) * m // group] += np.einsum("nchw,mc->nmhw", tap, ws[:, :, i, j])
    return out


def floats(acc: Array, sx: Any, sw: Any, bias: Array | None, fused: bool) -> Array:
    """fl(acc) * fl(1 / fl(sx * sw)) + bias along axis 1, rounded once or twice."""
    shape = (-1,) + (1,) * (acc.ndim - 2)
    factor = (F(1) / (F(sx) * np.asarray(sw, F))).astype(F).reshape(shape)
    v = acc.astype(F)
    b = np.zeros(acc.shape[1], F) if bias is None else bias.astype(F)
    if fused:
        return (v.astype(np.float64) * factor + b.reshape(shape)).astype(F)
    return v * factor + b.reshape(shape)
