"""QDQ groups to integer operations, exactly where onnxruntime 1.32 fuses them on an x86-64 CPU (level EXTENDED or ALL).

A group is an operator whose tensors all come from a DequantizeLinear of its own, and, where the integer kernel gives
codes, whose only user is a QuantizeLinear; a Relu or Clip may stand before that if its codes imply it. What the
runtime does to the graph before it looks for groups is in `prepare`. A group that is not fused keeps its reason as a
remark (``missed``), for the runtime then computes it in float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qir.ir import UNKNOWN, Operation, TensorType, Type, i8, i32, none, ui8
from qir.lowering.onnxruntime.dialect import element, is_dequantize, is_quantize
from qir.lowering.onnxruntime.groups import (
    BYTES,
    Group,
    edges,
    equal_parameters,
    group_of,
    is_output,
    is_scalar,
    parameters,
)
from qir.rewrite import RewritePattern, Rewriter, Value
from qir.rewrite.constants import is_absent

__all__ = ["Fusion", "fusing_patterns"]


# ---------------------------------------------------------------------- fusing
Check = Callable[[Group], "str | None"]
Build = Callable[[Group, Rewriter], Operation]


class Fusion(RewritePattern):
    """One line of the runtime's table: operators, what their group must be, and the operation that takes its place."""

    depth = 2

    def __init__(self, name: str, roots: Sequence[str], check: Check, build: Build) -> None:
        self.name, self.roots = name, tuple(f"onnx.{r}" for r in roots)
        self.check, self.build = check, build

    def reason(self, op: Operation) -> str | None:
        """Why the runtime leaves a group in float; None for one that it fuses, and "" where nothing is quantized."""
        if not any(is_dequantize(v.defining_op) for v in op.operands):
            return ""
        group = group_of(op)
        return group if isinstance(group, str) else self.check(group)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        reason = self.reason(op)
        if reason is not None:
            rewriter.missed = reason or None
            return False
        group = group_of(op)
        assert isinstance(group, Group)
        last = group.q or op
        rewriter.start(last, [o for o in (last, group.clip, op, *reversed(group.inputs)) if o is not None])
        made = self.build(group, rewriter)
        rewriter.replace(last, made)
        for dead in (group.clip, op, *group.inputs):
            if dead is not None and dead.parent is not None:
                rewriter.erase_if_dead(dead)
        return True


def _all_dequantized(group: Group) -> str | None:
    for value, dq in zip(group.op.operands, group.dqs, strict=True):
        if dq is None and not is_absent(value):
            return f"its operand {value.name or ''} is not dequantized".replace("  ", " ")
    return None


def _needs_q(group: Group) -> str | None:
    return None if group.q is not None else "no QuantizeLinear follows it, and its integer kernel gives codes only"


def _types(group: Group, *elements: Type) -> str | None:
    """All codes of one of these types."""
    found = [element(dq.operands[0]) for dq in group.inputs] + (
        [element(group.q.results[0])] if group.q is not None else []
    )
    if len(set(found)) > 1:
        return f"its codes are of different types: {', '.join(map(str, found))}"
    if found[0] not in elements:
        return f"it has no integer kernel for {found[0]}"
    return None


def _first(*checks: Check) -> Check:
    def check(group: Group) -> str | None:
        return next((reason for c in checks if (reason := c(group)) is not None), None)

    return check


def _weighted(group: Group) -> str | None:
    """Types and granularity of a product: uint8 data with uint8 or int8 weights."""
    data, weight = element(group.inputs[0].operands[0]), element(group.inputs[1].operands[0])
    if data == i8:
        return "its data is int8, which has no such kernel on x86"
    if data != ui8 or weight not in BYTES:
        return f"it has no integer kernel for {data} with {weight} weights"
    if group.q is not None and element(group.q.results[0]) != data:
        return f"its result is {element(group.q.results[0])}, its data {data}"
    return _weight_scales(group)


def _one_scale(group: Group) -> str | None:
    """All have one constant scale."""
    ops: list[Operation] = [*group.inputs]
    return _scales(group, [*ops, group.q] if group.q is not None else ops)


def _scales(group: Group, ops: Sequence[Operation]) -> str | None:
    for op in ops:
        found, type = parameters(op), op.operands[1].type
        if found is not None:
            single = found[0].size == 1
        else:  # computed, as by DynamicQuantizeLinear
            single = isinstance(type, TensorType) and type.shape in ((), (1,))
        if not single:
            return "its data has several scales"
    return None


def _weight_scales(group: Group) -> str | None:
    """Data and result have one constant scale, the weight one or one per output channel."""
    weight = group.inputs[1]
    found = parameters(weight)
    if found is None:
        return "a scale is computed"
    if weight.attr("block_size", 0):
        return "its weight has a scale per block"
    if found[0].size != 1:
        assert isinstance(weight.operands[0].type, TensorType)
        rank = weight.operands[0].type.rank or 2
        last = rank - 1 if group.op.name == "onnx.MatMul" else 0 if group.op.attr("transB", 0) else 1
        if weight.attr("axis", 1) % rank != (0 if group.op.name == "onnx.Conv" else last):
            return "the scales of its weight do not lie along its output channels"
    return _scales(group, [group.inputs[0], *([group.q] if group.q is not None else [])])


def _bias(group: Group) -> str | None:
    if len(group.inputs) > 2 and element(group.inputs[2].operands[0]) != i32:
        return f"its bias is {element(group.inputs[2].operands[0])}, not int32"
    return None


def _bias_scale(group: Group) -> str | None:
    """A convolution's bias must be at the product of the scales, within a hundredth; a Gemm's is not looked at."""
    import numpy as np

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
    if len(group.inputs) > 2 and group.op.attr("beta", 1.0) != 1.0:
        return "beta is not 1"
    return None


def _gemm_types(group: Group) -> str | None:
    data, weight = element(group.inputs[0].operands[0]), element(group.inputs[1].operands[0])
    if data not in BYTES or weight not in BYTES or (data == i8 and weight == ui8):
        return f"it has no integer kernel for {data} with {weight} weights"
    if group.q is not None and element(group.q.results[0]) != data:
        return f"its result is {element(group.q.results[0])}, its data {data}"
    return _weight_scales(group)


def _dilated(group: Group) -> str | None:
    return "it is dilated" if any(d != 1 for d in group.op.attr("dilations", ())) else None


def _triple(op: Operation, rewriter: Rewriter) -> list[Value]:
    """Codes, scale and zero point; an absent zero point is made."""
    return [op.operands[0], op.operands[1], _zero(op, element(op.operands[0]), rewriter)]


def _zero(op: Operation, codes: Type, rewriter: Rewriter) -> Value:
    import numpy as np

    from qir.ir.tensors import numpy_dtype

    if len(op.operands) > 2 and not is_absent(op.operands[2]):
        return op.operands[2]
    found = parameters(op)
    assert found is not None
    return rewriter.constant(np.zeros(found[0].shape, numpy_dtype(codes)), "zero_point", initializer=True)


def _output(group: Group, rewriter: Rewriter) -> list[Value]:
    if group.q is None:
        return []
    return [group.q.operands[1], _zero(group.q, element(group.q.results[0]), rewriter)]


def _result(group: Group) -> Type:
    return group.q.results[0].type if group.q is not None else group.op.results[0].type


def _kept(group: Group, *names: str) -> dict[str, Any]:
    """The operator's attributes that the integer operator has too."""
    return {name: value for name, value in group.op.attributes.items() if name in names or "." in name}


def _conv(group: Group, rewriter: Rewriter) -> Operation:
    x, w = group.inputs[:2]
    bias = [group.inputs[2].operands[0]] if len(group.inputs) > 2 else []
    operands = [*_triple(x, rewriter), *_triple(w, rewriter), *_output(group, rewriter), *bias]
    kept = _kept(group, "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    return rewriter.op("onnxruntime.QLinearConv", operands, kept, _result(group))


def _matmul(group: Group, rewriter: Rewriter) -> Operation:
    a, b = (_triple(dq, rewriter) for dq in group.inputs)
    if group.q is not None:
        operands = [*a, *b, *_output(group, rewriter)]
        return rewriter.op("onnxruntime.QLinearMatMul", operands, _kept(group), _result(group))
    operands = [a[0], b[0], a[1], b[1], a[2], b[2]]
    return rewriter.op("onnxruntime.MatMulIntegerToFloat", operands, _kept(group), _result(group))


def _gemm(group: Group, rewriter: Rewriter) -> Operation:
    absent = len(group.inputs) == 2
    bias = rewriter.op("onnx.NoValue", (), {}, none, location=UNKNOWN).result if absent else group.inputs[2].operands[0]
    operands = [
        *_triple(group.inputs[0], rewriter),
        *_triple(group.inputs[1], rewriter),
        bias,
        *_output(group, rewriter),
    ]
    return rewriter.op("onnxruntime.QGemm", operands, _kept(group, "alpha", "transA", "transB"), _result(group))


def _qlinear(*names: str, **extra: Any) -> Build:
    """``op(x, ...)`` to ``onnxruntime.QLinear<Op>``, its operands in order, its attributes `names`, and more."""

    def build(group: Group, rewriter: Rewriter) -> Operation:
        operands = [v for dq in group.inputs for v in _triple(dq, rewriter)] + _output(group, rewriter)
        attributes = {**_kept(group, *names), **extra}
        return rewriter.op(f"onnxruntime.QLinear{group.op.name[5:]}", operands, attributes, _result(group))

    return build


def _softmax(group: Group, rewriter: Rewriter) -> Operation:
    from qir.dialects.onnx import opset_of

    opset = opset_of(group.op) or 13
    version = 13 if opset >= 13 else 11 if opset >= 11 else 1
    return _qlinear("axis", opset=version)(group, rewriter)


def _concat(group: Group, rewriter: Rewriter) -> Operation:
    operands = _output(group, rewriter) + [v for dq in group.inputs for v in _triple(dq, rewriter)]
    return rewriter.op("onnxruntime.QLinearConcat", operands, _kept(group, "axis"), _result(group))


def _where(group: Group, rewriter: Rewriter) -> Operation:
    operands = [
        group.op.operands[0],
        *(v for dq in group.inputs for v in _triple(dq, rewriter)),
        *_output(group, rewriter),
    ]
    return rewriter.op("onnxruntime.QLinearWhere", operands, _kept(group), _result(group))


def _where_branches(group: Group) -> str | None:
    return None if group.dqs[0] is None and all(group.dqs[1:]) else "its branches are not both dequantized"


# ---------------------------------------------------------------------- moving codes
MOVERS = (
    "Expand", "Flatten", "Gather", "GatherElements", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
ORDERED = ("MaxPool", "ReduceMax", "ReduceMin")


def _moves(group: Group) -> str | None:
    if len(group.inputs) != 1 or group.dqs[0] is None:
        return "not its data alone is dequantized"
    if group.clip is not None:
        return "an activation stands behind it"
    reason = _needs_q(group)
    if reason is None and not equal_parameters(group.inputs[0], group.q):  # type: ignore[arg-type]
        reason = "its input and output have different scales or zero points"
    return reason


def _bytes_only(group: Group) -> str | None:
    return _types(group, *BYTES)


def _positive(group: Group) -> str | None:
    found = parameters(group.inputs[0])
    return None if found is not None and bool((found[0] > 0).all()) else "its scale is not positive"


def _nearest(group: Group) -> str | None:
    mode = group.op.attr("mode", "nearest")
    return None if mode == "nearest" else f"it interpolates ({mode}): the runtime resizes codes by copying alone"


def _one_result(group: Group) -> str | None:
    return "it has a second result" if any(r.uses for r in group.op.results[1:]) else None


def _on_codes(group: Group, rewriter: Rewriter) -> Operation:
    operands = [group.inputs[0].operands[0], *group.op.operands[1:]]
    return rewriter.op(group.op.name, operands, group.op.attributes, _result(group))


class SplitOnCodes(RewritePattern):
    """split(dequantize(x)) with a QuantizeLinear of x's parameters on every result = split on codes."""

    name = "split-on-codes"
    roots = ("onnx.Split",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        dq = op.operands[0].defining_op
        if not is_dequantize(dq):
            return False
        qs = []
        for result in op.results:
            readers = edges(result)
            if len(readers) != 1 or is_output(result) or not is_quantize(readers[0]):
                rewriter.missed = "not every result goes into a QuantizeLinear alone"
                return False
            if not equal_parameters(dq, readers[0]):
                rewriter.missed = "its input and results have different scales or zero points"
                return False
            qs.append(readers[0])
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
        if not is_dequantize(dq) or not is_scalar(dq) or element(dq.operands[0]) not in BYTES:
            return False
        rewriter.set_operand(op, 0, dq.operands[0])
        rewriter.erase_if_dead(dq)
        return True


def fusing_patterns() -> list[RewritePattern]:
    """The runtime's table, one pattern per line."""
    unary = _first(_all_dequantized, _needs_q, _bytes_only, _one_scale)
    binary = _first(_all_dequantized, _needs_q, _bytes_only, _one_scale)
    mover = _first(_moves, _one_result)
    return [
        Fusion("fuse-conv", ["Conv"], _first(_all_dequantized, _needs_q, _weighted, _bias, _bias_scale), _conv),
        Fusion("fuse-matmul", ["MatMul"], _first(_all_dequantized, _weighted), _matmul),
        Fusion("fuse-gemm", ["Gemm"], _first(_all_dequantized, _gemm_types, _beta, _bias), _gemm),
        Fusion("fuse-binary", ["Add", "Mul"], binary, _qlinear()),
        Fusion("fuse-average-pool", ["AveragePool"], _first(unary, _dilated),
               _qlinear("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")),
        Fusion("fuse-global-average-pool", ["GlobalAveragePool"], unary, _qlinear(channels_last=0)),
        Fusion("fuse-leaky-relu", ["LeakyRelu"], unary, _qlinear("alpha")),
        Fusion("fuse-sigmoid", ["Sigmoid"], unary, _qlinear()),
        Fusion("fuse-softmax", ["Softmax"], unary, _softmax),
        Fusion("fuse-concat", ["Concat"], _first(_all_dequantized, _needs_q, _bytes_only, _one_scale), _concat),
        Fusion("fuse-where", ["Where"], _first(_where_branches, _needs_q, _bytes_only, _one_scale), _where),
        Fusion("move-codes", MOVERS, mover, _on_codes),
        Fusion("order-codes", ORDERED, _first(mover, _bytes_only, _positive), _on_codes),
        Fusion("resize-codes", ["Resize"], _first(mover, _bytes_only, _nearest), _on_codes),
        SplitOnCodes(),
        ArgMaxOnCodes(),
    ]  # fmt: skip
