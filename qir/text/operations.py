"""Actions of the grammar's first level: operations, regions, functions, modules."""

from __future__ import annotations

from typing import Any

from qir.ir.attributes import ArrayAttr, Attribute, DictAttr, StringAttr, TypeAttr, dictionary
from qir.ir.core import Block, BlockArgument, Operation, Region, Value, new_operation
from qir.ir.diagnostics import QirError
from qir.ir.location import UNKNOWN, SourceLoc, UnknownLoc
from qir.ir.types import FunctionType, NoneType, Type
from qir.text.clauses import Clause, ClauseReader
from qir.text.lexer import Token
from qir.text.names import ARGUMENT_NAME, ARGUMENT_NAMES, RESULT_NAMES, argument_name, result_name
from qir.text.reader import Frame, Poison, count
from qir.text.values import ValueActions

__all__ = ["Actions"]

_NO_VALUE = "onnx.NoValue"


class Actions(ValueActions):
    """What Lark calls when a rule is complete. Operations are put into their block at once, and give None."""

    # ------------------------------------------------------------ a file
    def file(self, c: list[Any]) -> None:
        return None

    def items(self, c: list[Any]) -> None:
        if len(c) == 2 and c[1].__class__ is Token:
            self.reader.sections.append(c[1])

    def alias(self, c: list[Any]) -> None:
        reader = self.reader
        try:
            reader.alias(c[0].text, c[0].start)
        except QirError as error:
            reader.report(error)

    def ops(self, c: list[Any]) -> None:
        return None

    def blocks(self, c: list[Any]) -> None:
        return None

    # ------------------------------------------------------------ operations
    def op(self, c: list[Any]) -> None:
        results, made, location = c
        reader = self.reader
        op: Operation | None
        op, name = made
        try:
            if op is None:
                if results is not None:
                    self._poison(results)
                return
            start = name.start
            at = SourceLoc(reader.source, start, start + len(name.text))
            op.location = UnknownLoc(at) if location is None else reader.located(location, at.start, at.end)
            if RESULT_NAMES in op.attributes or ARGUMENT_NAMES in op.attributes:
                self._take_names(op, name)
            block = reader.frames[-1].block
            if block is None:
                block = self._new_block()
            block.append(op)
            if results is not None:
                self._define(op, results)
            elif op.results:
                reader.report(
                    op.error(
                        f"gives {count(len(op.results), 'result')}, but no name stands before it",
                        "write %name = before it",
                    )
                )
        except QirError as error:
            reader.report(error)
            if results is not None:
                self._poison(results)

    def _define(self, op: Operation, results: Token) -> None:
        """Let the names before ``=`` mean the results."""
        reader, text, values = self.reader, results.text, op.results
        if len(values) == 1 and "," not in text and ":" not in text:
            value = values[0]
            if value.name is None and not text[1].isdigit():
                value.name = result_name(text[1:], op.location, 0)
            scope = reader.scope
            if text in scope or reader.forwards:
                reader.define(text, value, results.start)
            else:
                scope[text] = value
                reader.frames[-1].defined.append(text)
            return
        index = 0
        position = 0
        for part in text.split(","):
            start = results.start + position + len(part) - len(part.lstrip())
            position += len(part) + 1
            name, _, number = part.strip().partition(":")
            if "#" in name or not name.startswith("%"):
                reader.fail(start, start + len(name), f"'{name}' cannot name a result")
            size = int(number) if number and len(number) < 8 else 1 if not number else 1 << 30
            if index + size > len(values) or size < 1:
                break
            for i in range(size):
                value = values[index]
                if value.name is None and not name[1].isdigit() and size == 1:
                    value.name = result_name(name[1:], op.location, index)
                reader.define(f"{name}#{i}" if number else name, value, start)
                if number and i == 0:
                    reader.define(name, value, start)
                index += 1
        else:
            if index == len(values):
                return
        given = "1 name stands" if "," not in text and ":" not in text else "another number of names stand"
        reader.fail(
            results.start, results.end, f"'{op.name}' gives {count(len(values), 'result')}, but {given} before it"
        )

    def _poison(self, results: Token) -> None:
        """Let the names of an operation that could not be read mean nothing, without further errors."""
        reader = self.reader
        for part in results.text.split(","):
            name, _, number = part.strip().partition(":")
            names = [name, *(f"{name}#{i}" for i in range(min(int(number), 1000)))] if number.isdigit() else [name]
            for n in names:
                if n not in reader.scope:
                    reader.define(n, Poison(), results.start)

    def _take_names(self, op: Operation, token: Token) -> None:
        """Move the attributes that say exact names into the values."""
        names = op.attributes.pop(RESULT_NAMES, None)
        if names is not None:
            strings = _strings(names)
            if strings is None or len(strings) != len(op.results):
                self.fail(token, f"'{RESULT_NAMES}' must be a list of {len(op.results)} strings, one for each result")
            for value, string in zip(op.results, strings, strict=True):
                value.name = string or None
        lists = op.attributes.pop(ARGUMENT_NAMES, None)
        if lists is not None:
            blocks = [block for region in op.regions for block in region.blocks]
            groups = [_strings(v) for v in lists.values] if isinstance(lists, ArrayAttr) else []
            if [None if g is None else len(g) for g in groups] != [len(b.args) for b in blocks]:
                self.fail(
                    token,
                    f"'{ARGUMENT_NAMES}' must be one list of strings for each block, one string for each argument",
                )
            for block, group in zip(blocks, groups, strict=True):
                for argument, string in zip(block.args, group or (), strict=True):
                    argument.name = string or None

    def _make(
        self,
        token: Token,
        name: str,
        values: Token | None,
        type: FunctionType,
        attributes: dict[str, Attribute],
        regions: Any,
    ) -> Operation:
        reader = self.reader
        cls = reader.classes.get(name)
        if cls is None:
            cls = reader.op_class(name, token)
        inputs = type.inputs
        if values is None and not inputs:
            operands: tuple[Value, ...] = ()
        else:
            operands = reader.operands(values, inputs, token)
        return new_operation(cls, name, operands, type.results, attributes, regions or (), UNKNOWN)

    def generic(self, c: list[Any]) -> tuple[Operation | None, Token]:
        token, values, properties, regions, discardable, signature = c
        reader = self.reader
        try:
            name = token.text[1:-1] if "\\" not in token.text else self.string_of(token)
            type = reader.signatures.get(signature.text) or reader.signature(signature)
            attributes: dict[str, Attribute] = {}
            if properties is not None:
                attributes = dict(reader.dictionaries.get(properties.text) or reader.dictionary(properties))
            if discardable is not None:
                more = reader.dictionaries.get(discardable.text) or reader.dictionary(discardable)
                if attributes:
                    twice = attributes.keys() & more.keys()
                    if twice:
                        self.fail(discardable, f"the key '{min(twice)}' stands in <{{…}}> and in {{…}}")
                    attributes.update(more)
                else:
                    attributes = dict(more)
            op = self._make(token, name, values, type, attributes, regions)
            if name == "func.func":
                _take_argument_names(op)
            elif name == "builtin.module" and len(op.regions) == 1 and not op.regions[0].blocks:
                op.regions[0].add_block(Block())
            return op, token
        except QirError as error:
            reader.report(error)
            return None, token

    def uniform(self, c: list[Any]) -> tuple[Operation | None, Token]:
        token, values, discardable, regions, signature = c
        reader = self.reader
        try:
            type = reader.signatures.get(signature.text) or reader.signature(signature)
            attributes = {} if discardable is None else dict(reader.dictionary(discardable))
            name = token.text
            if "." not in name:
                name = "func." + name
            if (
                values is not None
                and "_" in values.text
                and (parts := [p.strip() for p in values.text.split(",")]).count("_")
            ):
                return self._with_absent(token, name, values, parts, type, attributes, regions), token
            return self._make(token, name, values, type, attributes, regions), token
        except QirError as error:
            reader.report(error)
            return None, token

    def clauses(self, c: list[Any]) -> tuple[Operation | None, Token]:
        token, *clauses = c
        reader = self.reader
        try:
            name = token.text if "." in token.text else "func." + token.text
            cls = reader.op_class(name, token)
            from_clauses = getattr(cls, "from_clauses", None)
            if from_clauses is None:
                self.fail(token, f"'{name}' is written {name}(%operands) {{attributes}} : (types) -> types")
            row = ClauseReader(reader, token, clauses)
            op: Operation = from_clauses(row)
            row.end()
            return op, token
        except QirError as error:
            reader.report(error)
            return None, token

    # ------------------------------------------------------------ absent operands
    def _with_absent(
        self,
        token: Token,
        name: str,
        values: Token,
        parts: list[str],
        type: FunctionType,
        attributes: dict[str, Attribute],
        regions: Any,
    ) -> Operation:
        """An operation with ``_`` among its operands: each stands for an ``onnx.NoValue`` just before it."""
        reader = self.reader
        if len(parts) != len(type.inputs):
            self.fail(values, f"{len(parts)} operands, but {len(type.inputs)} types in the signature")
        present = ", ".join(p for p in parts if p != "_")
        types = tuple(t for p, t in zip(parts, type.inputs, strict=True) if p != "_")
        if any(p == "_" and not isinstance(t, NoneType) for p, t in zip(parts, type.inputs, strict=True)):
            self.fail(values, "the type of '_' (an absent operand) is none")
        given = iter(reader.operands(Token("VALUES", present, values.start) if present else None, types, token))
        cls = reader.op_class(_NO_VALUE, token)
        block = reader.frames[-1].block
        if block is None:  # an empty one is false
            block = self._new_block()
        at = UnknownLoc(SourceLoc(reader.source, token.start, token.end))
        operands: list[Value] = []
        for part in parts:
            if part == "_":
                absent = cls.create((), (NoneType(),), {}, (), at)
                block.append(absent)
                operands.append(absent.results[0])
            else:
                operands.append(next(given))
        found = reader.op_class(name, token)
        return new_operation(found, name, tuple(operands), type.results, attributes, regions or (), UNKNOWN)

    # ------------------------------------------------------------ clauses
    def clause(self, c: list[Any]) -> Clause:
        return Clause(c[0].type, c)

    def callee(self, c: list[Any]) -> Clause:
        return Clause("CALLEE", [t for t in c if t is not None])

    def typing(self, c: list[Any]) -> Clause:
        return Clause("TYPING", c)

    def target(self, c: list[Any]) -> Clause:
        return Clause("TARGET", c)

    # ------------------------------------------------------------ functions and modules
    def function(self, c: list[Any]) -> tuple[Operation | None, Token]:
        token, visibility, symbol, parameters, returned, given, region = c
        reader = self.reader
        reader.parameters = None
        try:
            arguments = parameters or []
            results: list[tuple[Type, dict[str, Attribute]]] = returned or []
            attributes = {} if given is None else dict(reader.dictionary(given))
            ref = self.symbol_of(symbol)
            if ref.nested:
                self.fail(symbol, "a function's name is one symbol")
            fixed: dict[str, Attribute] = {
                "sym_name": StringAttr(ref.root),
                "function_type": TypeAttr(FunctionType(tuple(a[1] for a in arguments), tuple(t for t, _ in results))),
            }
            if visibility is not None:
                fixed["sym_visibility"] = StringAttr(visibility.text)
            if any(a[2] for a in arguments):
                fixed["arg_attrs"] = ArrayAttr(tuple(dictionary(a[2]) for a in arguments))
            if any(d for _, d in results):
                fixed["res_attrs"] = ArrayAttr(tuple(dictionary(d) for _, d in results))
            for key in fixed:
                if key in attributes:
                    self.fail(given, f"'{key}' is already said by the function's head")
            attributes.update(fixed)
            if region is None:
                region = Region()
                if any(a[0] is not None for a in arguments):
                    self.fail(symbol, "a function without a body has types as arguments, not %names")
            elif not region.blocks:
                region.add_block(Block())
            cls = reader.op_class("func.func", token)
            op = cls.create((), (), attributes, (region,))
            _take_argument_names(op)
            return op, token
        except QirError as error:
            reader.report(error)
            return None, token

    def parameters(self, c: list[Any]) -> list[Any]:
        self.reader.parameters = c
        return c

    def parameter(self, c: list[Any]) -> tuple[Token, Type, dict[str, Attribute], Token | None]:
        values, type, attributes, location = c
        reader = self.reader
        if not values.text.startswith("%") or "," in values.text or "#" in values.text or ":" in values.text:
            self.fail(values, "an argument is written %name: type")
        return values, reader.type_of(type), {} if attributes is None else dict(reader.dictionary(attributes)), location

    def unnamed_parameter(self, c: list[Any]) -> tuple[None, Type, dict[str, Attribute], Token]:
        type, attributes, _ = c
        reader = self.reader
        return None, reader.type_of(type), {} if attributes is None else dict(reader.dictionary(attributes)), type

    def returned(self, c: list[Any]) -> list[tuple[Type, dict[str, Attribute]]]:
        return [(self.reader.type_of(c[0]), {})]

    def returned_list(self, c: list[Any]) -> list[tuple[Type, dict[str, Attribute]]]:
        return [r for r in c if r is not None]

    def attributes(self, c: list[Any]) -> Token | None:
        found: Token | None = c[0]
        return found

    def module(self, c: list[Any]) -> tuple[Operation | None, Token]:
        token, symbol, given, region = c
        reader = self.reader
        try:
            attributes = {} if given is None else dict(reader.dictionary(given))
            if symbol is not None:
                attributes["sym_name"] = StringAttr(self.symbol_of(symbol).root)
            if not region.blocks:
                region.add_block(Block())
            return reader.op_class("builtin.module", token).create((), (), attributes, (region,)), token
        except QirError as error:
            reader.report(error)
            return None, token

    # ------------------------------------------------------------ regions
    def regions(self, c: list[Any]) -> tuple[Region, ...]:
        return tuple(c)

    def enter(self, c: list[Any]) -> Frame:
        reader = self.reader
        assert reader.piece is not None
        frame = reader.enter(reader.piece.owner)
        parameters, reader.parameters = reader.parameters, None
        if parameters is not None:
            self._arguments(self._new_block(), parameters)
        return frame

    def region(self, c: list[Any]) -> Region:
        reader = self.reader
        return Region(reader.leave().blocks)

    def block(self, c: list[Any]) -> None:
        return None

    def label(self, c: list[Any]) -> None:
        caret, parameters = c
        block = self._new_block()
        block.label = caret.text[1:]
        self.reader.parameters = None
        if parameters:
            self._arguments(block, parameters)

    def _new_block(self) -> Block:
        frame = self.reader.frames[-1]
        block = frame.block = Block()
        frame.blocks.append(block)
        return block

    def _arguments(self, block: Block, parameters: list[Any]) -> None:
        """The arguments of a block, in scope from here on."""
        reader = self.reader
        for token, type, _, location in parameters:
            try:
                if token is None:
                    self.fail(location, "the arguments of a block are written %name: type")
                place = UNKNOWN if location is None else reader.located(location, token.start, token.end)
                argument = BlockArgument(type, block, len(block.args), argument_name(token.text[1:]), place)
                block.args.append(argument)
                reader.define(token.text, argument, token.start)
            except QirError as error:
                reader.report(error)

    def returned_type(self, c: list[Any]) -> tuple[Type, dict[str, Attribute]]:
        type, attributes = c
        reader = self.reader
        return reader.type_of(type), {} if attributes is None else dict(reader.dictionary(attributes))


def _strings(value: Attribute) -> list[str] | None:
    """The strings of a list of strings."""
    if not isinstance(value, ArrayAttr) or not all(isinstance(v, StringAttr) for v in value.values):
        return None
    return [v.value for v in value.values if isinstance(v, StringAttr)]


def _take_argument_names(op: Operation) -> None:
    """Move ``onnx.name`` of a function's arguments into its body's arguments."""
    entries = op.attributes.get("arg_attrs")
    if not isinstance(entries, ArrayAttr) or not op.regions or not op.regions[0].blocks:
        return
    arguments = op.regions[0].blocks[0].args
    if len(arguments) != len(entries.values):
        return  # the verifier says so
    kept: list[Attribute] = []
    taken = False
    for argument, entry in zip(arguments, entries.values, strict=True):
        name = entry.get(ARGUMENT_NAME) if isinstance(entry, DictAttr) else None
        if isinstance(entry, DictAttr) and isinstance(name, StringAttr):
            argument.name, taken = name.value or None, True
            entry = DictAttr(tuple((k, v) for k, v in entry.entries if k != ARGUMENT_NAME))
        kept.append(entry)
    if not taken:
        return
    if all(isinstance(e, DictAttr) and not e.entries for e in kept):
        del op.attributes["arg_attrs"]
    else:
        op.attributes["arg_attrs"] = ArrayAttr(tuple(kept))
