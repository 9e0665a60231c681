"""``shape-inference``: types that ONNX can infer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from qir.dialects.func import FuncOp
from qir.dialects.onnx_types import UNDEFINED, UNKNOWN_TYPE
from qir.ir import ArrayAttr, Context, Operation, TensorType, Type, Value
from qir.passes.base import Pass
from qir.passes.registry import register_pass

if TYPE_CHECKING:
    import onnx

__all__ = ["ShapeInference", "infer_shapes", "refined"]


@register_pass
@attrs.frozen
class ShapeInference(Pass):
    """Refine types by ONNX's shape inference: what was unknown, and sizes that a rewrite changed.

    What is known stays where inference knows less. Names of dimensions (onnx.dims) that no longer fit are dropped.
    """

    name: ClassVar[str] = "shape-inference"

    def run(self, module: Operation, ctx: Context) -> bool:
        changed = infer_shapes(module)
        self.count(ctx, "types refined", changed)
        return bool(changed)


def infer_shapes(module: Operation) -> int:
    """Refine the types of the values in `module`; how many changed."""
    from qir.frontends.onnx.infer import infer_module

    changed: list[Value] = []
    for value, proto in infer_module(module).items():
        new = refined(value.type, _type(proto))
        if new != value.type:
            value.type = new
            changed.append(value)
    for value in changed:
        _drop_stale(value)
    if changed:
        for region in module.regions:
            for block in region.blocks:
                for func in block:
                    if isinstance(func, FuncOp) and not func.is_declaration:
                        _update_function(func)
    return len(changed)


def _type(proto: onnx.TypeProto) -> Type:
    from qir.frontends.onnx.types import Types

    return Types(lambda number, name: UNKNOWN_TYPE).read(proto).type


def refined(old: Type, new: Type) -> Type:
    """`old` with what `new` knows better: an unknown type, element type, rank or size.

    Where both know and differ, sizes are those of `new` and element types those of `old`.
    """
    if old == UNKNOWN_TYPE:
        return new
    if not isinstance(old, TensorType) or not isinstance(new, TensorType):
        return old
    element = new.element if old.element in (UNDEFINED, UNKNOWN_TYPE) else old.element
    if new.shape is None:
        shape = old.shape
    elif old.shape is None or len(old.shape) != len(new.shape):
        shape = new.shape
    else:
        shape = tuple(b if b is not None else a for a, b in zip(old.shape, new.shape, strict=True))
    return TensorType(shape, element, old.encoding)


def _drop_stale(value: Value) -> None:
    """Forget what was said about the type that a result had."""
    op = value.defining_op
    if op is None:
        return
    op.attributes.pop("onnx.type", None)
    dims = op.attributes.get("onnx.dims")
    if len(op.results) == 1:
        if not _fits(dims, value.type):
            op.attributes.pop("onnx.dims", None)
    elif isinstance(dims, ArrayAttr) and len(dims.values) == len(op.results):
        kept = tuple(d if _fits(d, r.type) else ArrayAttr() for d, r in zip(dims.values, op.results, strict=True))
        if any(isinstance(d, ArrayAttr) and d.values for d in kept):
            op.attributes["onnx.dims"] = ArrayAttr(kept)
        else:
            del op.attributes["onnx.dims"]


def _fits(dims: object, type: Type) -> bool:
    return isinstance(dims, ArrayAttr) and isinstance(type, TensorType) and (type.rank or 0) >= len(dims.values)


def _update_function(func: FuncOp) -> None:
    """The function's type is that of its body; dimension names of results that no longer fit go."""
    before = func.function_type
    func.update_type()
    after = func.function_type
    for i, (old, new) in enumerate(zip(before.results, after.results, strict=True)):
        if old != new:
            func.set_res_attr(i, "onnx.type", None)
            if not _fits(func.res_attr(i, "onnx.dims"), new):
                func.set_res_attr(i, "onnx.dims", None)
