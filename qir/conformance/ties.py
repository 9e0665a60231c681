"""Scales of powers of two: integers that are requantized by short shifts fall half-way between two codes again and
again, so that a wrong rounding shows in hundreds of elements, where other scales hardly ever have a tie."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import FakeOp
from qir.passes.quantize.queries import quantizers
from qir.target import is_constant

__all__ = ["make_ties"]

COARSER = 8


def make_ties(module: ModuleOp) -> bool:
    """Raise every scale to the next power of two, once all are known, and drop the ranges that they came from.

    Weights of 8 bits and more get coarser still: the shift behind a product is then short. Returns whether it was done.
    Scales of 1 / 256 and the like, as fixed results have, stay as they are.
    """
    import numpy as np

    known = quantizers(module)
    fakes = [op for op in module.walk() if isinstance(op, FakeOp)]
    if not fakes or not all(known[fake.quantizer].is_calibrated for fake in fakes):
        return False
    weights = {fake.quantizer for fake in fakes if is_constant(fake.x)}
    for name, quantizer in known.items():
        scale, zero = quantizer.parameters()
        if scale is None or quantizer.scale_by is not None:
            continue
        raised = np.exp2(np.ceil(np.log2(scale.astype(np.float64)))).astype(scale.dtype)
        if name in weights and quantizer.scheme.bits >= 8:
            raised = raised * scale.dtype.type(COARSER)
        quantizer.set_parameters(raised, zero)
        for end in ("lo", "hi"):
            quantizer.attributes.pop(end, None)
    return True
