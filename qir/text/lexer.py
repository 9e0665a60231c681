"""The lexer behind grammar.lark: one combined regular expression per level, asked one token at a time.

Where a word or bracket means different things in different places, the parser's own state decides: ``{`` opens a
dictionary where the grammar takes one and a region elsewhere. So no terminal needs tricks to be unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import lark

from qir.ir.diagnostics import fail
from qir.ir.location import Source, SourceLoc
from qir.ir.types import FLOAT_BITS
from qir.text.scanner import balanced, skip_space, type_end, value_end

__all__ = ["Input", "QirLexer", "Token"]


class Token:
    """A terminal's name, its text, and the position at which it starts in the source."""

    __slots__ = ("start", "text", "type")
    line = column = end_line = end_column = end_pos = None  # Lark asks for them at the end of the input

    def __init__(self, type: str, text: str, start: int) -> None:
        self.type, self.text, self.start = type, text, start

    @property
    def start_pos(self) -> int:
        return self.start

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def __repr__(self) -> str:
        return f"{self.type}({self.text!r})"


class Input:
    """What is parsed: all of a source by the rules for operations, or a piece of it by those for types and attributes.

    `position` is where the next token is read. `name` is the operation's name that was read last, `owner` the one of
    the region that opened last, `owners` those of all open regions.
    """

    __slots__ = ("base", "fine", "name", "owner", "owners", "position", "source", "text")

    def __init__(self, source: Source, text: str | None = None, base: int = 0) -> None:
        self.source = source
        self.fine = text is not None
        self.text = source.text if text is None else text
        self.base = base
        self.position = 0
        self.name = self.owner = ""
        self.owners: list[str] = []


_ID = r"%[\w$.\-]+(?:[#:]\d+)?"
_VALUE = rf"(?:{_ID}|_(?![\w$.]))"
_STRING = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_SYMBOL = rf"@(?:[A-Za-z_][\w$.]*|{_STRING})"
_SKIP = r"[ \t\r\n]*(?://[^\n]*(?:\n|\Z)[ \t\r\n]*)*"  # one way only to match: no backtracking

_COARSE = re.compile(
    rf"""{_SKIP}(?:
      (?P<VALUES>{_VALUE}(?:\s*,\s*{_VALUE})*)(?:\s*(?P<RESULTS>=))?
    | (?P<STRING>{_STRING})
    | (?P<PUNCTUATION>->|[)}},:\[\]])
    | (?P<ROUND>\()
    | (?P<CURLY>\{{(?:-\#)?)
    | (?P<OPNAME>[A-Za-z_]\w*(?:\.[\w$]+)+)
    | (?P<WORD>[A-Za-z_]\w*)
    | (?P<SYMBOL>{_SYMBOL}(?:::{_SYMBOL})*)
    | (?P<ALIAS>[!\#][A-Za-z_][\w$]*)(?=[ \t]*=)
    | (?P<EXCLAMATION>!)
    | (?P<PROPERTIES><)(?=\{{)
    | (?P<CARET>\^[\w$.\-]+)
    | (?P<END>\Z)
    )""",
    re.X,
)
_PUNCTUATION = {")": "RPAR", "}": "RBRACE", ",": "COMMA", ":": "COLON", "[": "LSQB", "]": "RSQB", "->": "ARROW"}
_NAMES = {
    "func.func": ("FUNC", "func.func"),
    "builtin.module": ("MODULE", "builtin.module"),
    "module": ("MODULE", "builtin.module"),
    "return": ("OPNAME", "func.return"),
    "call": ("OPNAME", "func.call"),
}
_WORDS = {
    "attributes": "ATTRIBUTES",
    "to": "TO",
    "public": "VISIBILITY",
    "private": "VISIBILITY",
    "nested": "VISIBILITY",
}

# Whole signatures, dictionaries and types of the usual shapes, without counting brackets. They hold no string with a
# bracket, no comment and no line end, so that they end where the counter would.
_OUT = r'[^()<>{}\[\]"\n/]*'
_ANGLES = f"<{_OUT}(?:<{_OUT}>{_OUT})*>"
_TYPES = f"{_OUT}(?:{_ANGLES}{_OUT})*"
_SIMPLE_TYPE = re.compile(rf"!?[A-Za-z_][\w$.]*(?:{_ANGLES}|(?![\w$.<]))")
_SIMPLE_SIGNATURE = re.compile(rf"\({_TYPES}\) ?-> ?(?:\({_TYPES}\)|{_SIMPLE_TYPE.pattern})")
_INSIDE = rf'(?:[^()<>{{}}\[\]"/]|{_STRING}|<[^()<>{{}}\[\]"/]*>|\[[^()<>{{}}\[\]"/]*\])*'
_SIMPLE_CURLY = re.compile(rf"\{{{_INSIDE}\}}")
_SIMPLE_PROPERTIES = re.compile(rf"<\{{{_INSIDE}\}}>")
_SIMPLE_LOC = re.compile(rf"loc\((?:{_STRING}|#\w+)\)")

_FINE = re.compile(
    rf"""{_SKIP}(?:
      (?P<NUMBER>-?(?:0x[0-9A-Fa-f]+|\d+(?:\.\d*(?:[eE][-+]?\d+)?)?))
    | (?P<WORD>[A-Za-z_][\w$.]*)
    | (?P<PUNCTUATION>->|\.\.\.|[()\[\]{{}}<>,:=])
    | (?P<STRING>{_STRING})
    | (?P<SYMBOL>{_SYMBOL}(?:::{_SYMBOL})*)
    | (?P<PREFIXED>[!\#][A-Za-z_][\w$.]*)
    | (?P<OTHER>[?*])
    | (?P<END>\Z)
    )""",
    re.X,
)
_DIMS = re.compile(r"(?:(?:\?|\d+)\s*x\s*)+|\*\s*x\s*")
_FINE_PUNCTUATION = {
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
    "<": "LESSTHAN",
    ">": "MORETHAN",
    ",": "COMMA",
    ":": "COLON",
    "=": "EQUAL",
    "->": "ARROW",
    "...": "ELLIPSIS",
}
_FINE_WORDS = {
    w: w.upper()
    for w in [
        "tensor",
        "complex",
        "tuple",
        "true",
        "false",
        "unit",
        "dense",
        "dense_resource",
        "loc",
        "fused",
        "callsite",
        "at",
        "unknown",
        "to",
    ]
}
_NAMED_TYPE = re.compile(rf"[su]?i[1-9]\d*\Z|index\Z|none\Z|(?:{'|'.join(FLOAT_BITS)})\Z")
_OTHER_TYPES = frozenset({"vector", "memref"})
_OTHER_ATTRS = frozenset({"affine_map", "affine_set", "strided", "sparse", "distinct", "opaque", "offset"})


class QirLexer(lark.lexer.Lexer):
    """Lark's custom lexer. Reads an `Input`."""

    __future_interface__ = 2  # lex() gets the parser's state

    def __init__(self, lexer_conf: Any) -> None:
        """Lark passes its terminals; ours are above."""

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Any]:
        piece: Input = lexer_state.text
        return _fine(piece, parser_state) if piece.fine else _coarse(piece, parser_state)


def _coarse(piece: Input, parser_state: Any) -> Iterator[Token]:
    """Tokens of level 1: operations."""
    source, text = piece.source, piece.text
    match_at, states, stack = _COARSE.match, parser_state.parse_conf.states, parser_state.state_stack
    position = piece.position
    while True:
        match = match_at(text, position)
        if match is None:
            _unknown_character(source, text, position)
        kind = match.lastgroup or ""
        if kind == "PUNCTUATION":
            start = position = match.end()
            word = match.group(kind)
            start -= len(word)
            piece.position = position
            if word == "}" and piece.owners:
                piece.name = piece.owners.pop()  # a further region belongs to the same operation
            yield Token(_PUNCTUATION[word], word, start)
            continue
        start = match.start(kind)
        if kind == "RESULTS":
            start, position = match.start("VALUES"), match.end()
            word = match.group("VALUES")
        elif kind == "ROUND":
            if "SIGNATURE" in states[stack[-1]]:
                simple = _SIMPLE_SIGNATURE.match(text, start)
                position = type_end(source, start) if simple is None else simple.end()
                kind = "SIGNATURE"
            elif "TYPE" in states[stack[-1]] and "LPAR" not in states[stack[-1]]:
                position, kind = type_end(source, start), "TYPE"
            else:
                position, kind = start + 1, "LPAR"
            word = text[start:position]
        elif kind == "WORD" or kind == "OPNAME":
            word = match.group(kind)
            position = match.end()
            accepted = states[stack[-1]]
            if "TYPE" in accepted and word not in _WORDS:
                simple = _SIMPLE_TYPE.match(text, start)
                position = type_end(source, start) if simple is None else simple.end()
                kind, word = "TYPE", text[start:position]
            elif word == "loc" and text.startswith("(", position):
                simple = _SIMPLE_LOC.match(text, start)
                position = balanced(source, position) if simple is None else simple.end()
                kind, word = "LOCATION", text[start:position]
            elif word in _NAMES:
                kind, piece.name = _NAMES[word]
            elif kind == "OPNAME":
                piece.name = word
            elif word in _WORDS and _WORDS[word] in accepted:
                kind = _WORDS[word]
            elif text.startswith("(", position):
                position = balanced(source, position)
                kind, word = "CALL", text[start:position]
        elif kind == "STRING":
            position = match.end()
            word = match.group(kind)
            piece.name = word[1:-1]
        elif kind == "CURLY":
            if text.startswith("{-#", start):
                end = text.find("#-}", start)
                if end < 0:
                    fail(SourceLoc(source, start, start + 3), "this '{-#' is not closed by '#-}'")
                position, kind = end + 3, "RESOURCES"
            elif "DICT" in states[stack[-1]]:
                simple = _SIMPLE_CURLY.match(text, start)
                position = balanced(source, start) if simple is None else simple.end()
                kind = "DICT"
            else:
                position, kind = start + 1, "LBRACE"
                piece.owner = piece.name
                piece.owners.append(piece.name)
            word = text[start:position]
        elif kind == "PROPERTIES":
            simple = _SIMPLE_PROPERTIES.match(text, start)
            position = balanced(source, start) if simple is None else simple.end()
            word = text[start:position]
        elif kind == "EXCLAMATION":
            simple = _SIMPLE_TYPE.match(text, start)
            position = type_end(source, start) if simple is None else simple.end()
            if position == start:
                _unknown_character(source, text, start)
            kind, word = "TYPE", text[start:position]
        elif kind == "ALIAS":
            word = match.group(kind)
            yield Token(kind, word, start)
            start = skip_space(text, text.index("=", match.end()) + 1)
            position = value_end(source, start)
            kind, word = "ALIAS_VALUE", text[start:position]
        elif kind == "END":
            piece.position = position
            return
        else:  # VALUES, SYMBOL, CARET
            position = match.end()
            word = match.group(kind)
        piece.position = position
        yield Token(kind, word, start)


def _fine(piece: Input, parser_state: Any) -> Iterator[Token]:
    """Tokens of level 2: types, attributes, locations, clauses with arguments."""
    source, text, base = piece.source, piece.text, piece.base
    states, stack = parser_state.parse_conf.states, parser_state.state_stack
    position = 0
    while True:
        accepted = states[stack[-1]]
        if "DIMS" in accepted:
            dims = _DIMS.match(text, position)
            if dims is not None:
                yield Token("DIMS", dims.group(), base + position)
                position = dims.end()
                continue
        match = _FINE.match(text, position)
        if match is None:
            _unknown_character(source, text, position, base)
        kind = match.lastgroup or ""
        start, position = match.span(kind)
        word = match.group(kind)
        if kind == "PUNCTUATION":
            if word == "<" and "LITERAL" in accepted:
                position = balanced(source, start, base, text)
                kind, word = "LITERAL", text[start:position]
            else:
                kind = _FINE_PUNCTUATION[word]
        elif kind == "WORD":
            if "KEY" in accepted:
                kind = "KEY"
            elif word == "tensor" and start and "TYPE" in accepted and text.startswith("<", position):
                simple = _SIMPLE_TYPE.match(text, start)
                position = balanced(source, position, base, text) if simple is None else simple.end()
                kind, word = "TYPE", text[start:position]
            elif _FINE_WORDS.get(word) in accepted:
                kind = _FINE_WORDS[word]
            elif word == "array" and "ARRAY" in accepted and text.startswith("<", position):
                position = balanced(source, position, base, text)
                kind, word = "ARRAY", text[start:position]
            elif "NAMED_TYPE" in accepted:
                if _NAMED_TYPE.match(word):
                    kind = "NAMED_TYPE"
                elif word in _OTHER_TYPES or (word in _OTHER_ATTRS and "OTHER_ATTR" in accepted):
                    kind = "OTHER_TYPE" if word in _OTHER_TYPES else "OTHER_ATTR"
                    while text[position : position + 1] in ("<", "["):
                        position = balanced(source, position, base, text)
                    word = text[start:position]
        elif kind == "PREFIXED":
            bang = word[0] == "!"
            bracket = text.startswith("<", position)
            if bracket:
                position = balanced(source, position, base, text)
                kind = "DIALECT_TYPE" if bang else "DIALECT_ATTR"
            elif "." in word:
                kind = "DIALECT_TYPE" if bang else "DIALECT_ATTR"
            else:
                kind = "TYPE_ALIAS" if bang else "ATTR_ALIAS"
            word = text[start:position]
        elif kind == "END":
            return
        yield Token(kind, word, base + start)


def _unknown_character(source: Source, text: str, position: int, base: int = 0) -> NoReturn:
    position = skip_space(text, position)
    place = base + position
    if text.startswith('"', position):
        end = text.find("\n", position)
        width = (len(text) if end < 0 else end) - position
        fail(SourceLoc(source, place, place + width), "this string is not closed on its line", 'end it with "')
    character = text[position]
    shown = f"'{character}'" if character.isprintable() else f"the character U+{ord(character):04X}"
    fail(SourceLoc(source, place, place + 1), f"{shown} cannot stand here")
