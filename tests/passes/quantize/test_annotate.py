"""annotate: which edges of a graph get which quantizer for onnxruntime."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

import pytest

from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.ir import Context, Operation, QirError, verify
from qir.passes import run_pipeline
from qir.text import parse_module


def annotate(body: str, options: str = "", functions: str = "") -> Operation:
    ctx = Context(allow_unregistered=True)
    text = f"module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{\n{functions}{body}\n}}"
    module = parse_module(text, ctx)
    verify(module)
    run_pipeline(module, f"annotate{{target=onnxruntime{options}}}", ctx)
    verify(module)
    module_remarks[id(module)] = [f"{d.category}: {d.message}" for d in ctx.diagnostics]
    return module


module_remarks: dict[int, list[str]] = {}


def quantizers(module: Operation) -> dict[str, str]:
    return {op.sym_name: str(op.scheme) for op in module.walk() if isinstance(op, QuantizerOp)}


def edges(module: Operation) -> list[tuple[str | None, str]]:
    return [(op.x.name, op.quantizer) for op in module.walk() if isinstance(op, FakeOp)]


def constant(name: str, *shape: int, value: str = "0.5") -> str:
    type = f"tensor<{'x'.join(map(str, shape))}xf32>"
    return f"%{name} = onnx.Constant() {{value = dense<{value}> : {type}}} : () -> {type}\n"


def conv(result: str, x: str, w: str, size: str = "1x4x8x8", ins: int = 4, outs: int = 4, group: int = 1) -> str:
    given = size.split("x")
    x_type = f"tensor<{given[0]}x{ins}x{given[2]}x{given[3]}xf32>"
    y_type = f"tensor<{given[0]}x{outs}x{given[2]}x{given[3]}xf32>"
    attributes = f" {{group = {group} : i64}}" if group > 1 else ""
    return (
        f"%{result} = onnx.Conv(%{x}, %{w}){attributes} : ({x_type}, tensor<{outs}x{ins // group}x1x1xf32>) -> {y_type}"
        f' loc("{result}")\n'
    )


T = "tensor<1x4x8x8xf32>"


def unary(result: str, op: str, x: str, attributes: str = "", type: str = T, to: str = "") -> str:
    return f'%{result} = onnx.{op}(%{x}) {attributes} : ({type}) -> {to or type} loc("{result}")\n'


def func(body: str, result: str = "y", type: str = T, arguments: str = f"%x: {T}") -> str:
    return f"func.func @main({arguments}) -> {type} {{\n{body}return %{result} : {type}\n}}"


W = constant("w", 4, 4, 1, 1)


def test_depthwise_weights_have_a_scale_for_each_output() -> None:
    module = annotate(func(constant("d", 4, 1, 1, 1) + conv("y", "x", "d", group=4)))
    assert quantizers(module)["d"] == "i8<-127:127> symmetric per_axis(0)"


def test_a_convolution_without_constant_weights_stays_float() -> None:
    body = func(conv("y", "x", "w"), arguments=f"%x: {T}, %w: tensor<4x4x1x1xf32>")
    module = annotate(body)
    assert quantizers(module) == {}
    assert "missed: onnx.Conv stays float: W is not a constant" in module_remarks[id(module)]
    assert any("nothing is quantized" in r for r in module_remarks[id(module)])


@pytest.mark.parametrize(
    ("attributes", "shape", "axis"),
    [("{transB = 1 : i64}", (5, 8), 0), ("", (8, 5), 1), ("{beta = 1.0 : f32}", (8, 5), 1)],
)
def test_gemm_has_scales_for_each_column_whichever_way_its_weight_lies(
    attributes: str, shape: tuple[int, int], axis: int
) -> None:
    body = (
        constant("w", *shape) + constant("c", 5) + f"%y = onnx.Gemm(%x, %w, %c) {attributes} : "
        f"(tensor<3x8xf32>, tensor<{shape[0]}x{shape[1]}xf32>, tensor<5xf32>) -> tensor<3x5xf32>\n"
    )
    module = annotate(func(body, type="tensor<3x5xf32>", arguments="%x: tensor<3x8xf32>"))
    found = quantizers(module)
    assert found["w"] == f"i8<-127:127> symmetric per_axis({axis})"
    assert found["c"] == "i32 symmetric product(@x, @w) axis(0)"
    assert "y" not in found  # QGemm gives float where nobody asks for codes


def test_the_bias_scale_of_gemm_has_alpha_as_its_factor() -> None:
    body = (
        constant("w", 8, 5)
        + constant("c", 5)
        + (
            "%y = onnx.Gemm(%x, %w, %c) {alpha = 0.5 : f32} : (tensor<3x8xf32>, tensor<8x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>\n"
        )
    )
    module = annotate(func(body, type="tensor<3x5xf32>", arguments="%x: tensor<3x8xf32>"))
    assert quantizers(module)["c"] == "i32 symmetric product(@x, @w) axis(0) factor(0.5)"


@pytest.mark.parametrize(
    ("attributes", "reason"), [("{beta = 2.0 : f32}", "beta is not 1.0"), ("{transA = 1 : i64}", "transA is not 0")]
)
def test_a_gemm_that_the_kernel_cannot_do_stays_float(attributes: str, reason: str) -> None:
    x = "tensor<8x3xf32>" if "transA" in attributes else "tensor<3x8xf32>"
    body = (
        constant("w", 8, 5)
        + constant("c", 5)
        + (f"%y = onnx.Gemm(%x, %w, %c) {attributes} : ({x}, tensor<8x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>\n")
    )
    module = annotate(func(body, type="tensor<3x5xf32>", arguments=f"%x: {x}"))
    assert quantizers(module) == {}
    assert f"missed: onnx.Gemm stays float: {reason}" in module_remarks[id(module)]


@pytest.mark.parametrize(
    ("lower", "upper", "fused"), [("0.0", "6.0", True), ("-1.0", "1.0", True), ("%x", "6.0", False)]
)
def test_a_clip_is_fused_where_its_bounds_are_known(lower: str, upper: str, fused: bool) -> None:
    def bound(name: str, value: str) -> str:
        if value.startswith("%"):
            return f"%{name} = onnx.ReduceMin({value}) {{keepdims = 0 : i64}} : ({T}) -> tensor<f32>\n"
        return f"%{name} = onnx.Constant() {{value = dense<{value}> : tensor<f32>}} : () -> tensor<f32>\n"

    body = W + bound("lo", lower) + bound("hi", upper)
    body += (
        conv("c", "x", "w")
        + f"%r = onnx.Clip(%c, %lo, %hi) : ({T}, tensor<f32>, tensor<f32>) -> {T}\n"
        + conv("y", "r", "w")
    )
    found = [q for _, q in edges(annotate(func(body)))]
    assert ("c" in found) is not fused and "r" in found


def test_an_activation_that_others_read_before_is_not_fused() -> None:
    body = W + conv("c", "x", "w") + unary("r", "Relu", "c") + f"%y = onnx.Sub(%c, %r) : ({T}, {T}) -> {T}\n"
    assert ("c", "c") in edges(annotate(func(body)))


def test_a_value_of_two_readers_has_one_fake() -> None:
    body = (
        W
        + constant("v", 4, 4, 1, 1)
        + conv("a", "x", "w")
        + conv("b", "x", "v")
        + f"%y = onnx.Sub(%a, %b) : ({T}, {T}) -> {T}\n"
    )
    assert [e for e in edges(annotate(func(body))) if e[0] == "x"] == [("x", "x")]


def test_a_reader_that_stays_float_reads_the_float_value() -> None:
    body = W + unary("t", "Tanh", "x") + conv("c", "t", "w") + f"%y = onnx.Sub(%c, %t) : ({T}, {T}) -> {T}\n"
    module = annotate(func(body))
    sub = next(op for op in module.walk() if op.name == "onnx.Sub")
    assert sub.operands[1].name == "t"  # from before the quantizer
    assert isinstance(sub.operands[0].defining_op, FakeOp)  # the convolution has no float result


def test_a_constant_read_along_different_axes_has_two_quantizers() -> None:
    body = (
        constant("w", 4, 4)
        + "%a = onnx.Gemm(%x, %w) {transB = 1 : i64} : (tensor<3x4xf32>, tensor<4x4xf32>) -> tensor<3x4xf32>\n"
        + "%y = onnx.MatMul(%a, %w) : (tensor<3x4xf32>, tensor<4x4xf32>) -> tensor<3x4xf32>\n"
    )
    found = quantizers(annotate(func(body, type="tensor<3x4xf32>", arguments="%x: tensor<3x4xf32>")))
    assert found["w"] == "i8<-127:127> symmetric per_axis(0)"
    assert found["w_0"] == "i8<-127:127> symmetric per_axis(1)"


def test_a_bias_of_two_convolutions_has_a_quantizer_for_each() -> None:
    three = f"({T}, tensor<4x4x1x1xf32>, tensor<4xf32>) -> {T}"
    body = W + constant("b", 4) + f"%a = onnx.Conv(%x, %w, %b) : {three}\n%y = onnx.Conv(%a, %w, %b) : {three}\n"
    found = quantizers(annotate(func(body)))
    assert found["b"] == "i32 symmetric product(@x, @w) axis(0)"
    assert found["b_0"] == "i32 symmetric product(@a, @w) axis(0)"


def test_quantizer_names_do_not_clash_with_functions() -> None:
    body = W + conv("main", "x", "w") + unary("y", "Tanh", "main")
    assert "main_0" in quantizers(annotate(func(body)))


def test_movers_between_float_ops_are_left_alone() -> None:
    body = unary("t", "Transpose", "x", "{perm = array<i64: 0, 1, 3, 2>}") + unary("y", "Tanh", "t") + ""
    assert quantizers(annotate(func(body))) == {}


def test_every_result_of_a_split_shares_the_operands_quantizer() -> None:
    half = "tensor<1x2x8x8xf32>"
    body = W + constant("v", 2, 2, 1, 1) + conv("c", "x", "w")
    body += f"%s:2 = onnx.Split(%c) {{axis = 1 : i64}} : ({T}) -> ({half}, {half})\n"
    body += conv("p", "s#0", "v", ins=2, outs=2) + conv("q", "s#1", "v", ins=2, outs=2)
    body += f"%y = onnx.Sub(%p, %q) : ({half}, {half}) -> {half}\n"
    found = edges(annotate(func(body, type=half)))
    assert [q for _, q in found].count("c") == 3


def test_a_channel_shuffle_does_not_tie_its_units_to_one_quantizer() -> None:
    """ShuffleNet: half of a unit goes on as it is, half through convolutions; both halves meet in the next Concat."""
    half = "tensor<1x2x8x8xf32>"
    body = W + constant("v", 2, 2, 1, 1) + conv("c", "x", "w")
    body += f"%s:2 = onnx.Split(%c) {{axis = 1 : i64}} : ({T}) -> ({half}, {half})\n"
    body += conv("p", "s#1", "v", ins=2, outs=2)
    body += f"%n = onnx.Concat(%s#0, %p) {{axis = 1 : i64}} : ({half}, {half}) -> {T}\n" + conv("y", "n", "w")
    found = dict(edges(annotate(func(body))))
    assert found["p"] == found["n"] == "p"  # only the Concat reads it
    assert found["c"] == "c" and "s" not in found.values()


def test_nested_concats_share_one_quantizer() -> None:
    half = "tensor<1x2x8x8xf32>"
    body = (
        W
        + constant("v", 2, 4, 1, 1)
        + conv("a", "x", "v", outs=2)
        + unary("z", "Tanh", "x")
        + conv("b", "z", "v", outs=2)
    )
    body += f"%i = onnx.Concat(%a, %b) {{axis = 1 : i64}} : ({half}, {half}) -> {T}\n" + conv("d", "z", "w")
    body += f"%o = onnx.Concat(%i, %d) {{axis = 1 : i64}} : ({T}, {T}) -> tensor<1x8x8x8xf32>\n"
    body += constant("u", 4, 8, 1, 1) + conv("y", "o", "u", ins=8)
    found = dict(edges(annotate(func(body))))
    assert found["a"] == found["b"] == found["i"] == found["d"] == found["o"] == "a"


def test_the_hard_swish_of_a_convolution_stays_float_around_its_product() -> None:
    body = (
        W
        + conv("c", "x", "w")
        + unary("h", "HardSigmoid", "c")
        + f"%m = onnx.Mul(%c, %h) : ({T}, {T}) -> {T}\n"
        + conv("y", "m", "w")
    )
    found = edges(annotate(func(body)))
    assert ("c", "c") in found and ("m", "m") in found and not any(v == "h" for v, _ in found)


def test_swish_runs_on_codes() -> None:
    body = (
        W
        + conv("c", "x", "w")
        + unary("h", "Sigmoid", "c")
        + f"%m = onnx.Mul(%c, %h) : ({T}, {T}) -> {T}\n"
        + conv("y", "m", "w")
    )
    assert ("h", "h") in edges(annotate(func(body)))


def test_only_and_exclude_take_names_types_and_globs() -> None:
    body = func(W + conv("enc/a", "x", "w") + conv("enc/b", "enc/a", "w") + conv("y", "enc/b", "w"))
    body = body.replace("%enc/", "%enc_")

    def convolved(options: str) -> list[str]:
        module = annotate(body, options)
        return [
            op.location.names()[0]
            for op in module.walk()
            if op.name == "onnx.Conv" and isinstance(op.operands[1].defining_op, FakeOp)
        ]

    assert convolved("") == ["enc/a", "enc/b", "y"]
    assert convolved(" exclude=enc/a") == ["enc/b", "y"]
    assert convolved(" exclude=enc/*") == ["y"]
    assert convolved(" only=enc/*") == ["enc/a", "enc/b"]
    assert convolved(" only=Conv exclude=y") == ["enc/a", "enc/b"]
    assert convolved(" only=onnx.Conv") == ["enc/a", "enc/b", "y"]


@pytest.mark.parametrize("option", ["only=Gemm", "exclude=nothing/*", "only=Conv,Gru"])
def test_a_filter_that_matches_nothing_is_an_error(option: str) -> None:
    with pytest.raises(QirError, match="matches no operation"):
        annotate(func(W + conv("y", "x", "w")), f" {option}")


def test_an_unnamed_target_is_an_error() -> None:
    ctx = Context()
    module = parse_module(func(W + conv("y", "x", "w")), ctx)
    with pytest.raises(QirError, match="names no target"):
        run_pipeline(module, "annotate", ctx)


def test_subgraphs_stay_float_and_say_so() -> None:
    body = (
        W
        + conv("c", "x", "w")
        + (
            f'%y = "onnx.If"(%p) ({{\n%i = onnx.Conv(%c, %w) : ({T}, tensor<4x4x1x1xf32>) -> {T}\n"onnx.Yield"(%i) : ({T}) -> ()\n}}, '
            f'{{\n"onnx.Yield"(%c) : ({T}) -> ()\n}}) : (tensor<i1>) -> {T}\n'
        )
    )
    module = annotate(func(body, arguments=f"%x: {T}, %p: tensor<i1>"))
    assert edges(module) == [("x", "x"), ("w", "w"), ("c", "c")]
    assert "missed: onnx.Conv stays float: it stands in a subgraph of onnx.If" in module_remarks[id(module)]
    inner = [op for op in module.walk() if op.name == "onnx.Conv"][1]
    assert isinstance(
        inner.operands[0].defining_op, FakeOp
    )  # but it reads the codes' values, the float ones are not there


def test_half_precision_is_left_alone_with_its_reason() -> None:
    h = "tensor<1x4x8x8xf16>"
    body = "%w = onnx.Constant() {value = dense<0.5> : tensor<4x4x1x1xf16>} : () -> tensor<4x4x1x1xf16>\n"
    body += f"%y = onnx.Conv(%x, %w) : ({h}, tensor<4x4x1x1xf16>) -> {h}\n"
    module = annotate(func(body, type=h, arguments=f"%x: {h}"))
    assert quantizers(module) == {}
    assert any("onnxruntime quantizes f32" in r for r in module_remarks[id(module)])


def test_a_constant_on_the_left_of_a_product_is_quantized_per_tensor() -> None:
    body = constant("w", 5, 8) + "%y = onnx.MatMul(%w, %x) : (tensor<5x8xf32>, tensor<8x3xf32>) -> tensor<5x3xf32>\n"
    found = quantizers(annotate(func(body, type="tensor<5x3xf32>", arguments="%x: tensor<8x3xf32>")))
    assert found == {"x": "u8 affine per_tensor", "w": "u8 affine per_tensor"}


def test_annotating_is_linear_in_the_graph() -> None:
    import time

    def seconds(count: int) -> float:
        body = (
            W
            + conv("v0", "x", "w")
            + "".join(f"%v{i + 1} = onnx.Add(%v{i}, %v{i}) : ({T}, {T}) -> {T}\n" for i in range(count))
        )
        ctx = Context()
        module = parse_module(func(body, result=f"v{count}"), ctx)
        start = time.perf_counter()
        run_pipeline(module, "annotate{target=onnxruntime}", ctx)
        return time.perf_counter() - start

    small, large = seconds(500), seconds(4000)
    assert large < 30 * small + 0.5
