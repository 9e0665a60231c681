"""Locations: where an operation comes from, in the user's model and in a text.

`Location.source` is the place in a text that was parsed, if there is one: diagnostics point there. It takes no part
in equality.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import attrs

from qir.ir.base import quote

__all__ = [
    "UNKNOWN",
    "CallSiteLoc",
    "FileLineColLoc",
    "FusedLoc",
    "Location",
    "NameLoc",
    "Source",
    "SourceLoc",
    "UnknownLoc",
    "fuse",
]  # fmt: skip


class Source:
    """A text that was parsed: its name and content, with line starts computed on first use."""

    __slots__ = ("_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self._starts: list[int] | None = None

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1."""
        if self._starts is None:
            self._starts = [0]
            self._starts.extend(i + 1 for i, c in enumerate(self.text) if c == "\n")
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line counted from 1, without its end."""
        self.position(0)
        assert self._starts is not None
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@attrs.frozen
class SourceLoc:
    """Characters ``start`` to ``end`` of a source."""

    text: Source = attrs.field(repr=False)
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.text.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.text.position(self.start)[1]


class Location:
    """Base of all locations."""

    __slots__ = ()

    @property
    def source(self) -> SourceLoc | None:
        """Where the operation stands in the text it was parsed from."""
        return None

    def names(self) -> tuple[str, ...]:
        """The names in it (ONNX node names), each once, in order."""
        return ()


@attrs.frozen
class UnknownLoc(Location):
    """``loc(unknown)``."""

    at: SourceLoc | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def source(self) -> SourceLoc | None:
        return self.at

    def __str__(self) -> str:
        return "unknown"


UNKNOWN = UnknownLoc()


@attrs.frozen
class FileLineColLoc(Location):
    """``"file":line:col``; a range has ``end_line`` and ``end_column``, else they are 0."""

    file: str
    line: int
    column: int
    end_line: int = 0
    end_column: int = 0
    at: SourceLoc | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def source(self) -> SourceLoc | None:
        return self.at

    def __str__(self) -> str:
        end = ""
        if self.end_line:
            end = f" to {self.end_line if self.end_line != self.line else ''}:{self.end_column}"
        return f"{quote(self.file)}:{self.line}:{self.column}{end}"


@attrs.frozen
class NameLoc(Location):
    """``"name"(child)``: an ONNX node by name."""

    name: str
    child: Location = UNKNOWN
    at: SourceLoc | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def source(self) -> SourceLoc | None:
        return self.at or self.child.source

    def names(self) -> tuple[str, ...]:
        return (self.name, *(n for n in self.child.names() if n != self.name))

    def __str__(self) -> str:
        child = "" if isinstance(self.child, UnknownLoc) else f"({self.child})"
        return quote(self.name) + child


@attrs.frozen
class FusedLoc(Location):
    """``fused["a", "b"]``: an operation that stands for several. ``metadata`` is an attribute or None."""

    locations: tuple[Location, ...]
    metadata: object = None
    at: SourceLoc | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def source(self) -> SourceLoc | None:
        return self.at or next((loc.source for loc in self.locations if loc.source is not None), None)

    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for loc in self.locations for n in loc.names()))

    def __str__(self) -> str:
        metadata = "" if self.metadata is None else f"<{self.metadata}>"
        return f"fused{metadata}[{', '.join(map(str, self.locations))}]"


@attrs.frozen
class CallSiteLoc(Location):
    """``callsite(callee at caller)``."""

    callee: Location
    caller: Location
    at: SourceLoc | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def source(self) -> SourceLoc | None:
        return self.at or self.callee.source or self.caller.source

    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.callee.names(), *self.caller.names())))

    def __str__(self) -> str:
        return f"callsite({self.callee} at {self.caller})"


def fuse(locations: Iterable[Location], metadata: object = None) -> Location:
    """One location for an operation that stands for those at `locations`, as MLIR keeps ``fused<metadata>[…]``: none
    unknown, none twice, none fused inside its like."""
    flat: dict[Location, None] = {}
    for location in locations:
        parts: tuple[Location, ...] = (location,)
        if isinstance(location, FusedLoc) and location.metadata == metadata:
            parts = location.locations
        for part in parts:
            if not isinstance(part, UnknownLoc):
                flat[part] = None
    if metadata is None and len(flat) < 2:
        return next(iter(flat), UNKNOWN)
    return FusedLoc(tuple(flat), metadata)
