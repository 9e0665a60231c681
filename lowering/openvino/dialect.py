"""The layers of OpenVINO's IR v11 that qir writes.

Attributes have the format's names and defaults, but for those that are ONNX's in other words: these have ONNX's, and
`SPELLED` says the words. `FakeQuantize` brings the constants of its range, which are its quantizer's; `Dequantize` is
Convert, Multiply by the scales and (of scales per group) Reshape.
"""

from __future__ import annotations

from typing import Any

from qir.ir.records import Record, records

__all__ = ["DIALECT", "FAKE", "INTERPOLATE", "LIKE", "SPELLED", "VERSIONS", "onnx_attributes"]

FAKE = "openvino.FakeQuantize"

_BINARY = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "Power": "Pow", "Maximum": "Max",
           "Minimum": "Min"}  # fmt: skip
_UNARY = {"ReLU": "Relu", "HSwish": "HardSwish", "SoftPlus": "Softplus", "Negative": "Neg", "Ceiling": "Ceil",
          **{name: name for name in ("Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Abs", "Floor")}}  # fmt: skip
_POOL: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "kernel_shape": (1, 1), "ceil_mode": 0,
                         "auto_pad": "explicit"}  # fmt: skip
_NUMPY = {"auto_broadcast": "numpy"}

LIKE: dict[str, tuple[str, Record]] = {
    **{ours: (theirs, Record("a b", **_NUMPY)) for ours, theirs in _BINARY.items()},
    **{ours: (theirs, Record()) for ours, theirs in _UNARY.items()},
    **{f"Reduce{n}": (f"Reduce{n}", Record("x axes", keepdims=1)) for n in ("Mean", "Max", "Min", "Sum", "Prod")},
    "PRelu": ("PRelu", Record("x slope")), "Select": ("Where", Record("condition a b", **_NUMPY)),
    "MaxPool": ("MaxPool", Record(**_POOL, dilations=(1, 1), index_element_type="i64", axis=0)),
    "AvgPool": ("AveragePool", Record(**_POOL, count_include_pad=0)),
    "BatchNormInference": ("BatchNormalization", Record("x gamma beta mean variance", epsilon=1e-5)),
    "Elu": ("Elu", Record(alpha=1.0)), "SoftMax": ("Softmax", Record(axis=-1)),
    "Gelu": ("Gelu", Record(approximate="none")), "Concat": ("Concat", Record("xs*", axis=0)),
    "Reshape": ("Reshape", Record("x shape", allowzero=0)),
    "Squeeze": ("Squeeze", Record("x axes")), "Unsqueeze": ("Unsqueeze", Record("x axes")),
    "DepthToSpace": ("DepthToSpace", Record(blocksize=1, mode="DCR")),
    "SpaceToDepth": ("SpaceToDepth", Record(blocksize=1, mode="DCR")),
    "Broadcast": ("Expand", Record("x shape", mode="bidirectional")), "ShapeOf": ("Shape", Record(output_type="i64")),
}  # fmt: skip
"""Layers that compute what an ONNX operator of the same operands computes, and that operator."""

SPELLED: dict[str, tuple[str, dict[Any, str]]] = {
    "kernel_shape": ("kernel", {}), "ceil_mode": ("rounding_type", {0: "floor", 1: "ceil"}),
    "count_include_pad": ("exclude-pad", {0: "true", 1: "false"}), "keepdims": ("keep_dims", {0: "false", 1: "true"}),
    "allowzero": ("special_zero", {0: "true", 1: "false"}), "blocksize": ("block_size", {}),
    "mode": ("mode", {"DCR": "blocks_first", "CRD": "depth_first", "linear": "linear_onnx"}),
    "transB": ("transpose_b", {0: "false", 1: "true"}), "transA": ("transpose_a", {0: "false", 1: "true"}),
    "approximate": ("approximation_mode", {"none": "ERF", "tanh": "TANH"}), "cubic_coeff_a": ("cube_coeff", {}),
}  # fmt: skip
"""ONNX's attributes in the format's words: the name, and the values where they differ."""

SAME = ("alpha", "axis", "coordinate_transformation_mode", "dilations", "epsilon", "nearest_mode", "pads", "strides")
"""ONNX's attributes that the format has under that name."""


def onnx_attributes(row: Record) -> dict[str, str]:
    """The attributes of a record that are ONNX's, by name."""
    return {key: key for key in row.attributes if key in {*SPELLED, *SAME}}


VERSIONS = {"BatchNormInference": 5, "Broadcast": 3, "Gather": 8, "Gelu": 7, "HSwish": 4, "Interpolate": 11, "MVN": 6,
            "MaxPool": 8, "ShapeOf": 3, "Slice": 8, "SoftMax": 8, "SoftPlus": 4}  # fmt: skip
"""The operation set in which a layer was last changed, where that is not the first."""

INTERPOLATE = Record("x size axes", mode="nearest", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75,
                     nearest_mode="round_prefer_floor", shape_calculation_mode="scales")  # fmt: skip
_CONV: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "auto_pad": "explicit"}

DIALECT = records("openvino", __doc__, {
    **{name: row for name, (_, row) in LIKE.items()},
    "FakeQuantize": Record(**_NUMPY), "Dequantize": Record("codes"),
    "Convolution": Record("x w", **_CONV), "GroupConvolution": Record("x w", **_CONV),
    "MatMul": Record("a b", transA=0, transB=0),
    "Interpolate": INTERPOLATE, "MVN": Record("x axes", normalize_variance=True, eps=1e-5, eps_mode="inside_sqrt"),
    "HardSigmoid": Record("x alpha beta"), "Clamp": Record(min=0.0, max=0.0), "Transpose": Record("x order"),
    "Slice": Record("x start stop step axes"), "Gather": Record("x indices axis", batch_dims=0),
    "VariadicSplit": Record("x axis lengths", "ys*"), "Pad": Record("x begins ends value", pad_mode="constant"),
})  # fmt: skip
