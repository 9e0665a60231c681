"""QDQ models of ours for compilers of others, and what our integer simulation says about every code in them.

A judge shares no code with onnxruntime or with us, and takes the graph as ONNX defines it: between DequantizeLinear and
QuantizeLinear it computes in float32. Where all scales are powers of two each product and sum in between is exact in
float32 (sums stay below 2^24 steps), so that every code must be equal. With scales as calibration finds them float32
rounds, and a sum next to the middle between two codes may become the other one: there at most one step, and rarely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import qir
from qir.dialects.qsim import QuantizerOp
from qir.interpreter import Plan, as_array
from qir.ir import Context
from qir.lowering.onnxruntime.export import to_model
from qir.passes import run_pipeline

Arrays = Mapping[str, NDArray[Any]]
ROOT = Path(__file__).resolve().parents[2]

TO_FAKES = "canonicalize,shape-inference,fold-batch-norm,decompose,canonicalize,cse,annotate{target=onnxruntime}"
TO_FILE = "calibrate{{data={data} method=minmax}},materialise,lower-to-onnxruntime,verify-target{{target=onnxruntime}}"


@attrs.frozen
class Case:
    """A QDQ model with all its codes among its outputs, inputs, and the codes and results of the simulation."""

    model: onnx.ModelProto
    inputs: Arrays
    expected: Arrays

    def unequal(self, results: Arrays) -> list[str]:
        """The names of the codes and results that are not equal, each element."""
        assert sum(ours.size for ours in self.expected.values()) > 10_000
        return [name for name, ours in self.expected.items() if not np.array_equal(results[name], ours)]

    def steps(self, results: Arrays) -> NDArray[Any]:
        """By how many steps each code differs."""
        pairs = ((results[name], ours) for name, ours in self.expected.items() if ours.dtype.kind != "f")
        return np.concatenate([(a.astype(np.int64) - b.astype(np.int64)).ravel() for a, b in pairs])


def make_case(model: onnx.ModelProto, inputs: Arrays, folder: Path, powers: bool) -> Case:
    """Quantize a float model for onnxruntime, with scales that are powers of two or not, and simulate it.

    `inputs` calibrate it, too; their batch is fixed.
    """
    np.savez(folder / "calib.npz", **inputs)
    ctx = Context()
    module = qir.import_onnx(model, ctx)
    run_pipeline(module, TO_FAKES, ctx)
    for op in module.body:
        if powers and isinstance(op, QuantizerOp) and op.product is None:
            op.pow2 = "up"
    run_pipeline(module, TO_FILE.format(data=folder / "calib.npz"), ctx)
    written = to_model(module)
    fused = module.clone()
    run_pipeline(fused, "onnxruntime-fuse", ctx)
    names = {node.output[0] for node in written.graph.node if node.op_type == "QuantizeLinear"}
    values = [r for op in fused.walk() for r in op.results if r.name in names]
    assert len(values) >= len(names) - 1, "the simulation has the codes, all but those between fused operations"
    expected = {name: as_array(value) for name, value in Plan(fused, keep=values).run(inputs).items()}
    return Case(with_outputs(written, inputs, expected), inputs, expected)


def with_outputs(model: onnx.ModelProto, inputs: Arrays, outputs: Arrays) -> onnx.ModelProto:
    """The model with these values as its outputs and the sizes of these arrays in the types."""
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    for infos, arrays in ((graph.graph.input, inputs), (graph.graph.output, outputs)):
        types = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()}
        made = [helper.make_tensor_value_info(name, types[name], array.shape) for name, array in arrays.items()]
        del infos[:]
        infos.extend(made)
    del graph.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(graph)


# ---------------------------------------------------------------------- the nets
def digits() -> tuple[onnx.ModelProto, Arrays]:
    """The trained example: convolutions, depthwise ones, products, a Concat, pooling."""
    folder = ROOT / "examples" / "digits"
    images = np.load(folder / "digits.npz")["test_x"][:16, None].astype(np.float32) / 16
    return onnx.load(folder / "digits.onnx"), {"input": images}


def residual() -> tuple[onnx.ModelProto, Arrays]:
    """A residual net with random weights, as large as weights get, on extreme images too: all high, all low."""
    rng = np.random.default_rng(4)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def op(kind: str, *operands: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, operands, [f"{kind}{len(nodes)}"], name=f"/{len(nodes)}", **attributes))
        return str(nodes[-1].output[0])

    def constant(array: NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(array.astype(np.float32), f"c{len(constants)}"))
        return constants[-1].name

    def conv(x: str, c_in: int, c_out: int, k: int, **attributes: Any) -> str:
        per_group = c_in // attributes.get("group", 1)
        w = constant(rng.choice([-1.0, -0.25, 0.5, 1.0], (c_out, per_group, k, k)) / math.sqrt(per_group * k * k))
        return op("Conv", x, w, constant(rng.normal(0, 0.2, c_out)), pads=[k // 2] * 4, **attributes)

    x = op("Relu", conv("x", 3, 16, 3, strides=[2, 2]))
    y = op("Relu", conv(x, 16, 16, 3))
    x = op("Relu", op("Add", conv(y, 16, 16, 3, group=16), x))
    x = op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = op("Concat", op("Relu", conv(x, 16, 8, 1)), op("Clip", conv(x, 16, 8, 3), constant(np.array(0)),
                                                       constant(np.array(6))), axis=1)  # fmt: skip
    x = op("Flatten", op("GlobalAveragePool", x))
    op("Gemm", x, constant(rng.normal(0, 0.25, (16, 10))), constant(rng.normal(0, 0.2, 10)))
    sizes = {"x": [8, 3, 16, 16], nodes[-1].output[0]: [8, 10]}
    infos = [helper.make_tensor_value_info(name, 1, size) for name, size in sizes.items()]
    graph = helper.make_graph(nodes, "residual", infos[:1], infos[1:], constants)
    images = rng.normal(0, 1, (8, 3, 16, 16)).astype(np.float32)
    images[0], images[1] = 4, -4
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model), {"x": images}


NETS: dict[str, Callable[[], tuple[onnx.ModelProto, Arrays]]] = {"digits": digits, "residual": residual}


@pytest.fixture(scope="module", params=sorted(NETS))
def exact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A net all of whose scales are powers of two."""
    yield make_case(*NETS[request.param](), tmp_path_factory.mktemp("exact"), powers=True)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The trained example with the scales that calibration finds."""
    return make_case(*digits(), tmp_path_factory.mktemp("calibrated"), powers=False)
