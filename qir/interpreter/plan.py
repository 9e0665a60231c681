"""Plans: a module made ready to run.

Making a plan resolves every operation to a kernel, puts constants on the device, evaluates what depends on constants
only, and turns lifetimes into frees. Running it is a plain loop over steps that read and write numbered slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import torch

from qir.interpreter.device import find_device
from qir.interpreter.functions import bound_attributes, model_functions
from qir.interpreter.inputs import check_inputs
from qir.interpreter.lookup import (
    captured_by,
    entry_block,
    entry_of,
    find_function,
    is_absent,
    no_kernels,
    ops_to_run,
    opset_of,
    opsets_of,
    result_names,
    symbols_of,
    value_name,
)
from qir.interpreter.node import Body, Node, Settings
from qir.interpreter.registry import Entry, Kernel
from qir.ir import Block, BlockArgument, Operation, QirError, Value

__all__ = ["Plan", "Taps", "evaluate"]

Taps = Mapping[Value, Callable[[Any], None]]
"""Functions that see a value each time it is computed."""

_ABSENT = 0
"""The slot that always holds None: operands that are not there."""


@attrs.frozen(eq=False)
class _Step:
    """One operation of the loop. `safe` is the kernel that overwrites nothing, `overwrites` what `run` may."""

    run: Kernel
    safe: Kernel
    overwrites: Value | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    frees: tuple[int, ...]
    op: Operation


class Plan:
    """A function of a module, ready to run: `Plan(module).run({"x": array})["y"]`.

    - `module`: the module; `function` names the function to run (default: ``main``, else the first one).
    - `device`: where constants lie and kernels run.
    - `keep`: values to be returned beside the results, under their names.
    - `uncalibrated`: what a ``qsim.fake`` does whose quantizer has no scale yet: "error", or "passthrough" as
      calibration needs it.

    A plan is fixed: changes of the module show in a new plan. Raises QirError when an operation has no kernel (all
    such operations are listed) or the function is not there.
    """

    def __init__(
        self,
        module: Operation,
        device: str | torch.device = "cpu",
        function: str | None = None,
        keep: Iterable[Value] | None = None,
        uncalibrated: str = "error",
    ) -> None:
        if uncalibrated not in ("error", "passthrough"):
            raise ValueError(f"uncalibrated is 'error' or 'passthrough', not {uncalibrated!r}")
        self.module = module
        self.device = find_device(device)
        self.function = find_function(module, function)
        self._taps: Taps = {}
        symbols = symbols_of(module)
        opsets = {**opsets_of(module), **opsets_of(self.function)}
        functions = model_functions(symbols)
        profile = module.attr("qir.profile", "")
        settings = Settings(self.device, opsets, symbols, functions, {}, uncalibrated, profile, self._callee)
        missing = [op for op in ops_to_run(self.function, settings) if entry_of(op, settings) is None]
        if missing:
            raise no_kernels(missing, settings)
        block = entry_block(self.function)
        kept = tuple(keep or ())
        self._body = _BlockPlan(self, block, settings, {}, (), kept)
        results = block.terminator.operands if block.terminator is not None else ()
        self.inputs: tuple[BlockArgument, ...] = tuple(block.args)
        """The function's arguments; `run` takes them by name."""
        self.outputs: tuple[str, ...] = tuple(result_names(self.function, results))
        """Names of the results, in order."""
        self.results: tuple[Value, ...] = tuple(results)
        """The values that the function returns."""
        self._kept_names = tuple(value_name(v, i) for i, v in enumerate(kept))

    def run(self, inputs: Mapping[str, Any], taps: Taps | None = None) -> dict[str, Any]:
        """Runs the function on arrays or tensors by argument name and returns its results by name.

        `taps` maps values of the module (of nested regions too) to functions that see each of their tensors as soon
        as it is computed; a tap that keeps a tensor keeps it unchanged. Raises QirError for inputs that are missing,
        unknown, empty or of another type than the argument's, and for errors inside an operation.
        """
        arguments = check_inputs(self.function, self.inputs, inputs, self.device)
        outer, self._taps = self._taps, taps or {}
        try:
            with full_precision(self.device):
                values = self._body(arguments, ())
        finally:
            self._taps = outer
        return dict(zip((*self.outputs, *self._kept_names), values, strict=False))

    @property
    def constants(self) -> dict[Value, Any]:
        """The values that are known without running: constants and what follows from them, as tensors."""
        return self._body.constants

    def _callee(self, function: Operation, caller: Node) -> Body:
        """A function planned for one call of it: its opsets, the call's attributes, and the operands that are known."""
        outer = caller.settings
        opsets = {**opsets_of(self.module), **opsets_of(function)}
        settings = attrs.evolve(outer, opsets=opsets, bindings=bound_attributes(function, caller.op, outer.bindings))
        block = entry_block(function)
        known: dict[Value, Any] = {
            arg: caller.constants[v]
            for arg, v in zip(block.args, caller.operands, strict=False)
            if v in caller.constants
        }
        body = _BlockPlan(self, block, settings, known, (), ())
        missing = len(block.args) - len(caller.operands)
        return body if missing <= 0 else lambda arguments, captured: body([*arguments, *[None] * missing], captured)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keeps CUDA from computing float32 convolutions and products in TF32, which has 10 bits of fraction."""
    if device.type != "cuda":
        yield
        return
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


class _BlockPlan:
    """A block as steps. `constants` are the known values around it; `captured` values come with each call."""

    def __init__(
        self,
        plan: Plan,
        block: Block,
        settings: Settings,
        constants: dict[Value, Any],
        captured: Sequence[Value],
        keep: Sequence[Value],
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.block = block
        self.constants: dict[Value, Any] = dict(constants)
        self._slots: dict[Value, int] = {}
        terminator = block.terminator
        self.results: tuple[Value, ...] = (*(terminator.operands if terminator is not None else ()), *keep)
        self.arguments = [self._slot(arg) for arg in block.args]
        self.captures = [self._slot(value) for value in captured]
        steps: list[_Step] = []
        fresh: set[Value] = set()
        for op in block:
            if op is terminator:
                continue
            step = self._step(op, fresh)
            if step is not None:
                steps.append(step)
        self.outputs = [self._use(value) for value in self.results]
        self.template: list[Any] = [None] * (len(self._slots) + 1)
        for value, slot in self._slots.items():
            if value in self.constants:
                self.template[slot] = self.constants[value]
        self.steps = _with_frees(steps, self.outputs, len(self.template), self._constant_slots())

    def _slot(self, value: Value) -> int:
        return self._slots.setdefault(value, len(self._slots) + 1)

    def _use(self, value: Value) -> int:
        return _ABSENT if is_absent(value) else self._slot(value)

    def _constant_slots(self) -> set[int]:
        return {slot for value, slot in self._slots.items() if value in self.constants}

    def _step(self, op: Operation, fresh: set[Value]) -> _Step | None:
        """The step of an operation; None when it is known now (its results are then among the constants)."""
        settings = self.settings
        entry = entry_of(op, settings)
        assert entry is not None
        operands = tuple(None if is_absent(v) else v for v in op.operands)
        captured = captured_by(op) if op.regions else ()
        outer = {v: self.constants[v] for v in captured if v in self.constants}
        captured = tuple(v for v in captured if v not in outer)
        node = Node(op, settings, operands, self.constants, captured=captured, opset=opset_of(op, settings.opsets))
        if op.regions:
            node.bodies = tuple(
                _BlockPlan(self.plan, region.block, settings, outer, captured, ())
                for region in op.regions
                if region.blocks
            )
        run = safe = _build(entry, node)
        known = all(v is None or v in self.constants for v in operands)
        if entry.pure and not op.regions and known and self._fold(op, safe, operands):
            return None
        overwrites = None
        if entry.inplace:
            overwrites = self._dying(operands, fresh)
            if overwrites is not None:
                node.inplace = operands.index(overwrites)
                run = _build(entry, node)
        if entry.fresh and op.results:
            fresh.add(op.results[0])
        inputs = tuple(self._use(v) for v in (*op.operands, *captured))
        outputs = tuple(self._slot(r) for r in op.results)
        return _Step(run, safe, overwrites, inputs, outputs, (), op)

    def _fold(self, op: Operation, run: Kernel, operands: Sequence[Value | None]) -> bool:
        """Evaluates an op whose operands are all known. An op that fails stays a step: it may never be reached."""
        try:
            with torch.no_grad():
                values = _results(run(*(None if v is None else self.constants[v] for v in operands)), op)
        except (QirError, *_FAILURES):
            return False
        self.constants.update(zip(op.results, values, strict=False))
        return True

    def _dying(self, operands: Sequence[Value | None], fresh: set[Value]) -> Value | None:
        """An operand that nobody else reads and whose memory is its own: the result may take its place."""
        for value in operands[:2]:
            if value is not None and value in fresh and value.has_one_use() and value not in self.results:
                return value
        return None

    def __call__(self, arguments: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
        slots = self.template.copy()
        for slot, value in zip(self.arguments, arguments, strict=False):
            slots[slot] = value
        for slot, value in zip(self.captures, captured, strict=False):
            slots[slot] = value
        taps = self.plan._taps
        if taps:
            self._run_tapped(slots, taps)
        else:
            self._run(slots)
        return [slots[slot] for slot in self.outputs]

    def _run(self, slots: list[Any]) -> None:
        step: _Step | None = None
        try:
            for step in self.steps:
                result = step.run(*[slots[i] for i in step.inputs])
                outputs = step.outputs
                if len(outputs) == 1 and type(result) is not tuple:
                    slots[outputs[0]] = result
                else:
                    for slot, value in zip(outputs, _results(result, step.op), strict=False):
                        slots[slot] = value
                result = value = None  # so that what the frees drop is really dropped
                for slot in step.frees:
                    slots[slot] = None
        except _FAILURES as error:
            assert step is not None
            raise _failed(error, step.op, [slots[i] for i in step.inputs]) from error

    def _run_tapped(self, slots: list[Any], taps: Taps) -> None:
        for value, tap in taps.items():
            if value.block is not self.block:
                continue
            if value in self.constants:
                tap(self.constants[value])
            elif isinstance(value, BlockArgument):
                tap(slots[self._slots[value]])
        for step in self.steps:
            run = step.safe if step.overwrites in taps else step.run
            operands = [slots[i] for i in step.inputs]
            try:
                results = _results(run(*operands), step.op)
            except _FAILURES as error:
                raise _failed(error, step.op, operands) from error
            for value, slot, result in zip(step.op.results, step.outputs, results, strict=False):
                slots[slot] = result
                if value in taps:
                    taps[value](result)
            del results, result, operands
            for slot in step.frees:
                slots[slot] = None


_FAILURES = (
    RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, MemoryError,
)  # fmt: skip
"""What torch and kernels raise for operands that an operation cannot take; QirError is none of them."""


def _build(entry: Entry, node: Node) -> Kernel:
    try:
        return entry.build(node)
    except _FAILURES as error:
        known = [node.constant(i) for i in range(len(node.operands))]
        raise _failed(error, node.op, known) from error


def _failed(error: Exception, op: Operation, operands: Sequence[Any]) -> QirError:
    """A kernel's exception as a diagnostic: the op, the first line of what was said, and the operands' types."""
    said = str(error).strip().splitlines()
    reason = said[0] if said else type(error).__name__
    given = ", ".join(_spelled(value) for value in operands)
    return op.error(f"cannot be computed: {reason}", f"its operands are ({given})" if given else None)


def _spelled(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        shape = "".join(f"{size}x" for size in value.shape)
        return f"{shape}{str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list):
        return f"sequence of {len(value)}"
    return "nothing" if value is None else type(value).__name__


def _results(result: Any, op: Operation) -> Sequence[Any]:
    """A kernel's answer as one value per result."""
    values = result if type(result) is tuple else (result,)
    count = len(op.results)
    if len(values) < count:
        raise ValueError(f"the kernel gave {len(values)} of {count} results")
    return values[:count]


def _with_frees(steps: list[_Step], outputs: Sequence[int], count: int, constants: set[int]) -> list[_Step]:
    """The steps, each with the slots that nothing reads after it. Constants and results stay."""
    stay = {_ABSENT, *outputs, *constants}
    last: dict[int, int] = {}
    for index, step in enumerate(steps):
        for slot in (*step.inputs, *step.outputs):
            if slot not in stay:
                last[slot] = index
    frees: list[list[int]] = [[] for _ in steps]
    for slot, index in last.items():
        frees[index].append(slot)
    return [attrs.evolve(step, frees=tuple(slots)) for step, slots in zip(steps, frees, strict=False)]


def evaluate(op: Operation, operands: Sequence[Any], opsets: Mapping[str, int] | None = None) -> list[Any]:
    """The results of one pure operation without regions, for constant operands given as tensors (None: absent).

    `opsets` defaults to those of the module around the op. Raises QirError when the op has no kernel, is not pure, or
    cannot take these operands.
    """
    if opsets is None:
        opsets, holder = {}, op.parent_op
        while holder is not None:
            opsets = {**opsets_of(holder), **opsets}
            holder = holder.parent_op
    settings = Settings(torch.device("cpu"), opsets)
    entry = entry_of(op, settings)
    if entry is None:
        raise no_kernels([op], settings)
    if not entry.pure or op.regions:
        raise op.error("has no value of its own", "only operations without state and regions have one")
    constants = dict(zip(op.operands, operands, strict=False))
    values = tuple(None if is_absent(v) or constants[v] is None else v for v in op.operands)
    node = Node(op, settings, values, constants, opset=opset_of(op, opsets))
    run = _build(entry, node)
    try:
        with torch.no_grad():
            return list(_results(run(*operands), op))
    except _FAILURES as error:
        raise _failed(error, op, operands) from error
