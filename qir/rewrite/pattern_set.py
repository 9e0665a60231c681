"""Patterns, and sets of them indexed by the operation at their root."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from qir.ir.core import Operation

if TYPE_CHECKING:
    from qir.rewrite.rewriter import Rewriter

__all__ = ["LOOK", "PatternSet", "RewritePattern"]

LOOK = 3
"""The driver rejects patterns by what defines the first so many operands."""


class RewritePattern:
    """A rewrite written by hand. `@pattern` makes the same from an expression.

    `roots` are the names of the operations it starts from; empty for all. Of several patterns that could act, the one
    of higher `benefit` does, then the one registered first. `depth` says from how many levels of operations (the root
    included) a decision depends: when something changes below, the roots up to that distance are visited again.
    """

    name: str = ""
    doc: str = ""
    roots: tuple[str, ...] = ()
    benefit: int = 1
    depth: int = 1

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        """Change the module through `rewriter` and return True, or leave everything as it is and return False (then
        ``rewriter.missed`` may say why)."""
        raise NotImplementedError

    def filters(self, root: str) -> tuple[tuple[tuple[int, ...], frozenset[str]], ...]:
        """Necessary conditions that the driver checks first: (operand indices, names of which one must define one of
        them)."""
        return ()

    def __repr__(self) -> str:
        return f"<pattern {self.name}>"


class PatternSet:
    """Patterns in the order in which they are tried. Raises ValueError for one without a name or with one taken."""

    def __init__(self, patterns: Iterable[RewritePattern] = (), name: str = "") -> None:
        self.name = name
        self.patterns: list[RewritePattern] = []
        self._names: set[str] = set()
        self._index: dict[str, tuple[RewritePattern, ...]] = {}
        self._memo: dict[tuple[str | None, ...], tuple[RewritePattern, ...]] = {}
        self._generic: list[RewritePattern] = []
        self._by_root: dict[str, list[RewritePattern]] = {}
        for pattern in patterns:
            self.add(pattern)

    def add(self, pattern: RewritePattern) -> RewritePattern:
        """Add a pattern after the others; usable as a decorator."""
        if not pattern.name:
            raise ValueError(f"{pattern!r} needs a name")
        if pattern.name in self._names:
            raise ValueError(f"there are two patterns called '{pattern.name}'")
        self._names.add(pattern.name)
        self.patterns.append(pattern)
        for root in pattern.roots:
            self._by_root.setdefault(root, []).append(pattern)
        if not pattern.roots:
            self._generic.append(pattern)
        self._index.clear()
        self._memo.clear()
        return pattern

    def __iter__(self) -> Iterator[RewritePattern]:
        return iter(self.patterns)

    def __len__(self) -> int:
        return len(self.patterns)

    def without(self, names: frozenset[str]) -> PatternSet:
        """The set less the patterns of these names."""
        return (
            self if self._names.isdisjoint(names) else PatternSet((p for p in self if p.name not in names), self.name)
        )

    def for_root(self, name: str) -> tuple[RewritePattern, ...]:
        """What to try on an operation called `name`, best first."""
        try:
            return self._index[name]
        except KeyError:
            own = self._by_root.get(name, [])
            order = {id(p): i for i, p in enumerate(self.patterns)} if own and self._generic else {}
            merged = sorted([*own, *self._generic], key=lambda p: order[id(p)]) if order else own or self._generic
            found = self._index[name] = tuple(sorted(merged, key=lambda p: -p.benefit))
            return found

    def candidates(self, root: str, producers: tuple[str | None, ...]) -> tuple[RewritePattern, ...]:
        """What to try on an operation called `root` whose first operands are defined by operations of these names."""
        key = (root, *producers)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = tuple(p for p in self.for_root(root) if _may_match(p.filters(root), producers))
        return found

    def depth_of(self, root: str) -> int:
        """From how far below a change matters to an operation called `root`."""
        return max((p.depth for p in self.for_root(root)), default=0)

    @property
    def max_depth(self) -> int:
        return max((p.depth for p in self.patterns), default=0)


def _may_match(filters: tuple[tuple[tuple[int, ...], frozenset[str]], ...], producers: tuple[str | None, ...]) -> bool:
    """Whether all filters that look at the given operands hold."""
    return all(
        any(i >= LOOK or (i < len(producers) and producers[i] in names) for i in indices) for indices, names in filters
    )
