"""How the exact names of values (ONNX's) and their SSA spellings in a text belong together.

A value's exact name is any string; its spelling after ``%`` is that name, sanitised and made unique. Reading back, the
name is the spelling itself, or ``{node}_output_{i}`` (what exporters call results) where the operation's name location
gives that spelling. Where neither gives the exact name, the attribute ``onnx.names`` says it.
"""

from __future__ import annotations

import re

from qir.ir.location import Location, NameLoc

__all__ = ["ARGUMENT_NAME", "ARGUMENT_NAMES", "RESULT_NAMES", "argument_name", "result_name", "sanitize"]

RESULT_NAMES = "onnx.names"
"""Names of an operation's results, one string each, empty for none."""
ARGUMENT_NAME = "onnx.name"
"""In ``arg_attrs`` of a function: the name of an argument."""
ARGUMENT_NAMES = "onnx.arg_names"
"""Names of the block arguments of an operation's regions: one list per block, in order."""

_ILLEGAL = re.compile(r"[^A-Za-z0-9_$.\-]+")
_NUMBERED = re.compile(r"(?:arg)?\d+\Z")


def sanitize(name: str) -> str:
    """A legal SSA spelling near `name`; never a number."""
    text = _ILLEGAL.sub("_", name)
    if text != name and name[0] != "_":
        text = text.lstrip("_")
    return text if text and not text[0].isdigit() else "_" + text


def result_name(spelling: str, location: Location, index: int) -> str | None:
    """The exact name of result `index` that a spelling stands for; None for a number."""
    if spelling.isdigit():
        return None
    if isinstance(location, NameLoc):
        derived = f"{location.name}_output_{index}"
        if sanitize(derived) == spelling:
            return derived
    return spelling


def argument_name(spelling: str) -> str | None:
    """The exact name of a block argument that a spelling stands for; None for a number and MLIR's ``arg0``."""
    return None if _NUMBERED.match(spelling) else spelling
