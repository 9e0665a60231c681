"""``symbol-dce``: symbols that nothing refers to."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, Operation, StringAttr, SymbolTable, attribute_refs, symbol_name, symbol_refs
from qir.passes.base import Pass
from qir.passes.registry import register_pass

__all__ = ["SymbolDce"]


@register_pass
@attrs.frozen
class SymbolDce(Pass):
    """Erase quantizers and private functions that nothing refers to, directly or through others that stay."""

    name: ClassVar[str] = "symbol-dce"

    def run(self, module: Operation, ctx: Context) -> bool:
        table = SymbolTable(module)
        removable = {n: op for n, op in table.symbols.items() if _removable(op)}
        refs: dict[str, list[str]] = {}
        live: list[str] = []
        for region in module.regions:
            for block in region.blocks:
                for op in block:
                    own = symbol_name(op)
                    targets = [ref for _, ref in symbol_refs(op)]
                    if own in removable:
                        refs[own] = targets
                    else:
                        live += targets
        live += [ref.root for value in module.attributes.values() for ref in attribute_refs(value)]
        kept: set[str] = set()
        while live:
            name = live.pop()
            if name in removable and name not in kept:
                kept.add(name)
                live += refs.get(name, ())
        dead = [n for n in removable if n not in kept]
        for name in dead:
            table.erase(name)
            self.count(ctx, "symbols erased")
        return bool(dead)


def _removable(op: Operation) -> bool:
    visibility = op.attributes.get("sym_visibility")
    private = isinstance(visibility, StringAttr) and visibility.value == "private"
    return op.name == "qsim.quantizer" or (op.name == "func.func" and private)
