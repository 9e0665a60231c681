"""From a materialised module to QDQ form, so that the runtime finds whole groups.

What is special to this runtime: activations go on codes, and what would keep a product of codes in float is spelled
differently. The form itself is `qir.passes.lower.qdq`.
"""

from __future__ import annotations

import numpy as np

from qir.datasheet import clamp_bounds
from qir.ir import Operation, TensorType, Trait, f32, is_absent
from qir.lowering.onnxruntime.groups import (
    ACTIVATIONS,
    all_dequantized,
    is_dequantize,
    is_quantize,
    leads_to_quantize,
)
from qir.numerics.scheme import Scheme
from qir.passes.lower.on_codes import ActivationOnCodes
from qir.passes.lower.qdq import Qdq, qdq_patterns
from qir.rewrite import PatternSet, RewritePattern, Rewriter
from qir.rewrite.constants import constant_array
from qir.target import Target

__all__ = ["QDQ", "lowering_patterns"]


def _refuses(scheme: Scheme) -> tuple[str, str] | None:
    if scheme.storage.is_float and scheme.bits < 8:
        return f"onnxruntime's CPU provider has no kernel for {scheme.storage}", "use i8, i4 or f8E4M3FN"
    return None


QDQ = Qdq("onnxruntime", "onnxruntime", _refuses)

INTEGER = ("Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat")
"""Operators that have an integer kernel, if nothing stands between them and the QuantizeLinear behind them."""


class SumBehindProduct(RewritePattern):
    """matmul(dequantize(a), dequantize(w)) + b = sum(matmul(...), b).

    The runtime makes a float Gemm of a product and the Add behind it before it looks for quantized products, and then
    finds none. Sum is the same addition, but no part of that fusion.
    """

    name = "sum-behind-product"
    roots = ("onnx.Add",)
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        for value in op.operands:
            product = value.defining_op
            named = product is not None and product.name == "onnx.MatMul" and value.has_one_use()
            if named and product is not None and all_dequantized(product):
                rewriter.replace(op, rewriter.op("onnx.Sum", op.operands))
                return True
        return False


class SumOfGemm(RewritePattern):
    """gemm(dequantize(a), dequantize(w)) + y = sum(gemm(...), y, 0).

    Where a Sum of two reads a Gemm without an addend, the runtime makes the other number its addend and leaves the
    result in float, for only a bias of integers belongs to a quantized Gemm. A Sum of three is no part of that fusion.
    """

    name = "sum-of-gemm"
    roots = ("onnx.Sum",)
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        if len(op.operands) != 2 or not isinstance(op.results[0].type, TensorType):
            return False
        for value in op.operands:
            gemm = value.defining_op
            if gemm is None or gemm.name != "onnx.Gemm" or not value.has_one_use() or not all_dequantized(gemm):
                continue
            if len(gemm.operands) < 3 or is_absent(gemm.operands[2]):
                zero = rewriter.constant(np.zeros((), np.float32), initializer=True)
                rewriter.set_operands(op, [*op.operands, zero])
                return True
        return False


class ActivationBehindProduct(RewritePattern):
    """relu(product) = max(product, 0), clip(product, lo, hi) = min(max(product, lo), hi), where no quantizer follows.

    The runtime takes a Relu or Clip behind a quantized product for a part of the group, and without a QuantizeLinear
    behind it leaves the whole group in float. Max and Min are no part of a group.
    """

    name = "activation-behind-product"
    roots = ACTIVATIONS
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        x, y, bounds = op.operands[0], op.results[0], clamp_bounds(op)
        product = x.defining_op
        if product is None or product.name not in ("onnx.MatMul", "onnx.Gemm") or not all_dequantized(product):
            return False
        if not x.has_one_use() or not y.has_one_use() or y.users[0].has_trait(Trait.TERMINATOR):
            return False
        if is_quantize(y.users[0]) or y.users[0].name == "qsim.encode":
            return False
        if bounds is None or not isinstance(y.type, TensorType) or y.type.element != f32:
            return False
        for name, bound in zip(("onnx.Max", "onnx.Min"), bounds, strict=True):
            if np.isfinite(bound):
                x = rewriter.op(name, [x, rewriter.constant(np.array(bound, np.float32), initializer=True)]).result
        rewriter.replace(op, x)
        return True


class FloatWeight(RewritePattern):
    """quantize(conv(dequantize(x), w)) = quantize(sum(conv(dequantize(x), w))) for a float weight w.

    Where data and result of a convolution or Gemm are quantized and its weight is not, the runtime quantizes the weight
    itself, with one scale for the whole tensor. Who left it in float meant it: a Sum of one number hides the result.
    """

    name = "float-weight"
    roots = ("onnx.Conv", "onnx.ConvTranspose", "onnx.Gemm")
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        weight, result = op.operands[1], op.results[0]
        if not is_dequantize(op.operands[0].defining_op) or constant_array(weight) is None:
            return False
        if not leads_to_quantize(op):
            return False
        readers = result.users
        rewriter.set_insertion_point_after(op)
        hidden = rewriter.op("onnx.Sum", [result], {}, result.type)
        for user in readers:
            rewriter.set_operands(user, [hidden.result if v is result else v for v in user.operands])
        return True


def lowering_patterns(target: Target | None = None) -> PatternSet:
    """All patterns from the materialised stage to QDQ form, whatever the mode. A set serves one module."""
    on_codes = ActivationOnCodes(f"onnx.{name}" for name in INTEGER)
    spelling = (SumBehindProduct(), SumOfGemm(), ActivationBehindProduct(), FloatWeight())
    return PatternSet([on_codes, *spelling, *qdq_patterns(QDQ)], "lower-to-onnxruntime")
