"""Graphs, function bodies and nodes into blocks of operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import onnx
from onnx import AttributeProto

from qir.dialects import onnx as dialect
from qir.dialects.onnx_types import UNKNOWN_TYPE
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.attributes import proto_attr
from qir.frontends.onnx.errors import NotText, Place, text_attr
from qir.frontends.onnx.nodes import NodeReader
from qir.frontends.onnx.order import sort_nodes
from qir.frontends.onnx.scopes import UNTYPED, Infos, Scope, value_attributes
from qir.frontends.onnx.tensors import TensorReader
from qir.frontends.onnx.types import TYPE, Types, exact_type
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    UnitAttr,
    dictionary,
)
from qir.ir.context import Context
from qir.ir.core import Block, Operation, Region, UnregisteredOp, Value
from qir.ir.location import UNKNOWN, Location, NameLoc
from qir.ir.types import TensorType, i1, none

__all__ = ["GraphReader"]

_UNIT = UnitAttr()
_NO_DIMS = ArrayAttr()


class Unsorted(Exception):
    """A node reads a value that a later node of the same graph defines."""


class GraphReader:
    """Reads the graphs of one model."""

    def __init__(
        self, ctx: Context, place: Place, types: Types, tensors: TensorReader, functions: Iterable[tuple[str, str]]
    ) -> None:
        self.ctx, self.place, self.types, self.tensors = ctx, place, types, tensors
        self.node_reader = NodeReader(ctx, place, types, tensors, functions, self.region)
        self._node_names: set[str] = set()
        self.shared_names = False

    # ------------------------------------------------------------ graphs
    def graph(
        self, graph: onnx.GraphProto, block: Block, scope: Scope, inferred: onnx.GraphProto | None
    ) -> tuple[list[Value], list[dict[str, Attribute]], list[dict[str, Attribute]], dict[str, Attribute]]:
        """Read `graph` into `block`: its outputs, the attributes of its inputs and outputs and its own attributes."""
        infos = Infos.read(graph, graph.output, inferred, self.types)
        initial = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
        inputs: list[dict[str, Attribute]] = []
        also_inputs: dict[str, tuple[int, onnx.ValueInfoProto]] = {}
        for position, info in enumerate(graph.input):
            if info.name in initial:
                also_inputs[info.name] = position, info
                continue
            record, attributes = value_attributes(info, self.types)
            type = infos.inferred.get(info.name, UNKNOWN_TYPE) if record is UNTYPED else record.type
            self.define(scope, info.name, block.add_arg(type, info.name), "graph input")
            inputs.append(attributes)
        for tensor in graph.initializer:
            self.initializer(tensor, block, scope, infos, also_inputs.get(tensor.name))
        for sparse in graph.sparse_initializer:
            self.sparse_initializer(sparse, block, scope, infos, also_inputs.get(sparse.values.name))
        ops = self.nodes(graph.node, block, scope, infos, inferred)
        own = self.graph_attributes(graph, infos, ops, scope)
        values, outputs = self.outputs(graph, scope, infos)
        self.check_text(scope)
        return values, inputs, outputs, own

    def outputs(
        self, graph: onnx.GraphProto, scope: Scope, infos: Infos
    ) -> tuple[list[Value], list[dict[str, Attribute]]]:
        values, outputs = [], []
        for info in graph.output:
            value = scope.find(info.name)
            if value is None:
                self.place.at(info.name).fail(
                    f"the graph's output '{info.name}' is defined by no node",
                    "the file is damaged: export the model again",
                )
            record, attributes = value_attributes(info, self.types)
            if record.type != value.type and info.HasField("type"):
                attributes[TYPE] = exact_type(info.type)
            attributes[F.NAME] = F.string(info.name)
            values.append(value)
            outputs.append(attributes)
        return values, outputs

    def graph_attributes(
        self, graph: Any, infos: Infos, ops: list[tuple[Operation, onnx.NodeProto]], scope: Scope
    ) -> dict[str, Attribute]:
        """Attributes of a graph; sets those of its operations that depend on what most of them say."""
        own: dict[str, Attribute] = {}
        F.read_text(graph, own, "doc_string")
        metadata = F.read_metadata(graph.metadata_props)
        if metadata is not None:
            own[F.METADATA] = metadata
        if isinstance(graph, onnx.GraphProto):
            annotations = F.read_protos(graph.quantization_annotation)
            if annotations is not None:
                own["onnx.quantization_annotation"] = annotations
        most = self._explicit(ops)
        if most:
            own[F.EXPLICIT] = F.strings(most)
        if self._value_info(infos, ops):
            own[F.VALUE_INFO] = _UNIT
        infos.leftover += [i for i in graph.value_info if i.name in infos.listed and i.name not in infos.used]
        more = F.read_protos(infos.leftover)
        if more is not None:
            own[F.MORE_INFO] = more
        return own

    def _explicit(self, ops: list[tuple[Operation, onnx.NodeProto]]) -> tuple[str, ...]:
        kinds = []
        for _, node in ops:
            fields = [
                f for f in ("name", "domain", "doc_string", "overload") if not getattr(node, f) and node.HasField(f)
            ]
            kinds.append(tuple(fields))
        if not any(kinds):
            return ()
        most = Counter(kinds).most_common(1)[0][0]
        for (op, _), kind in zip(ops, kinds, strict=True):
            if kind != most:
                op.attributes[F.EXPLICIT] = F.strings(kind)
        return most

    def _value_info(self, infos: Infos, ops: list[tuple[Operation, onnx.NodeProto]]) -> bool:
        """Whether most values have a ValueInfo; marks the operations where it is otherwise."""
        listed, outputs = infos.listed, infos.outputs
        if not listed:
            return False
        plain = [o for _, node in ops for o in node.output if o and o not in outputs]
        default = 2 * sum(o in listed for o in plain) > len(plain)
        for op, node in ops:
            flags = []
            differs = False
            for name, value in zip(node.output, op.results, strict=True):
                has = name in listed
                if has and name in outputs and (listed[name] != outputs[name] or listed[name].type != value.type):
                    has = False  # two different statements about one value: the second is kept as it is
                elif has:
                    infos.used.add(name)
                flags.append(int(has))
                differs |= has != (default and bool(name) and name not in outputs)
            if differs:
                op.attributes[F.VALUE_INFO] = DenseArrayAttr(i1, tuple(flags))
        return default

    # ------------------------------------------------------------ values
    def check_text(self, scope: Scope) -> None:
        """Raise NotText if a name is none."""
        if any(not isinstance(name, str) for names in (scope.values, self._node_names) for name in names):
            raise NotText

    def define(self, scope: Scope, name: str, value: Value, what: str) -> None:
        if scope.values.setdefault(name, value) is not value:
            self.place.at(name).fail(
                f"the name '{name}' is defined twice (again as a {what})", "names of values must be unique in a graph"
            )

    def initializer(
        self,
        tensor: onnx.TensorProto,
        block: Block,
        scope: Scope,
        infos: Infos,
        also_input: tuple[int, onnx.ValueInfoProto] | None,
    ) -> None:
        name = tensor.name
        if not name:
            self.place.fail("an initializer has no name", "the file is damaged: export the model again")
        value = self.tensors.read(tensor, name)
        attributes: dict[str, Attribute] = {"value": value, F.INITIALIZER: _UNIT}
        extra = F.tensor_fields(tensor, named=True)
        if extra is not None:
            attributes[F.TENSORS] = dictionary({"value": extra})
        self._constant(name, value.type, attributes, block, scope, infos, also_input)

    def sparse_initializer(
        self,
        sparse: onnx.SparseTensorProto,
        block: Block,
        scope: Scope,
        infos: Infos,
        also_input: tuple[int, onnx.ValueInfoProto] | None,
    ) -> None:
        wrapped = AttributeProto(name="sparse_value", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse)
        type = self.types.tensor(tuple(sparse.dims), self.types.element(sparse.values.data_type, sparse.values.name))
        attributes: dict[str, Attribute] = {"sparse_value": proto_attr(wrapped), F.INITIALIZER: _UNIT}
        self._constant(sparse.values.name, type, attributes, block, scope, infos, also_input)

    def _constant(
        self,
        name: str,
        type: TensorType,
        attributes: dict[str, Attribute],
        block: Block,
        scope: Scope,
        infos: Infos,
        also_input: tuple[int, onnx.ValueInfoProto] | None,
    ) -> None:
        listed = infos.listed.get(name)
        if listed is not None and listed.type == type and name not in infos.extra and name not in infos.used:
            infos.used.add(name)
            attributes[F.VALUE_INFO] = DenseArrayAttr(i1, (1,))
            if listed.exact is not None:
                attributes[TYPE] = ArrayAttr((listed.exact,))
        if also_input is not None:
            attributes[F.INPUT] = self._input(also_input, type)
        op = dialect.op_class("Constant").create((), (type,), attributes)
        op.results[0].name = name
        block.append(op)
        self.define(scope, name, op.results[0], "initializer")

    def _input(self, also_input: tuple[int, onnx.ValueInfoProto], type: TensorType) -> Attribute:
        position, info = also_input
        record, extra = value_attributes(info, self.types)
        if record.type == type and not extra:
            return self.node_reader.values.integer(position)
        return dictionary({"position": self.node_reader.values.integer(position), "info": proto_attr(info)})

    # ------------------------------------------------------------ nodes
    def nodes(
        self, nodes: Sequence[onnx.NodeProto], block: Block, scope: Scope, infos: Infos, inferred: Any
    ) -> list[tuple[Operation, onnx.NodeProto]]:
        before = dict(scope.values)
        last = block.last
        try:
            return self._nodes(nodes, block, scope, infos, inferred)
        except Unsorted:
            order = sort_nodes(nodes, scope, before, self.place)
        while block.last is not last:  # what was read so far is read again, in order
            op = block.last
            assert op is not None
            for result in op.results:
                for user in result.users:
                    user.drop_all_references()
            op.erase()
        scope.values = before
        self.ctx.warning(self.place.location, "the nodes are not in topological order; they were sorted")
        again = [inferred.node[i] for i in order] if inferred is not None else None
        return self._nodes([nodes[i] for i in order], block, scope, infos, inferred, again)

    def _nodes(
        self,
        nodes: Sequence[onnx.NodeProto],
        block: Block,
        scope: Scope,
        infos: Infos,
        inferred: Any,
        again: Any = None,
    ) -> list[tuple[Operation, onnx.NodeProto]]:
        ops = []
        values, find, append = scope.values, scope.find, block.append
        novalue = dialect.NoValue
        inferred_nodes = again if again is not None else inferred.node if inferred is not None else None
        for index, node in enumerate(nodes):
            name = node.name
            location: Location = NameLoc(name) if name else UNKNOWN
            if name:
                if name in self._node_names:
                    self.shared_names = True
                self._node_names.add(name)
            full_name, cls, domain = self.node_reader.operator(node.domain, node.op_type, node)
            operands: list[Value] = []
            for key in node.input:
                if key:
                    value = values.get(key) or find(key)
                    if value is None:
                        self._undefined(key, node, nodes)
                    operands.append(value)
                else:
                    absent = novalue.create((), (none,))
                    append(absent)
                    operands.append(absent.results[0])
            attributes: dict[str, Attribute] = {}
            regions: Sequence[Region] = ()
            if len(node.attribute):
                regions = self.node_reader.attributes(
                    node, attributes, scope, inferred_nodes[index] if inferred_nodes is not None else None
                )
            if domain is not None:
                attributes[F.DOMAIN] = domain
            if node.doc_string:
                attributes[F.DOC] = text_attr(node.doc_string)
            if len(node.metadata_props):
                metadata = F.read_metadata(node.metadata_props)
                assert metadata is not None
                attributes[F.METADATA] = metadata
            if node.overload:
                attributes["onnx.overload"] = text_attr(node.overload)
            if len(node.device_configurations):
                attributes["onnx.device_configurations"] = F.read_protos(node.device_configurations) or _NO_DIMS
            outputs = node.output
            types = infos.result_types(outputs, attributes)
            if cls is not None:
                op = cls.create(operands, types, attributes, regions, location)
            else:
                op = UnregisteredOp.create(operands, types, attributes, regions, location, name=full_name)
            append(op)
            for key, result in zip(outputs, op.results, strict=True):
                if key:
                    result.name = key
                    if values.setdefault(key, result) is not result:
                        self.place.at(name or node.op_type).fail(
                            f"the name '{key}' is defined twice (again by a {node.op_type} node)",
                            "names of values must be unique in a graph",
                        )
            ops.append((op, node))
        return ops

    def _undefined(self, key: str, node: onnx.NodeProto, nodes: Sequence[onnx.NodeProto]) -> NoReturn:
        if any(key in other.output for other in nodes):
            raise Unsorted
        self.place.at(node.name or node.op_type).fail(
            f"the input '{key}' of this {node.op_type} node is no graph input, no initializer and no node's output",
            "the graph is incomplete: export it again, or cut it at values that exist",
        )

    def region(self, graph: onnx.GraphProto, scope: Scope, inferred: onnx.GraphProto | None) -> Region:
        """A graph inside a node: a region whose terminator carries the graph's attributes."""
        block = Block()
        values, inputs, outputs, own = self.graph(graph, block, Scope(scope), inferred)
        if graph.HasField("name"):
            own[F.NAME] = text_attr(graph.name)
        for entry in outputs:
            del entry[F.NAME]  # outputs of inner graphs are taken by position, their names are those of the values
        for key, entries in (("onnx.inputs", inputs), ("onnx.outputs", outputs)):
            if any(entries):
                own[key] = ArrayAttr(tuple(dictionary(entry) for entry in entries))
        block.append(dialect.Yield.create(values, (), own))
        return Region([block])
