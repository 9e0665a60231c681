"""Activation functions, and operators of several operands, by their formulas."""

from __future__ import annotations

from qir.ir import Value
from qir.passes.graph.expansions.formula import Formula, Maker, expands
from qir.passes.graph.operations import opset
from qir.rewrite import constant_array


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
