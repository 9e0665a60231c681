"""What a pattern matched: the values, attributes and operations that its names are bound to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qir.ir.core import Operation, Value
from qir.ir.location import Location, fuse
from qir.ir.symbols import SymbolTable, lookup_symbol
from qir.rewrite.constants import constant_array, splat_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qir.rewrite.nodes import OpNode

__all__ = ["Match"]


class Match:
    """The bindings of one match; ``m.x`` is what the parameter ``x`` stands for.

    A `Value` parameter is bound to the value (None where its alternative or option was absent), an `Attr` parameter
    to the attribute's Python value (its default where it is not written; None without one), a `Quantizer` parameter
    to the symbol's name, ``rest("xs")`` to a tuple of values, ``.bind("conv")`` to the operation.
    """

    __slots__ = ("bindings", "missed", "names", "operations", "root", "tables", "trail")

    def __init__(
        self, root: Operation, names: frozenset[str], tables: dict[Operation, SymbolTable] | None = None
    ) -> None:
        self.root = root
        self.names = names
        self.bindings: dict[str, Any] = {}
        self.operations: dict[OpNode, Operation] = {}
        self.trail: list[Any] = []
        self.missed: str | None = None
        self.tables = tables

    def __getattr__(self, name: str) -> Any:
        try:
            return self.bindings[name]
        except KeyError:
            if name in self.names:
                return None
            known = ", ".join(sorted(self.names))
            raise AttributeError(f"the pattern has no name '{name}', it has {known}") from None

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in self.bindings

    @property
    def ops(self) -> tuple[Operation, ...]:
        """The matched operations, the root first."""
        return tuple(dict.fromkeys((self.root, *self.operations.values())))

    @property
    def location(self) -> Location:
        """The fused location of the matched operations, producers first."""
        return fuse(op.location for op in reversed(self.ops))

    def array(self, name: str) -> NDArray[Any]:
        """The data of the constant bound to `name`, read-only. Raises ValueError where it is no constant with data."""
        array = constant_array(self.bindings.get(name))
        if array is None:
            raise ValueError(f"'{name}' is bound to no constant with data")
        return array

    def splat(self, name: str) -> float | None:
        """The number that all elements of the constant bound to `name` equal, or None."""
        value = self.bindings.get(name)
        return splat_of(value) if isinstance(value, Value) else None

    def quantizer(self, name: str) -> Operation:
        """The quantizer operation whose symbol the parameter `name` is bound to. Raises QirError if there is none."""
        symbol = self.bindings[name]
        found = lookup_symbol(self.root, symbol, {} if self.tables is None else self.tables)
        if found is None:
            raise self.root.error(f"names the quantizer @{symbol}, which does not exist")
        return found
