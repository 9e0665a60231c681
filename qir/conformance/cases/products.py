"""Convolutions, and products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qir.conformance.cases.table import add
from qir.conformance.net import Net


def conv(
    label: str, c_in: int, c_out: int, kernel: Sequence[int], size: Sequence[int] = (9, 7), *, bias: bool = True,
    op: str = "Conv", fuses: bool = False, **attributes: Any,
) -> None:  # fmt: skip
    """A Conv or ConvTranspose from `c_in` to `c_out` channels on one image of `size`."""
    group = attributes.get("group", 1)
    channels = (c_out, c_in // group) if op == "Conv" else (c_in, c_out // group)

    def build(net: Net, op: str) -> str:
        x = net.data(1, c_in, *size)
        weight = net.weight(*channels, *kernel, axis=0 if op == "Conv" else 1)
        return net.op(op, x, weight, *([net.bias(c_out)] if bias else []), kernel_shape=list(kernel), **attributes)

    add(op, label, build, weights=True, fuses=fuses)


conv("3x3", 8, 16, (3, 3), pads=[1] * 4, fuses=True)
conv("3x3 of 3 channels, stride 2", 3, 16, (3, 3), pads=[1] * 4, strides=[2, 2])
conv("3x3, stride 2, pads on two sides", 8, 8, (3, 3), pads=[0, 0, 1, 1], strides=[2, 2])
conv("3x3, asymmetric pads", 8, 8, (3, 3), pads=[0, 2, 1, 1])
conv("3x3, no pads, no bias", 8, 8, (3, 3), bias=False)
conv("3x3, dilation 2", 8, 8, (3, 3), pads=[2] * 4, dilations=[2, 2])
conv("5x3", 8, 8, (5, 3), pads=[2, 1, 2, 1])
conv("3x3, 64 channels", 64, 16, (3, 3), pads=[1] * 4)
conv("3x3, auto_pad", 8, 8, (3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
conv("1x1", 16, 32, (1, 1))
conv("1x1, odd channels", 5, 7, (1, 1))
conv("1x1, stride 2", 8, 8, (1, 1), strides=[2, 2])
conv("1x1 on one pixel", 16, 10, (1, 1), (1, 1))
conv("depthwise 3x3", 16, 16, (3, 3), pads=[1] * 4, group=16, fuses=True)
conv("depthwise 3x3, stride 2, odd channels", 5, 5, (3, 3), pads=[1] * 4, strides=[2, 2], group=5)
conv("depthwise 5x5, asymmetric pads, no bias", 8, 8, (5, 5), pads=[1, 2, 2, 3], group=8, bias=False)
conv("depthwise 3x3, multiplier 2", 4, 8, (3, 3), pads=[1] * 4, group=4)
conv("grouped 3x3", 8, 16, (3, 3), pads=[1] * 4, group=2)
conv("grouped 1x1", 32, 16, (1, 1), group=4)
conv("1-d", 8, 16, (3,), (40,), pads=[1, 1])
conv("1-d depthwise", 8, 8, (3,), (40,), pads=[2, 0], group=8)

UP: dict[str, Any] = {"op": "ConvTranspose", "strides": [2, 2]}
conv("2x2, stride 2", 8, 8, (2, 2), (6, 5), fuses=True, **UP)
conv("4x4, stride 2, pads", 8, 8, (4, 4), (6, 5), pads=[1] * 4, **UP)
conv("3x3, output padding", 4, 8, (3, 3), (6, 5), pads=[1] * 4, output_padding=[1, 1], **UP)
conv("depthwise 4x4, no bias", 8, 8, (4, 4), (6, 5), group=8, bias=False, **UP)


def gemm(
    label: str, rows: int, k: int, n: int, *, bias: tuple[int, ...] | None = None, fuses: bool = False,
    **attributes: Any,
) -> None:  # fmt: skip
    """A Gemm of `rows` × `k` by a constant of `k` × `n`."""
    transposed = bool(attributes.get("transB"))

    def build(net: Net, op: str) -> str:
        x = net.data(*((k, rows) if attributes.get("transA") else (rows, k)))
        weight = net.weight(n, k, axis=0) if transposed else net.weight(k, n, axis=1)
        return net.op(op, x, weight, *([net.numbers(*bias, scale=0.3)] if bias is not None else []), **attributes)

    add("Gemm", label, build, weights=True, fuses=fuses)


gemm("transB", 12, 32, 24, bias=(24,), transB=1, fuses=True)
gemm("one row", 1, 64, 10, bias=(10,), transB=1)
gemm("not transposed", 12, 32, 24, bias=(24,))
gemm("no bias", 12, 32, 24, transB=1)
gemm("odd sizes", 5, 13, 7, bias=(7,), transB=1)
gemm("long sums", 4, 1200, 8, bias=(8,), transB=1)
gemm("alpha", 12, 32, 24, bias=(24,), transB=1, alpha=0.5)
gemm("beta", 12, 32, 24, bias=(24,), transB=1, beta=0.5)
gemm("transA", 12, 32, 24, bias=(24,), transA=1)
gemm("bias of one row", 12, 32, 24, bias=(1, 24), transB=1)


def product(label: str, a: tuple[int, ...], b: tuple[int, ...], constant: str = "B", fuses: bool = False) -> None:
    """A MatMul of which the operand `constant` is one ("": of two activations)."""

    def build(net: Net, op: str) -> str:
        left = net.weight(*a, axis=len(a) - 2) if constant == "A" else net.data(*a)
        return net.op(op, left, net.weight(*b, axis=len(b) - 1) if constant == "B" else net.data(*b, high=1.5))

    add("MatMul", label, build, weights=bool(constant), fuses=fuses)


product("2-d", (12, 32), (32, 24), fuses=True)
product("3-d by a matrix", (1, 12, 32), (32, 24))
product("3-d by a matrix, odd sizes", (1, 5, 13), (13, 7))
product("3-d by a stack of matrices", (3, 6, 16), (3, 16, 8))
product("long sums", (4, 1200), (1200, 8))
product("constant on the left", (12, 32), (32, 24), "A")
product("two activations, 3-d", (2, 9, 16), (2, 16, 12), "")
product("two activations, 4-d", (1, 2, 9, 16), (1, 2, 16, 12), "")

add("Einsum", "a product", lambda net, op: net.op(op, net.data(1, 12, 16), net.weight(16, 8, axis=1),
                                                 equation="abc,cd->abd"), weights=True)  # fmt: skip
