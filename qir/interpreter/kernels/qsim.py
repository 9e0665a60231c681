"""Simulated quantization: fakes, codes and back, with the parameters of the quantizer that the op names."""

from __future__ import annotations

from typing import Any

import torch

from qir import numerics
from qir.dialects.qsim import QuantizerOp
from qir.interpreter.node import Node
from qir.interpreter.quantizers import quantizer_parameters
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import torch_dtype
from qir.ir import SymbolRefAttr
from qir.numerics.scheme import Scheme

__all__ = ["parameters", "quantizer_of"]


def quantizer_of(node: Node) -> QuantizerOp:
    """The quantizer that the op names. Raises QirError when there is none of that name."""
    reference = node.attr("quantizer")
    name = reference.root if isinstance(reference, SymbolRefAttr) else str(reference)
    found = node.settings.symbols.get(name)
    if not isinstance(found, QuantizerOp):
        raise node.error(f"there is no quantizer @{name}", "define it in the module: qsim.quantizer @" + name)
    return found


def parameters(node: Node, quantizer: QuantizerOp) -> tuple[Any, Any] | None:
    """Scale and zero point on the device; None when not calibrated."""
    found = quantizer_parameters(quantizer, node.settings.symbols.get)
    if found is None:
        return None
    scale, zero = found
    return scale.to(node.device), None if zero is None else zero.to(node.device)


def _calibrated(node: Node) -> tuple[Scheme, Any, Any]:
    """Scheme, scale and zero point of the quantizer that the op names. Raises QirError where they are not known."""
    quantizer = quantizer_of(node)
    found = parameters(node, quantizer)
    if found is None:
        raise node.error(
            f"quantizer @{quantizer.sym_name} has no scale yet",
            "calibrate the module first: calibrate{data=...}, or write a scale into the text",
        )
    return quantizer.scheme, *found


@kernel("qsim.fake")
def _fake(node: Node) -> Kernel:
    quantizer = quantizer_of(node)
    scheme = quantizer.scheme
    from qir.triton_kernels.dispatch import fake

    if scheme.dynamic:

        def dynamic(x: torch.Tensor) -> Any:
            scale, zero = numerics.dynamic_params(x, scheme)
            return fake(x, scheme, scale, zero)

        return dynamic
    if node.settings.uncalibrated == "passthrough" and parameters(node, quantizer) is None:
        return lambda x: x
    scheme, scale, zero = _calibrated(node)
    return lambda x: fake(x, scheme, scale, zero)


@kernel("qsim.encode", fresh=True)
def _encode(node: Node) -> Kernel:
    scheme, scale, zero = _calibrated(node)
    element = node.result_element()
    dtype = numerics.storage_dtype(scheme) if element is None else torch_dtype(element)
    return lambda x: numerics.encode(x, scheme, scale, zero).to(dtype)


@kernel("qsim.decode", fresh=True)
def _decode(node: Node) -> Kernel:
    scheme, scale, zero = _calibrated(node)
    element = node.result_element()
    dtype = torch.float32 if element is None else torch_dtype(element)
    stored = numerics.storage_dtype(scheme)
    return lambda q: numerics.decode(q.to(stored), scheme, scale, zero, dtype)


@kernel("qsim.encode_dynamic", fresh=True)
def _encode_dynamic(node: Node) -> Kernel:
    scheme = quantizer_of(node).scheme
    element, zero_element = node.result_element(0), node.result_element(2)
    dtype = numerics.storage_dtype(scheme) if element is None else torch_dtype(element)

    def run(x: torch.Tensor) -> Any:
        scale, zero = numerics.dynamic_params(x, scheme)
        codes = numerics.encode(x, scheme, scale, zero).to(dtype)
        given = torch.zeros_like(scale, dtype=torch.int32) if zero is None else zero
        return codes, scale, given if zero_element is None else given.to(torch_dtype(zero_element))

    return run


@kernel("qsim.decode_dynamic", fresh=True)
def _decode_dynamic(node: Node) -> Kernel:
    scheme = quantizer_of(node).scheme
    element = node.result_element()
    dtype = torch.float32 if element is None else torch_dtype(element)
    stored = numerics.storage_dtype(scheme)

    def run(q: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> Any:
        given = zero.to(torch.int32) if scheme.storage.is_integer and not zero.is_floating_point() else zero
        return numerics.decode(q.to(stored), scheme, scale, given if scheme.storage.is_integer else None, dtype)

    return run
