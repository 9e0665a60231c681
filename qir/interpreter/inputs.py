"""The check of what a caller feeds a plan: names, dtypes, ranks and shapes, before anything is computed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch

from qir.dialects.onnx_types import STRING
from qir.dialects.qsim import IO
from qir.interpreter.values import as_tensor, torch_dtype
from qir.ir import BlockArgument, OpaqueType, Operation, TensorType, fail

__all__ = ["argument_name", "check_inputs"]


def argument_name(argument: BlockArgument) -> str:
    """The name by which an argument is fed."""
    return argument.name if argument.name is not None else f"arg{argument.index}"


def check_inputs(
    function: Operation, arguments: Sequence[BlockArgument], inputs: Mapping[str, Any], device: torch.device
) -> list[Any]:
    """The inputs in the arguments' order, as tensors on the device.

    Raises QirError naming the input that is missing, unknown, empty, of another dtype, rank or shape than its
    argument, or whose symbolic dimension another input gives another size.
    """
    names = [argument_name(argument) for argument in arguments]
    for name in inputs:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            meant = f"did you mean '{near[0]}'?" if near else f"its inputs: {', '.join(names) or 'none'}"
            _refuse(function, f"the model has no input '{name}'", meant)
    missing = [name for name in names if name not in inputs]
    if missing:
        types = [
            f"'{name}' ({argument.type})" for name, argument in zip(names, arguments, strict=False) if name in missing
        ]
        _refuse(function, f"input {', '.join(types)} is missing", "give an array for each input of the model")
    values = []
    sizes: dict[str, tuple[int, str]] = {}
    for index, (name, argument) in enumerate(zip(names, arguments, strict=False)):
        value = _converted(function, name, inputs[name], device)
        _check_type(function, name, argument, value)
        _check_symbols(function, index, name, value, sizes)
        values.append(value)
    return values


def _converted(function: Operation, name: str, value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if value is None or (isinstance(value, list) and not _is_array_like(value)):
        return value if value is None else [_converted(function, name, item, device) for item in value]
    try:
        return as_tensor(value, device)
    except (TypeError, ValueError) as error:
        _refuse(function, f"input '{name}' is no tensor: {error}", "give a numpy array or a torch tensor")


def _refuse(function: Operation, message: str, hint: str) -> NoReturn:
    """An error about what was fed, at the function's place."""
    fail(function.location, message, hint)


def _is_array_like(value: list[Any]) -> bool:
    """Whether a list is a tensor's nested numbers rather than a sequence of tensors."""
    return not any(isinstance(item, (np.ndarray, torch.Tensor)) for item in value)


def _check_type(function: Operation, name: str, argument: BlockArgument, value: Any) -> None:
    type = argument.type
    if not isinstance(type, TensorType) or value is None:
        return
    if isinstance(type.element, OpaqueType) and type.element != STRING:
        return  # nothing is known of it

    def wrong(message: str, hint: str) -> NoReturn:
        _refuse(function, f"input '{name}' {message}", hint)

    if type.element == STRING:
        if not isinstance(value, np.ndarray):
            wrong("holds numbers, but the model wants strings", "give an array of str")
        shape = value.shape
    else:
        if not isinstance(value, torch.Tensor):
            wrong("holds no numbers", f"the model wants {type}")
        wanted = torch_dtype(type.element)
        if value.dtype != wanted:
            given = str(value.dtype).removeprefix("torch.")
            quantizer = _quantizer_of(function, argument)
            hint = f"convert it to {str(wanted).removeprefix('torch.')}"
            if quantizer is not None and value.dtype.is_floating_point:
                hint = f"it takes codes of {quantizer}: qir.interpreter.codes.encode_inputs makes them of floats"
            wrong(f"is {given}, but the model wants {type}", hint)
        shape = tuple(value.shape)
    if type.shape is None:
        return
    spelled = "x".join(map(str, shape)) or "a scalar"
    if len(shape) != len(type.shape):
        hint = "add the batch axis" if len(shape) + 1 == len(type.shape) else "give an array of the model's shape"
        wrong(f"has rank {len(shape)} ({spelled}), but the model wants {type}", hint)
    for axis, (given_size, wanted_size) in enumerate(zip(shape, type.shape, strict=False)):
        if wanted_size is not None and given_size != wanted_size:
            if axis == 0 and given_size > 0:
                hint = f"the model's first axis is fixed: feed {wanted_size} at a time"
            else:
                hint = f"axis {axis} is {given_size}, it must be {wanted_size}"
            wrong(f"is {spelled}, but the model wants {type}", hint)
        if given_size == 0 and wanted_size is None:
            wrong(f"is empty ({spelled})", "give at least one element along every axis")


def _quantizer_of(function: Operation, argument: BlockArgument) -> Any:
    """The quantizer whose codes an argument is, None for one that is not."""
    attributes = function.attr("arg_attrs", None) or ()
    said = attributes[argument.index] if argument.index < len(attributes) else None
    return said.get(IO) if isinstance(said, dict) else None


def _check_symbols(function: Operation, index: int, name: str, value: Any, sizes: dict[str, tuple[int, str]]) -> None:
    """Equal names of dimensions (``onnx.dims``) must have equal sizes."""
    attributes = function.attr("arg_attrs", None) or ()
    said = attributes[index] if index < len(attributes) else None
    dims = said.get("onnx.dims") if isinstance(said, dict) else None
    if not dims or not isinstance(value, torch.Tensor) or len(dims) > value.dim():
        return
    for axis, (symbol, size) in enumerate(zip(dims, value.shape, strict=False)):
        if not isinstance(symbol, str) or not symbol:
            continue
        known, where = sizes.setdefault(symbol, (size, name))
        if known != size:
            _refuse(
                function,
                f"input '{name}' has {size} along axis {axis} ('{symbol}'), but input '{where}' has {known}",
                f"dimensions named '{symbol}' must be equal",
            )
