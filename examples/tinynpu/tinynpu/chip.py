"""The chip, as its vendor's simulator would be: plain numpy, and nothing but the program file to go by.

No line of this is shared with the lowering, so that the two can be compared. What is computed stands in ../chip.md.

    python -m tinynpu.chip digits.tnpu input=x.npy [-o FOLDER]
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BadProgram", "Chip"]

Array = NDArray[Any]
TYPES = (np.dtype("int8"), np.dtype("<i4"), np.dtype("<f4"))
VERSION = 1


class BadProgram(ValueError):
    """What the loader of the chip's driver refuses."""


class Reader:
    """Reads little-endian fields one after the other. Raises BadProgram at the end of the bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) != count:
            raise BadProgram(f"it ends at byte {len(self.data)}, in the middle of a field")
        self.at += count
        return piece

    def fields(self, form: str) -> tuple[Any, ...]:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))


class Tensor:
    """One entry of the program's tensor table: type, exponent, sizes (-1: free) and, for a constant, its data."""

    def __init__(self, reader: Reader) -> None:
        kind, self.exponent, rank = reader.fields("BbB")
        if kind >= len(TYPES):
            raise BadProgram(f"there is no tensor type {kind}")
        self.dtype = TYPES[kind]
        self.shape = reader.fields(f"{rank}i")
        (size,) = reader.fields("I")
        self.data: Array | None = None
        if size:
            data = reader.take(size)
            try:
                self.data = np.frombuffer(data, self.dtype).reshape(self.shape)
            except ValueError as error:
                raise BadProgram(f"a constant of sizes {self.shape} has {size} bytes") from error


class Chip:
    """A loaded program. Raises BadProgram for bytes that are none."""

    def __init__(self, program: bytes) -> None:
        reader = Reader(program)
        magic, version = reader.fields("4sB")
        if magic != b"TNPU":
            raise BadProgram("it is no program for tinynpu")
        if version != VERSION:
            raise BadProgram(f"it is of version {version}, this chip takes {VERSION}")
        tensors, instructions, inputs, outputs = reader.fields("HHBB")
        self.tensors = [Tensor(reader) for _ in range(tensors)]
        self.inputs = [self._port(reader) for _ in range(inputs)]
        self.outputs = [self._port(reader) for _ in range(outputs)]
        self.code = [self._instruction(reader) for _ in range(instructions)]
        if reader.at != len(program):
            raise BadProgram(f"{len(program) - reader.at} bytes follow its end")

    def _known(self, index: int) -> int:
        if index >= len(self.tensors):
            raise BadProgram(f"there is no tensor {index}")
        return index

    def _port(self, reader: Reader) -> tuple[str, int]:
        index, length = reader.fields("HB")
        return reader.take(length).decode("utf-8", "replace"), self._known(index)

    def _instruction(self, reader: Reader) -> tuple[int, list[int], int, tuple[int, ...]]:
        opcode, operands, parameters = reader.fields("BBB")
        if opcode not in UNITS:
            raise BadProgram(f"there is no instruction {opcode}")
        *read, written = (self._known(i) for i in reader.fields(f"{operands + 1}H"))
        return opcode, read, written, reader.fields(f"{parameters}i")

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name. Raises BadProgram for inputs that do not fit and for instructions that cannot run."""
        memory: list[Array | None] = [t.data for t in self.tensors]
        for name, index in self.inputs:
            tensor = self.tensors[index]
            array = inputs.get(name)
            if array is None:
                raise BadProgram(f"it needs the input '{name}'; given are {', '.join(inputs) or 'none'}")
            fits = len(array.shape) == len(tensor.shape) and all(
                s in (-1, n) for s, n in zip(tensor.shape, array.shape, strict=True)
            )
            if array.dtype != tensor.dtype or not fits:
                takes = f"it takes {tensor.dtype} of {tensor.shape}"
                raise BadProgram(f"'{name}' is {array.dtype} of {array.shape}, {takes}")
            memory[index] = array
        for opcode, read, written, parameters in self.code:
            exponents = [self.tensors[i].exponent for i in (*read, written)]
            try:
                memory[written] = UNITS[opcode]([_held(memory[i]) for i in read], exponents, parameters)
            except (ArithmeticError, IndexError, TypeError, ValueError) as error:
                raise BadProgram(f"instruction {opcode} cannot run: {error}") from error
        return {name: _held(memory[index]) for name, index in self.outputs}


def _held(value: Array | None) -> Array:
    if value is None:
        raise BadProgram("a tensor is read before it is written")
    return value


# ---------------------------------------------------------------- the units
def shift(sums: Array, by: int, low: int = -128, high: int = 127) -> Array:
    """Sums times 2**by as int8: to the left, or to the right with half a step added, so that ties go up; clamped."""
    wide = sums.astype(np.int64)
    if by >= 0:
        wide <<= min(by, 31)
    else:
        wide = (wide + (1 << (min(-by, 62) - 1))) >> min(-by, 62)
    return wide.clip(low, high).astype(np.int8)


def quantize(read: list[Array], e: Sequence[int], _: Sequence[int]) -> Array:
    """The driver's: float32 to int8."""
    return np.floor(read[0].astype(np.float64) * 2.0 ** -e[1] + 0.5).clip(-128, 127).astype(np.int8)


def dequantize(read: list[Array], e: Sequence[int], _: Sequence[int]) -> Array:
    """The driver's: int8 to float32."""
    return np.ldexp(read[0].astype(np.float32), e[0])


def conv(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """int32 sums over windows, then the shift."""
    x, w = (t.astype(np.int32) for t in read[:2])
    low, high, groups, top, left, bottom, right, down, across, dy, dx = p
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    batch, outputs, kernel = len(x), len(w), w.shape[2:]
    rows = (x.shape[2] - dy * (kernel[0] - 1) - 1) // down + 1
    columns = (x.shape[3] - dx * (kernel[1] - 1) - 1) // across + 1
    sums = np.zeros((batch, groups, outputs // groups, rows, columns), np.int32)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            seen = x[:, :, i * dy :: down, j * dx :: across][:, :, :rows, :columns]
            taps = w[:, :, i, j].reshape(groups, outputs // groups, -1)
            sums += np.einsum("ngkyx,gmk->ngmyx", seen.reshape(batch, groups, -1, rows, columns), taps)
    sums = sums.reshape(batch, outputs, rows, columns)
    return shift(sums + read[2].reshape(-1, 1, 1) if len(read) > 2 else sums, e[0] + e[1] - e[-1], low, high)


def dense(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """int32 sums of products with a matrix, then the shift."""
    low, high, transposed = p
    w = read[1].astype(np.int32)
    sums = read[0].astype(np.int32) @ (w.T if transposed else w)
    return shift(sums + read[2] if len(read) > 2 else sums, e[0] + e[1] - e[-1], low, high)


def add(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """Both operands at the finer of the two exponents, added in 32 bits, then the shift."""
    finer = min(e[:2])
    if max(e[:2]) - finer > 23:
        raise ValueError("the exponents of the operands differ by more than 23")
    a, b = (t.astype(np.int32) << (exponent - finer) for t, exponent in zip(read, e, strict=False))
    return shift(a + b, finer - e[2], *p)


def max_pool(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """The largest code under each window; beyond the border lies -128."""
    high, wide, top, left, bottom, right, down, across = p
    x = np.pad(read[0], ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-128)
    windows = np.lib.stride_tricks.sliding_window_view(x, (high, wide), (2, 3))[:, :, ::down, ::across]
    return np.asarray(windows.max((-2, -1)))


def join(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """Copies, one behind the other along an axis."""
    return np.concatenate(read, p[0])


def flatten(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """One row for each sample."""
    return read[0].reshape(len(read[0]), -1)


def mean(read: list[Array], e: Sequence[int], p: Sequence[int]) -> Array:
    """The driver's: float32 means over rows and columns."""
    sums: Array = read[0].sum((2, 3), dtype=np.float32, keepdims=True)
    return sums / np.float32(read[0].shape[2] * read[0].shape[3])


UNITS: dict[int, Callable[[list[Array], Sequence[int], Sequence[int]], Array]] = {
    1: quantize, 2: dequantize, 3: conv, 4: dense, 5: add, 6: max_pool, 7: join, 8: flatten, 9: mean,
}  # fmt: skip


# ---------------------------------------------------------------- the driver's interface
def version() -> str:
    """The version of the program files that it takes."""
    return str(VERSION)


def run(path: Path, inputs: Mapping[str, Array], profile: str = "") -> dict[str, Array]:
    """Load a program and run it once. There is one way to run it: `profile` is not used."""
    return Chip(Path(path).read_bytes()).run(inputs)


def main() -> int:
    """The command: runs a program on arrays from files, prints the outputs, and writes them with -o."""
    parser = argparse.ArgumentParser(prog="python -m tinynpu.chip", description="Run a program for tinynpu.")
    parser.add_argument("program", type=Path, help="a .tnpu file")
    parser.add_argument("inputs", nargs="*", metavar="NAME=FILE.npy", help="an input; once for each")
    parser.add_argument("-o", type=Path, metavar="FOLDER", help="where the outputs go, as NAME.npy")
    given = parser.parse_args()
    inputs = {name: np.load(file) for name, _, file in (pair.partition("=") for pair in given.inputs)}
    for name, array in run(given.program, inputs).items():
        print(f"{name}  {array.dtype} {'x'.join(map(str, array.shape))}")
        if given.o is not None:
            given.o.mkdir(parents=True, exist_ok=True)
            np.save(given.o / f"{name}.npy", array)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
