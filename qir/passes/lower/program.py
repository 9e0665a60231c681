"""What an exporter writes: the lowered function as numbered values and a list of records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp, main_function
from qir.interpreter.lookup import port_names, symbols_of
from qir.interpreter.plain import clamp_codes
from qir.interpreter.quantizers import Quantization, quantization_of
from qir.ir import TensorType, Value, is_absent
from qir.ir.records import RecordOp
from qir.rewrite import constant_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Line", "Program", "Slot", "program_of", "records_of"]


@attrs.frozen(eq=False)
class Slot:
    """A value: its type (of known rank), its data if it is a constant, its quantizer if it is codes."""

    type: TensorType
    data: NDArray[Any] | None
    quantization: Quantization | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, -1 where they are free."""
        assert self.type.shape is not None
        return tuple(-1 if size is None else size for size in self.type.shape)


@attrs.frozen(eq=False)
class Line:
    """A record, the numbers of the slots that it reads (None is absent) and writes, and its parameters.

    These are in the order of the record's table. Where the result is codes, `low` and `high` are codes too.
    """

    op: RecordOp
    reads: tuple[int | None, ...]
    writes: tuple[int, ...]
    parameters: dict[str, Any]

    @property
    def numbers(self) -> list[Any]:
        """All parameters as one list of numbers."""
        return [n for value in self.parameters.values() for n in (value if isinstance(value, tuple) else (value,))]


@attrs.frozen(eq=False)
class Program:
    """A lowered function: `inputs` and `outputs` are names with slots, `lines` are its records in order."""

    slots: tuple[Slot, ...]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    lines: tuple[Line, ...]


def program_of(module: ModuleOp) -> Program:
    """The main function of a lowered module as a program.

    Raises QirError for an operation that is no record, for a value without a rank, and for one that two records read
    by different quantizers.
    """
    main = main_function(module)
    symbols = symbols_of(module)
    slots: list[Slot] = []
    index: dict[Value, int] = {}

    def slot(value: Value, quantization: Quantization | None = None) -> int:
        known = index.get(value)
        if known is None:
            if not isinstance(value.type, TensorType) or value.type.shape is None:
                raise main.error(f"cannot be written: '{value.name}' is {value.type}", "give the inputs a rank")
            data = constant_of(value)
            slots.append(Slot(value.type, None if data is None else data.numpy(), quantization))
            index[value] = known = len(slots) - 1
        elif quantization is not None:
            given = slots[known].quantization
            if given is not None and given.name != quantization.name:
                names = f"@{given.name} and @{quantization.name}"
                raise main.error(f"'{value.name}' has two quantizers, {names}", "a value has one scale: requantize")
            slots[known] = attrs.evolve(slots[known], quantization=quantization)
        return known

    fed, given = port_names(main)
    inputs = tuple(zip(fed, map(slot, main.body.args), strict=True))
    lines = []
    for op in records_of(main):
        values = (*op.operands, *op.results)
        numbers = [None if is_absent(v) else slot(v, quantization_of(op, i, symbols.get)) for i, v in enumerate(values)]
        reads, writes = numbers[: len(op.operands)], [n for n in numbers[len(op.operands) :] if n is not None]
        result = slots[writes[0]].quantization if writes else None
        lines.append(Line(op, tuple(reads), tuple(writes), _parameters(op, result)))
    outputs = tuple(zip(given, map(slot, main.return_op.operands), strict=True))
    return Program(tuple(slots), inputs, outputs, tuple(lines))


def records_of(main: FuncOp) -> Iterator[RecordOp]:
    """The records of a function in order, without the constants. Raises QirError for an operation that is no record."""
    for op in main.body:
        if isinstance(op, RecordOp):
            yield op
        elif op is not main.body.terminator and op.name not in ("onnx.Constant", "onnx.NoValue"):
            raise op.error("cannot be written: it is no record", "lower the module first")


def _parameters(op: RecordOp, result: Quantization | None) -> dict[str, Any]:
    assert op.definition is not None
    found = {key: op.parameter(key) for key in op.definition.attributes if key != "quant"}
    if result is not None and "low" in found:
        found["low"], found["high"] = clamp_codes(op, result)
    return found
