"""Two modules side by side: outputs, and every tensor that both have under one name.

Names are what survives a whole job: ONNX's names of values stay through every pass, so a float model can be laid
beside its own lowered form. The first module's tensors are kept on the host until the second one computes its own;
where they would take more than `budget` bytes, the tensors are taken in groups and the networks run once a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from qir.analysis.measures import ErrorMeasure
from qir.dialects.func import main_function
from qir.ir import FloatType, Operation, TensorType, Trait, Value, fail

__all__ = ["Comparison", "NamedError", "compare_modules"]


@attrs.frozen
class NamedError:
    """The error of one tensor; `node` names what computes it in the first module."""

    tensor: str
    node: str
    measure: ErrorMeasure


@attrs.frozen
class Comparison:
    """Errors of the second module against the first: its outputs, then its inner tensors in the first one's order.

    `unmatched` counts the first module's inner float tensors that the second has not (fused away, or integers there).
    """

    outputs: tuple[NamedError, ...]
    layers: tuple[NamedError, ...]
    unmatched: int


def compare_modules(
    a: Operation,
    b: Operation,
    batches: Iterable[Mapping[str, Any]],
    device: str = "cpu",
    budget: int = 256 << 20,
) -> Comparison:
    """Run both modules on the batches (dictionaries of inputs by name) and measure the second against the first.

    Raises QirError where one cannot run, or where they have no output in common.
    """
    from qir.interpreter import Plan

    plans = (Plan(a, device=device), Plan(b, device=device))
    results = [dict(zip(plan.outputs, plan.results, strict=True)) for plan in plans]
    shared = [name for name in results[0] if name in results[1]]
    if not shared:
        fail(
            None,
            f"the two models share no output: {', '.join(results[0])} and {', '.join(results[1])}",
            "outputs are compared by name; give two forms of one model",
        )
    inner = [_inner_values(m, r.values()) for m, r in zip((a, b), results, strict=True)]
    names = [name for name in inner[0] if name in inner[1]]
    unmatched = len(inner[0]) - len(names)
    measures = {name: ErrorMeasure() for name in names}
    outputs = {name: ErrorMeasure() for name in shared}
    groups: list[list[str]] | None = None
    for batch in batches:
        if groups is None:
            groups = _groups(plans[0], batch, {name: inner[0][name] for name in names}, budget)
        for index, group in enumerate(groups):
            seen = _Pairing({name: measures[name] for name in group})
            first = plans[0].run(batch, taps={inner[0][name]: seen.keeper(name) for name in group})
            second = plans[1].run(batch, taps={inner[1][name]: seen.comparer(name) for name in group})
            if index == 0:
                for name, measure in outputs.items():
                    _add(measure, name, first[name], second[name])
    if groups is None:
        fail(None, "there is no data to compare the models on", "give at least one sample")
    for name in names:
        _add_constants(measures[name], plans[0].constants.get(inner[0][name]), plans[1].constants.get(inner[1][name]))
    return Comparison(
        tuple(NamedError(name, _node(results[0][name]), outputs[name]) for name in shared),
        tuple(NamedError(name, _node(inner[0][name]), measures[name]) for name in names if measures[name].samples),
        unmatched,
    )


def _inner_values(module: Operation, outputs: Iterable[Value]) -> dict[str, Value]:
    """The graph's float tensors by name, without its outputs and constants. The first of one name stands for it."""
    leave = set(outputs)
    found: dict[str, Value] = {}
    for op in main_function(module).body:
        if op.has_trait(Trait.CONSTANT_LIKE):
            continue
        for value in op.results:
            is_float = isinstance(value.type, TensorType) and isinstance(value.type.element, FloatType)
            if value.name is not None and is_float and value not in leave:
                found.setdefault(value.name, value)
    return found


def _node(value: Value) -> str:
    op = value.defining_op
    names = op.location.names() if op is not None else ()
    return names[0] if names else ""


def _groups(plan: Any, batch: Mapping[str, Any], values: Mapping[str, Value], budget: int) -> list[list[str]]:
    """The tensors' names in groups whose tensors take at most `budget` bytes; always at least one group."""
    sizes: dict[str, int] = {}

    def measure(name: str) -> Callable[[Any], None]:
        def tap(tensor: Any) -> None:
            sizes[name] = max(sizes.get(name, 0), tensor.numel() * tensor.element_size())

        return tap

    plan.run(batch, taps={value: measure(name) for name, value in values.items()})
    groups: list[list[str]] = [[]]
    room = budget
    for name in values:
        size = sizes.get(name, 0)
        if size > room and groups[-1]:
            groups.append([])
            room = budget
        groups[-1].append(name)
        room -= size
    return groups


class _Pairing:
    """What the first run keeps until the second one has its own."""

    def __init__(self, measures: Mapping[str, ErrorMeasure]) -> None:
        self.measures = measures
        self.kept: dict[str, Any] = {}

    def keeper(self, name: str) -> Callable[[Any], None]:
        return lambda tensor: self.kept.__setitem__(name, tensor.detach().cpu())

    def comparer(self, name: str) -> Callable[[Any], None]:
        def tap(tensor: Any) -> None:
            if name in self.kept:
                _add(self.measures[name], name, self.kept.pop(name), tensor.detach().cpu())

        return tap


def _add(measure: ErrorMeasure, name: str, reference: Any, measured: Any) -> None:
    if not _is_tensor(reference) or not _is_tensor(measured):
        return  # sequences and strings have no distance
    try:
        measure.add(reference, measured)
    except ValueError as error:
        fail(None, f"tensor '{name}' cannot be compared: {error}", "the models must be forms of one network")


def _add_constants(measure: ErrorMeasure, reference: Any, measured: Any) -> None:
    """A value that both plans know beforehand is never tapped."""
    if not measure.samples and _is_tensor(reference) and _is_tensor(measured) and reference.shape == measured.shape:
        measure.add(reference[None], measured[None])


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)
