"""The parameters of a quantizer as tensors, whatever form its scale has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from qir.dialects.qsim import QuantizerOp
from qir.ir import TensorType, fail
from qir.ir.records import RecordOp
from qir.numerics import product_scale
from qir.numerics.scheme import Scheme

__all__ = ["Quantization", "quantization_of", "quantizer_parameters"]


@attrs.frozen(eq=False)
class Quantization:
    """How a value of a lowered operation is quantized: value = scale · (code - zero).

    `scale` (float32) and `zero` (int64) have one shape: () per tensor, (n,) with the n indices of `axis`, else one
    entry per block with the tensor's rank.
    """

    name: str
    scale: Tensor
    zero: Tensor
    scheme: Scheme
    axis: int | None

    @property
    def codes(self) -> tuple[int, int]:
        """The smallest and the largest code."""
        return int(self.scheme.qmin), int(self.scheme.qmax)

    @property
    def exponent(self) -> int:
        """The e of a scale that is ``2**e``. Raises QirError for scales per channel, and for other numbers."""
        fraction, exponent = math.frexp(float(self.scale)) if self.scale.dim() == 0 else (0.0, 0)
        if fraction != 0.5:
            fail(None, f"the scale of @{self.name} is no power of two", "say pow2(nearest), or write such a scale")
        return exponent - 1

    def to(self, device: torch.device) -> Quantization:
        return attrs.evolve(self, scale=self.scale.to(device), zero=self.zero.to(device))


def quantization_of(op: RecordOp, index: int, lookup: Callable[[str], Any]) -> Quantization | None:
    """The quantizer of an operand, or behind the operands of a result, as a record's `quant` names it.

    `lookup` finds a quantizer by name. None where the value is no codes. Raises QirError where the quantizer is not
    there or has no scale, and where the number of its scales is that of no axis of the value.
    """
    name = op.quantizer_names()[index]
    if name is None:
        return None
    quantizer = lookup(name)
    if not isinstance(quantizer, QuantizerOp):
        raise op.error(f"names @{name}, which is no quantizer")
    found = quantizer_parameters(quantizer, lookup)
    if found is None:
        raise op.error(f"is quantized by @{name}, which has no scale", "run calibrate before lowering")
    scheme = quantizer.scheme
    scale, zero = found
    axis = scheme.granularity.axis
    if scheme.product is not None:
        axis = scheme.product.axis if scale.dim() else None
    type = (*op.operands, *op.results)[index].type
    sizes = type.shape if isinstance(type, TensorType) else None
    if scheme.granularity.is_per_tensor and scheme.product is None:
        fits = scale.dim() == 0
    else:  # a target's layout may have moved the axis
        fits = axis is None or sizes is None or None in sizes or scale.numel() in sizes
    if not fits:
        raise op.error(f"is quantized by @{name}, whose {scale.numel()} scales do not fit {type}")
    zeros = torch.tensor(scheme.fixed_zero) if zero is None else zero
    return Quantization(name, scale, zeros.to(torch.int64).expand(scale.shape), scheme, axis)


def quantizer_parameters(quantizer: QuantizerOp, lookup: Callable[[str], Any]) -> tuple[Tensor, Tensor | None] | None:
    """Scale (float32) and zero point of a static quantizer; None where they are not known yet.

    A product's scale comes from its two quantizers, which `lookup` finds by name, unless one is written down. Raises
    QirError where a name is no quantizer, and where the product of the scales is no normal number.
    """
    scale, zero = quantizer.parameters()
    if scale is not None:
        return torch.from_numpy(scale.copy()), None if zero is None else torch.from_numpy(zero.copy())
    product = quantizer.scheme.product
    if product is None:
        return None
    scales = []
    for name in (product.x, product.w):
        other = lookup(name)
        if not isinstance(other, QuantizerOp):
            raise quantizer.error(f"@{quantizer.sym_name} is a product with @{name}, which is no quantizer")
        found = quantizer_parameters(other, lookup)
        if found is None:
            return None
        scales.append(found[0])
    try:
        return product_scale(scales[0], scales[1], product.factor), None
    except ValueError as error:
        raise quantizer.error(f"@{quantizer.sym_name}: {error}", "the scales are too small for a bias") from None
