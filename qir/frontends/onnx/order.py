"""Topological order of a graph's nodes, for files that have them in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import onnx
from onnx import AttributeProto

from qir.frontends.onnx.errors import Place

if TYPE_CHECKING:
    from qir.frontends.onnx.scopes import Scope
    from qir.ir.core import Value

__all__ = ["names_read", "sort_nodes"]


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, in its graphs too (those defined inside included)."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
        for graph in graphs:
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from names_read(inner)


def sort_nodes(nodes: Sequence[onnx.NodeProto], scope: Scope, before: Mapping[str, Value], place: Place) -> list[int]:
    """The indices of `nodes` in a topological order that changes as little as possible.

    Raises QirError naming the nodes of a cycle, if there is one.
    """
    definer = {name: i for i, node in enumerate(nodes) for name in node.output if name and name not in before}
    order: list[int] = []
    state = [0] * len(nodes)  # 0 not seen, 1 waiting for its inputs, 2 done
    for start in range(len(nodes)):
        stack = [start]
        while stack:
            current = stack[-1]
            if state[current] == 2:
                stack.pop()
                continue
            missing = [definer[n] for n in names_read(nodes[current]) if n in definer and state[definer[n]] != 2]
            state[current] = 1
            if not missing:
                state[current] = 2
                order.append(current)
                stack.pop()
                continue
            for needed in missing:
                if state[needed] == 1:
                    path = [i for i in stack if state[i] == 1]
                    cycle = path[path.index(needed) :]
                    names = " -> ".join(nodes[i].name or nodes[i].op_type for i in (*cycle, needed)[:8])
                    place.at(nodes[needed].name or nodes[needed].op_type).fail(
                        f"the graph has a cycle: {names}", "ONNX graphs are acyclic; a loop is a Loop or Scan node"
                    )
            stack.extend(missing)
    return order
