"""A made-up chip for the conformance kit's tests: its artifact is a module's text, its runtime interprets that.

It computes with int8 activations and weights, so a runtime that does something else (rounds half away from zero,
forgets a result, ...) is a defect that the kit must find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import attrs
import numpy as np

import qir
from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.interpreter import Plan, as_array
from qir.ir import Context, Operation, StringAttr
from qir.numerics.scheme import Granularity, Scheme
from qir.passes import Pass, register_pass
from qir.target import Artifact, Bias, Data, Rule, Runtime, Target, Weight, register_target

__all__ = ["NAME", "Run", "make_chip", "run_artifact"]

NAME = "conformance-chip"
Run = Callable[[Path, Mapping[str, Any], str], dict[str, Any]]

X8 = Data("act")
RULES = (
    Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0), "B": Bias("bias", of=("X", "W"))}, result="act",
         output="always"),
    Rule("ConvTranspose", "compute", {"X": X8, "W": Weight("weight", axis=1), "B": Bias("bias", of=("X", "W"))},
         result="act"),
    Rule("Sigmoid", "follow", {"X": X8}, result="act"),
    Rule("Transpose", "move", {0: X8}),
    Rule("Softmax", "float", note="in float"),
)  # fmt: skip
SCHEMES = {
    "act": Scheme(storage="i8", symmetric=True),
    "weight": Scheme(storage="i8", qmin=-127, qmax=127),
    "bias": Scheme(storage="i32", symmetric=True, granularity=Granularity.per_axis(0)),
}


def export(module: ModuleOp, ctx: Context, folder: Path, name: str, **_: Any) -> list[Artifact]:
    path = Path(folder) / f"{name}.chip"
    path.write_text(qir.print(module))
    return [Artifact(path, "the module", "qir run")]


def run_artifact(path: Path, inputs: Mapping[str, Any], profile: str, rounding: str = "half_even") -> dict[str, Any]:
    """The chip, whose quantizers round in a way of its own."""
    return {name: as_array(value) for name, value in loaded(path.read_text(), rounding).run(inputs).items()}


@lru_cache
def loaded(text: str, rounding: str) -> Plan:
    module = qir.parse(text)
    for op in module.walk():
        if isinstance(op, QuantizerOp):
            op.attributes["rounding"] = StringAttr(rounding)
    return Plan(module)


def rounds_half_away(path: Path, inputs: Mapping[str, Any], profile: str) -> dict[str, Any]:
    return run_artifact(path, inputs, profile, "half_away" if profile != "exact" else "half_even")


def drops_the_last_result(path: Path, inputs: Mapping[str, Any], profile: str) -> dict[str, Any]:
    return dict(list(run_artifact(path, inputs, profile).items())[:-1])


def fails(path: Path, inputs: Mapping[str, Any], profile: str) -> dict[str, Any]:
    raise MemoryError(f"{path}: out of tiles")


def one_off(path: Path, inputs: Mapping[str, Any], profile: str) -> dict[str, Any]:
    """Every float is too large by a thousandth."""
    return {name: array * np.float32(1.001) for name, array in run_artifact(path, inputs, profile).items()}


@register_pass
class SigmoidAsTanh(Pass):
    """A lowering that is wrong: it takes the quantizers out and gets one function wrong."""

    name: ClassVar[str] = "test-sigmoid-as-tanh"

    def run(self, module: Operation, ctx: Context) -> bool:
        for op in list(module.walk()):
            if isinstance(op, FakeOp):
                op.y.replace_all_uses_with(op.x)
            elif op.name == "onnx.Sigmoid" and op.parent is not None:
                tanh = ctx.create_op("onnx.Tanh", op.operands, [op.result.type], location=op.location)
                op.parent.insert_before(tanh, op)
                op.result.replace_all_uses_with(tanh.result)
            else:
                continue
            op.erase()
        return True


def make_chip(run: Run | None = run_artifact, version: str | None = "1.0", **changes: Any) -> Target:
    """The chip with a runtime of its own, registered in this process."""
    profiles = changes.pop("profiles", ("",))
    runtime = Runtime("chipsim", "make chipsim", lambda: version, run or run_artifact, profiles=profiles)
    target = Target(
        NAME,
        schemes=SCHEMES,
        rules=RULES,
        pipeline=f"canonicalize,annotate{{target={NAME}}},calibrate{{data={{data}} method=minmax}}",
        level="simulated",
        export=export,
        runtime=runtime if run is not None else None,
        held=("builtin", "func", "onnx", "qsim"),
    )
    return register_target(attrs.evolve(target, **changes))
