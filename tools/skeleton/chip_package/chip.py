"""Stands for the chip until its runtime or simulator is there: plain numpy, and nothing to go by but the file.

Nothing of the lowering is imported here: two descriptions of one arithmetic are worth comparing, one is not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TYPES = (np.dtype("int8"), np.dtype("<i4"), np.dtype("<f4"))


def version() -> str:
    """The version of the file format."""
    return "1"


def run(path: Path, inputs: Mapping[str, Array], profile: str = "") -> dict[str, Array]:
    """The outputs by name of an artifact on arrays by input name. Raises ValueError where it cannot be run."""
    return Chip(Path(path).read_bytes()).run(inputs)


class Chip:
    """A loaded artifact."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        magic, form, tensors, records, inputs, outputs = self.fields("4sBHHBB")
        if (magic, form) != (b"chip", 1):
            raise ValueError("it is no artifact of version 1 for this chip")
        self.tensors = [self.tensor() for _ in range(tensors)]
        ports = [self.port() for _ in range(inputs + outputs)]
        self.inputs, self.outputs = ports[:inputs], ports[inputs:]
        self.records = [self.record() for _ in range(records)]

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        self.at += count
        if len(piece) != count:
            raise ValueError("it is cut short")
        return piece

    def fields(self, form: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def tensor(self) -> tuple[np.dtype[Any], float, Array | None]:
        """Type, scale and, of a constant, the data."""
        kind, scale, rank = self.fields("BfB")
        shape, (size,) = self.fields(f"{rank}i"), self.fields("I")
        data = np.frombuffer(self.take(size), TYPES[kind]).reshape(shape) if size else None
        return TYPES[kind], scale, data

    def port(self) -> tuple[str, int]:
        index, length = self.fields("HB")
        return self.take(length).decode(), index

    def record(self) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Code, tensors (the last is the result) and numbers."""
        code, operands, numbers = self.fields("BBB")
        return code, self.fields(f"{operands + 1}H"), self.fields(f"{numbers}i")

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        memory = {i: data for i, (_, _, data) in enumerate(self.tensors) if data is not None}
        for name, index in self.inputs:
            if name not in inputs or inputs[name].dtype != self.tensors[index][0]:
                raise ValueError(f"it needs the input '{name}' of type {self.tensors[index][0]}")
            memory[index] = inputs[name]
        for code, indices, numbers in self.records:
            scales = [np.float32(self.tensors[i][1]) for i in indices]
            memory[indices[-1]] = UNITS[code]([memory[i] for i in indices[:-1]], scales, numbers)
        return {name: memory[index] for name, index in self.outputs}


# ---------------------------------------------------------------- what each record does
Scales = Sequence[np.float32]


def codes(values: Array, low: int = -128, high: int = 127) -> Array:
    return np.rint(values).clip(low, high).astype(np.int8)


def quantize(x: list[Array], s: Scales, _: Sequence[int]) -> Array:
    return codes(x[0] / s[1])


def dequantize(x: list[Array], s: Scales, _: Sequence[int]) -> Array:
    return x[0].astype(np.float32) * s[0]


def finish(sums: Array, bias: list[Array], s: Scales, low: int, high: int) -> Array:
    """int32 sums, times sx·sw/sy in float32; `bias` is already in the shape of the sums' channels, or empty."""
    factor = np.float32(np.float64(s[0]) * np.float64(s[1]) / np.float64(s[-1]))
    return codes(sum(bias, start=sums).astype(np.float32) * factor, low, high)


def conv(x: list[Array], s: Scales, p: Sequence[int]) -> Array:
    low, high, groups, top, left, bottom, right, down, across, dy, dx = p
    data, w = (t.astype(np.int32) for t in x[:2])
    data = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    batch, outputs, (height, width) = len(data), len(w), w.shape[2:]
    rows = (data.shape[2] - dy * (height - 1) - 1) // down + 1
    columns = (data.shape[3] - dx * (width - 1) - 1) // across + 1
    sums = np.zeros((batch, groups, outputs // groups, rows, columns), np.int32)
    for i, j in np.ndindex(height, width):
        seen = data[:, :, i * dy :: down, j * dx :: across][:, :, :rows, :columns]
        taps = w[:, :, i, j].reshape(groups, outputs // groups, -1)
        sums += np.einsum("ngkyx,gmk->ngmyx", seen.reshape(batch, groups, -1, rows, columns), taps)
    return finish(sums.reshape(batch, outputs, rows, columns), [b.reshape(-1, 1, 1) for b in x[2:]], s, low, high)


def dense(x: list[Array], s: Scales, p: Sequence[int]) -> Array:
    low, high, transposed = p
    w = x[1].astype(np.int32)
    return finish(x[0].astype(np.int32) @ (w.T if transposed else w), x[2:], s, low, high)


def add(x: list[Array], s: Scales, p: Sequence[int]) -> Array:
    return codes((x[0].astype(np.float32) * s[0] + x[1].astype(np.float32) * s[1]) / s[2], *p)


UNITS: dict[int, Callable[[list[Array], Scales, Sequence[int]], Array]] = {
    1: quantize, 2: dequantize, 3: conv, 4: dense, 5: add,
}  # fmt: skip
