"""Diagnostics: objects with a severity, a place, a message and a hint, printed as clang prints them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import NoReturn

import attrs

from qir.ir.location import UNKNOWN, FileLineColLoc, Location, NameLoc, SourceLoc

__all__ = ["Diagnostic", "DiagnosticEngine", "QirError", "Severity", "fail", "render"]


class Severity(enum.Enum):
    """How grave a diagnostic is; the value is its printed word."""

    ERROR = "error"
    WARNING = "warning"
    REMARK = "remark"
    NOTE = "note"


@attrs.frozen
class Diagnostic:
    """One message to the user.

    `location` is the operation's (its ONNX node is named from it), `hint` says what to do. A remark carries its
    `category` (``passed``, ``missed`` or ``analysis``) and the `name` of the pass that made it.
    """

    severity: Severity
    location: Location
    message: str
    notes: tuple[Diagnostic, ...] = ()
    hint: str | None = None
    category: str = ""
    name: str = ""

    def __str__(self) -> str:
        return render(self)


class QirError(Exception):
    """The input or the job failed; carries every diagnostic that was found. Tools print them and exit with 1."""

    def __init__(self, diagnostics: Diagnostic | Sequence[Diagnostic]) -> None:
        self.diagnostics = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return "\n".join(render(d) for d in self.diagnostics)


def fail(
    location: Location | SourceLoc | str | None, message: str, hint: str | None = None, notes: Sequence[Diagnostic] = ()
) -> NoReturn:
    """Raise a QirError with one error. `location` may be a place in a text, or the name of a file."""
    raise QirError(Diagnostic(Severity.ERROR, as_location(location), message, tuple(notes), hint))


def as_location(place: Location | SourceLoc | str | None) -> Location:
    """A location from what callers have at hand: a location, a place in a text, a file's name, or nothing."""
    if place is None:
        return UNKNOWN
    if isinstance(place, str):
        return FileLineColLoc(place, 0, 0)
    if isinstance(place, SourceLoc):
        return FileLineColLoc(place.text.name, place.line, place.column, at=place)
    return place


def render(diagnostic: Diagnostic) -> str:
    """``file:line:col: severity: message`` with the source line and a caret range, then notes and the hint."""
    location = diagnostic.location
    source = location.source
    lines = []
    names = location.names()
    if source is not None:
        place = f"{source.text.name}:{source.line}:{source.column}: "
    elif isinstance(location, FileLineColLoc):
        place = f"{location.file}:{location.line}:{location.column}: " if location.line else f"{location.file}: "
    elif isinstance(location, NameLoc) and isinstance(location.child, FileLineColLoc):
        place = f"{location.child.file}: "
    else:
        place = ""
    subject = f"[{', '.join(names[:3])}{', …' if len(names) > 3 else ''}] " if names else ""
    category = f"{diagnostic.name}: " if diagnostic.name and diagnostic.severity is Severity.REMARK else ""
    word = diagnostic.severity.value
    if diagnostic.category:
        word = f"{word} ({diagnostic.category})"
    lines.append(f"{place}{word}: {subject}{category}{diagnostic.message}")
    if source is not None:
        line = source.text.line(source.line)
        column = source.column - 1
        width = max(1, min(source.end - source.start, len(line) - column))
        if len(line) > 160:  # a line of weights or of a long type: show the part around the caret
            cut = max(0, column - 60)
            line, column = line[cut : cut + 160], column - cut
            width = max(1, min(width, 160 - column))
        pad = "".join("\t" if c == "\t" else " " for c in line[:column])
        lines += [f"  {line}", f"  {pad}^{'~' * (width - 1)}"]
    lines += [render(note) for note in diagnostic.notes]
    if diagnostic.hint:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(lines)


class DiagnosticEngine:
    """Hands each diagnostic to the handlers, newest first, until one returns True; collects what none took."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.handlers: list[Callable[[Diagnostic], bool | None]] = []

    def emit(self, diagnostic: Diagnostic) -> None:
        for handler in reversed(self.handlers):
            if handler(diagnostic):
                return
        self.diagnostics.append(diagnostic)
