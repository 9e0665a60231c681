"""What is written: the lines of .param, the bytes of .bin, and what the module looks like before; no runtime needed."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from qir.artifact import interpret
from qir.ir import Context, QirError
from qir.lowering.ncnn import TARGET
from qir.lowering.ncnn.emitters import BLOBS
from qir.passes import run_pipeline
from qir.text import parse_module, print_module

from .conftest import F, Graph, codes, steps


def chain(n: int = 16) -> tuple[Graph, dict[str, Any]]:
    """Two 3x3 convolutions with ReLU between, on 8 channels."""
    graph = Graph()
    w1, w2 = (graph.rng.normal(size=(8, 8, 3, 3)).astype(F) for _ in range(2))
    b1 = graph.rng.normal(size=8).astype(F)
    x = graph.op("Relu", graph.conv(graph.input("x", 8, 6, 6), w1, b1, pads=[1, 1, 1, 1]))
    graph.output(graph.conv(x, w2))
    data = graph.rng.normal(size=(n, 8, 6, 6)).astype(F)
    return graph, {"w1": w1, "w2": w2, "b1": b1, "x": data}


def test_a_convolution_gives_codes_where_a_convolution_reads_them(lowered: Any, written: Any) -> None:
    graph, a = chain()
    module = lowered(graph, x=a["x"])
    lines, data = written(module)
    window = "0=8 1=3 11=3 2=1 12=1 3=1 13=1 4={0} 15={0} 14={0} 16={0}"
    assert lines == [
        "Input x 0 1 x",
        f"Convolution conv0 1 1 x relu1_y {window.format(1)} 5=1 6=576 8=102 9=1 -23310=1,0.00000000e+00 31=0",
        f"Convolution conv2 1 1 relu1_y conv2_y {window.format(0)} 5=0 6=576 8=2 9=0 -23310=1,0.00000000e+00 31=0",
    ]
    tag = struct.pack("<I", 0x000D4B38)
    sx, s1, sy, s2 = (steps(module, name) for name in ("x", "c0", "relu1_y", "c2"))
    first = tag + codes(a["w1"] * s1.reshape(-1, 1, 1, 1)).astype(np.int8).tobytes() + a["b1"].tobytes()
    first += s1.tobytes() + sx.tobytes() + sy.tobytes()
    second = tag + codes(a["w2"] * s2.reshape(-1, 1, 1, 1)).astype(np.int8).tobytes() + s2.tobytes() + sy.tobytes()
    assert data == first + second


def test_a_float_reader_makes_a_convolution_give_floats(lowered: Any, written: Any) -> None:
    """A residual sum and the next convolution read one blob: two copies of floats, which the convolution quantizes."""
    graph = Graph()
    w = [graph.rng.normal(size=(8, 8, 1, 1)).astype(F) for _ in range(2)]
    a = graph.conv(graph.input("x", 8, 4, 4), w[0])
    graph.output(graph.op("Add", a, graph.conv(a, w[1])))
    lines, _ = written(lowered(graph, x=graph.rng.normal(size=(4, 8, 4, 4)).astype(F)))
    assert [line.split()[0] for line in lines] == ["Input", "Convolution", "Split", "Convolution", "BinaryOp"]
    assert " 8=2 " in lines[1]
    assert lines[2] == "Split conv0_0 1 2 conv0_y conv0_y_0 conv0_y_1"
    assert lines[3].startswith("Convolution conv1 1 1 conv0_y_0 conv1_y ")
    assert lines[4] == "BinaryOp add2 2 1 conv0_y_1 conv1_y add2_y 0=0 1=0 2=0.00000000e+00"


@pytest.mark.parametrize("between", ["Concat", "MaxPool"])
def test_layers_that_want_floats_get_them(lowered: Any, written: Any, between: str) -> None:
    graph = Graph()
    x = graph.input("x", 8, 8, 8)
    parts = [graph.op("Relu", graph.conv(x, graph.rng.normal(size=(8, 8, 1, 1)).astype(F))) for _ in range(2)]
    joined = graph.op("Concat", *parts, axis=1)
    if between == "MaxPool":
        joined = graph.op("MaxPool", joined, kernel_shape=[2, 2], strides=[2, 2])
    graph.output(graph.conv(joined, graph.rng.normal(size=(4, 16, 1, 1)).astype(F)))
    lines, _ = written(lowered(graph, x=graph.rng.normal(size=(4, 8, 8, 8)).astype(F)))
    first, second, last = [line for line in lines if line.startswith("Convolution")]
    assert " 8=2 " in first
    assert " 8=2 " in second
    assert " 8=2 " in last


def test_depthwise_and_grouped_convolutions(lowered: Any, written: Any) -> None:
    graph = Graph()
    x = graph.conv(graph.input("x", 8, 6, 6), graph.rng.normal(size=(8, 1, 3, 3)).astype(F), group=8)
    x = graph.conv(x, graph.rng.normal(size=(8, 4, 1, 1)).astype(F), group=2)
    graph.output(graph.conv(x, graph.rng.normal(size=(16, 4, 1, 1)).astype(F), group=2))
    ctx = Context()
    lines, data = written(lowered(graph, ctx=ctx, x=graph.rng.normal(size=(4, 8, 6, 6)).astype(F)))
    depthwise, grouped, wide = lines[1:]
    assert " 8=101 " in depthwise
    assert depthwise.endswith(" 7=8")
    assert " 8=2 " in grouped
    assert grouped.endswith(" 7=2")
    assert " 8=0 " in wide  # 8 output channels a group: packed channels break it
    assert len(data) == (4 + 72 + 32 + 4 + 4) + (4 + 32 + 4 + 4) + (4 + 4 * 64)
    assert any("of which packed channels make garbage" in d.message for d in ctx.diagnostics)


def test_products_are_inner_products_with_a_bias(lowered: Any, written: Any) -> None:
    """MatMul and Add on rows become one layer; a vector in float becomes one row for Gemm, and a vector again."""
    graph = Graph()
    w, b = graph.rng.normal(size=(6, 5)).astype(F), graph.rng.normal(size=5).astype(F)
    graph.output(graph.op("Add", graph.constant(b), graph.op("MatMul", graph.input("x", 7, 6), graph.constant(w))))
    x = graph.rng.normal(size=(4, 7, 6)).astype(F)
    module = lowered(graph, x=x)
    lines, data = written(module)
    assert lines[1:] == ["InnerProduct matmul0 1 1 x add1_y 0=5 1=1 2=30 8=2"]
    s = steps(module, "c1")
    stored = codes(w.T * s.reshape(-1, 1)).astype(np.int8).tobytes() + b"\0\0"
    assert data == struct.pack("<I", 0x000D4B38) + stored + b.tobytes() + s.tobytes() + steps(module, "x").tobytes()


def test_weights_in_blocks(lowered: Any, written: Any) -> None:
    graph = Graph()
    w = graph.rng.normal(size=(40, 3)).astype(F)
    graph.output(graph.op("MatMul", graph.input("x", 2, 40), graph.constant(w)))
    x = graph.rng.normal(size=(4, 2, 40)).astype(F)
    module = lowered(graph, "weights4", x=x)
    lines, data = written(module)
    assert lines[1].endswith(" 8=3 9=40 10=-1 18=400")
    assert len(data) == 3 * 20 + 3 * 2 * 4  # rows of 20 bytes, scales of 2 blocks each
    scales = np.frombuffer(data[60:], "<f4").reshape(3, 2)
    np.testing.assert_array_equal(scales, steps(module, "c0").T)
    first = np.frombuffer(data[:20], np.uint8)
    low = (first & 15).astype(np.int8)
    low[low > 7] -= 16
    np.testing.assert_array_equal(low[:16], np.clip(codes(w[:32:2, 0] * scales[0, 0]), -7, 7))


def test_every_order_of_axes_is_the_one_that_permute_names(lowered: Any) -> None:
    graph = Graph()
    x = graph.input("x", 2, 3, 4)
    graph.output(graph.op("Transpose", x, perm=[0, 3, 1, 2]))
    module = lowered(graph, x=np.ones((1, 2, 3, 4), F))
    (op,) = [op for op in module.walk() if op.name == "ncnn.Permute"]
    assert BLOBS.orders[3][op.attr("order_type")] == "hcw"  # the result's w is the source's h, its h the source's c
    assert {len(set(order)) for order in BLOBS.orders.values()} == {2, 6, 24}
    data = np.arange(48, dtype=F).reshape(2, 2, 3, 4)
    (got,) = interpret(module, {"x": data}).values()
    np.testing.assert_array_equal(got, data.transpose(0, 3, 1, 2))


def test_text_stands_for_the_module(lowered: Any, written: Any) -> None:
    graph, a = chain()
    module = lowered(graph, x=a["x"])
    again = parse_module(print_module(module), Context())
    assert print_module(again) == print_module(module)
    assert written(again) == written(module)


# ---------------------------------------------------------------- the bound of Winograd's int8 kernel
def bounded(total: int) -> tuple[Graph, dict[str, Any]]:
    """A 3x3 convolution of 16 channels, whose codes sum up to `total` in its third output channel."""
    graph = Graph()
    w = graph.rng.integers(-90, 91, (16, 32, 3, 3))
    w[:, 0, 0, 0] = 127
    flat = w[2].reshape(-1)
    flat[:] = 101
    flat[0], rest = 127, total - 127
    flat[1:] = rest // 287
    flat[1 : 1 + rest % 287] += 1
    assert np.abs(w[2]).sum() == total
    graph.output(graph.conv(graph.input("x", 32, 8, 8), w.astype(F), pads=[1, 1, 1, 1]))
    return graph, {"w": w, "x": graph.rng.integers(-127, 128, (2, 32, 8, 8)).astype(F)}


@pytest.mark.parametrize(("total", "mask"), [(29_356, 0), (29_357, 64)])
def test_winograd_is_left_out_where_a_channel_may_overflow(lowered: Any, total: int, mask: int) -> None:
    graph, a = bounded(total)
    ctx = Context()
    module = lowered(graph, ctx=ctx, x=a["x"])
    (op,) = [op for op in module.walk() if op.name == "ncnn.Convolution"]
    assert op.attr("featmask", 0) == mask
    said = [d for d in ctx.diagnostics if "without Winograd" in d.message]
    assert len(said) == (mask > 0)
    if said:
        assert "conv0" in str(said[0])
        assert "the weights of 1 channels sum up to 29357, more than 29356" in said[0].message


def test_a_mask_that_is_taken_away_is_a_warning(lowered: Any) -> None:
    graph, a = bounded(29_400)
    module = lowered(graph, x=a["x"])
    (op,) = [op for op in module.walk() if op.name == "ncnn.Convolution"]
    del op.attributes["featmask"]
    ctx = Context()
    run_pipeline(module, "verify-target{target=ncnn}", ctx)
    assert "may overflow in ncnn's Winograd kernel" in str(ctx.diagnostics[-1])


# ---------------------------------------------------------------- what is wrong is said
def test_codes_that_reach_a_float_layer_are_an_error(lowered: Any) -> None:
    """ncnn pools int8 blobs into garbage and says nothing."""
    graph = Graph()
    x = graph.conv(graph.input("x", 8, 8, 8), graph.rng.normal(size=(8, 8, 1, 1)).astype(F))
    graph.output(graph.op("MaxPool", x, kernel_shape=[2, 2]))
    module = lowered(graph, x=graph.rng.normal(size=(2, 8, 8, 8)).astype(F))
    text = print_module(module).replace("int8_scale_term = 2 : i64", "int8_scale_term = 102 : i64")
    text = text.replace("quant = [@x, @c0, unit]", "quant = [@x, @c0, @x]").replace(
        "-> tensor<?x8x8x8xf32>", "-> tensor<?x8x8x8xi8>"
    )
    text = text.replace(": (tensor<?x8x8x8xf32>) -> tensor<?x8x7x7", ": (tensor<?x8x8x8xi8>) -> tensor<?x8x7x7")
    with pytest.raises(QirError, match=r"gives codes to ncnn\.Pooling, which reads them as something else"):
        run_pipeline(parse_module(text, Context()), "verify-target{target=ncnn}", Context())


def test_two_scales_on_one_blob_are_an_error(lowered: Any) -> None:
    graph, a = chain()
    text = print_module(lowered(graph, x=a["x"]))
    text = text.replace("quant = [@relu1_y, @c2, unit]", "quant = [@x, @c2, unit]")
    with pytest.raises(QirError, match=r"gives codes of @relu1_y to ncnn\.Convolution, which reads them by another"):
        run_pipeline(parse_module(text, Context()), "verify-target{target=ncnn}", Context())


def test_a_blob_with_two_readers_is_an_error(lowered: Any) -> None:
    graph = Graph()
    x = graph.input("x", 4, 4)
    y = graph.op("Relu", x)
    graph.output(graph.op("Add", y, graph.op("Sigmoid", y)))
    text = print_module(lowered(graph, x=np.ones((1, 4, 4), F)))
    split = next(line for line in text.splitlines() if "ncnn.Split" in line)
    first, second = split.split("=")[0].replace(" ", "").split(",")
    source = split.split("(")[1].split(")")[0]
    text = text.replace(split + "\n", "").replace(first, source).replace(second, source)
    with pytest.raises(QirError, match="is read more than once"):
        run_pipeline(parse_module(text, Context()), "verify-target{target=ncnn}", Context())


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("Transpose", {"perm": [1, 0, 2]}), ("Softmax", {"axis": 0}), ("Concat", {"axis": 0}), ("CumSum", {})],
)
def test_an_operation_without_a_layer_is_named(lowered: Any, op: str, attributes: dict[str, Any]) -> None:
    graph = Graph()
    x = graph.op("Relu", graph.input("x", 3, 4))
    more = {"Concat": [x], "CumSum": [graph.constant(np.int64(1))]}.get(op, [])
    graph.output(graph.op(op, x, *more, **attributes))
    with pytest.raises(QirError) as caught:
        lowered(graph, x=np.ones((3, 3, 4), F))
    (found,) = caught.value.diagnostics
    assert f"{op.lower()}1" in str(found)
    assert f"ncnn cannot run 'onnx.{op}'" in found.message


def test_an_operation_with_bodies_is_named_once(lowered: Any) -> None:
    graph = Graph()
    x = graph.op("Relu", graph.input("x", 4, 4))

    def branch(op: str) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(op, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, [x], [op])], f"{op}_branch", [], [result])

    y = graph.op("If", graph.input("c", kind=TensorProto.BOOL), then_branch=branch("Abs"), else_branch=branch("Neg"))
    graph.output(graph.op("Add", y, graph.op("Tanh", x)))
    with pytest.raises(QirError, match=r"\[if1\] ncnn cannot run 'onnx\.If'") as caught:
        lowered(graph, x=np.ones((1, 4, 4), F), c=np.array([True]))
    assert len(caught.value.diagnostics) == 1


def test_what_is_no_layer_is_not_left_out(lowered: Any, written: Any) -> None:
    graph = Graph()
    graph.output(graph.op("Relu", graph.input("x", 4, 4)))
    text = print_module(lowered(graph, x=np.ones((1, 4, 4), F)))
    module = parse_module(text.replace("ncnn.ReLU", "onnx.Relu"), Context())
    with pytest.raises(QirError, match=r"'onnx\.Relu' cannot be written: it is no record"):
        written(module)


def test_names_with_spaces_cannot_be_written(lowered: Any, written: Any) -> None:
    graph = Graph()
    graph.nodes.append(helper.make_node("Relu", [graph.input("x", 4)], ["a result"], name="r"))
    graph.output("a result")
    module = lowered(graph, x=np.ones((1, 4), F))
    with pytest.raises(QirError, match="the name 'a result' has spaces"):
        written(module)


def test_modes_are_named() -> None:
    with pytest.raises(QirError, match="has no mode 'weights5'"):
        TARGET.in_mode("weights5")
