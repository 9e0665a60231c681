"""``--verify-diagnostics``: exactly those diagnostics come that comments in the text expect.

``// expected-error {{text}}`` expects one on its own line, ``@+2``, ``@-1``, ``@above`` and ``@below`` on another,
``@unknown`` anywhere; ``expected-error-re`` takes what stands in further double braces as a regular expression; a
number before the braces means so many. The words are error, warning, remark and note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from qir.ir.diagnostics import Diagnostic, Severity
from qir.ir.location import FileLineColLoc

__all__ = ["Expected", "check_diagnostics", "read_expectations"]

_EXPECTED = re.compile(
    r"expected-(?P<word>error|warning|remark|note)(?P<re>-re)?[ \t]*(?:@(?P<at>[+-]\d+|above|below|unknown))?[ \t]*"
    r"(?P<count>\d+)?[ \t]*\{\{(?P<text>(?:\{\{.*?\}\}|.)*?)\}\}"
)


@attrs.define
class Expected:
    """One expectation: a severity, the line it is about (None: anywhere), and what the message contains."""

    severity: Severity
    line: int | None
    text: str
    is_regex: bool
    count: int
    written: int

    def matches(self, message: str) -> bool:
        if not self.is_regex:
            return self.text in message
        parts = re.split(r"\{\{(.*?)\}\}", self.text)
        return re.search("".join(p if i % 2 else re.escape(p) for i, p in enumerate(parts)), message) is not None


def read_expectations(text: str, first_line: int = 1) -> list[Expected]:
    """The expectations in a text whose first line has the number `first_line`."""
    lines = text.split("\n")
    with_comment = [_EXPECTED.search(line) is not None for line in lines]
    found = []
    for i, line in enumerate(lines):
        for m in _EXPECTED.finditer(line):
            at = m["at"]
            target: int | None = i
            if at == "unknown":
                target = None
            elif at in ("above", "below"):
                step = -1 if at == "above" else 1
                target = i + step
                while 0 <= target < len(lines) and with_comment[target]:
                    target += step
            elif at:
                target = i + int(at)
            number = None if target is None else target + first_line
            count = int(m["count"] or 1)
            found.append(Expected(Severity(m["word"]), number, m["text"], bool(m["re"]), count, i + first_line))
    return found


def _flat(diagnostics: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    for diagnostic in diagnostics:
        yield diagnostic
        yield from _flat(diagnostic.notes)


def line_of(diagnostic: Diagnostic) -> int | None:
    """The line of the text that a diagnostic is about."""
    source = diagnostic.location.source
    if source is not None:
        return source.line
    location = diagnostic.location
    return location.line if isinstance(location, FileLineColLoc) and location.line else None


def check_diagnostics(expected: list[Expected], diagnostics: Iterable[Diagnostic], filename: str) -> list[str]:
    """What is wrong: expectations that nothing met, and diagnostics that nobody expected. Empty if all is well."""
    left = [attrs.evolve(e) for e in expected]
    complaints = []
    for diagnostic in _flat(diagnostics):
        line = line_of(diagnostic)
        fits = (e for e in left if e.count and e.severity is diagnostic.severity and e.line in (None, line))
        met = next((e for e in fits if e.matches(diagnostic.message)), None)
        if met is not None:
            met.count -= 1
        else:
            place = f"{filename}:{line}" if line is not None else filename
            complaints.append(f"{place}: error: unexpected {diagnostic.severity.value}: {diagnostic.message}")
    for e in left:
        if e.count:
            place = f"{filename}:{e.line if e.line is not None else e.written}"
            times = f", {e.count} times" if e.count > 1 else ""
            complaints.append(f'{place}: error: expected {e.severity.value} "{e.text}" was not produced{times}')
    return complaints
