"""The only way in which rewrites change a module: every change is an event that the driver, the traces and the counts
see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qir.ir.attributes import DenseResourceAttr, TensorAttr, attribute, dense_from_numpy, resource_key
from qir.ir.builder import loose_absent
from qir.ir.context import Context
from qir.ir.core import Block, BlockArgument, Operation, OpResult, Region, Trait, Value
from qir.ir.location import UNKNOWN, Location, fuse
from qir.ir.symbols import SymbolTable, lookup_symbol
from qir.ir.types import NoneType, TensorType, Type, none
from qir.rewrite.events import describe, encode_attribute, update_function

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qir.rewrite.control import RewriteControl
    from qir.rewrite.matcher import Progress
    from qir.rewrite.pattern_set import PatternSet, RewritePattern

__all__ = ["Rewriter"]


class Rewriter:
    """Creates, replaces and erases operations.

    New operations go before the operation that is being rewritten and carry the fused location of all that it
    replaces; a value that replaces another inherits its name unless it has one. Also usable on its own, without the
    driver.
    """

    def __init__(self, ctx: Context, root: Operation | None = None, patterns: PatternSet | None = None) -> None:
        self.ctx = ctx
        self.tables: dict[Operation, SymbolTable] = {}
        self.progress: Progress | None = None
        self.missed: str | None = None
        self.changes = 0
        self.erased = 0
        self.worklist: dict[Operation, None] | None = None
        self.origins: dict[Operation, Operation] = {}
        self.created: list[Operation] = []
        self.control: RewriteControl | None = None
        self.before: list[str] | None = None
        self.module: Operation | None = None
        self._patterns = patterns
        self._depths: dict[str, int] = {}
        self._deepest = patterns.max_depth if patterns is not None else 1
        self._keys: set[str] | None = None
        self._origin: Operation | None = None
        self.root: Operation | None = None
        self.block: Block | None = None
        self.point: Operation | None = None
        self.location: Location = UNKNOWN
        if root is not None:
            self.start(root, (root,))

    # ------------------------------------------------------------ where
    def start(self, root: Operation, matched: Sequence[Operation]) -> None:
        """Make ready to rewrite `matched`: insert before `root`, with their fused location."""
        self.root, self.block, self.point = root, root.parent, root
        self.location = root.location if len(matched) == 1 else fuse(op.location for op in reversed(matched))
        self._origin = self.origins.get(root, root)
        self.created = []
        self.missed = None
        if self.control is not None and self.control.trace is not None:
            self.before = [describe(op) for op in reversed(matched)]

    def set_insertion_point_after(self, op: Operation) -> None:
        """Insert new operations behind `op`."""
        assert op.parent is not None
        self.block, self.point = op.parent, op.next

    @contextmanager
    def at(self, block: Block, before: Operation | None = None) -> Iterator[None]:
        """Insert elsewhere for a while."""
        saved = self.block, self.point
        self.block, self.point = block, before
        try:
            yield
        finally:
            self.block, self.point = saved

    # ------------------------------------------------------------ making
    def insert(self, op: Operation) -> Operation:
        """Insert an operation made elsewhere, and before it the definitions of its absent operands (type none) that
        are in no block yet. It gets the rewrite's location where it has none."""
        assert self.block is not None, "no insertion point"
        for maker in loose_absent(op):
            self.insert(maker)
        if op.location == UNKNOWN and op.name != "onnx.NoValue":  # an absent operand is written as _, without a place
            op.location = self.location
        self.block.insert_before(op, self.point)
        self._added(op)
        return op

    def op(
        self, name: str | type[Operation], operands: Sequence[Value | Operation | None] = (),
        attributes: Mapping[str, Any] | None = None, types: Sequence[Type] | Type | None = None,
        regions: Sequence[Region] = (), *, location: Location | None = None,
        names: Sequence[str | None] | str | None = None,
    ) -> Operation:  # fmt: skip
        """Make and insert an operation.

        An operation among the operands means its only result; None an absent one (NoValue where others follow).
        Attributes may be Python values, those that are None are left out. `types` are the results', by default those
        of the operation that is being rewritten. `names` name the results.
        """
        cls = self.ctx.op_class(name) if isinstance(name, str) else name
        if types is None:
            assert self.root is not None, "give the results' types"
            result_types: Sequence[Type] = [r.type for r in self.root.results]
        else:
            result_types = [types] if isinstance(types, Type) else types
        values: list[Value] = []
        count = len(operands)
        while count and operands[count - 1] is None:
            count -= 1
        for operand in operands[:count]:
            if operand is None:
                values.append(self.insert(self.ctx.create_op("onnx.NoValue", (), (none,))).result)
            else:
                values.append(operand.result if isinstance(operand, Operation) else operand)
        encoded = {k: encode_attribute(cls, k, v) for k, v in (attributes or {}).items() if v is not None}
        full = name if isinstance(name, str) else name.name
        made = (
            self.ctx.create_op(full, values, result_types, encoded, regions, location or self.location)
            if cls is None
            else cls.create(values, result_types, encoded, regions, location or self.location)
        )
        if names is not None:
            for result, given in zip(made.results, (names,) if isinstance(names, str) else names, strict=False):
                result.name = given
        return self.insert(made)

    def constant(
        self,
        data: NDArray[Any] | TensorAttr,
        name: str | None = None,
        *,
        location: Location | None = None,
        initializer: bool = False,
    ) -> OpResult:
        """Insert an ``onnx.Constant``. A large tensor is held by reference, under a key made from `name`.

        `initializer` marks it as one of the graph's initializers, so that the export writes it as such. Without a
        `location` it has none: it is data of the operation that uses it, and must not take that node's name.
        """
        held = data if isinstance(data, TensorAttr) else dense_from_numpy(data, self.resource_key(name or "constant"))
        attributes: dict[str, Any] = {"value": held}
        if initializer:
            attributes["onnx.initializer"] = attribute(None)
        made = self.op("onnx.Constant", (), attributes, held.type, names=name)
        made.location = UNKNOWN if location is None else location
        return made.result

    def resource_key(self, name: str) -> str:
        """A key for `dense_resource` that no tensor of the module has: `name`, or name_0, name_1, …"""
        base = resource_key(name)
        if self._keys is None:
            self._keys = set()
            around = self.root
            while around is not None and around.parent_op is not None:
                around = around.parent_op
            for op in around.walk() if around is not None else ():
                for held in op.attributes.values():
                    if isinstance(held, DenseResourceAttr):
                        self._keys.add(held.key)
        key, number = base, 0
        while key in self._keys:
            key, number = f"{base}_{number}", number + 1
        self._keys.add(key)
        return key

    # ------------------------------------------------------------ changing
    def replace(self, op: Operation, values: Operation | Value | Sequence[Value | None]) -> None:
        """Let everybody use `values` instead of the results of `op`, hand on their names, and erase `op`.

        One value per result; None for a result that nobody uses. Raises ValueError where the counts or types differ.
        """
        given: Sequence[Value | None]
        if isinstance(values, Operation):
            given = values.results
        elif isinstance(values, Value):
            given = (values,)
        else:
            given = values
        if len(given) < len(op.results):
            given = [*given, *(None for _ in range(len(op.results) - len(given)))]
        if len(given) != len(op.results):
            raise ValueError(f"{op.name} has {len(op.results)} results, {len(given)} values were given to replace them")
        for old, new in zip(op.results, given, strict=True):
            if new is None:
                if old.uses:
                    raise ValueError(f"result {old.index} of {op.name} is used and was given nothing to replace it")
                continue
            self.replace_all_uses(old, new)
        self.erase(op)

    def replace_all_uses(self, old: Value, new: Value) -> None:
        """Let every user of `old` read `new`; `new` inherits the name if it has none."""
        if new is old:
            return
        if isinstance(new, OpResult) and new.name is None and not isinstance(new.type, NoneType):
            new.name = old.name
        users = tuple(old.uses)
        if users:
            if new.type != old.type:
                self._refine(new, old.type)
            returned = [user for user in users if user.traits & Trait.TERMINATOR]
            places = [(user, [i for i, v in enumerate(user.operands) if v is old]) for user in returned]
            old.replace_all_uses_with(new)
            for user, indices in places:
                update_function(user, indices, old, new)
            self.changes += 1
            self._revisit_users(dict.fromkeys(users))
            self._lost_use(old)

    def _refine(self, value: Value, other: Type) -> None:
        """What is known about a value by the type of the one it replaces is true of it too."""
        known = value.type
        if value.defining_op is None or not isinstance(known, TensorType) or not isinstance(other, TensorType):
            return
        if other.shape is None or known.element != other.element:
            return
        shape = known.shape if known.shape is not None else (None,) * len(other.shape)
        if len(shape) == len(other.shape):
            self.set_type(
                value, known.with_shape(tuple(b if a is None else a for a, b in zip(shape, other.shape, strict=True)))
            )

    def set_operands(self, op: Operation, values: Sequence[Value]) -> None:
        """Replace all operands of an operation."""
        before = op.operands
        op.set_operands(values)
        self.changes += 1
        self._modified(op)
        for value in dict.fromkeys(before):
            if op not in value.uses:
                self._lost_use(value)

    def set_operand(self, op: Operation, index: int, value: Value) -> None:
        operands = list(op.operands)
        operands[index] = value
        self.set_operands(op, operands)

    def set_attr(self, op: Operation, name: str, value: Any) -> None:
        """Set an attribute to an attribute or a Python value; None removes it."""
        with self.modify(op):
            if value is None:
                op.attributes.pop(name, None)
            else:
                op.attributes[name] = encode_attribute(type(op), name, value)

    def set_type(self, value: Value, type: Type) -> None:
        """Give a value another type."""
        if value.type != type:
            assert isinstance(value, (OpResult, BlockArgument))
            value.type = type
            self.changes += 1
            self._revisit((value,))
            if value.defining_op is not None:
                self._push(value.defining_op)

    @contextmanager
    def modify(self, op: Operation) -> Iterator[Operation]:
        """Change attributes or operands of an operation in place."""
        before = op.operands
        yield op
        self.changes += 1
        self._modified(op)
        for value in dict.fromkeys(before):
            if op not in value.uses:
                self._lost_use(value)

    def erase(self, op: Operation) -> None:
        """Erase an operation that nothing uses (with all inside it). Raises ValueError where something does."""
        operands = (
            dict.fromkeys(v for inner in op.walk() for v in inner.operands)
            if op.regions
            else dict.fromkeys(op.operands)
        )
        if op is self.point:
            self.point = op.next
        if self.worklist is not None:
            for inner in op.walk() if op.regions else (op,):
                self.worklist.pop(inner, None)
                self.origins.pop(inner, None)
        if op.traits & Trait.SYMBOL:
            self.tables.clear()
        op.erase()
        self.changes += 1
        self.erased += 1
        for value in operands:
            self._lost_use(value)

    def erase_if_dead(self, op: Operation) -> bool:
        """Erase an operation if nothing uses its results."""
        if any(r.uses for r in op.results):
            return False
        self.erase(op)
        return True

    def lookup(self, op: Operation, symbol: str) -> Operation | None:
        """The symbol that `symbol` means at `op`."""
        return lookup_symbol(op, symbol, self.tables)

    # ------------------------------------------------------------ counters
    def allows(self, pattern: RewritePattern) -> bool:
        """Whether ``--debug-counter`` lets this rewrite happen."""
        counter = self.control.counters.get(pattern.name) if self.control is not None else None
        return counter is None or counter.allows()

    # ------------------------------------------------------------ events
    def _added(self, op: Operation) -> None:
        self.changes += 1
        self.created.append(op)
        if op.traits & Trait.SYMBOL:
            self.tables.clear()
        if self.worklist is not None:
            for inner in op.walk() if op.regions else (op,):
                self.worklist[inner] = None
                if self._origin is not None:
                    self.origins[inner] = self._origin

    def _push(self, op: Operation) -> None:
        if self.worklist is not None:
            self.worklist[op] = None

    def _modified(self, op: Operation) -> None:
        self._push(op)
        self._revisit(op.results)

    def _lost_use(self, value: Value) -> None:
        """What defines `value` may be dead now, and its last user's match may have become possible."""
        if self.worklist is None:
            return
        definer = value.defining_op
        if definer is not None and definer.parent is not None:
            self.worklist[definer] = None
        if len(value.uses) == 1:
            self._revisit((value,))

    def _revisit(self, values: Sequence[Value]) -> None:
        """Visit the users of changed values again."""
        if self.worklist is not None:
            self._revisit_users(dict.fromkeys(user for value in values for user in value.uses))

    def _revisit_users(self, users: dict[Operation, None]) -> None:
        """Visit operations again whose operands changed, and their users as far as a pattern looks down from there."""
        worklist = self.worklist
        if worklist is None:
            return
        worklist.update(users)
        patterns, depths = self._patterns, self._depths
        for level in range(2, self._deepest + 1):
            users = {further: None for user in users for result in user.results for further in result.uses}
            for user in users:
                depth = depths.get(user.name)
                if depth is None:
                    assert patterns is not None
                    depth = depths[user.name] = patterns.depth_of(user.name)
                if depth >= level:
                    worklist[user] = None
