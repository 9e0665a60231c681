"""Matching: a stack of goals with full backtracking.

A goal is (node, value or operation, further goals). Commutative operands, `any_of` and `opt` are choice points: each
alternative is tried with everything that follows, and bindings made on the way are undone. The first solution in the
order written wins, so a match is deterministic.
"""

from __future__ import annotations

from typing import Any

from qir.ir.attributes import Attribute, SymbolRefAttr, python_value
from qir.ir.core import Operation, Trait, Value
from qir.ir.types import NoneType
from qir.rewrite.constants import splat_of
from qir.rewrite.match import Match
from qir.rewrite.nodes import AnyOf, AttrLeaf, Condition, Const, Leaf, OpNode, Opt, Rest, ResultOf

__all__ = ["Progress", "attribute_value", "solve"]

Goals = Any  # nested (node, subject, goals) or None
_COMMUTATIVE = Trait.COMMUTATIVE
_CONSTANT_LIKE = Trait.CONSTANT_LIKE
_MISSING = object()


class Progress:
    """The best partial match of a pattern that did not fire: how far it came, and the condition that failed there."""

    __slots__ = ("_parts", "_text", "depth")

    def __init__(self) -> None:
        self.depth = -1
        self._text: str = "nothing matched"
        self._parts: tuple[object, ...] = ()

    def note(self, depth: int, text: str, *parts: object) -> bool:
        """Keep the failure if it is the furthest so far; `text` is formatted with `parts` when it is asked for."""
        if depth > self.depth:
            self.depth, self._text, self._parts = depth, text, parts
        return False

    @property
    def reason(self) -> str:
        parts = [_describe(p) if p is None or isinstance(p, Value) else p for p in self._parts]
        return self._text.format(*parts) if parts else self._text


def attribute_value(op: Operation, name: str) -> Any:
    """An attribute's Python value; its default in the operation's definition where it is not written; else None."""
    held = op.attributes.get(name)
    if held is not None:
        return python_value(held)
    by_schema = getattr(op, "onnx_attr", None)
    if by_schema is not None:  # ONNX: the default at the version that holds here
        return by_schema(name)
    definition = op.definition
    field = definition.attributes.get(name) if definition is not None else None
    default = field.default if field is not None else None
    return python_value(default) if isinstance(default, Attribute) else default


def solve(goals: Goals, m: Match, progress: Progress | None, references: dict[OpNode, int]) -> bool:
    """Prove all goals, extending the bindings of `m`. On False the bindings are as they were.

    `references` says how often the pattern's expression uses each operation node.
    """
    mark = len(m.trail)
    if _prove(goals, m, progress, references):
        return True
    _undo(m, mark)
    return False


def _undo(m: Match, mark: int) -> None:
    trail = m.trail
    while len(trail) > mark:
        key = trail.pop()
        if isinstance(key, str):
            del m.bindings[key]
        else:
            del m.operations[key]


def _prove(goals: Goals, m: Match, progress: Progress | None, references: dict[OpNode, int]) -> bool:
    bindings = m.bindings
    while goals is not None:
        node, subject, goals = goals
        kind = type(node)
        if kind is Leaf:
            if subject is None or isinstance(subject.type, NoneType):
                return progress is not None and progress.note(len(m.trail), "{} is absent", node)
            bound = bindings.get(node.name, _MISSING)
            if bound is _MISSING:
                bindings[node.name] = subject
                m.trail.append(node.name)
            elif bound is not subject:
                return progress is not None and progress.note(
                    len(m.trail), "{} would have to be two different values", node
                )
        elif kind is ResultOf:
            op = subject.defining_op if subject is not None else None
            if op is None or subject.index != node.index or op.name not in node.node.names:
                return progress is not None and progress.note(
                    len(m.trail),
                    "{} is not {}",
                    subject,
                    "|".join(node.node.names),
                )
            further = _enter(node.node, op, goals, m, progress, references)
            if isinstance(further, bool):
                return further
            goals = further[0]
        elif kind is Const:
            if not _constant(node, subject):
                return progress is not None and progress.note(len(m.trail), "{} is not {}", subject, node)
            if node.inner.__class__ is Leaf:
                goals = (node.inner, subject, goals)
        elif kind is Condition:
            held = node.holds(m)
            if isinstance(held, str) or not held:
                m.missed = reason = held if isinstance(held, str) and held else node.reason
                return progress is not None and progress.note(len(m.trail) + 1, "{}", reason)
        elif kind is Opt:
            if subject is None or isinstance(subject.type, NoneType):
                continue
            goals = (node.inner, subject, goals)
        elif kind is AnyOf:
            for alternative in node.alternatives:
                if solve((alternative, subject, goals), m, progress, references):
                    return True
            return False
        elif kind is Rest:
            bound = bindings.get(node.name, _MISSING)
            if bound is _MISSING:
                bindings[node.name] = subject
                m.trail.append(node.name)
            elif bound != subject:
                return False
        elif kind is OpNode:  # the root
            further = _enter(node, subject, goals, m, progress, references)
            if isinstance(further, bool):
                return further
            goals = further[0]
    return True


def _constant(node: Const, subject: Value | None) -> bool:
    op = subject.defining_op if subject is not None else None
    if op is None or not op.traits & _CONSTANT_LIKE:
        return False
    return node.inner is None or isinstance(node.inner, Leaf) or splat_of(subject) == node.inner


def _describe(value: Value | None) -> str:
    if value is None:
        return "an absent operand"
    op = value.defining_op
    what = op.name if op is not None else "a block argument"
    return f"%{value.name} ({what})" if value.name else what


def _enter(
    node: OpNode, op: Operation, goals: Goals, m: Match, progress: Progress | None, references: dict[OpNode, int]
) -> bool | tuple[Goals]:
    """Bind `op` to `node`: the goals that remain, in a tuple; or the final answer where a choice was made here."""
    depth = len(m.trail)
    known = m.operations.get(node)
    if known is not None:
        if known is op:
            return (goals,)
        return progress is not None and progress.note(
            depth, "{} would have to be two different operations", node.names[0]
        )
    if op is not m.root:
        if op.parent is not m.root.parent:
            return progress is not None and progress.note(depth, "{} is in another block", op.name)
        if not node.is_shared and references.get(node, 1) == 1:
            uses = 0
            for result in op.results:
                for count in result.uses.values():
                    uses += count
            if uses != 1:
                return progress is not None and progress.note(
                    depth, "{} is used {} times, not only in this match", op.name, uses
                )
    for pattern in node.attributes:
        if not _attribute(pattern.name, pattern.want, op, m):
            return progress is not None and progress.note(depth, "{} does not have {}", op.name, pattern)
    m.operations[node] = op
    m.trail.append(node)
    if node.label is not None:
        m.bindings[node.label] = op
        m.trail.append(node.label)
    for condition in reversed(node.conditions):
        goals = (condition, None, goals)
    patterns, values = node.operands, op.operands
    if node.tail is not None:
        goals = (node.tail, values[len(patterns) :], goals)
    elif len(values) > len(patterns):
        for value in values[len(patterns) :]:
            if not isinstance(value.type, NoneType):
                return progress is not None and progress.note(
                    len(m.trail), "{} has {} operands, the pattern {}", op.name, len(values), len(patterns)
                )
    if len(patterns) == 2 and len(values) == 2 and op.traits & _COMMUTATIVE:
        first, second = patterns
        x, y = values
        if solve((first, x, (second, y, goals)), m, progress, references):
            return True
        return solve((first, y, (second, x, goals)), m, progress, references)
    count = len(values)
    for i in range(len(patterns) - 1, -1, -1):
        goals = (patterns[i], values[i] if i < count else None, goals)
    return (goals,)


def _attribute(name: str, want: Any, op: Operation, m: Match) -> bool:
    if isinstance(want, AttrLeaf):
        if want.quantizer:
            held = op.attributes.get(name)
            value: Any = held.root if isinstance(held, SymbolRefAttr) else None
            if value is None:
                return False
        else:
            value = attribute_value(op, name)
        bound = m.bindings.get(want.name, _MISSING)
        if bound is _MISSING:
            m.bindings[want.name] = value
            m.trail.append(want.name)
            return True
        return bool(bound == value)
    if isinstance(want, Attribute):
        return op.attributes.get(name) == want
    value = attribute_value(op, name)
    if callable(want):
        return bool(want(value))
    return bool(value == want) and (type(value) is bool) == (type(want) is bool)
