"""Structural equality of operations: the same graph, attributes and tensor contents, whatever the objects."""

from __future__ import annotations

from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseAttr,
    DenseResourceAttr,
    DenseStringAttr,
    DictAttr,
    TensorAttr,
)
from qir.ir.core import Block, Operation, Value
from qir.ir.location import Location

__all__ = ["difference", "is_equal", "same_data"]


def is_equal(a: Operation, b: Operation, *, names: bool = False, locations: bool = False) -> bool:
    """Whether two operations (with all inside them) are equal, tensors compared by content. `names` also compares the
    names of values, `locations` also the locations."""
    return difference(a, b, names=names, locations=locations) is None


def difference(a: Operation, b: Operation, *, names: bool = False, locations: bool = False) -> str | None:
    """The first difference in words, or None."""
    values: dict[Value, Value] = {}
    # Operands are compared last: graph regions use values before their definition.
    pending: list[tuple[Operation, Operation]] = []

    def value_pair(where: str, x: Value, y: Value) -> str | None:
        if x.type != y.type:
            return f"{where}: type {x.type} against {y.type}"
        if names and x.name != y.name:
            return f"{where}: name {x.name!r} against {y.name!r}"
        values[x] = y
        return None

    def location_pair(where: str, x: Location, y: Location) -> str | None:
        return f"{where}: location {x} against {y}" if locations and x != y else None

    def op_pair(x: Operation, y: Operation) -> str | None:
        where = x.name + (f" [{x.location.names()[0]}]" if x.location.names() else "")
        if x.name != y.name:
            return f"{where}: against {y.name}"
        if len(x.operands) != len(y.operands) or len(x.results) != len(y.results) or len(x.regions) != len(y.regions):
            return f"{where}: numbers of operands, results or regions differ"
        if (found := location_pair(where, x.location, y.location)) is not None:
            return found
        if x.attributes.keys() != y.attributes.keys():
            return f"{where}: attributes {sorted(x.attributes.keys() ^ y.attributes.keys())} only on one side"
        for key, value in x.attributes.items():
            if not same_attribute(value, y.attributes[key]):
                return f"{where}: attribute '{key}' {value} against {y.attributes[key]}"
        for p, q in zip(x.results, y.results, strict=True):
            if (found := value_pair(where, p, q)) is not None:
                return found
        pending.append((x, y))
        for r, s in zip(x.regions, y.regions, strict=True):
            if len(r.blocks) != len(s.blocks):
                return f"{where}: {len(r.blocks)} blocks against {len(s.blocks)}"
            for block, other in zip(r.blocks, s.blocks, strict=True):
                if (found := block_pair(where, block, other)) is not None:
                    return found
        return None

    def block_pair(where: str, x: Block, y: Block) -> str | None:
        if len(x.args) != len(y.args):
            return f"{where}: {len(x.args)} block arguments against {len(y.args)}"
        for p, q in zip(x.args, y.args, strict=True):
            if (
                found := value_pair(f"{where} argument {p.index}", p, q) or location_pair(where, p.location, q.location)
            ) is not None:
                return found
        left, right = x.first, y.first
        while left is not None and right is not None:
            if (found := op_pair(left, right)) is not None:
                return found
            left, right = left.next, right.next
        if left is not None or right is not None:
            extra = left or right
            assert extra is not None
            return f"{where}: '{extra.name}' only on one side"
        return None

    found = op_pair(a, b)
    if found is not None:
        return found
    for x, y in pending:
        for i, (p, q) in enumerate(zip(x.operands, y.operands, strict=True)):
            if values.get(p, p) is not q:
                return f"{x.name}: operand {i} is another value"
    return None


def same_attribute(a: Attribute, b: Attribute) -> bool:
    """Equality of attributes, tensors by content whether they lie in place or by reference."""
    if (a is b or a == b) and not isinstance(a, DenseResourceAttr):
        return True
    if isinstance(a, ArrayAttr) and isinstance(b, ArrayAttr):
        return len(a) == len(b) and all(map(same_attribute, a.values, b.values))
    if isinstance(a, DictAttr) and isinstance(b, DictAttr):
        return [k for k, _ in a.entries] == [k for k, _ in b.entries] and all(
            same_attribute(x, y) for (_, x), (_, y) in zip(a.entries, b.entries, strict=True)
        )
    if isinstance(a, TensorAttr) and isinstance(b, TensorAttr):
        return a.type == b.type and same_data(a, b)
    return False


def same_data(a: TensorAttr, b: TensorAttr) -> bool:
    """Whether two tensor attributes hold the same bytes. Two references without data are compared by key."""
    if isinstance(a, DenseStringAttr) or isinstance(b, DenseStringAttr):
        return a == b
    if isinstance(a, DenseAttr) and isinstance(b, DenseAttr):
        return a.data == b.data or (a.is_splat != b.is_splat and a.numpy().tobytes() == b.numpy().tobytes())
    if isinstance(a, DenseResourceAttr) and isinstance(b, DenseResourceAttr):
        if a.tensor is b.tensor:
            return a.tensor is not None or a.key == b.key
        if a.tensor is None or b.tensor is None:
            return False
        return a.tensor.nbytes == b.tensor.nbytes and memoryview(a.tensor.tobytes()) == memoryview(b.tensor.tobytes())
    x, y = (a, b) if isinstance(a, DenseAttr) else (b, a)
    if not isinstance(y, DenseResourceAttr) or y.tensor is None:
        return False
    return bool(x.numpy().tobytes() == y.numpy().tobytes())
