"""Scales that are quantized themselves: MX, NVFP4, and any other ``scale_by``."""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from qir.numerics.codec import decode, encode
from qir.numerics.granularity import Granularity
from qir.numerics.layout import block_range
from qir.numerics.ranges import MIN_SCALE, range_to_params
from qir.numerics.scheme import Scheme
from qir.numerics.storage import Storage

__all__ = ["ScaleTensor", "element_base", "microscaling", "nested_params", "nvfp4", "quantize_scale"]


@attrs.frozen(eq=False)
class ScaleTensor:
    """A scale tensor that is quantized in turn.

    `values`: what the elements are divided by, float32. `codes`: what is stored of it. `scale` and `zero`: the
    parameters of the quantizer that ``scale_by`` names.
    """

    values: Tensor
    codes: Tensor
    scale: Tensor
    zero: Tensor | None


def microscaling(element: str, scale_by: str, axis: int = -1, rounding: str = "floor") -> tuple[Scheme, Scheme]:
    """OCP MX: blocks of 32 along `axis` with a power of two each, as (scheme of the elements, scheme of the scales).

    `element`: f8E4M3FN, f8E5M2, f6…, f4E2M1FN or i8. `rounding` of the scale: ``floor`` is the standard's
    ``2**(floor(log2 amax) - emax)``, ``ceil`` the form that never clips.
    """
    storage = Storage.parse(element)
    low = -storage.qmax if storage.is_integer else storage.qmin
    blocks = Granularity.block({axis: 32}, rest=1)
    return (
        Scheme(storage=storage, qmin=low, granularity=blocks, scale_by=scale_by),
        Scheme(storage="f8E8M0FNU", rounding=rounding),  # type: ignore[arg-type]  # the scheme checks the name
    )


def nvfp4(scale_by: str, axis: int = -1) -> tuple[Scheme, Scheme]:
    """NVFP4: f4E2M1FN in blocks of 16 along `axis` under f8E4M3FN scales, those under one float32."""
    blocks = Granularity.block({axis: 16}, rest=1)
    return Scheme(storage="f4E2M1FN", granularity=blocks, scale_by=scale_by), Scheme(storage="f8E4M3FN")


def element_base(scheme: Scheme, scale_scheme: Scheme) -> float:
    """What the largest magnitude of a block is divided by to give its scale.

    The largest value of the elements; under f8E8M0FNU scales, unless those round up (``ceil``), the power of two below
    it: then rounding down is OCP MX's ``2**(floor(log2 amax) - emax)``.
    """
    low, high = scheme.value_bounds
    top = high if high > 0 else -low
    if scale_scheme.storage.name != "f8E8M0FNU" or scale_scheme.rounding == "ceil":
        return top
    return math.ldexp(1.0, math.frexp(top)[1] - 1)


def quantize_scale(scale: Tensor, scheme: Scheme, outer: Tensor | None = None) -> ScaleTensor:
    """Quantize a tensor of positive scales by the quantizer that ``scale_by`` names; no result is zero.

    `scale`: float32, of the elements' parameter shape. `scheme`: the scale's quantizer; its granularity counts the axes
    of `scale`. `outer`: that quantizer's own scale if it is known, else 1 for f8E8M0FNU and otherwise from the largest
    scale of each of its blocks. A scale that would round to 0 becomes the smallest positive number there is.
    """
    if outer is None and scheme.storage.name == "f8E8M0FNU":
        outer = scale.new_ones(())
    if outer is None:
        outer, zero = range_to_params(*block_range(scale, scheme.granularity), scheme)
    else:
        zero = range_to_params(torch.zeros_like(outer), torch.ones_like(outer), scheme)[1]
    codes = encode(scale, scheme, outer, zero)
    values = decode(codes, scheme, outer, zero)
    if (values <= 0).any():
        smallest = encode(torch.full_like(scale, _smallest(scheme)), scheme, torch.ones_like(outer), zero)
        codes = torch.where(values <= 0, _bits(smallest), _bits(codes)).view(codes.dtype)
        values = decode(codes, scheme, outer, zero)
    return ScaleTensor(values, codes, outer, zero)


def _smallest(scheme: Scheme) -> float:
    if scheme.storage.is_float:
        return scheme.storage.format.min_positive
    return 1.0 if scheme.codebook is None else min(v for v in scheme.codebook if v > 0)


def _bits(codes: Tensor) -> Tensor:
    """float8 tensors have no `where`; their bits do."""
    return codes.view(torch.uint8) if codes.element_size() == 1 and codes.dtype.is_floating_point else codes


def nested_params(
    lo: Tensor, hi: Tensor, scheme: Scheme, scale_scheme: Scheme, outer: Tensor | None = None
) -> ScaleTensor:
    """`range_to_params` for a symmetric scheme whose scale is quantized by `scale_scheme`.

    `lo`, `hi`: the range of each block. Raises ValueError for NaN and infinities, and for an affine scheme.
    """
    if not scheme.symmetric:
        raise ValueError("only symmetric quantizers have their scale from the largest magnitude of a block")
    amax = torch.maximum(lo.to(torch.float32).abs(), hi.to(torch.float32).abs())
    if not amax.isfinite().all():
        raise ValueError("a range must be finite: the values it was taken from hold NaN or infinities")
    return quantize_scale((amax / element_base(scheme, scale_scheme)).clamp_(min=MIN_SCALE), scale_scheme, outer)
