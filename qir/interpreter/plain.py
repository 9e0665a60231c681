"""Kernels that many chips have: sums of products in integers, their way to the result's codes, codes at the edges.

A record's kernel is put together from these::

    @kernel("npu.Conv", fresh=True)
    def _conv(node):
        return requantized(node, conv_sums(node), "shift")

They read the record's parameters under the names that are given here, and the quantizers that its `quant` names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import integer_conv, integer_matmul
from qir.interpreter.node import Node
from qir.interpreter.quantizers import Quantization
from qir.interpreter.registry import Kernel, kernel
from qir.ir import Operation
from qir.ir.records import RecordOp
from qir.numerics import decode, encode, storage_dtype
from qir.numerics.fixed_point import rescale

__all__ = ["clamp_codes", "conv_sums", "delegated", "dequantized", "known", "product_sums", "quantized", "requantized"]


def known(node: Node, index: int) -> Quantization:
    """`node.quantization(index)` of a value that must be codes. Raises QirError where the record names no quantizer."""
    found = node.quantization(index)
    if found is None:
        raise node.error("names no quantizer for a value that its kernel takes for codes", "fill in its `quant`")
    return found


def quantized(node: Node) -> Kernel:
    """float -> codes of the result's quantizer."""
    q = known(node, len(node.operands))
    return lambda x: encode(x, q.scheme, q.scale, q.zero)


def dequantized(node: Node) -> Kernel:
    """Codes of the operand's quantizer -> float32."""
    q = known(node, 0)
    return lambda codes: decode(codes, q.scheme, q.scale, q.zero)


def delegated(
    name: str,
    op_type: str,
    operands: Sequence[int] | Callable[[Node], Sequence[int | Tensor]] | None = None,
    **attributes: str | Callable[[Node], Any],
) -> None:
    """Register for the record `name` the kernel of an ONNX operator. For records on floats, and those that move codes.

    The operator gets these of its attributes: the record's parameter of that name (``kernel_shape="kernel"``), or what
    a function makes of the node. `operands` are those of `as_onnx`, or a function that gives them.
    """

    @kernel(name)
    def build(node: Node) -> Kernel:
        given = {key: node.parameter(v) if isinstance(v, str) else v(node) for key, v in attributes.items()}
        return as_onnx(node, op_type, operands(node) if callable(operands) else operands, **given)


# ---------------------------------------------------------------- sums
def _constants(node: Node) -> tuple[Tensor, dict[str, Any]]:
    """The weight's codes, and what the integer operations must know beside them."""
    weight = node.constant(1)
    if weight is None or (node.has(2) and node.constant(2) is None):
        raise node.error("has a weight or bias that is no constant", "the data sheet asks for it: Weight, Bias")
    x, w = known(node, 0), known(node, 1)
    codes = {
        "x_zero": int(x.zero), "x_range": x.codes,
        "weight_zero": w.zero if w.zero.dim() else int(w.zero), "bias": node.constant(2),
    }  # fmt: skip
    return weight, codes


def conv_sums(node: Node) -> Kernel:
    """The sums ``Σ (x - zx) (w - zw) + b`` of a convolution, exact.

    Operands are x ``[N, C, …]``, w ``[M, C / groups, …]`` and b or nothing; parameters `pads` (all begins, then all
    ends), `strides`, `dilations` and `groups`.
    """
    weight, codes = _constants(node)
    window = {key: node.parameter(key) for key in ("pads", "strides", "dilations", "groups")}
    sums = integer_conv(weight, **codes, **window)
    return lambda x, *_: sums(x)


def product_sums(node: Node) -> Kernel:
    """The sums ``Σ (x - zx) (w - zw) + b`` of a product with a matrix, exact.

    Operands are x ``[…, K]``, w and b or nothing; w is ``[N, K]`` where the parameter `transposed` is not 0, else
    ``[K, N]``.
    """
    weight, codes = _constants(node)
    sums = integer_matmul(weight.T if node.parameter("transposed") else weight, **codes)
    return lambda x, *_: sums(x)


# ---------------------------------------------------------------- from sums to codes
def clamp_codes(op: Operation, result: Quantization) -> tuple[int, int]:
    """The codes of the parameters `low` and `high` under the result's quantizer: what is left of its range by a fused
    Relu or Clip."""
    assert isinstance(op, RecordOp)
    ends = torch.tensor([op.parameter("low"), op.parameter("high")], dtype=torch.float32)
    low, high = encode(ends, result.scheme, result.scale, result.zero).tolist()
    return low, high


def requantized(node: Node, sums: Kernel, how: str, scale: Tensor | None = None, axis: int = 1) -> Kernel:
    """``clamp(rescale(sums, scale / sy) + zy)``, between the codes of the parameters `low` and `high`.

    `sums` gives integers at `scale` (float64; the product of the scales of operands 0 and 1 if None). Scales of its
    channels lie on `axis` of the sums. `how` is a formula of `qir.numerics.fixed_point.RESCALES`.
    """
    y = known(node, len(node.operands))
    if scale is None:
        scale = known(node, 0).scale.double() * known(node, 1).scale.double()
    real, zero = scale / y.scale.double(), int(y.zero)
    low, high = clamp_codes(node.op, y)
    dtype = storage_dtype(y.scheme)

    def run(*tensors: Tensor | None) -> Tensor:
        acc = sums(*tensors)
        factor = real.reshape(-1, *(1,) * (acc.dim() - 1 - axis % acc.dim())) if real.dim() else real
        return rescale(acc, factor, how).add_(zero).clamp_(low, high).to(dtype)

    return run
