"""The compiled grammar, and its errors in words."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import lark
import lark.lexer

from qir.text.lexer import QirLexer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["STARTS", "acceptable", "compiled", "expectation", "grammar_text"]

STARTS = ("file", "type", "attribute", "dictionary", "properties", "function_type", "location", "call")
"""The rules that a text can be parsed by: `file` is level 1, the others level 2."""

_local = threading.local()


def grammar_text() -> str:
    """The grammar file."""
    return files("qir.text").joinpath("grammar.lark").read_text(encoding="utf-8")


@contextmanager
def _no_collision_check() -> Iterator[None]:
    """Where interegular is installed (our tests need it) Lark compares all terminals pairwise, in every process and for
    a third of the start-up time. A test does that once, in strict mode."""
    lexer: Any = lark.lexer
    installed, lexer.has_interegular = lexer.has_interegular, False
    try:
        yield
    finally:
        lexer.has_interegular = installed


def compiled() -> tuple[lark.Lark, Any]:
    """The parser of this thread and its actions: Lark's LALR(1) tables with the actions embedded, built once."""
    try:
        found: tuple[lark.Lark, Any] = _local.compiled
    except AttributeError:
        from qir.text.operations import Actions

        actions = Actions()
        with _no_collision_check():
            parser = lark.Lark(
                grammar_text(),
                parser="lalr",
                lexer=QirLexer,
                transformer=actions,
                start=list(STARTS),
                maybe_placeholders=True,
            )
        for rule in parser.rules:  # Lark looks these names up at each step; its own strings compare slowly
            rule.origin.name = str(rule.origin.name)
        found = _local.compiled = (parser, actions)
    return found


def acceptable(state: Any, terminals: Iterable[str]) -> list[str]:
    """Those of the terminals that the parser can really take in `state`: LALR tables merge contexts, so that a state
    lists some that only another context takes."""
    states, end = state.parse_conf.states, state.parse_conf.end_state
    found = []
    for terminal in terminals:
        stack = list(state.state_stack)
        while (step := states[stack[-1]].get(terminal)) is not None:
            rule = step[1]
            if not hasattr(rule, "expansion"):  # a shift
                found.append(terminal)
                break
            del stack[len(stack) - len(rule.expansion) :]
            stack.append(states[stack[-1]][rule.origin.name][1])
            if terminal == "$END" and stack[-1] == end:
                found.append(terminal)
                break
    return found


_WORDS = {
    "RESULTS": "an operation",
    "STRING": "a string",
    "OPNAME": "an operation",
    "FUNC": "an operation",
    "MODULE": "an operation",
    "VALUES": "a value (%name)",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "COLON": "':'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LESSTHAN": "'<'",
    "MORETHAN": "'>'",
    "EQUAL": "'='",
    "ARROW": "'->'",
    "ELLIPSIS": "'...'",
    "PROPERTIES": "'<{'",
    "DICT": "a dictionary ({key = value})",
    "SIGNATURE": "a signature ((types) -> types)",
    "LOCATION": "loc(...)",
    "LOC": "loc(...)",
    "SYMBOL": "a symbol (@name)",
    "WORD": "a word",
    "CALL": "a word with arguments",
    "TYPE": "a type",
    "ALIAS": "an alias",
    "ALIAS_VALUE": "the alias's value",
    "RESOURCES": "'{-#'",
    "CARET": "a block label (^name)",
    "VISIBILITY": "'private'",
    "ATTRIBUTES": "'attributes'",
    "TO": "'to'",
    "NAMED_TYPE": "a type",
    "TENSOR": "a type",
    "COMPLEX": "a type",
    "TUPLE": "a type",
    "DIALECT_TYPE": "a type",
    "OTHER_TYPE": "a type",
    "TYPE_ALIAS": "a type",
    "DIMS": "dimensions (4x?x)",
    "NUMBER": "a number",
    "ARRAY": "array<...>",
    "LITERAL": "'<'",
    "KEY": "a key",
    "DIALECT_ATTR": "an attribute",
    "OTHER_ATTR": "an attribute",
    "ATTR_ALIAS": "an attribute",
    "TRUE": "an attribute",
    "FALSE": "an attribute",
    "UNIT": "an attribute",
    "DENSE": "an attribute",
    "DENSE_RESOURCE": "an attribute",
    "FUSED": "a location",
    "CALLSITE": "a location",
    "UNKNOWN": "a location",
    "AT": "'at'",
    "$END": "the end",
}
_ATTRIBUTE_PARTS = {
    "an attribute",
    "a type",
    "a number",
    "a string",
    "a symbol (@name)",
    "'['",
    "'{'",
    "'('",
    "array<...>",
    "loc(...)",
}


def expectation(terminals: Iterable[str]) -> str:
    """Which terminals the grammar takes, in words."""
    words = {_WORDS.get(t, t) for t in terminals}
    if "an attribute" in words:
        words -= _ATTRIBUTE_PARTS
        words.add("an attribute")
    elif "a type" in words and "'('" in words:
        words.discard("'('")
    if "an operation" in words:
        words -= {"a string", "an alias", "'{-#'", "a block label (^name)"}
        if "'}'" in words:
            words -= {"the end", "'}'"} if "loc(...)" in words else {"the end"}
    ordered = sorted(words, key=lambda w: (w[0] == "'", w))
    return ordered[0] if len(ordered) == 1 else ", ".join(ordered[:-1]) + " or " + ordered[-1] if ordered else "nothing"
