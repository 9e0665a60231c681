"""``verify-target``: whether a module is one that a target can hold and run."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, Diagnostic, Operation, QirError, Severity
from qir.passes.base import Pass, option
from qir.passes.registry import register_pass
from qir.target import Target, get_target, node_name

__all__ = ["VerifyTarget", "check_lowered", "left_overs"]

ALWAYS = ("onnx.Constant", "onnx.NoValue", "qsim.quantizer")
"""Operations that may stand in any lowered module: data, absent operands, and the parameters."""
STAGES = ("qsim", "quant")
"""Dialects of earlier stages: nothing of them may be left in what a target gets."""


@register_pass
@attrs.frozen
class VerifyTarget(Pass):
    """Check that a lowered module holds only what a target can run; errors name the nodes of the model.

    The target's own check comes after: versions, types, groups that it will not run as its data sheet promises.
    """

    name: ClassVar[str] = "verify-target"

    target: str = option(help="the target's name")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        check_lowered(module, get_target(self.target), ctx)
        return False


def check_lowered(module: ModuleOp, target: Target, ctx: Context) -> None:
    """Raise a QirError where a module holds what the target cannot run."""
    if target.level == "materialised" and (found := left_overs(module, target)):
        raise QirError(found)
    if target.verify is not None:
        target.verify(module, ctx)


def left_overs(module: Operation, target: Target) -> list[Diagnostic]:
    """What is wrong with the operations in a module for `target`: one diagnostic for each operation of the model.

    Operations in the body of one that is wrong are not told; nor are all of another dialect, but the first. A module
    that was quantized for another target is told as such.
    """
    found: list[Diagnostic] = []
    told: set[str] = set()

    def visit(op: Operation) -> None:
        wrong, dialect = _left_over(op, target), op.name.partition(".")[0]
        if wrong is None:
            for region in op.regions:
                for block in region.blocks:
                    for inner in block:
                        visit(inner)
        elif dialect == "onnx" or dialect not in told:
            told.add(dialect)
            found.append(wrong)

    visit(module)
    other = str(module.attr("qir.target", target.name))
    if found and other != target.name:
        message = f"the module was quantized for {other}, and {target.name} cannot run what stands in it"
        hint = f"from its text before it was lowered: qir quantize TEXT --target {target.name}"
        return [attrs.evolve(found[0], message=f"{message}: {found[0].message}", hint=hint)]
    return found


def _left_over(op: Operation, target: Target) -> Diagnostic | None:
    """What is wrong with an operation that stands in a module for `target`, if anything."""
    dialect = op.name.partition(".")[0]
    if op.name in ALWAYS:
        return None
    if dialect in STAGES:
        return Diagnostic(
            Severity.ERROR, op.location, f"{target.name} cannot run '{op.name}': it was not lowered",
            hint="run materialise and the target's lowering before verify-target",
        )  # fmt: skip
    if dialect == "onnx" and dialect not in target.held:
        return _without_record(op, target)
    ours = dialect == target.dialect or dialect in target.held
    if op.is_registered and not ours and "." not in op.name.partition(".")[2]:
        return Diagnostic(
            Severity.ERROR, op.location, f"{target.name} cannot run '{op.name}': it belongs to another dialect",
            hint=f"lower the module for {target.name}, or verify it for the target that it was lowered for",
        )  # fmt: skip
    return None


def _without_record(op: Operation, target: Target) -> Diagnostic:
    """Why a target has no record for an operation of the model, as far as its data sheet says so."""
    # A model whose nodes have no names is told by its tensors'.
    which = f"'{op.name}'" + ("" if op.location.names() else f" that gives '{node_name(op)}'")
    hint = f"replace the operation in the model; `qir targets {target.name}` lists what the target has"
    rule, reason = target.choose(op)
    if rule is not None and rule.role != "float":
        why, hint = " in float, only on integers", "--remarks says why it stayed float: an --exclude, or an operand"
    elif target.rules_for(op.name) and reason:
        why = f": {reason}"
    else:
        why = ": it has no record for it"
    return Diagnostic(Severity.ERROR, op.location, f"{target.name} cannot run {which}{why}", hint=hint)
