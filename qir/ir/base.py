"""What is below types, locations and attributes: the attributes' base, and MLIR's spelling of names and strings."""

from __future__ import annotations

import re

__all__ = ["Attribute", "BadEscape", "bare_or_quoted", "quote", "unquote"]


class Attribute:
    """Base of all attributes."""

    __slots__ = ()


def quote(text: str) -> str:
    """A string in MLIR's spelling: quotes, backslashes and everything that is not printable ASCII as hex bytes."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = []
    for byte in text.encode("utf-8", "surrogateescape"):
        if byte == 0x5C:
            out.append("\\\\")
        elif byte < 0x20 or byte >= 0x7F or byte == 0x22:
            out.append(f"\\{byte:02X}")
        else:
            out.append(chr(byte))
    return f'"{"".join(out)}"'


_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{2})|([\"\\nt]))")
_PLAIN = {'"': b'"', "\\": b"\\", "n": b"\n", "t": b"\t"}


class BadEscape(ValueError):
    """A backslash in a string, at `position`, that begins no escape."""

    def __init__(self, position: int) -> None:
        super().__init__("bad escape in a string")
        self.position = position


def unquote(text: str) -> str:
    """The string that a quoted one stands for; bytes that are not UTF-8 become surrogates. Raises BadEscape."""
    if "\\" not in text:
        return text[1:-1]
    out = []
    position, end = 1, len(text) - 1
    while position < end:
        slash = text.find("\\", position, end)
        if slash < 0:
            slash = end
        out.append(text[position:slash].encode("utf-8", "surrogateescape"))
        if slash == end:
            break
        match = _ESCAPE.match(text, slash)
        if match is None:
            raise BadEscape(slash)
        out.append(bytes([int(match[1], 16)]) if match[1] else _PLAIN[match[2]])
        position = match.end()
    return b"".join(out).decode("utf-8", "surrogateescape")


def bare_or_quoted(name: str) -> str:
    """A key or symbol as MLIR writes it: bare where its grammar allows, else as a string."""
    first = name[:1]
    if name.isascii() and (first.isalpha() or first == "_") and name.translate(_NAME_REST).isalnum():
        return name
    return quote(name)


_NAME_REST = str.maketrans("_$.", "aaa")
