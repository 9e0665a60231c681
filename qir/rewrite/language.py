"""The pattern language: an expression over dialects' operations, traced once into a matcher.

::

    @pattern
    def drop_double_relu(x: Value) -> Node:
        "relu(relu(x)) = relu(x)"
        return onnx.Relu(onnx.Relu(x))

    @drop_double_relu.rewrite
    def _(m: Match, rewriter: Rewriter) -> Value:
        return rewriter.op("onnx.Relu", [m.x])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, overload

from qir.ir.core import Operation
from qir.ir.symbols import SymbolTable
from qir.rewrite.match import Match
from qir.rewrite.matcher import Progress, solve
from qir.rewrite.nodes import (
    AnyOf,
    AttrLeaf,
    AttrPattern,
    Condition,
    Const,
    Leaf,
    OpNode,
    Opt,
    PatternError,
    Rest,
    ResultOf,
    ValueNode,
    as_value,
)  # fmt: skip
from qir.rewrite.pattern_set import RewritePattern
from qir.rewrite.rewriter import Rewriter

__all__ = [
    "Attr", "DialectWords", "Pattern", "Quantizer", "any_of", "const", "decode", "encode", "fake", "maybe_fake", "onnx",
    "op", "opt", "pattern", "qsim", "rest", "words",
]  # fmt: skip


class Attr:
    """Annotation of a parameter that stands for an attribute."""


class Quantizer:
    """Annotation of a parameter that stands for a quantizer's symbol."""


# ---------------------------------------------------------------- words
def op(*names: str) -> Callable[..., OpNode]:
    """The word for an operation with one of these full names: ``op("onnx.Relu", "onnx.Clip")(x, rest("bounds"))``."""
    if not names or not all("." in name for name in names):
        raise PatternError(f"op{names}: give full names such as 'onnx.Relu'")

    def word(*operands: Any, **attributes: Any) -> OpNode:
        where = f"operand of {'|'.join(names)}"
        tail = operands[-1] if operands and isinstance(operands[-1], Rest) else None
        fixed = operands[:-1] if tail is not None else operands
        if any(isinstance(o, Rest) for o in fixed):
            raise PatternError(f"{where}: rest(…) stands last")
        wanted = tuple(AttrPattern(name, _attribute_word(name, want)) for name, want in attributes.items())
        return OpNode(names, tuple(as_value(o, where) for o in fixed), tail, wanted)

    return word


def _attribute_word(name: str, want: Any) -> Any:
    if isinstance(want, ValueNode):
        raise PatternError(
            f"attribute '{name}': {want} is a value; an attribute needs a parameter of type Attr or Quantizer"
        )
    return tuple(want) if isinstance(want, list) else want


class DialectWords:
    """The operations of a dialect as words: ``onnx.Conv(x, w)``, ``onnx["Mul", "Div"](x, y)``."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def __getattr__(self, name: str) -> Callable[..., OpNode]:
        if name.startswith("__"):
            raise AttributeError(name)
        return op(f"{self._dialect}.{name}")

    def __getitem__(self, names: str | tuple[str, ...]) -> Callable[..., OpNode]:
        return op(*(f"{self._dialect}.{name}" for name in ((names,) if isinstance(names, str) else names)))


def words(dialect: str) -> DialectWords:
    """The words of any dialect."""
    return DialectWords(dialect)


onnx = DialectWords("onnx")
qsim = DialectWords("qsim")


def const(inner: Any = None) -> Const:
    """A constant, bound to a Value parameter; without an argument any constant; with a number one whose elements
    equal it."""
    if inner is None or isinstance(inner, Leaf):
        return Const(inner)
    if isinstance(inner, (int, float)):
        return Const(float(inner))
    raise PatternError(f"const({inner}): give a parameter of type Value or a number")


def opt(inner: Any) -> Opt:
    """An operand that may be absent: missing at the end, or a NoValue."""
    return Opt(as_value(inner, "opt(…)"))


def rest(name: str) -> Rest:
    """All further operands, bound to `name` as a tuple."""
    if not name.isidentifier():
        raise PatternError(f"rest({name!r}): not an identifier")
    return Rest(name)


def any_of(*alternatives: Any) -> AnyOf:
    """One of several expressions; the first that fits with the rest of the pattern. Names of the others are None."""
    if len(alternatives) < 2:
        raise PatternError("any_of(…) needs two alternatives or more")
    return AnyOf(tuple(as_value(a, "any_of(…)") for a in alternatives))


def fake(x: Any, q: Any) -> OpNode:
    """``qsim.fake %x by @q``."""
    return op("qsim.fake")(x, quantizer=_quantizer(q, "fake"))


def maybe_fake(x: Any, q: Any) -> AnyOf:
    """`x` through a ``qsim.fake`` by `q`, or `x` itself, then `q` is None."""
    return any_of(fake(x, q), x)


def encode(x: Any, q: Any) -> OpNode:
    """``qsim.encode %x by @q``."""
    return op("qsim.encode")(x, quantizer=_quantizer(q, "encode"))


def decode(x: Any, q: Any) -> OpNode:
    """``qsim.decode %x by @q``."""
    return op("qsim.decode")(x, quantizer=_quantizer(q, "decode"))


def _quantizer(q: Any, where: str) -> AttrLeaf:
    if not isinstance(q, AttrLeaf) or not q.quantizer:
        raise PatternError(f"{where}(x, q): q must be a parameter of type Quantizer, is {q}")
    return q


# ---------------------------------------------------------------- patterns
RewriteFunction = Callable[[Match, Rewriter], Any]


class Pattern(RewritePattern):
    """A traced pattern. Give it its replacement with ``@p.rewrite`` and further conditions with ``p.where(reason, f)``.

    The rewrite function returns what replaces the root's results (a value, an operation, or one value per result), or
    None if it did the work through the rewriter, or False or a reason why it did nothing. Operations of the match that
    nothing uses any more go by themselves.
    """

    depth: int

    def __init__(self, function: Callable[..., Any], benefit: int = 1, name: str | None = None) -> None:
        parameters = [_parameter(p) for p in inspect.signature(function).parameters.values()]
        node = function(*parameters)
        alternatives = node.alternatives if isinstance(node, AnyOf) else (node,)
        self.name = name or function.__name__.strip("_").replace("_", "-")
        self.doc = inspect.getdoc(function) or ""
        self.benefit = benefit
        self.parameters = tuple(p.name for p in parameters)
        self.conditions: list[Condition] = []
        self._rewrite: RewriteFunction | None = None
        self._alternatives = tuple(_root(a, function) for a in alternatives)
        self.roots = tuple(dict.fromkeys(name for a in self._alternatives for name in a.names))
        self.references: dict[OpNode, int] = {}
        self._used: set[str] = set()
        self._labels: set[str] = set()
        for alternative in self._alternatives:
            self._survey(alternative)
        self.depth = max(map(_depth, self._alternatives))
        self._repeated = [n for n, count in self.references.items() if count > 1 and not n.is_shared]
        self._filters = {name: _filter([a for a in self._alternatives if name in a.names]) for name in self.roots}
        self.names = frozenset((*self.parameters, *self._labels))
        missing = [p.name for p in parameters if p.name not in self._used]
        if missing:
            raise PatternError(
                f"pattern '{self.name}': parameter {', '.join(missing)} does not occur in the expression"
            )

    def _survey(self, node: ValueNode) -> None:
        """Note which parameters occur, and how often the expression uses each operation node."""
        if isinstance(node, OpNode):
            count = self.references[node] = self.references.get(node, 0) + 1
            if count > 1:
                return
            self._used |= {a.want.name for a in node.attributes if isinstance(a.want, AttrLeaf)}
            self._labels |= {name for name in (node.label, node.tail.name if node.tail else None) if name}
        elif isinstance(node, Leaf):
            self._used.add(node.name)
        for child in node.children():
            self._survey(child)

    # ------------------------------------------------------------ defining
    def where(self, reason: str, holds: Callable[[Match], bool | str]) -> Pattern:
        """Add a condition on the whole match; it may return the reason itself. The reason goes into the remarks."""
        self.conditions.append(Condition(reason, holds))
        return self

    def rewrite(self, function: RewriteFunction) -> RewriteFunction:
        """Decorator: what to do with a match."""
        self._rewrite = function
        return function

    # ------------------------------------------------------------ matching
    def match(
        self, root: Operation, tables: dict[Operation, SymbolTable] | None = None, progress: Progress | None = None
    ) -> Match | None:
        """The match with `root` as the expression's outermost operation, or None."""
        m = self._match(root, tables, progress)
        return m if m.missed is None and m.operations else None

    def _match(self, root: Operation, tables: dict[Operation, SymbolTable] | None, progress: Progress | None) -> Match:
        """A match; without operations, or with `missed` set, it failed."""
        m = Match(root, self.names, tables)
        name = root.name
        goals: Any = None
        for condition in reversed(self.conditions):
            goals = (condition, None, goals)
        if self._repeated:
            goals = (Condition("an operation of the match is used outside of it", self._used_inside), None, goals)
        for node in self._alternatives:
            if name in node.names and solve((node, root, goals), m, progress, self.references):
                m.missed = None
                return m
        m.operations.clear()
        return m

    def _used_inside(self, m: Match) -> bool:
        inside = set(m.operations.values())
        for node in self._repeated:
            op = m.operations.get(node)
            if op is not None and op is not m.root and any(user not in inside for r in op.results for user in r.uses):
                return False
        return True

    def filters(self, root: str) -> tuple[Filter, ...]:
        """A cheap necessary condition for a match at operations called `root`: who defines the operands."""
        return self._filters.get(root, ())

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        m = self._match(op, rewriter.tables, rewriter.progress)
        if not m.operations:
            if m.missed is not None:
                rewriter.missed = m.missed
            return False
        if not rewriter.allows(self):
            return False
        return self.apply(m, rewriter)

    def apply(self, m: Match, rewriter: Rewriter) -> bool:
        """Replace a match."""
        if self._rewrite is None:
            raise PatternError(f"pattern '{self.name}' has no rewrite function")
        rewriter.start(m.root, m.ops)
        before = rewriter.changes
        result = self._rewrite(m, rewriter)
        if result is False or isinstance(result, str):
            if rewriter.changes != before:
                raise PatternError(f"pattern '{self.name}' changed the module and then said that it did not apply")
            rewriter.missed = result if isinstance(result, str) else None
            return False
        if result is not None and result is not True:
            rewriter.replace(m.root, result)
        return rewriter.changes != before


def _parameter(p: inspect.Parameter) -> Any:
    annotation = p.annotation
    kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    kind = kind.rpartition(".")[2]
    if kind == "Value":
        return Leaf(p.name)
    if kind in ("Attr", "Quantizer"):
        return AttrLeaf(p.name, kind == "Quantizer")
    raise PatternError(f"parameter '{p.name}' needs a type: Value, Attr or Quantizer")


def _root(node: Any, function: Callable[..., Any]) -> OpNode:
    if isinstance(node, ResultOf) and node.index == 0:
        node = node.node
    if not isinstance(node, OpNode):
        raise PatternError(f"pattern '{function.__name__}' must return an operation's expression, not {node!r}")
    return node


def _depth(node: ValueNode) -> int:
    """How many operations lie on the longest path down from `node`."""
    return isinstance(node, OpNode) + max(map(_depth, node.children()), default=0)


Filter = tuple[tuple[int, ...], frozenset[str]]


def _filter(alternatives: list[OpNode]) -> tuple[Filter, ...]:
    """Operands of which one must be defined by one of these operations. Of two operands either, they may commute."""
    if len(alternatives) != 1:
        return ()
    operands = alternatives[0].operands
    return tuple(
        ((0, 1) if len(operands) == 2 else (index,), frozenset(operand.node.names))
        for index, operand in enumerate(operands)
        if isinstance(operand, ResultOf)
    )


@overload
def pattern(function: Callable[..., Any]) -> Pattern: ...
@overload
def pattern(*, benefit: int = 1, name: str | None = None) -> Callable[[Callable[..., Any]], Pattern]: ...
def pattern(function: Callable[..., Any] | None = None, *, benefit: int = 1, name: str | None = None) -> Any:
    """Decorator: trace a function over `Value`, `Attr` and `Quantizer` parameters into a `Pattern`.

    Of two patterns that match, the one of higher `benefit` acts, then the one registered first. Raises PatternError
    where the expression means nothing.
    """
    if function is not None:
        return Pattern(function, benefit, name)
    return lambda f: Pattern(f, benefit, name)
