"""``retarget``: a module that was quantized for one target, quantized for another with the ranges that are known.

What a range is depends on the data, how it becomes a scale on the chip: so ranges go along, scales are computed anew by
the other data sheet (and stay, bit for bit, where it asks for the same). Nothing is calibrated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import QuantizerOp
from qir.ir import Context, FloatType, Operation, TensorType, Trait, Value
from qir.numerics.scheme import Product, Scheme
from qir.passes.base import Pass, option
from qir.passes.quantize.annotate import annotate
from qir.passes.quantize.quantize_io import float_io
from qir.passes.quantize.queries import quantizers, unquantized
from qir.passes.quantize.strip import QuantizedEdge, Use, edges_of, simulate, strip
from qir.passes.registry import register_pass
from qir.target import Target, constant_of, get_target, is_constant, node_name

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Retarget", "retarget", "scheme_changes"]


WEIGHTS = ("minmax", "mse")


@register_pass
@attrs.frozen
class Retarget(Pass):
    """Quantize a module by another target's data sheet with the ranges that it has.

    Nothing is calibrated: an edge whose range is not known stays without a scale. What differs is said in remarks.
    """

    name: ClassVar[str] = "retarget"
    dialects: ClassVar[tuple[str, ...]] = ("qsim",)

    target: str = option(help="whose data sheet is read")
    mode: str = option("", "which of the target's modes; `qir targets NAME` lists them")
    weights: str = option(
        "mse", "how ranges of weights are found whose scheme differs; later: by calibrate", choices=(*WEIGHTS, "later")
    )
    only: tuple[str, ...] = option((), "quantize these alone: node names, op types or globs")
    exclude: tuple[str, ...] = option((), "leave these in float: node names, op types or globs")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        goal = get_target(self.target)
        counts = retarget(module, ctx, goal, self.mode, self.weights, self.only, self.exclude)
        for what, number in counts.items():
            self.count(ctx, what, number)
        return True


def retarget(
    module: ModuleOp, ctx: Context, target: Target, mode: str = "", weights: str = "mse", only: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> dict[str, int]:  # fmt: skip
    """Replace the quantizers of an annotated, calibrated or materialised module by those of a target's data sheet.

    A quantizer whose values had one of the same scheme keeps its parameters; another one gets the range of these values
    and from it scale and zero point by its own scheme; weights whose scheme differs are searched again (`weights` is
    ``mse`` or ``minmax``), or with ``later`` left to `calibrate`, whose data tell which errors of a weight count.
    Returns how many quantizers were kept, converted, taken from constants or left to calibrate, and have no range.
    Raises QirError for a module without quantizers, for a lowered one, and as `annotate` does.
    """
    was = str(module.attr("qir.target", ""))
    goal = target.in_mode(mode)
    _refuse_lowered(module)
    if float_io(module):
        message = "inputs and outputs that were integers are float: run quantize-io after materialise"
        ctx.remark("analysis", module.location, message, "retarget")
    on_grid = simulate(module, ctx)
    before = strip(module)
    if not before:
        raise module.error("has no quantizers whose ranges could be used", f"write annotate{{target={target.name}}}")
    module.attributes.pop("qir.profile", None)  # another runtime's
    annotate(module, ctx, target, only, exclude, mode)
    transfer = _Transfer(module, ctx, goal, was or "the module before", before, on_grid, weights)
    transfer.run()
    return transfer.counts


_OURS = frozenset({"builtin", "func", "onnx", "qsim", "quant"})


def _refuse_lowered(module: ModuleOp) -> None:
    """Raise QirError for an operation of a target's dialect."""
    for op in module.walk():
        dialect = op.name.partition(".")[0]
        if op.is_registered and dialect not in _OURS:
            hint = f"start from the text before the module was lowered for {dialect}"
            raise op.error(f"is a record of {dialect}: it cannot be quantized for another target", hint)


_KNOWN = ("observe", "lo", "hi", "scale", "zero", "stats", "train", "offset")
"""What a quantizer holds beside its scheme and its name."""


@attrs.define(eq=False)
class _Transfer:
    """Carries what was known of the edges `before` to the quantizers that `annotate` has made."""

    module: ModuleOp
    ctx: Context
    target: Target
    was: str
    before: list[QuantizedEdge]
    on_grid: bool
    """Whether constants are decoded codes of the target before."""
    weights: str
    of_value: dict[Value, list[QuantizedEdge]] = attrs.field(factory=dict)
    kept: set[str] = attrs.field(factory=set)
    unknown: set[str] = attrs.field(factory=set)
    fresh: set[str] = attrs.field(factory=set)
    converted: int = 0

    @property
    def counts(self) -> dict[str, int]:
        return {
            "kept": len(self.kept),
            "converted": self.converted,
            "left to calibrate" if self.weights == "later" else "taken from constants": len(self.fresh),
            "without a range": len(self.unknown),
        }

    def run(self) -> None:
        for edge in self.before:
            self.of_value.setdefault(edge.value, []).append(edge)
        after: dict[QuantizerOp, list[QuantizedEdge]] = {q: [] for q in quantizers(self.module).values()}
        for edge in edges_of(self.module):
            after[edge.quantizer].append(edge)
        for quantizer, edges in after.items():
            self.settle(quantizer, edges)
        self.search_constants()
        self.remark_dropped([edge for edges in after.values() for edge in edges])
        words = ", ".join(f"{number} {what}" for what, number in self.counts.items())
        message = f"quantizers of {self.was} for {self.target.name}: {words}"
        self.ctx.remark("analysis", self.module.location, message, "retarget")

    # ------------------------------------------------------------ one quantizer
    def settle(self, new: QuantizerOp, edges: list[QuantizedEdge]) -> None:
        scheme = new.scheme
        sources: dict[QuantizerOp, None] = {}
        missing = []
        for edge in edges:
            found = self.sources(edge.value, edge.readers, scheme)
            if found is not None:
                sources.update(dict.fromkeys(found))
            elif not is_constant(edge.value):
                missing.append(edge.value)
        old = list(sources)
        constants = [edge.value for edge in edges if is_constant(edge.value)]
        if new.scale is not None:
            if len(old) == 1 and _alike(old[0].scheme, scheme) and _same_numbers(old[0], new):
                self.kept.add(new.sym_name)
                return
            self.say(new, edges, old, f"the kernel of {self.target.name} fixes its scale")
        elif not missing and len(old) == 1 and self.is_same(old[0], new):
            self.keep(old[0], new)
            if any(scheme_changes(old[0].scheme, scheme)):
                self.say(new, edges, old, "its scale stays")
        elif scheme.dynamic:
            self.say(new, edges, old, "its scale is computed at run time")
        elif scheme.product is not None:
            self.say(new, edges, old, "its scale is the product of the other two")
        elif len(constants) == len(edges):
            self.fresh.add(new.sym_name)
            grid = f", which are on the grid of {self.was}" if self.on_grid else ""
            again = "again, " if old else ""
            what = "left to calibrate" if self.weights == "later" else f"found {again}from the constant's numbers"
            self.say(new, edges, old, f"its scale is {what}{grid}")
        else:
            self.convert(new, scheme, edges, old, missing, constants)

    def convert(
        self, new: QuantizerOp, scheme: Scheme, edges: list[QuantizedEdge], old: list[QuantizerOp],
        missing: list[Value], constants: list[Value],
    ) -> None:  # fmt: skip
        """Scale and zero point by the new scheme, from the range of everything on the edges."""
        from qir.numerics import range_to_params

        ranges = [known_range(quantizer, scheme) for quantizer in old]
        lacking = [q for q, found in zip(old, ranges, strict=True) if found is None]
        if missing or lacking or not ranges:
            self.unknown.add(new.sym_name)
            made = {edge.value for edge in edges}  # of parts of another one: that one's name will do
            sources = {v: v.defining_op.operands if v.defining_op is not None else () for v in missing}
            roots = [v for v, operands in sources.items() if made.isdisjoint(map(unquantized, operands))]
            whose = ", ".join(dict.fromkeys(f"'{_name(value)}'" for value in roots))
            why = f"{self.was} did not quantize {whose}" if missing else f"@{lacking[0].sym_name} had none that fits"
            self.say(new, edges, old, f"no range is known, {why}: run calibrate{{data=…}}", "missed")
            return
        found = [r for r in ranges if r is not None] + [_constant_range(value, scheme) for value in constants]
        lo, hi = found[0]
        for low, high in found[1:]:
            lo, hi = lo.minimum(low), hi.maximum(high)
        new.set_range(lo.numpy(), hi.numpy())
        scale, zero = range_to_params(lo, hi, scheme)
        new.set_parameters(scale.numpy(), None if zero is None or scheme.symmetric else zero.numpy())
        self.converted += 1
        ends = f" [{float(lo):.6g}, {float(hi):.6g}]" if lo.dim() == 0 else ""
        self.say(new, edges, old, f"the range{ends} is used again")

    def sources(self, value: Value, readers: frozenset[Use], scheme: Scheme) -> list[QuantizerOp] | None:
        """The quantizers that knew the range of a value, for these readers; None where nobody did.

        Of several those for the same readers come first, then those of the same scheme, then those nearest to the
        value. A value without one that is made of parts of others has the ranges of these.
        """
        edges = self.of_value.get(value)
        if edges:
            edges = [e for e in edges if e.readers & readers] or edges
            edges = [e for e in edges if _alike(e.quantizer.scheme, scheme)] or edges
            depth = min(e.depth for e in edges)
            return [e.quantizer for e in edges if e.depth == depth]
        op = value.defining_op
        if op is None or not op.has_trait(Trait.SCALE_PRESERVING):
            return None
        found: list[QuantizerOp] = []
        for index, operand in enumerate(op.operands):
            if isinstance(operand.type, TensorType) and isinstance(operand.type.element, FloatType):
                known = self.sources(unquantized(operand), frozenset([(op, index)]), scheme)
                if known is None:
                    return None
                found += known
        return found

    def is_same(self, old: QuantizerOp, new: QuantizerOp) -> bool:
        """Whether the old parameters are right for the new quantizer as they stand."""
        if not _alike(old.scheme, new.scheme) or not old.is_calibrated:
            return False
        product = new.scheme.product
        return product is None or old.scale is None or {product.x, product.w} <= self.kept

    def keep(self, old: QuantizerOp, new: QuantizerOp) -> None:
        new.attributes.update({key: old.attributes[key] for key in _KNOWN if key in old.attributes})
        self.kept.add(new.sym_name)

    # ------------------------------------------------------------ constants
    def search_constants(self) -> None:
        """Parameters of constants whose scheme differs; a weight beside an input without a range waits for that."""
        from qir.calibration.calibrator import Method, calibrate_constants

        products = [q.scheme.product for q in quantizers(self.module).values()]
        pairs = [(p.x, p.w) for p in products if p is not None]
        waiting = {w for x, w in pairs if x in self.unknown} | (self.fresh if self.weights == "later" else set())
        refit = {w for x, w in pairs if not {x, w} <= self.kept}
        method = Method(weights=self.weights if self.weights in WEIGHTS else "mse")
        calibrate_constants(self.module, self.ctx, method, self.fresh - waiting, refit - waiting)

    # ------------------------------------------------------------ remarks
    def say(
        self, new: QuantizerOp, edges: list[QuantizedEdge], old: list[QuantizerOp], what: str, category: str = "passed"
    ) -> None:
        scheme = new.scheme
        if not old:
            change = f"{scheme}, which {self.was} did not quantize"
        else:
            words = ", ".join(dict.fromkeys(word for q in old for word in scheme_changes(q.scheme, scheme)))
            change = f"{old[0].scheme} becomes {scheme} ({words})" if words else f"{scheme}"
        message = f"@{new.sym_name} on '{_name(edges[0].value)}': {change}; {what}"
        self.ctx.remark(category, edges[0].location, message, "retarget")

    def remark_dropped(self, after: list[QuantizedEdge]) -> None:
        """Edges that the target before quantized and this one does not."""
        now: dict[Value, set[Use]] = {}
        for edge in after:
            now.setdefault(edge.value, set()).update(edge.readers)
        said = set()
        for edge in self.before:
            left = not edge.readers & now.get(edge.value, set()) if edge.readers else edge.value not in now
            if left and (edge.value, edge.quantizer) not in said:
                said.add((edge.value, edge.quantizer))
                message = (
                    f"'{_name(edge.value)}' is read in float: {self.was} quantized it by @{edge.quantizer.sym_name}"
                )
                self.ctx.remark("missed", edge.location, f"{message}, {self.target.name} does not", "retarget")


def _name(value: Value) -> str:
    return value.name or (node_name(value.defining_op) if value.defining_op is not None else "an input")


# ---------------------------------------------------------------- schemes and ranges
def _without_names(scheme: Scheme) -> Scheme:
    product = scheme.product
    return scheme if product is None else scheme.evolve(product=Product("", "", product.axis, product.factor))


def _alike(a: Scheme, b: Scheme) -> bool:
    """Whether the same parameters serve two schemes: they differ in rounding and saturation at most, and in names."""
    rest = {"rounding": "half_even", "seed": None, "saturate": True}
    return _without_names(a).evolve(**rest) == _without_names(b).evolve(**rest)


_PARTS: tuple[tuple[str, Callable[[Scheme], Any]], ...] = (
    ("storage", lambda s: (s.storage, s.codebook)),
    ("codes", lambda s: (s.qmin, s.qmax)),
    ("zero point", lambda s: (s.symmetric, s.zero_inside, s.zero_by)),
    ("granularity", lambda s: s.granularity),
    ("form of the scale", lambda s: (s.pow2, s.scale_by, s.product)),
    ("rounding", lambda s: (s.rounding, s.seed)),
    ("saturation", lambda s: s.saturate),
    ("static or dynamic", lambda s: s.dynamic),
)


def scheme_changes(old: Scheme, new: Scheme) -> Iterator[str]:
    """What differs between two schemes, in words."""
    old, new = _without_names(old), _without_names(new)
    for word, part in _PARTS:
        if part(old) != part(new) and not (word == "codes" and old.storage != new.storage):
            yield word


def known_range(quantizer: QuantizerOp, scheme: Scheme) -> tuple[Tensor, Tensor] | None:
    """The range of the values that a quantizer was calibrated for, in the granularity of `scheme`; None if unknown.

    The written range counts where the parameters are what follows from it; where they were changed since (by hand, by
    training) what they reach counts.
    """
    import torch

    from qir.numerics import params_to_range, range_to_params

    lo, hi = (None if end is None else torch.from_numpy(end.numpy().copy()) for end in (quantizer.lo, quantizer.hi))
    if lo is not None and hi is not None and not bool((lo <= hi).all() and lo.isfinite().all() and hi.isfinite().all()):
        ends = f"({lo.tolist()}, {hi.tolist()})"
        raise quantizer.error(f"@{quantizer.sym_name} has the range {ends}", "write range(lo, hi) with lo <= hi")
    scale, zero = (None if a is None else torch.from_numpy(a.copy()) for a in quantizer.parameters())
    own = quantizer.scheme
    if scale is not None:
        reason = None
        if lo is not None and hi is not None:
            reason, point = range_to_params(lo, hi, own)
            if not own.symmetric and not (zero is not None and point is not None and torch.equal(zero, point)):
                reason = None
        if reason is None or not torch.equal(reason, scale):
            lo, hi = params_to_range(scale, zero, own)
    if lo is None or hi is None:
        return None
    if own.granularity == scheme.granularity:
        return lo, hi
    return (lo.min(), hi.max()) if scheme.granularity.is_per_tensor else None


def _same_numbers(a: QuantizerOp, b: QuantizerOp) -> bool:
    def numbers(quantizer: QuantizerOp) -> list[Any]:
        return [None if array is None else array.tolist() for array in quantizer.parameters()]

    return numbers(a) == numbers(b)


def _constant_range(value: Value, scheme: Scheme) -> tuple[Tensor, Tensor]:
    import torch

    from qir.numerics import block_range

    data = constant_of(value)
    assert data is not None
    return block_range(torch.from_numpy(data.numpy().astype("float32")), scheme.granularity)
