"""What watches a pipeline: timing, statistics, printing. None of it lives in a pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TextIO

from qir.ir.attributes import TensorAttr
from qir.ir.context import Context
from qir.ir.core import Operation
from qir.ir.diagnostics import QirError
from qir.passes.base import Pass, statistics_of
from qir.rewrite.control import control_of

__all__ = ["IRPrinter", "Instrumentation", "StatisticsReport", "Timing", "fingerprint"]


class Instrumentation:
    """Is called around every pass; all methods do nothing by default."""

    def before_pipeline(self, op: Operation, ctx: Context, pipeline: str) -> None: ...
    def before_pass(self, item: Pass, op: Operation, ctx: Context) -> None: ...
    def before_verify(self, item: Pass) -> None: ...
    def after_verify(self, item: Pass) -> None: ...
    def after_pass(self, item: Pass, op: Operation, ctx: Context, changed: bool) -> None: ...
    def after_failure(self, item: Pass, op: Operation, ctx: Context, error: QirError) -> None: ...
    def after_pipeline(self, op: Operation, ctx: Context) -> None: ...


# ---------------------------------------------------------------- printing
Printer = Callable[[Operation], str]


def fingerprint(op: Operation, printer: Printer) -> tuple[str, tuple[TensorAttr, ...]]:
    """What changes when the module does: its text with the data elided, and the objects that hold the data."""
    tensors = tuple(a for o in op.walk() for a in o.attributes.values() if isinstance(a, TensorAttr))
    return printer(op), tensors


def same(a: tuple[str, tuple[TensorAttr, ...]], b: tuple[str, tuple[TensorAttr, ...]]) -> bool:
    """Whether two fingerprints are of one state: equal text over the same data."""
    return a[0] == b[0] and len(a[1]) == len(b[1]) and all(x is y or x == y for x, y in zip(a[1], b[1], strict=True))


class IRPrinter(Instrumentation):
    """Prints the module around passes, to a stream or as numbered files in a folder.

    `before` and `after` are names of passes, or None for all of them. With `only_changed` nothing is printed after a
    pass that left the module as it was. In the folder, ``00_input.qir`` is the module before the first pass.
    """

    def __init__(
        self, printer: Printer, stream: TextIO, *, before: Collection[str] | None = (),
        after: Collection[str] | None = (),
        only_changed: bool = False, tree_dir: Path | None = None, module_scope: bool = False,
    ) -> None:  # fmt: skip
        self.printer, self.stream = printer, stream
        self.before, self.after = before, after
        self.only_changed, self.tree_dir, self.module_scope = only_changed, tree_dir, module_scope
        self.number = 0
        self.state: tuple[str, tuple[TensorAttr, ...]] | None = None

    def before_pipeline(self, op: Operation, ctx: Context, pipeline: str) -> None:
        if self.tree_dir is not None:
            self.tree_dir.mkdir(parents=True, exist_ok=True)
            (self.tree_dir / "00_input.qir").write_text(self.printer(op), encoding="utf-8")

    def before_pass(self, item: Pass, op: Operation, ctx: Context) -> None:
        if self.before is None or item.name in self.before:
            self._print(f"IR Dump Before {item}", op)
        if self.only_changed:
            self.state = fingerprint(op, self.printer)

    def after_pass(self, item: Pass, op: Operation, ctx: Context, changed: bool) -> None:
        self.number += 1
        if self.after is not None and item.name not in self.after:
            return
        if self.only_changed and self.state is not None and same(self.state, fingerprint(op, self.printer)):
            if self.tree_dir is None:
                print(f"// -----// IR Dump After {item}: nothing changed //----- //", file=self.stream)
            return
        if self.tree_dir is not None:
            path = self.tree_dir / f"{self.number:02}_{item.name}.qir"
            path.write_text(self.printer(self._scope(op)), encoding="utf-8")
        else:
            self._print(f"IR Dump After {item}", op)

    def after_failure(self, item: Pass, op: Operation, ctx: Context, error: QirError) -> None:
        if self.after is None or item.name in self.after:
            self._print(f"IR Dump After {item} Failed", op)

    def _scope(self, op: Operation) -> Operation:
        while self.module_scope and op.parent_op is not None:
            op = op.parent_op
        return op

    def _print(self, title: str, op: Operation) -> None:
        print(f"// -----// {title} //----- //", file=self.stream)
        print(self.printer(self._scope(op)).rstrip("\n"), file=self.stream)


# ---------------------------------------------------------------- time
class Timing(Instrumentation):
    """Wall time of each pass and of what the tool does around the pipeline (`span`)."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float]] = []
        self.begin = time.perf_counter()
        self._start = self._verify_start = self.begin
        self._verify = 0.0

    def span(self, name: str, start: float) -> None:
        """Add a row: `name` took from `start` (a `time.perf_counter` value) until now."""
        self.rows.append((name, time.perf_counter() - start))

    def before_pass(self, item: Pass, op: Operation, ctx: Context) -> None:
        self._start, self._verify = time.perf_counter(), 0.0

    def before_verify(self, item: Pass) -> None:
        self._verify_start = time.perf_counter()

    def after_verify(self, item: Pass) -> None:
        self._verify = time.perf_counter() - self._verify_start

    def after_pass(self, item: Pass, op: Operation, ctx: Context, changed: bool) -> None:
        self.rows.append((item.name, time.perf_counter() - self._start - self._verify))
        if self._verify:
            self.rows.append(("  (verify)", self._verify))

    def report(self) -> str:
        """The table that ``--timing`` prints, as MLIR's."""
        total = time.perf_counter() - self.begin
        rest = total - sum(seconds for _, seconds in self.rows)
        rule = f"===-{'-' * 73}-==="
        lines = [rule, f"{'... Execution time report ...':^81}".rstrip(), rule]
        lines += [f"  Total Execution Time: {total:.4f} seconds", "", "  ----Wall Time----  ----Name----"]
        rows = [*self.rows, ("Rest", rest), ("Total", total)]
        lines += [f"  {s:8.4f} ({100 * s / total if total else 0:5.1f}%)  {name}" for name, s in rows]
        return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- counts
class StatisticsReport(Instrumentation):
    """Counts that passes keep, and rewrites per pattern, for each run of a pass."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, int]]] = []
        self._hits: dict[str, int] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def before_pass(self, item: Pass, op: Operation, ctx: Context) -> None:
        self._hits = dict(control_of(ctx).hits)
        self._counts = dict(statistics_of(ctx).counts)

    def after_pass(self, item: Pass, op: Operation, ctx: Context, changed: bool) -> None:
        row: dict[str, int] = {}
        for (name, what), number in statistics_of(ctx).counts.items():
            more = number - self._counts.get((name, what), 0)
            if more:
                row[what] = more
        for pattern, number in control_of(ctx).hits.items():
            more = number - self._hits.get(pattern, 0)
            if more:
                row[f"pattern {pattern}"] = more
        self.rows.append((item.name, row))

    def report(self) -> str:
        """What ``--statistics`` prints."""
        rule = f"===-{'-' * 73}-==="
        lines = [rule, f"{'... Pass statistics report ...':^81}".rstrip(), rule]
        for name, row in self.rows:
            lines.append(name)
            lines += [f"  (S) {number:6} {what}" for what, number in row.items()]
        return "\n".join(lines) + "\n"
