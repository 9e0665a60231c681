"""What onnxruntime does to a QDQ graph before it looks for groups, as patterns: it decides which groups there are.

Each is the runtime's own rewrite of that purpose (`EnsureUniqueDQForNodeUnit`, `DoubleQDQPairsRemover`,
`QDQPropagationTransformer`, `WeightBiasQuantization`, `ReluQuantFusion`, `ClipQuantFusion`, `QDQS8ToU8Transformer`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qir.ir import Operation, TensorType, f32, i8, i32, ui8
from qir.lowering.onnxruntime.activations import all_dequantized, leads_to_quantize
from qir.lowering.onnxruntime.dialect import DEQUANTIZE, QUANTIZE, element, is_dequantize, is_quantize
from qir.lowering.onnxruntime.groups import (
    BYTES,
    edges,
    equal_parameters,
    implied,
    is_output,
    is_scalar,
    parameters,
)
from qir.rewrite import RewritePattern, Rewriter, Value
from qir.rewrite.constants import constant_array

__all__ = ["preparing_patterns"]

PROPAGATE = tuple(f"onnx.{name}" for name in ("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"))
"""Operators past which the runtime moves QuantizeLinear up and DequantizeLinear down."""


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
    roots = ("onnxruntime.DequantizeLinear",)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        result = op.results[0]
        readers = edges(result)
        spare = readers if is_output(result) else readers[1:]
        if not spare:
            return False
        first = None if is_output(result) else readers[0]
        for user in dict.fromkeys(spare):
            kept = user is not first
            for index, operand in enumerate(user.operands):
                if operand is not result:
                    continue
                if not kept:
                    kept = True
                    continue
                assert user.parent is not None
                with rewriter.at(user.parent, user):
                    copy = rewriter.op(DEQUANTIZE, op.operands, op.attributes, result.type)
                rewriter.set_operand(user, index, copy.result)
        return True


class DoublePairs(RewritePattern):
    """quantize a, dequantize a, quantize b, dequantize b = one pair over the range that both cover.

    The runtime drops the middle two and gives the outer two ``s = (max - min) / 255`` over the intersection of the
    ranges, the zero point rounded half away from zero: not what the four compute one after another.
    """

    name = "double-pairs"
    roots = ("onnxruntime.DequantizeLinear",)
    depth = 4

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        chain: list[Any] = [op]
        for is_next in (is_quantize, is_dequantize, is_quantize):
            before = chain[0].operands[0]
            if not is_next(before.defining_op) or len(edges(before)) != 1 or is_output(before):
                return False
            chain.insert(0, before.defining_op)
        q1, dq1, q2, dq2 = chain
        if not equal_parameters(q1, dq1) or not equal_parameters(q2, dq2) or element(dq1.operands[0]) != element(dq2.x):
            return False
        if element(dq1.operands[0]) not in BYTES:
            return False
        (scale1, zero1), (scale2, zero2) = parameters(dq1), parameters(q2)  # type: ignore[misc]
        operands = [q1.operands[1], q1.operands[2]]
        if scale1 != scale2 or zero1 != zero2:
            scale, zero = _intersection(scale1, zero1, scale2, zero2)
            block = q1.parent
            with rewriter.at(block, q1):
                operands = [
                    rewriter.constant(v, n, initializer=True)
                    for v, n in ((scale, "joined_scale"), (zero, "joined_zero_point"))
                ]
        with rewriter.at(q1.parent, q1):
            outer = rewriter.op(QUANTIZE, [q1.operands[0], *operands], q1.attributes, q1.results[0].type)
        made = rewriter.op(DEQUANTIZE, [outer, *operands], dq2.attributes)
        rewriter.replace(dq2, made)
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


def _plain_mover(op: Operation | None) -> bool:
    return op is not None and op.name in PROPAGATE and not any(r.uses for r in op.results[1:])


class DequantizeDown(RewritePattern):
    """move(dequantize(x)) = dequantize(move(x)): element by element the same, and what follows may be fused."""

    name = "dequantize-down"
    roots = PROPAGATE
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        dq, result = op.operands[0].defining_op, op.results[0]
        if not is_dequantize(dq) or not _plain_mover(op) or not is_scalar(dq):
            return False
        readers = edges(result)
        if any(is_quantize(r) for r in readers) or (is_output(result) and readers):
            return False
        if op.name == "onnx.MaxPool" and element(dq.operands[0]) not in BYTES:
            return False
        assert isinstance(result.type, TensorType)
        codes = rewriter.op(
            op.name,
            [dq.operands[0], *op.operands[1:]],
            op.attributes,
            [result.type.with_element(element(dq.operands[0]))],
        )
        rewriter.replace(op, [rewriter.op(DEQUANTIZE, [codes, *dq.operands[1:]], dq.attributes, result.type).result])
        rewriter.erase_if_dead(dq)
        return True


class QuantizeUp(RewritePattern):
    """quantize(move(x)) = move(quantize(x)) where nothing else reads the moved numbers."""

    name = "quantize-up"
    roots = ("onnxruntime.QuantizeLinear",)
    depth = 3

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        mover = op.operands[0].defining_op
        if not _plain_mover(mover) or not is_scalar(op) or len(edges(op.operands[0])) != 1 or is_output(op.operands[0]):
            return False
        assert mover is not None
        source = mover.operands[0]
        if is_dequantize(source.defining_op) or len(edges(source)) != 1 or is_output(source):
            return False
        if mover.name == "onnx.MaxPool" and element(op.results[0]) not in BYTES:
            return False
        assert isinstance(source.type, TensorType)
        if constant_array(source) is not None:
            return False
        with rewriter.at(mover.parent, mover):  # type: ignore[arg-type]
            codes = rewriter.op(
                QUANTIZE, [source, *op.operands[1:]], op.attributes, source.type.with_element(element(op.results[0]))
            )
        moved = rewriter.op(mover.name, [codes.result, *mover.operands[1:]], mover.attributes, [op.results[0].type])
        rewriter.replace(op, moved)
        rewriter.erase_if_dead(mover)
        return True


class ActivationBeforeQuantize(RewritePattern):
    """quantize(relu(x)) = quantize(x), and likewise for a Clip, where the codes imply it."""

    name = "activation-before-quantize"
    roots = ("onnxruntime.QuantizeLinear",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        clip = op.operands[0].defining_op
        if (
            clip is None
            or clip.name not in ("onnx.Relu", "onnx.Clip")
            or len(edges(op.operands[0])) != 1
            or is_output(op.operands[0])
        ):
            return False
        if not implied(clip, op):
            return False
        rewriter.start(op, (op, clip))
        rewriter.replace(op, rewriter.op(QUANTIZE, [clip.operands[0], *op.operands[1:]], op.attributes))
        rewriter.erase_if_dead(clip)
        return True


class SignedPairs(RewritePattern):
    """An int8 pair of quantize and dequantize becomes uint8, 128 higher: x86 has kernels for that."""

    name = "signed-pairs"
    roots = ("onnxruntime.QuantizeLinear",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        readers = edges(op.results[0])
        if (
            element(op.results[0]) != i8
            or len(readers) != 1
            or is_output(op.results[0])
            or not is_dequantize(readers[0])
        ):
            return False
        dq = readers[0]
        if not is_scalar(op) or not is_scalar(dq):
            return False
        (_, zero), (_, other) = parameters(op), parameters(dq)  # type: ignore[misc]
        if zero != other:
            return False
        assert isinstance(op.results[0].type, TensorType)
        point = rewriter.constant(np.array(int(zero.reshape(())) + 128, np.uint8), "zero_point_u8", initializer=True)
        q = rewriter.op(
            QUANTIZE, [op.operands[0], op.operands[1], point], op.attributes, op.results[0].type.with_element(ui8)
        )
        with rewriter.at(dq.parent, dq):  # type: ignore[arg-type]
            made = rewriter.op(DEQUANTIZE, [q.result, dq.operands[1], point], dq.attributes, dq.results[0].type)
        rewriter.replace(dq, made)
        rewriter.erase(op)
        return True


class FloatWeight(RewritePattern):
    """A float weight of a convolution or Gemm between codes becomes int8 with one scale and zero point.

    ``s = fl(fl(max - min) / 255)`` over a range that includes 0, ``z = rhe(clip(fl(-128 - fl(min / s))))``.
    """

    name = "quantize-float-weight"
    roots = ("onnx.Conv", "onnx.ConvTranspose", "onnx.Gemm")
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        x, weight = op.operands[0].defining_op, constant_array(op.operands[1])
        if not is_dequantize(x) or weight is None or weight.dtype != np.float32 or not weight.size:
            return False
        bias = constant_array(op.operands[2]) if len(op.operands) > 2 else None
        if (
            not leads_to_quantize(op)
            or not _one_value(x)
            or (len(op.operands) > 2 and (bias is None or bias.ndim != 1))
        ):
            return False
        low, high = np.minimum(weight.min(), np.float32(0)), np.maximum(weight.max(), np.float32(0))
        scale = (high - low) / np.float32(255) if high > low else np.float32(1)
        zero = np.rint(np.clip(np.float32(-128) - low / scale, -128, 127))
        codes = np.clip(np.rint(weight / scale) + zero, -128, 127).astype(np.int8)
        name = op.operands[1].name or "weight"
        stored = rewriter.constant(codes, f"{name}_int8", initializer=True)
        parameters = [
            rewriter.constant(np.array(v, t), f"{name}_{n}", initializer=True)
            for v, t, n in ((scale, np.float32, "scale"), (zero, np.int8, "zero_point"))
        ]
        real = rewriter.op(DEQUANTIZE, [stored, *parameters], {}, op.operands[1].type)
        rewriter.set_operand(op, 1, real.result)
        return True


def _one_value(op: Operation) -> bool:
    type = op.operands[1].type
    return isinstance(type, TensorType) and type.shape in ((), (1,))


class FloatBias(RewritePattern):
    """A float bias of a convolution or Gemm between codes becomes int32: ``rhe(fl(b / fl(s_x * s_w)))``.

    The runtime does this where data and weight are dequantized and only activations stand before the QuantizeLinear.
    """

    name = "float-bias"
    roots = ("onnx.Conv", "onnx.ConvTranspose", "onnx.Gemm")
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        if len(op.operands) < 3 or not leads_to_quantize(op):
            return False
        x, w, bias = op.operands[0].defining_op, op.operands[1].defining_op, constant_array(op.operands[2])
        if not is_dequantize(x) or not is_dequantize(w) or bias is None or bias.ndim != 1:
            return False
        data, weight = constant_array(x.operands[1]), constant_array(w.operands[1])
        if data is None or weight is None or data.size != 1 or bias.dtype != np.float32:
            return False
        if weight.size > 1 and (weight.size != bias.size or w.attr("block_size", 0) or not _along_channels(op, w)):
            return False
        scale = (data.reshape(()) * (weight.reshape(-1) if weight.size > 1 else weight.reshape(()))).astype(np.float32)
        codes = np.rint(bias / scale).astype(np.int32)
        name = op.results[0].name or "node"
        stored = rewriter.constant(codes, f"{name}_bias_int32", initializer=True)
        factors = rewriter.constant(np.asarray(scale), f"{name}_bias_scale", initializer=True)
        axis = {"axis": 0} if scale.ndim else {}
        real = rewriter.op(DEQUANTIZE, [stored, factors], axis, TensorType(bias.shape, f32))
        rewriter.set_operand(op, 2, real.result)
        assert element(stored) == i32
        return True


def _along_channels(op: Operation, weight: Operation) -> bool:
    """Whether the weight's scales lie where the runtime expects them: axis 0, for a Gemm that of its columns."""
    assert isinstance(weight.operands[0].type, TensorType)
    expected = 0 if op.name != "onnx.Gemm" or op.attr("transB", 0) else 1
    return int(weight.attr("axis", 1)) % (weight.operands[0].type.rank or 2) == expected


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
            product = op.operands[index].defining_op
            if product is None or product.name != "onnx.MatMul" or not op.operands[index].has_one_use():
                continue
            shapes = [_shape(v) for v in (*product.operands, op.operands[1 - index])]
            if not all_dequantized(product) or None in shapes:
                continue
            rows, columns, bias = shapes
            assert rows is not None and columns is not None and bias is not None
            if len(columns) != 2 or not _is_gemm_bias(rows, columns, bias):
                continue
            rewriter.start(op, (product, op))
            self._gemm(op, product, op.operands[1 - index], rows, columns, rewriter)
            return True
        return False

    def _gemm(
        self, add: Operation, product: Operation, bias: Value, rows: tuple[int | None, ...],
        columns: tuple[int | None, ...], rewriter: Rewriter,
    ) -> None:  # fmt: skip
        a, w = product.operands
        if len(rows) == 2:
            rewriter.replace(add, rewriter.op("onnx.Gemm", [a, w, bias]))
            return
        result = add.results[0].type
        assert isinstance(result, TensorType)
        flat = (int(np.prod([n or 0 for n in rows[:-1]])), columns[1])
        shapes = [
            rewriter.constant(np.array(s, np.int64), n, initializer=True)
            for s, n in (((flat[0], columns[0]), "gemm_input_shape"), ((*rows[:-1], columns[1]), "gemm_output_shape"))
        ]
        matrix = rewriter.op("onnx.Reshape", [a, shapes[0]], {}, TensorType((flat[0], columns[0]), f32))
        gemm = rewriter.op("onnx.Gemm", [matrix, w, bias], {}, TensorType(flat, f32))
        rewriter.replace(add, rewriter.op("onnx.Reshape", [gemm, shapes[1]], {}, result))


def _shape(value: Value) -> tuple[int | None, ...] | None:
    type = value.type
    return type.shape if isinstance(type, TensorType) and type.element == f32 else None


def _is_gemm_bias(rows: tuple[int | None, ...], columns: tuple[int | None, ...], bias: tuple[int | None, ...]) -> bool:
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
