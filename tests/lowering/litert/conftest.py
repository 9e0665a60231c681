"""Modules of one record on codes, and their artifacts in the real runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import qir
from qir.interpreter import Plan, as_array
from qir.ir import StringAttr

Array = NDArray[Any]
Value = tuple[str, str]
"""A value's name in the text and its type."""

ACTIVATION, WIDE = "i8 affine", "i16<-32767:32767> symmetric"
WEIGHT, WEIGHT4 = "i8<-127:127> symmetric", "i4<-7:7> symmetric"
PROFILES = ("xnnpack", "optimized", "reference", "micro")


def codes(rng: np.random.Generator, shape: Sequence[int], element: str = "i8") -> Array:
    """Random codes of which one in five lies at an end."""
    info = np.iinfo(element.replace("i", "int"))
    where = rng.random(shape)
    middle = rng.integers(info.min, info.max + 1, shape)
    return np.where(where < 0.1, info.min, np.where(where > 0.9, info.max, middle)).astype(info.dtype)


def type_text(shape: Sequence[int], element: str) -> str:
    return f"tensor<{''.join(f'{n}x' for n in shape)}{element}>"


def literal(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"array<i64: {', '.join(map(str, value))}>"
    return f"{value!r} : {'f32' if isinstance(value, float) else 'i64'}"


class Single:
    """A module under construction: quantizers, arguments and constants, then one record."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.quantizers: list[str] = []
        self.arguments: list[Value] = []
        self.constants: list[str] = []

    def zero(self) -> int:
        return int(self.rng.integers(-128, 128))

    def quantizer(self, scheme: str, scale: float | Array, axis: int | None = None, zero: int | None = None) -> str:
        """A quantizer; an affine one gets a random zero point unless it is given."""
        name = f"q{len(self.quantizers)}"
        if "affine" in scheme and zero is None:
            zero = self.zero()
        numbers = repr(float(np.float32(scale))) if axis is None else np.asarray(scale, np.float32).tolist()
        where = "per_tensor" if axis is None else f"per_axis({axis})"
        point = "" if zero is None else f" zero({zero})"
        self.quantizers.append(f"qsim.quantizer @{name} : {scheme} {where} scale({numbers}){point}")
        return name

    def product(self, x: str, w: str) -> str:
        name = f"q{len(self.quantizers)}"
        self.quantizers.append(f"qsim.quantizer @{name} : i32 symmetric product(@{x}, @{w})")
        return name

    def argument(self, shape: Sequence[int], element: str = "i8") -> Value:
        value = f"x{len(self.arguments)}", type_text(shape, element)
        self.arguments.append(value)
        return value

    def constant(self, array: Array, element: str) -> Value:
        name, text = f"c{len(self.constants)}", type_text(array.shape, element)
        self.constants.append(f"%{name} = onnx.Constant() {{value = dense<{array.tolist()}> : {text}}} : () -> {text}")
        return name, text

    def module(
        self, record: str, operands: Sequence[Value], shape: Sequence[int], element: str,
        quant: Sequence[str | None], **attributes: Any,
    ) -> Any:  # fmt: skip
        result = type_text(shape, element)
        given = {key: literal(value) for key, value in attributes.items()}
        if any(quant):
            given["quant"] = f"[{', '.join('unit' if q is None else f'@{q}' for q in quant)}]"
        words = ", ".join(f"{key} = {value}" for key, value in given.items())
        text = "\n".join(self.quantizers)
        arguments = ", ".join(f"%{name}: {type}" for name, type in self.arguments)
        text += f"\nfunc.func @main({arguments}) -> {result} {{\n" + "\n".join(self.constants)
        names, types = (", ".join(prefix + v[i] for v in operands) for i, prefix in ((0, "%"), (1, "")))
        text += f"\n%y = litert.{record}({names}) {{{words}}} : ({types}) -> {result}\nreturn %y : {result}\n}}"
        return qir.parse(f"module {{\n{text}\n}}")


@pytest.fixture
def difference(tmp_path: Path) -> Any:
    """``difference(module, inputs, profiles)``: per profile how many elements of the first result are not those of the
    runtime, and the largest difference."""
    from qir.lowering.litert.export import to_bytes
    from qir.lowering.litert.runtime import run

    def compare(module: Any, inputs: dict[str, Array], profiles: Sequence[str] = PROFILES) -> dict[str, Any]:
        path = tmp_path / "single.tflite"
        path.write_bytes(to_bytes(module))
        found: dict[str, Any] = {}
        for profile in profiles:
            module.attributes["qir.profile"] = StringAttr(profile)
            ours = as_array(next(iter(Plan(module).run(inputs).values())))
            theirs = next(iter(run(path, inputs, profile).values()))
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            off = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
            found[profile] = (int((off > 0).sum()), float(off.max()))
        return found

    return compare


def exact(found: dict[str, Any]) -> None:
    """No element differs in any profile."""
    assert {profile: count for profile, (count, _) in found.items()} == dict.fromkeys(found, 0)


# ---------------------------------------------------------------- whole models
def quantized(model: Any, folder: Path, mode: str = "", samples: int = 4) -> Any:
    """An ONNX model (or its file) through the target's pipeline, calibrated on random numbers from -3 to 3."""
    from qir.dialects.func import main_function
    from qir.frontends.onnx import import_onnx
    from qir.ir import Context
    from qir.lowering.litert import TARGET
    from qir.passes import run_pipeline

    ctx = Context()
    module = import_onnx(model, ctx)
    rng = np.random.default_rng(1)
    data = {}
    for arg in main_function(module).body.args:
        shape = [samples, *(8 if n is None else n for n in arg.type.shape[1:])]
        data[arg.name] = rng.uniform(-3, 3, shape).astype(np.float32)
    np.savez(folder / "calibration.npz", **data)
    pipeline = TARGET.pipeline.replace("{data}", str(folder / "calibration.npz"))
    if mode:
        pipeline = pipeline.replace("annotate{target=litert}", f"annotate{{target=litert mode={mode}}}")
    run_pipeline(module, pipeline, ctx)
    return module


def record_names(module: Any) -> list[str]:
    """The records in order."""
    return [op.name.partition(".")[2] for op in module.walk() if op.name.startswith("litert.")]


def the(module: Any, record: str) -> Any:
    """The only record of this name."""
    (op,) = (op for op in module.walk() if op.name == f"litert.{record}")
    return op


def expose(module: Any) -> None:
    """Every record's results become results of the main function."""
    from qir.dialects.func import main_function
    from qir.ir import FunctionType, TypeAttr

    func = main_function(module)
    terminator = func.body.terminator
    values = list(terminator.operands)
    values += [r for op in func.body if op.name.startswith("litert.") for r in op.results if r not in values]
    for i, value in enumerate(values):
        value.name = value.name or f"inner_{i}"
    terminator.set_operands(values)
    inputs = func.attributes["function_type"].type.inputs
    func.attributes["function_type"] = TypeAttr(FunctionType(inputs, tuple(v.type for v in values)))
