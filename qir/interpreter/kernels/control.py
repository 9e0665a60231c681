"""Control flow and calls: regions and functions run as plans of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from qir.interpreter.functions import call_kernel
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel


@kernel("onnx.If", pure=False)
def _if(node: Node) -> Kernel:
    if len(node.bodies) != 2:
        raise node.error(f"has {len(node.bodies)} branches", "it needs a then-branch and an else-branch")
    regions = dict(zip(_branch_names(node), node.bodies, strict=False))
    then, other = regions["then_branch"], regions["else_branch"]

    def run(condition: torch.Tensor, *captured: Any) -> Any:
        return tuple((then if bool(condition) else other)((), captured))

    return run


def _branch_names(node: Node) -> Sequence[str]:
    """Which region is which: as the attribute `onnx.regions` says, else the order of the operation's definition."""
    said = node.attr("onnx.regions", None)
    return said if said is not None and len(said) == 2 else ("then_branch", "else_branch")


@kernel("onnx.Loop", pure=False)
def _loop(node: Node) -> Kernel:
    """Body: (iteration, condition, carried…) -> (condition, carried…, scanned…); scanned values are stacked."""
    (body,) = node.bodies
    carried_count = len(node.operands) - 2

    def run(limit: torch.Tensor | None, condition: torch.Tensor | None, *rest: Any) -> Any:
        carried, captured = list(rest[:carried_count]), rest[carried_count:]
        most = None if limit is None else int(limit)
        going = condition is None or bool(condition)
        scanned: list[list[Any]] | None = None
        iteration = 0
        while going and (most is None or iteration < most):
            number = torch.tensor(iteration, dtype=torch.int64, device=node.device)
            flag = torch.tensor(True, device=node.device)
            results = body((number, flag, *carried), captured)
            going = results[0] is None or bool(results[0])
            carried = results[1 : 1 + carried_count]
            outputs = results[1 + carried_count :]
            scanned = scanned if scanned is not None else [[] for _ in outputs]
            for column, value in zip(scanned, outputs, strict=False):
                column.append(value)
            iteration += 1
        if scanned is None:
            scanned = [[] for _ in range(len(node.op.results) - carried_count)]
        return (*carried, *(_stacked(node, column, carried_count + i) for i, column in enumerate(scanned)))

    return run


def _stacked(node: Node, column: list[Any], result: int) -> Any:
    if column:
        return torch.stack(column)
    from qir.interpreter.values import torch_dtype

    element = node.result_element(result)
    return torch.empty((0,), dtype=torch.float32 if element is None else torch_dtype(element), device=node.device)


@kernel("onnx.Scan", pure=False)
def _scan(node: Node) -> Kernel:
    """States and slices of the scanned inputs go in, states and slices of the outputs come out."""
    (body,) = node.bodies
    scans = node.attr("num_scan_inputs")
    batched = node.opset < 9
    skip = 1 if batched else 0  # opset 8: an optional operand of sequence lengths comes first
    states = len(node.operands) - scans - skip
    outputs = len(node.op.results) - states
    in_axes = node.ints("scan_input_axes", (0,) * scans) or ()
    in_back = node.ints("scan_input_directions", node.ints("directions", (0,) * scans)) or (0,) * scans
    out_axes = node.ints("scan_output_axes", (0,) * outputs) or (0,) * outputs
    out_back = node.ints("scan_output_directions", (0,) * outputs) or (0,) * outputs

    def sweep(state: list[Any], sequences: Sequence[torch.Tensor], captured: Sequence[Any]) -> list[Any]:
        length = sequences[0].shape[in_axes[0]]
        columns: list[list[Any]] = [[] for _ in range(outputs)]
        for step in range(length):
            slices = [
                x.select(axis, length - 1 - step if back else step)
                for x, axis, back in zip(sequences, in_axes, in_back, strict=False)
            ]
            results = body((*state, *slices), captured)
            state = list(results[:states])
            for column, value in zip(columns, results[states:], strict=False):
                column.append(value)
        stacked = []
        for column, axis, back in zip(columns, out_axes, out_back, strict=False):
            column = column[::-1] if back else column
            stacked.append(torch.stack(column, axis))
        return [*state, *stacked]

    def run(*operands: Any) -> Any:
        given = operands[skip:]
        state, sequences, captured = given[:states], given[states : states + scans], given[states + scans :]
        if not batched:
            return tuple(sweep(list(state), sequences, captured))
        rows = [sweep([s[i] for s in state], [x[i] for x in sequences], captured) for i in range(sequences[0].shape[0])]
        return tuple(torch.stack(column) for column in zip(*rows, strict=False))

    return run


@kernel("func.call", pure=False)
def _call(node: Node) -> Kernel:
    return call_kernel(node)


@kernel("onnx.SequenceEmpty")
def _sequence_empty(node: Node) -> Kernel:
    return list


@kernel("onnx.SequenceConstruct")
def _sequence_construct(node: Node) -> Kernel:
    return lambda *tensors: list(tensors)


@kernel("onnx.SequenceAt")
def _sequence_at(node: Node) -> Kernel:
    return lambda sequence, position: sequence[int(position)]


@kernel("onnx.SequenceLength")
def _sequence_length(node: Node) -> Kernel:
    return lambda sequence: torch.tensor(len(sequence), dtype=torch.int64, device=node.device)


@kernel("onnx.SequenceInsert")
def _sequence_insert(node: Node) -> Kernel:
    def run(sequence: list[Any], tensor: Any, position: Any = None) -> Any:
        place = len(sequence) if position is None else int(position)
        place = place if place >= 0 else place + len(sequence)
        return [*sequence[:place], tensor, *sequence[place:]]

    return run


@kernel("onnx.SequenceErase")
def _sequence_erase(node: Node) -> Kernel:
    def run(sequence: list[Any], position: Any = None) -> Any:
        place = len(sequence) - 1 if position is None else int(position)
        place = place if place >= 0 else place + len(sequence)
        return [*sequence[:place], *sequence[place + 1 :]]

    return run


@kernel("onnx.SequenceMap", pure=False)
def _sequence_map(node: Node) -> Kernel:
    (body,) = node.bodies
    count = len(node.operands)

    def run(*operands: Any) -> Any:
        first, others, captured = operands[0], operands[1:count], operands[count:]
        rows = [
            body([item, *(o[i] if isinstance(o, list) else o for o in others)], captured)
            for i, item in enumerate(first)
        ]
        return tuple([row[k] for row in rows] for k in range(len(node.op.results)))

    return run


@kernel("onnx.SplitToSequence")
def _split_to_sequence(node: Node) -> Kernel:
    axis, keep = node.attr("axis", 0), bool(node.attr("keepdims", 1))

    def run(x: torch.Tensor, split: torch.Tensor | None = None) -> Any:
        if split is None:
            return [part if keep else part.squeeze(axis) for part in torch.split(x, 1, axis)]
        sizes: Any = int(split) if split.dim() == 0 else split.tolist()
        return list(torch.split(x, sizes, axis))

    return run


@kernel("onnx.ConcatFromSequence")
def _concat_from_sequence(node: Node) -> Kernel:
    axis, new = node.attr("axis"), bool(node.attr("new_axis", 0))
    return lambda sequence: torch.stack(sequence, axis) if new else torch.cat(sequence, axis)


@kernel("onnx.Optional")
def _optional(node: Node) -> Kernel:
    return lambda value=None: value


@kernel("onnx.OptionalGetElement")
def _optional_get(node: Node) -> Kernel:
    def run(value: Any) -> Any:
        if value is None:
            raise ValueError("the optional is empty")
        return value

    return run


@kernel("onnx.OptionalHasElement", pure=False)
def _optional_has(node: Node) -> Kernel:
    return lambda value=None: torch.tensor(value is not None, device=node.device)
