"""The spelling of values in a text that is being printed: numbers, or names where the exact ones can be read back."""

from __future__ import annotations

from qir.ir.core import Block, Operation, Trait, Value
from qir.ir.location import Location
from qir.text.names import argument_name, result_name, sanitize

__all__ = ["Spelling"]


class Spelling:
    """Spellings of all values inside an operation, with ``%``; results of one operation may share one (``%1#0``).

    `numbered` numbers everything as MLIR does; else values keep their names, made legal and unique.
    """

    def __init__(self, root: Operation, numbered: bool) -> None:
        self.of: dict[Value, str] = {}
        self._numbered = numbered
        self._next = self._next_argument = 0
        self._used: set[str] = set()
        for value in root.operands:  # an operation that is printed without what is around it
            self._name(value, [])
        self._results(root, [])
        self._regions(root)

    def _regions(self, op: Operation) -> None:
        """All values inside the regions of `op`, outer ones before inner ones."""
        isolated = bool(op.traits & Trait.ISOLATED_FROM_ABOVE)
        saved = self._next, self._next_argument, self._used
        if isolated:
            self._next, self._next_argument, self._used = 0, 0, set()
        for region in op.regions:
            mine: list[str] = []
            inner: list[Operation] = []
            for block in region.blocks:
                self._block(block, mine, inner)
            for nested in inner:
                self._regions(nested)
            self._used.difference_update(mine)
        if isolated:
            self._next, self._next_argument, self._used = saved

    def _block(self, block: Block, mine: list[str], inner: list[Operation]) -> None:
        of = self.of
        for argument in block.args:
            if self._numbered:
                of[argument] = f"%arg{self._next_argument}"
                self._next_argument += 1
            else:
                self._name(argument, mine)
        op = block.first
        while op is not None:
            results = op.results
            if self._numbered:
                if len(results) == 1:
                    of[results[0]] = f"%{self._next}"
                    self._next += 1
                elif results:
                    self._results(op, mine)
            elif results:
                self._results(op, mine)
            if op.regions:
                inner.append(op)
            op = op.next

    def _results(self, op: Operation, mine: list[str]) -> None:
        results = op.results
        if self._numbered:
            number = self._next
            self._next += 1 if results else 0
            for i, value in enumerate(results):
                self.of[value] = f"%{number}" if len(results) == 1 else f"%{number}#{i}"
            return
        for value in results:
            self._name(value, mine)

    def _name(self, value: Value, mine: list[str]) -> None:
        if self._numbered or not value.name:
            self.of[value] = f"%{self._next}"
            self._next += 1
            return
        base = spelling = sanitize(value.name)
        used = self._used
        number = 0
        while spelling in used:
            number += 1
            spelling = f"{base}_{number}"
        used.add(spelling)
        mine.append(spelling)
        self.of[value] = "%" + spelling

    def outside(self, value: Value) -> str:
        """A spelling for a value that is not defined inside the root."""
        self._name(value, [])
        return self.of[value]

    # ------------------------------------------------------------ what a reader would make of it
    def says_results(self, op: Operation, location: Location) -> bool:
        """Whether the spellings of the results give back their exact names."""
        of = self.of
        for i, value in enumerate(op.results):
            name = value.name or None
            spelling = of[value][1:]
            if spelling == name and "_output_" not in spelling:
                continue  # as in most texts: no need to look at the location
            if result_name(spelling, location, i) != name:
                return False
        return True

    def says_argument(self, value: Value) -> bool:
        """Whether the spelling of a block argument gives back its exact name."""
        return argument_name(self.of[value][1:]) == (value.name or None)
