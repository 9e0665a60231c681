"""``decompose``: operators that few chips have, by those that all have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qir.ir import Context, Operation, TensorType, Value, f32
from qir.passes.base import Pass
from qir.passes.graph.operations import kept_attributes, replace_constant
from qir.passes.graph.subpixel import ConvTransposeToConv
from qir.passes.registry import register_pass
from qir.rewrite import PatternSet, RewritePattern, Rewriter, apply_patterns, constant_array, is_absent

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DECOMPOSITIONS", "Decompose"]


def _matrix(value: Value) -> TensorType | None:
    type = value.type
    return type if isinstance(type, TensorType) and type.rank == 2 and type.element == f32 else None


class PlainGemm(RewritePattern):
    """gemm(A, B, C) = α·op(A)·op(B) + β·C for a constant factor: α goes into it, β into C, and a C that is not one
    number per column is added behind.

    Integer kernels know neither α, β, transA nor other shapes of C.
    """

    name = "plain-gemm"
    roots = ("onnx.Gemm",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        import numpy as np

        a, b = op.operands[:2]
        c = op.operands[2] if len(op.operands) > 2 and not is_absent(op.operands[2]) else None
        result = op.results[0].type
        if _matrix(a) is None or _matrix(b) is None or not isinstance(result, TensorType):
            return False
        alpha, beta = np.float32(op.attr("alpha", 1.0)), np.float32(op.attr("beta", 1.0))
        trans_a, trans_b = bool(op.attr("transA", 0)), bool(op.attr("transB", 0))
        left, right = constant_array(a), constant_array(b)
        if (left is None) == (right is None):
            return False
        if left is not None:
            factor = replace_constant(rewriter, _scaled(left.T if trans_a else left, alpha), a)
            self._left(op, factor, c, beta, rewriter)
            return True
        assert right is not None
        columns = right.shape[0 if trans_b else 1]
        row = _row(c, beta, columns)
        plain = c is None or (row is not None and row.shape == _shape(c) and beta == 1.0)
        if plain and alpha == 1.0 and not trans_a:
            return False
        if alpha != 1.0:
            b = replace_constant(rewriter, _scaled(right, alpha), b)
        if trans_a:
            a = _transposed(a, rewriter)
        attributes = {k: v for k, v in kept_attributes(op).items() if k == "transB"}
        if c is None or row is not None:
            bias = c if c is None or plain or row is None else replace_constant(rewriter, row, c)
            rewriter.replace(op, rewriter.op("onnx.Gemm", [a, b, bias], attributes))
            return True
        product = rewriter.op("onnx.Gemm", [a, b], attributes).result
        rewriter.replace(op, rewriter.op("onnx.Add", [product, _times(c, beta, rewriter)]))
        return True

    def _left(self, op: Operation, a: Value, c: Value | None, beta: float, rewriter: Rewriter) -> None:
        """A constant on the left: only MatMul is known with one."""
        b = op.operands[1]
        if op.attr("transB", 0):
            b = _transposed(b, rewriter)
        product = rewriter.op("onnx.MatMul", [a, b])
        if c is not None:
            product = rewriter.op("onnx.Add", [product.result, _times(c, beta, rewriter)])
        rewriter.replace(op, product)


def _transposed(matrix: Value, rewriter: Rewriter) -> Value:
    assert isinstance(matrix.type, TensorType) and matrix.type.shape is not None
    shape = matrix.type.shape[::-1]
    return rewriter.op("onnx.Transpose", [matrix], {"perm": [1, 0]}, matrix.type.with_shape(shape)).result


def _shape(value: Value) -> tuple[int | None, ...] | None:
    return value.type.shape if isinstance(value.type, TensorType) else None


def _scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    import numpy as np

    return np.ascontiguousarray(array if factor == 1.0 else array * factor)


def _row(c: Value | None, beta: float, columns: int) -> NDArray[Any] | None:
    """A constant C as one number per column, times β; None if it is not one."""
    import numpy as np

    array = None if c is None else constant_array(c)
    if array is None or (array.size != 1 and (array.shape[-1] != columns or array.size != columns)):
        return None
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1) * np.float32(beta), (columns,)))


def _times(c: Value, beta: float, rewriter: Rewriter) -> Value:
    import numpy as np

    if beta == 1.0:
        return c
    array = constant_array(c)
    if array is not None:
        return replace_constant(rewriter, _scaled(array, np.float32(beta)), c)
    factor = rewriter.constant(np.array(beta, np.float32), "beta", initializer=True)
    return rewriter.op("onnx.Mul", [c, factor], {}, c.type).result


DECOMPOSITIONS = PatternSet([PlainGemm(), ConvTransposeToConv()], "decompose")


@register_pass
@attrs.frozen
class Decompose(Pass):
    """Write operators that few chips have by those that all have: transposed convolutions, general matrix products."""

    name: ClassVar[str] = "decompose"
    anchor: ClassVar[str | None] = None

    def run(self, module: Operation, ctx: Context) -> bool:
        return apply_patterns(module, DECOMPOSITIONS, ctx, name=self.name)
