"""Operators with random attributes and shapes against onnxruntime.

Left out is where onnxruntime departs from the standard: pools with dilations under ``auto_pad = SAME`` (it pads as if
there were none), and transposed convolutions under SAME whose kernel is smaller than the stride.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx.helper as oh
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context

Case = tuple[str, dict[str, Any], dict[str, Any], int]
"""Operator, operands (the first is the input), attributes, opset."""


class Draw:
    """Random sizes and tensors."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def size(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def sizes(self, low: int, high: int, count: int) -> list[int]:
        return [self.size(low, high) for _ in range(count)]

    def floats(self, *shape: int) -> Any:
        return self.rng.standard_normal(shape).astype(np.float32)

    def pick(self, *options: Any) -> Any:
        return options[self.size(0, len(options) - 1)]


def window(d: Draw, rank: int, same: bool) -> tuple[list[int], dict[str, Any]]:
    """Kernel sizes and the attributes of a window. `same`: SAME padding may come with dilations."""
    kernel = d.sizes(1, 3, rank)
    attributes: dict[str, Any] = {"strides": d.sizes(1, 3, rank), "dilations": d.sizes(1, 2, rank)}
    mode = d.pick("NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if mode == "NOTSET":
        attributes["pads"] = [d.size(0, k - 1) for k in kernel + kernel]
    else:
        attributes["auto_pad"] = mode
        if mode != "VALID" and not same:
            attributes["dilations"] = [1] * rank
    return kernel, attributes


def conv(d: Draw) -> Case:
    rank, group = d.size(1, 3), d.size(1, 3)
    kernel, attributes = window(d, rank, same=True)
    channels, filters = group * d.size(1, 3), group * d.size(1, 3)
    x = d.floats(2, channels, *d.sizes(5, 9, rank))
    operands = {"x": x, "w": d.floats(filters, channels // group, *kernel), "b": d.floats(filters)}
    return "Conv", operands, {"group": group, **attributes}, 17


def conv_transpose(d: Draw) -> Case:
    rank, group = d.size(1, 3), d.size(1, 2)
    kernel, attributes = window(d, rank, same=True)
    if attributes.get("auto_pad", "VALID") != "VALID":
        attributes["pads"] = [0] * (2 * rank)
        del attributes["auto_pad"]
    if "pads" in attributes and d.size(0, 1):
        attributes["output_padding"] = [d.size(0, s - 1) for s in attributes["strides"]]
    channels, filters = group * d.size(1, 3), d.size(1, 3)
    x = d.floats(2, channels, *d.sizes(5, 9, rank))
    operands = {"x": x, "w": d.floats(channels, filters, *kernel), "b": d.floats(filters * group)}
    return "ConvTranspose", operands, {"group": group, **attributes}, 17


def pool(d: Draw) -> Case:
    rank, name = d.size(1, 3), d.pick("MaxPool", "AveragePool", "LpPool")
    kernel, attributes = window(d, rank, same=False)
    attributes["kernel_shape"] = kernel
    if "pads" in attributes:
        attributes["ceil_mode"] = d.size(0, 1)
    if name == "AveragePool":
        attributes["count_include_pad"] = d.size(0, 1)
    if name == "LpPool":
        attributes["p"] = d.size(1, 3)
    x = d.floats(2, 3, *d.sizes(5, 9, rank))
    return name, {"x": x}, attributes, {"MaxPool": 17, "AveragePool": 22, "LpPool": 18}[name]


def pad(d: Draw) -> Case:
    rank, mode = d.size(1, 4), d.pick("constant", "reflect", "edge", "wrap")
    pads = np.array(d.sizes(-1 if mode == "constant" else 0, 2, 2 * rank), np.int64)
    return "Pad", {"x": d.floats(*d.sizes(3, 5, rank)), "p": pads}, {"mode": mode}, 19


def slice_(d: Draw) -> Case:
    rank = d.size(1, 3)
    axes = d.rng.permutation(rank)[: d.size(1, rank)].astype(np.int64)
    starts, ends = (np.array(d.sizes(-8, 8, len(axes)), np.int64) for _ in range(2))
    steps = np.array([d.pick(-3, -2, -1, 1, 2, 3) for _ in axes], np.int64)
    x = d.floats(*d.sizes(1, 6, rank))
    return "Slice", {"x": x, "s": starts, "e": ends, "a": axes, "t": steps}, {}, 17


def resize(d: Draw) -> Case:
    mode = d.pick("nearest", "linear", "cubic")
    attributes = {"mode": mode, "coordinate_transformation_mode": d.pick("half_pixel", "asymmetric", "align_corners")}
    if mode == "nearest":
        attributes["nearest_mode"] = d.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    none = np.zeros(0, np.float32)
    sizes = np.array([1, 2, *d.sizes(3, 12, 2)], np.int64)
    return "Resize", {"x": d.floats(1, 2, *d.sizes(3, 7, 2)), "r": none, "s": none, "z": sizes}, attributes, 18


def upsample(d: Draw) -> Case:
    scales = np.array([1, 1, *d.sizes(1, 3, 2)], np.float32)
    return "Upsample", {"x": d.floats(1, 2, *d.sizes(3, 7, 2)), "s": scales}, {"mode": d.pick("nearest", "linear")}, 9


def reduction(d: Draw) -> Case:
    rank = d.size(1, 4)
    name = d.pick("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    axes = np.array([a - d.pick(0, rank) for a in d.rng.permutation(rank)[: d.size(0, rank)]], np.int64)
    x = np.abs(d.floats(*d.sizes(1, 4, rank))) + np.float32(0.1)
    return f"Reduce{name}", {"x": x, "a": axes}, {"keepdims": d.size(0, 1)}, 18


def softmax(d: Draw) -> Case:
    rank = d.size(1, 4)
    name, opset = d.pick("Softmax", "LogSoftmax", "Hardmax"), d.pick(11, 13)
    return name, {"x": d.floats(*d.sizes(1, 4, rank))}, {"axis": d.size(-rank, rank - 1)}, opset


def gemm(d: Draw) -> Case:
    m, k, n, left, right = *d.sizes(1, 4, 3), *d.sizes(0, 1, 2)
    shape = d.pick((n,), (m, n), (1,), (m, 1), (1, n), ())
    a, b = d.floats(*((k, m) if left else (m, k))), d.floats(*((n, k) if right else (k, n)))
    attributes = {"transA": left, "transB": right, "alpha": d.pick(1.0, 0.5), "beta": d.pick(1.0, 0.0, 2.0)}
    return "Gemm", {"a": a, "b": b, "c": d.floats(*shape)}, attributes, 13


def normalization(d: Draw) -> Case:
    name = d.pick("LayerNormalization", "BatchNormalization", "InstanceNormalization", "LRN")
    shape = [2, 3, *d.sizes(2, 4, d.size(1, 3))]
    if name == "LRN":
        return name, {"x": d.floats(2, 7, 3, 3)}, {"size": d.pick(1, 3, 5)}, 13
    if name == "LayerNormalization":
        axis = d.size(-len(shape), len(shape) - 1)
        return (
            name,
            {"x": d.floats(*shape), "s": d.floats(*shape[axis:]), "b": d.floats(*shape[axis:])},
            {"axis": axis},
            17,
        )
    operands = {"x": d.floats(*shape), "s": d.floats(3), "b": d.floats(3)}
    if name == "BatchNormalization":
        operands |= {"m": d.floats(3), "v": np.abs(d.floats(3)) + np.float32(0.1)}
    return name, operands, {}, 15


def indexing(d: Draw) -> Case:
    name = d.pick("GatherND", "ScatterND", "TopK", "ArgMax", "CumSum")
    if name == "GatherND":
        batch = d.size(0, 1)
        depth = d.size(1, 3 - batch)
        places = d.rng.integers(-2, 2, [2] * batch + [2, depth])
        return name, {"x": d.floats(2, 3, 4), "i": places}, {"batch_dims": batch}, 13
    if name == "ScatterND":
        depth = d.size(1, 3)
        places = np.unique(d.rng.integers(0, 2, (3, depth)), axis=0)
        updates = d.floats(len(places), *(4, 3, 2)[depth:])
        return name, {"x": d.floats(4, 3, 2), "i": places, "u": updates}, {}, 16
    tied = d.rng.integers(0, 4, (3, 6)).astype(np.float32)
    if name == "TopK":
        return name, {"x": tied, "k": np.array([d.size(1, 6)], np.int64)}, {"largest": d.size(0, 1)}, 11
    if name == "ArgMax":
        attributes = {"axis": d.size(-2, 1), "keepdims": d.size(0, 1), "select_last_index": d.size(0, 1)}
        return name, {"x": tied}, attributes, 13
    return name, {"x": tied, "a": np.array(d.size(-2, 1))}, {"exclusive": d.size(0, 1), "reverse": d.size(0, 1)}, 14


GENERATORS: list[Callable[[Draw], Case]] = [
    conv, conv_transpose, pool, pad, slice_, resize, upsample, reduction, softmax, gemm, normalization, indexing,
]  # fmt: skip
LEGAL_REFUSALS = ("Resize", "Conv", "MaxPool")
"""Operators of which onnxruntime does not have every combination."""


@pytest.mark.parametrize("generate", GENERATORS, ids=lambda g: g.__name__.strip("_"))
@pytest.mark.parametrize("constant", [False, True], ids=["fed", "constant"])
def test_random_operators(generate: Callable[[Draw], Case], constant: bool) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    compared = 0
    for seed in range(40):
        name, operands, attributes, opset = generate(Draw(seed))
        outputs = ["y", "i"] if name == "TopK" else ["y"]
        first = next(iter(operands))
        fed = {k: v for k, v in operands.items() if k == first or not (constant or name == "Resize")}
        infos = [oh.make_tensor_value_info(k, oh.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in fed.items()]
        others = [numpy_helper.from_array(v, k) for k, v in operands.items() if k not in fed]
        node = oh.make_node(name, list(operands), outputs, **attributes)
        graph = oh.make_graph([node], "g", infos, [oh.make_empty_tensor_value_info(o) for o in outputs], others)
        model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", opset)], ir_version=8)
        try:
            session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            wanted = session.run(None, fed)
        except Exception:
            assert name in LEGAL_REFUSALS
            continue
        results = Plan(import_onnx(model, Context(), check=False)).run(fed)
        compared += 1
        for output, want in zip(outputs, wanted, strict=True):
            got = as_array(results[output])
            said = f"{name} {attributes} of {[v.shape for v in operands.values()]}, seed {seed}"
            assert (got.shape, got.dtype) == (want.shape, want.dtype), said
            assert np.allclose(got, want, rtol=1e-4, atol=1e-5, equal_nan=True), said
    assert compared >= 10
