"""Actions of the grammar's second level: types, attributes, locations, clauses with arguments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    DenseResourceAttr,
    FloatAttr,
    IntegerAttr,
    LocationAttr,
    OpaqueAttr,
    StringAttr,
    SymbolRefAttr,
    TypeAttr,
    UnitAttr,
    dictionary,
    float_bits,
)
from qir.ir.diagnostics import fail
from qir.ir.location import UNKNOWN, CallSiteLoc, FileLineColLoc, Location, NameLoc, SourceLoc, fuse
from qir.ir.types import (
    FLOAT_BITS,
    ComplexType,
    FloatType,
    FunctionType,
    IndexType,
    IntegerType,
    NoneType,
    OpaqueType,
    TensorType,
    TupleType,
    Type,
    f64,
    i1,
    i64,
)
from qir.text.lexer import Token
from qir.text.literals import dense_literal, integer_in_range, unquote

if TYPE_CHECKING:
    from qir.text.reader import Reader

__all__ = ["Argument", "Call", "Map", "ValueActions", "Word"]

MAX_WIDTH = (1 << 24) - 1  # of an integer type, as in MLIR


@attrs.frozen
class Word:
    """A bare word among a clause's arguments."""

    text: str


@attrs.frozen
class Map:
    """``{0: 1, ...: 2}`` among a clause's arguments; the key None is ``...``."""

    items: tuple[tuple[int | None, Any], ...]


@attrs.frozen
class Argument:
    """One argument of a clause: its key if it is ``key = value``, its value, and where it stands."""

    key: str | None
    value: Attribute | Word | Map | Call
    start: int


@attrs.frozen
class Call:
    """A word with arguments: ``observe(percentile, p = 99.99)``."""

    name: str
    arguments: tuple[Argument, ...]


_SIMPLE_BODY = re.compile(r"[A-Za-z][\w.]*(?:<.*>)?\Z", re.S)


def _dialect_and_body(text: str) -> tuple[str, str]:
    """``!d.b<...>`` and ``!d<b<...>>``, which are the same, as ("d", "b<...>"); other bodies keep their brackets."""
    dialect, dot, body = text[1:].partition(".")
    if not dot or "<" in dialect:
        dialect, _, body = text[1:].partition("<")
        body = body[:-1] if _SIMPLE_BODY.match(body[:-1]) else "<" + body
    return dialect, body


class ValueActions:
    """Each method builds what its rule stands for from the rule's parts; left-out parts are None."""

    reader: Reader

    # ------------------------------------------------------------ messages
    def fail(self, token: Token, message: str, hint: str | None = None) -> NoReturn:
        fail(SourceLoc(self.reader.source, token.start, token.start + len(token.text)), message, hint)

    def string_of(self, token: Token) -> str:
        """What a string token stands for."""

        def bad(start: int, end: int, message: str, hint: str | None) -> NoReturn:
            fail(SourceLoc(self.reader.source, token.start + start, token.start + end), message, hint)

        return unquote(token.text, bad)

    # ------------------------------------------------------------ types
    def type(self, c: list[Any]) -> Type:
        """Any type; one that is a single token is made here."""
        found: Type = c[0]
        return found if isinstance(found, Type) else self.plain(c[0])

    def plain(self, token: Token) -> Type:
        """A type that is one token."""
        text = token.text
        kind = token.type
        if kind == "TYPE":
            return self.reader.type_of(token)
        if kind == "NAMED_TYPE":
            if text in FLOAT_BITS:
                return FloatType(text)
            if text == "index":
                return IndexType()
            if text == "none":
                return NoneType()
            signedness = text[0] if text[0] != "i" else ""
            width = int(text[len(signedness) + 1 :]) if len(text) < 12 else MAX_WIDTH + 1
            if width > MAX_WIDTH:
                self.fail(token, f"integers have at most {MAX_WIDTH} bits")
            return IntegerType(width, signedness)
        if kind == "DIALECT_TYPE":
            return OpaqueType(*_dialect_and_body(text))
        if kind == "TYPE_ALIAS":
            return self.reader.type_alias(token)
        return OpaqueType("", text)

    def tensor_type(self, c: list[Any]) -> Type:
        dims, element, encoding = c
        if isinstance(element, (TensorType, FunctionType, NoneType, TupleType)):
            piece = self.reader.piece
            place = dims or Token("", "tensor", piece.base if piece is not None else 0)
            self.fail(place, f"a tensor cannot have elements of type {element}")
        if dims is None:
            return TensorType((), element, encoding)
        sizes = "".join(dims.text.split()).split("x")[:-1]
        if sizes == ["*"]:
            return TensorType(None, element, encoding)
        shape = tuple(None if s == "?" else int(s) if len(s) < 20 else 1 << 63 for s in sizes)
        if any(s is not None and s >= 1 << 63 for s in shape):
            self.fail(dims, "a dimension is at most 2^63 - 1")
        return TensorType(shape, element, encoding)

    def complex_type(self, c: list[Any]) -> Type:
        return ComplexType(c[0])

    def tuple_type(self, c: list[Any]) -> Type:
        return TupleType(tuple(t for t in c if t is not None))

    def function_type(self, c: list[Any]) -> FunctionType:
        return FunctionType(tuple(t for t in c[:-1] if t is not None), c[-1])

    def function_results(self, c: list[Any]) -> tuple[Type, ...]:
        return (c[0] if isinstance(c[0], Type) else self.plain(c[0]),)

    def several(self, c: list[Any]) -> tuple[Type, ...]:
        return tuple(t for t in c if t is not None)

    # ------------------------------------------------------------ attributes
    def attribute(self, c: list[Any]) -> Attribute:
        first = c[0]
        if isinstance(first, Attribute):
            return first
        text = first.text
        if first.type == "DIALECT_ATTR":
            return OpaqueAttr(*_dialect_and_body(text), c[1])
        if first.type == "ATTR_ALIAS":
            return self.reader.attribute_alias(first)
        return OpaqueAttr("", text)

    def number(self, c: list[Any]) -> Attribute:
        token, type = c
        text = token.text
        hexadecimal = "x" in text
        if type is None:
            type = i64 if hexadecimal or "." not in text else f64
        if isinstance(type, FloatType):
            if hexadecimal:
                bits = int(text, 16)
                if not 0 <= bits < 1 << type.width:
                    self.fail(token, f"{text} has more bits than {type}")
                return FloatAttr(bits, type)
            if "." not in text:
                self.fail(token, f"an integer where a number of type {type} is expected", f"write {text}.0")
            if type.name in ("f128", "f80", "tf32"):
                self.fail(token, f"numbers of type {type} cannot be held")
            return FloatAttr(float_bits(float(text), type), type)
        if not isinstance(type, (IntegerType, IndexType)):
            self.fail(token, f"a number cannot have the type {type}")
        if "." in text:
            self.fail(token, f"a decimal number where an integer of type {type} is expected")
        if len(text) > 400:
            self.fail(token, "this number has too many digits")
        value = integer_in_range(int(text, 16 if hexadecimal else 10), type)
        if value is None:
            self.fail(token, f"{text} is not in the range of {type}")
        return IntegerAttr(value, type)

    def true(self, c: list[Any]) -> Attribute:
        return IntegerAttr(1, i1)

    def false(self, c: list[Any]) -> Attribute:
        return IntegerAttr(0, i1)

    def unit(self, c: list[Any]) -> Attribute:
        return UnitAttr()

    def string(self, c: list[Any]) -> Attribute:
        return StringAttr(self.string_of(c[0]))

    def symbol(self, c: list[Any]) -> SymbolRefAttr:
        return self.symbol_of(c[0])

    def symbol_of(self, token: Token) -> SymbolRefAttr:
        """A reference to a symbol."""
        if '"' not in token.text:
            root, *nested = token.text[1:].split("::@")
            return SymbolRefAttr(root, tuple(nested))
        names, position, text = [], 0, token.text
        while position < len(text):
            position = text.index("@", position) + 1
            if text[position] == '"':
                end = position + 1
                while text[end] != '"':
                    end += 2 if text[end] == "\\" else 1
                names.append(self.string_of(Token("STRING", text[position : end + 1], token.start + position)))
                position = end + 1
            else:
                end = text.find(":", position)
                end = len(text) if end < 0 else end
                names.append(text[position:end])
                position = end
        return SymbolRefAttr(names[0], tuple(names[1:]))

    def array(self, c: list[Any]) -> Attribute:
        return ArrayAttr(tuple(v for v in c if v is not None))

    def dictionary_value(self, c: list[Any]) -> Attribute:
        return dictionary(c[0])

    def type_value(self, c: list[Any]) -> Attribute:
        return TypeAttr(c[0])

    def location_value(self, c: list[Any]) -> Attribute:
        return LocationAttr(c[0])

    def dense_array(self, c: list[Any]) -> Attribute:
        token: Token = c[0]
        inner = token.text[6:-1]
        name, colon, items = inner.partition(":")
        element = self.reader.parse_type(name.strip(), token.start + 6)
        if not isinstance(element, (IntegerType, FloatType)):
            self.fail(token, f"array<…> holds integers or floats, not {element}")
        values: list[int] = []
        for item in items.split(",") if colon and items.strip() else ():
            item = item.strip()
            try:
                if item in ("true", "false") and element == i1:
                    values.append(int(item == "true"))
                elif isinstance(element, FloatType):
                    values.append(int(item, 16) if "x" in item else float_bits(float(item), element))
                else:
                    value = integer_in_range(int(item, 16 if "x" in item else 10), element)
                    if value is None:
                        self.fail(token, f"{item} is not in the range of {element}")
                    values.append(value)
            except ValueError:
                self.fail(token, f"'{item}' is no number of type {element}")
        return DenseArrayAttr(element, tuple(values))

    def dense(self, c: list[Any]) -> Attribute:
        literal, type = c
        if not isinstance(type, TensorType):
            if isinstance(type, OpaqueType):
                return OpaqueAttr("", f"dense{literal.text}", type)
            self.fail(literal, f"dense<…> has a tensor type, not {type}")

        def bad(start: int, end: int, message: str, hint: str | None) -> NoReturn:
            at = literal.start + 1
            fail(SourceLoc(self.reader.source, at + start, at + max(end, start + 1)), message, hint)

        return dense_literal(literal.text[1:-1], type, bad)

    def resource(self, c: list[Any]) -> Attribute:
        key, type = c
        if not isinstance(type, TensorType):
            if isinstance(type, OpaqueType):
                return OpaqueAttr("", f"dense_resource<{key.text}>", type)
            self.fail(key, f"dense_resource<…> has a tensor type, not {type}")
        name = self.string_of(key) if key.type == "STRING" else key.text
        return self.reader.resource(DenseResourceAttr(name, type), key)

    def properties(self, c: list[Any]) -> dict[str, Attribute]:
        entries: dict[str, Attribute] = c[0]
        return entries

    def dictionary(self, c: list[Any]) -> dict[str, Attribute]:
        entries: dict[str, Attribute] = {}
        for entry in c:
            if entry is None:
                continue
            token, value = entry
            key = self.string_of(token) if token.type == "STRING" else token.text
            if key in entries:
                self.fail(token, f"the key '{key}' stands twice in one dictionary")
            entries[key] = value
        return entries

    def entry(self, c: list[Any]) -> tuple[Token, Attribute]:
        return c[0], UnitAttr() if c[1] is None else c[1]

    # ------------------------------------------------------------ locations
    def location(self, c: list[Any]) -> Location:
        found: Location = c[0]
        return found

    def name_place(self, c: list[Any]) -> Location:
        return NameLoc(self.string_of(c[0]), c[1] if len(c) > 1 else UNKNOWN)

    def file_place(self, c: list[Any]) -> Location:
        return FileLineColLoc(self.string_of(c[0]), self.position(c[1]), self.position(c[2]))

    def range_place(self, c: list[Any]) -> Location:
        file, line, column, end_line, end_column = c
        line = self.position(line)
        return FileLineColLoc(
            self.string_of(file),
            line,
            self.position(column),
            line if end_line is None else self.position(end_line),
            self.position(end_column),
        )

    def position(self, token: Token) -> int:
        """A line or column."""
        if not token.text.isdigit() or len(token.text) > 10:
            self.fail(token, "a line or column is a number from 0 to 2^32 - 1")
        return int(token.text)

    def fused_place(self, c: list[Any]) -> Location:
        metadata, *places = c
        return fuse((p for p in places if p is not None), metadata)

    def callsite_place(self, c: list[Any]) -> Location:
        return CallSiteLoc(c[0], c[1])

    def unknown_place(self, c: list[Any]) -> Location:
        return UNKNOWN

    def alias_place(self, c: list[Any]) -> Location:
        return self.reader.location_alias(c[0])

    # ------------------------------------------------------------ clauses with arguments
    def call(self, c: list[Any]) -> Call:
        return Call(c[0].text, tuple(a for a in c[1:] if a is not None))

    def argument(self, c: list[Any]) -> Argument:
        return Argument(None, c[0], self.reader.clause)

    def keyword(self, c: list[Any]) -> Argument:
        return Argument(c[0].text, c[1], c[0].start)

    def word(self, c: list[Any]) -> Word:
        return Word(c[0].text)

    def axis_map(self, c: list[Any]) -> Map:
        return Map(tuple(i for i in c if i is not None))

    def item(self, c: list[Any]) -> tuple[int | None, Any]:
        token = c[0]
        if not token.text.lstrip("-").isdigit() or len(token.text) > 10:
            self.fail(token, "an axis is an integer")
        return int(token.text), c[1]

    def others(self, c: list[Any]) -> tuple[int | None, Any]:
        return None, c[0]
