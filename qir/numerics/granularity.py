"""Granularity: which elements of a tensor share one scale. One primitive, a map of axis to block size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import attrs

__all__ = ["Granularity", "Tail"]

Tail = Literal["error", "pad", "short"]
"""What a last block that is not full is: an error, filled up with zeros in the artifact, or simply shorter."""


def _sorted_blocks(blocks: Mapping[int, int] | Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    pairs = list(blocks.items() if isinstance(blocks, Mapping) else blocks)
    # Axes from the front first, then those that count from the end, as they stand in the tensor's shape.
    return tuple(sorted(pairs, key=lambda pair: (pair[0] < 0, pair[0])))


@attrs.frozen
class Granularity:
    """A block size for each axis: 1 is a scale per index, 0 one scale along the whole axis.

    `blocks` holds the named axes (negative ones count from the end), `rest` the size for all others (0 or 1): an axis
    that is not mentioned is whole, ``...: 1`` makes it 1. Raises ValueError for a size below 0, an axis named twice or
    another `rest`.
    """

    blocks: tuple[tuple[int, int], ...] = attrs.field(default=(), converter=_sorted_blocks)
    rest: int = 0
    tail: Tail = "error"

    def __attrs_post_init__(self) -> None:
        axes = [axis for axis, _ in self.blocks]
        for axis, size in self.blocks:
            if size < 0:
                raise ValueError(f"block size {size} of axis {axis} is negative")
            if axes.count(axis) > 1:
                raise ValueError(f"axis {axis} has two block sizes")
        if self.rest not in (0, 1):
            raise ValueError(f"all other axes ('...') can be whole or 1, not {self.rest}")
        if self.tail not in get_args(Tail):
            raise ValueError(f"unknown tail({self.tail}): expected {', '.join(get_args(Tail))}")

    @classmethod
    def per_tensor(cls) -> Granularity:
        """One scale: ``{}``."""
        return cls()

    @classmethod
    def per_axis(cls, axis: int) -> Granularity:
        """One scale for each index of `axis`: ``{axis: 1}``."""
        return cls({axis: 1})

    @classmethod
    def per_token(cls) -> Granularity:
        """One scale for each vector along the last axis: ``{...: 1, -1: whole}``."""
        return cls({-1: 0}, rest=1)

    @classmethod
    def block(cls, blocks: Mapping[int, int], rest: int = 0, tail: Tail = "error") -> Granularity:
        """Blocks of the given sizes: ``block({0: 1}, …)``; MX is ``block({-1: 32}, rest=1)``."""
        return cls(blocks, rest, tail)

    @property
    def is_per_tensor(self) -> bool:
        return self.rest == 0 and all(size == 0 for _, size in self.blocks)

    @property
    def axis(self) -> int | None:
        """The axis of a per-axis granularity, None for every other one."""
        sized = [(axis, size) for axis, size in self.blocks if size]
        return sized[0][0] if self.rest == 0 and len(sized) == 1 and sized[0][1] == 1 else None

    def sizes(self, rank: int) -> tuple[int, ...]:
        """The block size of every axis of a tensor of `rank`, 0 for whole.

        Raises ValueError for an axis that the tensor does not have, or that is named twice (1 and -1 of rank 2).
        """
        sizes: list[int | None] = [None] * rank
        for axis, size in self.blocks:
            if not -rank <= axis < rank:
                raise ValueError(f"axis {axis} of {self} is outside a tensor of rank {rank}")
            if sizes[axis] is not None:
                raise ValueError(f"{self} names axis {axis % rank} of a tensor of rank {rank} twice")
            sizes[axis] = size
        return tuple(self.rest if size is None else size for size in sizes)

    def grid(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The number of blocks along every axis of `shape`; None where a blocked dimension is not known.

        Raises ValueError where a block does not divide its axis and the tail is ``error``, and as `sizes` does.
        """
        grid: list[int | None] = []
        for axis, (n, size) in enumerate(zip(shape, self.sizes(len(shape)), strict=True)):
            if size == 0:
                grid.append(1)
            elif n is None:
                grid.append(None)
            elif n % size and self.tail == "error":
                raise ValueError(
                    f"blocks of {size} do not divide axis {axis} of size {n}; "
                    "say tail(pad) or tail(short) if that is meant"
                )
            else:
                grid.append(-(-n // size))
        return tuple(grid)

    def param_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The shape of the scale (and zero point) of a tensor of `shape`.

        ``()`` per tensor, one dimension per axis, else one entry per block with the tensor's rank. Raises as `grid`.
        """
        grid = self.grid(shape)
        if self.is_per_tensor:
            return ()
        axis = self.axis
        return grid if axis is None else (grid[axis],)

    def as_axes(self, shape: Sequence[int]) -> tuple[list[int], list[int]]:
        """`shape` with two axes for each that is cut into blocks, and the shape of the scale that broadcasts to it."""
        cut, spread = [], []
        for n, size in zip(shape, self.sizes(len(shape)), strict=True):
            cut += [n // size, size] if size > 1 else [n]
            spread += [n // size, 1] if size > 1 else [n if size else 1]
        return cut, spread

    def __str__(self) -> str:
        tail = "" if self.tail == "error" else f" tail({self.tail})"
        if self.is_per_tensor:
            return f"per_tensor{tail}"
        if self.axis is not None:
            return f"per_axis({self.axis}){tail}"
        if self == Granularity.per_token():
            return f"per_token{tail}"
        entries = (["...: 1"] if self.rest else []) + [f"{axis}: {size or 'whole'}" for axis, size in self.blocks]
        return f"block({{{', '.join(entries)}}}){tail}"
