"""What is below types, locations and attributes: the attributes' base, and MLIR's spelling of names and strings."""

from __future__ import annotations

__all__ = ["Attribute", "bare_or_quoted", "quote"]


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


def bare_or_quoted(name: str) -> str:
    """A key or symbol as MLIR writes it: bare where its grammar allows, else as a string."""
    first = name[:1]
    if name.isascii() and (first.isalpha() or first == "_") and name.translate(_NAME_REST).isalnum():
        return name
    return quote(name)


_NAME_REST = str.maketrans("_$.", "aaa")
