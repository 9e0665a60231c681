"""The ``litert`` dialect: one operation per OperatorCode of a .tflite file.

Attributes have the names that the schema's options tables give them. What TFLite wants as a constant tensor among the
operands (axes, sizes, paddings) is an attribute too; `CODES` says where it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from qir.ir.records import Record, records

__all__ = ["ARRAYS", "CODES", "DIALECT", "Code"]


@attrs.frozen
class Code:
    """How a record is written: its table of options (the schema's union member), the attributes that are tensors with
    their positions among the operands, and its version by the element type of its data (``to i16``: of its result,
    ``hybrid``: floats by codes, ``grouped``, ``5-D``: more than four axes, ``dims``: with keep_num_dims), else 1."""

    record: Record
    options: str = ""
    versions: Mapping[str, int] = attrs.field(factory=dict)
    tensors: Mapping[str, int] = attrs.field(factory=dict)


ACT: dict[str, Any] = {"fused_activation_function": "NONE"}
STEPS: dict[str, Any] = {"padding": "VALID", "stride_h": 1, "stride_w": 1, **ACT}
CONV: dict[str, Any] = {**STEPS, "dilation_h_factor": 1, "dilation_w_factor": 1}
POOL: dict[str, Any] = {**STEPS, "filter_height": 1, "filter_width": 1}
SIZED: dict[str, Any] = {"size": (), "align_corners": False, "half_pixel_centers": False}
I8, I16, SUM16 = {"i8": 2}, {"i8": 2, "i16": 3}, {**ACT, "pot_scale_int16": False}
MOVE = {"i8": 2, "i16": 4}

CODES: Mapping[str, Code] = {
    # ------------------------------------------------------------ products
    "CONV_2D": Code(Record("x w b", doc="NHWC by OHWI; the channels of w say how many groups there are.", **CONV),
                    "Conv2DOptions", {"i8": 3, "i16": 4, "i4": 7, "hybrid": 5, "grouped": 6}),
    "DEPTHWISE_CONV_2D": Code(Record("x w b", doc="NHWC by 1HWM, M = C depth_multiplier.", depth_multiplier=1, **CONV),
                              "DepthwiseConv2DOptions", {"i8": 3, "i16": 5, "i4": 7, "hybrid": 6}),
    "FULLY_CONNECTED": Code(Record("x w b?", doc="Rows of x by the transpose of w [out, in].", keep_num_dims=False,
                                   asymmetric_quantize_inputs=False, **ACT),
                            "FullyConnectedOptions", {"i8": 4, "i16": 7, "i4": 10, "hybrid": 12, "dims": 5}),
    "BATCH_MATMUL": Code(Record("a b", adj_x=False, adj_y=False), "BatchMatMulOptions", I16),
    # ------------------------------------------------------------ elementwise
    "ADD": Code(Record("a b", **SUM16), "AddOptions", I16),
    "SUB": Code(Record("a b", **SUM16), "SubOptions", {"i8": 2, "i16": 5}),
    "MUL": Code(Record("a b", **ACT), "MulOptions", MOVE),
    "DIV": Code(Record("a b", **ACT), "DivOptions"), "POW": Code(Record("a b"), "PowOptions"),
    "MAXIMUM": Code(Record("a b"), "MaximumMinimumOptions", MOVE),
    "MINIMUM": Code(Record("a b"), "MaximumMinimumOptions", MOVE),
    "RELU": Code(Record(), "", I16), "RELU6": Code(Record(), "", I16),
    "LOGISTIC": Code(Record(), "", I16), "TANH": Code(Record(), "", I16),
    "LEAKY_RELU": Code(Record(alpha=0.0), "LeakyReluOptions", {"i16": 2}),
    "GELU": Code(Record(approximate=False), "GeluOptions", I8), "HARD_SWISH": Code(Record(), "HardSwishOptions"),
    "EXP": Code(Record(), "ExpOptions"), "LOG": Code(Record()), "SQRT": Code(Record()),
    "ABS": Code(Record(), "AbsOptions"), "NEG": Code(Record(), "NegOptions"),
    "QUANTIZE": Code(Record(doc="Floats or codes to codes."), "QuantizeOptions", {"to i16": 2}),
    "DEQUANTIZE": Code(Record(doc="Codes to floats."), "DequantizeOptions", I16),
    # ------------------------------------------------------------ along axes
    "SOFTMAX": Code(Record(doc="Along the last axis.", beta=1.0), "SoftmaxOptions", I16),
    "MEAN": Code(Record(axes=(), keep_dims=False), "ReducerOptions", I16, {"axes": 1}),
    "SUM": Code(Record(axes=(), keep_dims=False), "ReducerOptions", I8, {"axes": 1}),
    "CONCATENATION": Code(Record("xs*", axis=0, **ACT), "ConcatenationOptions", I16),
    "SPLIT": Code(Record("x", "ys*", axis=0, num_splits=1), "SplitOptions", MOVE, {"axis": 0}),
    "SPLIT_V": Code(Record("x", "ys*", size_splits=(), axis=0, num_splits=1), "SplitVOptions", I8,
                    {"size_splits": 1, "axis": 2}),
    "GATHER": Code(Record("x indices", axis=0), "GatherOptions", MOVE),
    "MAX_POOL_2D": Code(Record(**POOL), "Pool2DOptions", I16),
    "AVERAGE_POOL_2D": Code(Record(**POOL), "Pool2DOptions", I16),
    # ------------------------------------------------------------ moves
    "RESHAPE": Code(Record(new_shape=()), "ReshapeOptions", {}, {"new_shape": 1}),
    "TRANSPOSE": Code(Record(perm=()), "TransposeOptions", {"5-D": 4, "i8": 2, "i16": 5}, {"perm": 1}),
    "PAD": Code(Record(paddings=(), doc="Begin and end of each axis in turn; zero, as a code the zero point."),
                "PadOptions", {"5-D": 4, **I16}, {"paddings": 1}),
    "PADV2": Code(Record("x value", paddings=()), "PadV2Options", {"5-D": 4, **I16}, {"paddings": 1}),
    "MIRROR_PAD": Code(Record(paddings=(), mode="REFLECT"), "MirrorPadOptions", I16, {"paddings": 1}),
    "STRIDED_SLICE": Code(Record(begin=(), end=(), strides=()), "StridedSliceOptions", {"5-D": 4, **I8},
                          {"begin": 1, "end": 2, "strides": 3}),
    "DEPTH_TO_SPACE": Code(Record(block_size=1, doc="Channels as (row, column, channel)."), "DepthToSpaceOptions"),
    "RESIZE_BILINEAR": Code(Record(**SIZED), "ResizeBilinearOptions", {"": 3, "i16": 4}, {"size": 1}),
    "RESIZE_NEAREST_NEIGHBOR": Code(Record(**SIZED), "ResizeNearestNeighborOptions", {"": 3, "i16": 4}, {"size": 1}),
}  # fmt: skip

DIALECT = records("litert", "The operators of a .tflite file.", {name: code.record for name, code in CODES.items()})

ARRAYS = {what: f"litert.{name}" for what, name in {
    "fill": "PADV2", "mirror": "MIRROR_PAD", "slice": "STRIDED_SLICE", "split_at": "SPLIT_V", "concat": "CONCATENATION",
    "conv": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D", "product": "FULLY_CONNECTED", "matmul": "BATCH_MATMUL",
    "sigmoid": "LOGISTIC", "leaky": "LEAKY_RELU", "resize_linear": "RESIZE_BILINEAR", "max_pool": "MAX_POOL_2D",
    "resize_nearest": "RESIZE_NEAREST_NEIGHBOR", "average_pool": "AVERAGE_POOL_2D",
    **{name.lower(): name for name in CODES},
}.items()}  # fmt: skip
"""The records by what they do, for the emitters and kernels of array records."""
