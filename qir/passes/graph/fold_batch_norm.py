"""``fold-batch-norm``: batch normalizations and per-channel factors and terms go into the weights beside them.

All arithmetic is in float64 and rounded once to the weight's type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import numpy as np

from qir.ir import Context, Operation, Value
from qir.passes.base import Pass
from qir.passes.graph.operations import kept_attributes, replace_constant, tensor_rank
from qir.passes.registry import register_pass
from qir.rewrite import (
    Attr,
    Match,
    Node,
    PatternSet,
    Rewriter,
    any_of,
    apply_patterns,
    const,
    constant_array,
    onnx,
    opt,
    pattern,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOLDS", "FoldBatchNorm"]


# ---------------------------------------------------------------- what a batch normalization does
def scale_and_shift(m: Match) -> tuple[NDArray[Any], NDArray[Any]]:
    """bn(x) = x·a + c with a = γ/√(σ² + ε), c = β - μ·a, per channel, in float64."""
    gamma, beta, mean, var = (m.array(n).astype(np.float64) for n in ("gamma", "beta", "mean", "var"))
    a = gamma / np.sqrt(var + (m.epsilon if m.epsilon is not None else 1e-5))
    return a, beta - mean * a


def _inference(m: Match) -> bool:
    bn = m.bindings.get("bn", m.root)
    others_used = any(r.uses for r in bn.results[1:])
    return not bn.attr("training_mode", 0) and not others_used and bn.attr("spatial", 1) == 1


def channel_vector(value: Value, like: Value, channels: int) -> NDArray[Any] | None:
    """A constant as one number per channel (axis 1) of `like`; None where it varies along another axis."""
    array, rank = constant_array(value), tensor_rank(like)
    if (
        array is None
        or rank is None
        or array.ndim > rank
        or (array.dtype.kind != "f" and array.dtype.name != "bfloat16")
    ):
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(s != 1 for i, s in enumerate(shape) if i != 1) or shape[1] not in (1, channels):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (channels,))


def per_output_channel(op: Operation, weight: NDArray[Any], factor: NDArray[Any]) -> NDArray[Any]:
    """The weight of a Conv or ConvTranspose with each output channel multiplied by its factor."""
    w: NDArray[Any] = weight.astype(np.float64)
    if op.name == "onnx.Conv":
        scaled: NDArray[Any] = w * factor.reshape(-1, *(1,) * (w.ndim - 1))
        return scaled
    group = op.attr("group", 1)  # (C_in, M / group, …): input channels of group g make its output channels
    by_group: NDArray[Any] = w.reshape(group, w.shape[0] // group, *w.shape[1:])
    scaled = by_group * factor.reshape(group, 1, -1, *(1,) * (w.ndim - 2))
    return scaled.reshape(w.shape)


def output_channels(op: Operation, weight: NDArray[Any]) -> int:
    """How many channels a Conv or ConvTranspose gives."""
    return int(weight.shape[0] if op.name == "onnx.Conv" else weight.shape[1] * op.attr("group", 1))


def bias_of(m: Match, channels: int) -> NDArray[Any]:
    """The convolution's bias in float64; zeros where it has none."""
    return m.array("b").astype(np.float64) if m.b is not None else np.zeros(channels)


def rebuilt(m: Match, rewriter: Rewriter, x: Value, weight: NDArray[Any] | None, bias: NDArray[Any]) -> Operation:
    """The matched convolution with other weights (None: the same) and another bias."""
    dtype = m.array("w").dtype
    w = m.w if weight is None else replace_constant(rewriter, weight.astype(dtype), m.w)
    if m.b is not None:
        b = replace_constant(rewriter, bias.astype(dtype), m.b)
    else:
        name = f"{m.w.name}_bias" if m.w.name else "bias"
        definer = m.w.defining_op
        b = rewriter.constant(bias.astype(dtype), name, initializer="onnx.initializer" in definer.attributes)
    return rewriter.op(m.conv.name, [x, w, b], kept_attributes(m.conv))


# ---------------------------------------------------------------- after a convolution
@pattern
def fold_conv_bn(
    x: Value, w: Value, b: Value, gamma: Value, beta: Value, mean: Value, var: Value, epsilon: Attr
) -> Node:
    """bn(conv(x, w, b)) = conv(x, w·a, b·a + c),  a = γ/√(σ² + ε),  c = β - μ·a."""
    conv = onnx["Conv", "ConvTranspose"](x, const(w), opt(const(b))).bind("conv")
    return onnx.BatchNormalization(conv, const(gamma), const(beta), const(mean), const(var), epsilon=epsilon)


fold_conv_bn.where("it normalizes by the batch's own statistics, or they are used", _inference)


@fold_conv_bn.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    a, c = scale_and_shift(m)
    weight = per_output_channel(m.conv, m.array("w"), a)
    return rebuilt(m, rewriter, m.x, weight, bias_of(m, a.size) * a + c)


@pattern
def fold_conv_factor(x: Value, w: Value, b: Value, s: Value) -> Node:
    """conv(x, w, b) · s = conv(x, w·s, b·s),  conv(x, w, b) / s = conv(x, w/s, b/s),  s per channel."""
    conv = onnx["Conv", "ConvTranspose"](x, const(w), opt(const(b))).bind("conv")
    return onnx["Mul", "Div"](conv, const(s))


def _per_channel(name: str) -> Any:
    def holds(m: Match) -> bool:
        return channel_vector(m[name], m.conv.results[0], output_channels(m.conv, m.array("w"))) is not None

    return holds


fold_conv_factor.where("the constant is not one number per channel", _per_channel("s"))


@fold_conv_factor.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    channels = output_channels(m.conv, m.array("w"))
    s = channel_vector(m.s, m.conv.results[0], channels)
    assert s is not None
    if m.root.name == "onnx.Div":
        s = 1.0 / s
    return rebuilt(m, rewriter, m.x, per_output_channel(m.conv, m.array("w"), s), bias_of(m, channels) * s)


@pattern
def fold_conv_term(x: Value, w: Value, b: Value, t: Value) -> Node:
    """conv(x, w, b) + t = conv(x, w, b + t),  conv(x, w, b) - t = conv(x, w, b - t),  t per channel."""
    conv = onnx["Conv", "ConvTranspose"](x, const(w), opt(const(b))).bind("conv")
    return onnx["Add", "Sub"](conv, const(t))


fold_conv_term.where("the constant is not one number per channel", _per_channel("t"))


@fold_conv_term.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    channels = output_channels(m.conv, m.array("w"))
    t = channel_vector(m.t, m.conv.results[0], channels)
    assert t is not None
    return rebuilt(m, rewriter, m.x, None, bias_of(m, channels) + (t if m.root.name == "onnx.Add" else -t))


# ---------------------------------------------------------------- after a normalization
@pattern
def fold_bn_factor(x: Value, gamma: Value, beta: Value, mean: Value, var: Value, s: Value) -> Node:
    """bn(x) · s = bn(x) with γ·s and β·s,  bn(x) / s likewise,  s per channel."""
    bn = onnx.BatchNormalization(x, const(gamma), const(beta), mean, var).bind("bn")
    return onnx["Mul", "Div"](bn, const(s))


@pattern
def fold_bn_term(x: Value, gamma: Value, beta: Value, mean: Value, var: Value, s: Value) -> Node:
    """bn(x) + s = bn(x) with β + s,  bn(x) - s likewise,  s per channel."""
    bn = onnx.BatchNormalization(x, const(gamma), const(beta), mean, var).bind("bn")
    return onnx["Add", "Sub"](bn, const(s))


def _per_normalized_channel(m: Match) -> bool:
    return channel_vector(m.s, m.bn.results[0], m.array("gamma").size) is not None


for _p in (fold_bn_factor, fold_bn_term):
    _p.where("it normalizes by the batch's own statistics, or they are used", _inference)
    _p.where("the constant is not one number per channel", _per_normalized_channel)


def _affine(m: Match, rewriter: Rewriter, factor: NDArray[Any] | float, term: NDArray[Any] | float) -> Operation:
    """The matched normalization with another γ and β."""
    dtype = m.array("gamma").dtype
    gamma, beta = m.array("gamma").astype(np.float64), m.array("beta").astype(np.float64)
    new_gamma = replace_constant(rewriter, (gamma * factor).astype(dtype), m.gamma)
    new_beta = replace_constant(rewriter, (beta * factor + term).astype(dtype), m.beta)
    return rewriter.op("onnx.BatchNormalization", [m.x, new_gamma, new_beta, m.mean, m.var], kept_attributes(m.bn))


def _channels(m: Match) -> NDArray[Any]:
    found = channel_vector(m.s, m.bn.results[0], m.array("gamma").size)
    assert found is not None
    return found


@fold_bn_factor.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    s = _channels(m)
    return _affine(m, rewriter, 1.0 / s if m.root.name == "onnx.Div" else s, 0.0)


@fold_bn_term.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    s = _channels(m)
    return _affine(m, rewriter, 1.0, -s if m.root.name == "onnx.Sub" else s)


# ---------------------------------------------------------------- before a convolution
@pattern
def fold_bn_conv(
    x: Value, w: Value, b: Value, gamma: Value, beta: Value, mean: Value, var: Value, epsilon: Attr
) -> Node:
    """conv(bn(x), w, b) = conv(x, w·a, b + Σ w·c) over input channels, where the convolution does not pad.

    Padding puts zeros after the normalization, which are not the zeros before it.
    """
    bn = onnx.BatchNormalization(x, const(gamma), const(beta), const(mean), const(var), epsilon=epsilon).bind("bn")
    return onnx.Conv(bn, const(w), opt(const(b))).bind("conv")


def _does_not_pad(m: Match) -> bool:
    pads = m.root.attr("pads") or (0,)
    return not any(pads) and m.root.attr("auto_pad", "NOTSET") in ("NOTSET", "VALID")


fold_bn_conv.where("it normalizes by the batch's own statistics, or they are used", _inference)
fold_bn_conv.where("the convolution pads", _does_not_pad)


@fold_bn_conv.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    a, c = scale_and_shift(m)
    w = m.array("w").astype(np.float64)
    group = m.conv.attr("group", 1)
    outputs = w.shape[0]
    # Output channel o of group g reads the input channels g·C/group …
    index = np.repeat(np.arange(group), outputs // group)
    per_input = (outputs, w.shape[1], *(1,) * (w.ndim - 2))
    by_group_a = a.reshape(group, -1)[index].reshape(per_input)
    by_group_c = c.reshape(group, -1)[index].reshape(per_input)
    bias = bias_of(m, outputs) + (w * by_group_c).reshape(outputs, -1).sum(1)
    return rebuilt(m, rewriter, m.x, w * by_group_a, bias)


# ---------------------------------------------------------------- after a matrix product
@pattern
def fold_gemm_bn(
    x: Value, w: Value, b: Value, gamma: Value, beta: Value, mean: Value, var: Value, epsilon: Attr
) -> Node:
    """bn(α·x·w + β·b) = α·x·(w·a) + (β·b·a + c)."""
    gemm = onnx.Gemm(x, const(w), opt(const(b))).bind("gemm")
    return onnx.BatchNormalization(gemm, const(gamma), const(beta), const(mean), const(var), epsilon=epsilon)


fold_gemm_bn.where("it normalizes by the batch's own statistics, or they are used", _inference)
fold_gemm_bn.where("the bias differs from row to row", lambda m: m.b is None or _one_row(m.array("b")))


def _one_row(array: NDArray[Any]) -> bool:
    return array.ndim < 2 or array.shape[0] == 1


@fold_gemm_bn.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    a, c = scale_and_shift(m)
    w = m.array("w")
    dtype = w.dtype
    weight = w.astype(np.float64) * (a[:, None] if m.gemm.attr("transB", 0) else a)
    old = 0.0 if m.b is None else m.gemm.attr("beta", 1.0) * m.array("b").astype(np.float64).reshape(-1)
    bias = (old * a + c).astype(dtype)
    new_w = replace_constant(rewriter, weight.astype(dtype), m.w)
    new_b = rewriter.constant(bias, f"{m.w.name}_bias") if m.b is None else replace_constant(rewriter, bias, m.b)
    return rewriter.op("onnx.Gemm", [m.x, new_w, new_b], {**kept_attributes(m.gemm), "beta": None})


@pattern
def fold_matmul_bn(
    x: Value, w: Value, b: Value, gamma: Value, beta: Value, mean: Value, var: Value, epsilon: Attr
) -> Node:
    """bn(x·w + b) = x·(w·a) + (b·a + c) for matrices."""
    product = onnx.MatMul(x, const(w))
    linear = any_of(onnx.Add(product, const(b)), product)
    return onnx.BatchNormalization(linear, const(gamma), const(beta), const(mean), const(var), epsilon=epsilon)


fold_matmul_bn.where("it normalizes by the batch's own statistics, or they are used", _inference)
fold_matmul_bn.where(
    "the product is no matrix", lambda m: tensor_rank(m.root.results[0]) == 2 and m.array("w").ndim == 2
)
fold_matmul_bn.where("the bias differs from row to row", lambda m: m.b is None or _one_row(m.array("b")))


@fold_matmul_bn.rewrite
def _(m: Match, rewriter: Rewriter) -> Operation:
    a, c = scale_and_shift(m)
    dtype = m.array("w").dtype
    weight = replace_constant(rewriter, (m.array("w").astype(np.float64) * a).astype(dtype), m.w)
    old = 0.0 if m.b is None else m.array("b").astype(np.float64).reshape(-1)
    bias = (old * a + c).astype(dtype)
    name = f"{m.w.name}_bias" if m.w.name else "bias"
    new_b = rewriter.constant(bias, name) if m.b is None else replace_constant(rewriter, bias, m.b)
    return rewriter.op("onnx.Add", [rewriter.op("onnx.MatMul", [m.x, weight]), new_b])


FOLDS = PatternSet(
    [
        fold_conv_bn,
        fold_conv_factor,
        fold_conv_term,
        fold_gemm_bn,
        fold_matmul_bn,
        fold_bn_factor,
        fold_bn_term,
        fold_bn_conv,
    ],
    "fold-batch-norm",
)


@register_pass
@attrs.frozen
class FoldBatchNorm(Pass):
    """Fold batch normalizations, and constant factors and terms per channel, into the convolutions and products
    beside them."""

    name: ClassVar[str] = "fold-batch-norm"
    anchor: ClassVar[str | None] = None

    def run(self, module: Operation, ctx: Context) -> bool:
        return apply_patterns(module, FOLDS, ctx, name=self.name)
