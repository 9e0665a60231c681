"""MLIR's quantized casts, whose types say all parameters. Half to even and saturating, as `qir.dialects.quant` says."""

from __future__ import annotations

import torch

from qir import numerics
from qir.dialects.quant_types import Uniform
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import torch_dtype
from qir.ir import TensorType, Type
from qir.numerics.scheme import Granularity, Scheme


def _codec(node: Node, type: Type) -> tuple[Scheme, torch.Tensor, torch.Tensor]:
    """Scheme, scales and zero points of a ``!quant.uniform`` element. Raises QirError for other types."""
    element = type.element if isinstance(type, TensorType) else type
    uniform = Uniform.parse(element)
    if uniform is None:
        raise node.error(f"{element} has no scale", "only !quant.uniform says how values are quantized")
    scheme = Scheme(
        storage=uniform.storage,
        symmetric=False,
        qmin=uniform.qmin,
        qmax=uniform.qmax,
        granularity=Granularity(uniform.blocks),
    )
    shape = uniform.shape
    scale = torch.tensor(uniform.scales, dtype=torch.float32, device=node.device).reshape(shape)
    return scheme, scale, torch.tensor(uniform.zeros, dtype=torch.int32, device=node.device).reshape(shape)


@kernel("quant.qcast", fresh=True)
def _quantize_cast(node: Node) -> Kernel:
    scheme, scale, zero = _codec(node, node.op.results[0].type)
    return lambda x: numerics.encode(x, scheme, scale, zero)


@kernel("quant.dcast", fresh=True)
def _dequantize_cast(node: Node) -> Kernel:
    scheme, scale, zero = _codec(node, node.op.operands[0].type)
    element = node.result_element()
    dtype = torch.float32 if element is None else torch_dtype(element)
    return lambda q: numerics.decode(q, scheme, scale, zero, dtype)


@kernel("quant.scast")
def _storage_cast(node: Node) -> Kernel:
    """The codes are held as integers already; only the sign in which they are read changes."""
    element = node.result_element()
    uniform = Uniform.parse(element)
    if uniform is not None:
        dtype = torch.uint8 if uniform.storage.startswith("u") else torch.int8
        return lambda q: q.view(dtype) if q.element_size() == 1 else q
    stored = None if element is None else torch_dtype(element)
    return lambda q: q if stored is None else q.view(stored) if q.element_size() == stored.itemsize else q.to(stored)
