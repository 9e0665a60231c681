"""Groups: an ONNX operation with the quantizers around it, as a target lowers it to one record.

In a materialised module what a chip computes on integers is spelled out around a float operation::

    %a = qsim.decode %x by @x            %w = qsim.decode %codes by @w        %b = qsim.decode %sums by @b
    %y = onnx.Conv(%a, %w, %b)           %r = onnx.Relu(%y)                   %z = qsim.encode %r by @z

A `GroupPattern` recognises this as the data sheet promises it and hands it to the target's *emitter*, which makes the
record; an operation that is not quantized comes to the same emitter as a group of floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from qir.dialects.qsim import DecodeOp, EncodeOp
from qir.ir import ArrayAttr, Attribute, Operation, SymbolRefAttr, Type, UnitAttr, Value, is_absent
from qir.passes.quantize.queries import symbol
from qir.rewrite import PatternSet, RewritePattern, Rewriter
from qir.target import Rule, Target, node_name, operand_indices

__all__ = ["Emitter", "Group", "GroupPattern", "group_of", "group_patterns", "quant_attribute", "record"]


@attrs.frozen
class Group:
    """An ONNX operation and what a record in its place reads and gives.

    - `operands`: codes where `quantizers` has a name, else the operation's own operand; None is absent.
    - `activation`: the function fused into it, which the rule allows; None without one.
    - `results`: the values that the record replaces: codes where `outputs` has a name.
    - `quantized`: whether all that the rule demands is there. Otherwise operands and results are the floats, and what
      the rule fuses is fused all the same.
    - `missing`: why a group that the data sheet quantizes came as floats, or "".
    """

    op: Operation
    operands: tuple[Value | None, ...]
    quantizers: tuple[str | None, ...]
    activation: Operation | None
    results: tuple[Value, ...]
    outputs: tuple[str | None, ...]
    quantized: bool
    missing: str = ""

    @property
    def quant(self) -> list[str | None]:
        """The quantizers of operands and results, as `record` takes them."""
        return [*self.quantizers, *self.outputs]

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value


Emitter = Callable[[Group, Rewriter], "Value | Operation | Sequence[Value] | None"]
"""Makes the record of a group and returns what stands in place of its results; None where it has none for it."""


def group_of(op: Operation, target: Target) -> Group:
    """The group around an ONNX operation, by the target's data sheet."""
    rule, _ = target.choose(op)
    if rule is None or rule.role == "float":
        return _floats(op, target)
    demanded = [i for key in rule.operands for i in operand_indices(op, key)]
    decoded = [i for i in demanded if isinstance(op.operands[i].defining_op, DecodeOp)]
    if not decoded:
        return _floats(op, target)
    if len(decoded) < len(demanded):
        lacking = next(i for i in demanded if i not in decoded)
        return _floats(op, target, f"operand {lacking} carries no quantizer")
    activation = _fused(op, rule)
    floats = rule.role == "compute" and rule.result is None  # the rule gives floats, whoever quantizes these
    outputs = [None if floats else _encode(value) for value in (activation or op).results]
    if None in outputs and (rule.role != "compute" or rule.output == "always"):
        promised = _promised(op, rule)
        if promised is not None:
            raise op.error(
                f"is quantized and {promised.name} '{node_name(promised)}' behind it is not fused into it, as the data "
                f"sheet of {target.name} promises: there is no quantizer between the two",
                "put a qsim.fake between them, or one behind the second",
            )
        return _floats(op, target, "its result carries no quantizer")
    operands: list[Value | None] = [None if is_absent(v) else v for v in op.operands]
    names: list[str | None] = [None] * len(operands)
    for i in decoded:
        decode = op.operands[i].defining_op
        assert isinstance(decode, DecodeOp)
        operands[i], names[i] = decode.x, symbol(decode)
    results = [e.y if e is not None else v for e, v in zip(outputs, (activation or op).results, strict=True)]
    given = [None if e is None else symbol(e) for e in outputs]
    return Group(op, tuple(operands), tuple(names), activation, tuple(results), tuple(given), True)


def _floats(op: Operation, target: Target, missing: str = "") -> Group:
    """The group in float; what the data sheet fuses into the operation is fused all the same."""
    operands = tuple(None if is_absent(v) else v for v in op.operands)
    activation = next((a for rule in target.rules_for(op.name) if (a := _fused(op, rule)) is not None), None)
    results = tuple((activation or op).results)
    return Group(op, operands, (None,) * len(operands), activation, results, (None,) * len(results), False, missing)


def _fused(op: Operation, rule: Rule) -> Operation | None:
    """The activation function behind an operation that its rule fuses into it, where nothing else reads the result."""
    if not rule.fused or len(op.results) != 1 or not op.result.has_one_use():
        return None
    user = op.result.users[0]
    fused = rule.fuses(user)
    if fused is None or user.operands[0] is not op.result or not fused.holds(user):
        return None
    return user


def _promised(op: Operation, rule: Rule) -> Operation | None:
    """What reads the result of a quantized operation, gives codes, and is of a type that the rule fuses."""
    for user in op.results[0].users:
        if rule.fuses(user) is not None and _encode(user.results[0]) is not None:
            return user
    return None


def _encode(value: Value) -> EncodeOp | None:
    """The only reader of a value, if that is its quantizer."""
    user = value.users[0] if value.has_one_use() else None
    return user if isinstance(user, EncodeOp) else None


class GroupPattern(RewritePattern):
    """group(op) = record, by the emitter of the operation's type."""

    depth = 2

    def __init__(self, target: Target, op_type: str, emit: Emitter) -> None:
        full = op_type if "." in op_type else f"onnx.{op_type}"
        self.name, self.roots = f"{target.name}-{full.rpartition('.')[2]}", (full,)
        self.doc = (emit.__doc__ or "").partition("\n")[0]
        self.target, self.emit = target, emit

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        group = group_of(op, self.target)
        made = self.emit(group, rewriter)
        if made is None:
            return False
        values = list(made.results) if isinstance(made, Operation) else [made] if isinstance(made, Value) else [*made]
        if group.missing:
            rewriter.ctx.remark("missed", op.location, f"{op.name} runs in float: {group.missing}", "lower")
        for old, new in zip(group.results, values, strict=True):
            new.name = new.name or old.name or _float_name(old)
            rewriter.replace_all_uses(old, new)
        for end in (*(v.defining_op for v in group.results), group.activation, op):
            if end is not None and end.parent is not None:
                rewriter.erase_if_dead(end)
        return True


def _float_name(codes: Value) -> str | None:
    """The name of the tensor that was encoded: the model knows the record's result by it."""
    source = codes.defining_op
    return source.x.name if isinstance(source, EncodeOp) else None


def group_patterns(target: Target, emitters: Mapping[str, Emitter]) -> PatternSet:
    """One pattern for each ONNX operation type (``Conv``) or full name (``com.microsoft.Gelu``)."""
    patterns = [GroupPattern(target, name, emit) for name, emit in emitters.items()]
    return PatternSet(patterns, f"{target.name}-groups")


def quant_attribute(names: Sequence[str | None]) -> Attribute | None:
    """The `quant` attribute of a record; None where nothing is quantized."""
    if not any(names):
        return None
    return ArrayAttr(tuple(UnitAttr() if name is None else SymbolRefAttr(name) for name in names))


def record(
    rewriter: Rewriter,
    name: str,
    operands: Sequence[Value | None],
    types: Type | Sequence[Type],
    attributes: Mapping[str, Any] | None = None,
    quant: Sequence[str | None] = (),
) -> Operation:
    """Insert a record at the rewriter's place.

    `quant` are the quantizers of all operands (absent ones too), then of the results. Attributes that are None, or the
    default of the record's table, are left out.
    """
    cls = rewriter.ctx.op_class(name)
    fields = cls.definition.attributes if cls is not None and cls.definition is not None else {}
    given = {k: v for k, v in (attributes or {}).items() if k not in fields or v != fields[k].default}
    count = len(operands)
    while count and operands[count - 1] is None:
        count -= 1
    kept = [*quant[:count], *quant[len(operands) :]]
    return rewriter.op(name, operands[:count], {**given, "quant": quant_attribute(kept)}, types)
