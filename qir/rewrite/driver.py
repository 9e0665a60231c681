"""The greedy driver: a worklist over use-def chains, until no pattern applies any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qir.ir.attributes import TensorAttr
from qir.ir.context import Context, no_gc
from qir.ir.core import Operation, OpResult, Trait, Value
from qir.ir.diagnostics import Diagnostic, QirError, Severity
from qir.ir.types import NoneType
from qir.rewrite.control import RewriteControl, control_of
from qir.rewrite.events import describe
from qir.rewrite.language import Pattern
from qir.rewrite.matcher import Progress
from qir.rewrite.pattern_set import LOOK, PatternSet, RewritePattern
from qir.rewrite.rewriter import Rewriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Folder", "apply_patterns"]

FOLD = "fold"
"""The folder's name among the patterns, for counters and for switching it off."""

Folder = Callable[[Operation], "Sequence[NDArray[Any] | TensorAttr | None] | None"]
"""Computes an operation whose operands are all constant: an array per result (None for an unused one), or None."""


def apply_patterns(
    op: Operation, patterns: PatternSet | Sequence[RewritePattern], ctx: Context, folder: Folder | None = None, *,
    name: str = "", dead_code: bool = True,
) -> bool:  # fmt: skip
    """Rewrite everything inside `op` until no pattern applies. Returns whether anything changed.

    Operations are first visited in program order, then whatever a rewrite touched; pure operations without users are
    erased on the way (unless `dead_code` is False). `name` names the pass in remarks and traces. Raises QirError naming
    the pattern that does not come to an end.
    """
    patterns = patterns if isinstance(patterns, PatternSet) else PatternSet(patterns)
    with no_gc():
        return _Driver(patterns, ctx, folder, name or patterns.name, dead_code).run(op)


class _Driver:
    def __init__(self, patterns: PatternSet, ctx: Context, folder: Folder | None, name: str, dead_code: bool) -> None:
        self.control: RewriteControl = control_of(ctx)
        self.control.known.update((p.name, None) for p in patterns)
        if folder is not None:
            self.control.known[FOLD] = None
        self.patterns = patterns.without(self.control.disabled)
        self.ctx, self.dead_code = ctx, dead_code
        self.folder = None if FOLD in self.control.disabled else folder
        self.name = name or self.control.pass_name
        self.rewriter = Rewriter(ctx, None, self.patterns)
        self.rewriter.control = self.control
        self.counts: dict[tuple[RewritePattern, Operation], int] = {}
        self.recent: deque[str] = deque(maxlen=8)
        self.missed: dict[tuple[Operation, str], str] = {}

    def run(self, op: Operation) -> bool:
        rewriter = self.rewriter
        seed = [inner for inner in op.walk() if inner is not op]
        worklist: dict[Operation, None] = dict.fromkeys(reversed(seed))
        rewriter.worklist = worklist
        limit = self.control.growth * len(seed) + 1000
        total = 0
        facts: dict[str, tuple[bool, bool]] = {}  # by name: whether pure, whether any pattern starts there
        dead_code, folder = self.dead_code, self.folder
        while worklist:
            current = worklist.popitem()[0]
            if current.parent is None:
                continue
            name = current.name
            try:
                pure, has_patterns = facts[name]
            except KeyError:
                pure, has_patterns = facts[name] = current.has_trait(Trait.PURE), bool(self.patterns.for_root(name))
            if pure and current.results:
                for result in current.results:
                    if result.uses:
                        break
                else:
                    if dead_code:
                        if self.control.trace is not None:
                            print(f"[{self.name}] dead code: {describe(current)}", file=self.control.trace)
                        rewriter.erase(current)
                        continue
                if folder is not None and self._fold(current, folder):
                    continue
            if has_patterns and self._try(current, name):
                total += 1
                if total > limit:
                    why = f"after {total} rewrites of {len(seed)} operations there is still no end"
                    self._diverges(current, None, why)
        self._remarks()
        return rewriter.changes > 0

    def _try(self, op: Operation, name: str) -> bool:
        """Apply the first pattern that matches."""
        definers = [value.defining_op for value in op.operands[:LOOK]]
        producers = tuple([d.name if d is not None else None for d in definers])
        candidates = self.patterns.candidates(name, producers)
        if self.control.trace is not None:
            for pattern in self.patterns.for_root(name):
                if pattern not in candidates:
                    self.rewriter.missed = None
                    self._trace_miss(op, pattern)
        return any(self._apply(op, pattern) for pattern in candidates)

    def _apply(self, op: Operation, pattern: RewritePattern) -> bool:
        rewriter, control = self.rewriter, self.control
        rewriter.missed = None
        traced = isinstance(pattern, Pattern)
        if control.trace is not None:
            rewriter.progress = Progress()
        if not traced:
            rewriter.start(op, (op,))
            if control.counters and not rewriter.allows(pattern):
                return False
        origin = rewriter.origins.get(op, op)
        location, name = op.location, op.name
        before = rewriter.changes
        done = pattern.match_and_rewrite(op, rewriter)
        if not done:
            if rewriter.changes != before:
                raise RuntimeError(f"pattern '{pattern.name}' changed the module and then said that it did not apply")
            if control.trace is not None:
                self._trace_miss(op, pattern)
            if rewriter.missed is not None and control.remarks:
                self.missed[op, pattern.name] = rewriter.missed
            return False
        control.hits[pattern.name] = control.hits.get(pattern.name, 0) + 1
        self.recent.append(f"{pattern.name} on {name}")
        if control.trace is not None:
            self._trace_hit(op, name, pattern)
        if control.remarks:
            self.ctx.remark("passed", location, f"{pattern.name} rewrote {name}", self.name)
        key = (pattern, origin)
        number = self.counts[key] = self.counts.get(key, 0) + 1
        if number > control.budget:
            self._diverges(origin, pattern, f"it acted {number} times on what comes from this {origin.name}")
        return True

    # ------------------------------------------------------------ folding
    def _fold(self, op: Operation, folder: Folder) -> bool:
        """Replace an operation on constants by its result."""
        if op.traits & Trait.CONSTANT_LIKE or not op.operands:
            return False
        for value in op.operands:
            definer = value.defining_op
            if not isinstance(value.type, NoneType) and (definer is None or not definer.traits & Trait.CONSTANT_LIKE):
                return False
        tensors = folder(op)
        if tensors is None or any(t is None and r.uses for r, t in zip(op.results, tensors, strict=False)):
            return False
        counter = self.control.counters.get(FOLD)
        if counter is not None and not counter.allows():
            return False
        rewriter = self.rewriter
        rewriter.start(op, (op,))
        values: list[Value | None] = []
        for result, held in zip(op.results, tensors, strict=False):
            made: OpResult | None = None
            if held is not None and result.uses:
                made = rewriter.constant(held, result.name or _node_name(op), location=op.location)
            values.append(made)
        if self.control.trace is not None:
            self._trace_hit(op, op.name, None)
        rewriter.replace(op, values)
        self.control.hits[FOLD] = self.control.hits.get(FOLD, 0) + 1
        return True

    # ------------------------------------------------------------ telling
    def _diverges(self, op: Operation, pattern: RewritePattern | None, why: str) -> None:
        last = self.recent[-1].partition(" on ")[0] if self.recent else ""
        name = pattern.name if pattern is not None else last
        note = Diagnostic(Severity.NOTE, op.location, f"the last rewrites were: {'; '.join(self.recent)}")
        raise QirError(
            Diagnostic(
                Severity.ERROR, op.location, f"pattern '{name}' does not converge: {why}", (note,),
                f"go on without it by --disable-patterns={name}, or watch it with --debug-rewrites",
            )
        )  # fmt: skip

    def _remarks(self) -> None:
        for (op, pattern), reason in self.missed.items():
            if op.parent is not None:
                self.ctx.remark("missed", op.location, f"{pattern} did not rewrite {op.name}: {reason}", self.name)

    def _trace_miss(self, op: Operation, pattern: RewritePattern) -> None:
        trace, progress = self.control.trace, self.rewriter.progress
        assert trace is not None
        why = self.rewriter.missed
        if why is None and isinstance(pattern, Pattern):
            progress = Progress()
            pattern.match(op, self.rewriter.tables, progress)
            why = f"matched {max(progress.depth, 0)} of its names and operations, then: {progress.reason}"
        place = f" {op.location}" if op.location.names() else ""
        print(f"[{self.name}] {pattern.name} not on {op.name}{place}: {why or 'it does not match'}", file=trace)

    def _trace_hit(self, op: Operation, name: str, pattern: RewritePattern | None) -> None:
        trace = self.control.trace
        assert trace is not None
        rewriter = self.rewriter
        print(f"[{self.name}] {pattern.name if pattern else FOLD} on {name} {rewriter.location}", file=trace)
        for line in rewriter.before or ():
            print(f"  - {line}", file=trace)
        for made in rewriter.created:
            if made.parent is not None:
                print(f"  + {describe(made)}", file=trace)
        if op.parent is not None and op not in rewriter.created and pattern is not None:
            print(f"  = {describe(op)}", file=trace)


def _node_name(op: Operation) -> str | None:
    names = op.location.names()
    return names[0] if names else None
