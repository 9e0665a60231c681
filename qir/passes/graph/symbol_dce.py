"""``symbol-dce``: symbols that nothing refers to."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, Operation, StringAttr, SymbolTable, symbol_refs
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
                    name = op.attributes.get("sym_name")
                    own = name.value if isinstance(name, StringAttr) else None
                    targets = [ref for _, ref in symbol_refs(op)]
                    if own in removable:
                        refs[own] = targets
                    else:
                        live += targets
        live += [ref for value in module.attributes.values() for ref in _direct(module, value)]
        kept: set[str] = set()
        while live:
            name_ = live.pop()
            if name_ in removable and name_ not in kept:
                kept.add(name_)
                live += refs.get(name_, ())
        dead = [n for n in removable if n not in kept]
        for name_ in dead:
            table.erase(name_)
            self.count(ctx, "symbols erased")
        return bool(dead)


def _removable(op: Operation) -> bool:
    visibility = op.attributes.get("sym_visibility")
    private = isinstance(visibility, StringAttr) and visibility.value == "private"
    return op.name == "qsim.quantizer" or (op.name == "func.func" and private)


def _direct(module: Operation, value: object) -> list[str]:
    from qir.ir.symbols import _refs

    return [ref.root for ref in _refs(value)]  # type: ignore[arg-type]
