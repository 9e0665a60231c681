"""The generated suite: every operator of a data sheet, with what must stand around it, and the data that it is fed.

An operator that follows or moves is quantized only between quantized ones. So its operands come from a product or
convolution by the identity (a *stem*), and its result is read by one (a *head*): the first kind of these that the data
sheet computes on integers, so nothing here depends on a target.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qir.conformance.cases import CASES, Case
from qir.conformance.net import HEAD, STEM, Input, Net
from qir.target import Rule, Target

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

__all__ = ["Feed", "Trial", "operators", "trials"]

AROUND: dict[int, tuple[str, ...]] = {2: ("Gemm", "MatMul"), 3: ("MatMul", "Conv"), 4: ("Conv", "MatMul")}
"""What can stand around a tensor of a rank, best first."""

ACTIVATIONS: dict[str, tuple[tuple[str, tuple[float, ...]], ...]] = {
    "Clip": ((" 0 to 6", (0.0, 6.0)), (" -1 to 1", (-1.0, 1.0))),
    "PRelu": (("", (0.2,)),),
}
"""Labels and constant operands of the activation functions that need some."""


FOLDED = ("Constant", "ConstantOfShape", "NoValue", "Range", "Shape", "Size")
"""Operators that are computed before a target sees them: all shapes of the suite are known."""


@attrs.frozen
class Feed:
    """Arrays by input name, and what is special about their numbers."""

    kind: str
    arrays: Mapping[str, NDArray[Any]]


@attrs.frozen
class Trial:
    """One model of the suite. Its results number `heads` and on are heads, those before are what is under test."""

    op: str
    label: str
    model: onnx.ModelProto
    heads: int
    feeds: tuple[Feed, ...]
    calibration: Mapping[str, NDArray[Any]]
    promised: bool
    """Whether a rule of the data sheet quantizes the operator."""
    texts: bool
    """Whether its stages go through text; not if those of the same graph with other numbers did."""
    ties: bool
    """Whether its scales are made powers of two."""


def operators(target: Target) -> list[str]:
    """The op types of the suite: those of the data sheet, then those for which the target has patterns."""
    found = dict.fromkeys(op for rule in target.rules for op in rule.ops)
    roots = (root for phase in target.phases() for pattern in phase for root in pattern.roots)
    found.update(dict.fromkeys(r.removeprefix("onnx.") for r in roots if r.startswith("onnx.")))
    return [op for op in found if op not in FOLDED]


def trials(target: Target, op: str, seed: int = 0) -> Iterator[Trial]:
    """The trials of an op type; `target` is in the mode that is tried."""
    rules = [rule for rule in target.rules_for(op if "." in op else f"onnx.{op}") if rule.role != "float"]
    computes = any(rule.role == "compute" for rule in rules)
    demanded = any(rule.role == "compute" and rule.output == "demanded" and rule.result for rule in rules)
    for case in CASES.get(op, ()):
        make = _Maker(target, op, case, seed, rules)
        yield make.trial("", head=bool(rules))
        if case.weights and computes:
            yield make.trial("extreme weights", head=True, extreme=True)
        if rules and (case.fuses or case is CASES[op][0]):
            yield make.trial("powers of two", head=True, ties=True)
        if demanded:
            yield make.trial("float result", head=False)
        if case.fuses:
            fused = dict.fromkeys(fused.op for rule in rules for fused in rule.fused)
            for name in fused:
                for label, bounds in ACTIVATIONS.get(name, (("", ()),)):
                    yield make.trial(f"with {name}{label}", head=True, fused=(name, bounds))


@attrs.frozen
class _Maker:
    """Makes the trials of one case."""

    target: Target
    op: str
    case: Case
    seed: int
    rules: Sequence[Rule]

    def trial(
        self, variant: str, head: bool, extreme: bool = False, ties: bool = False,
        fused: tuple[str, tuple[float, ...]] | None = None,
    ) -> Trial:  # fmt: skip
        label = f"{self.case.label}, {variant}" if variant else self.case.label
        seed = zlib.crc32(f"{self.seed} {self.op} {label}".encode())
        around = any(rule.role in ("follow", "move") for rule in self.rules)
        side: list[str] = []

        def stem(net: Net, value: str, shape: tuple[int, ...]) -> str:
            made = self.around(net, value, shape, STEM)
            if made is None:
                return value
            result, rule = made
            if rule.output == "demanded":  # somebody must ask for its codes
                reader = self.around(net, result, shape, HEAD)
                side.extend(reader[:1] if reader is not None else [])
            return result

        net = Net(seed, self.case.opset, stem if around else None, extreme)
        results = self.case.build(net)
        if fused is not None:
            name, bounds = fused
            results = [net.op(name, results[0], *map(net.constant, bounds))]
        heads: list[str] = []
        for result in results if head else ():
            shape = net.shape_of(result)
            made = self.around(net, result, shape, HEAD) if shape is not None else None
            heads += [made[0]] if made is not None else []
        feeds = tuple(f for f in _feeds(net.inputs, seed) if self.case.flat or f.kind not in ("high", "low"))
        usual = feeds if extreme else [f for f in feeds if f.kind not in ("high", "low", "alternating")]
        calibration = {name: _joined(f.arrays[name] for f in usual) for name in net.inputs}
        model = net.model([*results, *heads, *side])
        return Trial(self.op, label, model, len(results), feeds, calibration, bool(self.rules),
                     not (extreme or ties), ties)  # fmt: skip

    def around(self, net: Net, value: str, shape: tuple[int, ...], prefix: str) -> tuple[str, Rule] | None:
        """A product of `value` by the identity that the data sheet computes on integers, and its rule."""
        import numpy as np

        for op in AROUND.get(len(shape), ()):
            rule = next((r for r in self.target.rules_for(f"onnx.{op}") if r.role == "compute"), None)
            if rule is None:
                continue
            if op == "Conv":
                channels, spatial = shape[1], len(shape) - 2
                weight = net.constant(np.eye(channels).reshape(channels, channels, *[1] * spatial), "w")
                return net.op(op, value, weight, kernel_shape=[1] * spatial, prefix=prefix), rule
            return net.op(op, value, net.constant(np.eye(shape[-1]), "w"), prefix=prefix), rule
        return None


# ---------------------------------------------------------------- data
def _feeds(inputs: Mapping[str, Input], seed: int) -> Iterator[Feed]:
    """Random numbers, the whole range in small steps, and extremes: all at one end, and both ends by turns."""
    import numpy as np

    rng = np.random.default_rng(seed)

    def feed(kind: str) -> Feed:
        return Feed(kind, {name: _numbers(spec, kind, rng) for name, spec in inputs.items()})

    yield from map(feed, ("random", "sweep", "high", "low", "alternating"))


def _numbers(spec: Input, kind: str, rng: np.random.Generator) -> NDArray[Any]:
    import numpy as np

    if spec.whole:
        return rng.integers(int(spec.low), int(spec.high) + 1, spec.shape)
    size = int(np.prod(spec.shape))
    low, high = spec.low, spec.high
    if kind == "random":
        numbers = np.clip(rng.normal((low + high) / 2, (high - low) / 6, size), low, high)
    elif kind == "sweep":
        numbers = rng.permutation(np.linspace(low, high, size))
    elif kind == "alternating":
        numbers = np.where(np.arange(size) % 2, low, high)
    else:
        numbers = np.full(size, high if kind == "high" else low)
    return numbers.reshape(spec.shape).astype(np.float32)


def _joined(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Samples, one after the other along the first axis."""
    import numpy as np

    return np.concatenate(list(arrays))
