"""Where quantizers stand: a data sheet read over a graph.

The result is a plan (which edges, which of them share a quantizer), not a change of the graph; `annotate` makes that.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from qir.ir import Block, BlockArgument, FloatType, Operation, TensorType, Trait, Value
from qir.passes.quantize.filters import Selection
from qir.target import Bias, Data, Rule, Target, Weight, is_constant, operand_indices

__all__ = ["Edge", "Placement", "PlannedOp"]

Key = tuple[Value, str, Operation | None]
"""An edge's identity: the value, the scheme's name, and the operation that reads it if that has an edge of its own."""


@attrs.define(eq=False)
class PlannedOp:
    """What the data sheet says of one operation: its rule, the operand positions that are activations, weights and
    biases, and its results (behind a fused activation, that activation's)."""

    op: Operation
    rule: Rule
    data: dict[int, str]
    weights: dict[int, Weight]
    biases: dict[int, Bias]
    results: tuple[Value, ...]

    @property
    def emits(self) -> bool:
        """Whether the op, once quantized, gives codes only: everybody who reads it reads the quantized value."""
        return self.rule.role != "compute" or self.rule.output == "always"

    @property
    def joins(self) -> bool:
        """Whether everybody who reads an activation that the op demands reads it quantized."""
        return any(isinstance(demand, Data) and demand.joint for demand in self.rule.operands.values())

    @property
    def result_scheme(self) -> str | None:
        return next(iter(self.data.values())) if self.rule.role == "move" else self.rule.result

    def position(self, key: str) -> int:
        """The position of the operand that the data sheet calls `key`."""
        return operand_indices(self.op, key)[0]


@attrs.define(eq=False)
class Edge:
    """A value to be quantized. `users` are the operands that read it so, None all of them; edges of one `group` share
    a quantizer."""

    value: Value
    scheme: str
    users: list[tuple[Operation, int]] | None
    group: Key


def _leaves(op: Operation) -> bool:
    """Whether the operation hands values out of the graph."""
    return op.has_trait(Trait.TERMINATOR)


class Placement:
    """Reads a target's rules over a block.

    `edges` are the activations (and constants in their place) to be quantized, in program order; `quantized` are the
    operations to which rules apply, `left` the others with the reason; `spared` are those of them that could be
    quantized or fused, and are not for what they stand between.
    """

    def __init__(self, block: Block, target: Target, selection: Selection) -> None:
        self.block, self.target, self.selection = block, target, selection
        self.left: dict[Operation, str] = {}
        self.spared: set[Operation] = set()
        self._plans: dict[Operation, PlannedOp] = {}
        self._source: dict[Value, PlannedOp] = {}
        self._fused: dict[Operation, PlannedOp] = {}
        self._parent: dict[Key, Key] = {}
        self._fixed: dict[Key, tuple[float, int]] = {}
        self._read_rules()
        self._find_fused()
        self._source = {v: plan for plan in self._plans.values() for v in plan.results}
        self._demanded = {
            plan.op.operands[i] for plan in self._plans.values() if plan.rule.role == "compute" for i in plan.data
        }
        self._settle()
        for op in self._fused:
            self.left.pop(op, None)
        self.quantized = self._plans
        self.edges = list(self._place())
        self._share()
        for edge in self.edges:
            edge.group = self._find(edge.group)

    def fixed_parameters(self, group: Key) -> tuple[float, int] | None:
        """Scale and zero point that a group of edges has whatever the data, where a kernel gives them."""
        return self._fixed.get(self._find(group))

    def fused_ops(self, plan: PlannedOp) -> list[Operation]:
        """The activation functions fused into a quantized operation."""
        return [v.defining_op for v in plan.results if v.defining_op in self._fused and v.defining_op is not plan.op]

    # ------------------------------------------------------------ rules
    def _read_rules(self) -> None:
        for op in self.block:
            if not op.results or op.has_trait(Trait.CONSTANT_LIKE) or op.name == "onnx.NoValue":
                continue
            reason = self.selection.reason(op)
            if reason is None:
                rule, reason = self.target.choose(op)
                if rule is not None and rule.role != "float":
                    plan = self._plan(op, rule)
                    if isinstance(plan, PlannedOp):
                        self._plans[op] = plan
                        continue
                    reason = plan
            self.left[op] = reason

    def _plan(self, op: Operation, rule: Rule) -> PlannedOp | str:
        """The operation's part of the plan, or the reason why the rule cannot apply."""
        data: dict[int, str] = {}
        weights: dict[int, Weight] = {}
        biases: dict[int, Bias] = {}
        for key, demand in rule.operands.items():
            for index in operand_indices(op, key):
                reason = self._unfit(op.operands[index], f"operand {key}")
                if reason is not None:
                    return reason
                if isinstance(demand, Data):
                    data[index] = demand.scheme
                elif isinstance(demand, Weight):
                    weights[index] = demand
                else:
                    biases[index] = demand
        if not data and not weights:
            return "it has no operand to quantize"
        if data and all(is_constant(op.operands[i]) for i in data):
            return "all its operands are constants"
        for result in op.results:
            reason = self._unfit(result, "its result")
            if reason is not None:
                return reason
        return PlannedOp(op, rule, data, weights, biases, op.results)

    def _unfit(self, value: Value, what: str) -> str | None:
        type = value.type
        if isinstance(type, TensorType) and isinstance(type.element, FloatType):
            if type.element.name in self.target.elements:
                return None
            return f"{what} is {type}; {self.target.name} quantizes {', '.join(self.target.elements)}"
        if isinstance(type, TensorType):
            return f"{what} is {type}: shapes, indices and masks are left alone"
        return f"{what} is of type {type}"

    def _find_fused(self) -> None:
        """Activation functions that the op before them absorbs: its only reader, and the rule names it."""
        for plan in self._plans.values():
            if not plan.rule.fused or len(plan.op.results) != 1 or not plan.op.result.has_one_use():
                continue
            user = plan.op.result.users[0]
            fused = plan.rule.fuses(user)
            if (
                fused is not None
                and user.parent is self.block
                and user.operands[0] is plan.op.result
                and self.selection.reason(user) is None
                and fused.holds(user)
            ):
                plan.results = user.results
                self._fused[user] = plan

    # ------------------------------------------------------------ which ops that follow or move take part
    def _settle(self) -> None:
        """Drop operations that follow or move until each of the rest stands between quantized ones.

        The largest set that is consistent: it starts with all of them, and an operation goes when what it reads is not
        quantized, or when nobody wants its result so. Both directions are walked in turn, so chains go in one pass.
        """
        candidates = [plan for plan in self._plans.values() if plan.rule.role != "compute"]
        changed = True
        while changed:
            changed = False
            for plan in (*candidates, *reversed(candidates)):
                if plan.op in self._plans:
                    reason = self._misplaced(plan)
                    if reason is not None:
                        self._drop(plan, reason)
                        changed = True
        for plan in list(self._plans.values()):  # a product whose float result is wanted absorbs nothing
            if plan.rule.role == "compute" and not plan.emits and not any(self._wanted(v) for v in plan.results):
                self._unfuse(plan)

    def _drop(self, plan: PlannedOp, reason: str) -> None:
        self.left[plan.op] = reason
        self.spared.add(plan.op)
        del self._plans[plan.op]
        for value in plan.results:
            del self._source[value]
        self._unfuse(plan)

    def _unfuse(self, plan: PlannedOp) -> None:
        for op in [op for op, into in self._fused.items() if into is plan]:
            del self._fused[op]
            self.spared.add(op)

    def _wanted(self, value: Value) -> bool:
        return value in self._demanded or any(True for _ in self._active_readers(value))

    def _active_readers(self, value: Value) -> Iterator[PlannedOp]:
        """Planned operations that follow or move and read `value` as an activation."""
        for user in value.uses:
            plan = self._plans.get(user)
            if plan is not None and plan.rule.role != "compute" and any(user.operands[i] is value for i in plan.data):
                yield plan

    def _carried(self, value: Value) -> bool:
        """Whether the value has a quantizer already, whatever the op that asks will do."""
        if value in self._demanded:
            return True
        source = self._source.get(value)
        if source is None:
            return False
        if source.emits:
            return True
        return any(p.rule.role == "move" or p.rule.share == "always" for p in self._active_readers(value))

    def _misplaced(self, plan: PlannedOp) -> str | None:
        op, move = plan.op, plan.rule.role == "move"
        for index in plan.data:
            value = op.operands[index]
            if is_constant(value):
                if move:
                    return "it moves a constant"
            elif not self._carried(value) and not (move and value in self._source):
                name = f" ({value.name})" if value.name else ""
                return f"operand {index}{name} is not quantized"
        for value in plan.results:
            if value in self._demanded:
                return None
            readers = {p.op for p in self._active_readers(value)}
            if readers if move else (readers and all(user in readers for user in value.uses)):
                return None
        return "its result is read in float"

    # ------------------------------------------------------------ edges
    def _place(self) -> Iterator[Edge]:
        for arg in self.block.args:
            yield from self._edges_of(arg)
        for op in self.block:
            for result in op.results:
                yield from self._edges_of(result)

    def _edges_of(self, value: Value) -> Iterator[Edge]:
        if not value.uses:
            return
        demands: dict[str, list[tuple[Operation, int]]] = {}
        for user in value.uses:
            plan = self._plans.get(user)
            if plan is not None:
                for index, scheme in plan.data.items():
                    if user.operands[index] is value:
                        demands.setdefault(scheme, []).append((user, index))
        source = self._source.get(value)
        if source is not None and source.emits:
            given = source.result_scheme
            assert given is not None
            yield Edge(value, given, None, (value, given, None))
            demands.pop(given, None)
        for scheme, users in demands.items():
            if len(demands) == 1 and any(self._plans[user].joins for user, _ in users):
                users = [(u, i) for u in value.users for i, v in enumerate(u.operands) if v is value and not _leaves(u)]
            yield Edge(value, scheme, users, (value, scheme, None))

    # ------------------------------------------------------------ sharing
    def _find(self, key: Key) -> Key:
        parent = self._parent
        root = key
        while parent.get(root, root) != root:
            root = parent[root]
        while parent.get(key, key) != root:
            parent[key], key = root, parent[key]
        return root

    def _union(self, first: Key, second: Key) -> None:
        """The group keeps the name of the edge that comes first in the program."""
        first, second = self._find(first), self._find(second)
        if first != second:
            self._parent[second] = first

    def _share(self) -> None:
        for plan in self._plans.values():
            if plan.rule.role == "move":
                ((index, scheme),) = plan.data.items()
                for result in plan.results:
                    self._union((plan.op.operands[index], scheme, None), (result, scheme, None))
        for plan in self._plans.values():
            if plan.rule.fixed is not None and plan.result_scheme is not None:
                self._fixed |= {self._find((v, plan.result_scheme, None)): plan.rule.fixed for v in plan.results}
        members: dict[Key, list[Value]] = {}
        for edge in self.edges:
            members.setdefault(self._find(edge.group), []).append(edge.value)
        for plan in self._plans.values():
            if plan.rule.share and (plan.results == plan.op.results or plan.rule.share == "always"):
                self._share_operands(plan, members)
            if plan.rule.share == "always":
                self._requantize_operands(plan)

    def _share_operands(self, plan: PlannedOp, members: dict[Key, list[Value]]) -> None:
        """Operands that nothing else reads take the result's quantizer: their codes are then copied, and rounded once.

        An operand that others read keeps its own, for the result's wider range would cost them precision.
        """
        scheme = plan.result_scheme
        assert scheme is not None
        result = (plan.results[0], scheme, None)
        for index, name in plan.data.items():
            value = plan.op.operands[index]
            if name != scheme or is_constant(value):
                continue
            key, target = self._find((value, name, None)), self._find(result)
            group = members.get(key, [])
            if key in self._fixed or target in self._fixed:
                continue
            if key != target and all(self._leads_to(v, plan) for v in group):
                self._union(key, target)
                members[key] = group + members.pop(target, [])

    def _requantize_operands(self, plan: PlannedOp) -> None:
        """Operands that could not take the result's quantizer get an edge of their own, with that quantizer."""
        scheme = plan.result_scheme
        assert scheme is not None
        target = self._find((plan.results[0], scheme, None))
        for index, name in plan.data.items():
            value = plan.op.operands[index]
            if name != scheme or self._find((value, name, None)) == target:
                continue
            for edge in [e for e in self.edges if e.value is value and e.users is not None]:
                edge.users = [use for use in edge.users or () if use != (plan.op, index)]
                if not edge.users:
                    self.edges.remove(edge)
            own = next((e for e in self.edges if e.group == (value, name, plan.op)), None)
            if own is None:
                own = Edge(value, name, [], (value, name, plan.op))
                self.edges.append(own)
                self._union(target, own.group)
            own.users = [*(own.users or ()), (plan.op, index)]

    def _leads_to(self, value: Value, plan: PlannedOp) -> bool:
        """Whether a value is read only by `plan`, or by an operation that passes it on."""
        if len(value.uses) != 1 or isinstance(value, BlockArgument):
            return False
        reader = self._plans.get(value.users[0])
        return reader is plan or (reader is not None and (reader.rule.role == "move" or bool(reader.rule.share)))
