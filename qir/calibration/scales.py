"""Parameters of quantizers whose scale is quantized itself (``scale_by``): MX, NVFP4, LPBQ."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import QuantizerOp
from qir.numerics import Scheme, nested_params, range_to_params
from qir.numerics.nested import element_base

__all__ = ["quantize_scales"]


def quantize_scales(module: ModuleOp, ranges: Mapping[QuantizerOp, tuple[Tensor, Tensor]], again: bool = False) -> None:
    """Store the scales of quantizers that name another one for them, and that one's own scale where it has none.

    `ranges` are the lower and upper ends of each block; with `again` the scale of the scales is found anew. The
    elements are divided by what the quantized scale stands for, so that is what is stored. A quantizer of scales that
    several name is one for all of them: its range is the union. Raises QirError where the scheme is affine.
    """
    quantizers = {op.sym_name: op for op in module.body if isinstance(op, QuantizerOp)}
    groups: dict[str, list[QuantizerOp]] = {}
    for op in ranges:
        assert op.scale_by is not None  # the caller's choice
        groups.setdefault(op.scale_by, []).append(op)
    for name, members in groups.items():
        by = quantizers.get(name)
        if by is None:
            raise members[0].error(f"names @{name} for its scales, which is no quantizer")
        if again:
            by.scale = by.zero = None
        outer = None if by.scale is None else torch.from_numpy(by.scale.numpy().copy())
        if outer is None and len(members) > 1 and by.granularity.is_per_tensor:
            outer = _common(by.scheme, [(op.scheme, *ranges[op]) for op in members])
        for op in members:
            try:
                nested = nested_params(*ranges[op], op.scheme, by.scheme, outer)
            except ValueError as error:
                raise op.error(f"@{op.sym_name}: {error}", "say symmetric, or leave scale_by out") from None
            op.set_parameters(nested.values.numpy())
            if by.scale is None:
                zero = None if by.symmetric or nested.zero is None else nested.zero.numpy()
                by.set_parameters(nested.scale.numpy(), zero)


def _common(by: Scheme, members: list[tuple[Scheme, Tensor, Tensor]]) -> Tensor | None:
    """The scale under which the largest scale of all members fits; None for powers of two, which need none."""
    if by.storage.name == "f8E8M0FNU":
        return None
    largest = max(
        float(torch.maximum(lo.abs(), hi.abs()).max()) / element_base(scheme, by) for scheme, lo, hi in members
    )
    return range_to_params(torch.zeros(()), torch.tensor(largest), by)[0]
