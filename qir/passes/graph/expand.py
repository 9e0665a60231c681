"""``expand``: operators that a target has no record for, by those that it has.

Each rewrite is the operator's own formula. They run only where they are needed: an operator that the target lowers by
itself is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qir.ir import Context, FloatType, Operation, TensorType, Type, Value, is_absent
from qir.passes.base import Pass, option
from qir.passes.graph.operations import kept_attributes, opset
from qir.passes.registry import register_pass
from qir.rewrite import PatternSet, RewritePattern, Rewriter, apply_patterns, constant_array
from qir.target import get_target

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["EXPANSIONS", "Expand", "Expansion", "expansions"]


@attrs.frozen
class Maker:
    """Makes operators in place of another; operands are values, or numbers, which become constants of its type."""

    op: Operation
    rewriter: Rewriter

    def __call__(self, name: str, *operands: Value | float, type: Type | None = None, **attributes: Any) -> Value:
        values = [v if isinstance(v, Value) else self.constant(v) for v in operands]
        return self.rewriter.op(f"onnx.{name}", values, attributes, type or self.op.results[0].type).results[0]

    def constant(self, data: Any, dtype: DTypeLike | None = None) -> Value:
        """A constant of the operator's own element type, or of `dtype`."""
        import numpy as np

        from qir.ir.tensors import numpy_dtype

        return self.rewriter.constant(np.asarray(data, dtype or numpy_dtype(self.tensor.element)), initializer=True)

    @property
    def x(self) -> Value:
        return self.op.operands[0]

    @property
    def tensor(self) -> TensorType:
        """The type of the first operand; `Expansion` sees to it that its rank is known."""
        assert isinstance(self.x.type, TensorType)
        return self.x.type

    @property
    def sizes(self) -> tuple[int | None, ...]:
        return self.tensor.shape or ()

    def attr(self, name: str, default: Any) -> Any:
        return self.op.attr(name, default)

    def given(self, index: int) -> Value | None:
        value = self.op.operands[index] if index < len(self.op.operands) else None
        return None if value is None or is_absent(value) else value

    def reduce(self, name: str, x: Value, axes: Sequence[int]) -> Value:
        """Over these axes, which stay as 1; the axes are an attribute up to opset 17 (of ReduceSum up to 12)."""
        assert isinstance(x.type, TensorType) and x.type.shape is not None
        sizes = tuple(1 if i in axes else n for i, n in enumerate(x.type.shape))
        operand = opset(self.op) >= (13 if name == "ReduceSum" else 18)
        more = [self.constant(list(axes), "int64")] if operand else []
        attributes = {} if operand else {"axes": list(axes)}
        return self(name, x, *more, type=x.type.with_shape(sizes), keepdims=1, **attributes)

    def clip(self, x: Value, low: float, high: float) -> Value:
        """Between two numbers, which are attributes up to opset 10."""
        return self("Clip", x, min=low, max=high) if opset(self.op) < 11 else self("Clip", x, low, high)

    def reshape(self, x: Value, sizes: Sequence[int], shape: Sequence[int | None]) -> Value:
        """`sizes` as ONNX has them (0 keeps one, -1 follows from the others), `shape` for the type."""
        assert isinstance(x.type, TensorType)
        return self("Reshape", x, self.constant(list(sizes), "int64"), type=x.type.with_shape(tuple(shape)))


def _floats(value: Value) -> bool:
    """Whether a value is a tensor of floats of known rank."""
    type = value.type
    return isinstance(type, TensorType) and type.shape is not None and isinstance(type.element, FloatType)


Formula = Callable[[Maker], "Value | None"]


class Expansion(RewritePattern):
    """An operator by its formula, on tensors of floats of known rank with one used result."""

    def __init__(self, op_type: str, name: str, formula: Formula) -> None:
        self.op_type, self.name, self.formula = op_type, name, formula
        self.roots, self.doc = (f"onnx.{op_type}",), (formula.__doc__ or "").strip()

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        if any(r.uses for r in op.results[1:]) or not all(map(_floats, (*op.operands[:1], op.results[0]))):
            return False
        made = self.formula(Maker(op, rewriter))
        if made is None:
            return False
        rewriter.replace(op, [made, *[None] * (len(op.results) - 1)])
        return True


EXPANSIONS: list[Expansion] = []
"""All expansions, in the order in which they are tried."""


def expands(op_type: str, name: str = "") -> Callable[[Formula], Formula]:
    """Registers the formula of an operator.

    With a `name` it is for a special case of an operator that targets have, and runs where a pipeline names it.
    """

    def register(formula: Formula) -> Formula:
        EXPANSIONS.append(Expansion(op_type, name or f"expand-{op_type}", formula))
        return formula

    return register


def expansions(known: frozenset[str], also: Sequence[str] = ()) -> PatternSet:
    """The expansions of operators that are not `known`, and those of special cases that are named in `also`."""
    plain = [e for e in EXPANSIONS if e.name == f"expand-{e.op_type}" and e.op_type not in known]
    return PatternSet([*(e for e in EXPANSIONS if e.name in also), *plain], "expand")


# ---------------------------------------------------------------- activation functions
@expands("HardSigmoid")
def hard_sigmoid(m: Maker) -> Value:
    """clip(α x + β, 0, 1)"""
    return m.clip(m("Add", m("Mul", m.x, m.attr("alpha", 0.2)), m.attr("beta", 0.5)), 0.0, 1.0)


@expands("HardSwish")
def hard_swish(m: Maker) -> Value:
    """x · clip(x + 3, 0, 6) / 6"""
    return m("Mul", m.x, m("Mul", m.clip(m("Add", m.x, 3.0), 0.0, 6.0), 1 / 6))


@expands("PRelu", "prelu-of-one-slope")
def prelu_of_one_slope(m: Maker) -> Value | None:
    """prelu(x, [s, s, …]) = leaky_relu(x, s)"""
    slope = constant_array(m.op.operands[1])
    if slope is None or not slope.size or not (slope == slope.flat[0]).all():
        return None
    return m("LeakyRelu", m.x, alpha=float(slope.flat[0]))


@expands("PRelu")
def prelu(m: Maker) -> Value:
    """relu(x) + s · (x - relu(x)), which is exact: one of both terms is 0"""
    positive = m("Relu", m.x)
    return m("Add", positive, m("Mul", m("Sub", m.x, positive), m.op.operands[1]))


def _negative(m: Maker) -> Value:
    """min(x, 0)"""
    return m("Sub", m.x, m("Relu", m.x))


@expands("Elu")
def elu(m: Maker) -> Value:
    """relu(x) + α (exp(min(x, 0)) - 1)"""
    return m("Add", m("Relu", m.x), m("Mul", m("Sub", m("Exp", _negative(m)), 1.0), m.attr("alpha", 1.0)))


@expands("Celu")
def celu(m: Maker) -> Value:
    """relu(x) + α (exp(min(x, 0) / α) - 1)"""
    alpha = float(m.attr("alpha", 1.0))
    return m("Add", m("Relu", m.x), m("Mul", m("Sub", m("Exp", m("Mul", _negative(m), 1 / alpha)), 1.0), alpha))


@expands("Selu")
def selu(m: Maker) -> Value:
    """γ (relu(x) + α (exp(min(x, 0)) - 1))"""
    tail = m("Mul", m("Sub", m("Exp", _negative(m)), 1.0), m.attr("alpha", 1.6732632423543772))
    return m("Mul", m("Add", m("Relu", m.x), tail), m.attr("gamma", 1.0507009873554805))


def _softplus(m: Maker) -> Value:
    """relu(x) + log(1 + exp(-|x|)), which does not overflow"""
    return m("Add", m("Relu", m.x), m("Log", m("Add", m("Exp", m("Neg", m("Abs", m.x))), 1.0)))


@expands("Softplus")
def softplus(m: Maker) -> Value:
    """relu(x) + log(1 + exp(-|x|)), which does not overflow"""
    return _softplus(m)


@expands("Softsign")
def softsign(m: Maker) -> Value:
    """x / (1 + |x|)"""
    return m("Div", m.x, m("Add", m("Abs", m.x), 1.0))


@expands("Mish")
def mish(m: Maker) -> Value:
    """x · tanh(softplus(x))"""
    return m("Mul", m.x, m("Tanh", _softplus(m)))


@expands("LogSoftmax")
def log_softmax(m: Maker) -> Value | None:
    """x - max(x) - log(sum(exp(x - max(x)))), along one axis"""
    if opset(m.op) < 13 and m.attr("axis", 1) % len(m.sizes) != len(m.sizes) - 1:
        return None  # up to opset 12 all axes from this one on are one
    axis = [m.attr("axis", -1 if opset(m.op) >= 13 else 1) % len(m.sizes)]
    centred = m("Sub", m.x, m.reduce("ReduceMax", m.x, axis))
    total = m.reduce("ReduceSum", m("Exp", centred), axis)
    return m("Sub", centred, m("Log", total, type=total.type))


# ---------------------------------------------------------------- several operands
def _chain(name: str) -> Formula:
    def chain(m: Maker) -> Value:
        value = m.x
        for other in m.op.operands[1:]:
            value = m(name, value, other)
        return value

    chain.__doc__ = f"one {name} after the other"
    return chain


expands("Sum")(_chain("Add"))


@expands("Mean")
def mean(m: Maker) -> Value:
    """the sum times 1 / n"""
    return m("Mul", _chain("Add")(m) or m.x, 1 / len(m.op.operands))


# ---------------------------------------------------------------- reductions and normalization
@expands("GlobalMaxPool")
def global_max_pool(m: Maker) -> Value:
    """the largest over all spatial axes"""
    return m.reduce("ReduceMax", m.x, range(2, len(m.sizes)))


def _axes(m: Maker) -> list[int] | None:
    """The axes of a reduction, or None where they are computed or its axes go away."""
    operand = m.given(1)
    named = m.attr("axes", None) if operand is None else constant_array(operand)
    if not m.attr("keepdims", 1) or (operand is not None and named is None):
        return None
    rank = len(m.sizes)
    return [int(a) % rank for a in (range(rank) if named is None else named)]


@expands("ReduceL2")
def reduce_l2(m: Maker) -> Value | None:
    """sqrt(sum(x²))"""
    axes = _axes(m)
    return None if axes is None else m("Sqrt", m.reduce("ReduceSum", m("Mul", m.x, m.x, type=m.tensor), axes))


@expands("ReduceSumSquare")
def reduce_sum_square(m: Maker) -> Value | None:
    """sum(x²)"""
    axes = _axes(m)
    return None if axes is None else m.reduce("ReduceSum", m("Mul", m.x, m.x, type=m.tensor), axes)


@expands("ReduceL1")
def reduce_l1(m: Maker) -> Value | None:
    """sum(|x|)"""
    axes = _axes(m)
    return None if axes is None else m.reduce("ReduceSum", m("Abs", m.x, type=m.tensor), axes)


def _normalized(m: Maker, x: Value, axes: Sequence[int]) -> Value:
    """(x - mean) / sqrt(mean((x - mean)²) + ε)"""
    centred = m("Sub", x, m.reduce("ReduceMean", x, axes), type=x.type)
    variance = m.reduce("ReduceMean", m("Mul", centred, centred, type=x.type), axes)
    epsilon = m("Add", variance, m.attr("epsilon", 1e-5), type=variance.type)
    return m("Div", centred, m("Sqrt", epsilon, type=variance.type), type=x.type)


def _affine(m: Maker) -> tuple[Value, Value] | None:
    """The constants of a normalization, scale and shift, by the index of axis 1; None if they are no such constants."""
    arrays = [constant_array(v) for v in m.op.operands[1:3]]
    if len(m.sizes) < 3 or len(arrays) < 2 or any(a is None or a.size != m.sizes[1] for a in arrays):
        return None
    scale, shift = (m.constant(a.reshape(-1, *[1] * (len(m.sizes) - 2))) for a in arrays if a is not None)
    return scale, shift


@expands("BatchNormalization")
def batch_normalization(m: Maker) -> Value | None:
    """x · γ/σ + (β - μ γ/σ) with σ = sqrt(σ² + ε), all constants, worked out in float64"""
    import numpy as np

    arrays = [constant_array(v) for v in m.op.operands[1:5]]
    if len(m.sizes) < 2 or any(a is None for a in arrays):
        return None
    gamma, beta, mean, variance = (np.asarray(a, np.float64).reshape(-1, *[1] * (len(m.sizes) - 2)) for a in arrays)
    factor = gamma / np.sqrt(variance + m.attr("epsilon", 1e-5))
    return m("Add", m("Mul", m.x, m.constant(factor)), m.constant(beta - mean * factor))


@expands("InstanceNormalization")
def instance_normalization(m: Maker) -> Value | None:
    """each channel of each image normalized over its pixels, then scaled and shifted"""
    affine = _affine(m)
    if affine is None:
        return None
    return m("Add", m("Mul", _normalized(m, m.x, range(2, len(m.sizes))), affine[0]), affine[1])


@expands("GroupNormalization")
def group_normalization(m: Maker) -> Value | None:
    """groups of channels normalized as one, then each channel scaled and shifted (opset 21: numbers per channel)"""
    groups, sizes = int(m.attr("num_groups", 1)), m.sizes
    affine = None if None in sizes[1:] else _affine(m)
    if affine is None:
        return None
    rest = 1
    for size in sizes[1:]:
        rest *= size or 1
    flat = m.reshape(m.x, [0, groups, -1], [sizes[0], groups, rest // groups])
    normalized = m.reshape(_normalized(m, flat, [2]), [0, *(n or 0 for n in sizes[1:])], sizes)
    return m("Add", m("Mul", normalized, affine[0]), affine[1])


# ---------------------------------------------------------------- special cases of operators that targets have
@expands("DepthToSpace", "depth-to-space-crd")
def depth_to_space_crd(m: Maker) -> Value | None:
    """CRD(x) = DCR(gather(x, channels in DCR's order))"""
    import numpy as np

    block, channels = int(m.attr("blocksize", 1)), m.sizes[1]
    if m.attr("mode", "DCR") != "CRD" or channels is None:
        return None
    order = np.arange(channels).reshape(channels // block**2, block**2).T.reshape(-1)
    gathered = m("Gather", m.x, m.constant(order, "int64"), type=m.tensor, axis=1)
    return m("DepthToSpace", gathered, blocksize=block, mode="DCR")


@expands("Gather", "gather-of-convolution")
def gather_of_convolution(m: Maker) -> Value | None:
    """gather(conv(x, w, b), i, axis 1) = conv(x, gather(w, i), gather(b, i)), for a convolution read here alone"""
    conv, order = m.x.defining_op, constant_array(m.op.operands[1])
    if conv is None or conv.name != "onnx.Conv" or not m.x.has_one_use() or order is None or order.ndim != 1:
        return None
    arrays = [None if is_absent(v) else constant_array(v) for v in conv.operands[1:]]
    if m.attr("axis", 0) != 1 or conv.attr("group", 1) != 1 or any(a is None for a in arrays):
        return None
    turned = [m.constant(a[order]) for a in arrays if a is not None]
    given: dict[str, Any] = dict(kept_attributes(conv))
    return m("Conv", conv.operands[0], *turned, **given)


def _in_two_dimensions(m: Maker) -> Value | None:
    """op(x [N, C, L]) = squeeze(op(unsqueeze(x, 2), …), 2)"""
    if len(m.sizes) != 3 or m.attr("auto_pad", "NOTSET") != "NOTSET":
        return None
    result = m.op.results[0].type
    assert isinstance(result, TensorType) and result.shape is not None
    weights: list[Value] = []
    for value in m.op.operands[1:]:
        array = constant_array(value)
        if not is_absent(value) and array is None:
            return None
        if array is not None:
            weights.append(m.constant(array[:, :, None]) if array.ndim == 3 else value)
    given: dict[str, Any] = dict(kept_attributes(m.op))
    given |= {k: [1, *m.attr(k, ())] for k in ("kernel_shape", "strides", "dilations") if k in given}
    begin, end = m.attr("pads", (0, 0))
    given["pads"] = [0, begin, 0, end]
    n, c, length = m.sizes
    image = m.reshape(m.x, [0, 0, 1, -1], [n, c, 1, length])
    tall = result.with_shape((*result.shape[:2], 1, result.shape[2]))
    name = m.op.name.removeprefix("onnx.")
    return m.reshape(m(name, image, *weights, type=tall, **given), [0, 0, -1], result.shape)


for _name in ("Conv", "MaxPool", "AveragePool"):
    expands(_name, f"{_name.lower()}-in-two-dimensions")(_in_two_dimensions)


@register_pass
@attrs.frozen
class Expand(Pass):
    """Write the operators that a target has no record for by those that it has, each by its formula."""

    name: ClassVar[str] = "expand"
    anchor: ClassVar[str | None] = None

    target: str = option("", "whose patterns say which operators need it; without one all that can be expanded are")
    also: tuple[str, ...] = option((), "special cases of operators that the target has, by the pattern's name")

    def run(self, module: Operation, ctx: Context) -> bool:
        special = [e.name for e in EXPANSIONS if e.name != f"expand-{e.op_type}"]
        for name in self.also:
            if name not in special:
                raise module.error(f"expand knows no special case '{name}'", f"it knows {', '.join(special)}")
        return apply_patterns(module, expansions(_lowered(self.target), self.also), ctx, name=self.name)


def _lowered(name: str) -> frozenset[str]:
    """The ONNX operators that a target's patterns start from."""
    if not name:
        return frozenset()
    patterns = [pattern for phase in get_target(name).phases() for pattern in phase]
    return frozenset(root.removeprefix("onnx.") for p in patterns for root in p.roots if root.startswith("onnx."))
