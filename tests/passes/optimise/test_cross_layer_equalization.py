"""Cross-layer equalization keeps the float function and evens out the channels."""

import numpy as np
import pytest

from qir.ir import Context, f32, is_equal, tensor
from qir.passes import run_pipeline
from qir.rewrite import constant_array
from qir.text import parse_module

RNG = np.random.default_rng(0)
UNEVEN = np.geomspace(1 / 30, 30, 6)


def dense(array) -> str:
    from qir.ir import dense_from_numpy

    return str(dense_from_numpy(np.asarray(array, np.float32)))


def network(weights: dict[str, np.ndarray], body: str, x: str, y: str, result: str = "y"):
    constants = "\n".join(
        f"    %{name} = onnx.Constant() {{value = {dense(w)}}} : () -> {tensor(w.shape, f32)}"
        for name, w in weights.items()
    )
    text = f"""module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{
  func.func @main(%x: {x}) -> {y} {{
{constants}
{body}
    return %{result} : {y}
  }}
}}"""
    return parse_module(text, Context())


def outputs(module, x):
    from qir.interpreter import Plan

    (y,) = Plan(module).run({"x": x}).values()
    return y.numpy()


def equalized(module, spread=1):
    copy = module.clone()
    run_pipeline(copy, f"cross-layer-equalization{{spread={spread}}}", Context())
    return copy


def weights_of(module) -> dict[str, np.ndarray]:
    return {op.result.name: constant_array(op.result) for op in module.walk() if op.name == "onnx.Constant"}


def check(module, x) -> dict[str, np.ndarray]:
    """The function is the same; gives the new weights."""
    after = equalized(module)
    y, z = outputs(module, x), outputs(after, x)
    assert np.abs(y - z).max() <= 2e-6 * np.abs(y).max()
    assert not is_equal(module, after)
    return weights_of(after)


def even(ranges) -> bool:
    return float(np.max(ranges)) < 1.01 * float(np.min(ranges))


DEPTHWISE = "(tensor<2x6x6x6xf32>, tensor<6x1x3x3xf32>, tensor<6xf32>) -> tensor<2x6x4x4xf32>"
CONV = "(tensor<2x3x8x8xf32>, tensor<6x3x3x3xf32>, tensor<6xf32>) -> tensor<2x6x6x6xf32>"


def test_a_chain_of_convolutions_with_a_depthwise_one():
    w = {
        "w1": RNG.normal(size=(6, 3, 3, 3)) * UNEVEN[:, None, None, None],
        "b1": RNG.normal(size=6) * UNEVEN,
        "w2": RNG.normal(size=(6, 1, 3, 3)),
        "b2": RNG.normal(size=6),
        "w3": RNG.normal(size=(4, 6, 1, 1)) / UNEVEN[None, :, None, None],
    }
    module = network(
        w,
        f"""    %a = onnx.Conv(%x, %w1, %b1) : {CONV}
    %r = onnx.Relu(%a) : (tensor<2x6x6x6xf32>) -> tensor<2x6x6x6xf32>
    %d = onnx.Conv(%r, %w2, %b2) {{group = 6 : i64}} : {DEPTHWISE}
    %p = onnx.MaxPool(%d) {{kernel_shape = array<i64: 2, 2>}} : (tensor<2x6x4x4xf32>) -> tensor<2x6x3x3xf32>
    %y = onnx.Conv(%p, %w3) : (tensor<2x6x3x3xf32>, tensor<4x6x1x1xf32>) -> tensor<2x4x3x3xf32>""",
        "tensor<2x3x8x8xf32>",
        "tensor<2x4x3x3xf32>",
    )
    after = check(module, RNG.normal(size=(2, 3, 8, 8)).astype(np.float32))
    first = np.abs(after["w1"]).reshape(6, -1).max(1)
    middle = np.abs(after["w2"]).reshape(6, -1).max(1)
    last = np.abs(after["w3"]).max((0, 2, 3))
    np.testing.assert_allclose(first, middle, rtol=1e-2)
    np.testing.assert_allclose(middle, last, rtol=1e-2)


def test_groups_pair_each_input_with_its_group():
    w = {
        "w1": RNG.normal(size=(6, 3, 3, 3)) * UNEVEN[:, None, None, None],
        "b1": RNG.normal(size=6),
        "w2": RNG.normal(size=(4, 3, 1, 1)),
    }
    module = network(
        w,
        f"""    %a = onnx.Conv(%x, %w1, %b1) : {CONV}
    %y = onnx.Conv(%a, %w2) {{group = 2 : i64}} : (tensor<2x6x6x6xf32>, tensor<4x3x1x1xf32>) -> tensor<2x4x6x6xf32>""",
        "tensor<2x3x8x8xf32>",
        "tensor<2x4x6x6xf32>",
    )
    after = check(module, RNG.normal(size=(2, 3, 8, 8)).astype(np.float32))
    second = np.abs(after["w2"]).reshape(2, 2, 3).max(1).reshape(6)
    np.testing.assert_allclose(np.abs(after["w1"]).reshape(6, -1).max(1), second, rtol=1e-3)


@pytest.mark.parametrize("transposed", [0, 1])
def test_flatten_makes_each_channel_several_features(transposed):
    fc = RNG.normal(size=(6 * 36, 5))
    w = {
        "w1": RNG.normal(size=(6, 3, 3, 3)) * UNEVEN[:, None, None, None],
        "b1": RNG.normal(size=6),
        "w2": fc.T if transposed else fc,
    }
    shape, attrs = "5x216" if transposed else "216x5", f"{{transB = {transposed} : i64}}"
    module = network(
        w,
        f"""    %a = onnx.Conv(%x, %w1, %b1) : {CONV}
    %f = onnx.Flatten(%a) : (tensor<2x6x6x6xf32>) -> tensor<2x216xf32>
    %y = onnx.Gemm(%f, %w2) {attrs} : (tensor<2x216xf32>, tensor<{shape}xf32>) -> tensor<2x5xf32>""",
        "tensor<2x3x8x8xf32>",
        "tensor<2x5xf32>",
    )
    after = check(module, RNG.normal(size=(2, 3, 8, 8)).astype(np.float32))
    fc = after["w2"].T if transposed else after["w2"]
    np.testing.assert_allclose(np.abs(after["w1"]).reshape(6, -1).max(1), np.abs(fc).reshape(6, -1).max(1), rtol=1e-3)


@pytest.mark.parametrize("transposed", [0, 1])
def test_two_products(transposed):
    a, b = RNG.normal(size=(3, 6)) * UNEVEN, RNG.normal(size=(6, 4)) / UNEVEN[:, None]
    w = {"w1": a.T if transposed else a, "b1": RNG.normal(size=6), "w2": b.T if transposed else b}
    first, second = ("6x3", "4x6") if transposed else ("3x6", "6x4")
    attrs, out = f"{{transB = {transposed} : i64}}", "tensor<5x6xf32>"
    module = network(
        w,
        f"""    %a = onnx.Gemm(%x, %w1, %b1) {attrs} : (tensor<5x3xf32>, tensor<{first}xf32>, tensor<6xf32>) -> {out}
    %r = onnx.LeakyRelu(%a) {{alpha = 0.1 : f32}} : (tensor<5x6xf32>) -> tensor<5x6xf32>
    %y = onnx.Gemm(%r, %w2) {attrs} : (tensor<5x6xf32>, tensor<{second}xf32>) -> tensor<5x4xf32>""",
        "tensor<5x3xf32>",
        "tensor<5x4xf32>",
    )
    after = check(module, RNG.normal(size=(5, 3)).astype(np.float32))
    axis = 1 if transposed else 0
    np.testing.assert_allclose(np.abs(after["w1"]).max(axis), np.abs(after["w2"]).max(1 - axis), rtol=1e-3)


def test_a_transposed_convolution_on_both_sides():
    w = {
        "w1": RNG.normal(size=(3, 6, 2, 2)) * UNEVEN[None, :, None, None],
        "w2": RNG.normal(size=(6, 4, 2, 2)),
    }
    module = network(
        w,
        """    %a = onnx.ConvTranspose(%x, %w1) : (tensor<1x3x4x4xf32>, tensor<3x6x2x2xf32>) -> tensor<1x6x5x5xf32>
    %r = onnx.Relu(%a) : (tensor<1x6x5x5xf32>) -> tensor<1x6x5x5xf32>
    %y = onnx.ConvTranspose(%r, %w2) : (tensor<1x6x5x5xf32>, tensor<6x4x2x2xf32>) -> tensor<1x4x6x6xf32>""",
        "tensor<1x3x4x4xf32>",
        "tensor<1x4x6x6xf32>",
    )
    after = check(module, RNG.normal(size=(1, 3, 4, 4)).astype(np.float32))
    np.testing.assert_allclose(np.abs(after["w1"]).max((0, 2, 3)), np.abs(after["w2"]).max((1, 2, 3)), rtol=1e-3)


@pytest.mark.parametrize(
    "between",
    [
        "%r = onnx.Sigmoid(%a) : (tensor<2x6x6x6xf32>) -> tensor<2x6x6x6xf32>",
        "%r = onnx.Clip(%a, %lo, %hi) : (tensor<2x6x6x6xf32>, tensor<f32>, tensor<f32>) -> tensor<2x6x6x6xf32>",
        "%r = onnx.Add(%a, %a) : (tensor<2x6x6x6xf32>, tensor<2x6x6x6xf32>) -> tensor<2x6x6x6xf32>",
    ],
    ids=["Sigmoid", "Clip", "two uses"],
)
def test_what_is_not_homogeneous_or_read_elsewhere_is_left_alone(between):
    w = {
        "w1": RNG.normal(size=(6, 3, 3, 3)),
        "b1": RNG.normal(size=6),
        "w2": RNG.normal(size=(4, 6, 1, 1)),
        "lo": np.array(0.0),
        "hi": np.array(6.0),
    }
    module = network(
        w,
        f"""    %a = onnx.Conv(%x, %w1, %b1) : {CONV}
    {between}
    %y = onnx.Conv(%r, %w2) : (tensor<2x6x6x6xf32>, tensor<4x6x1x1xf32>) -> tensor<2x4x6x6xf32>""",
        "tensor<2x3x8x8xf32>",
        "tensor<2x4x6x6xf32>",
    )
    assert is_equal(module, equalized(module))


def test_dead_channels_and_shared_weights_are_left_alone():
    w1 = RNG.normal(size=(6, 3, 3, 3))
    w1[2] = 0
    w = {"w1": w1, "b1": RNG.normal(size=6), "w2": RNG.normal(size=(4, 6, 1, 1))}
    body = f"""    %a = onnx.Conv(%x, %w1, %b1) : {CONV}
    %y = onnx.Conv(%a, %w2) : (tensor<2x6x6x6xf32>, tensor<4x6x1x1xf32>) -> tensor<2x4x6x6xf32>"""
    module = network(w, body, "tensor<2x3x8x8xf32>", "tensor<2x4x6x6xf32>")
    after = check(module, RNG.normal(size=(2, 3, 8, 8)).astype(np.float32))
    assert np.array_equal(after["w2"][:, 2], w["w2"].astype(np.float32)[:, 2])
    shared = network(
        w,
        body + f"\n    %z = onnx.Conv(%x, %w1, %b1) : {CONV}",
        "tensor<2x3x8x8xf32>",
        "tensor<2x4x6x6xf32>",
    )
    assert is_equal(shared, equalized(shared))


def test_channels_that_differ_little_are_left_alone():
    """Factors are the roots of the ratios of the weights' ranges: 1 and 3 here."""
    w1, w2 = np.ones((2, 3, 3, 3)), np.ones((4, 2, 1, 1))
    w1[1] = 9
    body = """    %a = onnx.Conv(%x, %w1) : (tensor<2x3x8x8xf32>, tensor<2x3x3x3xf32>) -> tensor<2x2x6x6xf32>
    %y = onnx.Conv(%a, %w2) : (tensor<2x2x6x6xf32>, tensor<4x2x1x1xf32>) -> tensor<2x4x6x6xf32>"""
    module = network({"w1": w1, "w2": w2}, body, "tensor<2x3x8x8xf32>", "tensor<2x4x6x6xf32>")
    assert is_equal(module, equalized(module, spread=3.1))
    assert not is_equal(module, equalized(module, spread=2.9))


def test_constants_in_onnx_short_form_become_tensors():
    text = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<5x2xf32>) -> tensor<5x1xf32> {
    %w1 = onnx.Constant() {value = dense<[[1.0, 20.0], [3.0, -40.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %b1 = onnx.Constant() {value_floats = array<f32: 0.5, -8.0>} : () -> tensor<2xf32>
    %w2 = onnx.Constant() {value = dense<[[2.0], [0.25]]> : tensor<2x1xf32>} : () -> tensor<2x1xf32>
    %a = onnx.Gemm(%x, %w1, %b1) : (tensor<5x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<5x2xf32>
    %r = onnx.Relu(%a) : (tensor<5x2xf32>) -> tensor<5x2xf32>
    %y = onnx.Gemm(%r, %w2) : (tensor<5x2xf32>, tensor<2x1xf32>) -> tensor<5x1xf32>
    return %y : tensor<5x1xf32>
  }
}"""
    after = check(parse_module(text, Context()), RNG.normal(size=(5, 2)).astype(np.float32))
    np.testing.assert_allclose(np.abs(after["w1"]).max(0), np.abs(after["w2"]).max(1), rtol=1e-3)
