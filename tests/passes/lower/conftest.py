"""A chip for these tests: convolutions and sums on integers, a few layers in float."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qir.interpreter.delegate import as_onnx
from qir.interpreter.registry import kernel
from qir.ir import Context, Operation
from qir.ir.records import Record, records
from qir.numerics.scheme import Granularity, Scheme
from qir.passes.lower.groups import Group, group_patterns, record
from qir.passes.lower.plain import edge_patterns, plain
from qir.rewrite import PatternSet, Rewriter
from qir.target import Bias, Data, Fused, Rule, Target, Weight, register_target
from qir.target.registry import _REGISTERED

TOY = records(
    "toy",
    "A chip of the tests.",
    {
        "Conv": Record("x w b?", pads=(0, 0, 0, 0), relu=False),
        "Add": Record("a b"),
        "Softmax": Record("x", axis=-1),
        "Concat": Record("xs*", axis=0),
        "Slice": Record("x", starts=(0,), ends=(1,), axes=(1,)),
        "Quantize": Record("x"),
        "Dequantize": Record("x"),
    },
)


def _conv(group: Group, rewriter: Rewriter) -> Operation:
    attributes = {"pads": group.op.attr("pads", (0, 0, 0, 0)), "relu": group.activation is not None}
    return record(rewriter, "toy.Conv", group.operands, group.result.type, attributes, group.quant)


def patterns(target: Target) -> list[PatternSet]:
    emitters = {
        "Conv": _conv,
        "Add": plain("toy.Add", floats=True),
        "Softmax": plain("toy.Softmax", floats=True, axis="axis"),
        "Concat": plain("toy.Concat", floats=True, axis="axis"),
    }
    return [group_patterns(target, emitters), edge_patterns("toy.Quantize", "toy.Dequantize")]


X8 = Data("activation")
TARGET = Target(
    name="toy",
    dialect="toy",
    schemes={
        "activation": Scheme(storage="i8", symmetric=False),
        "weight": Scheme(storage="i8", qmin=-127, qmax=127),
        "bias": Scheme(storage="i32", granularity=Granularity.per_axis(0)),
    },
    rules=(
        Rule("Conv", "compute", {"X": X8, "W": Weight("weight", axis=0), "B": Bias("bias", of=("X", "W"))},
             result="activation", output="always", fused=(Fused("Relu"),)),
        Rule("Add", "follow", {"A": X8, "B": X8}, result="activation"),
        Rule("Concat", "follow", {"inputs": X8}, result="activation", share="always"),
        Rule("Softmax", "follow", {"input": X8}, result="activation", fixed=(1 / 256, -128)),
    ),
    modes={
        "int16": {"activation": Scheme(storage="i16")},
        "weights": {"activation": None, "bias": None},
    },
    patterns=patterns,
)  # fmt: skip


@kernel("toy.Softmax")
def _softmax(node):  # type: ignore[no-untyped-def]
    return as_onnx(node, "Softmax", axis=node.parameter("axis"))


@kernel("toy.Slice")
def _slice(node):  # type: ignore[no-untyped-def]
    import torch

    starts, ends, axes = (torch.tensor(node.parameter(n)) for n in ("starts", "ends", "axes"))
    return as_onnx(node, "Slice", (0, starts, ends, axes))


@pytest.fixture
def toy() -> Iterator[Target]:
    """The chip, registered for one test."""
    register_target(TARGET)
    yield TARGET
    _REGISTERED.pop("toy")


@pytest.fixture
def ctx() -> Context:
    """A context that knows the chip's dialect."""
    made = Context()
    made.register_dialect(TOY)
    return made
