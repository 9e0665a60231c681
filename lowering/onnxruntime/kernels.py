"""What the interpreter runs for the ``onnxruntime`` dialect: `semantics`, with each operation's attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.kernels.conv import Window, window_of
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import integer_range, torch_dtype
from qir.ir import IntegerType, TensorType
from qir.lowering.onnxruntime import semantics

__all__ = ["codes_range", "pooled_sizes"]


@kernel("onnxruntime.QuantizeLinear", fresh=True)
def _quantize_linear(node: Node) -> Kernel:
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    element = _result_element(node)
    dtype = torch_dtype(element)
    bounds = integer_range(element) if isinstance(element, IntegerType) else None

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        return semantics.quantize_linear(x, scale, zero, dtype, axis, block, bounds)

    return run


@kernel("onnxruntime.DequantizeLinear", fresh=True)
def _dequantize_linear(node: Node) -> Kernel:
    axis, block = node.attr("axis", 1), node.attr("block_size", 0)
    return lambda x, scale, zero=None: semantics.dequantize_linear(x, scale, zero, axis, block)


@kernel("onnxruntime.DynamicQuantizeLinear", fresh=True)
def _dynamic_quantize_linear(node: Node) -> Kernel:
    return semantics.dynamic_quantize_linear


def _constants(node: Node, *indices: int) -> list[Tensor] | None:
    """Operands that are all known when the plan is made; None if one is not."""
    found = [node.constant(i) for i in indices]
    return None if any(v is None for v in found) else found


@kernel("onnxruntime.QLinearConv", fresh=True)
def _qlinear_conv(node: Node) -> Kernel:
    group = node.attr("group", 1)
    known = _constants(node, 1, 2, 3, 4, 5, 6, 7, *((8,) if node.has(8) else ()))
    if known is None:

        def run(*tensors: Any) -> Tensor:
            window = window_of(node, tensors[3].shape[2:])
            pads = window.pads_for(tensors[0].shape[2:])
            return semantics.qlinear_conv(
                *tensors, strides=window.strides, pads=pads, dilations=window.dilations, group=group
            )

        return run
    x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = known[:7]
    bias = known[7] if len(known) > 7 else None
    window = window_of(node, w.shape[2:])
    factor = semantics.multiplier(x_scale.reshape(()), w_scale, over=y_scale.reshape(()))
    factor = semantics.channels(factor, w.dim())
    plans: dict[tuple[int, ...], Any] = {}

    def run_planned(x: Tensor, *_: Any) -> Tensor:
        pads = window.pads_for(x.shape[2:])
        plan = plans.get(pads)
        if plan is None:
            plan = plans[pads] = integer_conv(
                w, x_zero=int(x_zero), x_range=codes_range(x.dtype), weight_zero=w_zero, bias=bias,
                strides=window.strides, pads=pads, dilations=window.dilations, groups=group,
            )  # fmt: skip
        return semantics.requantize(plan(x), factor, y_zero)

    return run_planned


def codes_range(dtype: torch.dtype) -> tuple[int, int]:
    """The smallest and the largest code of an 8-bit type."""
    info = torch.iinfo(dtype)
    return int(info.min), int(info.max)


def _planned_product(node: Node, b: int, b_zero: int, a_zero: int, bias: Tensor | None, trans: bool) -> Any:
    """A product with a constant matrix, planned once; None where an operand is not known or is no matrix."""
    known = _constants(node, b, b_zero, a_zero)
    if known is None or known[0].dim() != 2 or known[2].numel() != 1 or (bias is not None and bias.dim() > 1):
        return None
    matrix = known[0].transpose(0, 1) if trans else known[0]
    plans: dict[torch.dtype, Any] = {}
    zero = known[1] if known[1].numel() > 1 else int(known[1])

    def product(a: Tensor) -> Tensor:
        plan = plans.get(a.dtype)
        if plan is None:
            plan = plans[a.dtype] = integer_matmul(
                matrix, x_zero=int(known[2]), x_range=codes_range(a.dtype), weight_zero=zero, bias=bias
            )
        sums: Tensor = plan(a)
        return sums

    return product


@kernel("onnxruntime.QLinearMatMul", fresh=True)
def _qlinear_matmul(node: Node) -> Kernel:
    product, known = _planned_product(node, 3, 5, 2, None, False), _constants(node, 1, 4, 6, 7)
    if product is None or known is None:
        return semantics.qlinear_matmul
    a_scale, b_scale, y_scale, y_zero = known
    factor = semantics.multiplier(a_scale.reshape(()), b_scale, over=y_scale.reshape(()))
    return lambda a, *_: semantics.requantize(product(a), factor, y_zero)


@kernel("onnxruntime.MatMulIntegerToFloat", "com.microsoft.MatMulIntegerToFloat", fresh=True)
def _matmul_integer_to_float(node: Node) -> Kernel:
    product, known = _planned_product(node, 1, 5, 4, None, False), _constants(node, 2, 3)
    if product is None or known is None or node.has(6):
        return semantics.matmul_integer_to_float
    factor = semantics.multiplier(*known)
    return lambda a, *_: product(a).to(torch.float32) * factor


@kernel("onnxruntime.QGemm", "com.microsoft.QGemm", fresh=True)
def _q_gemm(node: Node) -> Kernel:
    alpha, trans_a, trans_b = node.attr("alpha", 1.0), bool(node.attr("transA", 0)), bool(node.attr("transB", 0))
    bias = node.constant(6)
    product, known = _planned_product(node, 3, 5, 2, bias, trans_b), _constants(node, 1, 4)
    output = _constants(node, 7, 8) if node.has(8) else []
    if product is None or known is None or output is None or (node.has(6) and bias is None):
        return lambda *tensors: semantics.q_gemm(*tensors, alpha=alpha, trans_a=trans_a, trans_b=trans_b)
    factor = semantics.gemm_multiplier(alpha, known[0], known[1], output[0] if output else None)

    def run(a: Tensor, *_: Any) -> Tensor:
        sums = product(a.transpose(0, 1) if trans_a else a)
        return semantics.requantize(sums, factor, output[1]) if output else sums.to(torch.float32) * factor

    return run


@kernel("onnxruntime.QLinearAdd", "com.microsoft.QLinearAdd", fresh=True)
def _qlinear_add(node: Node) -> Kernel:
    return semantics.qlinear_add


@kernel("onnxruntime.QLinearMul", "com.microsoft.QLinearMul", fresh=True)
def _qlinear_mul(node: Node) -> Kernel:
    return semantics.qlinear_mul


@kernel("onnxruntime.QLinearSigmoid", "com.microsoft.QLinearSigmoid", fresh=True)
def _qlinear_sigmoid(node: Node) -> Kernel:
    return semantics.qlinear_sigmoid


@kernel("onnxruntime.QLinearLeakyRelu", "com.microsoft.QLinearLeakyRelu", fresh=True)
def _qlinear_leaky_relu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 0.01)
    return lambda *tensors: semantics.qlinear_leaky_relu(*tensors, alpha=alpha)


@kernel("onnxruntime.QLinearSoftmax", "com.microsoft.QLinearSoftmax", fresh=True)
def _qlinear_softmax(node: Node) -> Kernel:
    opset = node.attr("opset")
    axis = node.attr("axis", 1 if opset < 13 else -1)
    return lambda *tensors: semantics.qlinear_softmax(*tensors, axis=axis, opset=opset)


@kernel("onnxruntime.QLinearConcat", "com.microsoft.QLinearConcat", fresh=True)
def _qlinear_concat(node: Node) -> Kernel:
    axis = node.attr("axis")
    return lambda *tensors: semantics.qlinear_concat(*tensors, axis=axis)


@kernel("onnxruntime.QLinearWhere", "com.microsoft.QLinearWhere", fresh=True)
def _qlinear_where(node: Node) -> Kernel:
    return semantics.qlinear_where


@kernel("onnxruntime.QLinearGlobalAveragePool", "com.microsoft.QLinearGlobalAveragePool", fresh=True)
def _qlinear_global_average_pool(node: Node) -> Kernel:
    last = bool(node.attr("channels_last", 0))
    return lambda *tensors: semantics.qlinear_global_average_pool(*tensors, channels_last=last)


@kernel("onnxruntime.QLinearAveragePool", "com.microsoft.QLinearAveragePool", fresh=True)
def _qlinear_average_pool(node: Node) -> Kernel:
    window = window_of(node, node.ints("kernel_shape") or ())
    ceil, include = bool(node.attr("ceil_mode", 0)), bool(node.attr("count_include_pad", 0))
    last = bool(node.attr("channels_last", 0))

    def run(x: Tensor, *parameters: Any) -> Tensor:
        x = x.movedim(-1, 1) if last else x
        pads = window.pads_for(x.shape[2:])
        y = semantics.qlinear_average_pool(
            x, *parameters, kernel=window.kernel, strides=window.strides, pads=pads,
            output=pooled_sizes(x.shape[2:], window, pads, ceil), count_include_pad=include,
        )  # fmt: skip
        return y.movedim(1, -1) if last else y

    return run


def pooled_sizes(sizes: Sequence[int], window: Window, pads: Sequence[int], ceil: bool) -> list[int]:
    """Spatial sizes of a pooling's result; with `ceil` no window starts in the end padding."""
    found = []
    for i, size in enumerate(sizes):
        stride, begin = window.strides[i], pads[i]
        room = size + begin + pads[i + window.rank] - window.kernel[i]
        count = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (count - 1) * stride >= size + begin:
            count -= 1
        found.append(count)
    return found


def _result_element(node: Node) -> Any:
    type = node.op.results[0].type
    assert isinstance(type, TensorType)
    return type.element
