"""Inputs and outputs that are codes (`qir.io` names their quantizer) or have their axes in another order than the
model's (`qir.axes`): from the model's numbers to what is run, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp, main_function
from qir.dialects.qsim import AXES, IO, QuantizerOp
from qir.interpreter.lookup import port_names
from qir.interpreter.quantizers import quantizer_parameters
from qir.ir import Attribute, DenseArrayAttr, SymbolRefAttr, SymbolTable, fail
from qir.numerics import codes_from_numpy, codes_to_numpy, decode, encode

__all__ = ["decode_outputs", "encode_inputs", "integer_io"]


def integer_io(module: ModuleOp) -> tuple[dict[str, QuantizerOp], dict[str, QuantizerOp]]:
    """The quantizers of the inputs and of the outputs that are codes, by name. Raises QirError where one is missing."""
    func = main_function(module)
    inputs, outputs = port_names(func)
    return (
        dict(_named(module, func, inputs, [func.arg_attr(i, IO) for i in range(len(inputs))])),
        dict(_named(module, func, outputs, [func.res_attr(i, IO) for i in range(len(outputs))])),
    )


def _named(
    module: ModuleOp, func: FuncOp, names: list[str], references: list[Any]
) -> Iterator[tuple[str, QuantizerOp]]:
    symbols = SymbolTable(module)
    for name, reference in zip(names, references, strict=True):
        if isinstance(reference, SymbolRefAttr):
            quantizer = symbols.lookup(reference.root)
            if not isinstance(quantizer, QuantizerOp):
                fail(func.location, f"'{name}' is codes of @{reference.root}, which is no quantizer")
            yield name, quantizer


def encode_inputs(module: ModuleOp, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Float arrays of inputs that are codes become these codes, in the element's own dtype; others stay as they are.

    All are given with their axes in the model's own order, and come in that of the arguments. Raises QirError for a
    quantizer that is missing or has no scale.
    """
    quantizers, _ = integer_io(module)
    out = dict(inputs)
    for name in quantizers.keys() & inputs.keys():
        x = torch.as_tensor(inputs[name])
        if x.is_floating_point():
            scheme = quantizers[name].scheme
            out[name] = codes_to_numpy(encode(x.float(), scheme, *_parameters(module, quantizers[name])), scheme)
    for name, axes in _orders(module)[0].items():
        if name in out:
            out[name] = _permuted(out[name], axes)
    return out


def decode_outputs(module: ModuleOp, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Codes that the model gave become the numbers that they stand for, float32; other outputs stay as they are.

    All axes come back in the model's own order. Raises QirError for a quantizer that is missing or has no scale.
    """
    _, quantizers = integer_io(module)
    out = dict(outputs)
    for name, axes in _orders(module)[1].items():
        if name in out:
            out[name] = _permuted(out[name], sorted(range(len(axes)), key=axes.__getitem__))
    for name in quantizers.keys() & outputs.keys():
        scheme, codes = quantizers[name].scheme, out[name]
        q = codes.cpu() if isinstance(codes, torch.Tensor) else codes_from_numpy(codes, scheme)
        out[name] = decode(q, scheme, *_parameters(module, quantizers[name])).numpy()
    return out


def _orders(module: ModuleOp) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """The order of the axes of the inputs and of the outputs that have another one than the model's, by name."""
    func = main_function(module)
    inputs, outputs = port_names(func)
    given = {name: func.arg_attr(i, AXES) for i, name in enumerate(inputs)}
    taken = {name: func.res_attr(i, AXES) for i, name in enumerate(outputs)}
    return _numbers(given), _numbers(taken)


def _numbers(orders: Mapping[str, Attribute | None]) -> dict[str, list[int]]:
    return {name: list(axes.values) for name, axes in orders.items() if isinstance(axes, DenseArrayAttr)}


def _permuted(x: Any, axes: Sequence[int]) -> Any:
    return x.permute(*axes) if isinstance(x, torch.Tensor) else np.ascontiguousarray(np.transpose(x, axes))


def _parameters(module: ModuleOp, quantizer: QuantizerOp) -> tuple[torch.Tensor, torch.Tensor | None]:
    found = quantizer_parameters(quantizer, SymbolTable(module).lookup)
    if found is None:
        raise quantizer.error(f"@{quantizer.sym_name} has no scale", "calibrate the module first")
    return found
