"""What onnxruntime does to a QDQ graph before it looks for groups, as patterns: it decides which groups there are.

Each is the runtime's own rewrite of that purpose (`EnsureUniqueDQForNodeUnit`, `DoubleQDQPairsRemover`,
`QDQPropagationTransformer`, `WeightBiasQuantization`, `ReluQuantFusion`, `ClipQuantFusion`, `QDQS8ToU8Transformer`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qir.ir import Operation, TensorType, Trait, f32, i8, ui8
from qir.lowering.onnxruntime.dialect import DEQUANTIZE, QUANTIZE, element
from qir.lowering.onnxruntime.groups import (
    ACTIVATIONS,
    BYTES,
    all_dequantized,
    codes_of,
    edges,
    equal_parameters,
    implied,
    is_dequantize,
    is_output,
    is_quantize,
    is_scalar,
    leads_to_quantize,
    parameters,
    sole_reader,
)
from qir.rewrite import RewritePattern, Rewriter, Value
from qir.rewrite.constants import constant_array

__all__ = ["preparing_patterns"]

PROPAGATE = tuple(f"onnx.{name}" for name in ("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"))
"""Operators past which the runtime moves QuantizeLinear up and DequantizeLinear down."""
WEIGHTED = ("onnx.Conv", "onnx.ConvTranspose", "onnx.Gemm")


def retyped(value: Value, codes: Any) -> TensorType:
    """The type of a value's codes."""
    assert isinstance(value.type, TensorType)
    return value.type.with_element(codes)


def held(rewriter: Rewriter, prefix: str, **arrays: Any) -> list[Value]:
    """Arrays as initializers that are named after what they belong to."""
    return [rewriter.constant(np.asarray(v), f"{prefix}_{name}", initializer=True) for name, v in arrays.items()]


# ---------------------------------------------------------------------- pairs
class Adopt(RewritePattern):
    """onnx.QuantizeLinear and DequantizeLinear of an imported QDQ model are this dialect's."""

    name = "adopt"
    roots = ("onnx.QuantizeLinear", "onnx.DequantizeLinear")

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        kept = {k: v for k, v in op.attributes.items() if k != "precision"}
        if len(kept) < len(op.attributes) and op.attr("precision"):
            return False
        rewriter.replace(op, rewriter.op(f"onnxruntime.{op.name[5:]}", op.operands, kept))
        return True


class UniqueDequantize(RewritePattern):
    """Every reader of a DequantizeLinear gets one of its own; a graph output keeps the first."""

    name = "unique-dequantize"
    roots = (DEQUANTIZE,)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        result = op.results[0]
        users = [user for user in result.users if not user.has_trait(Trait.TERMINATOR)]
        uses = [(user, i) for user in users for i, operand in enumerate(user.operands) if operand is result]
        spare = uses if is_output(result) else uses[1:]
        for user, index in spare:
            assert user.parent is not None
            with rewriter.at(user.parent, user):
                copy = rewriter.op(DEQUANTIZE, op.operands, op.attributes, result.type)
            rewriter.set_operand(user, index, copy.result)
        return bool(spare)


class DoublePairs(RewritePattern):
    """quantize a, dequantize a, quantize b, dequantize b = one pair over the range that both cover.

    The runtime drops the middle two and gives the outer two ``s = (max - min) / 255`` over the intersection of the
    ranges, the zero point rounded half away from zero: not what the four compute one after another.
    """

    name = "double-pairs"
    roots = (DEQUANTIZE,)
    depth = 4

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        chain = [op]
        for is_next in (is_quantize, is_dequantize, is_quantize):
            before = chain[0].operands[0]
            source = before.defining_op
            if not is_next(source) or sole_reader(before) is None:
                return False
            chain.insert(0, source)
        q1, dq1, q2, dq2 = chain
        if not equal_parameters(q1, dq1) or not equal_parameters(q2, dq2):
            return False
        if codes_of(dq1) != codes_of(dq2) or codes_of(dq1) not in BYTES:
            return False
        (scale1, zero1), (scale2, zero2) = parameters(dq1), parameters(q2)  # type: ignore[misc]
        operands: list[Value] = [*q1.operands[1:3]]
        assert q1.parent is not None
        with rewriter.at(q1.parent, q1):
            if scale1 != scale2 or zero1 != zero2:
                scale, zero = _intersection(scale1, zero1, scale2, zero2)
                operands = held(rewriter, "joined", scale=scale, zero_point=zero)
            outer = rewriter.op(QUANTIZE, [q1.operands[0], *operands], q1.attributes, q1.results[0].type)
        rewriter.replace(dq2, rewriter.op(DEQUANTIZE, [outer, *operands], dq2.attributes))
        for dead in (q2, dq1, q1):
            rewriter.erase_if_dead(dead)
        return True


def _intersection(scale1: Any, zero1: Any, scale2: Any, zero2: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    info = np.iinfo(zero1.dtype)
    low = max(np.float32(info.min - int(z)) * np.float32(s) for s, z in ((scale1, zero1), (scale2, zero2)))
    high = min(np.float32(info.max - int(z)) * np.float32(s) for s, z in ((scale1, zero1), (scale2, zero2)))
    scale = np.float32((high - low) / np.float32(info.max - info.min))
    point = np.float32(info.min) - low / scale
    away = np.floor(np.abs(point) + np.float32(0.5)) * np.sign(point)
    return np.array(scale, np.float32), np.array(away).astype(np.int64).astype(zero1.dtype)


class ActivationBeforeQuantize(RewritePattern):
    """quantize(relu(x)) = quantize(x), and likewise for a Clip, where the codes imply it."""

    name = "activation-before-quantize"
    roots = (QUANTIZE,)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        clip = op.operands[0].defining_op
        if clip is None or clip.name not in ACTIVATIONS or sole_reader(op.operands[0]) is None or not implied(clip, op):
            return False
        rewriter.start(op, (op, clip))
        rewriter.replace(op, rewriter.op(QUANTIZE, [clip.operands[0], *op.operands[1:]], op.attributes))
        rewriter.erase_if_dead(clip)
        return True


class SignedPairs(RewritePattern):
    """An int8 pair of quantize and dequantize becomes uint8, 128 higher: x86 has kernels for that."""

    name = "signed-pairs"
    roots = (QUANTIZE,)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        dq = sole_reader(op.results[0])
        if codes_of(op) != i8 or not is_dequantize(dq) or not is_scalar(op) or not is_scalar(dq):
            return False
        (_, zero), (_, other) = parameters(op), parameters(dq)  # type: ignore[misc]
        if zero != other:
            return False
        point = rewriter.constant(np.array(int(zero.reshape(())) + 128, np.uint8), "zero_point_u8", initializer=True)
        q = rewriter.op(QUANTIZE, [*op.operands[:2], point], op.attributes, retyped(op.results[0], ui8))
        assert dq.parent is not None
        with rewriter.at(dq.parent, dq):
            made = rewriter.op(DEQUANTIZE, [q.result, dq.operands[1], point], dq.attributes, dq.results[0].type)
        rewriter.replace(dq, made)
        rewriter.erase(op)
        return True


# ---------------------------------------------------------------------- past what only moves numbers
def _moves(op: Operation | None, codes: Any) -> bool:
    """Whether the runtime moves converters of these codes past an operation."""
    if op is None or op.name not in PROPAGATE or any(r.uses for r in op.results[1:]):
        return False
    return op.name != "onnx.MaxPool" or codes in BYTES


class DequantizeDown(RewritePattern):
    """move(dequantize(x)) = dequantize(move(x)): element by element the same, and what follows may be fused."""

    name = "dequantize-down"
    roots = PROPAGATE
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        dq, result = op.operands[0].defining_op, op.results[0]
        if not is_dequantize(dq) or not is_scalar(dq) or not _moves(op, codes_of(dq)):
            return False
        readers = edges(result)
        if any(map(is_quantize, readers)) or (is_output(result) and readers):
            return False
        operands, type = [dq.operands[0], *op.operands[1:]], retyped(result, codes_of(dq))
        moved = rewriter.op(op.name, operands, op.attributes, type)
        made = rewriter.op(DEQUANTIZE, [moved, *dq.operands[1:]], dq.attributes, result.type)
        rewriter.replace(op, [made.result])
        rewriter.erase_if_dead(dq)
        return True


class QuantizeUp(RewritePattern):
    """quantize(move(x)) = move(quantize(x)) where nothing else reads the moved numbers."""

    name = "quantize-up"
    roots = (QUANTIZE,)
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        mover = op.operands[0].defining_op
        if mover is None or not _moves(mover, codes_of(op)) or not is_scalar(op) or sole_reader(op.operands[0]) is None:
            return False
        source = mover.operands[0]
        if is_dequantize(source.defining_op) or sole_reader(source) is None or constant_array(source) is not None:
            return False
        assert mover.parent is not None
        with rewriter.at(mover.parent, mover):
            codes = rewriter.op(QUANTIZE, [source, *op.operands[1:]], op.attributes, retyped(source, codes_of(op)))
        moved = rewriter.op(mover.name, [codes.result, *mover.operands[1:]], mover.attributes, [op.results[0].type])
        rewriter.replace(op, moved)
        rewriter.erase_if_dead(mover)
        return True


# ---------------------------------------------------------------------- weights and biases in float
class FloatWeight(RewritePattern):
    """A float weight of a convolution or Gemm between codes becomes int8 with one scale and zero point.

    ``s = fl(fl(max - min) / 255)`` over a range that includes 0, ``z = rhe(clip(fl(-128 - fl(min / s))))``.
    """

    name = "quantize-float-weight"
    roots = WEIGHTED
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        x, weight = op.operands[0].defining_op, constant_array(op.operands[1])
        if not is_dequantize(x) or weight is None or weight.dtype != np.float32 or not weight.size:
            return False
        bias, scales = constant_array(op.operands[2]) if len(op.operands) > 2 else None, x.operands[1].type
        single = isinstance(scales, TensorType) and scales.shape in ((), (1,))
        if not leads_to_quantize(op) or not single or (len(op.operands) > 2 and (bias is None or bias.ndim != 1)):
            return False
        low, high = np.minimum(weight.min(), np.float32(0)), np.maximum(weight.max(), np.float32(0))
        scale = (high - low) / np.float32(255) if high > low else np.float32(1)
        zero = np.rint(np.clip(np.float32(-128) - low / scale, -128, 127))
        codes = np.clip(np.rint(weight / scale) + zero, -128, 127).astype(np.int8)
        name = op.operands[1].name or "weight"
        given = held(rewriter, name, int8=codes, scale=np.float32(scale), zero_point=np.int8(zero))
        rewriter.set_operand(op, 1, rewriter.op(DEQUANTIZE, given, {}, op.operands[1].type).result)
        return True


class FloatBias(RewritePattern):
    """A float bias of a convolution or Gemm between codes becomes int32: ``rhe(fl(b / fl(s_x * s_w)))``.

    The runtime does this where data and weight are dequantized and only activations stand before the QuantizeLinear.
    """

    name = "float-bias"
    roots = WEIGHTED
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        if len(op.operands) < 3 or not leads_to_quantize(op):
            return False
        x, w, bias = op.operands[0].defining_op, op.operands[1].defining_op, constant_array(op.operands[2])
        if not is_dequantize(x) or not is_dequantize(w) or bias is None or bias.ndim != 1 or bias.dtype != np.float32:
            return False
        data, weight = constant_array(x.operands[1]), constant_array(w.operands[1])
        if data is None or weight is None or data.size != 1:
            return False
        if weight.size > 1 and (weight.size != bias.size or w.attr("block_size", 0) or not _along_channels(op, w)):
            return False
        scale = (data.reshape(()) * weight.reshape(-1 if weight.size > 1 else ())).astype(np.float32)
        codes, name = np.rint(bias / scale).astype(np.int32), op.results[0].name or "node"
        given = held(rewriter, f"{name}_bias", int32=codes, scale=scale)
        axis = {"axis": 0} if np.ndim(scale) else {}
        real = rewriter.op(DEQUANTIZE, given, axis, TensorType(bias.shape, f32))
        rewriter.set_operand(op, 2, real.result)
        return True


def _along_channels(op: Operation, weight: Operation) -> bool:
    """Whether the weight's scales lie where the runtime expects them: axis 0, for a Gemm that of its columns."""
    type = weight.operands[0].type
    assert isinstance(type, TensorType)
    expected = 0 if op.name != "onnx.Gemm" or op.attr("transB", 0) else 1
    return int(weight.attr("axis", 1)) % (type.rank or 2) == expected


class MatMulAndAdd(RewritePattern):
    """matmul(dequantize(a), dequantize(w)) + b = gemm(a, w, b): the fusion that quantized products must escape.

    For matrices b may be a row, a column or a matrix; for more axes, all of known size, b is one number per column and
    the product is reshaped to matrices and back.
    """

    name = "matmul-and-add"
    roots = ("onnx.Add",)
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        for index in (0, 1):
            product, bias = op.operands[index].defining_op, op.operands[1 - index]
            if product is None or product.name != "onnx.MatMul" or not op.operands[index].has_one_use():
                continue
            a, w = product.operands
            rows, columns, addend = (_shape(v) for v in (a, w, bias))
            if not all_dequantized(product) or rows is None or columns is None or addend is None:
                continue
            if len(columns) != 2 or not _is_gemm_bias(rows, columns, addend):
                continue
            rewriter.start(op, (product, op))
            if len(rows) == 2:
                rewriter.replace(op, rewriter.op("onnx.Gemm", [a, w, bias]))
                return True
            count = int(np.prod([n or 0 for n in rows[:-1]]))
            shapes = np.array((count, columns[0]), np.int64), np.array((*rows[:-1], columns[1]), np.int64)
            flat, whole = held(rewriter, "gemm", input_shape=shapes[0], output_shape=shapes[1])
            matrix = rewriter.op("onnx.Reshape", [a, flat], {}, TensorType((count, columns[0]), f32))
            gemm = rewriter.op("onnx.Gemm", [matrix, w, bias], {}, TensorType((count, columns[1]), f32))
            rewriter.replace(op, rewriter.op("onnx.Reshape", [gemm, whole], {}, op.results[0].type))
            return True
        return False


Shape = tuple[int | None, ...]


def _shape(value: Value) -> Shape | None:
    return value.type.shape if isinstance(value.type, TensorType) and element(value) == f32 else None


def _is_gemm_bias(rows: Shape, columns: Shape, bias: Shape) -> bool:
    """Whether an addend can be a Gemm's: one number per column, or for matrices a row, a column or a matrix."""
    count = columns[1]
    if bias == (count,) and count is not None:
        return len(rows) == 2 or None not in (*rows, *columns)
    if len(rows) != 2 or len(bias) != 2:
        return False
    return bias == (1, count) or (bias[0] is not None and bias[0] == rows[0] and bias[1] in (1, count))


def preparing_patterns() -> list[list[RewritePattern]]:
    """The runtime's rewrites before fusing, in phases that each run to their end: reading, BASIC, EXTENDED."""
    return [
        [Adopt()],
        [DoublePairs(), MatMulAndAdd(), DequantizeDown(), QuantizeUp(), FloatWeight(), FloatBias(), UniqueDequantize()],
        [ActivationBeforeQuantize(), SignedPairs()],
    ]
