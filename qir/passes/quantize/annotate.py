"""``annotate``: quantizers and their simulation on the edges that a target's data sheet asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import attrs
import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import main_function
from qir.dialects.qsim import FakeOp, make_quantizer
from qir.ir import (
    UNKNOWN,
    BlockArgument,
    Context,
    Location,
    Operation,
    StringAttr,
    SymbolRefAttr,
    SymbolTable,
    TensorType,
    Trait,
    Value,
)
from qir.numerics.scheme import Granularity, Product, Scheme
from qir.passes.base import Pass, option
from qir.passes.quantize.filters import Selection
from qir.passes.quantize.placement import Edge, Key, Placement, PlannedOp
from qir.passes.quantize.queries import quantizer_name
from qir.passes.quantize.strict import nested, refuse_floats
from qir.passes.registry import register_pass
from qir.target import Axis, Target, Weight, get_target, node_name

__all__ = ["Annotate", "annotate"]


@register_pass
@attrs.frozen
class Annotate(Pass):
    """Put quantizers on the edges that a target's data sheet asks for.

    Why something was or was not quantized is said in remarks.
    """

    name: ClassVar[str] = "annotate"
    dialects: ClassVar[tuple[str, ...]] = ("qsim",)

    target: str = option("", "whose data sheet is read; by default the one that the module names (qir.target)")
    mode: str = option("", "which of the target's modes; `qir targets NAME` lists them")
    only: tuple[str, ...] = option((), "quantize these alone: node names, op types or globs")
    exclude: tuple[str, ...] = option((), "leave these in float: node names, op types or globs")
    strict: bool = option(False, "an operation that computes in float, and that no filter leaves there, is an error")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        name = self.target or module.attr("qir.target", "")
        if not name:
            raise module.error("names no target", "write annotate{target=onnxruntime}")
        changed = annotate(module, ctx, get_target(str(name)), self.only, self.exclude, self.mode, self.strict)
        self.count(ctx, "quantizers", sum(op.name == "qsim.quantizer" for op in module.body))
        return changed


def annotate(
    module: ModuleOp, ctx: Context, target: Target, only: Sequence[str] = (), exclude: Sequence[str] = (),
    mode: str = "", strict: bool = False,
) -> bool:  # fmt: skip
    """Put quantizers on the edges of the main function as the target's rules say; says why in remarks.

    `only` and `exclude` are node names, op types or globs, `mode` is one of the target's. Subgraphs and other functions
    stay float. Returns whether anything was quantized. Raises QirError for a module that has quantizers already, for a
    filter that matches nothing, and for an unknown mode; with `strict` for what stays float (`refuse_floats`).
    """
    every, target = target, target.in_mode(mode)
    func = main_function(module)
    for op in module.walk():
        if op.name.startswith("qsim."):
            raise op.error(
                "stands here before annotate: the module is annotated already",
                "start from the float module, or leave annotate out of the pipeline",
            )
    block = func.regions[0].block
    selection = Selection((op for op in func.walk() if op.results), only, exclude)
    placement = Placement(block, target, selection)
    if strict:
        refuse_floats(func, placement, every)
    _Annotator(module, ctx, target, placement, func).run()
    module.attributes["qir.target"] = StringAttr(target.name)
    module.attributes.pop("qir.mode", None)
    if mode:
        module.attributes["qir.mode"] = StringAttr(mode)
    for op, around in nested(func, target):
        ctx.remark("missed", op.location, f"{op.name} stays float: it stands in a subgraph of {around}", "annotate")
    if not placement.quantized:
        message = f"nothing is quantized: no operation meets the data sheet of {target.name}"
        ctx.warning(func.location, message, "list the reasons with --remarks missed")
    return bool(placement.quantized)


@attrs.define(eq=False)
class _Annotator:
    module: ModuleOp
    ctx: Context
    target: Target
    placement: Placement
    func: Operation
    symbols: SymbolTable = attrs.field(init=False)
    order: dict[Operation, int] = attrs.field(init=False)
    groups: dict[Key, str] = attrs.field(factory=dict)
    """The quantizer of each group of edges."""
    emitted: dict[Value, FakeOp] = attrs.field(factory=dict)
    """The fake that everybody reads instead of a value, where an operation gives codes only."""
    constants: dict[tuple[Value, Scheme], Operation] = attrs.field(factory=dict)
    """The fake of each weight or bias and scheme: operations that ask for the same share it."""

    def __attrs_post_init__(self) -> None:
        self.symbols = SymbolTable(self.module)
        self.order = {op: i for i, op in enumerate(self.placement.block)}

    def run(self) -> None:
        """In program order, so that the quantizers stand in the order of their use."""
        edges: dict[Value, list[Edge]] = {}
        for edge in self.placement.edges:
            edges.setdefault(edge.value, []).append(edge)
        for arg in self.placement.block.args:
            for edge in edges.get(arg, ()):
                self.activation(edge)
        for op in list(self.placement.block):
            plan = self.placement.quantized.get(op)
            if plan is not None:
                self.parameters(plan)
                self.remark(plan)
            elif op in self.placement.left:
                self.ctx.remark("missed", op.location, f"{op.name} stays float: {self.placement.left[op]}", "annotate")
            for result in op.results:
                for edge in edges.get(result, ()):
                    self.activation(edge)

    # ------------------------------------------------------------ edges
    def activation(self, edge: Edge) -> None:
        """One fake for the value, read by all users of the edge."""
        value = edge.value
        source = value.defining_op
        location = source.location if source is not None else _argument_location(value)
        name = self.groups.get(edge.group)
        if name is None:
            fixed = self.placement.fixed_parameters(edge.group)
            scheme = self.target.schemes[edge.scheme]
            name = self.groups[edge.group] = self.quantizer(value, scheme, location, fixed)
        users = tuple((u, i) for u in value.users for i, v in enumerate(u.operands) if v is value)
        if edge.users is not None:
            users = tuple(edge.users)
        first = min((u for u, _ in users if u in self.order), key=self.order.__getitem__, default=None)
        # Arguments and constants are listed far above: the fake stands before its first reader. Others: after the op.
        near = source is None or source.has_trait(Trait.CONSTANT_LIKE)
        before = first if near or source is None else source.next
        codes = self.emitted.get(value)
        if codes is not None:  # the op gives codes of another format: what reads these is a requantization
            value, before = codes.result, codes.next
        fake = self.fake(value, name, before, location)
        if edge.users is None:
            self.emitted[edge.value] = fake
        for user, index in users:
            user.set_operand(index, fake.result)

    def parameters(self, plan: PlannedOp) -> None:
        """Quantizers of the operation's weights, then of its biases, whose scales name the others."""
        op = plan.op
        for index, weight in plan.weights.items():
            value = op.operands[index]
            scheme = self.target.schemes[weight.scheme]
            axis = _axis(op, value, weight)
            granularity = scheme.granularity if axis is None else Granularity.per_axis(axis)
            self.constant(op, index, scheme.evolve(granularity=granularity))
        for index, bias in plan.biases.items():
            x, w = (quantizer_name(op.operands[plan.position(key)]) for key in bias.of)
            assert x is not None and w is not None
            product = Product(x, w, 0, bias.factor(op))
            scheme = self.target.schemes[bias.scheme]
            self.constant(op, index, scheme.evolve(product=product, granularity=Granularity.per_tensor()))

    def constant(self, op: Operation, index: int, scheme: Scheme) -> None:
        value = op.operands[index]
        fake = self.constants.get((value, scheme))
        if fake is None:
            name = self.quantizer(value, scheme, op.location)
            fake = self.constants[value, scheme] = self.fake(value, name, op, op.location)
        op.set_operand(index, fake.result)

    def quantizer(
        self, value: Value, scheme: Scheme, location: Location, fixed: tuple[float, int] | None = None
    ) -> str:
        source = value.defining_op
        wanted = value.name or (node_name(source) if source is not None else "input")
        quantizer = make_quantizer(self.symbols.unique(wanted), scheme, location=location)
        if fixed is not None:
            scale, zero = np.float32(fixed[0]), np.int32(fixed[1])
            quantizer.set_range(*(np.array((code - zero) * scale, np.float32) for code in (scheme.qmin, scheme.qmax)))
            quantizer.set_parameters(np.array(scale), np.array(zero) if zero != scheme.fixed_zero else None)
        return self.symbols.insert(quantizer, self.func)

    def fake(self, value: Value, name: str, before: Operation | None, location: Location) -> FakeOp:
        fake = FakeOp.create([value], [value.type], {"quantizer": SymbolRefAttr(name)}, location=location)
        self.placement.block.insert_before(fake, before)
        return fake

    # ------------------------------------------------------------ remarks
    def remark(self, plan: PlannedOp) -> None:
        names = [f"@{name}" for v in plan.op.operands if (name := quantizer_name(v)) is not None]
        message = f"{plan.op.name} quantized: reads {', '.join(names)}"
        fused = [op.name for op in self.placement.fused_ops(plan)]
        if fused:
            message += f"; {', '.join(fused)} is fused into it"
        self.ctx.remark("passed", plan.op.location, message, "annotate")


def _argument_location(value: Value) -> Location:
    return value.location if isinstance(value, BlockArgument) else UNKNOWN


def _axis(op: Operation, value: Value, weight: Weight) -> int | None:
    axis = weight.axis.of(op, value) if isinstance(weight.axis, Axis) else weight.axis
    if axis is not None and axis < 0 and isinstance(value.type, TensorType) and value.type.rank is not None:
        axis += value.type.rank
    return axis
