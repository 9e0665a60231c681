"""``channels-last-io``: images go in and come out as ``[N, H, W, C]``, as cameras give and most chips hold them."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp, main_function
from qir.dialects.qsim import AXES
from qir.ir import ArrayAttr, Attribute, Builder, Context, Operation, StringAttr, TensorType, Value, integer_array
from qir.passes.base import Pass, option
from qir.passes.lower.layout import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, transposed_type
from qir.passes.quantize.quantize_io import NAME, chosen
from qir.passes.registry import register_pass

__all__ = ["ChannelsLastIo"]

DIMS = "onnx.dims"


@register_pass
@attrs.frozen
class ChannelsLastIo(Pass):
    """Let inputs and outputs of four axes have their channels last, and transpose beside them.

    Where a target works with channels last, its layout patterns cancel these transposes. The attribute qir.axes of the
    argument or result lists for each axis which one of the model it is: who runs the model permutes by it.
    """

    name: ClassVar[str] = "channels-last-io"
    dialects: ClassVar[tuple[str, ...]] = ("onnx",)

    inputs: tuple[str, ...] = option(("*",), "which inputs: names or globs")
    outputs: tuple[str, ...] = option(("*",), "which outputs: names or globs")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        func = main_function(module)
        changed = 0
        for kind, index, name in chosen(func, self.inputs, self.outputs):
            changed += _input(func, index, ctx) if kind == "input" else _output(func, index, name, ctx)
        func.update_type()
        self.count(ctx, "inputs and outputs", changed)
        return changed > 0


def _is_image(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.rank == 4


def _transpose(x: Value, perm: tuple[int, ...], type: TensorType, builder: Builder, ctx: Context) -> Value:
    return builder.insert(ctx.create_op("onnx.Transpose", [x], [type], {"perm": integer_array(perm)})).results[0]


def _dims(names: Attribute | None) -> ArrayAttr | None:
    """The names of dimensions in their new order."""
    if not isinstance(names, ArrayAttr):
        return None
    held = [*names.values, *[StringAttr("")] * (4 - len(names.values))]
    moved = [held[axis] for axis in TO_CHANNELS_LAST]
    while moved and moved[-1] == StringAttr(""):
        moved.pop()
    return ArrayAttr(tuple(moved))


def _input(func: FuncOp, index: int, ctx: Context) -> bool:
    arg = func.body.args[index]
    if not _is_image(arg) or func.arg_attr(index, AXES) is not None:
        return False
    type = arg.type
    assert isinstance(type, TensorType)
    users = list(arg.uses)
    inside = _transpose(arg, TO_CHANNELS_FIRST, type, Builder(func.body, func.body.first, arg.location), ctx)
    for user in dict.fromkeys(users):
        user.set_operands([inside if value is arg else value for value in user.operands])
    arg.type = transposed_type(type, TO_CHANNELS_LAST)
    func.set_arg_attr(index, DIMS, _dims(func.arg_attr(index, DIMS)))
    func.set_arg_attr(index, AXES, integer_array(TO_CHANNELS_LAST))
    return True


def _output(func: FuncOp, index: int, name: str, ctx: Context) -> bool:
    returned = func.return_op
    value = returned.operands[index]
    if not _is_image(value) or func.res_attr(index, AXES) is not None:
        return False
    assert isinstance(value.type, TensorType)
    last = transposed_type(value.type, TO_CHANNELS_LAST)
    outside = _transpose(value, TO_CHANNELS_LAST, last, Builder.at(returned), ctx)
    returned.set_operand(index, outside)
    func.set_res_attr(index, DIMS, _dims(func.res_attr(index, DIMS)))
    func.set_res_attr(index, AXES, integer_array(TO_CHANNELS_LAST))
    func.set_res_attr(index, NAME, StringAttr(name))
    return True
