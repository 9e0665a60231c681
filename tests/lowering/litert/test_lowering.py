"""What becomes of ONNX operations: records, their attributes, layout; and what has no record is said by its node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir.conformance.net import Net
from qir.ir import QirError

from .conftest import quantized, record_names, the


def net(seed: int = 0, opset: int = 17) -> Net:
    return Net(seed, opset)


def conv(n: Net, x: str, channels: int, out: int, kernel: int = 3, **attributes: Any) -> str:
    group = attributes.get("group", 1)
    return n.op("Conv", x, n.weight(out, channels // group, kernel, kernel), n.bias(out), **attributes)


def lowered(n: Net, result: str, tmp_path: Path, mode: str = "") -> Any:
    return quantized(n.model([result]), tmp_path, mode)


# ---------------------------------------------------------------- padding
@pytest.mark.parametrize(
    ("attributes", "padding", "paddings"),
    [
        ({"pads": [1, 1, 1, 1]}, "SAME", None),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, "SAME", None),
        ({"pads": [0, 0, 1, 1], "strides": [2, 2]}, "SAME", None),
        ({"pads": [1, 1, 1, 1], "strides": [2, 2]}, "VALID", (0, 0, 0, 0, 1, 1, 1, 1)),
        ({"pads": [2, 0, 1, 3]}, "VALID", (0, 0, 0, 0, 2, 1, 0, 3)),
        ({}, "VALID", None),
    ],
    ids=str,
)
def test_padding_is_a_record_only_where_same_and_valid_cannot_say_it(
    attributes: dict[str, Any], padding: str, paddings: Any, tmp_path: Path
) -> None:
    n = net()
    module = lowered(n, conv(n, n.data(1, 4, 8, 8), 4, 8, **attributes), tmp_path)
    assert the(module, "CONV_2D").parameter("padding") == padding
    assert ("PAD" in record_names(module)) == (paddings is not None)
    if paddings is not None:
        assert the(module, "PAD").parameter("paddings") == paddings


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "wanted"),
    [
        (
            "Pad",
            [[0, 0, 2, 1, 0, 0, 1, 2]],
            {"mode": "reflect"},
            {"MIRROR_PAD": {"paddings": (0, 0, 2, 1, 1, 2, 0, 0)}},
        ),
        ("Pad", [[0, 0, 2, 0, 0, 0, 1, 0]], {"mode": "edge"}, {"GATHER": {"axis": 2}}),
        ("Slice", [[-1], [-(2**62)], [3], [-2]], {}, {"STRIDED_SLICE": {"strides": (1, 1, -2, 1)}}),
        ("Slice", [[6], [2], [1], [-1]], {}, {"STRIDED_SLICE": {"begin": (0, 0, 0, 6), "end": (1, 8, 8, 2)}}),
    ],
)
def test_moves_of_codes(op: str, constants: Any, attributes: Any, wanted: Any, tmp_path: Path) -> None:
    n = net(opset=18)
    x = conv(n, n.data(1, 4, 8, 8), 4, 8, 1)
    y = n.op(op, x, *map(n.constant, constants), **attributes)
    module = lowered(n, n.op("GlobalAveragePool", y), tmp_path)
    for record, parameters in wanted.items():
        found = the(module, record)
        assert str(found.operands[0].type.element) == "i8"
        assert {key: found.parameter(key) for key in parameters} == parameters


def test_parts_of_several_sizes(tmp_path: Path) -> None:
    n = net()
    x = conv(n, n.data(1, 4, 8, 8), 4, 8, 1)
    parts = n.multi(2, "Split", x, n.constant([3, 5]), axis=1)
    module = quantized(n.model([n.op("GlobalAveragePool", part) for part in parts]), tmp_path)
    split = the(module, "SPLIT_V")
    assert (split.parameter("size_splits"), split.parameter("axis")) == ((3, 5), 3)
    assert str(split.operands[0].type.element) == "i8"


@pytest.mark.parametrize(
    ("attributes", "scale", "record", "half", "corners"),
    [
        ({"mode": "nearest"}, 2.0, "RESIZE_NEAREST_NEIGHBOR", False, False),
        ({"mode": "nearest", "coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_ceil"},
         1.5, "RESIZE_NEAREST_NEIGHBOR", False, True),
        ({"mode": "nearest", "nearest_mode": "round_prefer_ceil"}, 0.5, "RESIZE_NEAREST_NEIGHBOR", True, False),
        ({"mode": "linear"}, 1.5, "RESIZE_BILINEAR", True, False),
        ({"mode": "linear", "coordinate_transformation_mode": "asymmetric"}, 2.0, "RESIZE_BILINEAR", False, False),
    ],
)  # fmt: skip
def test_images_at_another_size(
    attributes: dict[str, Any], scale: float, record: str, half: bool, corners: bool, tmp_path: Path
) -> None:
    n = net()
    x = conv(n, n.data(1, 4, 8, 8), 4, 8, 1)
    scales = n.constant(np.array([1, 1, scale, scale], np.float32))
    y = n.op("Resize", x, "", scales, **attributes)
    module = lowered(n, n.op("GlobalAveragePool", y), tmp_path)
    found = the(module, record)
    assert str(found.operands[0].type.element) == "i8"
    assert (found.parameter("half_pixel_centers"), found.parameter("align_corners")) == (half, corners)


def test_an_image_at_a_size_at_which_kernels_of_codes_would_read_behind_its_edge_stays_float(tmp_path: Path) -> None:
    n = net()
    x = conv(n, n.data(1, 4, 7, 5), 4, 8, 1)
    sizes = n.constant([1, 8, 300, 5])
    how = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    y = n.op("Resize", x, "", "", sizes, **how)
    module = lowered(n, n.op("GlobalAveragePool", y), tmp_path)
    assert str(the(module, "RESIZE_BILINEAR").operands[0].type.element) == "f32"


def test_pooling_pads_with_the_lowest_code_and_goes_where_rounding_up_leads(tmp_path: Path) -> None:
    n = net()
    x = conv(n, n.data(1, 4, 8, 8), 4, 4, 1)
    x = n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    module = lowered(n, conv(n, x, 4, 4, 1), tmp_path)
    assert the(module, "PADV2").parameter("paddings") == (0, 0, 1, 2, 1, 2, 0, 0)
    assert int(the(module, "PADV2").operands[1].defining_op.attr("value").numpy()) == -128


# ---------------------------------------------------------------- products
def test_depthwise_is_a_record_of_its_own_and_groups_are_not(tmp_path: Path) -> None:
    n = net()
    x = conv(n, n.data(1, 4, 8, 8), 4, 8, group=4)
    module = lowered(n, conv(n, x, 8, 8, group=2), tmp_path)
    depthwise, grouped = the(module, "DEPTHWISE_CONV_2D"), the(module, "CONV_2D")
    assert depthwise.operands[1].type.shape == (1, 3, 3, 8) and depthwise.parameter("depth_multiplier") == 2
    assert grouped.operands[1].type.shape == (8, 3, 3, 4)


def test_activations_are_fused(tmp_path: Path) -> None:
    n = net()
    x = n.op("Relu", conv(n, n.data(1, 4, 8, 8), 4, 4, 1))
    x = n.op("Clip", conv(n, x, 4, 4, 1), n.constant(0.0), n.constant(6.0))
    x = n.op("Clip", conv(n, x, 4, 4, 1), n.constant(-1.0), n.constant(1.0))
    module = lowered(n, conv(n, x, 4, 4, 1), tmp_path)
    fused = [op.parameter("fused_activation_function") for op in module.walk() if op.name == "litert.CONV_2D"]
    assert fused == ["RELU", "RELU6", "RELU_N1_TO_1", "NONE"]


def test_a_convolution_without_bias_gets_zeros_of_the_right_scale(tmp_path: Path) -> None:
    """The runtime does not load one without."""
    n = net()
    module = lowered(n, n.op("Conv", n.data(1, 4, 8, 8), n.weight(6, 4, 3, 3)), tmp_path)
    op = the(module, "CONV_2D")
    assert not op.operands[2].defining_op.attr("value").numpy().any() and str(op.operands[2].type) == "tensor<6xi32>"
    bias = op.quantizer_names()[2]
    (made,) = (q for q in module.body if q.name == "qsim.quantizer" and q.sym_name == bias)
    assert [r.root for r in made.product] == op.quantizer_names()[:2]


def test_weights_of_a_product_are_rows(tmp_path: Path) -> None:
    for attributes, shape in (({"transB": 1}, (10, 6)), ({}, (6, 10))):
        n = net()
        y = n.op("Gemm", n.data(2, 6), n.weight(*shape, axis=0 if attributes else 1), n.bias(10), **attributes)
        op = the(lowered(n, y, tmp_path), "FULLY_CONNECTED")
        assert op.operands[1].type.shape == (10, 6) and not op.parameter("keep_num_dims")


def test_means_drop_their_axes(tmp_path: Path) -> None:
    """The optimized int8 MEAN with keep_dims rounds its zero point wrongly: a reshape stands behind it instead."""
    n = net()
    x = n.op("GlobalAveragePool", conv(n, n.data(1, 4, 8, 8), 4, 8))
    module = lowered(n, conv(n, x, 8, 8, 1), tmp_path)
    mean = the(module, "MEAN")
    assert mean.parameter("axes") == (1, 2) and not mean.parameter("keep_dims") and "RESHAPE" in record_names(module)


# ---------------------------------------------------------------- layout
def test_a_residual_block_has_one_transpose_at_each_end(tmp_path: Path) -> None:
    n = net()
    x = n.op("Relu", conv(n, n.data(1, 4, 8, 8), 4, 4, pads=[1, 1, 1, 1]))
    y = conv(n, x, 4, 4, pads=[1, 1, 1, 1])
    y = n.op("Relu", n.op("Add", x, y))
    y = n.op("MaxPool", n.op("Concat", x, y, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    module = lowered(n, conv(n, y, 8, 4, 1), tmp_path)
    names = record_names(module)
    assert names[:2] == ["QUANTIZE", "TRANSPOSE"] and names.count("TRANSPOSE") == 2
    assert the(module, "CONCATENATION").parameter("axis") == 3


def test_operands_of_a_concatenation_share_its_quantizer(tmp_path: Path) -> None:
    n = net()
    x = conv(n, n.data(1, 4, 8, 8), 4, 4)
    joined = n.op("Concat", x, conv(n, x, 4, 4, 1), axis=1)
    module = lowered(n, conv(n, joined, 8, 4, 1), tmp_path)
    assert len(set(the(module, "CONCATENATION").quantizer_names())) == 1


def test_a_free_batch_stays_free(tmp_path: Path) -> None:
    n = net()
    y = n.op("Flatten", conv(n, n.data(1, 4, 8, 8), 4, 4))
    model = n.model([n.op("Gemm", y, n.weight(10, 144), n.bias(10), transB=1)])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    module = quantized(model, tmp_path)
    assert module.body is not None and str(the(module, "RESHAPE").result.type) == "tensor<?x144xi8>"
    assert the(module, "RESHAPE").parameter("new_shape") == (-1, 144)


# ---------------------------------------------------------------- normalization, GELU, modes
def test_a_layer_norm_is_spelled_out_in_float(tmp_path: Path) -> None:
    n = net()
    x = n.op("LayerNormalization", n.data(2, 8), n.constant(np.ones(8)), n.constant(np.zeros(8)), axis=-1)
    module = lowered(n, n.op("Gemm", x, n.weight(4, 8), n.bias(4), transB=1), tmp_path)
    names = record_names(module)
    assert names[:6] == ["MEAN", "SUB", "MUL", "MEAN", "ADD", "SQRT"] and "FULLY_CONNECTED" in names
    assert str(the(module, "SQRT").result.type) == "tensor<2x1xf32>"


def test_a_gelu_that_is_written_out_is_one_record_on_codes(tmp_path: Path) -> None:
    n = net()
    x = n.op("Gemm", n.data(2, 8), n.weight(8, 8), n.bias(8), transB=1)
    bracket = n.op("Add", n.op("Erf", n.op("Div", x, n.constant(2.0**0.5))), n.constant(1.0))
    y = n.op("Mul", n.op("Mul", x, bracket), n.constant(0.5))
    module = lowered(n, n.op("Gemm", y, n.weight(4, 8), n.bias(4), transB=1), tmp_path)
    assert record_names(module) == ["QUANTIZE", "FULLY_CONNECTED", "GELU", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert str(the(module, "GELU").result.type) == "tensor<2x8xi8>"


def test_masked_scores_stay_float(tmp_path: Path) -> None:
    """Codes that reach from scores to -10000 would tell no two scores apart."""
    n = net()
    x = n.op("Gemm", n.data(4, 4), n.weight(4, 4), n.bias(4), transB=1)
    x = n.op("Softmax", n.op("Add", x, n.constant(np.triu(np.full((4, 4), -1e4), 1))), axis=-1)
    module = lowered(n, n.op("Gemm", x, n.weight(4, 4), n.bias(4), transB=1), tmp_path)
    assert str(the(module, "ADD").result.type) == str(the(module, "SOFTMAX").result.type) == "tensor<4x4xf32>"


@pytest.mark.parametrize(
    ("mode", "types"),
    [("", ("i8", "i8", "i32", "i8")), ("int16x8", ("i16", "i8", "i64", "i16")), ("int4", ("i8", "i4", "i32", "i8")),
     ("dynamic", ("f32", "i8", "f32", "f32"))],
)  # fmt: skip
def test_modes(mode: str, types: tuple[str, ...], tmp_path: Path) -> None:
    n = net()
    op = the(lowered(n, conv(n, n.data(1, 4, 8, 8), 4, 8), tmp_path, mode), "CONV_2D")
    assert tuple(str(v.type.element) for v in (*op.operands, *op.results)) == types


# ---------------------------------------------------------------- what has no record
@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [("Erf", {}), ("Sin", {}), ("MaxPool", {"kernel_shape": [3, 3], "dilations": [2, 2]})],
)
def test_an_operation_without_a_record_is_named(op_type: str, attributes: dict[str, Any], tmp_path: Path) -> None:
    n = net()
    x = n.op(op_type, conv(n, n.data(1, 4, 9, 9), 4, 4), **attributes)
    with pytest.raises(QirError) as caught:
        lowered(n, conv(n, x, 4, 4, 1), tmp_path)
    (said,) = caught.value.diagnostics
    assert f"onnx.{op_type}" in said.message and f"{op_type.lower()}1" in str(said)
