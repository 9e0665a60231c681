"""The words of a traced pattern: nodes that stand for operations, values and attributes.

A pattern function is called once with `Leaf` nodes for its parameters; what it returns is the expression to match.
An `OpNode` used as a value means its first result; ``node[1]`` is the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from qir.ir.core import Operation

__all__ = [
    "AnyOf",
    "AttrLeaf",
    "AttrPattern",
    "Condition",
    "Const",
    "Leaf",
    "Node",
    "OpNode",
    "Opt",
    "PatternError",
    "Rest",
    "ResultOf",
    "ValueNode",
    "as_value",
]  # fmt: skip


class PatternError(TypeError):
    """A pattern that cannot mean anything; raised where it is defined."""


class Node:
    """Base of everything that a pattern's expression consists of."""

    __slots__ = ()


class ValueNode(Node):
    """Base of the nodes that match a value."""

    __slots__ = ()

    def children(self) -> Iterator[ValueNode]:
        return iter(())


@attrs.define(eq=False)
class Leaf(ValueNode):
    """A parameter ``x: Value``: any value; at its second place the same value again."""

    name: str

    def __str__(self) -> str:
        return self.name


@attrs.define(eq=False)
class AttrLeaf(Node):
    """A parameter ``a: Attr`` or ``q: Quantizer``: binds an attribute; at its second place an equal one."""

    name: str
    quantizer: bool = False

    def __str__(self) -> str:
        return self.name


@attrs.define(eq=False)
class Const(ValueNode):
    """``const(w)``: a value that an operation with the trait CONSTANT_LIKE gives, in whatever block.

    `inner` is a leaf, None (any constant), or a number that all its elements equal.
    """

    inner: Leaf | float | None

    def children(self) -> Iterator[ValueNode]:
        if isinstance(self.inner, Leaf):
            yield self.inner

    def __str__(self) -> str:
        return f"const({'' if self.inner is None else self.inner})"


@attrs.define(eq=False)
class Opt(ValueNode):
    """``opt(p)``: an absent operand (missing, or a result of NoValue), or else `inner`."""

    inner: ValueNode

    def children(self) -> Iterator[ValueNode]:
        yield self.inner

    def __str__(self) -> str:
        return f"opt({self.inner})"


@attrs.define(eq=False)
class Rest(Node):
    """``rest("xs")``: all operands from here on, as a tuple; stands last."""

    name: str

    def __str__(self) -> str:
        return f'rest("{self.name}")'


@attrs.define(eq=False)
class AnyOf(ValueNode):
    """``any_of(p, q)``: the first alternative with which the whole pattern matches."""

    alternatives: tuple[ValueNode, ...]

    def children(self) -> Iterator[ValueNode]:
        yield from self.alternatives

    def __str__(self) -> str:
        return f"any_of({', '.join(map(str, self.alternatives))})"


@attrs.define(eq=False)
class Condition:
    """A predicate on the match so far, and what to say where it does not hold. It may return the reason itself."""

    reason: str
    holds: Callable[[Any], bool | str]


@attrs.define(eq=False)
class AttrPattern:
    """One keyword of an operation node: a literal to equal, a predicate on the Python value, or a leaf to bind."""

    name: str
    want: Any

    def __str__(self) -> str:
        want = "…" if callable(self.want) else self.want if isinstance(self.want, AttrLeaf) else repr(self.want)
        return f"{self.name}={want}"


@attrs.define(eq=False)
class OpNode(ValueNode):
    """An operation by name (or one of several names), with patterns for all of its operands and some attributes."""

    names: tuple[str, ...]
    operands: tuple[ValueNode, ...]
    tail: Rest | None = None
    attributes: tuple[AttrPattern, ...] = ()
    conditions: list[Condition] = attrs.field(factory=list)
    is_shared: bool = False
    label: str | None = None

    def shared(self) -> OpNode:
        """Allow results that others use too; such an operation stays when the match is replaced."""
        self.is_shared = True
        return self

    def where(self, reason: str, holds: Callable[[Any], bool | str]) -> OpNode:
        """Add a condition, asked as soon as this operation and its operands match. `reason` says why it did not
        apply."""
        self.conditions.append(Condition(reason, holds))
        return self

    def bind(self, name: str) -> OpNode:
        """Make the matched operation available as ``m.<name>``."""
        if not name.isidentifier():
            raise PatternError(f"bind({name!r}): not an identifier")
        self.label = name
        return self

    def children(self) -> Iterator[ValueNode]:
        yield from self.operands

    def __getitem__(self, index: int) -> ResultOf:
        return ResultOf(self, index)

    def __iter__(self) -> Iterator[ResultOf]:  # else Python would call __getitem__ without end
        raise PatternError(f"{self} stands for one operation; name its results by index, {self.names[0]}(…)[0]")

    def __str__(self) -> str:
        parts = [*map(str, self.operands), *([str(self.tail)] if self.tail else []), *map(str, self.attributes)]
        return f"{'|'.join(self.names)}({', '.join(parts)})"


@attrs.define(eq=False)
class ResultOf(ValueNode):
    """Result number `index` of an operation node."""

    node: OpNode
    index: int = 0

    def children(self) -> Iterator[ValueNode]:
        yield self.node

    def __str__(self) -> str:
        return f"{self.node}[{self.index}]" if self.index else str(self.node)


def as_value(node: object, where: str) -> ValueNode:
    """The node of an operand. Raises PatternError for anything that is no value (an Attr, a Quantizer, a number)."""
    if isinstance(node, OpNode):
        return ResultOf(node, 0)
    if isinstance(node, AnyOf):
        return AnyOf(tuple(as_value(a, where) for a in node.alternatives))
    if isinstance(node, ValueNode):
        return node
    if isinstance(node, AttrLeaf):
        kind = "Quantizer" if node.quantizer else "Attr"
        raise PatternError(f"{where}: '{node.name}' is a parameter of type {kind}, an operand needs one of type Value")
    if isinstance(node, Operation):
        raise PatternError(f"{where}: an operation of a module is no part of a pattern")
    if isinstance(node, (int, float)):
        raise PatternError(f"{where}: write const({node!r}) for a constant of that value")
    raise PatternError(f"{where}: {node!r} is no value")
