"""What the conformance kit found, as rows, as a table and as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import attrs

from qir.conformance.compare import Comparison
from qir.target import Target, Tolerance

__all__ = ["Group", "Outcome", "Report", "Row", "grouped", "report_table"]


@attrs.frozen
class Outcome:
    """One trial in one profile of the runtime.

    `error` is why it failed before there were results to compare, `compared` are its results, held to `tolerance`.
    """

    op: str
    label: str
    mode: str
    profile: str
    compared: tuple[Comparison, ...] = ()
    error: str = ""
    tolerance: Tolerance = attrs.field(factory=Tolerance)


@attrs.define
class Row:
    """An operator (or a whole net) in one mode and profile, its quantized or its float results."""

    op: str
    mode: str
    profile: str
    quantized: bool
    tolerance: Tolerance
    cases: int = 0
    elements: int = 0
    wrong: int = 0
    worst: float = 0.0
    wrong_cases: list[str] = attrs.field(factory=list)

    @property
    def failed(self) -> bool:
        """Whether more differs than the target says."""
        bound = self.tolerance
        far = self.quantized and self.worst > bound.steps
        return far or self.wrong > bound.fraction * self.elements

    @property
    def near(self) -> bool:
        """Whether something differs that would be too much without the target's bound."""
        return self.wrong > 0 or (not self.quantized and self.worst > Tolerance().relative)

    def add(self, label: str, compared: Iterable[Comparison]) -> None:
        self.cases += 1
        for item in compared:
            self.elements += item.elements
            self.wrong += item.wrong
            self.worst = max(self.worst, item.worst)
            if item.wrong and label not in self.wrong_cases:
                self.wrong_cases.append(label)


@attrs.define
class Report:
    """Everything that was found about a target.

    `runtime` says which version ran, "" for none. `errors` are the trials that failed, `refused` those that ended with
    a diagnostic that the target has no way to run the operator, as is its right. `without_case` are the operators of
    the data sheet that the kit has no case for, `unused` those that no case got quantized although the data sheet says
    so (with the reason), by mode.
    `through_readers` counts the trials whose result could only be seen through the operation that reads it; `trials`
    are the cases with their variants, `operators` and `nets` what was tried.
    """

    target: Target
    runtime: str
    rows: dict[tuple[str, str, str, bool], Row] = attrs.field(factory=dict)
    errors: list[Outcome] = attrs.field(factory=list)
    refused: list[Outcome] = attrs.field(factory=list)
    without_case: list[str] = attrs.field(factory=list)
    unused: dict[tuple[str, str], str] = attrs.field(factory=dict)
    through_readers: int = 0
    trials: int = 0
    operators: set[str] = attrs.field(factory=set)
    nets: set[str] = attrs.field(factory=set)

    def add(self, outcome: Outcome) -> None:
        if outcome.error:
            self.errors.append(outcome)
            return
        for quantized in sorted({c.quantized for c in outcome.compared}, reverse=True):
            key = outcome.op, outcome.mode, outcome.profile, quantized
            if key not in self.rows:
                self.rows[key] = Row(*key, outcome.tolerance)
            self.rows[key].add(outcome.label, (c for c in outcome.compared if c.quantized == quantized))

    @property
    def failed(self) -> bool:
        """Whether the target does not conform. Operators without a case are the kit's fault, not the target's."""
        return bool(self.errors or self.unused) or any(row.failed for row in self.rows.values())

    def totals(self) -> str:
        """One line that says it all."""
        rows = self.rows.values()
        steps = max((row.worst for row in rows if row.quantized), default=0.0)
        tried = [f"{self.trials} cases of {len(self.operators)} operators"] if self.trials else []
        tried += [f"{len(self.nets)} nets"] if self.nets else []
        words = [
            f"{self.target.name}: {' and '.join(tried) or 'nothing was tried'}",
            f"{sum(r.wrong for r in rows if r.quantized)} of {sum(r.elements for r in rows if r.quantized)} quantized "
            f"elements differ, by at most {steps:g} steps",
            f"{sum(r.wrong for r in rows if not r.quantized)} of "
            f"{sum(r.elements for r in rows if not r.quantized)} floats are off",
            f"{len(self.errors)} failed",
        ]  # fmt: skip
        if self.refused:
            words.append(f"{len(self.refused)} refused")
        if self.through_readers:
            words.append(f"{self.through_readers} seen through what reads them")
        if self.without_case:
            words.append(f"no case for {', '.join(self.without_case)}")
        return "; ".join(words) + (": does not conform" if self.failed else ": conforms")

    def json(self) -> str:
        """The report as JSON text."""
        return json.dumps(
            {
                "target": self.target.name,
                "runtime": self.runtime,
                "conforms": not self.failed,
                "trials": self.trials,
                "through_readers": self.through_readers,
                "without_case": self.without_case,
                "unused": [{"op": op, "mode": mode, "reason": why} for (op, mode), why in self.unused.items()],
                "rows": [{**_plain(attrs.asdict(row)), "failed": row.failed} for row in self.rows.values()],
                "errors": list(map(_words, self.errors)),
                "refused": list(map(_words, self.refused)),
            },
            indent=2,
        ) + "\n"  # fmt: skip


@attrs.define
class Group:
    """Trials that ended alike: of one operator and mode, with one message but for names of nodes."""

    op: str
    mode: str
    message: str
    profiles: dict[str, None] = attrs.field(factory=dict)
    labels: dict[str, None] = attrs.field(factory=dict)


def grouped(outcomes: Iterable[Outcome]) -> list[Group]:
    """Trials with their like."""
    found: dict[tuple[str, str, str], Group] = {}
    for outcome in outcomes:
        message = _NODE.sub("", _PLACE.sub("", outcome.error.splitlines()[0]))
        group = found.setdefault(key := (outcome.op, outcome.mode, message), Group(*key))
        group.profiles[outcome.profile] = group.labels[outcome.label] = None
    return list(found.values())


_PLACE = re.compile(r"^(<.*?>:\d+:\d+: )?error: ")
_NODE = re.compile(r"\[[^\]]*\] ")


def _words(outcome: Outcome) -> dict[str, str]:
    return {name: getattr(outcome, name) for name in ("op", "label", "mode", "profile", "error")}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinities."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}


def report_table(report: Report) -> Any:
    """A rich table of all rows, the failed ones marked."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=_title(report), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    modes = len({row.mode for row in report.rows.values()} | {e.mode for e in report.errors}) > 1
    profiles = len({row.profile for row in report.rows.values()}) > 1
    columns = ["operator", *(["mode"] if modes else []), *(["profile"] if profiles else [])]
    for name in columns:
        table.add_column(name, overflow="fold")
    for name in ("cases", "elements", "differ", "at most", "kind"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    table.add_column("", overflow="fold")
    for row in report.rows.values():
        names = [row.op, *([row.mode or "default"] if modes else []), *([row.profile or "default"] if profiles else [])]
        worst = f"{row.worst:g} steps" if row.quantized else f"{row.worst:.1g}"
        cells = [str(row.cases), str(row.elements), str(row.wrong), worst if row.worst else "0"]
        said = "FAILED: " + ", ".join(row.wrong_cases) if row.failed else row.tolerance.reason if row.near else ""
        kind = "quantized" if row.quantized else "float"
        style = "red" if row.failed else None
        table.add_row(*map(Text, names), *cells, kind, Text(said), style=style)
    return table


def _title(report: Report) -> str:
    return f"{report.target.name} against {report.runtime}" if report.runtime else f"{report.target.name}, nothing run"
