"""A module put into text and back: what every stage must survive."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, QirError, difference

__all__ = ["Broken", "through_text"]


class Broken(Exception):
    """What no target may do: a text that is not the module, a fusion that did not happen, a result that is another."""


def through_text(module: ModuleOp, stage: str) -> ModuleOp:
    """The module read back from its text. Raises Broken where either form parses to another module, or prints to
    another text."""
    from qir.text import parse_module, print_module

    again = module
    for generic in (True, False):
        form = "generic" if generic else "pretty"
        text = print_module(module, generic=generic)
        try:
            again = parse_module(text, Context(allow_unregistered=True), f"<{form} text after {stage}>")
        except QirError as error:
            raise Broken(f"the {form} text after {stage} does not parse: {error}") from error
        found = difference(module, again, names=True, locations=not generic)
        if found is None and print_module(again, generic=generic) != text:
            found = "it prints to another text"
        if found is not None:
            raise Broken(f"the {form} text after {stage} is another module: {found}")
    return again
