"""What stays float though nobody asked for that: the errors of ``annotate{strict=true}``."""

from __future__ import annotations

from collections.abc import Iterator

from qir.ir import Diagnostic, FloatType, Operation, QirError, Severity, TensorType, Value
from qir.passes.quantize.placement import Placement
from qir.target import Data, Target, Weight, is_constant

__all__ = ["refuse_floats"]

HINT = "--exclude NAME (an operation's name or type) says that it may stay float"


def refuse_floats(func: Operation, placement: Placement, target: Target) -> None:
    """Raise QirError with an error for each operation that computes in float because `target` cannot do otherwise.

    An operation computes in float where it reads a float that is no constant and gives one. Not meant are those that
    the user's filters leave out, those that the chosen mode wants in float, those that could run in low precision and
    stand where it would change nothing (between float operations, or at the edge of the model), those that are a part
    of a quantized operation's kernel or would be if that one were quantized, and what stands in a subgraph and is no
    product.
    """
    found = [
        (op, reason)
        for op, reason in placement.left.items()
        if _computes(op)
        and op not in placement.spared
        and not _float_by_mode(op, placement.target, target)
        and not _behind_float(op, placement)
        and not _within_a_kernel(op, placement)
    ]
    found += [(op, f"it stands in a subgraph of {around}") for op, around in nested(func, target)]
    found = [(op, why) for op, why in found if placement.selection.reason(op) is None]
    if found:
        errors = [Diagnostic(Severity.ERROR, op.location, f"{op.name} stays float: {why}") for op, why in found[:-1]]
        op, why = found[-1]
        raise QirError([*errors, Diagnostic(Severity.ERROR, op.location, f"{op.name} stays float: {why}", hint=HINT)])


def nested(func: Operation, target: Target) -> Iterator[tuple[Operation, str]]:
    """Products and convolutions of the data sheet inside the subgraphs of If, Loop and Scan, with the name of these."""
    for op in func.walk():
        around = op.parent_op
        if op is func or around is func or around is None:
            continue
        if any(rule.role == "compute" for rule in target.rules_for(op.name)):
            yield op, around.name


def _computes(op: Operation) -> bool:
    return any(_is_float(v) and not is_constant(v) for v in op.operands) and any(map(_is_float, op.results))


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and isinstance(value.type.element, FloatType)


def _float_by_mode(op: Operation, in_mode: Target, target: Target) -> bool:
    """Whether the mode leaves the operation in float: its data, or all data, so that weights alone are quantized."""
    quantizing = [rule for rule in in_mode.rules if rule.role != "float"]
    if not any(isinstance(demand, Data) for rule in quantizing for demand in rule.operands.values()):
        rules = target.rules_for(op.name)
        return not any(isinstance(demand, Weight) for rule in rules for demand in rule.operands.values())
    here, there = in_mode.choose(op)[0], target.choose(op)[0]
    return here is not None and here.role == "float" and there is not None and there.role != "float"


def _behind_float(op: Operation, placement: Placement) -> bool:
    """Whether the operation would be fused into the one before it, which stays float for a reason of its own."""
    before = op.operands[0].defining_op
    if before is None or before not in placement.left:
        return False
    return any(rule.fuses(op) is not None for rule in placement.target.rules_for(before.name))


def _within_a_kernel(op: Operation, placement: Placement) -> bool:
    """Whether the data sheet makes it a part of the kernel of an operation before it (which may be at fault itself)."""
    rule = placement.target.choose(op)[0]
    if rule is None or not rule.within:
        return False
    sources = [v.defining_op for v in op.operands if v.defining_op is not None]
    if any(source.name.removeprefix("onnx.") in rule.within for source in sources):
        return True
    return any(_within_a_kernel(source, placement) for source in sources)
