"""The simulation against the real plugin: single layers and small nets, no element off.

Each net ends in a convolution or product of codes, so a code that is one step off shows in the float results, and these
are compared for equality. Many elements are run, for what is at stake are ties that the last bit decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qir.lowering.openvino import runtime

pytestmark = pytest.mark.runtime("openvino")

IMAGE = (8, 16, 16)


def head(net: Any, x: str, channels: int) -> str:
    return str(net.conv(x, channels, 8, 1, bias=False))


def conv(net: Any) -> str:
    return head(net, net.conv(net.input(*IMAGE), 8, 16), 16)


def conv_relu(net: Any) -> str:
    return head(net, net.op("Relu", net.conv(net.input(*IMAGE), 8, 16, 1)), 16)


def strided(net: Any) -> str:
    x = net.conv(net.input(*IMAGE), 8, 16, pads=[0, 1, 2, 1], strides=[2, 1], dilations=[1, 2])
    return head(net, net.op("Clip", x, net.constant(0.0), net.constant(1.5)), 16)


def depthwise(net: Any) -> str:
    return head(net, net.conv(net.input(*IMAGE), 8, 8, group=8), 8)


def grouped(net: Any) -> str:
    return head(net, net.op("LeakyRelu", net.conv(net.input(*IMAGE), 8, 16, group=4), alpha=0.1), 16)


def residual(net: Any) -> str:
    x = net.op("Relu", net.conv(net.input(*IMAGE), 8, 8))
    y = net.conv(net.op("Relu", net.conv(x, 8, 8)), 8, 8)
    return head(net, net.op("Relu", net.op("Add", y, x)), 8)


def signed_residual(net: Any) -> str:
    x = net.conv(net.input(*IMAGE), 8, 8)
    return head(net, net.op("Add", x, net.conv(net.conv(x, 8, 8), 8, 8)), 8)


def two_branches(net: Any) -> str:
    x = net.op("Relu", net.conv(net.input(*IMAGE), 8, 8))
    return head(net, net.op("Relu", net.op("Add", net.conv(x, 8, 8), net.conv(x, 8, 8, 1))), 8)


def sum_of_codes(net: Any) -> str:
    x, y = (net.conv(net.input(*IMAGE), 8, 8) for _ in range(2))
    net.outputs += [head(net, x, 8), head(net, y, 8)]
    return head(net, net.op("Add", x, y), 8)


def product_of_codes(net: Any) -> str:
    x, y = (net.conv(net.input(*IMAGE), 8, 8) for _ in range(2))
    net.outputs += [head(net, x, 8), head(net, y, 8)]
    return head(net, net.op("Mul", x, y), 8)


def concat(net: Any) -> str:
    x = net.op("Relu", net.conv(net.input(*IMAGE), 8, 8))
    y = net.op("Concat", net.op("Relu", net.conv(x, 8, 8, 1)), net.conv(x, 8, 8), axis=1)
    return head(net, net.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2]), 16)


def average(net: Any) -> str:
    x = net.op("Relu", net.conv(net.input(*IMAGE), 8, 8))
    net.outputs.append(head(net, x, 8))
    return head(net, net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]), 8)


def counted(net: Any) -> str:
    x = net.conv(net.input(*IMAGE), 8, 8)
    net.outputs.append(head(net, x, 8))
    y = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    return head(net, y, 8)


def global_average(net: Any) -> str:
    x = net.conv(net.input(*IMAGE), 8, 32)
    net.outputs.append(head(net, x, 32))
    return str(net.linear(net.op("Flatten", net.op("GlobalAveragePool", x)), 32, 10))


def shuffled(net: Any) -> str:
    x = net.op("DepthToSpace", net.conv(net.input(*IMAGE), 8, 16), blocksize=2, mode="CRD")
    return head(net, net.op("Transpose", x, perm=[0, 1, 3, 2]), 4)


NETS = (conv, conv_relu, strided, depthwise, grouped, residual, signed_residual, two_branches, product_of_codes, concat,
        average, counted, global_average, shuffled)  # fmt: skip
FIXED = (conv, residual, concat, average, shuffled)


@pytest.mark.parametrize(
    ("build", "batch"), [*((net, "N") for net in NETS), *((net, 8) for net in FIXED)],
    ids=[*(net.__name__ for net in NETS), *(f"{net.__name__}-of-fixed-size" for net in FIXED)],
)  # fmt: skip
def test_no_element_of_a_net_on_codes_differs(build: Any, batch: int | str, Net: Any, quantize: Any) -> None:
    net = Net(build.__name__, batch)
    result = build(net)
    job = quantize(net, *net.outputs, result)
    kinds = [integer for kind, integer in runtime.executed(job.artifact) if kind == "Convolution"]
    assert kinds and all(kinds), "every convolution runs on integers"
    for scale in (1.0, 4.0):
        feed = net.feed(8, scale)
        theirs, ours = runtime.run(job.artifact, feed), job.simulate(feed)
        for name in theirs:
            assert theirs[name].std() > 0
            assert np.array_equal(ours[name], theirs[name]), f"{name}: {(ours[name] != theirs[name]).sum()} differ"


def test_a_sum_of_two_grids(Net: Any, quantize: Any) -> None:
    """At most one in 10,000 is one step off: which of the two grids is the unit depends on what else reads them."""
    net = Net("sum")
    result = sum_of_codes(net)
    job = quantize(net, *net.outputs, result)
    feed = net.feed(16)
    theirs, ours = runtime.run(job.artifact, feed)[result], job.simulate(feed)[result]
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()
    assert (ours != theirs).any(1).sum() <= ours.size // 10_000


@pytest.mark.parametrize("batch", ["N", 64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("behind", ["", "Relu", "Clip"])
@pytest.mark.parametrize("before", ["", "Relu"])
def test_products(before: str, behind: str, bias: bool, batch: int | str, Net: Any, quantize: Any) -> None:
    """No code differs, with or without a zero point; a Clip to ±1 ends on a tie of the next grid. Behind ReLU one of
    200,000 is a step off, for a reason that is not known."""
    net = Net((before, behind, bias, batch), batch)
    x = net.input(48)
    x = net.linear(net.op(before, x) if before else x, 48, 64, bias)
    bounds = (net.constant(-1.0), net.constant(1.0)) if behind == "Clip" else ()
    job = quantize(net, net.linear(net.op(behind, x, *bounds) if behind else x, 64, 32))
    assert [integer for kind, integer in runtime.executed(job.artifact) if kind == "FullyConnected"] == [True, True]
    feed = net.feed(64 if batch == 64 else 512, 2.0)
    ((theirs, ours),) = zip(runtime.run(job.artifact, feed).values(), job.simulate(feed).values(), strict=True)
    assert (ours != theirs).any(1).sum() <= (behind == "Relu")
    assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()


def test_the_grid_under_ties(Net: Any, quantize: Any) -> None:
    """Numbers at the ties of the grid of the input and some last bits beside them, a free batch and a fixed one."""
    for batch in ("N", 8):
        net = Net("ties", batch)
        job = quantize(net, head(net, net.input(*IMAGE), 8))
        fake = next(op for op in job.module.walk() if op.name == "openvino.FakeQuantize")
        quantizer = next(op for op in job.module.body if op.attr("sym_name", "") == fake.attr("quant")[1].root)
        scale, zero = quantizer.parameters()
        codes = np.arange(-3, 259)[:, None] + np.array([0.5, 0.0])
        values = ((codes - float(zero)) * np.float64(scale)).astype(np.float32).reshape(-1)
        near = np.concatenate([values + step * np.spacing(values) for step in range(-3, 4)])
        feed = {"x0": np.resize(near, (8, *IMAGE)).astype(np.float32)}
        ((theirs, ours),) = zip(runtime.run(job.artifact, feed).values(), job.simulate(feed).values(), strict=True)
        assert np.array_equal(ours, theirs)
