"""The real runtime: how it loads and runs an artifact, and which kernels it makes of it.

onnxruntime is an optional package, imported at the first use; without it a diagnostic says how to install it.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir import fail

if TYPE_CHECKING:
    import onnx

__all__ = ["INTEGER_KERNELS", "Kernels", "account", "kernels_of", "load", "optimised", "run", "version"]

INSTALL = "pip install onnxruntime"

INTEGER_KERNELS = frozenset(
    "QLinearConv QLinearConvTranspose ConvInteger QLinearMatMul MatMulInteger MatMulIntegerToFloat "
    "DynamicQuantizeMatMul QGemm".split()
)
"""Convolutions and products that run on integers, by operator type."""
FLOAT_KERNELS = frozenset("Conv FusedConv ConvTranspose Gemm FusedGemm MatMul FusedMatMul".split())
"""Convolutions and products that run in float."""


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        fail(None, "onnxruntime is not installed, so the artifact can be neither loaded nor run", INSTALL)
    return onnxruntime


def version() -> str | None:
    """The installed version, or None."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"):
        try:
            return installed(name)
        except PackageNotFoundError:
            continue
    return None


def load(path: str | Path, *, level: str = "all", keep: str | Path | None = None, threads: int = 0) -> Any:
    """An InferenceSession on the CPU. `level` is off, basic, extended or all; `keep` is where the optimised graph goes.

    Raises QirError where onnxruntime is missing, or cannot load the file.
    """
    runtime = _runtime()
    levels = runtime.GraphOptimizationLevel
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.graph_optimization_level = {
        "off": levels.ORT_DISABLE_ALL,
        "basic": levels.ORT_ENABLE_BASIC,
        "extended": levels.ORT_ENABLE_EXTENDED,
        "all": levels.ORT_ENABLE_ALL,
    }[level]
    if keep is not None:
        options.optimized_model_filepath = str(keep)
    try:
        # Without its own second try, which it announces on standard output.
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # the binding has an exception class for every status, without a common base
        fail(str(path), f"onnxruntime {runtime.__version__} cannot load it: {_first_line(error)}")


def run(path: str | Path, inputs: Mapping[str, Any], profile: str = "", *, level: str = "all") -> dict[str, Any]:
    """Outputs by name of an artifact on arrays by input name. Raises QirError where it cannot be loaded or run."""
    session = load(path, level=level)
    return run_session(session, inputs, path)


def run_session(session: Any, inputs: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The outputs of a loaded artifact, by name. Raises QirError where an operator fails."""
    names = [output.name for output in session.get_outputs()]
    wanted = {i.name for i in session.get_inputs()}
    try:
        return dict(zip(names, session.run(names, {k: v for k, v in inputs.items() if k in wanted}), strict=True))
    except Exception as error:
        fail(str(path), f"onnxruntime cannot run it: {_first_line(error)}")


def optimised(path: str | Path, level: str = "extended") -> onnx.ModelProto:
    """The graph as the runtime has optimised it: what really runs (without the layout changes of level `all`)."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "optimised.onnx")
        load(path, level=level, keep=target)
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

    @property
    def share(self) -> float | None:
        """The integer share of the convolutions and constant products; None where there is none."""
        return self.integer / self.total if self.total else None


def kernels_of(path: str | Path) -> Kernels:
    """Load an artifact and count. Raises QirError where it cannot be loaded."""
    model = optimised(path)
    counts: Counter[str] = Counter()
    integer, floats = 0, []
    for graph in _graphs(model.graph):
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
    if kernels.share is None:
        return ""
    return f"{kernels.integer} of {kernels.total} convolutions and products run on integers"


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _graphs(inner)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
