"""``quantize-io``: a model whose inputs and outputs are codes, as a microcontroller's are; and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import ClassVar

import attrs

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp, main_function
from qir.dialects.qsim import IO, DecodeOp, EncodeOp
from qir.ir import Context, Operation, StringAttr, SymbolRefAttr, TensorType, fail
from qir.ir.types import f32
from qir.passes.base import Pass, option
from qir.passes.registry import register_pass
from qir.target import node_name

__all__ = ["NAME", "QuantizeIo", "chosen", "float_io"]

NAME = "onnx.name"
"""On a result: the output's name, where the value returned has another one."""


@register_pass
@attrs.frozen
class QuantizeIo(Pass):
    """Make inputs and outputs of a materialised module integers, where all that reads or makes them is codes.

    The attribute qir.io of the argument or result names the quantizer: who runs the model encodes and decodes by it.
    An input that is read in float too, or by two quantizers, stays float, with a remark.
    """

    name: ClassVar[str] = "quantize-io"
    dialects: ClassVar[tuple[str, ...]] = ("qsim",)

    inputs: tuple[str, ...] = option(("*",), "which inputs: names or globs")
    outputs: tuple[str, ...] = option(("*",), "which outputs: names or globs")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        func = main_function(module)
        changed = 0
        for kind, index, name in chosen(func, self.inputs, self.outputs):
            reason = _input(func, index) if kind == "input" else _output(func, index, name)
            if reason is None:
                self.count(ctx, f"{kind}s")
                changed += 1
            else:
                ctx.remark("missed", func.location, f"the {kind} '{name}' stays as it is: {reason}", self.name)
        func.update_type()
        if not changed:
            ctx.warning(func.location, "no input or output is made integer", "list the reasons with --remarks missed")
        return changed > 0


def chosen(func: FuncOp, inputs: Sequence[str], outputs: Sequence[str]) -> list[tuple[str, int, str]]:
    """``input`` or ``output``, position and name of what the names and globs mean.

    Raises QirError for a name or glob that means nothing.
    """
    from qir.interpreter.lookup import port_names

    found = []
    for kind, wanted, names in zip(("input", "output"), (inputs, outputs), port_names(func), strict=True):
        for text in wanted:
            if text != "*" and not any(text == name or fnmatchcase(name, text) for name in names):
                known = ", ".join(names) or "none"
                fail(func.location, f"the model has no {kind} '{text}'", f"its {kind}s are {known}")
        for index, name in enumerate(names):
            if any(text in ("*", name) or fnmatchcase(name, text) for text in wanted):
                found.append((kind, index, name))
    return found


def _input(func: FuncOp, index: int) -> str | None:
    """Let an argument be its codes; the reason where it cannot."""
    arg = func.body.args[index]
    if func.arg_attr(index, IO) is not None:
        return "it is integer already"
    encodes = [user for user in arg.uses if isinstance(user, EncodeOp)]
    other = next((user for user in arg.uses if not isinstance(user, EncodeOp)), None)
    if not encodes:
        return "nothing quantizes it with a scale of its own"
    if other is not None:
        return f"{other.name} '{node_name(other)}' reads it in float"
    names = list(dict.fromkeys(op.quantizer for op in encodes))
    if len(names) > 1:
        return f"it is quantized by @{' and by @'.join(names)}"
    arg.type = encodes[0].y.type
    for encode in encodes:
        encode.y.replace_all_uses_with(arg)
        encode.erase()
    func.set_arg_attr(index, IO, SymbolRefAttr(names[0]))
    return None


def _output(func: FuncOp, index: int, name: str) -> str | None:
    """Return the codes of a result; the reason where it has none."""
    returned = func.return_op
    if func.res_attr(index, IO) is not None:
        return "it is integer already"
    decode = returned.operands[index].defining_op
    if not isinstance(decode, DecodeOp):
        return "no codes are made of it"
    returned.set_operand(index, decode.x)
    func.set_res_attr(index, IO, SymbolRefAttr(decode.quantizer))
    func.set_res_attr(index, NAME, StringAttr(name))
    if not decode.y.uses:
        decode.erase()
    return None


def float_io(module: ModuleOp) -> bool:
    """Undo `quantize-io`: the arguments and results that are codes are float again. Whether there were any."""
    func = main_function(module)
    block, returned, changed = func.body, func.return_op, False
    for index, arg in enumerate(block.args):
        quantizer = func.arg_attr(index, IO)
        if isinstance(quantizer, SymbolRefAttr) and isinstance(arg.type, TensorType):
            codes, arg.type, users = arg.type, arg.type.with_element(f32), arg.users
            encode = EncodeOp.create([arg], [codes], {"quantizer": quantizer}, location=arg.location)
            for user in users:
                user.set_operands([encode.y if v is arg else v for v in user.operands])
            block.insert_before(encode, next((op for op in block if op in users), block.first))
            func.set_arg_attr(index, IO, None)
            changed = True
    for index, value in enumerate(returned.operands):
        quantizer = func.res_attr(index, IO)
        if isinstance(quantizer, SymbolRefAttr) and isinstance(value.type, TensorType):
            type = value.type.with_element(f32)
            decode = DecodeOp.create([value], [type], {"quantizer": quantizer}, location=func.location)
            block.insert_before(decode, returned)
            returned.set_operand(index, decode.y)
            func.set_res_attr(index, IO, None)
            changed = True
    func.update_type()
    return changed
