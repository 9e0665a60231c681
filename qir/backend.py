"""qir as an ONNX backend: ``prepare(model).run(inputs)``, which ONNX's own tests drive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from qir.frontends.onnx import import_onnx
from qir.interpreter import Plan, as_array
from qir.interpreter.values import element_of
from qir.ir import Context, OpaqueType, Type

__all__ = ["Prepared", "prepare", "run_model", "supports_device"]


class Prepared:
    """A model ready to run."""

    def __init__(self, model: onnx.ModelProto, device: str = "cpu") -> None:
        # A model may use operators that only its own functions or a user's kernels define.
        module = import_onnx(model, Context(allow_unregistered=True), check=False)
        self.plan = Plan(module, device)
        self.names = [value.name for value in model.graph.input]

    def run(self, inputs: Sequence[Any], **_: Any) -> tuple[Any, ...]:
        """The outputs, in order, for inputs in order: arrays, lists of arrays (sequences) or None (an empty optional).

        Inputs for initializers that the model lists among its inputs may be given too, and are not used.
        """
        wanted = [argument.name for argument in self.plan.inputs]
        names = self.names if len(inputs) == len(self.names) else wanted
        given = {name: value for name, value in zip(names, inputs, strict=False) if name in wanted}
        results = self.plan.run(given)
        values = zip(self.plan.outputs, self.plan.results, strict=False)
        return tuple(_array(results[name], value.type) for name, value in values)


def _array(value: Any, type: Type) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_array(item, OpaqueType("onnx", "unknown")) for item in value]
    return as_array(value, element_of(type))


def prepare(model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
    """The backend interface's entry: `device` is "CPU" or "CUDA". Raises QirError for models that cannot run."""
    return Prepared(model, "cuda" if device.upper().startswith("CUDA") else "cpu")


def run_model(model: onnx.ModelProto, inputs: Sequence[Any], device: str = "CPU", **_: Any) -> tuple[Any, ...]:
    """`prepare` and `run` in one."""
    return prepare(model, device).run(inputs)


def supports_device(device: str) -> bool:
    """Whether models can be prepared for the device."""
    if device.upper().startswith("CUDA"):
        import torch

        return torch.cuda.is_available()
    return device.upper() == "CPU"
