"""Small parts of emitters that several targets need."""

from __future__ import annotations

import numpy as np

from qir.datasheet import clamp_bounds
from qir.dialects.qsim import make_quantizer
from qir.ir import IntegerType, Operation, TensorType, Value
from qir.numerics.clamps import CLAMPS
from qir.numerics.scheme import Granularity, Product, Scheme
from qir.passes.lower.groups import Group
from qir.rewrite import Rewriter, constant_array

__all__ = ["bias_of", "clamp_name"]


def clamp_name(op: Operation | None) -> str | None:
    """The name of a fused Relu or Clip among `CLAMPS`, NONE where nothing is fused; None for other bounds."""
    if op is None:
        return "NONE"
    bounds = clamp_bounds(op)
    return next((name for name, known in CLAMPS.items() if known == bounds), None)


def bias_of(group: Group, rewriter: Rewriter, channels: int, scheme: Scheme) -> tuple[Value, str | None]:
    """Operand 2 of a group and its quantizer; where it is absent zeros, with a new quantizer of `scheme` (the data
    sheet's for biases) if operands 0 and 1 have some. Codes are int64 beside activations of 16 bits, whose sums have as
    many, else int32."""
    x, w = group.quantizers[:2]
    data = group.operands[0]
    sums16 = data is not None and isinstance(data.type, TensorType) and data.type.element == IntegerType(16)
    bias = group.operands[2] if len(group.operands) > 2 else None
    if bias is not None:
        array = constant_array(bias)
        if sums16 and array is not None:
            bias = rewriter.constant(array.astype(np.int64), bias.name)
        return bias, group.quantizers[2]
    name = f"{group.op.results[0].name or 'zero'}_bias"
    if x is None or w is None:
        return rewriter.constant(np.zeros(channels, np.float32), name), None
    zeros = rewriter.constant(np.zeros(channels, np.int64 if sums16 else np.int32), name)
    func = group.op.parent_op
    assert func is not None and func.parent is not None
    taken = {op.attr("sym_name") for op in func.parent}
    while name in taken:
        name += "_"
    scheme = scheme.evolve(product=Product(x, w), granularity=Granularity.per_tensor())
    with rewriter.at(func.parent, func):
        rewriter.insert(make_quantizer(name, scheme, location=group.op.location))
    return zeros, name
