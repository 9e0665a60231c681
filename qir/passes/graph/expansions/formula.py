"""An expansion: an operator by a formula of others, and what such a formula is written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir import FloatType, Operation, TensorType, Type, Value, is_absent
from qir.passes.graph.operations import opset
from qir.rewrite import RewritePattern, Rewriter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["EXPANSIONS", "Expansion", "Maker", "expands"]


@attrs.frozen
class Maker:
    """Makes operators in place of another; operands are values, or numbers, which become constants of its type."""

    op: Operation
    rewriter: Rewriter

    def __call__(self, name: str, *operands: Value | float, type: Type | None = None, **attributes: Any) -> Value:
        values = [v if isinstance(v, Value) else self.constant(v) for v in operands]
        return self.rewriter.op(f"onnx.{name}", values, attributes, type or self.op.results[0].type).results[0]

    def constant(self, data: Any, dtype: DTypeLike | None = None) -> Value:
        """A constant of the operator's own element type, or of `dtype`."""
        import numpy as np

        from qir.ir.tensors import numpy_dtype

        return self.rewriter.constant(np.asarray(data, dtype or numpy_dtype(self.tensor.element)), initializer=True)

    @property
    def x(self) -> Value:
        return self.op.operands[0]

    @property
    def tensor(self) -> TensorType:
        """The type of the first operand; `Expansion` sees to it that its rank is known."""
        assert isinstance(self.x.type, TensorType)
        return self.x.type

    @property
    def sizes(self) -> tuple[int | None, ...]:
        return self.tensor.shape or ()

    def attr(self, name: str, default: Any) -> Any:
        return self.op.attr(name, default)

    def given(self, index: int) -> Value | None:
        value = self.op.operands[index] if index < len(self.op.operands) else None
        return None if value is None or is_absent(value) else value

    def reduce(self, name: str, x: Value, axes: Sequence[int]) -> Value:
        """Over these axes, which stay as 1; the axes are an attribute up to opset 17 (of ReduceSum up to 12)."""
        assert isinstance(x.type, TensorType) and x.type.shape is not None
        sizes = tuple(1 if i in axes else n for i, n in enumerate(x.type.shape))
        operand = opset(self.op) >= (13 if name == "ReduceSum" else 18)
        more = [self.constant(list(axes), "int64")] if operand else []
        attributes = {} if operand else {"axes": list(axes)}
        return self(name, x, *more, type=x.type.with_shape(sizes), keepdims=1, **attributes)

    def clip(self, x: Value, low: float, high: float) -> Value:
        """Between two numbers, which are attributes up to opset 10."""
        return self("Clip", x, min=low, max=high) if opset(self.op) < 11 else self("Clip", x, low, high)

    def reshape(self, x: Value, sizes: Sequence[int], shape: Sequence[int | None]) -> Value:
        """`sizes` as ONNX has them (0 keeps one, -1 follows from the others), `shape` for the type."""
        assert isinstance(x.type, TensorType)
        return self("Reshape", x, self.constant(list(sizes), "int64"), type=x.type.with_shape(tuple(shape)))


def _floats(value: Value) -> bool:
    """Whether a value is a tensor of floats of known rank."""
    type = value.type
    return isinstance(type, TensorType) and type.shape is not None and isinstance(type.element, FloatType)


Formula = Callable[[Maker], "Value | None"]


class Expansion(RewritePattern):
    """An operator by its formula, on tensors of floats of known rank with one used result.

    With a `name` it is a special case of an operator that targets have, and runs where a pipeline names it.
    """

    def __init__(self, op_type: str, name: str, formula: Formula) -> None:
        self.op_type, self.name, self.formula = op_type, name or f"expand-{op_type}", formula
        self.is_special = bool(name)
        self.roots, self.doc = (f"onnx.{op_type}",), (formula.__doc__ or "").strip()

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        if any(r.uses for r in op.results[1:]) or not all(map(_floats, (*op.operands[:1], op.results[0]))):
            return False
        made = self.formula(Maker(op, rewriter))
        if made is None:
            return False
        rewriter.replace(op, [made, *[None] * (len(op.results) - 1)])
        return True


EXPANSIONS: list[Expansion] = []
"""All expansions, in the order in which they are tried."""


def expands(op_type: str, name: str = "") -> Callable[[Formula], Formula]:
    """Registers the formula of an operator, or of its special case `name`; None from it means: not this one."""

    def register(formula: Formula) -> Formula:
        EXPANSIONS.append(Expansion(op_type, name, formula))
        return formula

    return register
