"""Symbol tables: operations found by name, and the references to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qir.ir.attributes import ArrayAttr, Attribute, DictAttr, StringAttr, SymbolRefAttr, dictionary
from qir.ir.core import Operation, Trait

__all__ = [
    "SYMBOL_NAME",
    "SymbolTable",
    "attribute_refs",
    "lookup_symbol",
    "nearest_symbol_table",
    "replace_symbol_refs",
    "symbol_name",
    "symbol_refs",
]

SYMBOL_NAME = "sym_name"


def symbol_name(op: Operation) -> str | None:
    """The name of an operation that is a symbol."""
    name = op.attributes.get(SYMBOL_NAME)
    return name.value if isinstance(name, StringAttr) else None


def nearest_symbol_table(op: Operation) -> Operation | None:
    """The operation around `op` (or itself) that holds the symbols which `op` can name."""
    around: Operation | None = op
    while around is not None and not around.has_trait(Trait.SYMBOL_TABLE):
        around = around.parent_op
    return around


class SymbolTable:
    """The symbols directly inside an operation, as a dictionary made once. Change symbols through it meanwhile."""

    def __init__(self, op: Operation) -> None:
        self.op = op
        self.symbols: dict[str, Operation] = {}
        for region in op.regions:
            for block in region.blocks:
                for inner in block:
                    name = symbol_name(inner)
                    if name is not None:
                        self.symbols.setdefault(name, inner)

    def lookup(self, name: str) -> Operation | None:
        return self.symbols.get(name)

    def unique(self, name: str) -> str:
        """`name`, or the first of ``name_0``, ``name_1``, … that is free."""
        if name not in self.symbols:
            return name
        number = 0
        while f"{name}_{number}" in self.symbols:
            number += 1
        return f"{name}_{number}"

    def insert(self, op: Operation, before: Operation | None = None) -> str:
        """Insert a symbol (at the end, or before an operation), renamed where its name is taken. Returns its name."""
        name = self.unique(symbol_name(op) or "symbol")
        op.attributes[SYMBOL_NAME] = StringAttr(name)
        self.op.regions[0].block.insert_before(op, before)
        self.symbols[name] = op
        return name

    def erase(self, name: str) -> None:
        self.symbols.pop(name).erase()

    def rename(self, old: str, new: str) -> str:
        """Rename a symbol and every reference to it. Returns the name it got."""
        op = self.symbols.pop(old)
        new = self.unique(new)
        op.attributes[SYMBOL_NAME] = StringAttr(new)
        self.symbols[new] = op
        replace_symbol_refs(self.op, lambda ref: SymbolRefAttr(new, ref.nested) if ref.root == old else ref)
        return new


def lookup_symbol(op: Operation, name: str, tables: dict[Operation, SymbolTable]) -> Operation | None:
    """The symbol that `name` means at `op`: that of the nearest table around it which has one, or None.

    `tables` keeps the tables made on the way; whoever changes symbols meanwhile clears it.
    """
    around = nearest_symbol_table(op)
    while around is not None:
        table = tables.get(around)
        if table is None:
            table = tables[around] = SymbolTable(around)
        found = table.lookup(name)
        if found is not None:
            return found
        around = nearest_symbol_table(around.parent_op) if around.parent_op is not None else None
    return None


def attribute_refs(attribute: Attribute) -> Iterator[SymbolRefAttr]:
    """Every reference in an attribute, those in arrays and dictionaries included."""
    if isinstance(attribute, SymbolRefAttr):
        yield attribute
    elif isinstance(attribute, ArrayAttr):
        for value in attribute.values:
            yield from attribute_refs(value)
    elif isinstance(attribute, DictAttr):
        for _, value in attribute.entries:
            yield from attribute_refs(value)


def symbol_refs(op: Operation) -> Iterator[tuple[Operation, str]]:
    """Every reference inside `op`: the operation that makes it, and the root name."""
    for user in op.walk():
        for value in user.attributes.values():
            for ref in attribute_refs(value):
                yield user, ref.root


def replace_symbol_refs(op: Operation, change: Callable[[SymbolRefAttr], SymbolRefAttr]) -> None:
    """Replace every symbol reference inside `op` by ``change(reference)``."""

    def replaced(attribute: Attribute) -> Attribute:
        if isinstance(attribute, SymbolRefAttr):
            return change(attribute)
        if isinstance(attribute, ArrayAttr):
            return ArrayAttr(tuple(replaced(v) for v in attribute.values))
        if isinstance(attribute, DictAttr):
            return dictionary({k: replaced(v) for k, v in attribute.entries})
        return attribute

    for user in op.walk():
        for key, value in user.attributes.items():
            if isinstance(value, (SymbolRefAttr, ArrayAttr, DictAttr)):
                user.attributes[key] = replaced(value)
