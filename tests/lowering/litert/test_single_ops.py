"""One record on random and extreme codes: the interpretation is the runtime, for each kernel set and TFLite Micro."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .conftest import ACTIVATION, PROFILES, WEIGHT, WEIGHT4, WIDE, Single, codes, exact

pytestmark = pytest.mark.runtime("litert", "tflite-micro")

BUILTIN = PROFILES[:3]


def conv(
    shape: tuple[int, int, int, int], out: int, kernel: int, *, depthwise: bool = False, stride: int = 1,
    padding: str = "SAME", act: str = "NONE", dilation: int = 1, groups: int = 1, bits: int = 8, wide: bool = False,
    sx: float = 0.04, sy: float = 0.3, seed: int = 0,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    s = Single(seed)
    n, height, width, channels = shape
    size = (1, kernel, kernel, out) if depthwise else (out, kernel, kernel, channels // groups)
    limit = 127 if bits == 8 else 7
    weight = s.rng.integers(-limit, limit + 1, size)
    scales = s.rng.uniform(0.001, 0.02, out) * 127 / limit
    element, scheme = ("i16", WIDE) if wide else ("i8", ACTIVATION)
    qx = s.quantizer(scheme, sx / 256 if wide else sx)
    qw = s.quantizer(WEIGHT if bits == 8 else WEIGHT4, scales, axis=3 if depthwise else 0)
    quant = [qx, qw, s.product(qx, qw), s.quantizer(scheme, sy / 256 if wide else sy)]
    bias = s.rng.integers(-3000, 3000, out) * (256 if wide else 1)
    operands = [s.argument(shape, element), s.constant(weight, f"i{bits}"), s.constant(bias, "i64" if wide else "i32")]
    reach = (kernel - 1) * dilation + 1
    sizes = [-(-v // stride) if padding == "SAME" else (v - reach) // stride + 1 for v in (height, width)]
    more = {"depth_multiplier": out // channels} if depthwise else {}
    module = s.module(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", operands, (n, *sizes, out), element, quant, padding=padding,
        stride_h=stride, stride_w=stride, dilation_h_factor=dilation, dilation_w_factor=dilation,
        fused_activation_function=act, **more,
    )  # fmt: skip
    return module, {"x0": codes(s.rng, shape, element)}


CONVS: dict[str, tuple[tuple[int, int, int, int], int, int, dict[str, Any]]] = {
    "3x3 of 3 channels": ((1, 9, 11, 3), 16, 3, {"act": "RELU"}),
    "3x3": ((1, 20, 20, 16), 16, 3, {}),
    "stride 2, odd": ((2, 9, 11, 5), 7, 3, {"stride": 2, "act": "RELU6"}),
    "1x1": ((1, 12, 12, 64), 64, 1, {"padding": "VALID"}),
    "1x1, stride 2": ((1, 12, 12, 64), 32, 1, {"padding": "VALID", "stride": 2, "act": "RELU_N1_TO_1"}),
    "dilated": ((1, 12, 12, 8), 8, 3, {"dilation": 2}),
    "grouped": ((1, 12, 12, 8), 8, 3, {"groups": 2, "padding": "VALID"}),
    "one pixel": ((1, 1, 1, 64), 33, 1, {"padding": "VALID"}),
    "depthwise": ((1, 12, 12, 16), 16, 3, {"depthwise": True, "act": "RELU"}),
    "depthwise, odd": ((1, 13, 11, 5), 5, 3, {"depthwise": True, "stride": 2, "act": "RELU6"}),
    "depthwise, multiplier": ((1, 13, 11, 5), 10, 5, {"depthwise": True, "padding": "VALID"}),
    "depthwise, dilated": ((1, 13, 11, 8), 8, 3, {"depthwise": True, "dilation": 2}),
    "depthwise of one channel": ((2, 13, 11, 1), 8, 3, {"depthwise": True}),
}


@pytest.mark.parametrize("case", CONVS)
def test_convolutions(case: str, difference: Any) -> None:
    shape, out, kernel, options = CONVS[case]
    for seed in range(2):
        exact(difference(*conv(shape, out, kernel, seed=seed, **options)))


@pytest.mark.parametrize("case", ["3x3", "stride 2, odd", "dilated", "depthwise", "depthwise, odd"])
def test_weights_of_4_bits(case: str, difference: Any) -> None:
    """The reference kernels have no depthwise convolution of them."""
    shape, out, kernel, options = CONVS[case]
    profiles = [p for p in PROFILES if p != "reference" or "depthwise" not in options]
    exact(difference(*conv(shape, out, kernel, bits=4, **options), profiles))


@pytest.mark.parametrize("case", ["3x3", "1x1", "depthwise", "depthwise, odd", "grouped"])
def test_activations_of_16_bits(case: str, difference: Any) -> None:
    shape, out, kernel, options = CONVS[case]
    exact(difference(*conv(shape, out, kernel, wide=True, **options)))


def test_sums_of_16_bits_that_are_wider_than_32(difference: Any) -> None:
    """All products of one sign: 64 * 9 * 32767 * 127 is beyond 2**31."""
    module, _ = conv((1, 6, 6, 64), 4, 3, wide=True, sy=40.0)
    exact(difference(module, {"x0": np.full((1, 6, 6, 64), 32767, np.int16)}))


def test_a_scale_that_xnnpack_refuses(difference: Any) -> None:
    """sx sw / sy of 256 and more: the builtin kernels take it."""
    exact(difference(*conv((1, 6, 6, 8), 8, 3, sx=40.0, sy=0.001), PROFILES[1:]))


def product(rows: int, inner: int, out: int, *, per_row: bool = True, act: str = "NONE", bias: bool = True,
            keep: bool = False, bits: int = 8, wide: bool = False) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    s = Single(rows + inner)
    limit = 127 if bits == 8 else 7
    scales = s.rng.uniform(0.001, 0.02, out)
    element, scheme = ("i16", WIDE) if wide else ("i8", ACTIVATION)
    qx = s.quantizer(scheme, 0.04 / (256 if wide else 1))
    qw = s.quantizer(WEIGHT if bits == 8 else WEIGHT4, scales if per_row else float(scales[0]), 0 if per_row else None)
    shape = (2, rows, inner) if keep else (rows, inner)
    operands = [s.argument(shape, element), s.constant(s.rng.integers(-limit, limit + 1, (out, inner)), f"i{bits}")]
    quant = [qx, qw]
    if bias:
        operands.append(s.constant(s.rng.integers(-3000, 3000, out), "i64" if wide else "i32"))
        quant.append(s.product(qx, qw))
    quant.append(s.quantizer(scheme, 0.5 / (256 if wide else 1)))
    module = s.module("FULLY_CONNECTED", operands, (*shape[:-1], out), element, quant,
                      fused_activation_function=act, keep_num_dims=keep)  # fmt: skip
    return module, {"x0": codes(s.rng, shape, element)}


@pytest.mark.parametrize(
    "options",
    [{}, {"per_row": False}, {"act": "RELU", "bias": False}, {"act": "RELU6"}, {"keep": True}, {"wide": True},
     {"wide": True, "per_row": False}],
    ids=str,
)  # fmt: skip
def test_products(options: dict[str, Any], difference: Any) -> None:
    for rows, inner, out in ((4, 64, 10), (17, 33, 9)):
        exact(difference(*product(rows, inner, out, **options)))


@pytest.mark.parametrize("inner", [64, 63])
def test_products_with_4_bits(inner: int, difference: Any) -> None:
    """XNNPACK takes them where rows are whole bytes; TFLite Micro has none."""
    exact(difference(*product(8, inner, 24, bits=4), BUILTIN))


@pytest.mark.parametrize("shapes", [((2, 24, 32), (2, 32, 40)), ((1, 3, 17, 8), (1, 3, 8, 17))])
def test_products_of_activations(shapes: tuple[Any, Any], difference: Any) -> None:
    s = Single()
    a, b = shapes
    quant = [s.quantizer(ACTIVATION, v) for v in (0.0371, 0.0527, 0.35)]
    module = s.module("BATCH_MATMUL", [s.argument(a), s.argument(b)], (*a[:-1], b[-1]), "i8", quant)
    exact(difference(module, {"x0": codes(s.rng, a), "x1": codes(s.rng, b)}))


def binary(record: str, scales: tuple[float, float, float], a: Any, b: Any, act: str, wide: bool = False) -> Any:
    s = Single(len(a))
    element, scheme = ("i16", WIDE) if wide else ("i8", ACTIVATION)
    quant = [s.quantizer(scheme, v / (256 if wide else 1)) for v in scales]
    out = np.broadcast_shapes(a, b)
    module = s.module(record, [s.argument(a, element), s.argument(b, element)], out, element, quant,
                      fused_activation_function=act)  # fmt: skip
    return module, {"x0": codes(s.rng, a, element), "x1": codes(s.rng, b, element)}


SHAPES = [
    ((1, 32, 32, 3), (1, 32, 32, 3)), ((1, 7, 9, 5), (1, 1, 1, 5)), ((3, 37), (1, 37)), ((4, 50, 37), (37,)),
    ((2, 20, 20, 3), (2, 20, 20, 1)), ((20, 30), (1, 1)), ((1, 1), (20, 30)), ((33, 1), (1, 70)),
]  # fmt: skip


@pytest.mark.parametrize("record", ["ADD", "SUB", "MUL"])
def test_sums_and_products_of_elements(record: str, difference: Any) -> None:
    """Scales of one size, and those that XNNPACK leaves to kernels whose vectors wrap at 16 bits."""
    for a, b in SHAPES:
        for scales in ((0.0371, 0.0527, 0.07), (0.9, 0.9, 0.001), (0.001, 0.9, 0.9)):
            exact(difference(*binary(record, scales, a, b, "NONE")))
    for act in ("RELU", "RELU6", "RELU_N1_TO_1"):
        exact(difference(*binary(record, (0.0371, 0.0527, 0.07), *SHAPES[0], act)))
    exact(difference(*binary(record, (0.0371, 0.0527, 0.07), *SHAPES[0], "NONE", wide=True)))


def unary(record: str, shape: Any, sx: float, sy: float, zero: int | None = None, out: Any = None, **more: Any) -> Any:
    s = Single(len(shape))
    quant = [s.quantizer(ACTIVATION, sx), s.quantizer(ACTIVATION, sy, zero=zero)]
    module = s.module(record, [s.argument(shape)], out or shape, "i8", quant, **more)
    return module, {"x0": codes(s.rng, shape)}


@pytest.mark.parametrize("shape", [(1, 32, 32, 1), (1, 7, 9, 5)])
@pytest.mark.parametrize("sx", [0.001, 0.0371, 0.3])
def test_functions_of_one_element(shape: Any, sx: float, difference: Any) -> None:
    exact(difference(*unary("LOGISTIC", shape, sx, 1 / 256, -128)))
    exact(difference(*unary("TANH", shape, sx, 1 / 128, 0)))
    for alpha in (0.1, 0.001):
        exact(difference(*unary("LEAKY_RELU", shape, sx, sx * 0.7, alpha=alpha)))
    for ratio in (0.7, 1.0, 1.7, 0.001, 900.0):
        exact(difference(*unary("QUANTIZE", shape, sx, sx * ratio)))
    for approximate in (False, True):
        exact(difference(*unary("GELU", shape, sx, sx * 0.8, approximate=approximate), BUILTIN))


@pytest.mark.parametrize(("shape", "sx"), [((64, 64), 0.006), ((5, 10), 0.3), ((3, 500), 0.05), ((1, 2, 7, 33), 0.05)])
def test_softmax(shape: Any, sx: float, difference: Any) -> None:
    exact(difference(*unary("SOFTMAX", shape, sx, 1 / 256, -128)))


@pytest.mark.parametrize(
    ("shape", "axes", "out"),
    [((1, 12, 12, 16), (1, 2), (1, 16)), ((2, 7, 5, 3), (1, 2), (2, 3)), ((2, 7, 20), (2,), (2, 7)),
     ((2, 7, 20), (1,), (2, 20)), ((1, 13, 13, 100), (1, 2), (1, 100)), ((1, 7, 7, 40), (1, 2), (1, 40))],
)  # fmt: skip
def test_means(shape: Any, axes: Any, out: Any, difference: Any) -> None:
    for ratio in (1.0, 0.4, 0.9):
        exact(difference(*unary("MEAN", shape, 0.05, 0.05 * ratio, axes=axes, out=out)))


@pytest.mark.parametrize("record", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize(
    ("shape", "side", "stride", "padding", "out"),
    [((1, 9, 11, 17), 3, 2, "SAME", (1, 5, 6, 17)), ((2, 8, 8, 5), 2, 2, "VALID", (2, 4, 4, 5))],
)
def test_pooling(record: str, shape: Any, side: int, stride: int, padding: str, out: Any, difference: Any) -> None:
    s = Single()
    q = s.quantizer(ACTIVATION, 0.05)
    module = s.module(record, [s.argument(shape)], out, "i8", [q, q], padding=padding, stride_h=stride,
                      stride_w=stride, filter_height=side, filter_width=side)  # fmt: skip
    exact(difference(module, {"x0": codes(s.rng, shape)}))


WAYS = ({}, {"half_pixel_centers": True}, {"align_corners": True})
SIZES = [((9, 7), (18, 14)), ((6, 4), (9, 7)), ((13, 17), (5, 8)), ((16, 16), (16, 31))]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(("old", "new"), [*SIZES, ((7, 3), (300, 1)), ((1, 5), (3, 517))])
def test_copies_of_pixels(old: Any, new: Any, way: Any, difference: Any) -> None:
    for element, scheme in (("i8", ACTIVATION), ("i16", WIDE)):
        exact(difference(*resize("RESIZE_NEAREST_NEIGHBOR", old, new, element, scheme, way)))


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_codes_between_pixels(old: Any, new: Any, way: Any, difference: Any) -> None:
    exact(difference(*resize("RESIZE_BILINEAR", old, new, "i8", ACTIVATION, way)))
    exact(difference(*resize("RESIZE_BILINEAR", old, new, "i16", WIDE, way), BUILTIN))


def resize(record: str, old: Any, new: Any, element: str, scheme: str, way: Any) -> tuple[Any, dict[str, Any]]:
    s = Single(1)
    q, shape = s.quantizer(scheme, 0.1), (2, *old, 5)
    module = s.module(record, [s.argument(shape, element)], (2, *new, 5), element, [q, q], size=new, **way)
    return module, {"x0": codes(s.rng, shape, element)}


@pytest.mark.parametrize("shape", [(1, 32, 32, 1), (3, 7, 5)])
@pytest.mark.parametrize("scale", [0.0371, 0.3, 1.0])
def test_floats_to_codes_and_back(shape: Any, scale: float, difference: Any) -> None:
    """Half of the numbers lie between two codes."""
    s = Single()
    numbers = (s.rng.integers(-2000, 2000, shape) * np.float32(0.125) * np.float32(scale)).astype(np.float32)
    for element, scheme in (("i8", ACTIVATION), ("i16", WIDE)):
        s = Single()
        q = s.quantizer(scheme, scale)
        module = s.module("QUANTIZE", [s.argument(shape, "f32")], shape, element, [None, q])
        exact(difference(module, {"x0": numbers}))
        s = Single()
        q = s.quantizer(scheme, scale)
        module = s.module("DEQUANTIZE", [s.argument(shape, element)], shape, "f32", [q, None])
        exact(difference(module, {"x0": codes(s.rng, shape, element)}))


def test_products_of_floats_by_codes(difference: Any) -> None:
    """Rows are quantized at run time, and equal but for float32's last digits; a number that rounds the other way
    would move its row by a hundredth."""
    s = Single(3)
    qw = s.quantizer(WEIGHT, s.rng.uniform(0.001, 0.02, 24), axis=0)
    operands = [s.argument((16, 40), "f32"), s.constant(s.rng.integers(-127, 128, (24, 40)), "i8"),
                s.constant(s.rng.normal(size=24), "f32")]  # fmt: skip
    module = s.module("FULLY_CONNECTED", operands, (16, 24), "f32", [None, qw, None, None],
                      asymmetric_quantize_inputs=True)  # fmt: skip
    found = difference(module, {"x0": s.rng.normal(size=(16, 40)).astype(np.float32)}, BUILTIN)
    assert all(most < 1e-5 for _, most in found.values())


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("equal", [False, True])
def test_convolutions_of_floats_by_codes(kernel: int, equal: bool, difference: Any) -> None:
    s = Single(kernel)
    scales = np.full(8, 0.01) if equal else s.rng.uniform(0.001, 0.02, 8)
    qw = s.quantizer(WEIGHT, scales, axis=0)
    operands = [s.argument((1, 9, 9, 16), "f32"), s.constant(s.rng.integers(-127, 128, (8, kernel, kernel, 16)), "i8"),
                s.constant(s.rng.normal(size=8), "f32")]  # fmt: skip
    module = s.module("CONV_2D", operands, (1, 9, 9, 8), "f32", [None, qw, None, None], padding="SAME")
    found = difference(module, {"x0": s.rng.normal(size=(1, 9, 9, 16)).astype(np.float32)}, BUILTIN)
    assert all(most < 2e-5 for _, most in found.values())
