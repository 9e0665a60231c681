"""Reading texts: modules, types, attributes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import lark

from qir.ir.attributes import Attribute
from qir.ir.context import Context, no_gc
from qir.ir.core import Block, Operation, Region
from qir.ir.diagnostics import QirError, fail
from qir.ir.location import Source
from qir.ir.types import Type
from qir.text.lexer import Input, Token
from qir.text.reader import Reader, TooDeepError
from qir.text.resources import bind_resources
from qir.text.scanner import balanced, check_brackets

if TYPE_CHECKING:
    from qir.dialects.builtin import ModuleOp

_RESUMABLE = frozenset({"op", "ops", "items", "enter"})  # rules one of which is next where an operation may begin

__all__ = ["parse_attribute", "parse_file", "parse_module", "parse_type"]

# Where reading goes on after an error: a line that begins an operation, ends a region or begins a block.
_OPERATION_LINE = re.compile(
    r'^[ \t]*(?:%[^=\n"]*=\s*["A-Za-z_]|"[^"\n]*"[ \t]*\(|[A-Za-z_][\w]*\.[\w.$]+[ \t]*[(@%{]'
    r"|return\b|func\.func\b|module\b|\}|\^)",
    re.M,
)


def parse_module(text: str, context: Context, filename: str = "-", folder: str | None = None) -> ModuleOp:
    """The module that a text holds; other operations at its top are put into a module.

    `filename` is what diagnostics call the text. Weights beside the text are looked for in `folder` (by default that of
    `filename`, or the current one). Raises QirError with all errors found.
    """
    source = Source(filename, text)
    reader = Reader(source, context)
    with no_gc():
        _run(reader)
        if folder is None:
            folder = os.path.dirname(filename) if filename != "-" else ""
        return _finish(reader, folder or ".")


def parse_file(path: str | os.PathLike[str], context: Context) -> ModuleOp:
    """The module in a file. Raises QirError, also where the file cannot be read or is not UTF-8."""
    name = os.fspath(path)
    return parse_module(read_text(name), context, name)


def read_text(path: str) -> str:
    """A file as text. Raises QirError where it cannot be read or is not UTF-8."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        fail(path, f"cannot be read: {error.strerror}")
    return decode_text(data, path)


def decode_text(data: bytes, name: str) -> str:
    """Bytes as text. Raises QirError where they are not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fail(
            f"{name}:{line}", "the text is not UTF-8", "a binary file, such as a model, is imported with qir-translate"
        )


def parse_type(text: str, context: Context) -> Type:
    """The type that a text spells. Raises QirError."""
    found: Type = _piece("type", text, context)
    return found


def parse_attribute(text: str, context: Context) -> Attribute:
    """The attribute that a text spells. Raises QirError."""
    found: Attribute = _piece("attribute", text, context)
    return found


def _piece(rule: str, text: str, context: Context) -> Any:
    source = Source("-", text)
    check_brackets(source)
    return Reader(source, context).parse_piece(rule, text, 0)


def _run(reader: Reader) -> None:
    """Drive Lark's parser over the text; after an error go on at the next line that begins an operation."""
    piece = reader.piece = Input(reader.source)
    actions = reader.actions
    actions.reader = reader
    state: Any = reader.parser.parse_interactive(piece, start="file").parser_state
    states = state.parse_conf.states
    resumed = -1
    try:
        while True:
            try:
                feed = state.feed_token
                for token in state.lexer.lex(state):
                    feed(token)
                feed(Token("$END", "", len(reader.source.text)), True)
                return
            except lark.UnexpectedToken as error:
                start = getattr(error.token, "start", len(reader.source.text))
                # After an error, a bracket too many or too few at the top is most likely its consequence.
                consequence = len(reader.frames) == 1 and error.token.type in ("RBRACE", "$END")
                if not (reader.syntax_errors and consequence):
                    reader.report(reader.syntax_error(error))
                reader.syntax_errors += 1
            except TooDeepError as error:
                reader.syntax_errors += 1
                reader.report(error)
                return
            except QirError as error:
                reader.syntax_errors += 1
                reader.report(error)
                start = piece.position
            start = _past_body(reader.source, start)
            resumed = _resume(reader.source.text, start, resumed)
            if resumed < 0:
                return
            while _RESUMABLE.isdisjoint(states[state.state_stack[-1]]):
                state.state_stack.pop()
                state.value_stack.pop()
            piece.position = resumed
            reader.parameters = None
    finally:
        actions.reader = None
        reader.piece = None


def _past_body(source: Source, start: int) -> int:
    """Where a line that could not be read from `start` on opens regions, the end of the last one, else `start`."""
    text = source.text
    if not text[text.rfind("\n", 0, start) + 1 : start].strip():
        return start
    while (end := text.find("\n", start)) >= 0 and text[start:end].rstrip().endswith("{"):
        try:
            start = balanced(source, text.rindex("{", start, end))
        except QirError:
            break
    return start


def _resume(text: str, start: int, resumed: int) -> int:
    """The start of the next line at which reading can go on; -1 if there is none."""
    line = text.rfind("\n", 0, start) + 1
    here = _OPERATION_LINE.match(text, line)
    if here is not None and not text[line:start].strip() and line > resumed:
        return line
    end = text.find("\n", start)
    while end >= 0:
        match = _OPERATION_LINE.search(text, end + 1)
        if match is None:
            return -1
        if match.start() > resumed:
            return match.start()
        end = text.find("\n", match.end())
    return -1


def _finish(reader: Reader, folder: str) -> ModuleOp:
    """The module that was read, with its data bound."""
    from qir.dialects.builtin import ModuleOp

    if len(reader.frames) == 1:
        reader.undefined()
    top = reader.frames[0].block
    ops: list[Operation] = list(top) if top is not None else []
    if len(ops) == 1 and isinstance(ops[0], ModuleOp):
        module = ops[0]
        module.detach()
    else:
        module = ModuleOp.create(regions=[Region([top or Block()])])
    reader.check_domains(module)
    if not reader.errors:
        try:
            bind_resources(reader, module, folder)
        except QirError as error:
            reader.report(error)
    if reader.errors:
        raise QirError(reader.errors)
    return module
