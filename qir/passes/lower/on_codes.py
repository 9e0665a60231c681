"""Activations between an operation and the quantizer of its result: what codes do themselves, or can be done to codes.

For chips and runtimes that find a quantized operation by the quantizer directly behind it.
"""

from __future__ import annotations

from collections.abc import Iterable

from qir.datasheet import clamp_bounds
from qir.dialects.qsim import QuantizerOp
from qir.ir import Operation, TensorType, i8, ui8
from qir.passes.quantize.queries import symbol
from qir.rewrite import RewritePattern, Rewriter

__all__ = ["ActivationOnCodes"]


class ActivationOnCodes(RewritePattern):
    """encode(relu(x)) = encode(x) where saturation does the rectifier's work, else clip(encode(x), code(0), _).

    Likewise for Clip. Both bounds saturate where code(lo) <= qmin and code(hi) >= qmax. Otherwise (a quantizer shared
    with numbers below zero, a range beyond the bound) codes may be clipped in place of numbers, for encoding keeps the
    order: that is done behind `operators`, the names of those that have an integer kernel, if nothing else reads them.
    """

    name = "activation-on-codes"
    roots = ("qsim.encode",)
    depth = 3

    def __init__(self, operators: Iterable[str]) -> None:
        self.operators = frozenset(operators)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        import numpy as np

        from qir.ir.tensors import numpy_dtype

        activation, codes, quantizer = op.operands[0].defining_op, op.results[0].type, rewriter.lookup(op, symbol(op))
        bounds = None if activation is None else clamp_bounds(activation)
        if activation is None or bounds is None:
            return False
        assert isinstance(quantizer, QuantizerOp) and isinstance(codes, TensorType)
        scheme, (scale, zero) = quantizer.scheme, quantizer.parameters()
        plain = scheme.rounding == "half_even" and scheme.saturate and not scheme.zero_inside
        if not scheme.storage.is_integer or not plain or scale is None or scale.size != 1:
            return False
        x, point = activation.operands[0], scheme.fixed_zero if zero is None else int(zero)
        low, high = (float(np.rint(np.float32(b) / np.float32(scale.reshape(())))) + point for b in bounds)
        rewriter.start(op, (op, activation))
        if low <= scheme.qmin and high >= scheme.qmax:
            rewriter.replace(op, rewriter.op("qsim.encode", [x], dict(op.attributes)))
            return True
        single = op.operands[0].has_one_use() and x.has_one_use()
        named = x.defining_op is not None and x.defining_op.name in self.operators
        if not single or not named or codes.element not in (ui8, i8) or bounds[0] > bounds[1]:
            rewriter.missed = "its codes do not imply the activation"
            return False
        encoded = rewriter.op("qsim.encode", [x], dict(op.attributes))
        limits = (np.clip(v, scheme.qmin, scheme.qmax).astype(numpy_dtype(codes.element)) for v in (low, high))
        names = (f"{quantizer.sym_name}_low", f"{quantizer.sym_name}_high")
        ends = [rewriter.constant(np.asarray(v), n, initializer=True) for v, n in zip(limits, names, strict=True)]
        rewriter.replace(op, rewriter.op("onnx.Clip", [encoded, *ends], location=activation.location))
        return True
