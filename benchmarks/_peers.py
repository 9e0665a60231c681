"""onnxruntime's own static quantizer, and how much of a model onnxruntime runs on integers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

INTEGER = {
    "QLinearConv": 3, "QGemm": 3, "QLinearMatMul": 3, "QLinearConvTranspose": 3, "MatMulIntegerToFloat": 1,
    "MatMulInteger": 1, "ConvInteger": 1, "DynamicQuantizeMatMul": 1,
}  # fmt: skip
"""Integer kernels, with the position of the operand that must be constant to count as a weight."""
FLOAT = ("Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")


def samples_of(calib: Mapping[str, np.ndarray], shape: Sequence[Any], batch: int) -> Iterator[dict[str, np.ndarray]]:
    """The calibration set in batches that a model of this input shape takes."""
    name, array = next(iter(calib.items()))
    fixed = bool(shape) and isinstance(shape[0], int)
    step = int(shape[0]) if fixed else batch
    for start in range(0, len(array), step):
        yield {name: array[start : start + step]}


def quantize_with_onnxruntime(
    model: Path, calib: Mapping[str, np.ndarray], out: Path, method: str = "MinMax", products_only: bool = False
) -> None:
    """What its documentation recommends: pre-processing, QDQ, uint8 activations, int8 weights per channel."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            shape = [d.dim_value or None for d in onnx.load(model).graph.input[0].type.tensor_type.shape.dim]
            self.feeds = samples_of(calib, shape, 1)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(model), str(prepared))
        quantize_static(
            str(prepared), str(out), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=getattr(CalibrationMethod, method),
            op_types_to_quantize=["MatMul", "Gemm"] if products_only else None,
        )  # fmt: skip


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
            for sub in inner:
                yield from _graphs(sub)


def integer_share(path: Path) -> tuple[int, int]:
    """(on integers, all) of the convolutions and products by constants, in the graph that the runtime runs."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = f"{folder}/optimised.onnx"
        options.log_severity_level = 4
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        optimised = onnx.load(f"{folder}/optimised.onnx")
    integer = everything = 0
    for graph in _graphs(optimised.graph):
        constant = {t.name for t in graph.initializer}
        constant |= {n.output[0] for n in graph.node if n.op_type == "Constant"}
        for node in graph.node:  # a weight that is still dequantized is constant too
            if node.op_type in ("DequantizeLinear", "Transpose", "Cast") and node.input[0] in constant:
                constant.add(node.output[0])
        for node in graph.node:
            if node.op_type in INTEGER:
                hit = node.input[INTEGER[node.op_type]] in constant
                integer, everything = integer + hit, everything + hit
            elif node.op_type in FLOAT:
                everything += any(name in constant for name in node.input[:2])
    return integer, everything
