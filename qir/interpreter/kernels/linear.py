"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from qir.interpreter.kernels.common import WIDE_UNSIGNED
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import as_array, as_tensor


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """numpy's matmul, for every type."""
    if a.dtype in WIDE_UNSIGNED:
        return as_tensor(np.matmul(as_array(a), as_array(b)), a.device)  # type: ignore[no-any-return]
    return torch.matmul(a, b)


@kernel("onnx.MatMul", fresh=True)
def _matmul(node: Node) -> Kernel:
    return product


@kernel("onnx.Gemm", fresh=True)
def _gemm(node: Node) -> Kernel:
    """Y = alpha · A' · B' + beta · C."""
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    left, right = bool(node.attr("transA", 0)), bool(node.attr("transB", 0))
    if alpha == 1.0 and beta == 1.0 and right and not left:

        def linear(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> Any:
            if c is not None and c.dim() == 1 and a.is_floating_point():
                return F.linear(a, b, c)
            y = product(a, b.t())
            return y if c is None else y + c

        return linear

    def run(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor | None = None) -> Any:
        a, b = (a.t() if left else a), (b.t() if right else b)
        if alpha == 1.0 and beta == 1.0 and c is not None and c.dim() <= 2 and a.is_floating_point():
            return torch.addmm(c, a, b)
        y = product(a, b)
        if alpha != 1.0:
            y = (alpha * y).to(a.dtype)
        if c is None or beta == 0:
            return y
        return y + (c if beta == 1.0 else (beta * c).to(c.dtype))

    return run


@kernel("onnx.Einsum")
def _einsum(node: Node) -> Kernel:
    equation = node.attr("equation").replace(" ", "")
    return lambda *tensors: torch.einsum(equation, *tensors)


@kernel("onnx.Det", fresh=True)
def _det(node: Node) -> Kernel:
    det: Kernel = torch.linalg.det
    return det
