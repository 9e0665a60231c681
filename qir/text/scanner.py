"""Finding the end of bracketed text: a counter that knows strings, comments and arrows."""

from __future__ import annotations

import re
from typing import NoReturn

from qir.ir.diagnostics import fail
from qir.ir.location import Source, SourceLoc

__all__ = ["MAX_DEPTH", "balanced", "check_brackets", "skip_space", "type_end", "value_end"]

MAX_DEPTH = 200
"""Brackets inside brackets, and regions inside regions, that a text may have."""

_CLOSER = {"<": ">", "(": ")", "[": "]", "{": "}"}
_OPENER = {closer: opener for opener, closer in _CLOSER.items()}
_STEP = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*("?)|//[^\n]*|->|[<>(){}\[\]\n]')
_SPACE = re.compile(r"[ \t\r\n]*(?://[^\n]*(?:\n|\Z)[ \t\r\n]*)*")
_TYPE_HEAD = re.compile(r"!?[A-Za-z_][\w$.]*")


def skip_space(text: str, position: int) -> int:
    """The first position from here on that is neither white space nor in a comment."""
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def balanced(source: Source, start: int, base: int = 0, text: str | None = None) -> int:
    """The position after the bracket that closes the one at `start`.

    `text` is a piece of the source that begins at its position `base` (default: all of it). Raises QirError at a
    bracket that nothing closes, at an unclosed string, or where brackets are nested too deeply.
    """
    text = source.text if text is None else text
    stack: list[int] = []
    for match in _STEP.finditer(text, start):
        what = match.group()
        first = what[0]
        if first in _CLOSER:
            stack.append(match.start())
            if len(stack) > MAX_DEPTH:
                _fail(source, base + match.start(), f"brackets are nested more than {MAX_DEPTH} deep")
        elif first in _OPENER:
            if text[stack[-1]] != _OPENER[first]:
                opener = text[stack[-1]]
                _fail(
                    source,
                    base + stack[-1],
                    f"this '{opener}' is not closed: '{_CLOSER[opener]}' must come before '{first}'",
                )
            stack.pop()
            if not stack:
                return match.end()
        elif first == '"' and not match.group(1):
            _fail(source, base + match.start(), "this string is not closed on its line", 'end it with "', len(what))
    return _fail(source, base + stack[-1], f"this '{text[stack[-1]]}' is not closed before the end of the text")


def check_brackets(source: Source) -> None:
    """Check that all brackets of a text are closed. Raises QirError as `balanced` does."""
    position = 0
    while (match := _STEP.search(source.text, position)) is not None:
        first = match.group()[0]
        if first == '"' and not match.group(1):
            _fail(source, match.start(), "this string is not closed on its line", 'end it with "', len(match.group()))
        position = balanced(source, match.start()) if first in _CLOSER else match.end()


def type_end(source: Source, start: int) -> int:
    """The position after the type that begins at `start`: a name with its brackets, or a function type."""
    text = source.text
    if text.startswith("(", start):
        end = balanced(source, start)
        arrow = skip_space(text, end)
        if not text.startswith("->", arrow):
            _fail(source, arrow, "'->' is expected after the types of the operands", "write : (types) -> types")
        result = arrow + 2
        while text.startswith((" ", "\t"), result):
            result += 1
        if text.startswith("(", result):
            return balanced(source, result)
        end = type_end(source, result)
        if end == result:
            _fail(source, result, "a type is expected after '->'")
        return end
    match = _TYPE_HEAD.match(text, start)
    if match is None:
        return start
    end = match.end()
    return balanced(source, end) if text.startswith("<", end) else end


def value_end(source: Source, start: int) -> int:
    """The end of an alias's value: the end of the line, or of the line that closes the last bracket."""
    text = source.text
    position, length = start, len(text)
    while position < length:
        match = _STEP.search(text, position)
        if match is None:
            return length
        what = match.group()
        if what == "\n" or what.startswith("//"):
            return match.start()
        if what[0] in _CLOSER:
            position = balanced(source, match.start())
        elif what[0] == '"' and not match.group(1):
            _fail(source, match.start(), "this string is not closed on its line", 'end it with "', len(what))
        else:
            position = match.end()
    return length


def _fail(source: Source, position: int, message: str, hint: str | None = None, width: int = 1) -> NoReturn:
    fail(SourceLoc(source, position, position + width), message, hint)
