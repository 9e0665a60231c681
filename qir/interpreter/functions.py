"""Calls: of MLIR functions by ``func.call``, and of a model's own ONNX functions by ops that bear their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qir.dialects.onnx import op_name
from qir.dialects.onnx_opaque import opaque_text, reference_of
from qir.interpreter.node import Node, Settings
from qir.interpreter.registry import Entry, Kernel
from qir.ir import ArrayAttr, Attribute, DictAttr, Operation, StringAttr, SymbolRefAttr, attribute

__all__ = ["FUNCTION_ENTRY", "bound_attributes", "call_kernel", "callee_of", "model_functions"]


def model_functions(symbols: Mapping[str, Operation]) -> dict[str, Operation]:
    """The model's own ONNX functions, by the name of the ops that call them (``domain.Name``, with ``:overload``)."""
    found: dict[str, Operation] = {}
    for function in symbols.values():
        fields = function.attr("onnx.function", None)
        if isinstance(fields, dict) and "name" in fields:
            name, _ = op_name(fields.get("domain", ""), fields["name"])
            overload = fields.get("overload", "")
            found.setdefault(name, function)
            if overload:
                found[f"{name}:{overload}"] = function
    return found


def callee_of(op: Operation, settings: Settings) -> Operation | None:
    """The function that an op calls; None for ops that call none."""
    if op.name == "func.call":
        callee = op.attr("callee")
        return settings.symbols.get(callee.root if isinstance(callee, SymbolRefAttr) else str(callee))
    if op.name not in settings.functions:
        return None
    overload = op.attr("onnx.overload", "")
    return settings.functions.get(f"{op.name}:{overload}" if overload else op.name)


def bound_attributes(function: Operation, caller: Operation, outer: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """What the references in the function's body stand for: the caller's attributes, else the function's defaults."""
    fields = function.attributes.get("onnx.function")
    bound: dict[str, Attribute] = {}
    if isinstance(fields, DictAttr):
        defaults = fields.get("defaults")
        for default in defaults if isinstance(defaults, ArrayAttr) else ():
            bound.update(_default(default))
    for name, value in caller.attributes.items():
        reference = reference_of(value)
        if reference is None:
            bound[name] = value
        elif reference[0] in outer:
            bound[name] = outer[reference[0]]
    return bound


def _default(value: Attribute) -> dict[str, Attribute]:
    """The name and value of an AttributeProto that is kept as protobuf text."""
    from google.protobuf import text_format
    from onnx import AttributeProto, helper

    text = value.value if isinstance(value, StringAttr) else opaque_text(value, "proto")
    if text is None:
        return {}
    proto = text_format.Parse(text, AttributeProto())
    found: Any = helper.get_attribute_value(proto)
    if isinstance(found, bytes):
        found = found.decode()
    elif isinstance(found, (list, tuple)) and found and isinstance(found[0], bytes):
        found = [item.decode() for item in found]
    return {proto.name: attribute(found)}


def call_kernel(node: Node) -> Kernel:
    """A kernel that runs the function that the op calls. Raises QirError when it is not there."""
    function = callee_of(node.op, node.settings)
    if function is None:
        raise node.error(f"calls {node.attr('callee')}, which is no function of the module", "define it in the module")
    assert node.settings.call is not None
    body = node.settings.call(function, node)
    return lambda *operands: tuple(body(operands, ()))


FUNCTION_ENTRY = Entry(call_kernel, pure=False)
"""How an op that calls one of the model's own functions is run."""
