"""Kernels of the records that `qir.passes.lower.batchless` emits: blobs of one sample each, many samples at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from qir.interpreter.delegate import as_onnx
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel

__all__ = ["register_blobs"]


class Blobs(Protocol):
    """The tables of a target's records, as `qir.passes.lower.batchless.Batchless` describes them."""

    @property
    def names(self) -> Mapping[str, str]: ...
    @property
    def kinds(self) -> Mapping[str, int]: ...
    @property
    def reverse(self) -> Mapping[int, int]: ...
    @property
    def orders(self) -> Mapping[int, Sequence[str]]: ...
    @property
    def axes(self) -> Mapping[int, str]: ...


def register_blobs(blobs: Blobs, absent: int) -> None:
    """Register the kernels of a target's records; sizes that a reshape does not have are `absent`."""
    axes = blobs.axes
    kinds = {code: name for name, code in blobs.kinds.items()}
    exchanged = {code: kinds[kind] for kind, code in blobs.reverse.items()}

    def binary(node: Node) -> Kernel:
        code, scalar = node.parameter("op_type"), torch.tensor(node.parameter("scalar"), dtype=torch.float32)
        operands: list[int | Tensor] = [0, scalar] if node.parameter("with_scalar") else [0, 1]
        if code in exchanged:
            return as_onnx(node, exchanged[code], operands[::-1])
        return as_onnx(node, kinds[code], operands)

    def reshape(node: Node) -> Kernel:
        sizes = [n for n in (node.parameter(axis) for axis in axes[4]) if n != absent]
        return lambda x: x.reshape(len(x), *sizes)

    def permute(node: Node) -> Kernel:
        def run(x: Tensor) -> Tensor:
            letters, order = axes[x.dim() - 1], blobs.orders[x.dim() - 1][node.parameter("order_type")]
            return x.permute(0, *(1 + letters.index(letter) for letter in reversed(order)))

        return run

    def crop(node: Node) -> Kernel:
        parts = list(zip(*(node.parameter(key) for key in ("axes", "starts", "ends")), strict=True))

        def run(x: Tensor) -> Tensor:
            for axis, start, end in parts:
                x = x.narrow(axis + 1, start, end - start)
            return x

        return run

    def concat(node: Node) -> Kernel:
        axis = node.parameter("axis") + 1
        return lambda *xs: torch.cat([x.expand(max(map(len, xs)), *x.shape[1:]) for x in xs], axis)

    builders: dict[str, Callable[[Node], Kernel]] = {
        "data": lambda node: lambda x: x,
        "flatten": lambda node: lambda x: x.flatten(1),
        "matmul": lambda node: as_onnx(node, "MatMul"),
        "binary": binary, "reshape": reshape, "permute": permute, "crop": crop, "concat": concat,
    }  # fmt: skip
    for what, build in builders.items():
        kernel(blobs.names[what])(build)
