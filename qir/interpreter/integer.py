"""Convolutions and products of integer codes: exact, and as fast as torch allows.

What is computed is ``sum (x - zx) * (w - zw) + bias`` in the integers, with padding that stands for x = zx. Which
arithmetic does that is chosen once, from the weights:

- ``int8``: an int8 matrix product with int32 sums (`torch._int_mm`), convolutions as windows laid out in rows. Exact
  always, and on CPUs with VNNI three to four times faster than float32. It wraps at 2**31 as the chips do.
- ``float32``, where every partial sum of every output channel stays within 2**24, so that float32 loses nothing in
  whatever order it adds; in parts along the input channels (``split``) where a few parts do.
- ``float64`` for the rest.

The bound is tight: with x - zx in [a, b] any partial sum lies between the sum of the negative and the sum of the
positive extreme products. torch's own int8 convolution is not used: it sums in int8 and wraps.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F

__all__ = ["IntegerConv", "IntegerMatmul", "exact_limit", "integer_conv", "integer_matmul", "integer_product"]

exact_limit = 1 << 24
"""Integers up to this are float32 numbers."""

_MOST_PARTS = 4
_ROWS_AT_ONCE = 1 << 26  # bytes of windows laid out at a time


@functools.cache
def fast_int8() -> bool:
    """Whether this CPU has int8 products, and torch's come out right for extreme values.

    Without VNNI, kernels may add pairs in saturating 16-bit arithmetic: that shows with all values at one end.
    """
    vnni = getattr(torch.cpu, "_is_vnni_supported", lambda: False)()
    if not (vnni and torch.backends.mkldnn.is_available()):
        return False
    for left, right in ((-128, -128), (-128, 127), (127, 127)):
        a = torch.full((32, 256), left, dtype=torch.int8)
        b = torch.full((256, 32), right, dtype=torch.int8)
        if not bool((torch._int_mm(a, b) == left * right * 256).all()):
            return False
    return True


@contextmanager
def plain_float(device: torch.device) -> Iterator[None]:
    """Keeps CUDA from shortcuts that are not exact for integers: TF32, and cuDNN's Winograd and FFT convolutions."""
    if device.type != "cuda":
        yield
        return
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def _centered(weight: torch.Tensor, zero: int | torch.Tensor, channel_axis: int) -> torch.Tensor:
    """Weight codes minus their zero point (one, or one per output channel), as int64."""
    wide = weight.to(torch.int64)
    if isinstance(zero, torch.Tensor) and zero.numel() > 1:
        shape = [1] * weight.dim()
        shape[channel_axis] = -1
        return wide - zero.to(torch.int64).reshape(shape)
    return wide - int(zero)


def _largest_sum(rows: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Per row of integer weights: the largest magnitude that a sum of some of its products with [low, high] takes."""
    positive, negative = rows.clamp(min=0).sum(-1), rows.clamp(max=0).sum(-1)
    above, below = max(high, 0), min(low, 0)
    return torch.maximum(above * positive + below * negative, -(below * positive + above * negative))


def _bound(rows: torch.Tensor, low: int, high: int, bias: torch.Tensor | None) -> int:
    if rows.numel() == 0:
        return 0
    sums = _largest_sum(rows, low, high)
    if bias is not None:
        sums = sums + bias.to(torch.int64).abs().reshape(-1)
    return int(sums.max())


def _parts(rows: torch.Tensor, low: int, high: int, bias: torch.Tensor | None, step: int) -> int:
    """Into how many equal parts, in units of `step` columns, the rows must be cut for float32; 0: more than a few."""
    units = rows.shape[-1] // step
    for parts in range(1, min(_MOST_PARTS, units) + 1):
        size = -(-units // parts) * step
        cuts = [rows[:, i : i + size] for i in range(0, rows.shape[-1], size)]
        bounds = [_bound(cut, low, high, bias if i == 0 else None) for i, cut in enumerate(cuts)]
        if max(bounds, default=0) <= exact_limit:
            return parts
    return 0


def _to_int8(codes: torch.Tensor) -> tuple[torch.Tensor, int] | None:
    """8-bit codes as int8 and what was subtracted; None for other types."""
    if codes.dtype == torch.int8:
        return codes, 0
    if codes.dtype == torch.uint8:
        return (codes ^ 128).view(torch.int8), 128
    return None


class _Exact:
    """What both operations decide: the arithmetic (`path`) and its data."""

    def __init__(
        self,
        rows: torch.Tensor,
        x_zero: int,
        x_range: tuple[int, int],
        bias: torch.Tensor | None,
        step: int,
        int8: bool,
        wide: bool,
    ) -> None:
        self.wide = wide
        low, high = x_range[0] - x_zero, x_range[1] - x_zero
        self.x_zero = x_zero
        self.bound = _bound(rows, low, high, bias)
        self.parts = _parts(rows, low, high, bias, step)
        small = x_range[0] >= -128 and x_range[1] <= 255 and bool(((rows >= -128) & (rows <= 127)).all())
        if int8 and small and rows.device.type == "cpu" and fast_int8():
            self.path = "int8"
        elif torch.get_float32_matmul_precision() != "highest" and rows.device.type == "cpu":
            self.path = "float64"  # torch may then compute float32 products in bfloat16
        elif self.parts == 1:
            self.path = "float32"
        elif self.parts:
            self.path = "split"
        else:
            self.path = "float64"

    def finish(self, sums: torch.Tensor) -> torch.Tensor:
        """Sums beyond int32 wrap, as in a 32-bit accumulator; with `wide` they have 64 bits."""
        return sums.to(torch.int64).to(torch.int32) if self.bound >= 1 << 31 and not self.wide else sums


class IntegerConv(_Exact):
    """A convolution of codes with constant weights, ready to run; made by `integer_conv`."""

    def __init__(
        self,
        weight: torch.Tensor,
        weight_zero: int | torch.Tensor,
        bias: torch.Tensor | None,
        x_zero: int,
        x_range: tuple[int, int],
        strides: Sequence[int],
        pads: Sequence[int],
        dilations: Sequence[int],
        groups: int,
        wide: bool,
    ) -> None:
        centered = _centered(weight, weight_zero, 0)
        self.kernel = tuple(weight.shape[2:])
        self.rank = len(self.kernel)
        self.strides, self.pads, self.dilations, self.groups = tuple(strides), tuple(pads), tuple(dilations), groups
        rows = centered.flatten(1)
        taps = rows.shape[1] // max(centered.shape[1], 1) if centered.shape[1] else 1
        whole = groups == 1 and rows.shape[1] >= 32 and self.rank == 2
        super().__init__(rows, x_zero, x_range, bias, taps, whole, wide)
        if self.path == "split" and groups != 1:
            self.path = "float64"
        self.bias = None if bias is None else bias.reshape(-1)
        if self.path == "int8":
            self.columns = centered.permute(2, 3, 1, 0).reshape(-1, centered.shape[0]).to(torch.int8).contiguous()
            self.column_sums = self.columns.to(torch.int64).sum(0)
            self.offsets: dict[int, torch.Tensor] = {}
            return
        dtype = torch.float64 if self.path == "float64" else torch.float32
        self.filters = centered.to(dtype)
        if self.rank == 2:
            self.filters = self.filters.contiguous(memory_format=torch.channels_last)
        self.bias_float = None if self.bias is None else self.bias.to(dtype)

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """Exact sums for codes ``[N, C, ...]``, in int32, float32 or float64, whichever the path computes in."""
        if self.path == "int8":
            converted = _to_int8(codes)
            if converted is not None:
                return self._rows(*converted)
        with plain_float(codes.device):
            if self.path == "int8":
                raise TypeError(f"the codes are {codes.dtype}, but 8-bit codes were promised")
            return self.finish(self._float(codes))

    def _float(self, codes: torch.Tensor) -> torch.Tensor:
        x = codes.to(self.filters.dtype)
        if self.rank == 2:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.x_zero:
            x = x - self.x_zero
        rank, pads = self.rank, self.pads
        begins = pads[:rank]
        if begins != pads[rank:] or min(begins, default=0) < 0:
            x = F.pad(x, [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])])
            begins = (0,) * rank
        convolve = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
        if self.path != "split":
            return convolve(x, self.filters, self.bias_float, self.strides, begins, self.dilations, self.groups)
        size = -(-x.shape[1] // self.parts)
        total: torch.Tensor | None = None
        for start in range(0, x.shape[1], size):
            bias = self.bias_float if start == 0 else None
            piece = x[:, start : start + size], self.filters[:, start : start + size]
            part = convolve(*piece, bias, self.strides, begins, self.dilations).to(torch.int32)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def _rows(self, codes: torch.Tensor, shift: int) -> torch.Tensor:
        """Windows as rows of an int8 matrix product. What is padded is the zero point, so it adds nothing."""
        zero = self.x_zero - shift
        offset = self.offsets.get(shift)
        if offset is None:
            full = -zero * self.column_sums + (0 if self.bias is None else self.bias.to(torch.int64))
            offset = self.offsets[shift] = full.to(torch.int32)
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.strides, self.dilations
        top, left, bottom, right = self.pads
        x = codes.permute(0, 2, 3, 1)
        n, height, width, channels = x.shape
        if any(self.pads):
            x = F.pad(x, (0, 0, left, right, top, bottom), value=zero)
            height, width = x.shape[1], x.shape[2]
        x = x.contiguous()
        out_h = (height - (kh - 1) * dh - 1) // sh + 1
        out_w = (width - (kw - 1) * dw - 1) // sw + 1
        if out_h <= 0 or out_w <= 0:
            raise ValueError(f"the window of {kh}x{kw} does not fit into the padded input of {height}x{width}")
        a, b, c, d = x.stride()
        windows = x.as_strided((n, out_h, out_w, kh, kw, channels), (a, b * sh, c * sw, b * dh, c * dw, d))
        result = torch.empty((n, out_h, out_w, self.columns.shape[1]), dtype=torch.int32)
        at_once = max(1, _ROWS_AT_ONCE // max(1, out_h * out_w * self.columns.shape[0]))
        for start in range(0, n, at_once):
            # Of an image one pixel high the rows overlap in place, and the product reads them as if they did not.
            rows = windows[start : start + at_once].reshape(-1, self.columns.shape[0]).contiguous()
            sums = torch._int_mm(rows, self.columns).add_(offset)
            result[start : start + at_once] = sums.reshape(-1, out_h, out_w, self.columns.shape[1])
        return result.permute(0, 3, 1, 2)


class IntegerMatmul(_Exact):
    """A product of codes with a constant matrix, ready to run; made by `integer_matmul`."""

    def __init__(
        self,
        weight: torch.Tensor,
        weight_zero: int | torch.Tensor,
        bias: torch.Tensor | None,
        x_zero: int,
        x_range: tuple[int, int],
        wide: bool,
    ) -> None:
        centered = _centered(weight, weight_zero, 1)
        super().__init__(centered.t(), x_zero, x_range, bias, 1, True, wide)
        self.bias = None if bias is None else bias.reshape(-1)
        if self.path == "int8":
            self.columns = centered.to(torch.int8).contiguous()
            self.column_sums = centered.sum(0)
            self.offsets: dict[int, torch.Tensor] = {}
            return
        self.matrix = centered.to(torch.float64 if self.path == "float64" else torch.float32)
        self.bias_float = None if self.bias is None else self.bias.to(self.matrix.dtype)

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """Exact sums for codes ``[..., K]``: ``[..., N]`` in int32, float32 or float64."""
        if self.path == "int8":
            converted = _to_int8(codes)
            if converted is None:
                raise TypeError(f"the codes are {codes.dtype}, but 8-bit codes were promised")
            x, shift = converted
            offset = self.offsets.get(shift)
            if offset is None:
                full = (shift - self.x_zero) * self.column_sums
                full = full if self.bias is None else full + self.bias.to(torch.int64)
                offset = self.offsets[shift] = full.to(torch.int32)
            rows = x.reshape(-1, x.shape[-1]).contiguous()
            return torch._int_mm(rows, self.columns).add_(offset).reshape(*x.shape[:-1], -1)
        with plain_float(codes.device):
            return self.finish(self._float(codes))

    def _float(self, codes: torch.Tensor) -> torch.Tensor:
        x = codes.to(self.matrix.dtype)
        if self.x_zero:
            x = x - self.x_zero
        if self.path != "split":
            sums = torch.matmul(x, self.matrix)
            return sums if self.bias_float is None else sums + self.bias_float
        size = -(-x.shape[-1] // self.parts)
        total: torch.Tensor | None = None
        for start in range(0, x.shape[-1], size):
            part = torch.matmul(x[..., start : start + size], self.matrix[start : start + size]).to(torch.int32)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total if self.bias is None else total + self.bias.to(torch.int32)


def integer_conv(
    weight: torch.Tensor,
    *,
    x_zero: int = 0,
    x_range: tuple[int, int] = (0, 255),
    weight_zero: int | torch.Tensor = 0,
    bias: torch.Tensor | None = None,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int = 1,
    wide: bool = False,
) -> IntegerConv:
    """Plans ``sum (x - x_zero) * (weight - weight_zero) + bias`` over windows.

    `weight` holds codes ``[M, C / groups, k...]`` of any integer type, `bias` int32 ``[M]``; `weight_zero` may be one
    per output channel; `x_range` says which codes x can have; `pads` are all begins, then all ends. The result takes
    codes ``[N, C, ...]`` and gives exact sums (float32, float64 or int32; modulo 2**32 beyond int32 unless `wide`).
    """
    return IntegerConv(weight, weight_zero, bias, x_zero, x_range, strides, pads, dilations, groups, wide)


def integer_matmul(
    weight: torch.Tensor,
    *,
    x_zero: int = 0,
    x_range: tuple[int, int] = (0, 255),
    weight_zero: int | torch.Tensor = 0,
    bias: torch.Tensor | None = None,
    wide: bool = False,
) -> IntegerMatmul:
    """Plans ``(x - x_zero) @ (weight - weight_zero) + bias`` for codes ``weight [K, N]``; see `integer_conv`."""
    return IntegerMatmul(weight, weight_zero, bias, x_zero, x_range, wide)


def integer_product(
    a: torch.Tensor, b: torch.Tensor, a_zero: int | torch.Tensor = 0, b_zero: int | torch.Tensor = 0
) -> torch.Tensor:
    """Exact ``(a - a_zero) @ (b - b_zero)`` of two tensors of codes, numpy's matmul shapes, modulo 2**32 as int32.

    Zero points are numbers or tensors that broadcast against their operand.
    """
    left, right = a.to(torch.int32) - _wide(a_zero), b.to(torch.int32) - _wide(b_zero)
    if left.numel() == 0 or right.numel() == 0:
        return torch.matmul(left, right)
    most = int(left.abs().max()) * int(right.abs().max()) * left.shape[-1]
    if most <= exact_limit and (left.device.type == "cuda" or torch.get_float32_matmul_precision() == "highest"):
        dtype = torch.float32
    elif most < 1 << 53:
        dtype = torch.float64
    else:
        return torch.matmul(left.to(torch.int64), right.to(torch.int64)).to(torch.int32)
    with plain_float(a.device):
        return torch.matmul(left.to(dtype), right.to(dtype)).to(torch.int64).to(torch.int32)


def _wide(zero: int | torch.Tensor) -> int | torch.Tensor:
    return zero.to(torch.int32) if isinstance(zero, torch.Tensor) else zero
