"""``inline``: a model's own functions, in the place of their calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import attrs

from qir.dialects.func import FuncOp
from qir.dialects.onnx import NoValue
from qir.dialects.onnx_opaque import reference_of
from qir.dialects.onnx_types import UNKNOWN_TYPE
from qir.ir import Attribute, Context, NameLoc, NoneType, Operation, TensorAttr, Value, none
from qir.passes.base import Pass
from qir.passes.registry import register_pass

__all__ = ["Inline", "inline_functions"]

DEPTH = 64
"""Calls in calls: ONNX functions do not recurse, so a model that goes deeper is left as it is."""


@register_pass
@attrs.frozen
class Inline(Pass):
    """Put the bodies of the model's own functions (those of ONNX, not of MLIR) where they are called.

    What is quantized, folded and fused is then seen as if it had been written there. A function that is written for
    another opset than the model stays a call.
    """

    name: ClassVar[str] = "inline"

    def run(self, module: Operation, ctx: Context) -> bool:
        count = inline_functions(module, ctx)
        self.count(ctx, "calls inlined", count)
        return bool(count)


def inline_functions(module: Operation, ctx: Context) -> int:
    """Inline the calls of ONNX functions that stand outside of them; how many. Functions without a call go."""
    definitions = {op.attr("sym_name"): op for op in module.regions[0].block if op.name == "func.func"}
    if not any("onnx.function" in op.attributes for op in definitions.values()):
        return 0
    from qir.interpreter.functions import model_functions

    functions = model_functions(definitions)
    own = module.attr("onnx.opset", None)
    count = 0
    for _ in range(DEPTH):
        calls = [(op, f) for op in module.walk() if (f := _callee(op, functions)) is not None and _outside(op)]
        inlined = 0
        for op, function in calls:
            if function.attr("onnx.opset", own) != own and not _agree(function.attr("onnx.opset"), own):
                ctx.remark("missed", op.location, f"{op.name} stays a call: it is written for another opset", "inline")
                continue
            _inline(op, function)
            inlined += 1
        count += inlined
        if not inlined:
            break
    _drop_uncalled(module, functions)
    if count:  # nodes of two graphs may have had one name: they are in one graph now
        module.attributes.pop("onnx.shared_node_names", None)
    for op in module.regions[0].block:
        if count and isinstance(op, FuncOp) and not op.is_declaration:
            op.update_type()
    return count


def _drop_uncalled(module: Operation, functions: Mapping[str, Operation]) -> None:
    left = dict.fromkeys(functions.values())
    while True:
        called = {f for op in module.walk() if (f := _callee(op, functions)) is not None and not _within(op, f)}
        dead = [f for f in left if f not in called]
        if not dead:
            return
        for function in dead:
            del left[function]
            function.erase()


def _callee(op: Operation, functions: Mapping[str, Operation]) -> Operation | None:
    if op.name not in functions:
        return None
    overload = op.attr("onnx.overload", "")
    return functions.get(f"{op.name}:{overload}" if overload else op.name)


def _outside(op: Operation) -> bool:
    return not any("onnx.function" in around.attributes for around in _parents(op))


def _within(op: Operation, function: Operation) -> bool:
    return any(around is function for around in _parents(op))


def _parents(op: Operation) -> list[Operation]:
    found, around = [], op.parent_op
    while around is not None:
        found.append(around)
        around = around.parent_op
    return found


def _agree(function: object, module: object) -> bool:
    """Whether both mean the same operators: the versions of all domains that both import are equal."""
    if not isinstance(function, dict) or not isinstance(module, dict):
        return False
    return all(module.get(domain, version) == version for domain, version in function.items())


def _inline(call: Operation, function: Operation) -> None:
    """Put a copy of the function's body before its call, and its results in the place of the call's."""
    from qir.interpreter.functions import bound_attributes

    bound = bound_attributes(function, call, {})
    body, block = function.regions[0].block, call.parent
    assert block is not None
    prefix = next(iter(call.location.names()), "")
    mapping: dict[Value, Value] = {}
    absent: set[Value] = set()
    for i, arg in enumerate(body.args):
        if i < len(call.operands) and not isinstance(call.operands[i].type, NoneType):
            mapping[arg] = call.operands[i]
        else:
            absent.add(arg)
    for op in list(body):
        if op is body.last:
            break
        copy = op.clone(mapping)
        for inner in copy.walk():
            _bind(inner, bound)
            held = inner.attributes.get("value")
            if inner.name == "onnx.Constant" and isinstance(held, TensorAttr):
                inner.results[0].type = held.type
            names = inner.location.names()
            if prefix and names:
                inner.location = NameLoc(f"{prefix}/{names[0]}")
            elif not names:
                inner.location = call.location
            for result in inner.results:
                if result.name and prefix:
                    result.name = f"{prefix}/{result.name}"
        block.insert_before(copy, call)
        for inner in list(copy.walk()):
            for index, operand in enumerate(inner.operands):
                if operand in absent:
                    inner.set_operand(index, _nothing(inner))
    terminator = body.last
    assert terminator is not None
    for result, returned in zip(call.results, terminator.operands, strict=False):
        value = mapping.get(returned, returned)
        if value.type == UNKNOWN_TYPE and value.defining_op is not None:
            value.type = result.type
        if value.defining_op is not None and value.block is block and result.name and value not in call.operands:
            value.name = result.name
        result.replace_all_uses_with(value)
    left = [v.defining_op for v in call.operands if isinstance(v.type, NoneType)]
    call.erase()
    for nothing in left:
        if nothing is not None and not nothing.results[0].uses:
            nothing.erase()


def _nothing(user: Operation) -> Value:
    """An absent operand: a NoValue directly before its user."""
    made = NoValue.create((), (none,))
    assert user.parent is not None
    user.parent.insert_before(made, user)
    return made.results[0]


def _bind(op: Operation, bound: Mapping[str, Attribute]) -> None:
    """Attributes that name one of the function's, by what the call or the function's default gives."""
    for name, value in list(op.attributes.items()):
        reference = reference_of(value)
        if reference is None:
            continue
        given = bound.get(reference[0])
        if given is None:
            del op.attributes[name]
        else:
            op.attributes[name] = given
