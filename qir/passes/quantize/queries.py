"""Questions that the quantization passes ask of a module."""

from __future__ import annotations

from collections.abc import Iterator

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import main_function
from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.ir import Operation, SymbolRefAttr, Value, symbol_refs

__all__ = [
    "drop_unused_quantizers", "fakes_of", "main_function", "quantizer_name", "quantizers", "symbol", "unquantized",
]  # fmt: skip


def symbol(op: Operation) -> str:
    """The quantizer that a qsim operation names."""
    ref = op.attributes.get("quantizer")
    if not isinstance(ref, SymbolRefAttr):
        raise op.error("names no quantizer", "write: by @name")
    return ref.root


def quantizer_name(value: Value) -> str | None:
    """The quantizer on the edge that ends here: of the fake or decode that makes `value`, else None."""
    op = value.defining_op
    return symbol(op) if op is not None and op.name in ("qsim.fake", "qsim.decode") else None


def unquantized(value: Value) -> Value:
    """What a value is in the float model: the value before all its fakes."""
    while isinstance(value.defining_op, FakeOp):
        value = value.defining_op.x
    return value


def quantizers(module: ModuleOp) -> dict[str, QuantizerOp]:
    """All quantizers by name, in order."""
    return {op.sym_name: op for op in module.body if isinstance(op, QuantizerOp)}


def fakes_of(module: ModuleOp) -> Iterator[FakeOp]:
    """Every ``qsim.fake``, in order. Raises QirError for one that names no quantizer of the module."""
    known = quantizers(module)
    for op in module.walk():
        if isinstance(op, FakeOp):
            name = symbol(op)
            if name not in known:
                raise op.error(f"names @{name}, which is no quantizer")
            yield op


def drop_unused_quantizers(module: Operation) -> bool:
    """Erase the quantizers that nothing names any more; returns whether there were any."""
    changed = False
    while True:
        named = {name for _, name in symbol_refs(module)}
        dead = [op for op in module.walk() if isinstance(op, QuantizerOp) and op.sym_name not in named]
        if not dead:
            return changed
        for op in dead:
            op.erase()
        changed = True
