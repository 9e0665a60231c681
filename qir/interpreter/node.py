"""What a kernel factory sees of an operation while a plan is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch

from qir.dialects.onnx_opaque import reference_of
from qir.interpreter.quantizers import Quantization, quantization_of
from qir.interpreter.values import element_of
from qir.ir import Attribute, OpaqueAttr, Operation, QirError, TensorType, Type, Value, python_value
from qir.ir.records import RecordOp

__all__ = ["Body", "Node", "Settings", "describe"]

Body = Callable[[Sequence[Any], Sequence[Any]], list[Any]]
"""A region or function ready to run: `body(arguments, captured values) -> results`."""


@attrs.define
class Settings:
    """What the kernels of one function share.

    `uncalibrated` is "error" or "passthrough": what a `qsim.fake` without a scale does. `profile` is the way in which
    the target's runtime would run the artifact (the module's ``qir.profile``). `symbols` are the module's
    symbols by name, `functions` the model's own ONNX functions by the name of the ops that call them. `bindings` are
    the attributes that the call of such a function gives. `call` makes the body of a function for one call.
    """

    device: torch.device
    opsets: Mapping[str, int]
    symbols: Mapping[str, Operation] = attrs.field(factory=dict)
    functions: Mapping[str, Operation] = attrs.field(factory=dict)
    bindings: Mapping[str, Attribute] = attrs.field(factory=dict)
    uncalibrated: str = "error"
    profile: str = ""
    call: Callable[[Operation, Node], Body] | None = None


@attrs.define(eq=False)
class Node:
    """An operation, its opset, and what is known about its operands before anything runs.

    `operands` has None where an optional operand is absent. `bodies` are the op's regions, ready to run. `inplace` is
    the index of an operand whose memory the kernel may reuse for its result, or None.
    """

    op: Operation
    settings: Settings
    operands: tuple[Value | None, ...]
    constants: dict[Value, Any]
    bodies: tuple[Body, ...] = ()
    captured: tuple[Value, ...] = ()
    inplace: int | None = None
    opset: int = 1

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def device(self) -> torch.device:
        return self.settings.device

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute's Python value: int, float, str, a tuple of these, a TensorAttr, a Type."""
        value = self.op.attributes.get(name)
        if type(value) is OpaqueAttr and value.dialect == "onnx":
            value = self._bound(value)
        return default if value is None else python_value(value)

    def _bound(self, value: OpaqueAttr) -> Attribute | None:
        """What a reference to an attribute of the function stands for in this call; other attributes stay."""
        reference = reference_of(value)
        return value if reference is None else self.settings.bindings.get(reference[0])

    def ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """A list of integers, or the default."""
        value = self.attr(name, None)
        if value is None:
            return None if default is None else tuple(default)
        return (int(value),) if isinstance(value, int) else tuple(int(v) for v in value)

    def has(self, index: int) -> bool:
        """Whether the operand is there."""
        return index < len(self.operands) and self.operands[index] is not None

    def constant(self, index: int) -> Any:
        """The operand's value if the plan knows it already (a tensor on the device), else None."""
        value = self.operands[index] if index < len(self.operands) else None
        return None if value is None else self.constants.get(value)

    def constant_list(self, index: int) -> list[int] | None:
        """A constant operand of integers as a list, else None."""
        value = self.constant(index)
        return [int(v) for v in value.reshape(-1).tolist()] if isinstance(value, torch.Tensor) else None

    def replace_constant(self, index: int, tensor: Any) -> None:
        """Puts an equal tensor of a better memory layout in a constant operand's place."""
        value = self.operands[index]
        assert value is not None and value in self.constants
        self.constants[value] = tensor

    def operand_type(self, index: int) -> Type | None:
        value = self.operands[index] if index < len(self.operands) else None
        return None if value is None else value.type

    def element(self, index: int) -> Type | None:
        """Element type of an operand, None when it is absent or no tensor."""
        type = self.operand_type(index)
        return None if type is None else element_of(type)

    def rank(self, index: int) -> int | None:
        """Rank of an operand where the module says it, else None."""
        type = self.operand_type(index)
        return type.rank if isinstance(type, TensorType) else None

    def result_element(self, index: int = 0) -> Type | None:
        """Element type of a result where the module says it."""
        return element_of(self.op.results[index].type) if index < len(self.op.results) else None

    def parameter(self, name: str) -> Any:
        """An attribute of a record, or the default that its table gives."""
        assert isinstance(self.op, RecordOp)
        return self.op.parameter(name)

    def quantization(self, index: int) -> Quantization | None:
        """The quantizer of an operand, or behind the operands of a result, as the record's `quant` names it.

        None where the value is no codes. Raises QirError where the quantizer has no scale.
        """
        assert isinstance(self.op, RecordOp)
        found = quantization_of(self.op, index, self.settings.symbols.get)
        return None if found is None else found.to(self.device)

    def error(self, message: str, hint: str | None = None) -> QirError:
        """The error to raise, at this operation's place."""
        return self.op.error(message, hint)


def describe(op: Operation) -> str:
    """An op as a diagnostic lists it: ``onnx.Conv 'stem/conv'``."""
    names = op.location.names()
    return f"{op.name} '{names[0]}'" if names else op.name
