"""Requantization equals onnxruntime's formula, in an integer's and a float's accumulator, and the runtime itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

from qir.numerics import ROUNDINGS, Scheme, reference, requantize

U8 = Scheme(storage="u8", symmetric=False)


def test_formula() -> None:
    acc = np.concatenate([np.arange(-300, 300), [2**24 + 1, -(2**24) - 1, 2**31 - 1, -(2**31)]]).astype(np.int32)
    for multiplier in (np.float32(0.5), np.float32(0.0123), np.float32(2.0**-20)):
        for mode in (m for m in ROUNDINGS if m != "stochastic"):
            scaled = acc.astype(np.float32) * multiplier
            expected = [min(max(reference.round_number(float(v), mode) + 3, 0), 255) for v in scaled]
            got = requantize(torch.from_numpy(acc), multiplier, 3, U8, mode)
            assert got.dtype == torch.uint8 and got.tolist() == expected
    sums = torch.from_numpy(acc[:600])
    assert torch.equal(requantize(sums, 0.37, 3, U8), requantize(sums.float(), 0.37, 3, U8))
    assert torch.equal(requantize(sums, 0.37, 3, U8), requantize(sums.double(), 0.37, torch.tensor(3), U8))


def test_a_symmetric_output_has_its_fixed_zero_point() -> None:
    assert requantize(torch.tensor([2, -300]), 1.0, None, Scheme(storage="i8")).tolist() == [2, -128]
    assert requantize(torch.tensor([2, -300]), 1.0, None, Scheme(storage="u8")).tolist() == [130, 0]


def test_it_is_what_onnxruntime_does_after_a_product() -> None:
    rng = np.random.default_rng(9)
    x = rng.integers(0, 256, size=(16, 40)).astype(np.uint8)
    w = rng.integers(-127, 128, size=(40, 24)).astype(np.int8)
    sx, sy, zx, zy = np.float32(0.037), np.float32(0.91), 117, 130
    sw = rng.uniform(0.01, 0.1, size=24).astype(np.float32)
    inputs: dict[str, Any] = {
        "sx": sx, "zx": np.uint8(zx), "w": w, "sw": sw, "zw": np.zeros(24, np.int8), "sy": sy, "zy": np.uint8(zy),
    }  # fmt: skip
    node = helper.make_node("QLinearMatMul", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [16, 40])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [16, 24])],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in inputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0]
    acc = torch.from_numpy((x.astype(np.int32) - zx) @ w.astype(np.int32))
    multiplier = (sx * sw) / sy
    assert multiplier.dtype == np.float32
    np.testing.assert_array_equal(requantize(acc, multiplier, zy, U8).numpy(), expected)
