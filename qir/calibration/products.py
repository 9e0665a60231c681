"""Products of an activation by a constant: what an error on one side means for the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import torch
from torch import Tensor

from qir.dialects.qsim import FakeOp
from qir.ir import Operation, TensorType, Value
from qir.rewrite import constant_of

__all__ = ["Product", "product_of", "sensitivity"]


@attrs.frozen(eq=False)
class Product:
    """A convolution or matrix product of `x` (as it was before its fake) by the constant `weight`.

    `axis` is the axis of x's channels, `outputs` that of the weight's outputs; `rows` brings a weight to
    (outputs, inputs of a group, taps), `groups` is how many groups of outputs there are.
    """

    op: Operation
    x: Value
    weight: Value
    axis: int
    outputs: int
    groups: int
    rows: Callable[[Tensor], Tensor]

    def sensitivity(self) -> Tensor | None:
        """For each channel of x, the sum of the squares of the weights that it meets: the squared error of the outputs
        for a squared error of 1 in that channel. None where the weights are not there or not finite."""
        data = constant_of(self.weight)
        if data is None:
            return None
        w = self.rows(torch.from_numpy(data.numpy().astype("float64")))
        squares = w.square().sum(2)
        found = squares.reshape(self.groups, -1, squares.shape[1]).sum(1).reshape(-1)
        return found if bool(found.isfinite().all()) else None


def _before_fake(value: Value) -> Value:
    source = value.defining_op
    return source.x if isinstance(source, FakeOp) else value


def product_of(op: Operation) -> Product | None:
    """The product that an operation is, or None."""
    if op.name not in ("onnx.Conv", "onnx.Gemm", "onnx.MatMul") or len(op.operands) < 2:
        return None
    x, weight = _before_fake(op.operands[0]), _before_fake(op.operands[1])
    type = weight.type
    if constant_of(x) is not None or constant_of(weight) is None or not isinstance(type, TensorType):
        return None
    if op.name == "onnx.Conv":
        return Product(op, x, weight, 1, 0, int(op.attr("group", 1)), _taps)
    if type.rank != 2 or op.attr("transA", 0):
        return None
    if op.name == "onnx.Gemm" and op.attr("transB", 0):
        return Product(op, x, weight, -1, 0, 1, _columns_last)
    return Product(op, x, weight, -1, 1, 1, _columns_first)


def _taps(w: Tensor) -> Tensor:
    return w.flatten(2)


def _columns_last(w: Tensor) -> Tensor:
    return w.unsqueeze(2)


def _columns_first(w: Tensor) -> Tensor:
    return w.t().unsqueeze(2)


def sensitivity(values: Sequence[Value], quantizer: str) -> tuple[Tensor, int] | None:
    """How much an error in each channel of a quantizer's values counts, mean 1, and the channels' axis.

    None unless products are all that reads the quantized values: only then the error of their results is known.
    """
    total: Tensor | None = None
    axis = 0
    for value in values:
        for fake in value.users:
            if not isinstance(fake, FakeOp) or fake.quantizer != quantizer:
                continue
            for user in fake.y.users:
                product = product_of(user)
                if product is None or user.operands[0] is not fake.y:
                    return None
                found = product.sensitivity()
                if found is None or (total is not None and (axis != product.axis or total.shape != found.shape)):
                    return None
                axis, total = product.axis, found if total is None else total + found
    if total is None or not float(total.max()) > 0:
        return None
    return total / total.mean(), axis
