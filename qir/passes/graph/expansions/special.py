"""Special cases of operators that targets have, in a form that all of these take. A pipeline names them."""

from __future__ import annotations

import math
from typing import Any

from qir.ir import TensorType, Value, is_absent
from qir.passes.graph.expansions.formula import Maker, expands
from qir.passes.graph.operations import kept_attributes
from qir.rewrite import constant_array


@expands("Mul", "square-as-power")
def square_as_power(m: Maker) -> Value | None:
    """x · x = x², for chips that take a product of a layer's result for a scale of that layer"""
    return m("Pow", m.x, 2.0) if m.x is m.op.operands[1] else None


@expands("DepthToSpace", "depth-to-space-crd")
def depth_to_space_crd(m: Maker) -> Value | None:
    """CRD(x) = DCR(gather(x, channels in DCR's order))"""
    import numpy as np

    block, channels = int(m.attr("blocksize", 1)), m.sizes[1]
    if m.attr("mode", "DCR") != "CRD" or channels is None:
        return None
    order = np.arange(channels).reshape(channels // block**2, block**2).T.reshape(-1)
    gathered = m("Gather", m.x, m.constant(order, "int64"), type=m.tensor, axis=1)
    return m("DepthToSpace", gathered, blocksize=block, mode="DCR")


@expands("Pad", "pad-edge")
def pad_edge(m: Maker) -> Value | None:
    """pad(x, mode edge) = gather(x, [0, …, 0, 1, …, n - 1, …, n - 1]), along each axis that is padded"""
    import numpy as np

    operand = m.given(1)
    pads = m.attr("pads", None) if operand is None else constant_array(operand)
    if m.attr("mode", "constant") != "edge" or pads is None or m.given(3) is not None or min(pads) < 0:
        return None
    x, shape = m.x, list(m.sizes)
    for axis, size in enumerate(m.sizes):
        before, behind = int(pads[axis]), int(pads[axis + len(shape)])
        if before + behind == 0:
            continue
        if size is None:
            return None
        shape[axis] = size + before + behind
        order = np.clip(np.arange(-before, size + behind), 0, size - 1)
        x = m("Gather", x, m.constant(order, "int64"), type=m.tensor.with_shape(tuple(shape)), axis=axis)
    return x


@expands("Gather", "gather-of-convolution")
def gather_of_convolution(m: Maker) -> Value | None:
    """gather(conv(x, w, b), i, axis 1) = conv(x, gather(w, i), gather(b, i)), for a convolution read here alone"""
    conv, order = m.x.defining_op, constant_array(m.op.operands[1])
    if conv is None or conv.name != "onnx.Conv" or not m.x.has_one_use() or order is None or order.ndim != 1:
        return None
    arrays = [None if is_absent(v) else constant_array(v) for v in conv.operands[1:]]
    if m.attr("axis", 0) != 1 or conv.attr("group", 1) != 1 or any(a is None for a in arrays):
        return None
    turned = [m.constant(a[order]) for a in arrays if a is not None]
    given: dict[str, Any] = dict(kept_attributes(conv))
    return m("Conv", conv.operands[0], *turned, **given)


def _in_two_dimensions(m: Maker) -> Value | None:
    """op(x [N, C, L]) = squeeze(op(unsqueeze(x, 2), …), 2)"""
    if len(m.sizes) != 3 or m.attr("auto_pad", "NOTSET") != "NOTSET":
        return None
    result = m.op.results[0].type
    assert isinstance(result, TensorType) and result.shape is not None
    weights: list[Value] = []
    for value in m.op.operands[1:]:
        array = constant_array(value)
        if not is_absent(value) and array is None:
            return None
        if array is not None:
            weights.append(m.constant(array[:, :, None]) if array.ndim == 3 else value)
    given: dict[str, Any] = dict(kept_attributes(m.op))
    given |= {k: [1, *m.attr(k, ())] for k in ("kernel_shape", "strides", "dilations") if k in given}
    begin, end = m.attr("pads", (0, 0))
    given["pads"] = [0, begin, 0, end]
    n, c, length = m.sizes
    image = m.reshape(m.x, [0, 0, 1, -1], [n, c, 1, length])
    tall = result.with_shape((*result.shape[:2], 1, result.shape[2]))
    name = m.op.name.removeprefix("onnx.")
    return m.reshape(m(name, image, *weights, type=tall, **given), [0, 0, -1], result.shape)


for _name in ("Conv", "MaxPool", "AveragePool"):
    expands(_name, f"{_name.lower()}-in-two-dimensions")(_in_two_dimensions)


@expands("Add", "bias-of-product")
def bias_of_product(m: Maker) -> Value | None:
    """matmul(x, w) + b = reshape(gemm(reshape(x, [-1, k]), w, b)), for constants w [k, n] and b [n] and a product that
    is read here alone"""
    operands = m.op.operands
    for product, other in (operands, operands[::-1]):
        matmul, bias = product.defining_op, constant_array(other)
        if matmul is None or matmul.name != "onnx.MatMul" or not product.has_one_use() or bias is None:
            continue
        x, w = matmul.operands[0], constant_array(matmul.operands[1])
        sizes = x.type.shape if isinstance(x.type, TensorType) else None
        if w is None or w.ndim != 2 or bias.shape != w.shape[1:] or sizes is None or len(sizes) < 3:
            continue
        if sizes[:-1].count(None) > 1:
            continue
        count = None if None in sizes[:-1] else math.prod(n or 0 for n in sizes[:-1])
        rows = m.reshape(x, [-1, len(w)], [count, len(w)])
        type = m.tensor.with_shape((count, len(bias)))
        y = m("Gemm", rows, matmul.operands[1], other, type=type)
        return m.reshape(y, [*(-1 if n is None else n for n in sizes[:-1]), len(bias)], (*sizes[:-1], len(bias)))
    return None
