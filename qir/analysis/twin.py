"""What quantization does to a simulated module, tensor by tensor.

The module and its float twin run interleaved in one plan: beside every operation that sees a quantized value stands
its copy on the float values, with no ``qsim.fake`` between. Each tensor is compared as soon as both are there, so the
memory is that of one batch through two networks, not that of all activations, and the pairs need no guessing by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from qir.analysis.measures import ErrorMeasure
from qir.dialects.func import main_function
from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.ir import Block, BlockArgument, FloatType, Operation, SymbolTable, TensorType, Value

__all__ = ["TensorError", "quantization_errors"]


@attrs.frozen
class TensorError:
    """The error of one quantized tensor (or of an output of the graph) against the float network's."""

    tensor: str
    quantizer: str
    storage: str
    kind: Literal["activation", "constant", "bias", "output"]
    node: str
    measure: ErrorMeasure


def quantization_errors(
    module: Operation, batches: Iterable[Mapping[str, Any]], device: str = "cpu"
) -> list[TensorError]:
    """The error of every quantized tensor and of every output, over the batches (dictionaries of inputs by name).

    `module` is simulated and calibrated: ``qsim.fake`` on its edges, every quantizer with a scale. Each tensor after
    its quantizer is compared with the same tensor of the float network, so that an activation's error includes what
    comes from before it; a constant's is its own. The module is not changed. Raises QirError where it cannot run.
    """
    from qir.interpreter import Plan
    from qir.interpreter.inputs import argument_name

    copy = module.clone()
    function = main_function(copy)
    pairs = _interleave(function.body)
    plan = Plan(copy, device=device, function=function.sym_name)
    measures = {pair: ErrorMeasure() for pair in pairs}
    taps, from_inputs, constants = _connect(pairs, plan.constants, measures)
    for pair in constants:
        measures[pair].add(plan.constants[pair.reference][None], plan.constants[pair.measured][None])
    for batch in batches:
        for pair in from_inputs:
            assert isinstance(pair.reference, BlockArgument)
            taps[pair.measured] = _against(measures[pair], batch[argument_name(pair.reference)])
        plan.run(batch, taps=taps)
    symbols = SymbolTable(copy)
    return [pair.error(symbols, measures[pair], pair in constants) for pair in pairs if measures[pair].samples]


@attrs.frozen
class _Pair:
    """A value of the float twin and the one measured against it."""

    reference: Value
    measured: Value
    name: str
    fake: FakeOp | None

    def error(self, symbols: SymbolTable, measure: ErrorMeasure, constant: bool) -> TensorError:
        if self.fake is None:
            return TensorError(self.name, "", "", "output", "", measure)
        quantizer = self.fake.quantizer
        op = symbols.lookup(quantizer)
        storage = op.storage if isinstance(op, QuantizerOp) else ""
        is_bias = isinstance(op, QuantizerOp) and op.product is not None
        user = next(iter(self.measured.users), None)
        names = user.location.names() if user is not None else ()
        kind: Literal["activation", "constant", "bias"]
        kind = "bias" if is_bias else "constant" if constant else "activation"
        return TensorError(self.name, quantizer, storage, kind, names[0] if names else "", measure)


def _interleave(block: Block) -> list[_Pair]:
    """Put the float twin into a block; gives the values to compare, in the order in which they are computed."""
    twin: dict[Value, Value] = {arg: arg for arg in block.args}
    pairs: list[_Pair] = []
    seen: set[tuple[Value, str]] = set()
    terminator = block.terminator
    for op in tuple(block):
        if op is terminator:
            break
        if isinstance(op, FakeOp):
            source = op.operands[0]
            twin[op.result] = twin[source]
            key = (source, op.quantizer)
            if key not in seen:
                seen.add(key)
                pairs.append(_Pair(twin[source], op.result, _name(source) or key[1], op))
        elif any(twin.get(v, v) is not v for inner in op.walk() for v in inner.operands) or _has_fakes(op):
            float_op = op.clone(twin)
            _drop_fakes(float_op)
            block.insert_before(float_op, op)
        else:
            twin.update((r, r) for r in op.results)
    outputs = terminator.operands if terminator is not None else ()
    measured = {pair.measured for pair in pairs}
    for index, value in enumerate(outputs):
        # Indices (an ArgMax, the second result of a MaxPool) have no signal-to-noise ratio.
        numbers = isinstance(value.type, TensorType) and isinstance(value.type.element, FloatType)
        if twin[value] is not value and value not in measured and numbers:
            measured.add(value)
            pairs.append(_Pair(twin[value], value, _name(value) or f"output {index}", None))
    return pairs


def _name(value: Value) -> str | None:
    """The value's name, through the fakes before it."""
    op = value.defining_op
    while value.name is None and isinstance(op, FakeOp):
        value, op = op.operands[0], op.operands[0].defining_op
    return value.name


def _has_fakes(op: Operation) -> bool:
    return bool(op.regions) and any(isinstance(inner, FakeOp) for inner in op.walk())


def _drop_fakes(op: Operation) -> None:
    for inner in tuple(op.walk()):
        if isinstance(inner, FakeOp) and inner is not op:
            inner.result.replace_all_uses_with(inner.operands[0])
            inner.erase()


Tap = Callable[[Any], None]


def _connect(
    pairs: list[_Pair], constants: Mapping[Value, Any], measures: Mapping[_Pair, ErrorMeasure]
) -> tuple[dict[Value, Tap], list[_Pair], list[_Pair]]:
    """Taps that compare each pair while the plan runs; the pairs whose reference is an input, and the constant ones.

    A reference may belong to several pairs (two quantizers on one tensor): it is kept until the last of them.
    """
    taps: dict[Value, Tap] = {}
    inputs: list[_Pair] = []
    fixed: list[_Pair] = []
    waiting: dict[Value, list[_Pair]] = {}
    for pair in pairs:
        if pair.measured in constants:
            if pair.reference in constants:
                fixed.append(pair)
        elif isinstance(pair.reference, BlockArgument):
            inputs.append(pair)
        else:
            waiting.setdefault(pair.reference, []).append(pair)
    for reference, users in waiting.items():
        _tap_together(reference, users, taps, measures)
    return taps, inputs, fixed


def _tap_together(
    reference: Value, users: list[_Pair], taps: dict[Value, Tap], measures: Mapping[_Pair, ErrorMeasure]
) -> None:
    kept: list[Any] = []
    left = [0]

    def keep(tensor: Any) -> None:
        kept[:] = [tensor]
        left[0] = len(users)

    def compare(measure: ErrorMeasure) -> Tap:
        def tap(tensor: Any) -> None:
            measure.add(kept[0], tensor)
            left[0] -= 1
            if not left[0]:
                kept.clear()

        return tap

    taps[reference] = keep
    for pair in users:
        taps[pair.measured] = compare(measures[pair])


def _against(measure: ErrorMeasure, reference: Any) -> Tap:
    def tap(tensor: Any) -> None:
        measure.add(reference, tensor)

    return tap
