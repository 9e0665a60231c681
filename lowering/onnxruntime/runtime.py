"""The real runtime: how it loads and runs an artifact, and which kernels it makes of it.

onnxruntime is an optional package, imported at the first use.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir import fail
from qir.target import installed

if TYPE_CHECKING:
    import onnx

__all__ = ["INTEGER_KERNELS", "Kernels", "account", "kernels_of", "load", "optimised", "run", "version"]

INTEGER_KERNELS = frozenset(
    "QLinearConv QLinearConvTranspose ConvInteger QLinearMatMul MatMulInteger MatMulIntegerToFloat "
    "DynamicQuantizeMatMul QGemm".split()
)
"""Convolutions and products that run on integers, by operator type."""
FLOAT_KERNELS = frozenset("Conv FusedConv ConvTranspose Gemm FusedGemm MatMul FusedMatMul".split())
"""Convolutions and products that run in float."""

version = installed("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")


def load(path: str | Path, *, level: str = "ALL", keep: str | Path | None = None) -> Any:
    """An InferenceSession on the CPU. `level` is BASIC, EXTENDED or ALL; `keep` is where the optimised graph goes.

    Raises QirError where onnxruntime cannot load the file.
    """
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    if keep is not None:
        options.optimized_model_filepath = str(keep)
    try:
        # Without its own second try, which it announces on standard output.
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # the binding has an exception class for every status, without a common base
        lines = str(error).strip() or type(error).__name__
        fail(str(path), f"onnxruntime {runtime.__version__} cannot load it: {lines.splitlines()[0]}")


def run(path: str | Path, inputs: Mapping[str, Any], profile: str = "") -> dict[str, Any]:
    """Outputs by name of an artifact on arrays by input name. Raises QirError where it cannot be loaded."""
    session = load(path)
    names, wanted = ([value.name for value in values] for values in (session.get_outputs(), session.get_inputs()))
    return dict(zip(names, session.run(names, {k: v for k, v in inputs.items() if k in wanted}), strict=True))


def optimised(path: str | Path) -> onnx.ModelProto:
    """The graph as the runtime has optimised it: what really runs, without the layout changes of the highest level."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        load(path, level="EXTENDED", keep=target)
        return onnx.load(target)


@attrs.frozen
class Kernels:
    """What the runtime makes of an artifact.

    `counts` are operator types after optimisation. Of the convolutions and of the products with a constant operand
    `integer` run on integers and those `in_float` (names of nodes) do not.
    """

    counts: Mapping[str, int]
    integer: int
    in_float: tuple[str, ...]

    @property
    def total(self) -> int:
        return self.integer + len(self.in_float)


def kernels_of(path: str | Path) -> Kernels:
    """Load an artifact and count. Raises QirError where it cannot be loaded."""
    counts: Counter[str] = Counter()
    integer, floats = 0, []
    for graph in _graphs(optimised(path).graph):
        constant = {t.name for t in graph.initializer} | {n.output[0] for n in graph.node if n.op_type == "Constant"}
        for node in graph.node:
            counts[node.op_type] += 1
            if node.op_type in ("DequantizeLinear", "Transpose", "Cast") and node.input[0] in constant:
                constant.add(node.output[0])
        for node in graph.node:
            operands = node.input[3:4] if node.op_type.startswith(("QL", "QG")) else node.input[:2]
            if not any(name in constant for name in operands):
                continue
            if node.op_type in INTEGER_KERNELS:
                integer += 1
            elif node.op_type in FLOAT_KERNELS:
                floats.append(node.name or node.output[0])
    return Kernels(dict(counts), integer, tuple(floats))


def account(path: str | Path) -> str:
    """How many of an artifact's convolutions and products run on integers, in words; nothing where it has none."""
    kernels = kernels_of(path)
    return f"{kernels.integer} of {kernels.total} convolutions and products run on integers" if kernels.total else ""


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _graphs(inner)
