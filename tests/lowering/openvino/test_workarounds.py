"""What the plugin would compute wrongly, if it were written as it stands in the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qir.lowering.openvino import runtime

pytestmark = pytest.mark.runtime("openvino")


def agree(job: Any, feed: Any) -> None:
    """The runtime and the simulation are 60 dB apart at least: nothing but the order of float sums differs."""
    for name, theirs in runtime.run(job.artifact, feed).items():
        ours = job.simulate(feed)[name]
        assert theirs.std() > 0
        assert ((ours - theirs) ** 2).sum() <= 1e-6 * (theirs**2).sum()


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean"])
@pytest.mark.parametrize("axis", [1, 2])
def test_reductions_in_front_of_a_convolution(op: str, axis: int, Net: Any, quantize: Any) -> None:
    """A FakeQuantize fused into a maximum or minimum rounds it to an integer first."""
    net = Net((op, axis))
    x = net.conv(net.input(3, 8, 8), 3, 8)
    y = net.op(op, x, net.constant([axis], np.int64), keepdims=1)
    job = quantize(net, net.conv(y, 1 if axis == 1 else 8, 4, 1))
    agree(job, net.feed(8))


def test_a_convolution_times_itself(Net: Any, quantize: Any) -> None:
    """The plugin takes the second factor for a scale of the convolution, and gives zeros."""
    net = Net("square")
    x = net.conv(net.input(3, 8, 8), 3, 8, 1)
    job = quantize(net, net.conv(net.op("Mul", x, x), 8, 4, 1))
    assert "Power" in job.layers()
    agree(job, net.feed(8))
