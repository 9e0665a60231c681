"""What a plan looks up in a module: functions, symbols, opsets, and which kernel runs which operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qir.dialects.func import FuncOp, main_function
from qir.interpreter.functions import FUNCTION_ENTRY, callee_of
from qir.interpreter.inputs import argument_name
from qir.interpreter.node import Settings, describe
from qir.interpreter.registry import Entry, find_kernel
from qir.ir import Block, Operation, QirError, SymbolTable, Trait, Value, fail, is_absent

__all__ = [
    "captured_by", "entry_block", "entry_of", "find_function", "is_absent", "no_kernels", "ops_to_run", "opset_of",
    "opsets_of", "port_names", "result_names", "symbols_of", "value_name",
]  # fmt: skip

NEWEST = 1 << 30
"""The opset of a domain that the module declares no version of: the newest kernels."""


def captured_by(op: Operation) -> tuple[Value, ...]:
    """Values that the op's regions read from outside of them, in the order in which they are first read."""
    inside: set[Block] = set()
    found: dict[Value, None] = {}
    for inner in op.walk():
        inside.update(block for region in inner.regions for block in region.blocks)
    for inner in op.walk():
        if inner is not op:
            found.update((v, None) for v in inner.operands if v.block not in inside and not is_absent(v))
    return tuple(found)


def opsets_of(holder: Operation) -> dict[str, int]:
    """The ``onnx.opset`` of a module or function: versions by domain (``ai.onnx`` is ONNX's own)."""
    declared = holder.attr("onnx.opset", None)
    return {name: int(version) for name, version in declared.items()} if isinstance(declared, dict) else {}


def opset_of(op: Operation, opsets: Mapping[str, int]) -> int:
    """The version of the operator set that the op belongs to; the newest where the module declares none."""
    dialect = op.name.rpartition(".")[0]
    return opsets.get("ai.onnx" if dialect == "onnx" else dialect, NEWEST)


def entry_of(op: Operation, settings: Settings) -> Entry | None:
    """How an op is run: as a call of one of the model's own functions, else by a registered kernel, or None."""
    if op.name in settings.functions:
        return FUNCTION_ENTRY
    return find_kernel(op.name, opset_of(op, settings.opsets))


def symbols_of(module: Operation) -> dict[str, Operation]:
    """The symbols of a module by name."""
    return SymbolTable(module).symbols


def find_function(module: Operation, name: str | None) -> Operation:
    """The function of that name; without one the module's `main_function`. Raises QirError."""
    if module.name == "func.func":
        return module
    if name is None:
        return main_function(module)
    functions = {symbol: op for symbol, op in symbols_of(module).items() if op.name == "func.func"}
    if name not in functions:
        names = ", ".join(functions) or "none"
        fail(module.location, f"the module has no function @{name}", f"its functions: {names}")
    return functions[name]


def entry_block(function: Operation) -> Block:
    """The block that a function runs. Raises QirError for a declaration."""
    if not function.regions or not function.regions[0].blocks:
        raise function.error(f"function @{function.attr('sym_name')} has no body to run")
    return function.regions[0].block


def ops_to_run(function: Operation, settings: Settings) -> Iterator[Operation]:
    """Every op that running the function may reach, through calls and regions."""
    pending, seen = [function], {function}
    while pending:
        current = pending.pop()
        for op in current.walk():
            if op is current or op.has_trait(Trait.TERMINATOR):
                continue
            yield op
            callee = callee_of(op, settings)
            if callee is not None and callee not in seen:
                seen.add(callee)
                pending.append(callee)


def no_kernels(ops: Sequence[Operation], settings: Settings) -> QirError:
    """One error for all ops that nothing can compute, grouped by op name."""
    groups: dict[str, list[Operation]] = {}
    for op in ops:
        groups.setdefault(op.name, []).append(op)
    parts = []
    for name, members in groups.items():
        opset = opset_of(members[0], settings.opsets)
        where = f" at opset {opset}" if opset != NEWEST else ""
        nodes = [n for n in (describe(op).partition(" ")[2] for op in members) if n]
        named = f" ({', '.join(nodes[:3])}{', …' if len(nodes) > 3 else ''})" if nodes else ""
        parts.append(f"{name}{where}: {len(members)} op{'s' if len(members) > 1 else ''}{named}")
    return ops[0].error(
        f"no kernel for {'; '.join(parts)}",
        'register one: @qir.kernel("the.op.Name") on a function of the operation and its tensors',
    )


def value_name(value: Value, index: int) -> str:
    """A value's own name, else ``result<index>``."""
    return value.name if value.name is not None else f"result{index}"


def port_names(func: FuncOp) -> tuple[list[str], list[str]]:
    """The names of a function's inputs and of its outputs: by these a plan is fed, and gives its results."""
    return [argument_name(arg) for arg in func.body.args], result_names(func, func.return_op.operands)


def result_names(function: Operation, results: Sequence[Value]) -> list[str]:
    """Names of the results: what ``onnx.name`` of `res_attrs` says, else the values' own, else ``result<i>``."""
    attributes = function.attr("res_attrs", None) or ()
    names: list[str] = []
    for index, value in enumerate(results):
        said = attributes[index] if index < len(attributes) else {}
        name = said.get("onnx.name") if isinstance(said, dict) else None
        name = str(name) if name is not None else value_name(value, index)
        names.append(name if name not in names else f"{name}:{index}")
    return names
