"""Pipeline strings: MLIR's syntax, ``canonicalize,calibrate{data=x.npz},func.func(cse)``, with carets where one is
wrong.

An item is a pass with options in braces (``key=value`` separated by blanks, lists by commas, values with blanks in
quotes or braces), or an operation's name with a pipeline in parentheses that runs on each such operation.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import attrs

from qir.ir.diagnostics import fail
from qir.ir.location import Source, SourceLoc
from qir.passes.base import Pass, option_specs, parse_value
from qir.passes.registry import find_pass, pass_names, suggestion

__all__ = ["Nested", "parse_pipeline_items"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SINGLE = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
MAX_DEPTH = 64


@attrs.define
class Nested:
    """Passes that run on each operation called `anchor`."""

    anchor: str
    items: list[Pass | Nested] = attrs.field(factory=list)

    def __str__(self) -> str:
        return f"{self.anchor}({','.join(map(str, self.items))})"


class _Parser:
    def __init__(self, text: str, name: str) -> None:
        self.source, self.text, self.at = Source(name, text), text, 0

    def fail(self, start: int, end: int, message: str, hint: str | None = None) -> NoReturn:
        fail(SourceLoc(self.source, start, max(end, start + 1)), message, hint)

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def peek(self) -> str:
        self.blanks()
        return self.text[self.at : self.at + 1]

    # ------------------------------------------------------------ structure
    def pipeline(self, anchor: str, closing: str, opened: int, depth: int) -> list[Pass | Nested]:
        """Items up to `closing` (empty: the end of the text); `opened` is where it began."""
        if depth > MAX_DEPTH:
            self.fail(opened, opened + 1, f"pipelines are nested deeper than {MAX_DEPTH}")
        items: list[Pass | Nested] = []
        while True:
            c = self.peek()
            if c == closing and not items:
                break
            items.append(self.item(anchor, depth))
            c = self.peek()
            if c == ",":
                self.at += 1
                continue
            if c == closing:
                break
            if not c:
                self.fail(opened, opened + 1, f"this '{self.text[opened]}' is never closed")
            if c in ")}":
                self.fail(self.at, self.at + 1, f"unexpected '{c}', nothing is open")
            self.fail(self.at, self.at + 1, f"expected ',' or {repr(closing) if closing else 'the end'} here")
        return items

    def item(self, anchor: str, depth: int) -> Pass | Nested:
        self.blanks()
        start = self.at
        found = _NAME.match(self.text, start)
        if found is None:
            self.fail(start, start + 1, "expected the name of a pass here")
        name = found[0]
        self.at = found.end()
        if self.peek() == "(":
            opened = self.at
            self.at += 1
            if name != "any" and "." not in name:
                self.fail(start, found.end(), f"'{name}' is no operation", "passes nest in builtin.module or func.func")
            items = self.pipeline(name, ")", opened, depth + 1)
            self.at += 1
            return Nested(name, items)
        return self.pass_(name, start, anchor)

    # ------------------------------------------------------------ passes
    def pass_(self, name: str, start: int, anchor: str) -> Pass | Nested:
        end = start + len(name)
        cls = find_pass(name)
        if cls is None:
            known = pass_names()
            self.fail(start, end, f"there is no pass '{name}'", suggestion(name, known) or "--list-passes lists them")
        values: dict[str, Any] = {}
        if self.peek() == "{":
            values = self.options(cls)
        for spec in option_specs(cls):
            if spec.required and spec.field not in values:
                self.fail(start, end, f"pass '{name}' needs the option '{spec.name}' ({spec.type_name}): {spec.help}")
        try:
            made = cls(**values)
        except (TypeError, ValueError) as error:
            self.fail(start, self.at, f"pass '{name}': {error}")
        if cls.anchor is not None and anchor not in (cls.anchor, "any"):
            if anchor == "builtin.module":
                return Nested(cls.anchor, [made])
            self.fail(start, end, f"pass '{name}' runs on {cls.anchor}, not on {anchor}")
        return made

    def options(self, cls: type[Pass]) -> dict[str, Any]:
        opened = self.at
        self.at += 1
        specs = {s.name: s for s in option_specs(cls)}
        values: dict[str, Any] = {}
        while True:
            c = self.peek()
            if c == "}":
                self.at += 1
                return values
            if not c:
                self.fail(opened, opened + 1, "this '{' is never closed")
            found = _KEY.match(self.text, self.at)
            if found is None:
                self.fail(self.at, self.at + 1, "expected an option's name, '=' and its value")
            key, start = found[0], self.at
            spec = specs.get(key.replace("_", "-"))
            if spec is None:
                known = list(specs)
                hint = suggestion(key, known) or (f"it has {', '.join(known)}" if known else "it has none")
                self.fail(start, found.end(), f"pass '{cls.name}' has no option '{key}'", hint)
            self.at = found.end()
            if spec.field in values:
                self.fail(start, found.end(), f"option '{key}' is given twice")
            begin = self.at
            text = ""
            if self.text[self.at : self.at + 1] == "=":
                self.at += 1
                begin = self.at
                text = self.value(opened)
            elif type(spec.default) is not bool:
                self.fail(start, found.end(), f"option '{key}' needs a value: {key}=… ({spec.type_name})")
            try:
                values[spec.field] = parse_value(text, spec.type, spec.choices)
            except ValueError as error:
                self.fail(begin, self.at, f"option '{key}' of pass '{cls.name}': {error}")

    def value(self, opened: int) -> str:
        """Text up to a blank or the closing brace; quotes and balanced braces protect."""
        text, out = self.text, []
        while self.at < len(text):
            c = text[self.at]
            if c.isspace() or c == "}":
                break
            if c in "\"'":
                out.append(self.quoted(c))
            elif c == "{":
                out.append(self.braced())
            else:
                out.append(c)
                self.at += 1
        else:
            self.fail(opened, opened + 1, "this '{' is never closed")
        return "".join(out)

    def quoted(self, quote: str) -> str:
        found = (_DOUBLE if quote == '"' else _SINGLE).match(self.text, self.at)
        if found is None:
            self.fail(self.at, self.at + 1, "this quote is never closed")
        self.at = found.end()
        return re.sub(r"(?s)\\(.)", r"\1", found[0][1:-1])

    def braced(self) -> str:
        start, depth = self.at, 1
        self.at += 1
        while depth:
            if self.at >= len(self.text):
                self.fail(start, start + 1, "this '{' is never closed")
            c = self.text[self.at]
            self.at += 1
            depth += (c == "{") - (c == "}")
        return self.text[start + 1 : self.at - 1]


def parse_pipeline_items(text: str, name: str = "<pipeline>") -> Nested:
    """The passes of a pipeline, anchored on ``builtin.module``. Raises QirError with a caret inside the string."""
    parser = _Parser(text, name)
    items = parser.pipeline("builtin.module", "", 0, 0)
    parser.blanks()
    if len(items) == 1 and isinstance(items[0], Nested) and items[0].anchor in ("builtin.module", "any"):
        return items[0]
    return Nested("builtin.module", items)
