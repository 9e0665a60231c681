"""Writing texts: the pretty form, and MLIR's generic form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseResourceAttr,
    DictAttr,
    StringAttr,
    TypeAttr,
    UnitAttr,
    bare_or_quoted,
    dictionary,
    resource_key,
)
from qir.ir.base import quote
from qir.ir.core import Block, Operation, Region, Value
from qir.ir.location import Location, NameLoc, UnknownLoc
from qir.ir.tensors import FileTensor, Tensor
from qir.ir.types import FunctionType, NoneType, Type
from qir.text.names import ARGUMENT_NAME, ARGUMENT_NAMES, RESULT_NAMES
from qir.text.places import without_files
from qir.text.resources import ELIDED, resource_section
from qir.text.spelling import Spelling

__all__ = ["Printer", "print_module", "print_op"]


def print_module(
    op: Operation, *, generic: bool = False, debuginfo: bool = False, elide: int | None = None, resources: bool = True
) -> str:
    """The text of a module, with the data of its ``dense_resource`` attributes in the text's own section.

    `generic` is MLIR's generic form, `debuginfo` adds files and lines, `elide` leaves out data of more elements than
    this, ``resources=False`` leaves out the section (the data lies elsewhere).
    """
    printer = Printer(op, generic=generic, debuginfo=debuginfo, elide=elide)
    text = printer.text()
    return text + resource_section(printer.resources) if resources else text


def print_op(op: Operation, *, generic: bool = False, debuginfo: bool = False) -> str:
    """The text of one operation, without data and without the line's end."""
    return Printer(op, generic=generic, debuginfo=debuginfo, elide=None).text().rstrip("\n")


class Printer:
    """One printing of an operation. `resources` has the tensors that the text refers to, by the keys that it uses."""

    def __init__(
        self,
        root: Operation,
        *,
        generic: bool = False,
        debuginfo: bool = False,
        elide: int | None = None,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> None:
        self.root, self.generic, self.debuginfo, self.elide = root, generic, debuginfo, elide
        self.extra = attributes or {}  # further attributes of the root
        self.spelling = Spelling(root, generic)
        self.names = self.spelling.of
        self.resources: dict[str, Tensor] = {}
        self._keys: dict[Any, str] = {}
        self._types: dict[int, str] = {}
        self._attributes: dict[int, str] = {}
        self._lines: list[str] = []
        self._op: Operation = root
        self._own: Mapping[str, Attribute] = {}
        around: Operation | None = root
        while around is not None and "onnx.opset" not in around.attributes:
            around = around.parent_op
        self.keep_names = around is not None

    def text(self) -> str:
        self._operation(self.root, "")
        return "\n".join(self._lines) + "\n"

    # ------------------------------------------------------------ parts
    def value(self, value: Value) -> str:
        """``%name``; a value from outside what is printed gets a spelling too."""
        return self.names.get(value) or self.spelling.outside(value)

    def values(self, values: Sequence[Value]) -> str:
        names = self.names
        try:
            return ", ".join([names[v] for v in values])
        except KeyError:
            return ", ".join(map(self.value, values))

    def type(self, type: Type) -> str:
        text = self._types.get(id(type))
        if text is None:
            text = self._types[id(type)] = str(type)
        return text

    def types(self, values: Sequence[Value]) -> str:
        known = self._types
        try:
            return ", ".join([known[id(v.type)] for v in values])
        except KeyError:
            return ", ".join([self.type(v.type) for v in values])

    def signature(self, op: Operation) -> str:
        results = op.results
        if len(results) == 1 and not isinstance(results[0].type, FunctionType):
            return f"({self.types(op.operands)}) -> {self.type(results[0].type)}"
        return f"({self.types(op.operands)}) -> ({self.types(results)})"

    def attribute(self, attribute: Attribute) -> str:
        """An attribute's text; only those that hold resources differ from ``str``."""
        text = self._attributes.get(id(attribute))
        if text is None:
            text = self._attribute(attribute)
            self._attributes[id(attribute)] = text
        return text

    def _attribute(self, attribute: Attribute) -> str:
        if isinstance(attribute, DenseResourceAttr):
            return f"dense_resource<{self._key(attribute)}> : {attribute.type}"
        if isinstance(attribute, ArrayAttr):
            return f"[{', '.join([self._attribute(v) for v in attribute.values])}]"
        if isinstance(attribute, DictAttr):
            return f"{{{', '.join([self._entry(k, self._attribute(v), v) for k, v in attribute.entries])}}}"
        return str(attribute)

    @staticmethod
    def _entry(key: str, text: str, attribute: Attribute) -> str:
        key = bare_or_quoted(key)
        return key if isinstance(attribute, UnitAttr) else f"{key} = {text}"

    def _key(self, attribute: DenseResourceAttr) -> str:
        """The key under which the text refers to data: legal, and of one tensor only."""
        tensor = attribute.tensor
        if tensor is None:
            return bare_or_quoted(attribute.key)
        if self.elide is not None and tensor.type.count > self.elide:
            return ELIDED
        identity = (tensor.path, tensor.offset, tensor.size) if isinstance(tensor, FileTensor) else id(tensor)
        key = self._keys.get(identity)
        if key is None:
            base = key = resource_key(attribute.key)
            number = 0
            while key in self.resources:
                number += 1
                key = f"{base}_{number}"
            self._keys[identity] = key
            self.resources[key] = tensor
        return key

    def entries(self, attributes: Mapping[str, Attribute]) -> str:
        """``key = value, …``, sorted."""
        known = self._attributes
        parts = []
        for key in sorted(attributes):
            attribute = attributes[key]
            text = known.get(id(attribute))
            if text is None:
                text = self._attribute(attribute)
                if attribute is self._op.attributes.get(key):  # it lives as long as the printing
                    known[id(attribute)] = text
            parts.append(
                f"{key} = {text}"
                if key.isidentifier() and key.isascii() and text != "unit"
                else self._entry(key, text, attribute)
            )
        return ", ".join(parts)

    def attributes(self, *hidden: str) -> str:
        """For ``to_clauses``: all attributes but these, as `` {key = value}``."""
        shown = {k: v for k, v in self._own.items() if k not in hidden}
        return f" {{{self.entries(shown)}}}" if shown else ""

    # ------------------------------------------------------------ locations
    def location(self, location: Location) -> str:
        """`` loc(…)``, or nothing."""
        if self.debuginfo:
            return f" loc({location})"
        if self.generic or isinstance(location, UnknownLoc):
            return ""
        if isinstance(location, NameLoc) and isinstance(location.child, UnknownLoc):
            return f" loc({quote(location.name)})"
        location = without_files(location)
        return "" if isinstance(location, UnknownLoc) else f" loc({location})"

    # ------------------------------------------------------------ operations
    def _operation(self, op: Operation, indent: str) -> None:
        attributes: Mapping[str, Attribute] = op.attributes
        if self.extra and op is self.root:
            attributes = {**attributes, **self.extra}
        results = op.results
        head = indent
        if results:
            names = self.names
            if len(results) == 1:
                name = results[0].name
                head = f"{indent}{names[results[0]]} = "
            elif self.generic:
                name = next((r.name for r in results if r.name), None)
                head = f"{indent}{names[results[0]].partition('#')[0]}:{len(results)} = "
            else:
                name = next((r.name for r in results if r.name), None)
                head = f"{indent}{self.values(results)} = "
            if name and (self.keep_names if self.generic else not self.spelling.says_results(op, self._shown(op))):
                attributes = {**attributes, RESULT_NAMES: ArrayAttr(tuple(StringAttr(r.name or "") for r in results))}
        if op.regions:
            attributes = self._argument_names(op, attributes)
        self._op = op
        if self.generic:
            self._generic(op, head, attributes, indent)
        else:
            self._pretty(op, head, attributes, indent)

    def _shown(self, op: Operation) -> Location:
        return op.location if self.debuginfo else without_files(op.location)

    def _generic(self, op: Operation, head: str, attributes: Mapping[str, Attribute], indent: str) -> None:
        name = op.name
        middle = after = ""
        if attributes:
            definition = op.definition
            if definition is None:
                after = f" {{{self.entries(attributes)}}}"
            else:
                inherent = definition.inherent
                own = {k: v for k, v in attributes.items() if k in inherent}
                if own:
                    middle = f" <{{{self.entries(own)}}}>"
                if len(own) != len(attributes):
                    after = f" {{{self.entries({k: v for k, v in attributes.items() if k not in inherent})}}}"
        operands = self.values(op.operands) if op.operands else ""
        tail = f"{after} : {self.signature(op)}{self.location(op.location) if self.debuginfo else ''}"
        if '"' in name or "\\" in name or not name.isprintable():
            start = f"{head}{quote(name)}({operands}){middle}"
        else:
            start = f'{head}"{name}"({operands}){middle}'
        if op.regions:
            self._regions(op, start + " (", f"){tail}", indent)
        else:
            self._lines.append(start + tail)

    def _pretty(self, op: Operation, head: str, attributes: Mapping[str, Attribute], indent: str) -> None:
        name = op.name
        if name == "builtin.module" and self._module(op, head, attributes, indent):
            return
        if name == "func.func" and self._function(op, head, attributes, indent):
            return
        location = self.location(op.location)
        to_clauses = getattr(op, "to_clauses", None)
        if to_clauses is not None and not op.regions:
            self._own = attributes
            clauses: str | None = to_clauses(self)
            if clauses is not None:
                self._lines.append(f"{head}{'return' if name == 'func.return' else name} {clauses}".rstrip() + location)
                return
        if name in ("builtin.module", "func.func") or not is_pretty_name(name):
            self._generic(op, head, attributes, indent)
            if location and not self.debuginfo:
                self._lines[-1] += location
            return
        if attributes:
            start_attributes = f" {{{self.entries(attributes)}}}"
        else:
            start_attributes = ""
        absent = absent_operands(op)
        if absent:
            del self._lines[len(self._lines) - len(absent) :]
            operands = ", ".join("_" if v.defining_op in absent else self.value(v) for v in op.operands)
        else:
            operands = self.values(op.operands) if op.operands else ""
        start = f"{head}{name}({operands}){start_attributes}"
        tail = f" : {self.signature(op)}{location}"
        if op.regions:
            self._regions(op, start + " (", f"){tail}", indent)
        else:
            self._lines.append(start + tail)

    # ------------------------------------------------------------ functions and modules
    def _module(self, op: Operation, head: str, attributes: Mapping[str, Attribute], indent: str) -> bool:
        if (
            len(op.regions) != 1
            or len(op.regions[0].blocks) != 1
            or op.regions[0].blocks[0].args
            or op.operands
            or op.results
        ):
            return False
        symbol = attributes.get("sym_name")
        rest = {k: v for k, v in attributes.items() if k != "sym_name" or not isinstance(symbol, StringAttr)}
        name = f" @{bare_or_quoted(symbol.value)}" if isinstance(symbol, StringAttr) else ""
        given = f" attributes {{{self.entries(rest)}}}" if rest else ""
        self._lines.append(f"{head}module{name}{given} {{")
        self._operations(op.regions[0].blocks[0], indent + "  ")
        self._lines.append(f"{indent}}}{self.location(op.location)}")
        return True

    def _function(self, op: Operation, head: str, attributes: Mapping[str, Attribute], indent: str) -> bool:
        """A function in its own syntax; False where its attributes do not allow that."""
        symbol, type, visibility = (attributes.get(k) for k in ("sym_name", "function_type", "sym_visibility"))
        if (
            not isinstance(symbol, StringAttr)
            or not isinstance(type, TypeAttr)
            or not isinstance(type.type, FunctionType)
        ):
            return False
        if op.operands or op.results or len(op.regions) != 1:
            return False
        if visibility is not None and not (
            isinstance(visibility, StringAttr) and visibility.value in ("private", "public", "nested")
        ):
            return False
        blocks = op.regions[0].blocks
        inputs, outputs = type.type.inputs, type.type.results
        if blocks and tuple(a.type for a in blocks[0].args) != inputs:
            return False
        dicts: list[list[Mapping[str, Attribute]]] = []
        for key, count in (("arg_attrs", len(inputs)), ("res_attrs", len(outputs))):
            value = attributes.get(key)
            if value is None:
                dicts.append([{}] * count)
            elif isinstance(value, ArrayAttr) and len(value.values) == count and any_entries(value):
                dicts.append([dict(v.entries) for v in value.values if isinstance(v, DictAttr)])
            else:
                return False
        location = blocks[0].args if blocks else None
        parts = []
        for i, input in enumerate(inputs):
            given = f" {{{self.entries(dicts[0][i])}}}" if dicts[0][i] else ""
            if location is None:
                parts.append(f"{self.type(input)}{given}")
            else:
                parts.append(
                    f"{self.names[location[i]]}: {self.type(input)}{given}{self.location(location[i].location)}"
                )
        results = ""
        if len(outputs) == 1 and not dicts[1][0] and not isinstance(outputs[0], FunctionType):
            results = f" -> {self.type(outputs[0])}"
        elif outputs:
            each = [
                self.type(t) + (f" {{{self.entries(d)}}}" if d else "") for t, d in zip(outputs, dicts[1], strict=True)
            ]
            results = f" -> ({', '.join(each)})"
        said = ("sym_name", "function_type", "sym_visibility", "arg_attrs", "res_attrs")
        rest = {k: v for k, v in attributes.items() if k not in said}
        given = f" attributes {{{self.entries(rest)}}}" if rest else ""
        private = f"{visibility.value} " if isinstance(visibility, StringAttr) else ""
        start = f"{head}func.func {private}@{bare_or_quoted(symbol.value)}({', '.join(parts)}){results}{given}"
        if not blocks:
            self._lines.append(start + self.location(op.location))
            return True
        self._lines.append(start + " {")
        self._operations(blocks[0], indent + "  ")
        for number, block in enumerate(blocks[1:], 1):
            self._label(block, number, indent)
            self._operations(block, indent + "  ")
        self._lines.append(f"{indent}}}{self.location(op.location)}")
        return True

    def _argument_names(self, op: Operation, attributes: Mapping[str, Attribute]) -> Mapping[str, Attribute]:
        """The attributes with those that say exact names of block arguments."""
        blocks = [block for region in op.regions for block in region.blocks]

        def unsaid(value: Value) -> bool:
            return (self.keep_names and bool(value.name)) if self.generic else not self.spelling.says_argument(value)

        if not any(unsaid(a) for block in blocks for a in block.args):
            return attributes
        if op.name == "func.func":
            arguments = blocks[0].args
            given = attributes.get("arg_attrs")
            values = given.values if isinstance(given, ArrayAttr) else (DictAttr(),) * len(arguments)
            if len(values) == len(arguments) and all(isinstance(v, DictAttr) for v in values):
                dicts = [dict(v.entries) for v in values if isinstance(v, DictAttr)]
                for entry, argument in zip(dicts, arguments, strict=True):
                    if unsaid(argument):
                        entry[ARGUMENT_NAME] = StringAttr(argument.name or "")
                return {**attributes, "arg_attrs": ArrayAttr(tuple(map(dictionary, dicts)))}
        lists = tuple(ArrayAttr(tuple(StringAttr(a.name or "") for a in block.args)) for block in blocks)
        return {**attributes, ARGUMENT_NAMES: ArrayAttr(lists)}

    # ------------------------------------------------------------ regions
    def _regions(self, op: Operation, start: str, end: str, indent: str) -> None:
        for i, region in enumerate(op.regions):
            self._lines.append(f"{start if i == 0 else indent + '}, '}{{")
            self._region(region, indent)
        self._lines.append(f"{indent}}}{end}")

    def _region(self, region: Region, indent: str) -> None:
        for number, block in enumerate(region.blocks):
            if number or block.args or block.first is None:
                self._label(block, number, indent)
            self._operations(block, indent + "  ")

    def _label(self, block: Block, number: int, indent: str) -> None:
        arguments = ", ".join(f"{self.names[a]}: {self.type(a.type)}{self.location(a.location)}" for a in block.args)
        self._lines.append(f"{indent}^bb{number}{f'({arguments})' if arguments else ''}:")

    def _operations(self, block: Block, indent: str) -> None:
        op = block.first
        operation = self._operation
        while op is not None:
            operation(op, indent)
            op = op.next


def any_entries(value: ArrayAttr) -> bool:
    """Whether all are dictionaries, and not all empty: then a function's head can say them."""
    return all(isinstance(v, DictAttr) for v in value.values) and any(
        isinstance(v, DictAttr) and v.entries for v in value.values
    )


def is_pretty_name(name: str) -> bool:
    """Whether an operation's name can stand without quotes."""
    dialect, dot, rest = name.partition(".")
    plain = name.isascii() and name.replace(".", "_").replace("$", "_").isidentifier()
    return bool(dot) and plain and all(name.split(".")) and "$" not in dialect and bool(rest)


def absent_operands(op: Operation) -> list[Operation]:
    """The ``onnx.NoValue`` operations just before `op` that ``_`` can stand for: its absent operands, in order."""
    found = [d for v in op.operands if (d := v.defining_op) is not None and d.name == "onnx.NoValue"]
    if not found:
        return []
    before = op.prev
    for absent in reversed(found):
        if before is not absent or absent.attributes or absent.operands or len(absent.results) != 1:
            return []
        result = absent.results[0]
        if result.name or not isinstance(result.type, NoneType) or not result.has_one_use():
            return []
        before = before.prev
    return found
