"""``canonicalize``: the same module, simpler."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, Operation
from qir.passes.base import Pass, option
from qir.passes.graph.control import CONTROL
from qir.passes.graph.folding import make_folder
from qir.passes.graph.identities import IDENTITIES
from qir.passes.graph.quantizer_patterns import QUANTIZERS
from qir.passes.graph.shapes import SHAPES
from qir.passes.registry import register_pass
from qir.rewrite import PatternSet, apply_patterns

__all__ = ["CANONICAL", "Canonicalize"]

CANONICAL = PatternSet([*IDENTITIES, *SHAPES, *CONTROL, *QUANTIZERS], "canonicalize")


@register_pass
@attrs.frozen
class Canonicalize(Pass):
    """Simplify: no-ops and identities go, constants are folded, shapes that are known become constants, an If that is
    decided gives way to its branch, dead code goes.

    ``fake`` pairs and ``decode(encode(x))`` stay, as does what the model itself quantizes.
    """

    name: ClassVar[str] = "canonicalize"
    anchor: ClassVar[str | None] = None
    fold: bool = option(True, "compute what is constant, by the interpreter")
    fold_limit: int = option(1 << 20, "fold only to so many elements, or to no more than an operand has")

    def run(self, module: Operation, ctx: Context) -> bool:
        folder = make_folder(self.fold_limit) if self.fold else None
        return apply_patterns(module, CANONICAL, ctx, folder, name=self.name)
