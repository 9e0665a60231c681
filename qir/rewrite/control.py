"""What a user sets from the command line about rewriting: patterns switched off, counters, traces; and the hit
counts."""

from __future__ import annotations

import re
from typing import TextIO

import attrs

from qir.ir.context import Context
from qir.ir.diagnostics import fail

__all__ = ["DebugCounter", "RewriteControl", "control_of"]


@attrs.define
class DebugCounter:
    """``skip:N,count:M``: of a pattern's rewrites the first N do not happen, the next M do, the rest do not (M = -1:
    all do)."""

    skip: int = 0
    count: int = -1
    seen: int = 0

    def allows(self) -> bool:
        """Count one rewrite and say whether it may happen."""
        number = self.seen
        self.seen += 1
        return number >= self.skip and (self.count < 0 or number < self.skip + self.count)

    @staticmethod
    def parse(text: str) -> tuple[str, DebugCounter]:
        """``PATTERN=skip:N,count:M`` (either part may be missing). Raises QirError where it is not that."""
        name, equals, spec = text.partition("=")
        counter = DebugCounter()
        parts = spec.split(",") if spec else []
        valid = bool(name and equals and parts)
        for part in parts:
            found = re.fullmatch(r"(skip|count)[:=](\d+)", part.strip())
            if found is None:
                valid = False
                break
            setattr(counter, found[1], int(found[2]))
        if not valid:
            fail(None, f"--debug-counter: '{text}' is no counter", "write PATTERN=skip:N,count:M")
        return name, counter


@attrs.define(eq=False)
class RewriteControl:
    """One per context; every run of the driver obeys and feeds it.

    `trace` is where ``--debug-rewrites`` writes; with `remarks` every rewrite, and every match that a condition
    prevented, is a remark; `hits` counts rewrites per pattern; `known` are the patterns that a run had at hand;
    `budget` is how often one pattern may act on what comes from one operation, `growth` how many rewrites per
    operation of the module are allowed in all.
    """

    disabled: frozenset[str] = frozenset()
    counters: dict[str, DebugCounter] = attrs.field(factory=dict)
    trace: TextIO | None = None
    remarks: bool = False
    pass_name: str = ""
    hits: dict[str, int] = attrs.field(factory=dict)
    known: dict[str, None] = attrs.field(factory=dict)
    budget: int = 64
    growth: int = 16


def control_of(ctx: Context) -> RewriteControl:
    """The controls of a context, made on first use."""
    control = ctx.extensions.get(RewriteControl)
    if not isinstance(control, RewriteControl):
        control = ctx.extensions[RewriteControl] = RewriteControl()
    return control
