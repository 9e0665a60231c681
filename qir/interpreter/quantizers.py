"""The parameters of a quantizer as tensors, whatever form its scale has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qir.dialects.qsim import QuantizerOp
from qir.numerics import product_scale

__all__ = ["quantizer_parameters"]


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
