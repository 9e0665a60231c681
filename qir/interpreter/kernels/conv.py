"""Convolutions. Two-dimensional ones run channels-last: faster on CPUs, and what follows inherits the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel

__all__ = ["Window", "channels_last", "conv_nd", "pad_spatial", "same_pads", "window_of"]

CONVS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class Window:
    """The attributes of a sliding window, with ONNX's defaults; `pads` is None where the input's size decides."""

    def __init__(
        self,
        kernel: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        pads: Sequence[int],
        auto_pad: str,
    ) -> None:
        self.kernel = tuple(kernel)
        self.strides = tuple(strides)
        self.dilations = tuple(dilations)
        self.auto_pad = auto_pad
        self.pads: tuple[int, ...] | None = tuple(pads)
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            self.pads = None
        elif auto_pad == "VALID":
            self.pads = (0,) * (2 * len(self.kernel))

    @property
    def rank(self) -> int:
        return len(self.kernel)

    def pads_for(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """All begins, then all ends, for an input of these spatial sizes."""
        return self.pads if self.pads is not None else same_pads(self, sizes)


def same_pads(window: Window, sizes: Sequence[int]) -> tuple[int, ...]:
    """``SAME``: output size is ceil(size / stride); the odd cell goes to the end (UPPER) or the beginning (LOWER)."""
    begins, ends = [], []
    for size, kernel_size, stride, dilation in zip(
        sizes, window.kernel, window.strides, window.dilations, strict=False
    ):
        out = -(-size // stride)
        total = max(0, (out - 1) * stride + (kernel_size - 1) * dilation + 1 - size)
        small, large = total // 2, total - total // 2
        begins.append(small if window.auto_pad == "SAME_UPPER" else large)
        ends.append(large if window.auto_pad == "SAME_UPPER" else small)
    return (*begins, *ends)


def window_of(node: Node, kernel_shape: Sequence[int]) -> Window:
    """The node's window over the given kernel sizes. Raises QirError when an attribute's length disagrees."""
    rank = len(kernel_shape)
    ones, zeros = (1,) * rank, (0,) * (2 * rank)
    strides = node.ints("strides", ones) or ones
    dilations = node.ints("dilations", ones) or ones
    pads = node.ints("pads", zeros) or zeros
    for name, value, want in (("strides", strides, rank), ("dilations", dilations, rank), ("pads", pads, 2 * rank)):
        if len(value) != want:
            raise node.error(f"{name} has {len(value)} numbers, but the window has rank {rank}", f"it takes {want}")
    return Window(kernel_shape, strides, dilations, pads, node.attr("auto_pad", "NOTSET"))


def pad_spatial(x: torch.Tensor, pads: Sequence[int], value: float = 0) -> torch.Tensor:
    """Pads the last axes; `pads` are all begins, then all ends. Negative ones crop."""
    rank = len(pads) // 2
    order = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[axis + rank])]
    return F.pad(x, order, value=value)


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """The same values, laid out channels-last when the tensor has four axes."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def prepare_weight(node: Node, index: int = 1) -> None:
    """Lays a constant filter out channels-last, once."""
    weight = node.constant(index)
    if isinstance(weight, torch.Tensor) and weight.dim() == 4 and weight.is_floating_point():
        node.replace_constant(index, channels_last(weight))


def conv_nd(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window, groups: int
) -> torch.Tensor:
    """A convolution of any rank from 1 to 3, with pads that may differ at the two ends."""
    rank = window.rank
    pads = window.pads_for(x.shape[2:])
    begins, ends = pads[:rank], pads[rank:]
    if begins != ends or min(begins, default=0) < 0:
        x, begins = pad_spatial(x, pads), (0,) * rank
    if rank == 2 and x.dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        x = channels_last(x)
    convolve: Any = CONVS[rank]
    result: torch.Tensor = convolve(x, weight, bias, window.strides, begins, window.dilations, groups)
    return result


@kernel("onnx.Conv", fresh=True)
def _conv(node: Node) -> Kernel:
    groups = node.attr("group", 1)
    shape = node.ints("kernel_shape")
    prepare_weight(node)
    weight = node.constant(1)
    if weight is not None:
        shape = tuple(weight.shape[2:])
    fixed = None if shape is None else window_of(node, shape)
    if fixed is not None and fixed.rank == 2 and fixed.pads is not None and fixed.pads[:2] == fixed.pads[2:]:
        strides, pads, dilations = fixed.strides, fixed.pads[:2], fixed.dilations
        last = torch.channels_last

        def run2d(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> Any:
            return F.conv2d(x.contiguous(memory_format=last), w, b, strides, pads, dilations, groups)

        return run2d

    def run(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> Any:
        window = fixed or window_of(node, w.shape[2:])
        if window.rank not in CONVS:
            raise ValueError(f"a convolution over {window.rank} spatial axes is not supported, only over 1 to 3")
        return conv_nd(x, w, b, window, groups)

    return run


@kernel("onnx.ConvTranspose", fresh=True)
def _conv_transpose(node: Node) -> Kernel:
    groups = node.attr("group", 1)
    output_shape = node.ints("output_shape")
    output_padding = node.ints("output_padding")

    def run(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> Any:
        window = window_of(node, w.shape[2:])
        rank = window.rank
        extra = output_padding or (0,) * rank
        reach = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=False)]
        full = [s * (n - 1) + r + e for s, n, r, e in zip(window.strides, x.shape[2:], reach, extra, strict=False)]
        wanted = output_shape[-rank:] if output_shape is not None else None
        if wanted is None and window.pads is None:
            wanted = tuple(n * s for n, s in zip(x.shape[2:], window.strides, strict=False))
        if wanted is not None:
            totals = [f - w for f, w in zip(full, wanted, strict=False)]
            # The standard: the larger half at the end for SAME_UPPER, else at the beginning.
            if window.auto_pad == "SAME_UPPER":
                begins = [t // 2 for t in totals]
            else:
                begins = [t - t // 2 for t in totals]
            pads: Sequence[int] = (*begins, *(t - b for t, b in zip(totals, begins, strict=False)))
        else:
            pads = window.pads_for(x.shape[2:])
        begins, ends = list(pads[:rank]), list(pads[rank:])
        # torch crops the same at both ends and adds `output_padding` (less than the stride) at the end.
        transpose: Any = TRANSPOSED[rank]
        shift = [b - e + p for b, e, p in zip(begins, ends, extra, strict=False)]
        small = all(0 <= s < max(t, d) for s, t, d in zip(shift, window.strides, window.dilations, strict=False))
        if min(begins) >= 0 and small:
            return transpose(x, w, b, window.strides, begins, shift, groups, window.dilations)
        y = transpose(x, w, b, window.strides, 0, 0, groups, window.dilations)
        if b is not None and any(extra):
            y = transpose(x, w, None, window.strides, 0, 0, groups, window.dilations)
        cropped = pad_spatial(y, [*(-b for b in begins), *(p - e for p, e in zip(extra, ends, strict=False))])
        if b is not None and any(extra):
            cropped = cropped + b.reshape(-1, *(1,) * rank)
        return cropped

    return run


@kernel("onnx.DeformConv")
def _deform_conv(node: Node) -> Kernel:
    """Samples the input bilinearly at the window's shifted places, then a product (Dai et al. 2017, v2's mask)."""
    groups, offset_groups = node.attr("group", 1), node.attr("offset_group", 1)

    def run(
        x: torch.Tensor, w: torch.Tensor, offset: torch.Tensor, b: torch.Tensor | None = None, mask: Any = None
    ) -> Any:
        window = window_of(node, w.shape[2:])
        if window.rank != 2:
            raise ValueError("DeformConv is supported over two spatial axes")
        n, c, height, width = x.shape
        out_h, out_w = offset.shape[2:]
        kh, kw = window.kernel
        pads = window.pads_for((height, width))
        shifts = offset.reshape(n, offset_groups, kh * kw, 2, out_h, out_w)

        def grid(axis: int, kernel_axis: torch.Tensor, size: int) -> torch.Tensor:
            steps = torch.arange(size, device=x.device, dtype=x.dtype) * window.strides[axis] - pads[axis]
            taps = kernel_axis * window.dilations[axis]
            spread = steps.reshape((-1, 1) if axis == 0 else (1, -1))
            return taps.reshape(-1, 1, 1) + spread + shifts[:, :, :, axis]

        rows = torch.arange(kh, device=x.device, dtype=x.dtype).repeat_interleave(kw)
        columns = torch.arange(kw, device=x.device, dtype=x.dtype).repeat(kh)
        y, z = grid(0, rows, out_h), grid(1, columns, out_w)
        per = c // offset_groups
        planes = x.reshape(n, offset_groups, per, height * width)
        total: Any = 0
        y0, z0 = torch.floor(y), torch.floor(z)
        for dy in (0, 1):
            for dz in (0, 1):
                yy, zz = y0 + dy, z0 + dz
                share = (1 - (y - yy).abs()) * (1 - (z - zz).abs())
                inside = (yy >= 0) & (yy < height) & (zz >= 0) & (zz < width)
                index = (yy.clamp(0, height - 1) * width + zz.clamp(0, width - 1)).long()
                flat = index.reshape(n, offset_groups, 1, -1).expand(-1, -1, per, -1)
                values = torch.gather(planes, 3, flat).reshape(n, offset_groups, per, kh * kw, out_h, out_w)
                total = total + values * (share * inside)[:, :, None]
        if mask is not None:
            total = total * mask.reshape(n, offset_groups, 1, kh * kw, out_h, out_w)
        columns_of = total.reshape(n, groups, c // groups * kh * kw, out_h * out_w)
        filters = w.reshape(groups, w.shape[0] // groups, -1)
        result = torch.einsum("gok,ngkp->ngop", filters, columns_of).reshape(n, w.shape[0], out_h, out_w)
        return result if b is None else result + b.reshape(-1, 1, 1)

    return run
