"""What the conformance kit keeps an eye on while a job runs: quantized results, their steps, promised fusions."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from qir.conformance.text import Broken
from qir.conformance.ties import make_ties
from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp, main_function
from qir.dialects.qsim import FakeOp, QuantizerOp
from qir.ir import FloatType, IntegerType, Operation, TensorType, Value, verify
from qir.passes.quantize.filters import Selection
from qir.passes.quantize.placement import Placement
from qir.passes.quantize.queries import quantizer_name, quantizers
from qir.target import Target

__all__ = ["Observe", "Watch"]


@attrs.frozen
class Observe:
    """How the first `count` results are seen: the module is made to return their quantized values, or else (for a chip
    that cannot give these out) only what is computed from them. `ties`: with scales of powers of two."""

    count: int
    returned: bool = True
    ties: bool = False


@attrs.define
class Watch:
    """Follows a job from stage to stage.

    `quantized` are the op types that the data sheet quantizes, `left` the others with the reason; `fusions` the pairs
    of nodes that must become one record. `steps` are the scales of the results by name, where they are quantized.
    """

    observe: Observe | None = None
    quantized: set[str] = attrs.field(factory=set)
    left: dict[str, str] = attrs.field(factory=dict)
    fusions: list[tuple[str, str]] = attrs.field(factory=list)
    steps: dict[str, float] = attrs.field(factory=dict)
    _annotated: bool = False
    _tied: bool = False
    _behind: dict[str, str] = attrs.field(factory=dict)
    """The quantizer in whose steps a result is measured that is computed from a dropped one."""

    def plan(self, module: ModuleOp, sheet: Target) -> None:
        """Read the data sheet over the float model, as annotate is going to do."""
        placement = Placement(main_function(module).body, sheet, Selection(()))
        self.quantized = {_kind(op) for op in placement.quantized}
        self.left = {_kind(op): reason for op, reason in placement.left.items() if _kind(op) not in self.quantized}
        for op, planned in placement.quantized.items():
            for fused in placement.fused_ops(planned):
                names = op.location.names(), fused.location.names()
                if all(names):
                    self.fusions.append((names[0][0], names[1][0]))

    @property
    def planned(self) -> bool:
        """Whether the job came as far as annotate."""
        return bool(self.quantized or self.left)

    def stage(self, module: ModuleOp) -> None:
        """Look at the module after a pass; the first time that it simulates, let it return what is to be seen."""
        func = main_function(module)
        if not self._annotated and any(isinstance(op, FakeOp) for op in func.walk()):
            self._annotated = True
            if self.observe is not None:
                self._observe(func, self.observe)
                verify(module)
        if self.observe is not None and self.observe.ties and not self._tied:
            self._tied = make_ties(module)
        if self._annotated:
            self._read_steps(module, func)

    def _observe(self, func: FuncOp, observe: Observe) -> None:
        back = func.return_op
        values, names = list(back.operands), _names(func)
        kept = list(range(len(values)))
        for index in range(observe.count):
            fake = next((user for user in values[index].users if isinstance(user, FakeOp)), None)
            if fake is None:
                continue
            if observe.returned:
                values[index] = fake.y
                continue
            kept.remove(index)
            for other in range(observe.count, len(values)):
                if values[other].defining_op in fake.y.users:
                    self._behind[names[other]] = fake.quantizer
        back.set_operands(values[i] for i in kept)
        if func.res_attrs is not None:
            func.res_attrs = tuple(func.res_attrs[i] for i in kept)
        func.update_type()

    def _read_steps(self, module: ModuleOp, func: FuncOp) -> None:
        """The scale of each result; what was read last counts, for lowering drops quantizers."""
        from qir.interpreter.quantizers import quantizer_parameters

        known = quantizers(module)
        for name, value in zip(_names(func), func.return_op.operands, strict=True):
            quantizer = known.get(quantizer_name(value) or self._behind.get(name, ""))
            found = quantizer_parameters(quantizer, known.get) if isinstance(quantizer, QuantizerOp) else None
            if found is not None and found[0].numel() == 1:
                self.steps[name] = float(found[0])

    def check_fusions(self, module: ModuleOp, loaded: bool) -> None:
        """Raise Broken where a float edge between two records is left of what the data sheet says is one.

        Records that compute in float all the way, for a runtime that puts them together when it loads them, are not
        meant, unless the module is `loaded`: what such a runtime makes of it.
        """
        for first, second in self.fusions:
            for op in module.walk():
                names = op.location.names()
                if first not in names or second in names or not (loaded or any(map(_is_quantized, op.operands))):
                    continue
                readers = (user for result in op.results if _is_float(result) for user in result.users)
                for reader in readers:
                    if second in reader.location.names() and first not in reader.location.names():
                        raise Broken(
                            f"the data sheet fuses '{second}' into '{first}', but it became a record of its own: "
                            f"{op.name} gives floats to {reader.name}"
                        )


def _names(func: FuncOp) -> Sequence[str]:
    from qir.interpreter.lookup import port_names

    return port_names(func)[1]


def _kind(op: Operation) -> str:
    return op.name.removeprefix("onnx.")


def _is_float(value: Value) -> bool:
    return isinstance(value.type, TensorType) and isinstance(value.type.element, FloatType)


def _is_quantized(value: Value) -> bool:
    """Whether a value is codes (indices and masks are none), or simulates them."""
    element = value.type.element if isinstance(value.type, TensorType) else None
    codes = isinstance(element, IntegerType) and 1 < element.width < 64
    return codes or quantizer_name(value) is not None
