"""The words of a data sheet: what a chip asks of an operation, and how the operation is read for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from qir.ir import Operation, Value, is_absent
from qir.rewrite import constant_of

__all__ = [
    "Axis", "Bias", "Constraint", "Data", "Demand", "Fused", "Role", "Rule", "Weight", "attribute_is", "is_constant",
    "node_name", "operand_indices",
]  # fmt: skip

Role = Literal["compute", "follow", "move", "float"]


# ---------------------------------------------------------------- reading an operation
def is_constant(value: Value) -> bool:
    """Whether the value is a constant tensor, by itself or behind its quantizer."""
    source = value.defining_op
    if source is not None and source.name in ("qsim.fake", "qsim.decode"):
        value = source.operands[0]
    return constant_of(value) is not None


def node_name(op: Operation) -> str:
    """What a message calls an operation: its ONNX node name, else its first result's name, else its op name."""
    names = op.location.names()
    if names:
        return names[0]
    return next((r.name for r in op.results if r.name), None) or op.name


def operand_indices(op: Operation, key: str | int) -> tuple[int, ...]:
    """The positions of the operands that a data sheet calls `key`: ONNX's operand name, or an index.

    Absent operands are left out.
    """
    found: Iterable[int] = ()
    if isinstance(key, int):
        found = (key,)
    elif op.definition is not None:
        position = next((i for i, field in enumerate(op.definition.operands) if field.name == key), None)
        if position is not None:
            variadic = op.definition.operands[position].variadic
            found = range(position, len(op.operands)) if variadic else (position,)
    return tuple(i for i in found if i < len(op.operands) and not is_absent(op.operands[i]))


# ---------------------------------------------------------------- the words of a data sheet
@attrs.frozen
class Constraint:
    """A condition on an operation: what the data sheet says it needs, and what a remark says when it does not hold."""

    needs: str
    otherwise: str
    holds: Callable[[Operation], bool]


def attribute_is(name: str, *values: Any, default: Any = None) -> Constraint:
    """The attribute (or its default) is one of these values."""
    words = " or ".join(map(str, values))
    return Constraint(f"{name} is {words}", f"{name} is not {words}", lambda op: op.attr(name, default) in values)


@attrs.frozen
class Axis:
    """The axis along which each element has its own scale, worked out from the operation and its operand; None is per
    tensor. `text` says it in the data sheet."""

    text: str
    of: Callable[[Operation, Value], int | None]


@attrs.frozen
class Data:
    """An operand that is an activation (or a constant in an activation's place).

    Who reads the same value reads it quantized too if `joint`, so that one tensor is stored and not two; otherwise the
    others read the floats, where there are any.
    """

    scheme: str
    joint: bool = False


@attrs.frozen
class Weight:
    """An operand that must be a constant, with its own scales along `axis` (None: one scale)."""

    scheme: str
    axis: int | Axis | None = None

    @property
    def scales(self) -> str:
        """Where its scales lie, in words."""
        if self.axis is None:
            return "per tensor"
        return f"axis {self.axis}" if isinstance(self.axis, int) else self.axis.text


@attrs.frozen
class Bias:
    """A constant whose scale is the product of the scales of two other operands, times `factor`."""

    scheme: str
    of: tuple[str, str]
    factor: Callable[[Operation], float] = lambda op: 1.0


Demand = Data | Weight | Bias


@attrs.frozen
class Fused:
    """An activation function that the target computes inside the op before it.

    It may stand between that op and its result's quantizer.
    """

    op: str
    where: tuple[Constraint, ...] = ()

    def holds(self, op: Operation) -> bool:
        """Whether its conditions hold for an operation of its type."""
        return all(constraint.holds(op) for constraint in self.where)


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen
class Rule:
    """One line of the data sheet.

    `ops` are ONNX op types (``Conv``) or full names of other domains (``com.microsoft.Gelu``). Roles:

    - ``compute``: quantized wherever its constraints hold; its `operands` get the quantizers that they demand.
    - ``follow``: quantized where all its data operands carry quantizers already (constants join) and its result is
      demanded, or feeds only ops that follow or move.
    - ``move``: moves or selects elements; operand and results share one quantizer between quantized ops.
    - ``float``: stays float, for the reason in `note`. Behind quantized ops of the types `within` (and behind one that
      is such a part itself) it is a part of their kernel, and no float op of its own.

    `result` is the scheme of the results; ``output="always"`` quantizes them even if nobody asks (the kernel gives
    integers only). `fused` lists what may stand between the op and its result's quantizer. ``share=True`` lets operands
    that nothing else reads share the result's quantizer; with ``"always"`` the others get a requantization to it.
    `fixed` is the scale and zero point that the kernel's result has, whatever the data. `modes` limits the rule to
    modes of the target. Of several rules for an op the first is taken whose `where` holds, and whose weights and
    biases are constants (or not there).
    """

    ops: tuple[str, ...] = attrs.field(converter=_texts)
    role: Role
    operands: Mapping[str | int, Demand] = attrs.field(factory=dict)
    result: str | None = None
    output: Literal["always", "demanded"] = "demanded"
    fused: tuple[Fused, ...] = ()
    share: bool | Literal["always"] = False
    fixed: tuple[float, int] | None = None
    where: tuple[Constraint, ...] = ()
    within: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    modes: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    note: str = ""

    def fuses(self, op: Operation) -> Fused | None:
        """What it says of fusing operations of this type; None where they are not. Conditions: `Fused.holds`."""
        return next((f for f in self.fused if op.name in (f.op, f"onnx.{f.op}")), None)
