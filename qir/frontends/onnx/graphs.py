"""Graphs, function bodies and nodes into blocks of operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import AttributeProto

from qir.dialects import onnx as dialect
from qir.dialects.onnx_types import UNKNOWN_TYPE
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.attributes import AttributeReader, proto_attr, reference
from qir.frontends.onnx.errors import NotText, Place, text_attr
from qir.frontends.onnx.order import sort_nodes
from qir.frontends.onnx.tensors import TensorReader
from qir.frontends.onnx.types import DIMS, TYPE, TypeRecord, Types, exact_type
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    DenseStringAttr,
    DictAttr,
    StringAttr,
    UnitAttr,
    dense_from_numpy,
    dictionary,
)
from qir.ir.context import Context
from qir.ir.core import Block, Operation, Region, UnregisteredOp, Value
from qir.ir.location import UNKNOWN, Location, NameLoc
from qir.ir.types import TensorType, Type, i1, none

__all__ = ["GraphReader", "Scope"]

GRAPH, GRAPHS = AttributeProto.GRAPH, AttributeProto.GRAPHS
_UNIT = UnitAttr()
_NO_DIMS = ArrayAttr()
_NOTHING = DictAttr()
_UNTYPED = TypeRecord(UNKNOWN_TYPE, None, _UNIT)
_FORMS = frozenset({"value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"})


class Unsorted(Exception):
    """A node reads a value that a later node of the same graph defines."""


class Scope:
    """The values that are visible in a graph, by name; those of outer graphs are found through `outer`."""

    __slots__ = ("outer", "values")

    def __init__(self, outer: Scope | None = None) -> None:
        self.values: dict[str, Value] = {}
        self.outer = outer

    def find(self, name: str) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            value = scope.values.get(name)
            if value is not None:
                return value
            scope = scope.outer
        return None


class Infos:
    """What ValueInfos say about the values of one graph."""

    __slots__ = ("extra", "inferred", "leftover", "listed", "outputs", "used")

    def __init__(self) -> None:
        self.listed: dict[str, TypeRecord] = {}
        self.extra: dict[str, dict[str, Attribute]] = {}
        self.outputs: dict[str, TypeRecord] = {}
        self.inferred: dict[str, Type] = {}
        self.leftover: list[onnx.ValueInfoProto] = []
        self.used: set[str] = set()


class GraphReader:
    """Reads the graphs of one model."""

    def __init__(
        self, ctx: Context, place: Place, types: Types, tensors: TensorReader, functions: Iterable[tuple[str, str]]
    ) -> None:
        self.ctx, self.place, self.types, self.tensors = ctx, place, types, tensors
        self.attributes = AttributeReader(types, tensors)
        self.functions = set(functions)
        self._names: dict[tuple[str, str], tuple[str, type[Operation] | None, Attribute | None]] = {}
        self._locations: dict[str, int] = {}
        self.shared_names = False

    def domains(self) -> set[str]:
        """The domains of all nodes read so far."""
        return {domain for domain, _ in self._names}

    # ------------------------------------------------------------ graphs
    def infos(self, graph: Any, outputs: Iterable[onnx.ValueInfoProto], inferred: Any) -> Infos:
        """Everything that is said about the types of values in `graph` (a graph or function)."""
        infos = Infos()
        listed, read = infos.listed, self.types.read
        for info in graph.value_info:
            name = info.name
            if name in listed or not name:
                infos.leftover.append(info)
                continue
            listed[name] = read(info.type, name) if info.HasField("type") else _UNTYPED
            if info.HasField("doc_string") or len(info.metadata_props):
                infos.extra[name] = self.info_fields(info)
        for info in outputs:
            if info.HasField("type"):
                infos.outputs[info.name] = read(info.type, info.name)
            else:
                infos.outputs.setdefault(info.name, _UNTYPED)
        if inferred is not None:
            for info in (*inferred.value_info, *inferred.input, *inferred.output):
                if info.HasField("type"):
                    infos.inferred[info.name] = read(info.type).type
        return infos

    def info_fields(self, info: onnx.ValueInfoProto) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}
        F.read_text(info, found, "doc_string")
        metadata = F.read_metadata(info.metadata_props)
        if metadata is not None:
            found[F.METADATA] = metadata
        return found

    def value_attributes(self, info: onnx.ValueInfoProto) -> tuple[TypeRecord, dict[str, Attribute]]:
        """Type and attributes of a graph's input or output."""
        record = self.types.read(info.type, info.name) if info.HasField("type") else _UNTYPED
        return record, record.attributes() | self.info_fields(info)

    def graph(
        self, graph: onnx.GraphProto, block: Block, scope: Scope, inferred: onnx.GraphProto | None
    ) -> tuple[list[Value], list[dict[str, Attribute]], list[dict[str, Attribute]], dict[str, Attribute]]:
        """Read `graph` into `block`: its outputs, the attributes of its inputs and outputs and its own attributes."""
        infos = self.infos(graph, graph.output, inferred)
        initial = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
        inputs: list[dict[str, Attribute]] = []
        also_inputs: dict[str, tuple[int, onnx.ValueInfoProto]] = {}
        for position, info in enumerate(graph.input):
            if info.name in initial:
                also_inputs[info.name] = position, info
                continue
            record, attributes = self.value_attributes(info)
            type = infos.inferred.get(info.name, UNKNOWN_TYPE) if record is _UNTYPED else record.type
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
            record, attributes = self.value_attributes(info)
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
        if any(not isinstance(name, str) for names in (scope.values, self._locations) for name in names):
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
        record, extra = self.value_attributes(info)
        if record.type == type and not extra:
            return self.attributes.integer(position)
        return dictionary({"position": self.attributes.integer(position), "info": proto_attr(info)})

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
                if name in self._locations:
                    self.shared_names = True
                self._locations[name] = 1
            full_name, cls, domain = self._op(node.domain, node.op_type, node)
            operands: list[Value] = []
            for key in node.input:
                if key:
                    value = values.get(key) or find(key)
                    if value is None:
                        self._undefined(key, node, nodes)
                    operands.append(value)
                else:
                    absent = novalue.create((), (none,), None, (), location)
                    append(absent)
                    operands.append(absent.results[0])
            attributes: dict[str, Attribute] = {}
            regions: Sequence[Region] = ()
            if len(node.attribute):
                regions = self._attributes(
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
            types = self._result_types(outputs, infos, attributes)
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

    def _result_types(self, outputs: Sequence[str], infos: Infos, attributes: dict[str, Attribute]) -> list[Type]:
        types: list[Type] = []
        completed = False
        for key in outputs:
            record = infos.outputs.get(key) or infos.listed.get(key)
            if record is None:
                types.append(infos.inferred.get(key, UNKNOWN_TYPE) if key else none)
                continue
            types.append(infos.inferred.get(key, UNKNOWN_TYPE) if record is _UNTYPED else record.type)
            if key in infos.outputs:
                continue  # the function's result says the rest
            if record.dims is not None or record.exact is not None or key in infos.extra:
                completed = True
        if completed:
            self._completions(outputs, infos, attributes)
        return types

    def _completions(self, outputs: Sequence[str], infos: Infos, attributes: dict[str, Attribute]) -> None:
        """What ValueInfos say beyond the types of results: one entry per result."""
        empty = TypeRecord(UNKNOWN_TYPE)
        records = [infos.listed.get(k, empty) if k not in infos.outputs else empty for k in outputs]
        if any(r.dims is not None for r in records):
            attributes[DIMS] = ArrayAttr(tuple(r.dims or _NO_DIMS for r in records))
        if any(r.exact is not None for r in records):
            attributes[TYPE] = ArrayAttr(tuple(r.exact or _NOTHING for r in records))
        if any(k in infos.extra for k in outputs):
            attributes["onnx.info"] = ArrayAttr(tuple(dictionary(infos.extra.get(k, {})) for k in outputs))

    def _op(
        self, domain: str, op_type: str, node: onnx.NodeProto | None
    ) -> tuple[str, type[Operation] | None, Attribute | None]:
        """Name and class of a node's operation, and its domain where the name does not say it."""
        try:
            return self._names[domain, op_type]
        except KeyError:
            pass
        place = self.place.at(node.name if node is not None else "")
        if not op_type:
            place.fail("a node has no operator", "the file is damaged: export the model again")
        name, spelled = dialect.op_name(domain, op_type)
        cls = self.ctx.op_class(name)
        standard = name.startswith("onnx.") and domain in ("", "ai.onnx")
        if cls is None and standard and (domain, op_type) not in self.functions and not self.ctx.allow_unregistered:
            close = dialect.similar(op_type)
            place.fail(
                f"ONNX has no operator '{op_type}'",
                f"did you mean {close}?" if close else "if it is a custom operator, give it a domain of its own",
            )
        found = self._names[domain, op_type] = name, cls, text_attr(domain) if spelled else None
        return found

    def _attributes(
        self, node: onnx.NodeProto, attributes: dict[str, Attribute], scope: Scope, inferred: onnx.NodeProto | None
    ) -> Sequence[Region]:
        owner = node.name or (node.output[0] if len(node.output) else "")
        read = self.attributes.read
        graphs: list[tuple[str, onnx.GraphProto, onnx.GraphProto | None]] = []
        constant = node.op_type == "Constant" and node.domain in ("", "ai.onnx")
        for position, proto in enumerate(node.attribute):
            name = proto.name
            if not isinstance(name, str):
                raise NotText
            if proto.ref_attr_name:
                attr: Attribute = reference(proto)
            elif proto.type == GRAPH and proto.HasField("g"):
                graphs.append((name, proto.g, inferred.attribute[position].g if inferred is not None else None))
                attr = _UNIT
            elif proto.type == GRAPHS and len(proto.graphs):
                inner = inferred.attribute[position].graphs if inferred is not None else [None] * len(proto.graphs)
                graphs += [(f"{name}[]", g, i) for g, i in zip(proto.graphs, inner, strict=True)]
                attr = _UNIT
            elif not name or "." in name:
                extra = attributes.get(F.EXTRA, ArrayAttr())
                assert isinstance(extra, ArrayAttr)
                attributes[F.EXTRA] = ArrayAttr((*extra.values, proto_attr(proto)))
                continue
            else:
                attr, exact = read(proto, owner)
                if not exact:
                    attributes[F.UNSET] = F.strings((*F.names_of(attributes.get(F.UNSET)), name))
                if proto.type == AttributeProto.TENSOR and proto.HasField("t"):
                    self._tensor_fields(name, proto.t, attributes)
                if constant and name in _FORMS:
                    name, attr = self._constant_form(name, proto, attributes)
            if name in attributes:
                self.place.at(node.name or node.op_type).fail(
                    f"the attribute '{name}' is given twice", "the file is damaged"
                )
            if proto.HasField("doc_string"):
                docs = attributes.get(F.ATTRIBUTE_DOCS, DictAttr())
                assert isinstance(docs, DictAttr)
                attributes[F.ATTRIBUTE_DOCS] = dictionary(
                    {**dict(docs.entries), proto.name: text_attr(proto.doc_string)}
                )
            if attr is not _UNIT:
                attributes[name] = attr
        return self._regions(node, graphs, attributes, scope) if graphs else ()

    def _tensor_fields(self, name: str, tensor: onnx.TensorProto, attributes: dict[str, Attribute]) -> None:
        extra = F.tensor_fields(tensor, named=False)
        if extra is not None:
            known = attributes.get(F.TENSORS, DictAttr())
            assert isinstance(known, DictAttr)
            attributes[F.TENSORS] = dictionary({**dict(known.entries), name: extra})

    def _constant_form(
        self, name: str, proto: AttributeProto, attributes: dict[str, Attribute]
    ) -> tuple[str, Attribute]:
        """The ``value`` tensor of a constant that is given as a number, a string or a list."""
        attributes[F.FORM] = F.string(name)
        if name == "value_string":
            return "value", DenseStringAttr(TensorType((), dialect.STRING), (proto.s,))
        if name == "value_strings":
            return "value", DenseStringAttr(TensorType((len(proto.strings),), dialect.STRING), tuple(proto.strings))
        if name == "value_float":
            return "value", dense_from_numpy(np.array(proto.f, np.float32))
        if name == "value_int":
            return "value", dense_from_numpy(np.array(proto.i, np.int64))
        data = np.array(proto.floats, np.float32) if name == "value_floats" else np.array(proto.ints, np.int64)
        return "value", dense_from_numpy(data)

    def _regions(
        self,
        node: onnx.NodeProto,
        graphs: list[tuple[str, onnx.GraphProto, onnx.GraphProto | None]],
        attributes: dict[str, Attribute],
        scope: Scope,
    ) -> Sequence[Region]:
        usual = dialect.region_names(dialect.op_name(node.domain, node.op_type)[0])
        graphs.sort(key=lambda g: usual.index(g[0]) if g[0] in usual else len(usual))
        names = tuple(name for name, _, _ in graphs)
        if names != usual:
            attributes[F.REGIONS] = F.strings(names)
        return [self.region(graph, scope, inferred) for _, graph, inferred in graphs]

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
