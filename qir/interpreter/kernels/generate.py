"""Ops that make tensors: constants, ranges, windows and random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from qir.interpreter.kernels.common import int_list, onnx_type
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor, torch_dtype
from qir.ir import TensorAttr


@kernel("onnx.NoValue")
def _no_value(node: Node) -> Kernel:
    return lambda: None


@kernel("onnx.Constant")
def _constant(node: Node) -> Kernel:
    """The tensor of whichever value attribute is there; data in a mapped file stays there."""
    device = node.device
    value = node.attr("value", None)
    if isinstance(value, TensorAttr):
        known = as_tensor(value.numpy(), device)
        return lambda: known
    for name, dtype in (("value_float", torch.float32), ("value_int", torch.int64)):
        scalar = node.attr(name, None)
        if scalar is not None:
            number = torch.tensor(scalar, dtype=dtype, device=device)
            return lambda: number
        several = node.attr(name + "s", None)
        if several is not None:
            numbers = torch.tensor(list(several), dtype=dtype, device=device)
            return lambda: numbers
    text = node.attr("value_string", None)
    if text is not None:
        return lambda: np.array(text, object)
    texts = node.attr("value_strings", None)
    if texts is not None:
        return lambda: np.array(list(texts), object)
    raise node.error("has no value that a tensor holds", "sparse constants are not supported")


@kernel("onnx.ConstantOfShape", fresh=True)
def _constant_of_shape(node: Node) -> Kernel:
    value = node.attr("value", None)
    fill = torch.zeros(1) if value is None else as_tensor(value.numpy(), node.device).reshape(-1)

    def run(shape: torch.Tensor) -> Any:
        return fill.to(node.device).expand(math.prod(int_list(shape))).reshape(int_list(shape)).clone()

    return run


@kernel("onnx.Range", fresh=True)
def _range(node: Node) -> Kernel:
    def run(start: torch.Tensor, limit: torch.Tensor, delta: torch.Tensor) -> Any:
        begin, end, step = start.item(), limit.item(), delta.item()
        count = max(math.ceil((end - begin) / step), 0)
        inner = torch.float64 if start.is_floating_point() else torch.int64
        steps = torch.arange(count, dtype=inner, device=node.device)
        return (begin + steps * step).to(start.dtype)

    return run


@kernel("onnx.EyeLike", fresh=True)
def _eye_like(node: Node) -> Kernel:
    k = node.attr("k", 0)
    element = onnx_type(node, "dtype")

    def run(x: torch.Tensor) -> Any:
        dtype = x.dtype if element is None else torch_dtype(element)
        rows, columns = x.shape
        offset = torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device).reshape(-1, 1)
        return (offset == k).to(dtype)

    return run


def _window(name: str, formula: Callable[[torch.Tensor], torch.Tensor]) -> None:
    @kernel(f"onnx.{name}", fresh=True)
    def build(node: Node) -> Kernel:
        element = onnx_type(node, "output_datatype", 1)
        dtype = torch.float32 if element is None else torch_dtype(element)
        periodic = bool(node.attr("periodic", 1))

        def run(size: torch.Tensor) -> Any:
            count = int(size)
            steps = torch.arange(count, dtype=torch.float64, device=node.device)
            turns = steps * (2 * math.pi / max(count if periodic else count - 1, 1))
            return formula(turns).to(dtype)

        return run


_window("HannWindow", lambda t: 0.5 - 0.5 * torch.cos(t))
_window("HammingWindow", lambda t: 25 / 46 - (1 - 25 / 46) * torch.cos(t))
_window("BlackmanWindow", lambda t: 0.42 - 0.5 * torch.cos(t) + 0.08 * torch.cos(2 * t))


def _generator(node: Node) -> torch.Generator:
    """Numbers that repeat for a given ``seed``, and differ from run to run without one."""
    generator = torch.Generator(node.device)
    seed = node.attr("seed", None)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(int(np.float32(seed).view(np.uint32)))
    return generator


def _random(name: str, draw: Callable[[Node, torch.Tensor, torch.Generator], torch.Tensor]) -> None:
    @kernel(f"onnx.{name}", f"onnx.{name}Like", fresh=True, pure=False)
    def build(node: Node) -> Kernel:
        like = node.name.endswith("Like")
        element = onnx_type(node, "dtype", None if like else 1)
        shape = node.ints("shape", ()) or ()

        def run(x: torch.Tensor | None = None) -> Any:
            dtype = torch_dtype(element) if element is not None else torch.float32 if x is None else x.dtype
            empty = torch.empty(shape if x is None else x.shape, dtype=dtype, device=node.device)
            return draw(node, empty, _generator(node))

        return run


_random(
    "RandomNormal",
    lambda node, out, generator: out.normal_(node.attr("mean", 0.0), node.attr("scale", 1.0), generator=generator),
)
_random(
    "RandomUniform",
    lambda node, out, generator: out.uniform_(node.attr("low", 0.0), node.attr("high", 1.0), generator=generator),
)


@kernel("onnx.Bernoulli", fresh=True, pure=False)
def _bernoulli(node: Node) -> Kernel:
    element = onnx_type(node, "dtype")

    def run(x: torch.Tensor) -> Any:
        drawn = torch.rand(x.shape, generator=_generator(node), device=x.device) < x
        return drawn.to(x.dtype if element is None else torch_dtype(element))

    return run


@kernel("onnx.Multinomial", fresh=True, pure=False)
def _multinomial(node: Node) -> Kernel:
    count = node.attr("sample_size", 1)
    element = onnx_type(node, "dtype", 6)
    dtype = torch.int32 if element is None else torch_dtype(element)

    def run(x: torch.Tensor) -> Any:
        shares = torch.softmax(x.float(), 1)
        return torch.multinomial(shares, count, True, generator=_generator(node)).to(dtype)

    return run


@kernel("onnx.MelWeightMatrix", fresh=True)
def _mel_weight_matrix(node: Node) -> Kernel:
    element = onnx_type(node, "output_datatype", 1)
    dtype = torch.float32 if element is None else torch_dtype(element)

    def run(bins: Any, length: Any, rate: Any, low: Any, high: Any) -> Any:
        mels, size, sampling = int(bins), int(length), int(rate)
        least, most = (2595 * math.log10(1 + float(f) / 700) for f in (low, high))
        centers = least + np.arange(mels + 2) * ((most - least) / (mels + 2))
        places = np.floor((size + 1) * 700 * (10 ** (centers / 2595) - 1) / sampling).astype(np.int64)
        weights = np.zeros((size // 2 + 1, mels))
        for i in range(mels):
            lower, center, upper = (int(p) for p in places[i : i + 3])
            if center == lower:
                weights[center, i] = 1
            for j in range(lower, center + 1) if center > lower else ():
                weights[j, i] = (j - lower) / (center - lower)
            for j in range(center, upper) if upper > center else ():
                weights[j, i] = (upper - j) / (upper - center)
        return as_tensor(as_array(torch.from_numpy(weights).to(dtype)), node.device)

    return run
