"""fold-batch-norm: every pattern, against the result of the unfolded module; and where it must not act."""

import numpy as np
import pytest


def dense(rng: np.random.Generator, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> tuple[str, str]:
    """A random constant as text, and its type."""
    array = rng.uniform(low, high, shape).astype(np.float32)
    type_ = "tensor<" + "".join(f"{s}x" for s in shape) + "f32>"
    return f"dense<{np.array2string(array, separator=', ', threshold=10**6, floatmode='unique')}> : {type_}", type_


class Body:
    """Builds the text of a function line by line."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.lines: list[str] = []

    def const(self, name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> str:
        value, type_ = dense(self.rng, shape, low, high)
        self.lines.append(f"%{name} = onnx.Constant() {{value = {value}}} : () -> {type_}")
        return type_

    def bn(self, channels: int, x: str, out: str, type_: str, attributes: str = "") -> None:
        types = [self.const(n, (channels,), *r) for n, r in
                 (("gamma", (0.5, 2.0)), ("beta", (-1, 1)), ("mean", (-1, 1)), ("var", (0.1, 3.0)))]  # fmt: skip
        self.lines.append(
            f"%{out} = onnx.BatchNormalization(%{x}, %gamma, %beta, %mean, %var) {{epsilon = 0.001 : f32{attributes}}}"
            f" : ({type_}, {', '.join(types)}) -> {type_}"
        )

    def line(self, text: str) -> None:
        self.lines.append(text)

    def func(self, argument: str, result: str, value: str = "y") -> str:
        body = "\n".join(self.lines)
        return f"func.func @main(%x: {argument}) -> {result} {{\n{body}\nreturn %{value} : {result}\n}}"


CONV = {
    "plain": ("Conv", (6, 4, 3, 3), 6, ""),
    "groups": ("Conv", (6, 2, 3, 3), 6, ", group = 2 : i64"),
    "depthwise": ("Conv", (8, 1, 3, 3), 8, ", group = 4 : i64"),
    "transposed": ("ConvTranspose", (4, 6, 3, 3), 6, ""),
    "transposed_groups": ("ConvTranspose", (4, 3, 3, 3), 6, ", group = 2 : i64"),
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CONV)
def test_conv_bn(keeps_meaning, name, bias):
    op, shape, channels, group = CONV[name]
    body = Body()
    w = body.const("w", shape)
    b = body.const("b", (channels,)) if bias else None
    out = f"tensor<2x{channels}x7x7xf32>"
    body.line(
        f"%c = onnx.{op}(%x, %w{', %b' if bias else ''}) {{pads = array<i64: 1, 1, 1, 1>{group}}}"
        f" : (tensor<2x4x7x7xf32>, {w}{f', {b}' if bias else ''}) -> {out}"
    )
    body.bn(channels, "c", "y", out)
    keeps_meaning(body.func("tensor<2x4x7x7xf32>", out), "fold-batch-norm", [op], 1e-6)


def conv(body: Body) -> str:
    w = body.const("w", (6, 4, 1, 1))
    body.line(f"%c = onnx.Conv(%x, %w) : (tensor<2x4x5x5xf32>, {w}) -> tensor<2x6x5x5xf32>")
    return "tensor<2x6x5x5xf32>"


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 6, 1, 1), (), (1,)])
def test_conv_and_constant(keeps_meaning, op, shape):
    body = Body()
    out = conv(body)
    s = body.const("s", shape, 0.5, 2.0)
    body.line(f"%y = onnx.{op}(%c, %s) : ({out}, {s}) -> {out}")
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", ["Conv"], 1e-6)


def test_constant_first(keeps_meaning):
    for op, left in (("Mul", ["Conv"]), ("Add", ["Conv"]), ("Sub", ["Conv", "Sub"]), ("Div", ["Conv", "Div"])):
        body = Body()
        out = conv(body)
        s = body.const("s", (6, 1, 1), 0.5, 2.0)
        body.line(f"%y = onnx.{op}(%s, %c) : ({s}, {out}) -> {out}")
        keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", left, 1e-6)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 1, 1, 1)])
def test_a_constant_along_another_axis_stays(keeps_meaning, shape):
    body = Body()
    out = conv(body)
    s = body.const("s", shape)
    body.line(f"%y = onnx.Mul(%c, %s) : ({out}, {s}) -> {out}")
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", ["Conv", "Mul"])


@pytest.mark.parametrize("group", [1, 2])
def test_bn_before_conv(keeps_meaning, group):
    body = Body()
    body.bn(4, "x", "n", "tensor<2x4x5x5xf32>")
    w = body.const("w", (6, 4 // group, 3, 3))
    body.line(f"%y = onnx.Conv(%n, %w) {{group = {group} : i64}} : (tensor<2x4x5x5xf32>, {w}) -> tensor<2x6x3x3xf32>")
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", "tensor<2x6x3x3xf32>"), "fold-batch-norm", ["Conv"], 1e-6)


def test_bn_before_a_padded_conv_stays(keeps_meaning):
    body = Body()
    body.bn(4, "x", "n", "tensor<2x4x5x5xf32>")
    w = body.const("w", (6, 4, 3, 3))
    body.line(
        f"%y = onnx.Conv(%n, %w) {{pads = array<i64: 1, 1, 1, 1>}} : (tensor<2x4x5x5xf32>, {w}) -> tensor<2x6x5x5xf32>"
    )
    keeps_meaning(
        body.func("tensor<2x4x5x5xf32>", "tensor<2x6x5x5xf32>"), "fold-batch-norm", ["BatchNormalization", "Conv"]
    )


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5), ()])
def test_gemm_bn(keeps_meaning, transposed, bias):
    body = Body()
    w = body.const("w", (5, 4) if transposed else (4, 5))
    b = body.const("b", bias) if bias is not None else None
    body.line(
        f"%g = onnx.Gemm(%x, %w{', %b' if b else ''}) {{alpha = 0.5 : f32, beta = 2.0 : f32,"
        f" transB = {transposed} : i64}}"
        f" : (tensor<3x4xf32>, {w}{f', {b}' if b else ''}) -> tensor<3x5xf32>"
    )
    body.bn(5, "g", "y", "tensor<3x5xf32>")
    keeps_meaning(body.func("tensor<3x4xf32>", "tensor<3x5xf32>"), "fold-batch-norm", ["Gemm"], 1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_matmul_bn(keeps_meaning, bias):
    body = Body()
    w = body.const("w", (4, 5))
    body.line(f"%p = onnx.MatMul(%x, %w) : (tensor<3x4xf32>, {w}) -> tensor<3x5xf32>")
    if bias:
        b = body.const("b", (5,))
        body.line(f"%g = onnx.Add(%b, %p) : ({b}, tensor<3x5xf32>) -> tensor<3x5xf32>")
    body.bn(5, "g" if bias else "p", "y", "tensor<3x5xf32>")
    keeps_meaning(body.func("tensor<3x4xf32>", "tensor<3x5xf32>"), "fold-batch-norm", ["MatMul", "Add"], 1e-6)


def test_matmul_of_three_axes_stays(keeps_meaning):
    body = Body()
    w = body.const("w", (4, 5))
    body.line(f"%p = onnx.MatMul(%x, %w) : (tensor<2x3x4xf32>, {w}) -> tensor<2x3x5xf32>")
    body.bn(3, "p", "y", "tensor<2x3x5xf32>")
    keeps_meaning(
        body.func("tensor<2x3x4xf32>", "tensor<2x3x5xf32>"), "fold-batch-norm", ["MatMul", "BatchNormalization"]
    )


def test_a_convolution_with_two_users_stays(keeps_meaning):
    body = Body()
    out = conv(body)
    body.bn(6, "c", "n", out)
    body.line(f"%y = onnx.Add(%n, %c) : ({out}, {out}) -> {out}")
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", ["Conv", "BatchNormalization", "Add"])


def test_shared_weights_are_not_changed_for_the_others(keeps_meaning):
    body = Body()
    out = conv(body)
    body.line(f"%d = onnx.Conv(%x, %w) : (tensor<2x4x5x5xf32>, tensor<6x4x1x1xf32>) -> {out}")
    body.bn(6, "c", "n", out)
    body.line(f"%y = onnx.Max(%n, %d) : ({out}, {out}) -> {out}")
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", ["Conv", "Conv", "Max"], 1e-6)


def test_a_chain_folds_to_one_convolution(keeps_meaning):
    """conv, batch norm, factor, term, and a normalization in front: one convolution with a bias."""
    body = Body()
    body.bn(4, "x", "n", "tensor<2x4x5x5xf32>")
    w = body.const("w", (6, 4, 3, 3))
    out = "tensor<2x6x3x3xf32>"
    body.line(f"%c = onnx.Conv(%n, %w) : (tensor<2x4x5x5xf32>, {w}) -> {out}")
    s, t = body.const("s", (6, 1, 1), 0.5, 2.0), body.const("t", (6, 1, 1))
    body.line(f"%m = onnx.Mul(%c, %s) : ({out}, {s}) -> {out}")
    body.line(f"%y = onnx.Add(%m, %t) : ({out}, {t}) -> {out}")
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", ["Conv"], 1e-6)


def test_extreme_variances(keeps_meaning):
    """Channels whose scales differ by six orders of magnitude keep their own precision."""
    body = Body()
    out = conv(body)
    types = [body.const(n, (6,), *r) for n, r in (("gamma", (1, 2)), ("beta", (-1, 1)), ("mean", (0, 0)))]
    body.line(
        "%var = onnx.Constant() {value = dense<[1.0e-8, 1.0e-4, 1.0, 1.0e4, 1.0e8, 0.0]> : tensor<6xf32>}"
        " : () -> tensor<6xf32>"
    )
    body.line(
        f"%y = onnx.BatchNormalization(%c, %gamma, %beta, %mean, %var) {{epsilon = 1.0e-09 : f32}}"
        f" : ({out}, {', '.join(types)}, tensor<6xf32>) -> {out}"
    )
    keeps_meaning(body.func("tensor<2x4x5x5xf32>", out), "fold-batch-norm", ["Conv"], 1e-6)


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1,)])
def test_a_constant_after_a_normalization(keeps_meaning, op, shape):
    """Networks from Caffe have a Scale after each BatchNorm, often before a ReLU and not after a convolution."""
    t = "tensor<2x4x5x5xf32>"
    body = Body()
    body.bn(4, "x", "n", t)
    s = body.const("s", shape, 0.5, 2.0)
    body.line(f"%m = onnx.{op}(%n, %s) : ({t}, {s}) -> {t}")
    body.line(f"%y = onnx.Relu(%m) : ({t}) -> {t}")
    keeps_meaning(body.func(t, t), "fold-batch-norm", ["BatchNormalization", "Relu"], 1e-6)


def test_a_constant_along_the_width_after_a_normalization_stays(keeps_meaning):
    t = "tensor<2x4x5x5xf32>"
    body = Body()
    body.bn(4, "x", "n", t)
    s = body.const("s", (5,), 0.5, 2.0)
    body.line(f"%y = onnx.Mul(%n, %s) : ({t}, {s}) -> {t}")
    keeps_meaning(body.func(t, t), "fold-batch-norm", ["BatchNormalization", "Mul"])
