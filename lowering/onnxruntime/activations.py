"""Patterns that keep operators next to their quantizers, so that the runtime finds whole groups.

Activations that the codes behind them imply go; others are clipped on codes; and what would keep a product of codes in
float is spelled differently.
"""

from __future__ import annotations

from qir.dialects.qsim import QuantizerOp
from qir.ir import Operation, TensorType, Trait, f32, i8, ui8
from qir.lowering.onnxruntime.dialect import is_dequantize
from qir.passes.quantize.queries import symbol
from qir.rewrite import Match, Node, Quantizer, RewritePattern, Rewriter, Value, encode, onnx, pattern, rest
from qir.rewrite.constants import constant_array, is_absent

__all__ = ["GROUPING", "all_dequantized", "clip_implied", "clip_range", "leads_to_quantize", "relu_implied"]


# ---------------------------------------------------------------------- activations that saturation implies
def _bounds(m: Match) -> tuple[float, int, int, int] | None:
    """Scale, zero point, smallest and largest code of an unfused per-tensor quantizer; None for any other."""
    quantizer = m.quantizer("q")
    assert isinstance(quantizer, QuantizerOp)
    scheme, (scale, zero) = quantizer.scheme, quantizer.parameters()
    if not scheme.storage.is_integer or not scheme.granularity.is_per_tensor or scale is None:
        return None
    if scheme.rounding != "half_even" or scheme.zero_inside or not scheme.saturate:
        return None
    return float(scale), scheme.fixed_zero if zero is None else int(zero), int(scheme.qmin), int(scheme.qmax)


@pattern
def relu_implied(x: Value, q: Quantizer) -> Node:
    """encode(relu(x)) = encode(x) where the zero point is the smallest code: saturation does the rectifier's work."""
    return encode(onnx.Relu(x), q)


def _zero_is_lowest(m: Match) -> bool:
    bounds = _bounds(m)
    return bounds is not None and bounds[1] == bounds[2]


relu_implied.where("the zero point is not the smallest code, so the rectifier is not implied", _zero_is_lowest)


@relu_implied.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("qsim.encode", [m.x], dict(m.root.attributes), location=m.location)


@pattern
def clip_implied(x: Value, q: Quantizer) -> Node:
    """encode(clip(x, lo, hi)) = encode(x) where both bounds saturate: code(lo) <= qmin, code(hi) >= qmax."""
    return encode(onnx.Clip(x, rest("bounds")).bind("clip"), q)


def clip_range(clip: Operation) -> tuple[float, float] | None:
    """The bounds of a Clip, from operands or (before opset 11) attributes; None where they are computed."""
    found = [float("-inf"), float("inf")]
    for i, key in enumerate(("min", "max")):
        value = clip.operands[1 + i] if len(clip.operands) > 1 + i else None
        if not is_absent(value):
            array = constant_array(value)
            if array is None or array.size != 1:
                return None
            found[i] = float(array.reshape(-1)[0])
        elif key in clip.attributes:
            found[i] = float(clip.attr(key))
    return found[0], found[1]


def _clip_saturates(m: Match) -> bool:
    import numpy as np

    bounds, limits = _bounds(m), clip_range(m.clip)
    if bounds is None or limits is None:
        return False
    scale, zero, low, high = bounds
    codes = [float(np.rint(np.float32(v) / np.float32(scale))) + zero for v in limits]
    return codes[0] <= low and codes[1] >= high


clip_implied.where("the bounds of the Clip lie inside the quantizer's range, so it is not implied", _clip_saturates)


@clip_implied.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    return rewriter.op("qsim.encode", [m.x], dict(m.root.attributes), location=m.location)


# ---------------------------------------------------------------------- activations on codes
INTEGER = frozenset(
    f"onnx.{name}" for name in ("Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat")
)
"""Operators that have an integer kernel, if nothing stands between them and the QuantizeLinear behind them."""


class ActivationOnCodes(RewritePattern):
    """encode(relu(x)) = clip(encode(x), z, _), encode(clip(x, lo, hi)) = clip(encode(x), code(lo), code(hi)).

    Encoding keeps the order, so that clipping may follow it. For activations that the codes do not imply (a quantizer
    shared with numbers below zero, a range beyond the bound): the operator before stays next to its quantizer.
    """

    name = "activation-on-codes"
    roots = ("qsim.encode",)
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        import numpy as np

        from qir.ir.tensors import numpy_dtype

        activation, codes = op.operands[0].defining_op, op.results[0].type
        if activation is None or activation.name not in ("onnx.Relu", "onnx.Clip") or not op.operands[0].has_one_use():
            return False
        x = activation.operands[0]
        if x.defining_op is None or x.defining_op.name not in INTEGER or not x.has_one_use():
            return False
        assert isinstance(codes, TensorType)
        quantizer = rewriter.lookup(op, symbol(op))
        assert isinstance(quantizer, QuantizerOp)
        scheme, (scale, zero) = quantizer.scheme, quantizer.parameters()
        plain = scheme.rounding == "half_even" and scheme.saturate and not scheme.zero_inside
        if scale is None or scale.size != 1 or codes.element not in (ui8, i8) or not plain:
            return False
        bounds = (0.0, float("inf")) if activation.name == "onnx.Relu" else clip_range(activation)
        if bounds is None or bounds[0] > bounds[1]:
            return False
        point = scheme.fixed_zero if zero is None else int(zero)
        steps = [np.float32(b) / np.float32(scale.reshape(())) for b in bounds]
        limits = [float(np.clip(np.rint(v) + point, scheme.qmin, scheme.qmax)) for v in steps]
        rewriter.start(op, (op, activation))
        encoded = rewriter.op("qsim.encode", [x], dict(op.attributes))
        names = (f"{quantizer.sym_name}_low", f"{quantizer.sym_name}_high")
        ends = [
            rewriter.constant(np.array(v, numpy_dtype(codes.element)), n, initializer=True)
            for v, n in zip(limits, names, strict=True)
        ]
        rewriter.replace(op, rewriter.op("onnx.Clip", [encoded, *ends], location=activation.location))
        return True


# ---------------------------------------------------------------------- what would keep a product from the integers
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
            if (
                product is not None
                and product.name == "onnx.MatMul"
                and value.has_one_use()
                and all_dequantized(product)
            ):
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
        import numpy as np

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
    roots = ("onnx.Relu", "onnx.Clip")
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        import numpy as np

        x, y = op.operands[0], op.results[0]
        product = x.defining_op
        if product is None or product.name not in ("onnx.MatMul", "onnx.Gemm") or not all_dequantized(product):
            return False
        if not x.has_one_use() or len(y.users) != 1 or y.users[0].has_trait(Trait.TERMINATOR):
            return False
        if y.users[0].name in ("onnxruntime.QuantizeLinear", "qsim.encode") or not y.has_one_use():
            return False
        bounds = (0.0, float("inf")) if op.name == "onnx.Relu" else clip_range(op)
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


def leads_to_quantize(op: Operation) -> bool:
    """Whether one path of Relu and Clip leads from the result to a quantizer, with no other reader on the way."""
    value: Value = op.results[0]
    while True:
        readers = list(value.users)
        if len(readers) != 1 or readers[0].has_trait(Trait.TERMINATOR):
            return False
        if readers[0].name in ("onnxruntime.QuantizeLinear", "qsim.encode"):
            return True
        if readers[0].name not in ("onnx.Relu", "onnx.Clip"):
            return False
        value = readers[0].results[0]


def all_dequantized(op: Operation) -> bool:
    """Whether every operand that is there is a DequantizeLinear's result."""
    return all(is_dequantize(v.defining_op) for v in op.operands if not is_absent(v))


GROUPING: tuple[RewritePattern, ...] = (
    relu_implied,
    clip_implied,
    ActivationOnCodes(),
    SumBehindProduct(),
    SumOfGemm(),
    ActivationBehindProduct(),
    FloatWeight(),
)
