"""Places for diagnostics about ONNX files: the file, and in it the node or tensor."""

from __future__ import annotations

from typing import NoReturn

from qir.ir.attributes import StringAttr
from qir.ir.diagnostics import fail
from qir.ir.location import UNKNOWN, FileLineColLoc, Location, NameLoc

__all__ = ["NotText", "Place", "text_attr"]


class NotText(Exception):
    """A text field of a message is not UTF-8: protobuf hands it out as bytes."""


def text_attr(value: str) -> StringAttr:
    """A string attribute of a message's text field. Raises NotText."""
    if not isinstance(value, str):
        raise NotText
    return StringAttr(value)


class Place:
    """Where in which model an error is. ``name`` is the file's path, or what the caller calls the model."""

    __slots__ = ("location", "name")

    def __init__(self, name: str, location: Location | None = None) -> None:
        self.name = name
        self.location: Location = location or (FileLineColLoc(name, 0, 0) if name else UNKNOWN)

    def at(self, name: str) -> Place:
        """The place of the node or tensor `name` in this model. Raises NotText."""
        if not name:
            return self
        return Place(
            self.name, NameLoc(text_attr(name).value, FileLineColLoc(self.name, 0, 0) if self.name else UNKNOWN)
        )

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise the QirError that says `message` about this place."""
        fail(self.location, message, hint)
