"""Emitters and patterns for records that stand one to one for what is in the module: most of a small chip's lowering.

A chip whose records have ONNX's operands and attributes under names of its own needs no code for them, only a table::

    group_patterns(target, {"Conv": plain("npu.Conv", pads="pads", strides="strides", groups="group"),
                            "Softmax": plain("npu.Softmax", floats=True, axis="axis")})
    edge_patterns("npu.Quantize", "npu.Dequantize")
"""

from __future__ import annotations

from typing import Any

from qir.datasheet import clamp_bounds
from qir.dialects.qsim import DecodeOp, EncodeOp
from qir.ir import Operation, TensorType, Value
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.quantize.queries import symbol
from qir.rewrite import PatternSet, RewritePattern, Rewriter

__all__ = ["edge_patterns", "plain", "window"]

WINDOW = frozenset(("kernel_shape", "strides", "dilations", "pads", "group"))


def window(op: Operation) -> dict[str, Any]:
    """The window of a convolution or pooling, every attribute stated: `kernel_shape`, `strides`, `dilations`, `pads`
    (all begins, then all ends; ``auto_pad`` worked out) and, of convolutions, `group`.

    Raises QirError where the sizes that ``auto_pad`` or an unstated kernel needs are not in the types.
    """
    kernel = op.attr("kernel_shape", None)
    if kernel is None:
        kernel = _sizes(op, 1)
    rank = len(kernel)
    strides, dilations = (tuple(op.attr(key, None) or (1,) * rank) for key in ("strides", "dilations"))
    found: dict[str, Any] = {"kernel_shape": tuple(kernel), "strides": strides, "dilations": dilations}
    found["pads"] = tuple(op.attr("pads", None) or (0,) * (2 * rank))
    how = op.attr("auto_pad", "NOTSET")
    if how == "VALID":
        found["pads"] = (0,) * (2 * rank)
    elif how in ("SAME_UPPER", "SAME_LOWER"):
        # ceil(size / stride) windows; what they reach beyond the input is split, the odd cell to the end for UPPER
        beyond = [
            max(0, (-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size)
            for size, stride, taps, dilation in zip(_sizes(op, 0), strides, kernel, dilations, strict=True)
        ]
        small, large = tuple(n // 2 for n in beyond), tuple(n - n // 2 for n in beyond)
        found["pads"] = small + large if how == "SAME_UPPER" else large + small
    if op.name in ("onnx.Conv", "onnx.ConvTranspose"):
        found["group"] = op.attr("group", 1)
    return found


def _sizes(op: Operation, index: int) -> tuple[int, ...]:
    """The sizes of an operand behind its first two axes."""
    type = op.operands[index].type
    sizes = type.shape[2:] if isinstance(type, TensorType) and type.shape is not None else (None,)
    if None in sizes:
        raise op.error(f"has a window that depends on the sizes of operand {index}, which is {type}",
                       "give the model fixed sizes")  # fmt: skip
    return tuple(size for size in sizes if size is not None)


def plain(name: str, *, floats: bool = False, **attributes: str) -> Emitter:
    """An emitter of the record `name`, with the operation's operands in their order.

    `attributes` gives the record's attributes the values of ONNX's (``groups="group"``), those of a window as `window`
    has them; where the model does not state one, the record has its table's default. A Relu or Clip that is fused into
    the operation becomes the record's attributes ``low`` and ``high``. With `floats` the record takes floats too;
    without, an operation that is not quantized is left as it is, for another pattern or for the error that names it.
    """

    def emit(group: Group, rewriter: Rewriter) -> Operation | None:
        if not (group.quantized or floats):
            return None
        stated = window(group.op) if WINDOW.intersection(attributes.values()) else {}
        given = {ours: stated.get(theirs, group.op.attr(theirs, None)) for ours, theirs in attributes.items()}
        if group.activation is not None:
            bounds = clamp_bounds(group.activation)
            if bounds is None:
                raise group.activation.error("is no clamp", "the data sheet fuses Relu, and Clip where BOUNDS_KNOWN")
            given["low"], given["high"] = bounds
        return record(rewriter, name, group.operands, [r.type for r in group.results], given, group.quant)

    emit.__doc__ = f"The record {name}."
    return emit


class _EdgePattern(RewritePattern):
    """encode(x) = quantize(x), decode(c) = dequantize(c): where floats and codes meet and no record takes it in."""

    def __init__(self, root: type[EncodeOp | DecodeOp], name: str) -> None:
        self.name, self.roots, self.record = name.replace(".", "-").lower(), (root.name,), name

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        assert isinstance(op, (EncodeOp, DecodeOp))
        names = [None, symbol(op)] if isinstance(op, EncodeOp) else [symbol(op), None]
        value: Value = record(rewriter, self.record, [op.x], op.y.type, quant=names).results[0]
        rewriter.replace(op, [value])
        return True


def edge_patterns(quantize: str, dequantize: str) -> PatternSet:
    """What is left of qsim once the groups are records: encodes and decodes become these two records.

    It belongs in a phase behind the groups.
    """
    patterns = [_EdgePattern(EncodeOp, quantize), _EdgePattern(DecodeOp, dequantize)]
    return PatternSet(patterns, f"{quantize.partition('.')[0]}-edges")
