"""The verifier: structure (dominance, terminators, symbols), then each operation against its definition."""

from __future__ import annotations

from collections.abc import Iterator

from qir.ir.core import Block, Operation, Region, Trait, Value
from qir.ir.diagnostics import Diagnostic, QirError, Severity
from qir.ir.symbols import SymbolTable, lookup_symbol, symbol_name

__all__ = ["Verifier", "verify"]

LIMIT = 20


class Verifier:
    """One verification run; collects up to `LIMIT` errors.

    Operations' own checks (a method ``verify_op(self, verifier)`` that yields messages) look symbols up here, where
    tables are made once.
    """

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.visible: set[Value] = set()
        self._tables: dict[Operation, SymbolTable] = {}

    def lookup(self, op: Operation, name: str) -> Operation | None:
        """The symbol that `name` means at `op`."""
        return lookup_symbol(op, name, self._tables)

    def error(self, op: Operation, message: str, hint: str | None = None) -> None:
        self.errors.append(Diagnostic(Severity.ERROR, op.location, f"'{op.name}' {message}", hint=hint))
        if len(self.errors) >= LIMIT:
            raise QirError(self.errors)

    # ------------------------------------------------------------ structure
    def operation(self, op: Operation, graph: bool) -> None:
        """`graph`: the operation stands in a region where order does not matter."""
        if not graph:
            for value in op.operands:
                if value not in self.visible:
                    self._undominated(op, value)
        definition = op.definition
        found = len(self.errors)
        if definition is not None:
            for message in definition.check(op):
                self.error(op, message)
        check = getattr(op, "verify_op", None)
        if check is not None and len(self.errors) == found:  # an operation's own check may rely on its definition
            messages: Iterator[str] = check(self)
            for message in messages:
                self.error(op, message)
        if op.regions:
            if op.has_trait(Trait.SYMBOL_TABLE):
                self._symbols(op)
            if op.has_trait(Trait.ISOLATED_FROM_ABOVE):
                outer, self.visible = self.visible, set()
                for region in op.regions:
                    self._region(op, region)
                self.visible = outer
            else:
                for region in op.regions:
                    self._region(op, region)
                    for block in region.blocks:
                        self.visible.difference_update(block.args)
                        for inner in block:
                            self.visible.difference_update(inner.results)
        self.visible.update(op.results)

    def _undominated(self, op: Operation, value: Value) -> None:
        index = op.operands.index(value)
        definer = value.defining_op
        name = f" '%{value.name}'" if value.name else ""
        if definer is not None and definer.parent is not None and definer.parent is op.parent:
            self.error(op, f"uses operand {index}{name} before '{definer.name}' defines it")
        elif definer is not None and definer.parent is None:
            self.error(op, f"uses operand {index}{name} of '{definer.name}', which is in no block")
        else:
            self.error(op, f"uses operand {index}{name}, which is not visible here",
                       "values of another region, or from outside an isolated one, must be passed in")  # fmt: skip

    def _region(self, op: Operation, region: Region) -> None:
        graph = op.has_trait(Trait.GRAPH_REGION)
        several = len(region.blocks) > 1
        if graph or several:  # any order: everything defined in the region is visible
            for block in region.blocks:
                self.visible.update(block.args)
                for inner in block:
                    self.visible.update(inner.results)
        for block in region.blocks:
            self._block(op, block, graph)

    def _block(self, op: Operation, block: Block, graph: bool) -> None:
        self.visible.update(block.args)
        inner = block.first
        while inner is not None:
            if inner.parent is not block or (inner.next is not None and inner.next.prev is not inner):
                self.error(inner, "is linked into its block wrongly")
                return
            self.operation(inner, graph)
            if inner.next is not None and inner.traits & Trait.TERMINATOR:
                self.error(inner, "is a terminator and must stand last in its block")
            inner = inner.next
        if op.is_registered and not op.traits & Trait.NO_TERMINATOR:
            last = block.last
            if last is None or (last.is_registered and not last.traits & Trait.TERMINATOR):
                self.error(op, "needs a terminator at the end of its block")

    def _symbols(self, op: Operation) -> None:
        seen: dict[str, Operation] = {}
        for region in op.regions:
            for block in region.blocks:
                for inner in block:
                    name = symbol_name(inner)
                    if name is None:
                        continue
                    if name in seen:
                        self.error(inner, f"defines the symbol @{name} a second time", "rename one of the two")
                    seen[name] = inner


def verify(op: Operation) -> None:
    """Check `op` and everything inside it. Raises QirError with all errors found (up to a limit)."""
    verifier = Verifier()
    verifier.visible.update(op.operands)
    verifier.operation(op, graph=True)
    if verifier.errors:
        raise QirError(verifier.errors)
