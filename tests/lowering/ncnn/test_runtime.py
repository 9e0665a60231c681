"""The simulation and formulas written down from ncnn's sources against ncnn itself, bit for bit."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import qir
from qir.artifact import simulate
from qir.ir import Context, QirError
from qir.lowering.ncnn import TARGET
from qir.runtime_process import run_artifact
from qir.text import parse_file

from .conftest import Array, F, Graph, codes, floats, steps, sums
from .test_files import bounded, chain

pytestmark = pytest.mark.runtime("ncnn")
PROFILES = ("no-packing", "default")


def only(outputs: dict[str, Array]) -> Array:
    (value,) = outputs.values()
    return value


def clip(v: Array, activation: str | None) -> Array:
    return {"Relu": lambda: np.maximum(v, 0), "Clip": lambda: np.clip(v, 0, 6), None: lambda: v}[activation]()


def activate(graph: Graph, x: str, activation: str | None) -> str:
    if activation is None:
        return x
    return graph.op(activation, x, *([graph.constant(F(0)), graph.constant(F(6))] if activation == "Clip" else []))


# ---------------------------------------------------------------- single layers
CONVOLUTIONS = {
    "1x1": (8, 24, 1, {}, None),
    "3x3 of three channels": (3, 16, 3, {"pads": [1] * 4}, "Relu"),
    "3x3 by Winograd": (32, 24, 3, {"pads": [1] * 4}, "Clip"),
    "3x3 with two steps": (16, 12, 3, {"strides": [2, 2], "pads": [1] * 4}, "Relu"),
    "5x5": (6, 10, 5, {"pads": [2] * 4}, None),
    "dilated": (16, 16, 3, {"dilations": [2, 2], "pads": [2] * 4}, "Relu"),
}


@pytest.mark.parametrize("numbers", ["random", "extreme"])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(lowered: Any, in_ncnn: Any, case: str, numbers: str) -> None:
    """Float results, equal in every bit to sums of codes that are scaled and biased with one rounding."""
    channels, outputs, k, attributes, activation = CONVOLUTIONS[case]
    graph = Graph(len(case))
    w = graph.rng.normal(size=(outputs, channels, k, k)) * graph.rng.uniform(0.1, 2, (outputs, 1, 1, 1))
    w = w.astype(F)
    x = graph.rng.normal(size=(3, channels, 13, 11)).astype(F)
    if numbers == "extreme":
        w, x = np.sign(w) * np.abs(w).max((1, 2, 3), keepdims=True), np.sign(x)
        w[0], x[0] = np.abs(w[0]), 1
    b = graph.rng.normal(size=outputs).astype(F)
    graph.output(activate(graph, graph.conv(graph.input("x", channels, 13, 11), w, b, **attributes), activation))
    module = lowered(graph, x=x)
    (op,) = [op for op in module.walk() if op.name == "ncnn.Convolution"]
    sx, sw = steps(module, "x"), steps(module, "c0")
    stride, pad = attributes.get("strides", [1])[0], attributes.get("pads", [0])[0]
    acc = sums(codes(x * sx), codes(w * sw.reshape(-1, 1, 1, 1)), stride, pad, 1, attributes.get("dilations", [1])[0])
    if case == "3x3 by Winograd" and not op.attr("featmask", 0):
        acc = np.trunc((acc * 576).astype(F) * F(1 / 576))
    want = clip(floats(acc, sx, sw, b, fused=True), activation)
    for profile in PROFILES:
        np.testing.assert_array_equal(only(in_ncnn(module, profile, x=x)), want)
        np.testing.assert_array_equal(only(simulate(module, TARGET, {"x": x}, profile)), want)


@pytest.mark.parametrize("activation", [None, "Relu", "Clip"])
@pytest.mark.parametrize(("k", "stride"), [(3, 1), (3, 2), (5, 1), (1, 1)])
def test_depthwise_convolution(lowered: Any, in_ncnn: Any, k: int, stride: int, activation: str | None) -> None:
    """3x3 kernels with ReLU at most round once, the others twice; packed channels have scales of 12 bits."""
    graph = Graph(k)
    w, b = graph.rng.normal(size=(16, 1, k, k)).astype(F), graph.rng.normal(size=16).astype(F)
    x = graph.rng.normal(size=(3, 16, 14, 14)).astype(F)
    y = graph.conv(graph.input("x", 16, 14, 14), w, b, group=16, strides=[stride] * 2, pads=[k // 2] * 4)
    graph.output(activate(graph, y, activation))
    module = lowered(graph, x=x)
    sx, sw = steps(module, "x"), steps(module, "c0")
    acc = sums(codes(x * sx), codes(w * sw.reshape(-1, 1, 1, 1)), stride, k // 2, 16)
    want = clip(floats(acc, sx, sw, b, fused=k == 3 and activation != "Clip"), activation)
    np.testing.assert_array_equal(only(in_ncnn(module, "no-packing", x=x)), want)
    np.testing.assert_array_equal(only(simulate(module, TARGET, {"x": x}, "no-packing")), want)
    packed = only(in_ncnn(module, "default", x=x))
    assert (packed != want).any()
    np.testing.assert_allclose(packed, want, rtol=0, atol=3e-4 * np.abs(want).max())


def test_grouped_convolution(lowered: Any, in_ncnn: Any) -> None:
    graph = Graph()
    w, b = graph.rng.normal(size=(12, 4, 3, 3)).astype(F), graph.rng.normal(size=12).astype(F)
    x = graph.rng.normal(size=(3, 12, 9, 9)).astype(F)
    graph.output(graph.conv(graph.input("x", 12, 9, 9), w, b, group=3))
    module = lowered(graph, x=x)
    sx, sw = steps(module, "x"), steps(module, "c0")
    want = floats(sums(codes(x * sx), codes(w * sw), group=3), sx, sw, b, fused=True)
    for profile in PROFILES:
        np.testing.assert_array_equal(only(in_ncnn(module, profile, x=x)), want)
        np.testing.assert_array_equal(only(simulate(module, TARGET, {"x": x}, profile)), want)


@pytest.mark.parametrize("shape", [(), (5,), (8,)])
@pytest.mark.parametrize("outputs", [7, 24])
def test_product(lowered: Any, in_ncnn: Any, shape: tuple[int, ...], outputs: int) -> None:
    """Of a vector and of rows: scaled, rounded, biased, rounded."""
    graph = Graph()
    w, b = graph.rng.normal(size=(40, outputs)).astype(F), graph.rng.normal(size=outputs).astype(F)
    x = graph.rng.normal(size=(6, *shape, 40)).astype(F)
    x[0] = 3.0
    y = graph.op("MatMul", graph.input("x", *shape, 40), graph.constant(w))
    graph.output(graph.op("Add", y, graph.constant(b)))
    module = lowered(graph, x=x)
    sx, sw = steps(module, "x"), steps(module, "c0")
    acc = codes(x * sx) @ codes(w * sw)
    want = acc.astype(F) * (F(1) / (sx * sw)) + b
    for profile in PROFILES:
        np.testing.assert_array_equal(only(in_ncnn(module, profile, x=x)), want)
        np.testing.assert_array_equal(only(simulate(module, TARGET, {"x": x}, profile)), want)


def test_numbers_beyond_the_calibrated_range_saturate(lowered: Any, in_ncnn: Any) -> None:
    """At 2**31 codes and more the conversion gives the smallest code, whatever the sign."""
    graph, a = chain()
    module = lowered(graph, x=a["x"])
    for factor in (100.0, 1e6, 1e12, 3e38):
        x = (a["x"][:2] / np.abs(a["x"]).max() * factor).astype(F)
        for profile in PROFILES:
            got, ours = only(in_ncnn(module, profile, x=x)), only(simulate(module, TARGET, {"x": x}, profile))
            np.testing.assert_array_equal(got, ours)


# ---------------------------------------------------------------- chains
def test_a_chain_of_requantizing_convolutions(lowered: Any, in_ncnn: Any) -> None:
    graph, a = chain()
    module = lowered(graph, x=a["x"])
    s = {name: steps(module, name) for name in ("x", "c0", "relu1_y", "c2")}
    acc = sums(codes(a["x"] * s["x"]), codes(a["w1"] * s["c0"].reshape(-1, 1, 1, 1)), pad=1)
    y = codes(np.maximum(floats(acc, s["x"], s["c0"], a["b1"], fused=True), 0) * s["relu1_y"])
    want = floats(sums(y, codes(a["w2"] * s["c2"].reshape(-1, 1, 1, 1))), s["relu1_y"], s["c2"], None, fused=True)
    for profile in PROFILES:
        np.testing.assert_array_equal(only(in_ncnn(module, profile, x=a["x"])), want)


def test_codes_go_through_the_layers_that_pass_them(lowered: Any, in_ncnn: Any) -> None:
    """Split, Flatten and ReLU between convolutions and products, all on codes."""
    graph = Graph()
    x = graph.conv(graph.input("x", 16, 6, 6), graph.rng.normal(size=(16, 16, 1, 1)).astype(F))
    products = []
    for _ in range(2):
        flat = graph.op("Flatten", graph.conv(x, graph.rng.normal(size=(4, 16, 3, 3)).astype(F)))
        w = graph.constant(graph.rng.normal(size=(64, 5)).astype(F))
        products.append(graph.op("MatMul", graph.op("Relu", flat), w))
    graph.output(graph.op("Add", *products))
    data = graph.rng.normal(size=(5, 16, 6, 6)).astype(F)
    module = lowered(graph, x=data)
    kinds = [op.name for op in module.walk() if op.name.startswith("ncnn.") and "i8" in str(op.results[0].type)]
    assert sorted(set(kinds)) == ["ncnn.Convolution", "ncnn.Flatten", "ncnn.ReLU", "ncnn.Split"]
    for profile in PROFILES:
        got, ours = only(in_ncnn(module, profile, x=data)), only(simulate(module, TARGET, {"x": data}, profile))
        np.testing.assert_array_equal(got, ours)


# ---------------------------------------------------------------- Winograd's bound
@pytest.mark.parametrize("total", [29_356, 29_357])
@pytest.mark.parametrize("masked", [True, False])
def test_sums_at_the_bound_of_winograd(lowered: Any, in_ncnn: Any, total: int, masked: bool) -> None:
    """At the bound F(4,3) divides right for the worst input; above, it wraps, unless the layer does without it."""
    graph, a = bounded(total)
    module = lowered(graph, x=a["x"])
    (op,) = [op for op in module.walk() if op.name == "ncnn.Convolution"]
    w = codes(a["w"].astype(F) * steps(module, "c0").reshape(-1, 1, 1, 1))
    assert np.abs(w[2]).sum() == total
    if not masked:
        op.attributes.pop("featmask", None)
    x = np.zeros((1, 32, 8, 8), F)
    x[0, :, 2:5, 2:5] = 127 / steps(module, "x") * np.sign(w[2])
    got = only(in_ncnn(module, "default", x=x))
    np.testing.assert_array_equal(got, only(simulate(module, TARGET, {"x": x}, "default")))
    exact = floats(sums(codes(x * steps(module, "x")), w, pad=1), steps(module, "x"), steps(module, "c0"), None, True)
    wrong = np.abs(got - exact).max() > 1e-3 * np.abs(exact).max()
    assert wrong == (total > 29_356 and not masked)


# ---------------------------------------------------------------- float layers and weights in blocks
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_every_order_of_axes(lowered: Any, in_ncnn: Any, rank: int) -> None:
    sizes = (2, 3, 4, 5)[:rank]
    x = np.arange(np.prod(sizes), dtype=F).reshape(1, *sizes)
    graph = Graph()
    source = graph.input("x", *sizes)
    perms = list(itertools.permutations(range(1, rank + 1)))
    names = [graph.op("Transpose", source, perm=[0, *perm]) for perm in perms]
    for name in names:
        graph.output(name)
    outputs = in_ncnn(lowered(graph, x=x), x=x)
    for name, perm in zip(names, perms, strict=True):
        np.testing.assert_array_equal(outputs[name], x.transpose(0, *perm))


def test_float_layers(lowered: Any, in_ncnn: Any) -> None:
    """Shapes, slices, constants that broadcast, reductions, normalization, resizing: as ONNX's reference has them."""
    graph = Graph()
    image = graph.input("x", 12, 6, 8)
    r = graph.rng
    a = graph.op("Mul", image, graph.constant(r.normal(size=(12, 1, 1)).astype(F)))
    a = graph.op("Sub", graph.constant(r.normal(size=(8,)).astype(F)), a)
    for mode in ("CRD", "DCR"):
        graph.output(graph.op("DepthToSpace", a, blocksize=2, mode=mode))
    crop = graph.op("Slice", a, *map(graph.constant, ([1, -5], [4, 100], [2, 3])))
    graph.output(graph.op("Div", crop, graph.constant(F(1.7))))
    rows = graph.op("Reshape", a, graph.constant([0, 12, 48]))
    norm = graph.op("LayerNormalization", rows, graph.constant(r.normal(size=48).astype(F)), axis=-1)
    graph.output(graph.op("Softmax", norm, axis=1))
    graph.output(graph.op("ReduceMean", norm, axes=[1], keepdims=0))
    graph.output(graph.op("AveragePool", a, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))
    graph.output(graph.op("MaxPool", a, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1))
    graph.output(graph.op("GlobalAveragePool", a))
    graph.output(graph.op("Pow", a, graph.constant(F(2))))
    graph.output(graph.op("HardSwish", graph.op("Clip", a, graph.constant(F(-1.5)), graph.constant(F(2.25)))))
    graph.output(graph.op("LeakyRelu", a, alpha=0.3))
    graph.output(graph.op("PRelu", a, graph.constant(r.normal(size=(12, 1, 1)).astype(F))))
    ones = [graph.constant(r.uniform(0.5, 2, 12).astype(F)) for _ in range(4)]
    graph.output(graph.op("BatchNormalization", graph.op("Elu", a), *ones))
    graph.output(graph.op("InstanceNormalization", a, *ones[:2]))
    graph.output(graph.op("Gather", a, graph.constant(np.int64(-2)), axis=2))
    for mode, how in (("nearest", "asymmetric"), ("linear", "half_pixel"), ("linear", "align_corners")):
        scales = graph.constant([1.0, 1.0, 2.0, 3.0])
        graph.output(
            graph.op("Resize", a, "", scales, mode=mode, coordinate_transformation_mode=how, nearest_mode="floor")
        )
    x = r.normal(size=(3, 12, 6, 8)).astype(F)
    module = lowered(graph, x=x)
    reference = ReferenceEvaluator(graph.model())
    wanted = dict(zip(reference.output_names, reference.run(None, {"x": x}), strict=True))
    for profile in PROFILES:
        got, ours = in_ncnn(module, profile, x=x), simulate(module, TARGET, {"x": x}, profile)
        for name, want in wanted.items():
            near = {"rtol": 0, "atol": 2e-6 * np.abs(want).max(), "err_msg": name}
            np.testing.assert_allclose(got[name], want, **near)
            np.testing.assert_allclose(ours[name], got[name], **near)


@pytest.mark.parametrize("mode", ["weights", "weights4"])
@pytest.mark.parametrize("shape", [(), (5,)])
def test_weights_in_blocks(lowered: Any, in_ncnn: Any, mode: str, shape: tuple[int, ...]) -> None:
    """Integer weights with a scale per 32 inputs; with 8 bits ncnn quantizes each block of a row, too."""
    graph = Graph()
    w, b = graph.rng.normal(size=(70, 9)).astype(F), graph.rng.normal(size=9).astype(F)
    y = graph.op("MatMul", graph.input("x", *shape, 70), graph.constant(w))
    graph.output(graph.op("Add", y, graph.constant(b)))
    x = graph.rng.normal(size=(4, *shape, 70)).astype(F)
    module = lowered(graph, mode, x=x)
    s = np.repeat(steps(module, "c0"), 32, 0)[:70].astype(np.float64)
    most = 7 if mode == "weights4" else 127
    stored = np.clip(codes((w * s).astype(F)), -most, most) / s
    read = x.astype(np.float64)
    if mode == "weights":
        blocks = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 26)]).reshape(*x.shape[:-1], 3, 32)
        each = F(127) / np.abs(blocks).max(-1, keepdims=True)
        read = (codes(blocks * each) / each.astype(np.float64)).reshape(*x.shape[:-1], 96)[..., :70]
    want = read @ stored + b
    for profile in PROFILES:
        np.testing.assert_allclose(only(in_ncnn(module, profile, x=x)), want, rtol=0, atol=2e-5)
        np.testing.assert_allclose(only(simulate(module, TARGET, {"x": x}, profile)), want, rtol=0, atol=2e-5)


def test_embedding(lowered: Any, in_ncnn: Any) -> None:
    graph = Graph()
    table = graph.rng.normal(size=(11, 6)).astype(F)
    graph.output(graph.op("Gather", graph.constant(table), graph.input("ids", 4, kind=onnx.TensorProto.INT64)))
    ids = graph.rng.integers(0, 11, (3, 4))
    np.testing.assert_array_equal(only(in_ncnn(lowered(graph, ids=ids), ids=ids)), table[ids])


# ---------------------------------------------------------------- nets
@pytest.mark.peer("zoo")
@pytest.mark.parametrize(
    ("entry", "last"), [("resnet8-cifar10", "model/dense/BiasAdd:0"), ("squeezenet-imagenet", "conv10_1")]
)
def test_zoo_is_equal_up_to_the_softmax(zoo: Path, tmp_path: Path, entry: str, last: str) -> None:
    """All int8 layers of a net, and the float ones between: every bit of what goes into the last pooling or softmax."""
    model = zoo / json.loads((zoo / "entries.json").read_text())[entry]["model"]
    onnx.utils.extract_model(str(model), str(tmp_path / "cut.onnx"), [onnx.load(model).graph.input[0].name], [last])
    sys.path.insert(0, str(zoo))
    try:
        import evaluate  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(zoo))
    ((name, x),) = evaluate.calib(entry).items()
    np.savez(tmp_path / "calib.npz", **{name: x[:32]})
    done = qir.quantize(tmp_path / "cut.onnx", target="ncnn", data=str(tmp_path / "calib.npz"), out=tmp_path / "out")
    module = parse_file(str(tmp_path / "out" / "cut.qir"), Context())
    for profile in PROFILES:
        got = run_artifact(TARGET, done.files[0].path, {name: x[40:43]}, profile)
        np.testing.assert_array_equal(only(got), only(simulate(module, TARGET, {name: x[40:43]}, profile)))


# ---------------------------------------------------------------- broken files
@pytest.mark.parametrize(
    "damage",
    [
        lambda network, weights: network.write_bytes(network.read_bytes()[:40]),
        lambda network, weights: network.write_text(network.read_text().replace("7767517", "7767518")),
        lambda network, weights: network.write_text(network.read_text().replace("Convolution", "Konvolution", 1)),
        lambda network, weights: network.write_text(network.read_text().replace("1 1 x ", "1 1 nowhere ")),
        lambda network, weights: network.write_bytes(bytes(range(256))),
        lambda network, weights: weights.write_bytes(weights.read_bytes()[:700]),
        lambda network, weights: weights.write_bytes(b""),
        lambda network, weights: weights.unlink(),
    ],
)
def test_broken_files_are_one_diagnostic(lowered: Any, in_ncnn: Any, tmp_path: Path, damage: Any) -> None:
    graph, a = chain()
    in_ncnn(lowered(graph, x=a["x"]), x=a["x"][:1])
    damage(tmp_path / "m.param", tmp_path / "m.bin")
    with pytest.raises(QirError) as caught:
        run_artifact(TARGET, tmp_path / "m.param", {"x": a["x"][:1]})
    (found,) = caught.value.diagnostics
    assert "m.param" in str(found)
    assert found.hint


def test_wrong_inputs_are_a_diagnostic(lowered: Any, in_ncnn: Any) -> None:
    graph, a = chain()
    with pytest.raises(QirError, match="its inputs are x, not y"):
        in_ncnn(lowered(graph, x=a["x"]), y=a["x"])


def test_an_input_that_nothing_reads_is_no_output(lowered: Any, in_ncnn: Any) -> None:
    graph, a = chain()
    graph.input("unused", 3)
    given = {"x": a["x"], "unused": np.ones((len(a["x"]), 3), F)}
    only(in_ncnn(lowered(graph, **given), **given))


def test_a_file_of_inputs_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.param").write_text("7767517\n1 1\nInput x 0 1 x\n")
    (tmp_path / "m.bin").write_bytes(bytes(4))
    with pytest.raises(QirError, match="has no layers, and so no outputs"):
        run_artifact(TARGET, tmp_path / "m.param", {"x": np.ones((1, 4), F)})
