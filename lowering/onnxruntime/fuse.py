"""QDQ groups to integer operations, exactly where onnxruntime 1.32 fuses them on an x86-64 CPU (level EXTENDED or ALL).

A group is an operator whose tensors all come from a DequantizeLinear of its own, and, where the integer kernel gives
codes, whose only user is a QuantizeLinear; a Relu or Clip may stand before that if its codes imply it. What the
runtime does to the graph before it looks for groups is in `prepare`. A group that is not fused keeps its reason as a
remark (``missed``), for the runtime then computes it in float.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from qir.dialects.onnx import opset_of
from qir.ir import UNKNOWN, Operation, TensorType, i8, i32, is_absent, none, ui8
from qir.ir.tensors import numpy_dtype
from qir.lowering.onnxruntime.dialect import DIALECT
from qir.lowering.onnxruntime.groups import (
    BYTES,
    Group,
    codes_of,
    equal_parameters,
    group_of,
    is_dequantize,
    is_quantize,
    is_scalar,
    parameters,
    sole_reader,
)
from qir.rewrite import RewritePattern, Rewriter, Value

__all__ = ["Fusion", "fusing_patterns", "left_in_float"]

# ---------------------------------------------------------------------- what a group must be
Check = Callable[[Group], "str | None"]


def _all_dequantized(group: Group) -> str | None:
    for value, dq in zip(group.op.operands, group.dqs, strict=True):
        if dq is None and not is_absent(value):
            return f"its operand {value.name or ''} is not dequantized".replace("  ", " ")
    return None


def _needs_q(group: Group) -> str | None:
    return None if group.q is not None else "no QuantizeLinear follows it, and its integer kernel gives codes only"


def _bytes_only(group: Group) -> str | None:
    found = [codes_of(op) for op in group.converters]
    if len(set(found)) > 1:
        return f"its codes are of different types: {', '.join(map(str, found))}"
    return None if found[0] in BYTES else f"it has no integer kernel for {found[0]}"


def _single(op: Operation) -> bool:
    found, type = parameters(op), op.operands[1].type
    if found is not None:
        return found[0].size == 1
    return isinstance(type, TensorType) and type.shape in ((), (1,))  # computed, as by DynamicQuantizeLinear


def _one_scale(group: Group) -> str | None:
    return None if all(map(_single, group.converters)) else "its data has several scales"


def _weighted(group: Group) -> str | None:
    """Types and granularity of a product: data and result have one scale, the weight one or one per output channel."""
    op, (x, weight) = group.op, group.inputs[:2]
    data, stored, found = codes_of(x), codes_of(weight), parameters(weight)
    if data == i8 and op.name != "onnx.Gemm":
        return "its data is int8, which has no such kernel on x86"
    if data not in BYTES or stored not in BYTES or (data, stored) == (i8, ui8):
        return f"it has no integer kernel for {data} with {stored} weights"
    if group.q is not None and codes_of(group.q) != data:
        return f"its result is {codes_of(group.q)}, its data {data}"
    if found is None:
        return "a scale is computed"
    if weight.attr("block_size", 0):
        return "its weight has a scale per block"
    if found[0].size != 1:
        type = weight.operands[0].type
        assert isinstance(type, TensorType)
        rank = type.rank or 2
        columns = rank - 1 if op.name == "onnx.MatMul" else 0 if op.attr("transB", 0) else 1
        if weight.attr("axis", 1) % rank != (0 if op.name == "onnx.Conv" else columns):
            return "the scales of its weight do not lie along its output channels"
    ends = [x] if group.q is None else [x, group.q]
    return None if all(map(_single, ends)) else "its data has several scales"


def _bias(group: Group) -> str | None:
    if len(group.inputs) > 2 and codes_of(group.inputs[2]) != i32:
        return f"its bias is {codes_of(group.inputs[2])}, not int32"
    return None


def _bias_scale(group: Group) -> str | None:
    """A convolution's bias must be at the product of the scales, within a hundredth; a Gemm's is not looked at."""
    if len(group.inputs) < 3:
        return None
    data, weight, bias = (parameters(dq) for dq in group.inputs)
    if data is None or weight is None or bias is None:
        return "the scale of its bias is computed"
    product = data[0].reshape(()) * weight[0].reshape(-1)
    if bias[0].size not in (1, product.size) or not np.allclose(bias[0].reshape(-1), product, rtol=0.01, atol=0):
        return "its bias has another scale than data times weight"
    return None


def _beta(group: Group) -> str | None:
    return "beta is not 1" if len(group.inputs) > 2 and group.op.attr("beta", 1.0) != 1.0 else None


def _dilated(group: Group) -> str | None:
    return "it is dilated" if any(d != 1 for d in group.op.attr("dilations", ())) else None


def _branches(group: Group) -> str | None:
    return None if group.dqs[0] is None and all(group.dqs[1:]) else "its branches are not both dequantized"


def _moves(group: Group) -> str | None:
    """Codes in, the same codes out: one kind of parameters."""
    if len(group.inputs) != 1 or group.dqs[0] is None:
        return "not its data alone is dequantized"
    if group.clip is not None:
        return "an activation stands behind it"
    if group.q is None:
        return _needs_q(group)
    if not equal_parameters(group.inputs[0], group.q):
        return "its input and output have different scales or zero points"
    return "it has a second result" if any(r.uses for r in group.op.results[1:]) else None


def _positive(group: Group) -> str | None:
    found = parameters(group.inputs[0])
    return None if found is not None and bool((found[0] > 0).all()) else "its scale is not positive"


def _nearest(group: Group) -> str | None:
    mode = group.op.attr("mode", "nearest")
    return None if mode == "nearest" else f"it interpolates ({mode}): the runtime resizes codes by copying alone"


# ---------------------------------------------------------------------- what takes its place
def _zero(op: Operation, rewriter: Rewriter) -> Value:
    """The zero point of a converter; an absent one is made."""
    if len(op.operands) > 2 and not is_absent(op.operands[2]):
        return op.operands[2]
    found = parameters(op)
    assert found is not None
    return rewriter.constant(np.zeros(found[0].shape, numpy_dtype(codes_of(op))), "zero_point", initializer=True)


def _operands(group: Group, order: str, rewriter: Rewriter) -> Iterator[Value]:
    """Operands in the order of a schema.

    Words are ``0`` (codes, scale and zero point of the first input), ``0q``, ``0s`` and ``0z`` (one of them), ``*``
    (all inputs), ``y`` (scale and zero point of the result, if it is codes) and ``c`` (the operator's first operand).
    An input that is not there is NoValue, nothing where the word ends in ``?``.
    """
    for word in order.replace("*", " ".join(map(str, range(len(group.inputs))))).split():
        found = re.fullmatch(r"(\d+)([qsz]?)(\??)", word)
        if found is None:
            converter = [] if group.q is None else [group.q.operands[1], _zero(group.q, rewriter)]
            yield from [group.op.operands[0]] if word == "c" else converter
        elif int(found[1]) < len(group.inputs):
            dq = group.inputs[int(found[1])]
            for part in found[2] or "qsz":
                yield _zero(dq, rewriter) if part == "z" else dq.operands["qs".index(part)]
        elif not found[3]:
            yield rewriter.op("onnx.NoValue", (), {}, none, location=UNKNOWN).result


def _softmax_version(op: Operation) -> dict[str, int]:
    opset = opset_of(op) or 13
    return {"opset": 13 if opset >= 13 else 11 if opset >= 11 else 1}


class Fusion(RewritePattern):
    """One line of the runtime's table: operators, what their group must be, and the operation that takes its place.

    `made` is its name and the order of its operands, `floats` that in place of a group without a QuantizeLinear;
    without them the operator itself takes the codes. It has those attributes of the operator that its schema has, and
    `extra`.
    """

    depth = 2

    def __init__(
        self, name: str, roots: str, checks: Sequence[Check], made: tuple[str, str] | None = None,
        floats: tuple[str, str] | None = None, extra: Callable[[Operation], dict[str, int]] = lambda op: {},
    ) -> None:  # fmt: skip
        self.name, self.roots = name, tuple(f"onnx.{root}" for root in roots.split())
        self.checks, self.made, self.floats, self.extra = checks, made, floats, extra

    def reason(self, op: Operation) -> str | None:
        """Why the runtime leaves a group in float; None for one that it fuses, and "" where nothing is quantized."""
        if not any(is_dequantize(v.defining_op) for v in op.operands):
            return ""
        group = group_of(op)
        if isinstance(group, str):
            return group
        return next((reason for check in self.checks if (reason := check(group)) is not None), None)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        reason = self.reason(op)
        if reason is not None:
            rewriter.missed = reason or None
            return False
        group = group_of(op)
        assert isinstance(group, Group)
        last = group.q or op
        rewriter.start(last, [o for o in (last, group.clip, op, *reversed(group.inputs)) if o is not None])
        rewriter.replace(last, self.build(group, last, rewriter))
        for dead in (group.clip, op, *group.inputs):
            if dead is not None and dead.parent is not None:
                rewriter.erase_if_dead(dead)
        return True

    def build(self, group: Group, last: Operation, rewriter: Rewriter) -> Operation:
        op, made = group.op, self.made if group.q is not None else self.floats or self.made
        if made is None:
            operands = [group.inputs[0].operands[0], *op.operands[1:]]
            return rewriter.op(op.name, operands, op.attributes, last.results[0].type)
        name = f"onnxruntime.{made[0].format(op.name.removeprefix('onnx.'))}"
        definition = DIALECT.ops[name].definition
        assert definition is not None
        kept: dict[str, Any] = {k: v for k, v in op.attributes.items() if k in definition.attributes or "." in k}
        operands = list(_operands(group, made[1], rewriter))
        return rewriter.op(name, operands, {**kept, **self.extra(op)}, last.results[0].type)


class SplitOnCodes(RewritePattern):
    """split(dequantize(x)) with a QuantizeLinear of x's parameters on every result = split on codes."""

    name = "split-on-codes"
    roots = ("onnx.Split",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        dq = op.operands[0].defining_op
        if not is_dequantize(dq):
            return False
        qs = [q for result in op.results if is_quantize(q := sole_reader(result))]
        if len(qs) < len(op.results):
            rewriter.missed = "not every result goes into a QuantizeLinear alone"
            return False
        if not all(equal_parameters(dq, q) for q in qs):
            rewriter.missed = "its input and results have different scales or zero points"
            return False
        rewriter.start(op, (op, dq))
        types = [q.results[0].type for q in qs]
        made = rewriter.op(op.name, [dq.operands[0], *op.operands[1:]], op.attributes, types)
        for q, result in zip(qs, made.results, strict=True):
            rewriter.replace(q, result)
        rewriter.erase(op)
        rewriter.erase_if_dead(dq)
        return True


class ArgMaxOnCodes(RewritePattern):
    """argmax(dequantize(x)) = argmax(x): one positive scale keeps the order."""

    name = "argmax-on-codes"
    roots = ("onnx.ArgMax",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        dq = op.operands[0].defining_op
        if not is_dequantize(dq) or not is_scalar(dq) or codes_of(dq) not in BYTES:
            return False
        rewriter.set_operand(op, 0, dq.operands[0])
        rewriter.erase_if_dead(dq)
        return True


# ---------------------------------------------------------------------- the table
MOVERS = "Expand Flatten Gather GatherElements Reshape Slice Squeeze Tile Transpose Unsqueeze"
PLAIN = (_all_dequantized, _needs_q, _bytes_only, _one_scale)
QLINEAR = ("QLinear{}", "* y")


def fusing_patterns() -> list[RewritePattern]:
    """The runtime's table, one pattern per line."""
    return [
        Fusion("fuse-conv", "Conv", (_all_dequantized, _needs_q, _weighted, _bias, _bias_scale),
               ("QLinearConv", "0 1 y 2q?")),
        Fusion("fuse-matmul", "MatMul", (_all_dequantized, _weighted), ("QLinearMatMul", "0 1 y"),
               ("MatMulIntegerToFloat", "0q 1q 0s 1s 0z 1z")),
        Fusion("fuse-gemm", "Gemm", (_all_dequantized, _weighted, _beta, _bias), ("QGemm", "0 1 2q y")),
        Fusion("fuse-binary", "Add Mul", PLAIN, QLINEAR),
        Fusion("fuse-average-pool", "AveragePool", (*PLAIN, _dilated), QLINEAR),
        Fusion("fuse-global-average-pool", "GlobalAveragePool", PLAIN, QLINEAR, extra=lambda op: {"channels_last": 0}),
        Fusion("fuse-unary", "LeakyRelu Sigmoid", PLAIN, QLINEAR),
        Fusion("fuse-softmax", "Softmax", PLAIN, QLINEAR, extra=_softmax_version),
        Fusion("fuse-concat", "Concat", PLAIN, ("QLinearConcat", "y *")),
        Fusion("fuse-where", "Where", (_branches, *PLAIN[1:]), ("QLinearWhere", "c * y")),
        Fusion("move-codes", MOVERS, (_moves,)),
        Fusion("order-codes", "MaxPool ReduceMax ReduceMin", (_moves, _bytes_only, _positive)),
        Fusion("resize-codes", "Resize", (_moves, _bytes_only, _nearest)),
        SplitOnCodes(),
        ArgMaxOnCodes(),
    ]  # fmt: skip


def left_in_float(module: Operation) -> Iterator[tuple[Operation, str]]:
    """The operators between codes that the runtime does not fuse, with the reasons."""
    fusions = {root: pattern for pattern in fusing_patterns() if isinstance(pattern, Fusion) for root in pattern.roots}
    for op in module.walk():
        fusion = fusions.get(op.name)
        if fusion is not None and (reason := fusion.reason(op)):
            yield op, reason
