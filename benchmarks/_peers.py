"""onnxruntime's own static quantizer, as its documentation recommends it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx


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
