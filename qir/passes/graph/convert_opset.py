"""``convert-opset``: a newer version of ONNX's operators, where their form or meaning changed.

Each change is a step: the operator, the version that changed it, and the rewrite to the new form. Attributes became
operands, axes got another default, operators got another name; a version without a step changed nothing that a model
could tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qir.ir import Context, DictAttr, FloatType, IntegerAttr, Operation, TensorType, Value, dictionary, i1, i64
from qir.passes.base import Pass, option
from qir.passes.graph.old_opsets import OLD_STEPS
from qir.passes.registry import register_pass
from qir.rewrite import Rewriter, constant_array, is_absent

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["STEPS", "ConvertOpset", "convert_opset"]

Step = Callable[[Operation, Rewriter], None]
STEPS: dict[tuple[str, int], Step] = dict(OLD_STEPS)
"""The rewrite for each operator and the version that changed it."""


def step(version: int, *names: str) -> Callable[[Step], Step]:
    """Decorator: what becomes of these operators at `version`."""

    def register(function: Step) -> Step:
        STEPS.update({(f"onnx.{name}", version): function for name in names})
        return function

    return register


@register_pass
@attrs.frozen
class ConvertOpset(Pass):
    """Raise the module to a newer opset of ONNX's own operators; a module that is newer already stays as it is."""

    name: ClassVar[str] = "convert-opset"
    dialects: ClassVar[tuple[str, ...]] = ("onnx",)

    version: int = option(help="the opset of ai.onnx to reach")

    def run(self, module: Operation, ctx: Context) -> bool:
        return convert_opset(module, ctx, self.version)


def convert_opset(module: Operation, ctx: Context, version: int) -> bool:
    """Raise `module` to `version` of ai.onnx; whether it was older. Raises QirError for what has no newer form."""
    stated = module.attributes.get("onnx.opset")
    entries = dict(stated.entries) if isinstance(stated, DictAttr) else {}
    held = entries.get("ai.onnx")
    current = held.value if isinstance(held, IntegerAttr) else version
    newest = _newest()
    if version > newest:
        raise module.error(
            f"cannot be raised to opset {version}: the installed onnx knows {newest}", "install a newer onnx"
        )
    if current >= version:
        return False
    _raise_ir_version(module, version)
    if current < 6:  # a memory hint of ONNX's first version
        for op in module.walk():
            op.attributes.pop("consumed_inputs", None)
    rewriter = Rewriter(ctx, module)
    for number in range(current + 1, version + 1):
        for op in [o for o in module.walk() if (o.name, number) in STEPS and _follows(o, module)]:
            rewriter.start(op, (op,))
            STEPS[op.name, number](op, rewriter)
        # Each step sees the operators of its own version: what it makes is judged by the next one.
        module.attributes["onnx.opset"] = dictionary({**entries, "ai.onnx": IntegerAttr(number)})
    return True


def _raise_ir_version(module: Operation, version: int) -> None:
    """The format's version that knows the opset.

    Before version 4 of the format initializers had to be inputs too, and were constants all the same; from 4 on an
    initializer among the inputs can be overridden, so they leave the inputs.
    """
    from onnx import helper

    stated = module.attributes.get("onnx.ir_version")
    needed = helper.find_min_ir_version_for([helper.make_opsetid("", version)], ignore_unknown=True)
    if not isinstance(stated, IntegerAttr) or stated.value >= needed:
        return
    module.attributes["onnx.ir_version"] = IntegerAttr(needed)
    if stated.value < 4:
        for op in module.walk():
            op.attributes.pop("onnx.input", None)


def _newest() -> int:
    import onnx

    return int(onnx.defs.onnx_opset_version())


def _follows(op: Operation, module: Operation) -> bool:
    """Whether the module's opset holds for an operation: a function may state its own."""
    around = op.parent_op
    while around is not None and around is not module:
        if "onnx.opset" in around.attributes:
            return False
        around = around.parent_op
    return True


# ---------------------------------------------------------------- tools
def _vector(values: Sequence[int] | int, rewriter: Rewriter, name: str) -> Value:
    import numpy as np

    return rewriter.constant(np.atleast_1d(np.asarray(values, np.int64)), name, initializer=True)


def _scalar_like(value: float, like: Value, rewriter: Rewriter, name: str) -> Value:
    """A number of the element type of another value."""
    import numpy as np

    from qir.ir.tensors import numpy_dtype

    assert isinstance(like.type, TensorType)
    element = like.type.element
    dtype = numpy_dtype(element)
    if not isinstance(element, FloatType):
        info = np.iinfo(dtype)
        value = min(max(value, info.min), info.max)
    return rewriter.constant(np.asarray(value).astype(dtype), name, initializer=True)


def _rebuild(
    op: Operation, operands: Sequence[Value | None], rewriter: Rewriter, *gone: str, name: str | None = None, **new: Any
) -> None:
    """Replace an operation by one with other operands, without the attributes `gone` and with `new` ones."""
    attributes = {k: v for k, v in op.attributes.items() if k not in gone}
    made = rewriter.op(name or op.name, operands, {**attributes, **new}, [r.type for r in op.results])
    for old, result in zip(op.results, made.results, strict=True):
        result.name = old.name
    rewriter.replace(op, list(made.results))


def _to_operand(key: str) -> Step:
    """A list of integers that became the second operand."""

    def convert(op: Operation, rewriter: Rewriter) -> None:
        values = op.attr(key)
        if values is not None:
            _rebuild(op, [op.operands[0], _vector(values, rewriter, key)], rewriter, key)

    return convert


step(10, "TopK")(
    lambda op, rewriter: _rebuild(op, [op.operands[0], _vector(op.attr("k"), rewriter, "k")], rewriter, "k")
)
step(13, "Squeeze", "Unsqueeze", "ReduceSum")(_to_operand("axes"))
step(13, "Split")(_to_operand("split"))
step(18, *(f"Reduce{kind}" for kind in ("Max", "Min", "Mean", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")))(
    _to_operand("axes")
)


# ---------------------------------------------------------------- attributes that became operands
@step(10, "Slice")
def _slice(op: Operation, rewriter: Rewriter) -> None:
    starts, ends, axes = op.attr("starts"), op.attr("ends"), op.attr("axes")
    axes = axes if axes is not None else range(len(starts))
    bounds = [_vector(v, rewriter, n) for v, n in ((starts, "starts"), (ends, "ends"), (tuple(axes), "axes"))]
    _rebuild(op, [op.operands[0], *bounds], rewriter, "starts", "ends", "axes")


@step(11, "Clip")
def _clip(op: Operation, rewriter: Rewriter) -> None:
    x = op.operands[0]
    bounds = [None if (v := op.attr(k)) is None else _scalar_like(float(v), x, rewriter, k) for k in ("min", "max")]
    _rebuild(op, [x, *bounds], rewriter, "min", "max")


@step(11, "Pad")
def _pad(op: Operation, rewriter: Rewriter) -> None:
    x, value = op.operands[0], float(op.attr("value", 0.0))
    operands = [x, _vector(op.attr("pads"), rewriter, "pads")]
    if op.attr("mode", "constant") == "constant" and value:
        operands.append(_scalar_like(value, x, rewriter, "value"))
    _rebuild(op, operands, rewriter, "pads", "value")


@step(12, "Dropout")
def _dropout(op: Operation, rewriter: Rewriter) -> None:
    ratio = _scalar_like(float(op.attr("ratio", 0.5)), op.operands[0], rewriter, "ratio")
    _rebuild(op, [op.operands[0], ratio], rewriter, "ratio")


@step(18, "Split")
def _split_count(op: Operation, rewriter: Rewriter) -> None:
    if len(op.operands) < 2 or is_absent(op.operands[1]):
        _rebuild(op, op.operands[:1], rewriter, num_outputs=len(op.results))


@step(20, "DFT")
def _dft(op: Operation, rewriter: Rewriter) -> None:
    import numpy as np

    axis = rewriter.constant(np.asarray(op.attr("axis", 1), np.int64), "axis", initializer=True)
    length = op.operands[1] if len(op.operands) > 1 else None
    _rebuild(op, [op.operands[0], length, axis], rewriter, "axis")


# ---------------------------------------------------------------- other names
@step(10, "Upsample")
def _upsample(op: Operation, rewriter: Rewriter) -> None:
    import numpy as np

    scales = op.operands[1] if len(op.operands) > 1 else None
    if scales is None:
        scales = rewriter.constant(np.asarray(op.attr("scales"), np.float32), "scales", initializer=True)
    _rebuild(op, [op.operands[0], scales], rewriter, "scales", name="onnx.Resize")


@step(11, "Scatter")
def _scatter(op: Operation, rewriter: Rewriter) -> None:
    _rebuild(op, op.operands, rewriter, name="onnx.ScatterElements")


@step(11, "Resize")
def _resize(op: Operation, rewriter: Rewriter) -> None:
    """Resize-10 has no half-pixel shift; it takes the pixel below when it enlarges, above when it shrinks."""
    factors = constant_array(op.operands[1])
    shrinks = factors is not None and bool((factors < 1).any())
    new: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric"}
    if op.attr("mode", "nearest") == "nearest":
        new["nearest_mode"] = "ceil" if shrinks else "floor"
    _rebuild(op, [op.operands[0], None, op.operands[1]], rewriter, **new)


# ---------------------------------------------------------------- other meanings
@step(13, "Softmax", "LogSoftmax", "Hardmax")
def _softmax(op: Operation, rewriter: Rewriter) -> None:
    """Over all axes from `axis` (1) on, as one row, until 12; over the axis alone (-1) since 13."""
    x = op.operands[0]
    assert isinstance(x.type, TensorType)
    rank, axis = x.type.rank, int(op.attr("axis", 1))
    if rank is not None and x.type.shape is not None:
        wide = [i for i in range(axis % max(rank, 1), rank) if x.type.shape[i] != 1]
        if len(wide) <= 1:  # of these axes all but one have a single element
            rewriter.set_attr(op, "axis", wide[0] - rank if wide else -1)
            return
    element = x.type.element
    matrix = rewriter.op("onnx.Flatten", [x], {"axis": axis}, TensorType((None, None), element))
    rows = rewriter.op(op.name, [matrix], {"axis": -1}, TensorType((None, None), element))
    shape = rewriter.op("onnx.Shape", [x], {}, TensorType((rank,), i64))
    rewriter.replace(op, rewriter.op("onnx.Reshape", [rows, shape]))


@step(10, "Dropout")
def _mask(op: Operation, rewriter: Rewriter) -> None:
    """The mask is a tensor of booleans."""
    for result in op.results[1:]:
        if isinstance(result.type, TensorType):
            rewriter.set_type(result, result.type.with_element(i1))


@step(9, "BatchNormalization")
def _batch_norm(op: Operation, rewriter: Rewriter) -> None:
    if op.attr("spatial", 1) != 1:
        raise op.error(
            "normalizes every position on its own (spatial = 0), which opset 9 dropped", "rewrite it as Mul and Add"
        )
    rewriter.set_attr(op, "spatial", None)


@step(16, "RoiAlign")
def _roi_align(op: Operation, rewriter: Rewriter) -> None:
    if "coordinate_transformation_mode" not in op.attributes:
        rewriter.set_attr(op, "coordinate_transformation_mode", "output_half_pixel")


@step(20, "GridSample")
def _grid_sample(op: Operation, rewriter: Rewriter) -> None:
    renamed = {"bilinear": "linear", "bicubic": "cubic"}.get(op.attr("mode", "bilinear"))
    if renamed is not None:
        rewriter.set_attr(op, "mode", renamed)


@step(21, "GroupNormalization")
def _group_norm(op: Operation, rewriter: Rewriter) -> None:
    """One scale and bias per group until 20, one per channel since 21."""
    x = op.operands[0].type
    channels = x.shape[1] if isinstance(x, TensorType) and x.shape is not None and len(x.shape) > 1 else None
    arrays = [constant_array(v) for v in op.operands[1:3]]
    groups = int(op.attr("num_groups"))
    if channels is None or any(a is None for a in arrays):
        raise op.error("cannot be raised to opset 21: its scale and bias, one per group, must be constants")
    spread: list[NDArray[Any]] = [a.repeat(channels // groups) for a in arrays if a is not None]
    named = [rewriter.constant(a, n, initializer=True) for a, n in zip(spread, ("scale", "bias"), strict=True)]
    _rebuild(op, [op.operands[0], *named], rewriter)


@step(9, "Scan")
def _scan(op: Operation, rewriter: Rewriter) -> None:
    raise op.error(
        "has the form of opset 8, with a batch axis, which has no newer one", "export the model with opset 9 or later"
    )
