"""Functions of one number, operators of several activations, pools, reductions, normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qir.conformance.cases.table import add, apply
from qir.conformance.net import Net

IMAGE, ROWS = (1, 8, 9, 7), (1, 12, 16)

# ---------------------------------------------------------------- functions of one number
UNARY = (
    "Sigmoid Tanh Relu HardSigmoid HardSwish Elu Celu Selu Softplus Softsign Erf Mish Exp Abs Neg Floor Ceil Sin Cos"
)
apply(f"{UNARY} Gelu LeakyRelu", "an image", IMAGE)
apply(f"{UNARY} Gelu LeakyRelu", "rows", ROWS)
apply("Sigmoid Tanh Exp", "a wide range", IMAGE, low=-12.0, high=12.0)
apply("Sqrt Log Reciprocal", "an image", IMAGE, low=0.1, high=4.0)
apply("Sqrt Log Reciprocal", "rows", ROWS, low=0.1, high=4.0)
apply("Gelu", "by tanh", ROWS, approximate="tanh")
apply("LeakyRelu", "slope 0.3", IMAGE, alpha=0.3)
apply("ThresholdedRelu", "an image", IMAGE, alpha=0.5)
apply("Swish", "an image", IMAGE, opset=24)
apply("PRelu", "one slope", ROWS, [0.2])
apply("PRelu", "a slope per channel", IMAGE, [[[0.05 * c]] for c in range(8)])
for bounds in ((0.0, 6.0), (-1.0, 1.0), (0.0, 1.5)):
    apply("Clip", "{:g} to {:g}".format(*bounds), IMAGE, *bounds)


# ---------------------------------------------------------------- several activations
def pair(
    ops: str, label: str, a: tuple[int, ...], b: tuple[int, ...] | None, constant: bool = False, fuses: bool = False
) -> None:
    """Operators of two activations (`b` None: of one, twice), or of one and a constant."""

    def build(net: Net, op: str) -> str:
        low, high = (0.5, 3.0) if op in ("Div", "Pow") else (-3.0, 1.2)
        x = net.data(*a, low=0.1 if op == "Pow" else -3.0)
        if b is None:
            y = x
        elif constant:
            y = net.constant(net.rng.uniform(low, high, b))
        else:
            y = net.data(*b, low=low, high=high)
        return net.op(op, x, y)

    add(ops, label, build, fuses=fuses)


ARITHMETIC = "Add Sub Mul Div"
pair(ARITHMETIC, "same shape", IMAGE, IMAGE, fuses=True)
pair(ARITHMETIC, "same shape, odd channels", (1, 5, 9, 7), (1, 5, 9, 7))
pair(ARITHMETIC, "rows", ROWS, ROWS)
pair(ARITHMETIC, "broadcast along the image", IMAGE, (1, 8, 1, 1))
pair(f"{ARITHMETIC} Pow", "a constant per channel", IMAGE, (8, 1, 1), constant=True)
pair(f"{ARITHMETIC} Max Min", "a constant number", IMAGE, (), constant=True)
pair("Add Mul", "with itself", IMAGE, None)
pair("Max Min Sum Mean Pow", "same shape", IMAGE, IMAGE)
apply("Pow", "square", IMAGE, 2.0)


def concat(
    label: str, shapes: Sequence[tuple[int, ...]], axis: int, highs: Sequence[float], fuses: bool = False
) -> None:
    """A Concat of activations, each from -high to high."""

    def build(net: Net, op: str) -> str:
        values = [net.data(*shape, low=-high, high=high) for shape, high in zip(shapes, highs, strict=True)]
        return net.op(op, *values, axis=axis)

    add("Concat", label, build, fuses=fuses)


concat("2 of one range", [IMAGE, IMAGE], 1, (3.0, 3.0), fuses=True)
concat("2 of different ranges", [IMAGE, (1, 4, 9, 7)], 1, (3.0, 1.2))
concat("3 of different ranges, odd channels", [(1, 5, 9, 7), IMAGE, (1, 3, 9, 7)], 1, (3.0, 1.2, 2.1))
concat("along the image", [IMAGE, (1, 8, 4, 7)], 2, (3.0, 1.2))
concat("rows, last axis", [(1, 12, 8), (1, 12, 4)], -1, (3.0, 1.2))
add("Where", "a mask of rows", lambda net, op: net.op(
    op, net.constant(net.rng.random((12, 16)) < 0.5), net.data(*ROWS), net.constant(-10000.0)))  # fmt: skip

# ---------------------------------------------------------------- pools
POOLS = "AveragePool MaxPool"
apply(POOLS, "2x2, stride 2", (1, 8, 8, 6), kernel_shape=[2, 2], strides=[2, 2], fuses=True)
apply(POOLS, "3x3, stride 2, pads", (1, 16, 9, 7), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
apply(POOLS, "3x3, stride 1, pads", (1, 5, 9, 7), kernel_shape=[3, 3], pads=[1] * 4)
apply(POOLS, "2x2, asymmetric pads", IMAGE, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1])
apply(POOLS, "3x3, stride 2, ceil", (1, 8, 8, 6), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
apply(POOLS, "3x2", IMAGE, kernel_shape=[3, 2], strides=[1, 2])
apply(POOLS, "the whole image", IMAGE, kernel_shape=[9, 7])
apply(POOLS, "1-d", (1, 8, 40), kernel_shape=[4], strides=[2])
apply("AveragePool", "3x3, pads counted", IMAGE, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
apply("MaxPool", "3x3, dilation 2", IMAGE, kernel_shape=[3, 3], dilations=[2, 2])
GLOBAL = "GlobalAveragePool GlobalMaxPool"
apply(GLOBAL, "8 channels", IMAGE, fuses=True)
apply(GLOBAL, "odd channels", (1, 5, 6, 7))
apply(GLOBAL, "32 channels, a square", (1, 32, 4, 4))

# ---------------------------------------------------------------- reductions
REDUCTIONS = "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp"
apply(REDUCTIONS, "the image, dimensions kept", IMAGE, [2, 3], keepdims=1)
apply(REDUCTIONS, "the image", (1, 5, 6, 7), [2, 3], keepdims=0)
apply(REDUCTIONS, "rows", ROWS, [-1], keepdims=1)
apply(REDUCTIONS, "channels", IMAGE, [1], keepdims=1)
apply("ArgMax ArgMin", "channels", IMAGE, axis=1)
apply("ArgMax ArgMin", "rows", ROWS, axis=-1, keepdims=0)
apply("CumSum", "rows", ROWS, 1)

# ---------------------------------------------------------------- softmax, normalization
SOFT = "Softmax LogSoftmax"
apply(SOFT, "rows", ROWS, axis=-1)
apply(SOFT, "a matrix, odd", (5, 13), axis=-1)
apply(SOFT, "a wide range", ROWS, low=-12.0, high=12.0, axis=-1)
apply(SOFT, "channels of an image", IMAGE, axis=1)
apply(SOFT, "4-d, last axis", (1, 2, 9, 11), axis=-1)


def normalize(
    op: str, label: str, shape: tuple[int, ...], size: int, bias: bool = True, opset: int = 21, **attributes: Any
) -> None:
    """A normalization with a gain and a bias of `size` numbers."""

    def build(net: Net, op: str) -> str:
        gain = net.constant(net.rng.uniform(0.5, 1.5, size))
        return net.op(op, net.data(*shape), gain, *([net.bias(size)] if bias else []), **attributes)

    add(op, label, build, opset=opset, flat=False)


normalize("LayerNormalization", "rows", ROWS, 16)
normalize("LayerNormalization", "rows, odd, no bias", (1, 5, 13), 13, bias=False)
normalize("InstanceNormalization", "an image", IMAGE, 8)
normalize("GroupNormalization", "2 groups", IMAGE, 8, num_groups=2)
normalize("RMSNormalization", "rows", ROWS, 16, bias=False, opset=23)
add("BatchNormalization", "an image", lambda net, op: net.op(
    op, net.data(*IMAGE), net.constant(net.rng.uniform(0.5, 1.5, 8)), net.bias(8), net.bias(8),
    net.constant(net.rng.uniform(0.5, 1.5, 8))))  # fmt: skip
apply("LRN", "size 3", IMAGE, size=3)
apply("LpNormalization", "rows", ROWS, axis=-1)
apply("MeanVarianceNormalization", "an image", IMAGE, flat=False)
