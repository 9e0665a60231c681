"""Values, operations, blocks and regions: the SSA graph.

The classes here are made by the hundred thousand: slotted, without validators, compared by identity. Operands change
only through methods, so that the use lists stay right.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import attrs

from qir.ir.attributes import Attribute, python_value
from qir.ir.diagnostics import Diagnostic, QirError, Severity
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import NoneType, Type

if TYPE_CHECKING:
    from typing_extensions import Self

    from qir.ir.definition import OpDefinition

__all__ = [
    "Block",
    "BlockArgument",
    "OpResult",
    "Operation",
    "Region",
    "Trait",
    "UnregisteredOp",
    "Value",
    "is_absent",
    "new_operation",
]


class Trait(enum.Flag):
    """What is true of every operation of a class."""

    NONE = 0
    PURE = enum.auto()
    COMMUTATIVE = enum.auto()
    CONSTANT_LIKE = enum.auto()
    TERMINATOR = enum.auto()
    ISOLATED_FROM_ABOVE = enum.auto()
    SYMBOL_TABLE = enum.auto()
    SYMBOL = enum.auto()
    NO_TERMINATOR = enum.auto()
    GRAPH_REGION = enum.auto()
    ELEMENTWISE = enum.auto()
    SCALE_PRESERVING = enum.auto()


class Value:
    """An operation's result or a block's argument.

    `uses` counts, per user, how many of its operands are this value, in the order in which they came. `name` is the
    ONNX name or the SSA name of the text, exactly; None for a value without a name.
    """

    __slots__ = tuple[str, ...]()  # the subclasses have the slots; a call, so that mypy does not look for them here

    type: Type
    uses: dict[Operation, int]
    name: str | None

    @property
    def users(self) -> tuple[Operation, ...]:
        return tuple(self.uses)

    def has_one_use(self) -> bool:
        """Whether exactly one operand of one operation is this value."""
        return len(self.uses) == 1 and next(iter(self.uses.values())) == 1

    @property
    def defining_op(self) -> Operation | None:
        """The operation whose result this is; None for a block argument."""
        return None

    @property
    def block(self) -> Block | None:
        """The block in which the value is defined."""
        raise NotImplementedError

    def replace_all_uses_with(self, value: Value) -> None:
        """Let every user read `value` instead."""
        if value is self:
            return
        for user in tuple(self.uses):
            user.set_operands([value if operand is self else operand for operand in user.operands])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} %{self.name or '?'} : {self.type}>"


def is_absent(value: Value | None) -> bool:
    """Whether an operand is not there: missing at the end, or of type none (a result of ``onnx.NoValue``)."""
    return value is None or isinstance(value.type, NoneType)


@attrs.define(eq=False, repr=False)
class OpResult(Value):
    """Result number `index` of `owner`."""

    type: Type
    owner: Operation
    index: int
    name: str | None = None
    uses: dict[Operation, int] = attrs.field(factory=dict, init=False)

    @property
    def defining_op(self) -> Operation:
        return self.owner

    @property
    def block(self) -> Block | None:
        return self.owner.parent


@attrs.define(eq=False, repr=False)
class BlockArgument(Value):
    """Argument number `index` of the block `owner`."""

    type: Type
    owner: Block
    index: int
    name: str | None = None
    location: Location = UNKNOWN
    uses: dict[Operation, int] = attrs.field(factory=dict, init=False)

    @property
    def block(self) -> Block:
        return self.owner


@attrs.define(eq=False, repr=False, init=False)
class Operation:
    """Base of all operations. Make one with `create` (or a definition's `build`), then insert it into a block.

    A registered operation has a class of its own, made by `qir.ir.definition.op_def`; all others share
    `UnregisteredOp`.
    """

    operands: tuple[Value, ...]
    results: tuple[OpResult, ...]
    attributes: dict[str, Attribute]
    regions: tuple[Region, ...]
    parent: Block | None
    prev: Operation | None
    next: Operation | None
    location: Location

    name: ClassVar[str] = ""
    traits: ClassVar[Trait] = Trait.NONE
    definition: ClassVar[OpDefinition | None] = None

    # ------------------------------------------------------------ making
    @classmethod
    def create(
        cls,
        operands: Sequence[Value] = (),
        result_types: Sequence[Type] = (),
        attributes: Mapping[str, Attribute] | None = None,
        regions: Sequence[Region] = (),
        location: Location = UNKNOWN,
    ) -> Self:
        """A new operation outside any block. Nothing is verified here."""
        op = cls.__new__(cls)
        op._init(tuple(operands), result_types, dict(attributes) if attributes else {}, tuple(regions), location)
        return op

    def _init(
        self, operands: tuple[Value, ...], result_types: Sequence[Type], attributes: dict[str, Attribute],
        regions: tuple[Region, ...], location: Location,
    ) -> None:  # fmt: skip
        self.operands = operands
        for value in operands:
            uses = value.uses
            uses[self] = uses.get(self, 0) + 1
        self.results = tuple([OpResult(t, self, i) for i, t in enumerate(result_types)])
        self.attributes = attributes
        self.regions = regions
        for region in regions:
            region.parent = self
        self.parent = self.prev = self.next = None
        self.location = location

    def clone(self, mapping: dict[Value, Value] | None = None) -> Self:
        """A copy with its regions. Operands in `mapping` are replaced; results and arguments are added to it."""
        mapping = {} if mapping is None else mapping
        op = new_operation(
            type(self),
            self.name,
            tuple([mapping.get(v, v) for v in self.operands]),
            [r.type for r in self.results],
            dict(self.attributes),
            tuple(Region() for _ in self.regions),
            self.location,
        )
        for old, new in zip(self.results, op.results, strict=True):
            new.name = old.name
            mapping[old] = new
        for old_region, new_region in zip(self.regions, op.regions, strict=True):
            old_region.clone_into(new_region, mapping)
        return op

    # ------------------------------------------------------------ reading
    @property
    def result(self) -> OpResult:
        """The only result. Raises ValueError if there is not exactly one."""
        if len(self.results) != 1:
            raise ValueError(f"{self.name} has {len(self.results)} results, not one")
        return self.results[0]

    @property
    def parent_op(self) -> Operation | None:
        """The operation in whose region this one stands."""
        return self.parent.parent_op if self.parent is not None else None

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute as a Python value (int, float, str, bool, tuple, Type; tensors and symbols as attributes)."""
        value = self.attributes.get(name)
        return default if value is None else python_value(value)

    def has_trait(self, trait: Trait) -> bool:
        return bool(self.traits & trait)

    @property
    def is_registered(self) -> bool:
        return self.definition is not None

    def walk(self) -> Iterator[Operation]:
        """This operation and all inside it, in order. The visited one may be erased."""
        yield self
        for region in self.regions:
            for block in region.blocks:
                op = block.first
                while op is not None:
                    following = op.next
                    if op.regions:
                        yield from op.walk()
                    else:
                        yield op
                    op = following

    def ancestor(self, kind: type[Operation]) -> Operation | None:
        """The nearest operation of class `kind` around this one (or itself)."""
        op: Operation | None = self
        while op is not None and not isinstance(op, kind):
            op = op.parent_op
        return op

    def is_before(self, other: Operation) -> bool:
        """Whether this stands before `other` in their common block."""
        assert self.parent is not None and self.parent is other.parent
        forward, backward = self.next, self.prev  # search in both directions at once: neighbours are the common case
        while forward is not None or backward is not None:
            if forward is not None:
                if forward is other:
                    return True
                forward = forward.next
            if backward is not None:
                if backward is other:
                    return False
                backward = backward.prev
        return False

    # ------------------------------------------------------------ changing
    def set_operand(self, index: int, value: Value) -> None:
        operands = list(self.operands)
        operands[index] = value
        self.set_operands(operands)

    def set_operands(self, values: Iterable[Value]) -> None:
        """Replace all operands."""
        old, self.operands = self.operands, tuple(values)
        for value in self.operands:  # first, so that a kept use keeps its place in the order of users
            uses = value.uses
            uses[self] = uses.get(self, 0) + 1
        for value in old:
            uses = value.uses
            count = uses[self] - 1
            if count:
                uses[self] = count
            else:
                del uses[self]

    def detach(self) -> None:
        """Take it out of its block, keeping operands and uses."""
        block = self.parent
        if block is None:
            return
        if self.prev is None:
            block.first = self.next
        else:
            self.prev.next = self.next
        if self.next is None:
            block.last = self.prev
        else:
            self.next.prev = self.prev
        self.parent = self.prev = self.next = None

    def erase(self) -> None:
        """Take it out of its block and drop its operands. Raises ValueError if a result is still used."""
        for result in self.results:
            if result.uses:
                raise ValueError(
                    f"cannot erase {self.name}: result {result.index} is used by {next(iter(result.uses)).name}"
                )
        self.detach()
        self.drop_all_references()

    def drop_all_references(self) -> None:
        """Drop the operands of this and of all operations inside it."""
        for op in self.walk():
            op.set_operands(())

    # ------------------------------------------------------------ messages
    def error(self, message: str, hint: str | None = None, notes: Sequence[Diagnostic] = ()) -> QirError:
        """The error to raise about this operation."""
        return QirError(Diagnostic(Severity.ERROR, self.location, f"'{self.name}' {message}", tuple(notes), hint))

    def __repr__(self) -> str:
        return f"<{self.name}{' ' + str(self.location) if self.location is not UNKNOWN else ''}>"


class UnregisteredOp(Operation):
    """An operation whose dialect or name is unknown; kept as it is."""

    __slots__ = ("op_name",)
    op_name: str

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.op_name

    @classmethod
    def create(  # type: ignore[override]
        cls,
        operands: Sequence[Value] = (),
        result_types: Sequence[Type] = (),
        attributes: Mapping[str, Attribute] | None = None,
        regions: Sequence[Region] = (),
        location: Location = UNKNOWN,
        *,
        name: str,
    ) -> UnregisteredOp:
        return new_operation(
            cls, name, tuple(operands), result_types, dict(attributes) if attributes else {}, tuple(regions), location
        )


Op = TypeVar("Op", bound=Operation)


def new_operation(
    cls: type[Op], name: str, operands: tuple[Value, ...], result_types: Sequence[Type],
    attributes: dict[str, Attribute], regions: tuple[Region, ...], location: Location,
) -> Op:  # fmt: skip
    """What `Operation.create` makes, of a class or (by `name`) unregistered; it takes `attributes` over, uncopied."""
    op = cls.__new__(cls)
    if isinstance(op, UnregisteredOp):
        op.op_name = name
    op._init(operands, result_types, attributes, regions, location)
    return op


@attrs.define(eq=False, repr=False, init=False)
class Block:
    """Arguments and a linked list of operations: inserting and erasing while walking is defined and O(1)."""

    args: list[BlockArgument]
    first: Operation | None
    last: Operation | None
    parent: Region | None
    label: str | None

    def __init__(self, arg_types: Sequence[Type] = (), label: str | None = None) -> None:
        self.args = [BlockArgument(t, self, i) for i, t in enumerate(arg_types)]
        self.first = self.last = self.parent = None
        self.label = label

    @property
    def parent_op(self) -> Operation | None:
        return self.parent.parent if self.parent is not None else None

    def add_arg(self, type: Type, name: str | None = None, location: Location = UNKNOWN) -> BlockArgument:
        arg = BlockArgument(type, self, len(self.args), name, location)
        self.args.append(arg)
        return arg

    def erase_arg(self, index: int) -> None:
        """Remove an argument. Raises ValueError if it is used."""
        if self.args[index].uses:
            raise ValueError(f"block argument {index} is still used")
        del self.args[index]
        for i, arg in enumerate(self.args):
            arg.index = i

    def __iter__(self) -> Iterator[Operation]:
        op = self.first
        while op is not None:
            following = op.next
            yield op
            # What follows may have been erased meanwhile: then go on from the op itself, if it still stands here.
            op = (
                following if following is None or following.parent is self else (op.next if op.parent is self else None)
            )

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def terminator(self) -> Operation | None:
        """The last operation, if it is a terminator."""
        return self.last if self.last is not None and self.last.has_trait(Trait.TERMINATOR) else None

    def append(self, op: Operation) -> None:
        op.parent = self
        last = self.last
        if last is None:
            self.first = op
        else:
            last.next = op
            op.prev = last
        self.last = op

    def insert_before(self, op: Operation, reference: Operation | None) -> None:
        """Insert before `reference`; None appends."""
        if reference is None:
            self.append(op)
            return
        op.parent, op.prev, op.next = self, reference.prev, reference
        if reference.prev is None:
            self.first = op
        else:
            reference.prev.next = op
        reference.prev = op

    def insert_after(self, op: Operation, reference: Operation | None) -> None:
        """Insert after `reference`; None inserts at the start."""
        self.insert_before(op, self.first if reference is None else reference.next)


@attrs.define(eq=False, repr=False, init=False)
class Region:
    """A list of blocks, owned by an operation."""

    blocks: list[Block]
    parent: Operation | None

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks = list(blocks)
        self.parent = None
        for block in self.blocks:
            block.parent = self

    def add_block(self, block: Block) -> Block:
        block.parent = self
        self.blocks.append(block)
        return block

    @property
    def block(self) -> Block:
        """The only block. Raises ValueError if there is not exactly one."""
        if len(self.blocks) != 1:
            raise ValueError(f"the region has {len(self.blocks)} blocks, not one")
        return self.blocks[0]

    def clone_into(self, target: Region, mapping: dict[Value, Value]) -> None:
        """Append copies of all blocks to `target`."""
        for old in self.blocks:
            new = target.add_block(Block([a.type for a in old.args], old.label))
            for a, b in zip(old.args, new.args, strict=True):
                b.name, b.location = a.name, a.location
                mapping[a] = b
        later: list[Operation] = []
        for old, new in zip(self.blocks, target.blocks[-len(self.blocks) :] if self.blocks else (), strict=True):
            for op in old:
                copy = op.clone(mapping)
                new.append(copy)
                later.append(copy)
        for op in later:  # operands defined further down (graph regions, other blocks)
            if any(v in mapping for v in op.operands):
                op.set_operands([mapping.get(v, v) for v in op.operands])
