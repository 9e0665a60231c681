"""The pass manager: runs a pipeline, verifies between passes, and calls instrumentation."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from qir.ir.context import Context
from qir.ir.core import Operation
from qir.ir.diagnostics import Diagnostic, QirError, Severity, fail
from qir.ir.location import UNKNOWN
from qir.ir.verifier import verify
from qir.passes.base import Pass
from qir.passes.instrumentation import Instrumentation
from qir.passes.pipeline import Nested, parse_pipeline_items
from qir.rewrite.control import control_of

__all__ = ["PassManager", "parse_pipeline", "run_pipeline"]


class PassManager:
    """A pipeline and what watches it. ``str(manager)`` is the pipeline as text that parses back."""

    def __init__(
        self, items: Nested | Sequence[Pass | Nested] = (), *, verify_each: bool = True,
        instrumentations: Sequence[Instrumentation] = (),
    ) -> None:  # fmt: skip
        self.root = items if isinstance(items, Nested) else Nested("builtin.module", list(items))
        self.verify_each = verify_each
        self.instrumentations = list(instrumentations)

    def __str__(self) -> str:
        return str(self.root)

    @property
    def passes(self) -> list[Pass]:
        """Every pass of the pipeline in order."""
        found: list[Pass] = []
        pending: list[Pass | Nested] = [self.root]
        while pending:
            item = pending.pop()
            if isinstance(item, Nested):
                pending.extend(reversed(item.items))
            else:
                found.append(item)
        return found

    def run(self, op: Operation, ctx: Context) -> bool:
        """Run all passes on `op`. Whether it changed; QirError for what failed."""
        if self.root.anchor not in (op.name, "any"):
            fail(op.location, f"the pipeline runs on {self.root.anchor}, this is {op.name}")
        for watcher in self.instrumentations:
            watcher.before_pipeline(op, ctx, str(self))
        changed = self._run(self.root, op, ctx)
        for watcher in self.instrumentations:
            watcher.after_pipeline(op, ctx)
        return changed

    def _run(self, nested: Nested, op: Operation, ctx: Context) -> bool:
        changed = False
        for item in nested.items:
            if isinstance(item, Nested):
                for inner in self._anchored(op, item.anchor):
                    changed |= self._run(item, inner, ctx)
            else:
                changed |= self._run_pass(item, op, ctx)
        return changed

    @staticmethod
    def _anchored(op: Operation, anchor: str) -> list[Operation]:
        """The operations directly inside `op` that a nested pipeline runs on."""
        inside = [o for region in op.regions for block in region.blocks for o in block]
        return [o for o in inside if (o.regions if anchor == "any" else o.name == anchor)]

    def _run_pass(self, item: Pass, op: Operation, ctx: Context) -> bool:
        for name in item.dialects:
            if ctx.dialect(name) is None:
                fail(op.location, f"pass '{item.name}' needs the dialect '{name}', which is not there")
        control_of(ctx).pass_name = item.name
        for watcher in self.instrumentations:
            watcher.before_pass(item, op, ctx)
        try:
            changed = bool(item.run(op, ctx))
            if self.verify_each:
                for watcher in self.instrumentations:
                    watcher.before_verify(item)
                self._verify(item, op)
                for watcher in self.instrumentations:
                    watcher.after_verify(item)
        except QirError as error:
            for watcher in reversed(self.instrumentations):
                watcher.after_failure(item, op, ctx, error)
            raise
        except Exception as error:
            wrapped = QirError(
                Diagnostic(
                    Severity.ERROR,
                    op.location,
                    f"pass '{item.name}' failed: {type(error).__name__}: {error}",
                    hint="this is a bug; --crash-reproducer FILE writes what is needed to repeat it",
                )
            )
            for watcher in reversed(self.instrumentations):
                watcher.after_failure(item, op, ctx, wrapped)
            raise wrapped from error
        for watcher in reversed(self.instrumentations):
            watcher.after_pass(item, op, ctx, changed)
        return changed

    @staticmethod
    def _verify(item: Pass, op: Operation) -> None:
        try:
            verify(op)
        except QirError as error:
            first, *rest = error.diagnostics
            note = Diagnostic(Severity.NOTE, UNKNOWN, f"this was found after pass '{item.name}'")
            raise QirError([attrs.evolve(first, notes=(*first.notes, note)), *rest]) from None


def parse_pipeline(text: str, *, verify_each: bool = True, name: str = "<pipeline>") -> PassManager:
    """The manager of a pipeline string, ``canonicalize,func.func(cse)``. Raises QirError with a caret in the string."""
    return PassManager(parse_pipeline_items(text, name), verify_each=verify_each)


def run_pipeline(module: Operation, text: str, ctx: Context | None = None) -> bool:
    """Run a pipeline string on a module, verifying after each pass. Whether it changed."""
    return parse_pipeline(text).run(module, ctx if ctx is not None else Context())
