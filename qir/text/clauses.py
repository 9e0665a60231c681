"""Clauses: the row of words, symbols, values and types after an operation's name in the pretty form.

The grammar knows their kinds only; the operation's class interprets them. A class that wants such a form has

- ``from_clauses(cls, clauses: ClauseReader) -> Operation``, which makes the operation from what was written, and
- ``to_clauses(self, writer: ClauseWriter) -> str | None``, which gives the text after the name (None: uniform form).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol

from qir.ir.attributes import Attribute
from qir.ir.core import Value
from qir.ir.diagnostics import fail
from qir.ir.location import SourceLoc
from qir.ir.types import FunctionType, Type
from qir.text.lexer import Token
from qir.text.values import Call

if TYPE_CHECKING:
    from qir.text.reader import Reader

__all__ = ["Clause", "ClauseReader", "ClauseWriter"]


class Clause:
    """One clause: its kind, its tokens, and its text's place."""

    __slots__ = ("kind", "tokens")

    def __init__(self, kind: str, tokens: Sequence[Token]) -> None:
        self.kind, self.tokens = kind, tuple(tokens)


_KINDS = {
    "VALUES": "values",
    "SYMBOL": "a symbol",
    "CALLEE": "a symbol",
    "WORD": "a word",
    "CALL": "a word with arguments",
    "DICT": "a dictionary",
    "SIGNATURE": "': (types) -> types'",
    "TYPING": "': type'",
    "TARGET": "'to type'",
}


class ClauseReader:
    """The clauses of one operation, taken one after the other. A method whose clause is missing raises QirError."""

    def __init__(self, reader: Reader, name: Token, clauses: Sequence[Clause]) -> None:
        self._reader, self._name, self._clauses, self._next = reader, name, clauses, 0

    def _peek(self, kind: str) -> Clause | None:
        if self._next < len(self._clauses) and self._clauses[self._next].kind == kind:
            return self._clauses[self._next]
        return None

    def _take(self, kind: str, what: str | None = None) -> Clause:
        clause = self._peek(kind)
        if clause is None:
            self.fail(f"{what or _KINDS[kind]} is expected here")
        self._next += 1
        return clause

    def fail(self, message: str, hint: str | None = None, at: int | None = None) -> NoReturn:
        """Raise an error at the next clause (or at a position in the text)."""
        if at is not None:
            fail(SourceLoc(self._reader.source, at, at + 1), message, hint)
        if self._next < len(self._clauses):
            tokens = self._clauses[self._next].tokens
            fail(SourceLoc(self._reader.source, tokens[0].start, tokens[-1].end), message, hint)
        last = self._clauses[-1].tokens[-1] if self._clauses else self._name
        fail(SourceLoc(self._reader.source, last.end, last.end + 1), f"'{self._name.text}': {message}", hint)

    @property
    def last(self) -> int:
        """Where the clause that was taken last stands."""
        return self._clauses[self._next - 1].tokens[0].start if self._next else self._name.start

    def end(self) -> None:
        """Raise an error where a clause is left over."""
        if self._next < len(self._clauses):
            self.fail(f"'{self._name.text}' does not take this clause")

    # ------------------------------------------------------------ values
    def names(self) -> Token | None:
        """``%a, %b``; None where no values stand."""
        if self._peek("VALUES") is None:
            return None
        return self._take("VALUES").tokens[0]

    def values(self, names: Token | None, types: Sequence[Type]) -> tuple[Value, ...]:
        """The values that were written as `names`, which must have these types."""
        return self._reader.operands(names, types, self._name)

    def value(self, names: Token | None, type: Type) -> Value:
        """The one value that was written."""
        return self.values(names, (type,))[0]

    # ------------------------------------------------------------ words
    def word(self, *choices: str) -> str | None:
        """A bare word, if one (of these) stands here."""
        clause = self._peek("WORD")
        if clause is None or (choices and clause.tokens[0].text not in choices):
            return None
        self._next += 1
        return clause.tokens[0].text

    def expect(self, *choices: str) -> str:
        """A bare word that must stand here."""
        word = self.word(*choices)
        if word is None:
            self.fail(f"{' or '.join(repr(c) for c in choices)} is expected here")
        return word

    def call(self, *choices: str) -> Call | None:
        """A word with arguments, if one (of these) stands here."""
        clause = self._peek("CALL")
        if clause is None:
            return None
        token = clause.tokens[0]
        if choices and token.text.partition("(")[0] not in choices:
            return None
        self._next += 1
        return self._reader.parse_call(token)

    # ------------------------------------------------------------ the rest
    def symbol(self) -> str:
        """``@name``."""
        token = self._take("SYMBOL").tokens[0]
        ref = self._reader.symbol(token)
        if ref.nested:
            self.fail("a symbol without '::' is expected here", at=token.start)
        return ref.root

    def callee(self) -> tuple[str, Token | None]:
        """``@name(%a, %b)``: the symbol and the values."""
        clause = self._take("CALLEE", "a symbol with arguments (@name(%a))")
        return self._reader.symbol(clause.tokens[0]).root, clause.tokens[1] if len(clause.tokens) > 1 else None

    def attributes(self) -> dict[str, Attribute]:
        """``{key = value}``, or nothing."""
        return {} if self._peek("DICT") is None else dict(self._reader.dictionary(self._take("DICT").tokens[0]))

    def has_signature(self) -> bool:
        """Whether ``: (types) -> types`` stands here."""
        return self._peek("SIGNATURE") is not None

    def signature(self) -> FunctionType:
        """``: (types) -> types``."""
        return self._reader.signature(self._take("SIGNATURE").tokens[0])

    def types(self) -> tuple[Type, ...]:
        """``: t, t``, or nothing."""
        if self.has_signature():  # a function type alone
            return (self.signature(),)
        if self._peek("TYPING") is None:
            return ()
        return tuple(self._reader.type_of(t) for t in self._take("TYPING").tokens)

    def type(self) -> Type:
        """``: t``."""
        tokens = self._take("TYPING").tokens
        if len(tokens) != 1:
            self.fail("one type is expected here", at=tokens[1].start)
        return self._reader.type_of(tokens[0])

    def type_text(self) -> str:
        """``: t`` as it is written, for what only looks like a type (``: i8<-127:127>``)."""
        return self._take("TYPING").tokens[0].text

    def targets(self) -> tuple[Type, ...]:
        """``to t, t``."""
        return tuple(self._reader.type_of(t) for t in self._take("TARGET").tokens)

    def target(self) -> Type:
        """``to t``."""
        tokens = self._take("TARGET").tokens
        if len(tokens) != 1:
            self.fail("one type is expected here", at=tokens[1].start)
        return self._reader.type_of(tokens[0])


class ClauseWriter(Protocol):
    """What ``to_clauses`` gets: the spellings of values and attributes."""

    def value(self, value: Value) -> str:
        """``%name``."""
        ...

    def values(self, values: Sequence[Value]) -> str:
        """``%a, %b``."""
        ...

    def attribute(self, attribute: Attribute) -> str:
        """The text of an attribute."""
        ...

    def attributes(self, *hidden: str) -> str:
        """`` {key = value}`` with a space before it: all attributes but those that the clauses say; may be empty."""
        ...
