"""Dialects from tables: constraints on types by name, required attributes, and what a dialect's own check says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qir.ir import TensorType, f32, none, verify
from qir.ir.constraints import ANY, FLOAT_TENSOR
from qir.ir.core import Operation, Trait
from qir.ir.definition import build_op, op_def, result
from qir.ir.diagnostics import QirError
from qir.ir.records import Record, RecordOp, records
from qir.ir.types import Type, i8


@op_def("given.value", Trait.PURE)
class ValueOp(Operation):
    y = result(ANY)


def same_types(op: RecordOp) -> Iterator[str]:
    if op.operands[0].type != op.results[0].type:
        yield "gives another type than it takes"


TABLE = records(
    "made", "A table.", {"Scale": Record("x:float bias:float? y:float?", "z:float", axis=int, sides=tuple, by=2.0)},
    kinds={"float": FLOAT_TENSOR}, check=same_types,
)  # fmt: skip


def made(*types: Type, gives: Type, **attributes: object) -> Operation:
    operands = [ValueOp.create([], [t]).results[0] for t in types]
    return build_op(TABLE.ops["made.Scale"], operands, attributes, [gives])


FLOATS = TensorType((2,), f32)


def test_what_fits_the_table() -> None:
    op = made(FLOATS, none, FLOATS, gives=FLOATS, axis=1, sides=(1, 2))
    assert isinstance(op, RecordOp)
    verify(op)
    assert (op.parameter("axis"), op.parameter("sides"), op.parameter("by")) == (1, (1, 2), 2.0)


@pytest.mark.parametrize(
    "types, gives, attributes, message",
    [
        ((TensorType((2,), i8), none), FLOATS, {"axis": 1, "sides": ()}, "operand 'x' must be a tensor of a floating"),
        ((FLOATS, TensorType((2,), i8)), FLOATS, {"axis": 1, "sides": ()}, "'bias' must be .* or absent, is"),
        ((FLOATS, none), FLOATS, {"sides": ()}, "needs the attribute 'axis', an integer"),
        ((FLOATS, none), FLOATS, {"axis": 1}, "needs the attribute 'sides', an array of integers"),
        ((FLOATS, none), TensorType((3,), f32), {"axis": 1, "sides": ()}, "gives another type than it takes"),
    ],
)
def test_what_does_not(types: tuple[Type, ...], gives: Type, attributes: dict[str, object], message: str) -> None:
    with pytest.raises(QirError, match=message):
        verify(made(*types, gives=gives, **attributes))


def test_a_default_of_a_type_that_no_attribute_has() -> None:
    with pytest.raises(TypeError, match=r"the default of 'made\.Odd' axis is None"):
        records("made", "", {"Odd": Record(axis=None)})
