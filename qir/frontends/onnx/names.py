"""Names of values in an exported graph: those they have, made unique where a rewrite gave one twice."""

from __future__ import annotations

from collections.abc import Sequence

from qir.ir.core import Block, Value
from qir.ir.types import NoneType

__all__ = ["Names"]


class Names:
    """The names of the values of one graph.

    Outputs come first: an output keeps its name whatever value it is now. Where the value has another name that must
    stay (an input, another output, or a value from outside, which no runtime takes as an inner graph's output),
    `copies` lists the Identity nodes (source, output) that are needed.
    """

    def __init__(
        self,
        outer: Names | None,
        block: Block,
        output_names: Sequence[str | None],
        input_names: Sequence[str | None] = (),
    ) -> None:
        self.outer = outer
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set() if outer is None else _captured(outer, block)
        self.copies: list[tuple[str, str]] = []
        self.outputs: list[str] = []
        for i, arg in enumerate(block.args):
            stated = input_names[i] if i < len(input_names) else None
            self._name(arg, arg.name or stated or f"input_{i}")
        terminator = block.last
        operands = terminator.operands if terminator is not None else ()
        pending = []
        for i, value in enumerate(operands):
            wanted = (output_names[i] if i < len(output_names) else None) or value.name or f"output_{i}"
            if value.block is block and value not in self.names and wanted not in self.taken:
                self._name(value, wanted)
            elif self.of(value) != wanted or value.block is not block:
                wanted = self._fresh(wanted)
                pending.append((i, value))
            self.outputs.append(wanted)
        self.copies = [(self.of(value), self.outputs[i]) for i, value in pending]
        self.output_names = set(self.outputs)

    def of(self, value: Value) -> str:
        """The name of a value; empty for an absent one."""
        name = self.names.get(value)
        if name is not None:
            return name
        if isinstance(value.type, NoneType):
            return ""
        outer = self.outer
        while outer is not None:
            if value in outer.names:
                return outer.names[value]
            outer = outer.outer
        if value.name:
            return self._name(value, value.name)
        around = self._around()
        name = self.names[value] = self._fresh(_made_up(value), around)
        for names in around:  # nor is it given to a later value there
            names.add(name)
        return name

    def _name(self, value: Value, wanted: str) -> str:
        name = self.names[value] = self._fresh(wanted)
        return name

    def _around(self) -> list[set[str]]:
        """The names of the graphs around this one. A made-up name keeps clear of them: ONNX allows no shadowing."""
        found, outer = [], self.outer
        while outer is not None:
            found.append(outer.taken)
            outer = outer.outer
        return found

    def _fresh(self, wanted: str, around: Sequence[set[str]] = ()) -> str:
        name, count = wanted, 0
        while name in self.taken or any(name in names for names in around):
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name


def _made_up(value: Value) -> str:
    """A name for a value without one, from the node that makes it."""
    op = value.defining_op
    if op is None:
        return "value"
    names = op.location.names()
    return f"{names[0]}_output" if names else op.name.rpartition(".")[2].lower()


def _captured(outer: Names, block: Block) -> set[str]:
    """The names that a graph takes from those around it: no value inside may have one of them."""
    inside: set[Value] = set(block.args)
    found: set[str] = set()
    for top in block:
        for op in top.walk():
            inside.update(op.results)
            for region in op.regions:
                for inner in region.blocks:
                    inside.update(inner.args)
    for top in block:
        for op in top.walk():
            found.update(outer.of(v) for v in op.operands if v not in inside and not isinstance(v.type, NoneType))
    return found
