"""The tools of an emitter that makes several records, or constants, in place of one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qir.ir import Value
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.reading import resized_axes
from qir.rewrite import Rewriter

__all__ = ["Make", "making", "only", "resizing"]


class Make:
    """Makes records of a `dialect` in place of a group; of its result's type if no other is given.

    `op` is the ONNX operation, `x` its first operand, `others` those behind it, None where absent or beyond the last.
    """

    def __init__(self, dialect: str, group: Group, rewriter: Rewriter) -> None:
        self.dialect, self.op, self.rewriter, self.type = dialect, group.op, rewriter, group.results[0].type
        x = group.operands[0]
        assert x is not None
        self.x, self.others = x, [*group.operands[1:], None, None, None]

    def record(self, name: str, *operands: Value | None, **attributes: Any) -> Value:
        """The only result of a new record; `type` among the attributes is its type."""
        types = attributes.pop("type", self.type)
        return record(self.rewriter, f"{self.dialect}.{name}", operands, types, attributes).results[0]

    def numbers(self, values: Any, dtype: Any = np.int64) -> Value:
        """A constant."""
        return self.rewriter.constant(np.asarray(values, dtype))

    def stated(self, attribute: str, default: float, shape: Sequence[int] = ()) -> Value:
        """An attribute of the operation as a constant of float32."""
        return self.numbers(np.full(shape, self.op.attr(attribute, default)), np.float32)


def making(dialect: str, make: Callable[[Make], Value | Sequence[Value] | None]) -> Emitter:
    """The emitter that a function of `Make` is; None from it means: there is no record for this one."""
    return lambda group, rewriter: make(Make(dialect, group, rewriter))


def only(emit: Emitter, **needed: Any) -> Emitter:
    """An emitter for those operations only whose attributes are these: numbers, or lists of that number alone."""

    def checked(group: Group, rewriter: Rewriter) -> Any:
        stated = ((set(np.ravel(group.op.attr(key, value))), value) for key, value in needed.items())
        return emit(group, rewriter) if all(found == {value} for found, value in stated) else None

    return checked


def resizing(name: str, attributes: Mapping[str, str]) -> Callable[[Make], Value | None]:
    """The record `name` of a Resize of the axes behind the second, whose operands are x, the sizes or scales of axes
    and these axes. `shape_calculation_mode` (``sizes`` or ``scales``) and ONNX's `attributes`, by the record's names
    for them, are its parameters."""

    def make(m: Make) -> Value | None:
        found = resized_axes(m.op)
        if found is None:
            return None
        kind, given, axes = found
        size = m.numbers(given, np.float32 if kind == "scales" else np.int64)
        stated = {ours: m.op.attr(theirs) for theirs, ours in attributes.items() if theirs in m.op.attributes}
        return m.record(name, m.x, size, m.numbers(axes), shape_calculation_mode=kind, **stated)

    return make
