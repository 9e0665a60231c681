"""Reductions and normalizations by their formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qir.ir import Value
from qir.passes.graph.expansions.formula import Maker, expands
from qir.rewrite import constant_array


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


@expands("LayerNormalization")
def layer_normalization(m: Maker) -> Value:
    """(x - mean) / sqrt(variance + ε) · γ + β, mean and variance over all axes from one on"""
    rank, shift = len(m.sizes), m.given(2)
    y = m("Mul", _normalized(m, m.x, range(m.attr("axis", -1) % rank, rank)), m.op.operands[1])
    return y if shift is None else m("Add", y, shift)


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
    numbers = math.prod(size or 1 for size in sizes[1:])
    flat = m.reshape(m.x, [0, groups, -1], [sizes[0], groups, numbers // groups])
    normalized = m.reshape(_normalized(m, flat, [2]), [0, *(n or 0 for n in sizes[1:])], sizes)
    return m("Add", m("Mul", normalized, affine[0]), affine[1])
