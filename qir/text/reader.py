"""The state of one parse: aliases, memoised types and dictionaries, scopes of values, diagnostics."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import attrs
import lark

from qir.ir.attributes import (
    Attribute,
    DenseResourceAttr,
    DictAttr,
    LocationAttr,
    SymbolRefAttr,
)
from qir.ir.context import Context
from qir.ir.core import Block, Operation, Trait, UnregisteredOp, Value
from qir.ir.diagnostics import Diagnostic, QirError, Severity, as_location, fail
from qir.ir.location import UNKNOWN, Location, NameLoc, Source, SourceLoc, UnknownLoc
from qir.ir.types import FunctionType, NoneType, Type
from qir.text.lexer import Input, Token
from qir.text.scanner import MAX_DEPTH, skip_space, value_end
from qir.text.syntax import acceptable, compiled, expectation
from qir.text.values import Call

__all__ = ["MAX_ERRORS", "ForwardValue", "Frame", "Poison", "Reader", "TooDeepError", "count"]

MAX_ERRORS = 20
_MAX_WEIGHT = 100_000
_MEMO_LIMIT = 8192  # longer texts are rarely repeated
_ALIAS = re.compile(r"^[ \t]*([!#][A-Za-z_][\w$]*)[ \t]*=", re.M)
_VALUE = re.compile(r"%[\w$.\-]+(?:[#:]\d+)?|_")


class TooDeepError(QirError):
    """Nesting that no text of sense has: reading does not go on."""


class ForwardValue(Value):
    """A value that is used before the text defines it."""

    __slots__ = ("name", "start", "type", "uses")

    def __init__(self, type: Type, name: str, start: int) -> None:
        self.type, self.uses, self.name, self.start = type, {}, name, start


class Poison(Value):
    """A result of an operation that could not be read; its uses are no further errors."""

    __slots__ = ("name", "type", "uses")

    def __init__(self) -> None:
        self.type, self.uses, self.name = NoneType(), {}, None


class Frame:
    """A region that is being read: its blocks, the block that grows, and the scope around it."""

    __slots__ = ("block", "blocks", "defined", "forwards", "owner", "scope")

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.blocks: list[Block] = []
        self.block: Block | None = None
        self.defined: list[str] = []
        self.scope: dict[str, Value] | None = None  # the scope around an isolated region
        self.forwards: dict[str, ForwardValue] | None = None


class Reader:
    """One text being read into a context."""

    def __init__(self, source: Source, context: Context) -> None:
        self.source, self.context = source, context
        self.parser, self.actions = compiled()
        self.errors: list[Diagnostic] = []
        self.syntax_errors = 0
        self.clause = 0  # where the clause that is being read begins
        self.piece: Input | None = None
        # memos, by text
        self.types: dict[str, Type] = {}
        self.signatures: dict[str, FunctionType] = {}
        self.dictionaries: dict[str, dict[str, Attribute]] = {}
        self.locations: dict[str, Location] = {}
        self.classes: dict[str, type[Operation]] = {}
        self.unregistered: dict[str, int] = {}
        # what aliases stand for: a place in the text until it is needed
        self.aliases: dict[str, tuple[int, int] | Any] = {}
        self._resolving: set[str] = set()
        self._weights: dict[str, int] = {}  # how many aliases each expands to, itself included
        self._weight = 0
        if "=" in source.text[:200] or "\n#" in source.text or "\n!" in source.text:
            self._find_aliases()
        self.resources: list[tuple[DenseResourceAttr, int]] = []
        self.sections: list[Token] = []
        # scopes
        self.scope: dict[str, Value] = {}
        self.forwards: dict[str, ForwardValue] = {}
        self.frames: list[Frame] = [Frame("")]
        self.parameters: list[Any] | None = None

    # ------------------------------------------------------------ messages
    def place(self, start: int, end: int) -> SourceLoc:
        return SourceLoc(self.source, start, end)

    def fail(self, start: int, end: int, message: str, hint: str | None = None) -> NoReturn:
        fail(SourceLoc(self.source, start, end), message, hint)

    def report(self, error: QirError) -> None:
        """Keep an error and go on; stops at `MAX_ERRORS`."""
        self.errors.extend(error.diagnostics)
        if len(self.errors) >= MAX_ERRORS:
            raise QirError(self.errors)

    def syntax_error(self, error: lark.UnexpectedToken) -> QirError:
        """An unexpected token in words."""
        token = error.token
        start = getattr(token, "start", None)
        expected = expectation(acceptable(error.state, error.expected))
        if token.type == "$END":
            end = (
                self.piece.base + len(self.piece.text)
                if self.piece is not None and self.piece.fine
                else len(self.source.text)
            )
            start, width, got = max(0, end - 1 if not (self.piece and self.piece.fine) else end), 1, "the text ends"
            message = f"{expected} is expected, but {got} here"
        else:
            text = token.text if len(token.text) <= 40 else token.text[:37] + "..."
            width = len(token.text.partition("\n")[0])
            message = (
                f"{expected} is expected, not '{text}'" if "'" not in text else f"{expected} is expected, not {text}"
            )
        return _error(self.place(start or 0, (start or 0) + width), message)

    # ------------------------------------------------------------ level 2: pieces, read once per distinct text
    def parse_piece(self, rule: str, text: str, base: int) -> Any:
        """Read a piece of the source that begins at `base` by a rule of level 2."""
        outer, outer_reader = self.piece, getattr(self.actions, "reader", None)
        self.piece = Input(self.source, text, base)
        self.actions.reader = self
        try:
            return self.parser.parse(self.piece, start=rule)
        except lark.UnexpectedToken as error:
            raise self.syntax_error(error) from None
        finally:
            self.piece, self.actions.reader = outer, outer_reader

    def parse_type(self, text: str, start: int) -> Type:
        found = self.types.get(text)
        if found is None:
            found = self.types[text] = self.parse_piece("type", text, start)
        return found

    def type_of(self, token: Token) -> Type:
        found = self.types.get(token.text)
        return self.parse_type(token.text, token.start) if found is None else found

    def signature(self, token: Token) -> FunctionType:
        found = self.signatures.get(token.text)
        if found is None:
            found = self.parse_piece("function_type", token.text, token.start)
            intern = self.types
            found = FunctionType(
                tuple(intern.setdefault(str(t), t) for t in found.inputs),
                tuple(intern.setdefault(str(t), t) for t in found.results),
            )
            self.signatures[token.text] = found
        return found

    def dictionary(self, token: Token) -> dict[str, Attribute]:
        """The entries of a dictionary or of properties. Do not change them."""
        found = self.dictionaries.get(token.text)
        if found is None:
            rule = "properties" if token.type == "PROPERTIES" else "dictionary"
            found = self.parse_piece(rule, token.text, token.start)
            if len(token.text) < _MEMO_LIMIT:
                self.dictionaries[token.text] = found
        return found

    def location(self, token: Token) -> Location:
        found = self.locations.get(token.text)
        if found is None:
            found = self.locations[token.text] = self.parse_piece("location", token.text, token.start)
        return found

    def parse_call(self, token: Token) -> Call:
        self.clause = token.start
        found: Call = self.parse_piece("call", token.text, token.start)
        return found

    def symbol(self, token: Token) -> SymbolRefAttr:
        self.actions.reader = self
        found: SymbolRefAttr = self.actions.symbol_of(token)
        return found

    # ------------------------------------------------------------ aliases
    def _find_aliases(self) -> None:
        """Where each alias's value stands: a location may be used before its alias is defined."""
        text = self.source.text
        for match in _ALIAS.finditer(text):
            name = match.group(1)
            if name in self.aliases:
                self.report(
                    _error(self.place(match.start(1), match.end(1)), f"the alias {name} is defined a second time")
                )
            start = skip_space(text, match.end())
            try:
                self.aliases[name] = (start, value_end(self.source, start))
            except QirError as error:
                self.report(error)

    def alias(self, name: str, start: int) -> Any:
        """What an alias stands for: a type, or an attribute."""
        value = self.aliases.get(name)
        if value is None:
            close = difflib.get_close_matches(name, self.aliases, 1)
            self.fail(
                start,
                start + len(name),
                f"the alias {name} is not defined",
                f"did you mean {close[0]}?" if close else None,
            )
        if isinstance(value, tuple):
            if name in self._resolving:
                self.fail(start, start + len(name), f"the alias {name} is defined by itself")
            if len(self._resolving) >= MAX_DEPTH:
                self.fail(start, start + len(name), f"aliases are nested more than {MAX_DEPTH} deep")
            self._resolving.add(name)
            outer, self._weight = self._weight, 1
            try:
                begin, end = value
                rule = "type" if name[0] == "!" else "attribute"
                value = self.aliases[name] = self.parse_piece(rule, self.source.text[begin:end].rstrip(), begin)
                self._weights[name] = self._weight
            finally:
                self._resolving.discard(name)
                self._weight = outer
        self._weight += self._weights[name]
        # A few lines of aliases of aliases can stand for more than any memory holds.
        if self._weights[name] > _MAX_WEIGHT:
            self.fail(start, start + len(name), f"the alias {name} expands to more than {_MAX_WEIGHT} parts")
        return value

    def type_alias(self, token: Token) -> Type:
        found: Type = self.alias(token.text, token.start)
        return found

    def attribute_alias(self, token: Token) -> Attribute:
        found: Attribute = self.alias(token.text, token.start)
        return found

    def location_alias(self, token: Token) -> Location:
        value = self.attribute_alias(token)
        if not isinstance(value, LocationAttr):
            self.fail(token.start, token.end, f"{token.text} is no location")
        return value.location

    def resource(self, attribute: DenseResourceAttr, key: Token) -> DenseResourceAttr:
        """Remember a reference to data; the data is found when all is read."""
        self.resources.append((attribute, key.start))
        return attribute

    # ------------------------------------------------------------ operations
    def op_class(self, name: str, token: Token) -> type[Operation]:
        """The class of operations called `name`."""
        found = self.classes.get(name)
        if found is None:
            found = self.context.op_class(name)
            if found is None:
                self._check_unregistered(name, token)
                found = UnregisteredOp
            self.classes[name] = found
        return found

    def _check_unregistered(self, name: str, token: Token) -> None:
        if self.context.allow_unregistered:
            return
        prefix, dot, _ = name.partition(".")
        dialect = self.context.dialect(prefix) if dot else None
        if dialect is None:
            self.unregistered.setdefault(name, token.start)  # it may be of a domain that the module declares
            return
        close = difflib.get_close_matches(name, dialect.names(), 1)
        hint = (
            f"did you mean {close[0]}?"
            if close
            else "--allow-unregistered-dialect keeps operations that nobody defines"
        )
        self.fail(token.start, token.end, f"the dialect '{prefix}' has no operation '{name}'", hint)

    def check_domains(self, module: Operation) -> None:
        """Operations of unknown dialects are fine where the module declares their name's prefix as an ONNX domain."""
        opset = module.attributes.get("onnx.opset")
        domains = {key for key, _ in opset.entries} if isinstance(opset, DictAttr) else set()
        for name, start in self.unregistered.items():
            if name.rpartition(".")[0] not in domains:
                width = len(name) + (2 if self.source.text[start] == '"' else 0)
                self.report(
                    _error(
                        self.place(start, start + width),
                        f"no dialect defines the operation '{name}'",
                        "--allow-unregistered-dialect keeps operations that nobody defines",
                    )
                )

    def operands(self, names: Token | None, types: Sequence[Type], op: Token) -> tuple[Value, ...]:
        """The values that a list of names means, which must have these types."""
        if names is None:
            if types:
                self.fail(
                    op.start, op.end, f"'{op.text.strip(chr(34))}' has no operands, but its type has {len(types)}"
                )
            return ()
        scope = self.scope
        try:
            values = tuple([scope[name] for name in names.text.split(", ")])
        except KeyError:
            values = self._slow_operands(names, types)
        if len(values) != len(types):
            self.fail(
                names.start,
                names.end,
                f"{count(len(values), 'value')}, but {count(len(types), 'type')} in the signature",
            )
        for index, value in enumerate(values):
            type = types[index]
            if value.type is not type and value.type != type and not isinstance(value, Poison):
                position = list(_VALUE.finditer(names.text))[index]
                self.fail(
                    names.start + position.start(),
                    names.start + position.end(),
                    f"'{position.group()}' has the type {value.type}, here it is used as {type}",
                )
        return values

    def _slow_operands(self, names: Token, types: Sequence[Type]) -> tuple[Value, ...]:
        values: list[Value] = []
        for index, match in enumerate(_VALUE.finditer(names.text)):
            name = match.group()
            start = names.start + match.start()
            if name == "_":
                self.fail(start, start + 1, "'_' (an absent operand) can only stand in name(...) : (types) -> types")
            if ":" in name:
                self.fail(start, start + len(name), f"'{name}': a number of results can only stand before '='")
            value = self.scope.get(name)
            if value is None and name.endswith("#0"):
                value = self.scope.get(name[:-2])
                if value is not None and name[:-2] + "#1" in self.scope:
                    value = None
            if value is None:
                value = self.forwards.get(name)
            if value is None:
                type = types[index] if index < len(types) else NoneType()
                value = self.forwards[name] = ForwardValue(type, name, start)
            values.append(value)
        return tuple(values)

    def define(self, name: str, value: Value, start: int) -> None:
        """Let a name of the text mean a value."""
        scope = self.scope
        if name in scope:
            self.fail(start, start + len(name), f"'{name}' is defined a second time")
        scope[name] = value
        self.frames[-1].defined.append(name)
        if self.forwards:
            forward = self.forwards.pop(name, None) or (
                self.forwards.pop(name[:-2], None) if name.endswith("#0") else None
            )
            if forward is not None:
                if forward.type != value.type and not isinstance(value, Poison):
                    self.report(
                        _error(
                            self.place(forward.start, forward.start + len(name)),
                            f"'{name}' has the type {value.type}, here it is used as {forward.type}",
                        )
                    )
                forward.replace_all_uses_with(value)

    # ------------------------------------------------------------ regions
    def enter(self, owner: str) -> Frame:
        """A region of the operation called `owner` begins."""
        if len(self.frames) > MAX_DEPTH:
            at = self.piece.position if self.piece is not None else 0
            error = _error(self.place(max(0, at - 1), at), f"regions are nested more than {MAX_DEPTH} deep")
            raise TooDeepError(error.diagnostics)
        frame = Frame(owner)
        cls = self.classes.get(owner) or self.context.op_class(owner)
        if cls is not None and cls.traits & Trait.ISOLATED_FROM_ABOVE:
            frame.scope, frame.forwards = self.scope, self.forwards
            self.scope, self.forwards = {}, {}
        self.frames.append(frame)
        return frame

    def leave(self) -> Frame:
        """The innermost region ends: what it defined is no longer visible."""
        frame = self.frames.pop()
        if frame.scope is not None and frame.forwards is not None:
            self.undefined()
            self.scope, self.forwards = frame.scope, frame.forwards
        else:
            scope = self.scope
            for name in frame.defined:
                scope.pop(name, None)
        return frame

    def undefined(self) -> None:
        """Report values that are used and never defined."""
        if self.syntax_errors:
            return  # the definition may be in what could not be read
        for name, forward in self.forwards.items():
            close = difflib.get_close_matches(name, self.scope, 1)
            self.report(
                _error(
                    self.place(forward.start, forward.start + len(name)),
                    f"'{name}' is not defined",
                    f"did you mean {close[0]}?" if close else None,
                )
            )

    def located(self, token: Token | None, start: int, end: int) -> Location:
        """The location of what stands at `start`, with that place in it."""
        at = SourceLoc(self.source, start, end)
        if token is None:
            return UnknownLoc(at)
        text = token.text
        if text[4] == '"' and "\\" not in text and text[-2] == '"' and text.find('"', 5) == len(text) - 2:
            return NameLoc(text[5:-2], UNKNOWN, at)
        found = self.location(token)
        return UnknownLoc(at) if found is UNKNOWN else attrs.evolve(found, at=at)  # type: ignore[misc]


def count(number: int, what: str) -> str:
    """A number of things in words."""
    return f"{number} {what}{'s' * (number != 1)}"


def _error(place: SourceLoc, message: str, hint: str | None = None) -> QirError:
    return QirError(Diagnostic(Severity.ERROR, as_location(place), message, hint=hint))
