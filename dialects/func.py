"""The ``func`` dialect: functions, return and call, as MLIR defines them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from qir.ir.attributes import Attribute, DictAttr, StringAttr, SymbolRefAttr, TypeAttr, dictionary
from qir.ir.context import Dialect
from qir.ir.core import Block, Operation, Region, Trait
from qir.ir.definition import (
    ANY,
    ARRAY,
    FUNCTION_TYPE,
    STRING,
    SYMBOL,
    UNIT,
    attr,
    op_def,
    optional_attr,
    region,
    variadic_operand,
    variadic_result,
)
from qir.ir.diagnostics import fail
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import FunctionType, Type
from qir.ir.verifier import Verifier

if TYPE_CHECKING:
    from qir.text.clauses import ClauseReader, ClauseWriter

__all__ = ["DIALECT", "CallOp", "FuncOp", "ReturnOp", "main_function", "make_func"]


@op_def("func.return", Trait.TERMINATOR)
class ReturnOp(Operation):
    """Ends a function and gives its results."""

    values = variadic_operand(ANY)

    @classmethod
    def from_clauses(cls, clauses: ClauseReader) -> Operation:
        attributes = clauses.attributes()
        names = clauses.names()
        attributes = attributes or clauses.attributes()
        return cls.create(clauses.values(names, clauses.types()), (), attributes)

    def to_clauses(self, writer: ClauseWriter) -> str:
        types = ", ".join(map(str, (v.type for v in self.operands)))
        return f"{writer.attributes()} {writer.values(self.operands)}{' : ' if types else ''}{types}".strip()

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        func = self.parent_op
        if isinstance(func, FuncOp):
            given, expected = tuple(v.type for v in self.operands), func.function_type.results
            if given != expected:
                yield f"returns ({', '.join(map(str, given))}), its function says ({', '.join(map(str, expected))})"


@op_def("func.func", Trait.SYMBOL | Trait.ISOLATED_FROM_ABOVE)
class FuncOp(Operation):
    """A function; its arguments are those of its body's first block. Without a body it is a declaration."""

    sym_name = attr(STRING)
    function_type = attr(FUNCTION_TYPE)
    sym_visibility = optional_attr(STRING)
    arg_attrs = optional_attr(ARRAY)
    res_attrs = optional_attr(ARRAY)
    no_inline = optional_attr(UNIT)
    region = region()

    @property
    def body(self) -> Block:
        return self.regions[0].block

    @property
    def is_declaration(self) -> bool:
        return not self.regions[0].blocks

    @property
    def return_op(self) -> Operation:
        """The terminator of the body."""
        last = self.body.last
        assert last is not None
        return last

    def arg_attr(self, index: int, key: str) -> Attribute | None:
        """An attribute of argument `index`."""
        return _get(self.arg_attrs, index, key)

    def res_attr(self, index: int, key: str) -> Attribute | None:
        """An attribute of result `index`."""
        return _get(self.res_attrs, index, key)

    def set_arg_attr(self, index: int, key: str, value: Attribute | None) -> None:
        self.arg_attrs = _set(self.arg_attrs, len(self.function_type.inputs), index, key, value)

    def set_res_attr(self, index: int, key: str, value: Attribute | None) -> None:
        self.res_attrs = _set(self.res_attrs, len(self.function_type.results), index, key, value)

    def update_type(self) -> None:
        """Make the function's type that of its body's arguments and returned values."""
        inputs = tuple(a.type for a in self.body.args)
        self.function_type = FunctionType(inputs, tuple(v.type for v in self.return_op.operands))

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        if self.is_declaration:
            return
        args, inputs = tuple(a.type for a in self.regions[0].blocks[0].args), self.function_type.inputs
        if args != inputs:
            yield f"has a body for ({', '.join(map(str, args))}), its type says ({', '.join(map(str, inputs))})"
        for key, attrs, count in (
            ("arg_attrs", self.arg_attrs, len(inputs)),
            ("res_attrs", self.res_attrs, len(self.function_type.results)),
        ):
            if attrs is not None and len(attrs) != count:
                yield f"has {len(attrs)} dictionaries in '{key}', needs {count}"


def _get(attrs: tuple[Attribute, ...] | None, index: int, key: str) -> Attribute | None:
    entry = attrs[index] if attrs is not None else None
    return entry.get(key) if isinstance(entry, DictAttr) else None


def _set(
    attrs: tuple[Attribute, ...] | None, count: int, index: int, key: str, value: Attribute | None
) -> tuple[Attribute, ...] | None:
    dicts = [dict(d.entries) if isinstance(d, DictAttr) else {} for d in attrs or [DictAttr()] * count]
    if value is None:
        dicts[index].pop(key, None)
    else:
        dicts[index][key] = value
    return tuple(dictionary(d) for d in dicts) if any(dicts) else None


@op_def("func.call")
class CallOp(Operation):
    """Calls a function by symbol."""

    callee = attr(SYMBOL)
    inputs = variadic_operand(ANY)
    outputs = variadic_result(ANY)

    @classmethod
    def from_clauses(cls, clauses: ClauseReader) -> Operation:
        callee, names = clauses.callee()
        attributes = {**clauses.attributes(), "callee": SymbolRefAttr(callee)}
        type = clauses.signature()
        return cls.create(clauses.values(names, type.inputs), type.results, attributes)

    def to_clauses(self, writer: ClauseWriter) -> str:
        type = FunctionType(tuple(v.type for v in self.operands), tuple(v.type for v in self.results))
        callee = self.attributes["callee"]
        return f"{callee}({writer.values(self.operands)}){writer.attributes('callee')} : {type}"

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        func = verifier.lookup(self, self.callee)
        if not isinstance(func, FuncOp):
            yield f"calls @{self.callee}, which is no function"
        elif tuple(v.type for v in self.operands) != func.function_type.inputs:
            yield f"passes other types than @{self.callee} takes, {func.function_type}"
        elif tuple(v.type for v in self.results) != func.function_type.results:
            yield f"gives other types than @{self.callee} returns, {func.function_type}"


def make_func(
    name: str, inputs: Sequence[Type], results: Sequence[Type] = (), attributes: Mapping[str, Attribute] | None = None,
    location: Location = UNKNOWN,
) -> FuncOp:  # fmt: skip
    """A function with an empty body block for its arguments."""
    entries: dict[str, Attribute] = dict(attributes or {})
    entries["sym_name"] = StringAttr(name)
    entries["function_type"] = TypeAttr(FunctionType(tuple(inputs), tuple(results)))
    return FuncOp.create(attributes=entries, regions=[Region([Block(inputs)])], location=location)


def main_function(module: Operation) -> FuncOp:
    """The function that a module is run by: ``main``, else the first one with a body that is not private.

    Raises QirError where there is none.
    """
    functions = [op for op in module.regions[0].block if isinstance(op, FuncOp)]
    public = [f for f in functions if not f.is_declaration and f.sym_visibility != "private"]
    if not public:
        fail(module.location, "the module has no function to run", "a model is a func.func inside the module")
    return next((f for f in public if f.sym_name == "main"), public[0])


DIALECT = Dialect("func", [FuncOp, ReturnOp, CallOp], doc="Functions, as in MLIR.")
