"""``lower``: from a quantized module to the records of a target."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, Operation, QirError, StringAttr
from qir.passes.base import Pass, option
from qir.passes.quantize.queries import drop_unused_quantizers
from qir.passes.quantize.verify_target import left_overs
from qir.passes.registry import register_pass
from qir.rewrite import apply_patterns
from qir.target import get_target

__all__ = ["Lower", "refuse_fakes"]


def refuse_fakes(module: Operation, by: str) -> None:
    """Raise a QirError for a module with a ``qsim.fake``, which the pass `by` cannot lower."""
    for op in module.walk():
        if op.name == "qsim.fake":
            raise op.error(
                "stands in the way of lowering: it simulates, and the artifact needs integers",
                f"run materialise before {by}",
            )


@register_pass
@attrs.frozen
class Lower(Pass):
    """Lower a quantized module to the records of a target, by the target's patterns.

    One error lists every operation that has no record, by the node of the model.
    """

    name: ClassVar[str] = "lower"
    dialects: ClassVar[tuple[str, ...]] = ("onnx", "qsim")

    target: str = option("", "the target's name; by default the one that the module names (qir.target)")
    profile: str = option("", "how its runtime will run the artifact: noted in the module (qir.profile), simulated so")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        name = self.target or module.attr("qir.target", "")
        if not name:
            raise module.error("names no target", "write lower{target=onnxruntime}")
        target = get_target(str(name))
        if target.patterns is None:
            raise module.error(f"cannot be lowered: the target '{target.name}' has no patterns")
        if target.level == "materialised":
            refuse_fakes(module, self.name)
        phases = target.in_mode(str(module.attr("qir.mode", ""))).phases()
        if self.profile and target.runtime is not None:
            target.runtime.check_profile(self.profile)
            module.attributes["qir.profile"] = StringAttr(self.profile)
        changed = bool(self.profile)
        for phase in phases:
            changed = apply_patterns(module, phase, ctx, name=self.name) or changed
        changed = drop_unused_quantizers(module) or changed
        if found := left_overs(module, target):
            raise QirError(found)
        return changed
