"""The simulator of examples/tinynpu, against the manual beside it: hand-written programs, element by element."""

from __future__ import annotations

import importlib.util
import struct
import sys
from collections.abc import Iterator, Sequence
from math import floor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

CHIP = Path(__file__).resolve().parents[2] / "examples" / "tinynpu" / "tinynpu" / "chip.py"
INT8, INT32, FLOAT = 0, 1, 2


@pytest.fixture(scope="module")
def chip() -> Iterator[ModuleType]:
    """The simulator by its file: it needs no package around it."""
    spec = importlib.util.spec_from_file_location("tinynpu_chip", CHIP)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def tensor(kind: int, exponent: int, sizes: Sequence[int], data: Any = None) -> bytes:
    dtype = (np.int8, "<i4", "<f4")[kind]
    raw = b"" if data is None else np.asarray(data, dtype).tobytes()
    return struct.pack(f"<BbB{len(sizes)}iI", kind, exponent, len(sizes), *sizes, len(raw)) + raw


def instruction(opcode: int, tensors: Sequence[int], numbers: Sequence[int] = ()) -> bytes:
    form = f"<BBB{len(tensors)}H{len(numbers)}i"
    return struct.pack(form, opcode, len(tensors) - 1, len(numbers), *tensors, *numbers)


def program(tensors: Sequence[bytes], code: Sequence[bytes], inputs: Sequence[int], output: int) -> bytes:
    """Inputs are called a, b, …, the output is y."""
    head = struct.pack("<4sBHHBB", b"TNPU", 1, len(tensors), len(code), len(inputs), 1)
    ports = [struct.pack("<HB", index, 1) + bytes([ord("a") + i]) for i, index in enumerate(inputs)]
    return head + b"".join((*tensors, *ports, struct.pack("<HB", output, 1) + b"y", *code))


def code_of(value: float, exponent: int, low: int = -128, high: int = 127) -> int:
    """A number as a code: nearest, ties up, clamped."""
    return min(max(floor(value / 2.0**exponent + 0.5), low), high)


ADD = program([tensor(INT8, -3, [-1]), tensor(INT8, -1, [-1]), tensor(INT8, 0, [-1])],
              [instruction(5, [0, 1, 2], [-128, 127])], [0, 1], 2)  # fmt: skip


def test_add_aligns_the_exponents_and_rounds_ties_up(chip: ModuleType) -> None:
    a, b = (v.astype(np.int8).ravel() for v in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    y = chip.Chip(ADD).run({"a": a, "b": b})["y"]
    expected = [code_of(p / 8 + q / 2, 0) for p, q in zip(a.tolist(), b.tolist(), strict=True)]
    assert y.dtype == np.int8 and y.tolist() == expected


@pytest.mark.parametrize("exponent", [-12, -7, -5, 0, 3])
@pytest.mark.parametrize("clamp", [(-128, 127), (0, 96)])
def test_a_grouped_convolution_is_the_sum_of_its_definition(
    chip: ModuleType, exponent: int, clamp: tuple[int, int]
) -> None:
    rng = np.random.default_rng(3)
    x, w = rng.integers(-128, 128, (2, 4, 6, 5)), rng.integers(-128, 128, (6, 2, 3, 2))
    bias = rng.integers(-9000, 9000, 6)
    (top, left, bottom, right), (down, across), (dy, dx) = (1, 0, 2, 1), (2, 1), (1, 2)
    numbers = [*clamp, 2, top, left, bottom, right, down, across, dy, dx]
    data = [tensor(INT8, -4, [-1, 4, 6, 5]), tensor(INT8, -3, w.shape, w), tensor(INT32, -7, [6], bias)]
    made = program([*data, tensor(INT8, exponent, [-1, 6, 4, 4])], [instruction(3, [0, 1, 2, 3], numbers)], [0], 3)
    y = chip.Chip(made).run({"a": x.astype(np.int8)})["y"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    assert y.shape == (2, 6, 4, 4)
    for n, m, i, j in np.ndindex(*y.shape):
        seen = padded[n, 2 * (m // 3) : 2 * (m // 3) + 2, i * down : i * down + 3, j * across : j * across + 3 : dx]
        sums = int((seen * w[m]).sum() + bias[m])
        assert y[n, m, i, j] == code_of(sums * 2.0**-7, exponent, *clamp)


def test_the_driver_quantizes_half_up_and_saturates(chip: ModuleType) -> None:
    tensors = [tensor(FLOAT, 0, [-1]), tensor(INT8, -2, [-1]), tensor(FLOAT, 0, [-1])]
    made = program(tensors, [instruction(1, [0, 1]), instruction(2, [1, 2])], [0], 2)
    x = np.float32([0.125, -0.125, 0.374, -0.376, 1e9, -1e9, 31.7])
    assert chip.Chip(made).run({"a": x})["y"].tolist() == [0.25, 0.0, 0.25, -0.5, 31.75, -32.0, 31.75]


def test_a_program_that_is_cut_short_anywhere_is_refused(chip: ModuleType) -> None:
    for length in range(len(ADD)):
        with pytest.raises(chip.BadProgram):
            chip.Chip(ADD[:length])
    with pytest.raises(chip.BadProgram, match="1 bytes follow its end"):
        chip.Chip(ADD + b"\0")


def test_a_program_with_any_byte_changed_runs_or_is_refused(chip: ModuleType) -> None:
    """Whatever stands in the file, there is one kind of error."""
    inputs = {"a": np.int8([1, 2, 3]), "b": np.int8([4, 5, 6])}
    for at in range(len(ADD)):
        for value in (0, 1, 3, 127, 128, 255):
            broken = ADD[:at] + bytes([value]) + ADD[at + 1 :]
            try:
                chip.Chip(broken).run(inputs)
            except chip.BadProgram:
                continue


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": np.int8([1])}, "it needs the input 'b'"),
        ({"a": np.int8([1]), "b": np.float32([1])}, "'b' is float32"),
        ({"a": np.int8([1]), "b": np.int8([[1]])}, "'b' is int8 of"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(chip: ModuleType, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(chip.BadProgram, match=message):
        chip.Chip(ADD).run(inputs)
