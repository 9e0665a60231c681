"""Places for diagnostics about ONNX files: the file, and in it the node or tensor."""

from __future__ import annotations

from typing import NoReturn

from qir.ir.diagnostics import fail
from qir.ir.location import UNKNOWN, FileLineColLoc, Location, NameLoc

__all__ = ["Place"]


class Place:
    """Where in which model an error is. ``name`` is the file's path, or what the caller calls the model."""

    __slots__ = ("location", "name")

    def __init__(self, name: str, location: Location | None = None) -> None:
        self.name = name
        self.location: Location = location or (FileLineColLoc(name, 0, 0) if name else UNKNOWN)

    def at(self, name: str) -> Place:
        """The place of the node or tensor `name` in this model."""
        return (
            Place(self.name, NameLoc(name, FileLineColLoc(self.name, 0, 0) if self.name else UNKNOWN)) if name else self
        )

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise the QirError that says `message` about this place."""
        fail(self.location, message, hint)
