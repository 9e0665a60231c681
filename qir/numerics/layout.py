"""How scales meet the elements they belong to: broadcasting over blocks, and reductions over blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
import torch
from torch import Tensor

from qir.numerics.granularity import Granularity

__all__ = ["Aligned", "align", "block_range", "collapse", "grid_of", "reduce_blocks"]


def grid_of(granularity: Granularity, shape: Sequence[int]) -> tuple[int, ...]:
    """The number of blocks along every axis of a tensor of `shape`. Raises ValueError as `Granularity.grid` does."""
    return tuple(n for n in granularity.grid(shape) if n is not None)


def collapse(granularity: Granularity, shape: Sequence[int]) -> list[tuple[int, int]]:
    """`shape` with neighbouring axes merged as far as blocks allow: (size, block size) of each remaining axis.

    The row-major order of elements and of blocks is kept: element i of the merged axes belongs to block i // block.
    Per tensor is one axis ``(n, n)``; per axis at most two, ``(outer, outer), (c * inner, inner)``; MX one.
    """
    merged: list[tuple[int, int]] = []
    for n, size in zip(shape, granularity.sizes(len(shape)), strict=True):
        block = min(size or n, n)
        if n == 1 and merged:
            continue
        if merged:
            outer, outer_block = merged[-1]
            if block == n:  # whole: the blocks of the outer axis just become longer
                merged[-1] = (outer * n, outer_block * n)
                continue
            if outer_block == 1 and n % block == 0:  # one block after the other, with no remainder between
                merged[-1] = (outer * n, block)
                continue
            if outer == 1:
                merged[-1] = (n, block)
                continue
        merged.append((n, block))
    return merged or [(1, 1)]


@attrs.frozen
class Aligned:
    """A tensor and its parameters in shapes that broadcast; `restore` gives a result the tensor's own shape back."""

    x: Tensor
    params: tuple[Tensor | None, ...]
    shape: torch.Size

    def restore(self, y: Tensor) -> Tensor:
        return y if y.shape == self.shape else y.reshape(self.shape)


def align(x: Tensor, granularity: Granularity, *params: Tensor | None) -> Aligned:
    """Bring `params` (of `Granularity.param_shape`, of the full grid, or with one element) to broadcast against `x`.

    Without blocks `x` is not touched, whatever its strides. Blocks that divide their axes become axes of their own;
    only ragged ones repeat their parameters to the size of the axis. Raises ValueError for parameters of another shape.
    """
    if all(p is None or p.numel() == 1 for p in params):
        return Aligned(x, tuple(None if p is None else p.reshape(()) for p in params), x.shape)
    if x.numel() == 0:  # nothing to compute: any parameters do
        return Aligned(x, tuple(None if p is None else p.new_ones(()) for p in params), x.shape)
    grid = grid_of(granularity, x.shape)
    allowed = {torch.Size(grid), torch.Size(n for n in granularity.param_shape(x.shape) if n is not None)}
    for p in params:
        if p is not None and p.numel() != 1 and p.shape not in allowed:
            want = " or ".join(str(tuple(s)) for s in sorted(allowed, key=len))
            raise ValueError(
                f"parameters of shape {tuple(p.shape)} do not fit {granularity} of a tensor of shape {tuple(x.shape)}: "
                f"expected {want}"
            )
    sizes = granularity.sizes(x.dim())
    if all(n == 1 or count in (1, n) for n, count in zip(x.shape, grid, strict=True)):
        return Aligned(x, tuple(_reshape(p, grid) for p in params), x.shape)
    if all(size == 0 or n % size == 0 for n, size in zip(x.shape, sizes, strict=True)):
        merged = collapse(granularity, x.shape)
        split = [length for n, block in merged for length in (n // block, block)]
        blocks = [length for n, block in merged for length in (n // block, 1)]
        return Aligned(x.reshape(split), tuple(_reshape(p, blocks) for p in params), x.shape)
    return Aligned(x, tuple(_repeat(_reshape(p, grid), sizes, x.shape) for p in params), x.shape)


def _reshape(param: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    if param is None:
        return None
    return param.reshape(()) if param.numel() == 1 else param.reshape(tuple(shape))


def _repeat(param: Tensor | None, sizes: Sequence[int], shape: Sequence[int]) -> Tensor | None:
    if param is None or param.dim() == 0:
        return param
    for axis, (n, size) in enumerate(zip(shape, sizes, strict=True)):
        if size > 1:
            param = param.repeat_interleave(size, axis).narrow(axis, 0, n)
    return param


def reduce_blocks(x: Tensor, granularity: Granularity, how: Literal["min", "max", "sum"]) -> Tensor:
    """Reduce each block of `x` to one number; the result has `Granularity.param_shape`.

    Raises ValueError for the minimum or maximum of a block without elements.
    """
    if x.numel() == 0 and how != "sum":
        raise ValueError(f"a tensor of shape {tuple(x.shape)} has no {how}imum: it is empty")
    shape = [n for n in granularity.param_shape(x.shape) if n is not None]
    if granularity.is_per_tensor and how != "sum":
        return x.amin() if how == "min" else x.amax()
    # One axis at a time, the last first: it is the contiguous one, and all further work is smaller by its block size.
    for axis, size in reversed(list(enumerate(granularity.sizes(x.dim())))):
        n = x.shape[axis]
        if size == 1 or n == 1:
            continue
        size = min(size or n, n)
        full = n - n % size if size else 0
        parts = [_reduce(x.narrow(axis, 0, full).unflatten(axis, (-1, size)), axis + 1, how)] if full else []
        if full < n or n == 0:
            tail = _reduce(x.narrow(axis, full, n - full), axis, how).unsqueeze(axis)
            parts.append(tail)
        x = parts[0] if len(parts) == 1 else torch.cat(parts, axis)
    return x.reshape(shape)


def _reduce(x: Tensor, axis: int, how: str) -> Tensor:
    if how == "sum":
        return x.sum(axis)
    return x.amin(axis) if how == "min" else x.amax(axis)


def block_range(x: Tensor, granularity: Granularity) -> tuple[Tensor, Tensor]:
    """The smallest and largest value of every block of `x`, each of `Granularity.param_shape`; NaN where one is."""
    return reduce_blocks(x, granularity, "min"), reduce_blocks(x, granularity, "max")
