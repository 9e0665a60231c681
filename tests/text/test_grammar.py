"""The grammar file: one table, no conflicts, every terminal explained."""

from __future__ import annotations

import lark

from qir.text.lexer import QirLexer
from qir.text.syntax import STARTS, compiled, expectation, grammar_text


def test_the_grammar_is_clean_under_strict_mode() -> None:
    """Lark resolves shift/reduce conflicts silently; its strict mode names them (and needs interegular)."""
    lark.Lark(grammar_text(), parser="lalr", lexer=QirLexer, start=list(STARTS), maybe_placeholders=True, strict=True)


def test_every_terminal_has_words_for_messages() -> None:
    parser, _ = compiled()
    for terminal in parser.terminals:
        assert expectation([terminal.name]) != terminal.name


def test_every_rule_has_an_action() -> None:
    parser, actions = compiled()
    names = {rule.alias or rule.origin.name for rule in parser.rules if not rule.origin.name.startswith("__")}
    kept = {name for name in names if not hasattr(actions, name)}
    assert kept <= {"plain_type", "value"}  # inlined by '?'


def test_the_grammar_stays_one_page_of_rules() -> None:
    rules = [line for line in grammar_text().splitlines() if line.strip() and not line.lstrip().startswith("//")]
    assert len(rules) < 120
