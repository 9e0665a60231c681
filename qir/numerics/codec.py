"""Encode, decode and simulate: the arithmetic of a quantizer in torch.

Everything is float32, whatever the input's float type, except that float64 inputs and storages of more than 24 bits
(i32 biases) are computed in float64. The quotient is an IEEE division ``x / s``, never a product with ``1 / s``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from qir.ir.tensors import numpy_dtype
from qir.ir.types import FloatType, IntegerType
from qir.numerics.layout import Aligned, align
from qir.numerics.rounding import round_, round_significand, round_to_codebook
from qir.numerics.scheme import Granularity, Scheme, element_type
from qir.numerics.storage import FloatFormat, Storage

__all__ = [
    "FLOAT_DTYPES", "codes_from_numpy", "codes_to_numpy", "decode", "encode", "fake", "float_values", "grid_values",
    "prepare", "rounding_generator", "storage_dtype", "work_dtype",
]  # fmt: skip

FLOAT_DTYPES = {
    "f16": torch.float16, "bf16": torch.bfloat16, "f8E4M3FN": torch.float8_e4m3fn, "f8E5M2": torch.float8_e5m2,
    "f8E4M3FNUZ": torch.float8_e4m3fnuz, "f8E5M2FNUZ": torch.float8_e5m2fnuz,
}  # fmt: skip
"""The float storages that torch has, by name."""


def storage_dtype(scheme: Scheme | Storage) -> torch.dtype:
    """The torch dtype of encoded tensors.

    Integers: int8 up to i8, uint8 up to u8, int16 up to i16, int32 for i32 and for u9 to u16 (torch's uint16 has almost
    no operations). Floats that torch has: its own type. f8E8M0FNU, f6 and f4: the bits, in uint8. Codebook indices:
    uint8, or int32 above 256 entries.
    """
    storage = scheme if isinstance(scheme, Storage) else scheme.storage
    if storage.is_float:
        return FLOAT_DTYPES.get(storage.name, torch.uint8)
    bits = scheme.bits
    if storage.signed:
        return torch.int8 if bits <= 8 else torch.int16 if bits <= 16 else torch.int32
    return torch.uint8 if bits <= 8 else torch.int32


def encode(x: Tensor, scheme: Scheme, scale: Any, zero: Any = None) -> Tensor:
    """Quantize `x` to the codes that are stored, of `storage_dtype` and x's shape.

    Integers: ``clip(round(x / s) + z, qmin, qmax)``, with ``zero_inside`` ``clip(round(x / s + z), qmin, qmax)``.
    Floats: ``x / s`` rounded to the format; codebooks: the index of the entry that ``x / s`` rounds to.
    `x`: any float tensor. `scale`: float32, of the granularity's parameter shape (tensor, array or number). `zero`: the
    same shape, or None for the scheme's fixed zero point. NaN encodes as NaN where the format has one, else as the code
    of 0. Raises ValueError for parameters of another shape.
    """
    work, generator = work_dtype(x, scheme), rounding_generator(x, scheme)
    aligned, s, z = prepare(x, scheme, scale, zero, work)
    v = aligned.x / s
    if scheme.codebook is not None:
        index = round_to_codebook(v, scheme.codebook, scheme.rounding, generator)
        return aligned.restore(index.to(storage_dtype(scheme)))
    if scheme.storage.is_float:
        return aligned.restore(_to_bits(_round_float(v, scheme, generator), scheme.storage))
    far = float("inf") if scheme.saturate else 0.0  # an infinity wraps to nothing in particular
    v.nan_to_num_(nan=0.0, posinf=far, neginf=-far)
    if scheme.zero_inside:
        q = round_(v.add_(z), scheme.rounding, generator)
    else:
        q = round_(v, scheme.rounding, generator)
        q = q.add_(z) if isinstance(z, Tensor) or z else q
    q = _limit(q, scheme, 0)
    return aligned.restore(q.to(storage_dtype(scheme)))


def decode(q: Tensor, scheme: Scheme, scale: Any, zero: Any = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers that codes stand for: ``fl(float(q - z) * s)``, computed in float32 (in float64 if `dtype` is that).

    `q`: what `encode` gave. `scale`, `zero`: as there. Raises ValueError for parameters of another shape.
    """
    work = torch.float64 if dtype == torch.float64 else torch.float32
    if scheme.codebook is not None:
        values = _book(scheme, q, work)[q.long()]
    elif q.dtype == torch.uint8 and scheme.storage.is_float:
        values = float_values(scheme.storage).to(q.device, work)[q.long()]
    else:
        # The difference must not be rounded before it is taken: 24 bits of float32 do not hold an i32.
        values = q.to(torch.float64 if scheme.bits > 24 else work)
        if values is q:
            values = q.clone()
    aligned, s, z = prepare(values, scheme, scale, zero, values.dtype)
    y = aligned.x
    if scheme.storage.is_integer and (isinstance(z, Tensor) or z):
        y = y - z
    return aligned.restore(y.to(work) * s.to(work)).to(dtype)


def fake(x: Tensor, scheme: Scheme, scale: Any, zero: Any = None) -> Tensor:
    """Quantize and dequantize: ``decode(encode(x))`` in x's own float type and memory order, without the codes.

    The one difference: NaN stays NaN in every storage, so that broken inputs are seen (and so does an infinity that
    would have to wrap). With gradients enabled and asked
    for, the straight-through form (`qir.numerics.fake_ste`). Arguments and errors as `encode`.
    """
    if torch.is_grad_enabled() and any(isinstance(t, Tensor) and t.requires_grad for t in (x, scale, zero)):
        from qir.numerics.gradient import fake_ste

        return fake_ste(x, scheme, scale, zero)
    work, generator = work_dtype(x, scheme), rounding_generator(x, scheme)
    aligned, s, z = prepare(x, scheme, scale, zero, work)
    v = grid_values(aligned.x / s, scheme, z, generator)
    result = torch.float64 if x.dtype == torch.float64 else torch.float32
    return aligned.restore(v.to(result).mul_(s.to(result))).to(x.dtype)


def grid_values(v: Tensor, scheme: Scheme, z: Tensor | float, generator: torch.Generator | None) -> Tensor:
    """What ``v = x / s`` becomes on the quantizer's grid, in steps of the scale (``q - z``); `v` is overwritten."""
    if scheme.codebook is not None:
        index = round_to_codebook(v, scheme.codebook, scheme.rounding, generator)
        return torch.where(v.isnan(), v, _book(scheme, v)[index])
    if scheme.storage.is_float:
        return _round_float(v, scheme, generator)
    if scheme.zero_inside:
        v = _limit(round_(v.add_(z), scheme.rounding, generator), scheme, 0)
        return v.sub_(z)
    # clip(r + z, qmin, qmax) - z is clip(r, qmin - z, qmax - z): two passes over memory less.
    return _limit(round_(v, scheme.rounding, generator), scheme, z)


def _limit(r: Tensor, scheme: Scheme, z: Tensor | float) -> Tensor:
    """Clip whole numbers ``r = q - z`` to the scheme's range in place, or wrap them."""
    low, high = scheme.qmin - z, scheme.qmax - z
    if not scheme.saturate:
        return r.sub_(low).remainder_(1 << scheme.bits).add_(low)
    return r.clamp_(low, high)  # type: ignore[arg-type]  # both are tensors or both are numbers


def _round_float(v: Tensor, scheme: Scheme, generator: torch.Generator | None) -> Tensor:
    form = scheme.storage.format
    invalid = v <= 0 if form.specials == "scale" and not scheme.saturate else None
    if form.bits == 16 and scheme.rounding == "half_even" and v.dtype == torch.float32:
        v = v.to(FLOAT_DTYPES[scheme.storage.name]).float()  # the processor's own conversion
    else:
        v = round_significand(v, form, scheme.rounding, generator)
    if form.specials == "fnuz":
        v = v.add_(0.0)  # these formats have no negative zero
    if scheme.saturate or form.specials == "finite":
        return v.clamp_(scheme.qmin, scheme.qmax)
    over = (v > scheme.qmax) | (v < scheme.qmin) if form.signed else v > scheme.qmax
    if form.has_infinity:
        return torch.where(over, torch.full_like(v, float("inf")).copysign_(v), v)
    v.masked_fill_(over, float("nan"))
    return v if invalid is None else v.clamp_(min=form.min_positive).masked_fill_(invalid, float("nan"))


def work_dtype(x: Tensor, scheme: Scheme) -> torch.dtype:
    """The type to compute in: float64 for float64 inputs and for storages that float32 does not hold, else float32."""
    wide = x.dtype == torch.float64 or (scheme.storage.is_integer and scheme.bits > 24)
    return torch.float64 if wide else torch.float32


def rounding_generator(x: Tensor, scheme: Scheme) -> torch.Generator | None:
    """A seeded quantizer draws the same numbers at every use; without a seed torch's own generator draws."""
    if scheme.rounding != "stochastic" or scheme.seed is None:
        return None
    return torch.Generator(x.device).manual_seed(scheme.seed)


def prepare(
    x: Tensor, scheme: Scheme, scale: Any, zero: Any, work: torch.dtype
) -> tuple[Aligned, Tensor, Tensor | float]:
    """x, scale and zero point in the working type, on x's device, in shapes that broadcast."""
    # On the device even where it is one number: CUDA divides by a number of the host as a product with 1 / s.
    s = torch.as_tensor(scale).to(x.device, work)
    z = None if zero is None else torch.as_tensor(zero).to(x.device, work)
    granularity = scheme.granularity
    if scheme.product is not None and s.dim() == 1 and granularity.is_per_tensor:
        granularity = Granularity.per_axis(scheme.product.axis)
    aligned = align(x.to(work), granularity, s, z)
    s_aligned, z_aligned = aligned.params
    assert s_aligned is not None
    if z_aligned is None:
        return aligned, s_aligned, scheme.fixed_zero
    if z_aligned.dim() == 0 and z_aligned.device.type == "cpu":
        return aligned, s_aligned, float(z_aligned)
    return aligned, s_aligned, z_aligned


def _book(scheme: Scheme, like: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The codebook as float32 numbers, in the type of a float `like`, else in `dtype`."""
    book = torch.tensor(scheme.codebook, dtype=torch.float32, device=like.device)
    return book.to(like.dtype if like.dtype.is_floating_point else dtype)


def float_values(storage: Storage) -> Tensor:
    """The number of every bit pattern of a float storage of at most 8 bits, as float32, in the patterns' order."""
    form = storage.format
    if form.bits > 8:
        raise ValueError(f"{storage} has too many numbers for a table")
    patterns = torch.arange(1 << form.bits)
    exponent = (patterns >> form.mantissa) & ((1 << form.exponent) - 1)
    fraction = patterns & ((1 << form.mantissa) - 1)
    if form.specials == "scale":
        values = torch.pow(2.0, (exponent - form.bias).double())
        values[-1] = float("nan")
        return values.float()
    significand = torch.where(exponent > 0, fraction + (1 << form.mantissa), fraction).double()
    values = significand * torch.pow(2.0, (exponent.clamp(min=1) - form.bias - form.mantissa).double())
    negative = patterns >= 1 << (form.bits - 1)
    _mark_specials(values, patterns & ((1 << (form.bits - 1)) - 1), form)
    values = torch.where(negative, -values, values)
    if form.specials == "fnuz":
        values[1 << (form.bits - 1)] = float("nan")
    return values.float()


def _mark_specials(values: Tensor, magnitude: Tensor, form: FloatFormat) -> None:
    if form.specials == "fn":
        values[magnitude == magnitude.max()] = float("nan")
    elif form.specials == "ieee":
        top = ((1 << form.exponent) - 1) << form.mantissa
        values[magnitude == top] = float("inf")
        values[magnitude > top] = float("nan")


def _to_bits(v: Tensor, storage: Storage) -> Tensor:
    """Numbers that are already on the grid of `storage`, in their storage dtype."""
    dtype = FLOAT_DTYPES.get(storage.name)
    if dtype is not None:
        return v.to(dtype)
    form = storage.format
    if form.specials == "scale":
        patterns = torch.frexp(v).exponent + (form.bias - 1)
        return torch.where(v.isnan(), 0xFF, patterns).to(torch.uint8)
    positive = float_values(storage)[: 1 << (form.bits - 1)].to(v.device, v.dtype)
    patterns = torch.bucketize(v.abs().contiguous(), positive) + (v.signbit().to(torch.int64) << (form.bits - 1))
    return torch.where(v.isnan(), 0, patterns).to(torch.uint8)


def codes_to_numpy(q: Tensor, scheme: Scheme | Storage) -> np.ndarray[Any, Any]:
    """Encoded values as an array of the element's own dtype (ml_dtypes where numpy has none), sharing memory if it can.

    Widths that no dtype has (i3, u6, …) stay in the next wider integer.
    """
    element, q = element_type(scheme), q.detach().cpu()
    if isinstance(element, FloatType):
        bits = torch.int16 if element.width == 16 else torch.uint8
        return np.asarray(q.view(bits).numpy().view(numpy_dtype(element)))
    width = scheme.bits
    if width not in (2, 4):
        element = IntegerType(8 if width <= 8 else 16 if width <= 16 else 32, "u" if scheme.element[0] == "u" else "")
    return q.numpy().astype(numpy_dtype(element), copy=False)


def codes_from_numpy(array: np.ndarray[Any, Any], scheme: Scheme | Storage) -> Tensor:
    """The inverse of `codes_to_numpy`: an array of the element's dtype as the tensor that `decode` takes (a copy)."""
    dtype = storage_dtype(scheme)
    if scheme.element[0] in "fb" and scheme.element != "f16":
        bits = np.ascontiguousarray(array).view(np.int16 if scheme.element == "bf16" else np.uint8)
        return torch.from_numpy(bits.copy()).view(dtype).reshape(array.shape)
    wide = np.float16 if scheme.element == "f16" else np.int32
    return torch.from_numpy(array.astype(wide)).to(dtype)
