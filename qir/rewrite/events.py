"""What follows from a change: attributes of the right kind, functions whose type and names follow what they return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qir.dialects.func import FuncOp
from qir.ir.attributes import Attribute, StringAttr, attribute
from qir.ir.core import Operation, Value

__all__ = ["describe", "encode_attribute", "update_function"]

OUTPUT_NAME = "onnx.name"


def encode_attribute(cls: type[Operation] | None, name: str, value: Any) -> Attribute:
    """The attribute of a Python value, of the kind that the operation's definition wants."""
    if isinstance(value, Attribute):
        return value
    definition = cls.definition if cls is not None else None
    field = definition.attributes.get(name) if definition is not None else None
    if field is not None:
        return field.kind.encode(value)
    return attribute(value)


def update_function(terminator: Operation, indices: Sequence[int], old: Value, new: Value) -> None:
    """A function's type follows what it returns; its outputs keep the names by which users know them."""
    func = terminator.parent_op
    if not isinstance(func, FuncOp):
        return
    if new.type != old.type:
        func.update_type()
    if old.name is not None and new.name != old.name:
        for index in indices:
            if func.res_attr(index, OUTPUT_NAME) is None:
                func.set_res_attr(index, OUTPUT_NAME, StringAttr(old.name))


def describe(op: Operation) -> str:
    """One operation as text, for traces."""
    from qir.text import print_op

    return print_op(op).strip()
