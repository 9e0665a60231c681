"""QDQ form in ONNX's own operators, for a chip that reads these: what is computed stays what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qir.interpreter import Plan
from qir.ir import Context, Operation, QirError
from qir.passes.lower.on_codes import ActivationOnCodes
from qir.passes.lower.qdq import Qdq, qdq_patterns, raise_opset
from qir.rewrite import PatternSet, apply_patterns
from qir.text import parse_module

CHIP = Qdq("chip", "onnx", lambda scheme: ("the chip has 8 bits", "use u8") if scheme.bits == 16 else None)

NET = """module attributes {{onnx.opset = {{ai.onnx = {opset} : i64}}}} {{
  qsim.quantizer @x : {storage} affine per_tensor scale(0.05) zero(5)
  qsim.quantizer @y : u8 affine per_tensor scale(0.04) zero({zero})
  func.func @main(%x: tensor<3x5xf32>) -> (tensor<3x5xf32>, tensor<3x5xf32>) {{
    %lo = onnx.Constant() {{value = dense<{low}> : tensor<f32>}} : () -> tensor<f32>
    %hi = onnx.Constant() {{value = dense<{high}> : tensor<f32>}} : () -> tensor<f32>
    %q = qsim.encode %x by @x : tensor<3x5xf32> to tensor<3x5x{element}>
    %d = qsim.decode %q by @x : tensor<3x5x{element}> to tensor<3x5xf32>
    %s = onnx.Add(%d, %d) : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
    %a = onnx.Clip(%s, %lo, %hi) : (tensor<3x5xf32>, tensor<f32>, tensor<f32>) -> tensor<3x5xf32>
    %c = qsim.encode %a by @y : tensor<3x5xf32> to tensor<3x5xui8>
    %r = qsim.decode %c by @y : tensor<3x5xui8> to tensor<3x5xf32>
    return %r, %d : tensor<3x5xf32>, tensor<3x5xf32>
  }}
}}"""


def net(zero: int = 0, low: float = 0.0, high: float = 20.0, storage: str = "u8", opset: int = 17) -> Operation:
    element = storage.replace("u", "ui") if storage[0] == "u" else storage
    text = NET.format(zero=zero, low=low, high=high, storage=storage, element=element, opset=opset)
    return parse_module(text, Context())


def lowered(module: Operation, *operators: str) -> list[str]:
    """Lowers a module; the names of its operations."""
    ctx = Context()
    raise_opset(module, ctx, CHIP, 13, "scales along an axis", "test")
    apply_patterns(module, PatternSet([ActivationOnCodes(operators), *qdq_patterns(CHIP)], "test"), ctx)
    return [op.name for op in module.walk()]


def run(module: Any) -> list[Any]:
    plan = Plan(module)
    x = np.random.default_rng(0).normal(0, 4, (3, 5)).astype(np.float32)
    results = plan.run({"x": x})
    return [results[name].numpy() for name in plan.outputs]


@pytest.mark.parametrize(
    "zero, low, high, operators, clips, clipped",
    [
        (0, 0.0, 20.0, (), 0, ""),  # both bounds lie outside of the codes: saturation does it
        (0, 0.0, 6.0, (), 1, "onnx.Add"),
        (0, 0.0, 6.0, ("onnx.Add",), 1, "onnx.QuantizeLinear"),
        (30, 0.0, 20.0, ("onnx.Add",), 1, "onnx.QuantizeLinear"),
    ],
)
def test_numbers_stay(zero: int, low: float, high: float, operators: Any, clips: int, clipped: str) -> None:
    before, module = net(zero, low, high), net(zero, low, high)
    names = lowered(module, *operators)
    assert not [name for name in names if name.startswith("qsim.") and name != "qsim.quantizer"]
    assert names.count("onnx.DequantizeLinear") == 4  # one for every use
    assert names.count("onnx.Clip") == clips
    for op in module.walk():
        if op.name == "onnx.Clip":
            source = op.operands[0].defining_op
            assert source is not None and source.name == clipped
    for expected, found in zip(run(before), run(module), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_the_opset_is_raised_to_what_codes_need() -> None:
    module = net(storage="i4", opset=17)
    lowered(module)
    assert "ai.onnx = 21" in str(module.attributes["onnx.opset"])


def test_what_the_target_refuses() -> None:
    with pytest.raises(QirError, match="cannot run @x: the chip has 8 bits"):
        lowered(net(storage="u16"))
