"""``expand``: operators that a target has no record for, by those that it has.

Each rewrite is the operator's own formula. They run only where they are needed: an operator that the target lowers by
itself is left alone.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, Operation
from qir.passes.base import Pass, option
from qir.passes.graph.expansions import expansions, special_cases
from qir.passes.registry import register_pass
from qir.rewrite import apply_patterns
from qir.target import get_target

__all__ = ["Expand"]


@register_pass
@attrs.frozen
class Expand(Pass):
    """Write the operators that a target has no record for by those that it has, each by its formula."""

    name: ClassVar[str] = "expand"
    anchor: ClassVar[str | None] = None

    target: str = option("", "whose patterns say which operators need it; without one all that can be expanded are")
    also: tuple[str, ...] = option((), "special cases of operators that the target has, by the pattern's name")

    def run(self, module: Operation, ctx: Context) -> bool:
        special = special_cases()
        for name in self.also:
            if name not in special:
                raise module.error(f"expand knows no special case '{name}'", f"it knows {', '.join(special)}")
        return apply_patterns(module, expansions(_lowered(self.target), self.also), ctx, name=self.name)


def _lowered(name: str) -> frozenset[str]:
    """The ONNX operators that a target's patterns start from."""
    if not name:
        return frozenset()
    patterns = [pattern for phase in get_target(name).phases() for pattern in phase]
    return frozenset(root.removeprefix("onnx.") for p in patterns for root in p.roots if root.startswith("onnx."))
