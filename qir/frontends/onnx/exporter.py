"""Module -> ModelProto: a walk that writes what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from google.protobuf import text_format
from onnx import AttributeProto, helper

from qir.dialects import onnx as dialect
from qir.dialects.func import FuncOp
from qir.dialects.onnx_opaque import opaque_text
from qir.dialects.onnx_types import UNKNOWN_TYPE
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.attributes import write_attribute
from qir.frontends.onnx.names import Names
from qir.frontends.onnx.opsets import UNDECLARED, opset_imports
from qir.frontends.onnx.tensors import tensor_proto
from qir.frontends.onnx.types import DIMS, TYPE, type_proto
from qir.frontends.onnx.write import LARGEST, External, write_files
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    DenseResourceAttr,
    DictAttr,
    IntegerAttr,
    StringAttr,
    TensorAttr,
    UnitAttr,
)
from qir.ir.core import Block, Operation, UnregisteredOp, Value
from qir.ir.definition import OpDefinition
from qir.ir.diagnostics import fail

__all__ = ["export_model"]


def export_model(
    module: Operation, path: str | os.PathLike[str] | None, *, external: bool | None, domains: Mapping[str, str]
) -> onnx.ModelProto:
    """See `qir.frontends.onnx.export_onnx`."""
    size = sum(
        a.tensor.nbytes
        for op in module.walk()
        for a in op.attributes.values()
        if isinstance(a, DenseResourceAttr) and a.tensor is not None
    )
    if external is None:
        external = size > LARGEST and path is not None
    if size > LARGEST and not external:
        fail(module.location, f"the model has {size} bytes of weights, more than fit in one ONNX file",
             "write the weights beside it (external data)")  # fmt: skip
    if external and path is None:
        fail(module.location, "weights can only be written beside a file", "give a path")
    store = External(os.path.basename(os.fspath(path)) + ".data") if external and path is not None else None
    model = _Exporter(module, domains, store).model()
    if path is not None:
        write_files(model, os.fspath(path), store)
    return model


LAST = 1 << 30
"""A position behind all inputs."""


class _Exporter:
    def __init__(self, module: Operation, domains: Mapping[str, str], store: External | None) -> None:
        self.module, self.domains, self.store = module, domains, store
        self.used_domains: set[str] = set()
        self.shared_names = "onnx.shared_node_names" in module.attributes
        version = module.attributes.get("onnx.ir_version")
        # Before version 4 of the format every initializer had to be an input too.
        self.all_inputs = isinstance(version, IntegerAttr) and version.value < 4
        self.node_names: set[str] = set()

    # ------------------------------------------------------------ model
    def model(self) -> onnx.ModelProto:
        module = self.module
        model = onnx.ModelProto()
        attributes = module.attributes
        F.write_text(
            attributes,
            model,
            "ir_version",
            "producer_name",
            "producer_version",
            "domain",
            "model_version",
            "doc_string",
        )
        F.write_metadata(attributes.get(F.METADATA), model.metadata_props)
        F.write_protos(attributes.get("onnx.configuration"), model.configuration)
        training = attributes.get("onnx.training_info")
        if isinstance(training, TensorAttr):
            model.training_info.extend(onnx.ModelProto.FromString(training.numpy().tobytes()).training_info)
        functions = [
            op for region in module.regions for block in region.blocks for op in block if isinstance(op, FuncOp)
        ]
        graphs = [f for f in functions if "onnx.function" not in f.attributes and not f.is_declaration]
        if not graphs:
            fail(
                module.location,
                "the module has no function that could be the graph",
                "a model's graph is func.func @main",
            )
        main = next((f for f in graphs if f.sym_name == "main"), graphs[0])
        self.graph_of(main, model.graph)
        for function in functions:
            if isinstance(function.attributes.get("onnx.function"), DictAttr):
                self.function(function, model.functions.add())
        self.opsets(attributes, model.opset_import, self.used_domains)
        if not model.HasField("ir_version"):
            model.ir_version = helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
        return model

    def opsets(self, attributes: dict[str, Attribute], imports: Any, used: set[str]) -> None:
        """The declared versions, and version 1 of domains that are used without being declared."""
        opset_imports(attributes, imports)
        declared = {"" if e.domain == "ai.onnx" else e.domain for e in imports}
        declared.update(F.names_of(attributes.get(UNDECLARED)))
        for domain in sorted(used - declared):
            imports.add(domain=domain, version=onnx.defs.onnx_opset_version() if domain == "" else 1)

    def graph_of(self, func: FuncOp, graph: onnx.GraphProto) -> None:
        name = func.attributes.get(F.NAME)
        if not isinstance(name, UnitAttr):
            graph.name = name.value if isinstance(name, StringAttr) else func.sym_name
        inputs, outputs = (
            _dicts(func.arg_attrs, len(func.body.args)),
            _dicts(func.res_attrs, len(func.return_op.operands)),
        )
        self.graph(graph, func.body, func.attributes, inputs, outputs, None)

    def function(self, func: FuncOp, proto: onnx.FunctionProto) -> None:
        """A function of the model."""
        fields = func.attributes["onnx.function"]
        assert isinstance(fields, DictAttr)
        for field in ("name", "domain", "overload"):
            value = fields.get(field)
            if isinstance(value, StringAttr):
                setattr(proto, field, value.value)
        proto.attribute.extend(F.names_of(fields.get("attributes")))
        F.write_protos(fields.get("defaults"), proto.attribute_proto)
        F.write_text(func.attributes, proto, "doc_string")
        F.write_metadata(func.attributes.get(F.METADATA), proto.metadata_props)
        used, self.used_domains = self.used_domains, set()
        outputs = _dicts(func.res_attrs, len(func.return_op.operands))
        names = Names(None, func.body, [_text(o.get(F.NAME)) for o in outputs])
        proto.input.extend(names.of(arg) for arg in func.body.args)
        self.body(proto, func.body, func.attributes, names, None)
        proto.output.extend(names.outputs)
        self.opsets(func.attributes, proto.opset_import, self.used_domains)
        self.used_domains = used

    # ------------------------------------------------------------ graphs
    def graph(
        self,
        graph: onnx.GraphProto,
        block: Block,
        attributes: Mapping[str, Attribute],
        inputs: Sequence[DictAttr],
        outputs: Sequence[DictAttr],
        outer: Names | None,
    ) -> None:
        F.write_text(attributes, graph, "doc_string")
        F.write_metadata(attributes.get(F.METADATA), graph.metadata_props)
        F.write_protos(attributes.get("onnx.quantization_annotation"), graph.quantization_annotation)
        terminator = block.last
        assert terminator is not None
        names = Names(outer, block, [_text(o.get(F.NAME)) for o in outputs], [_text(i.get(F.NAME)) for i in inputs])
        for arg, entry in zip(block.args, inputs, strict=True):
            self.info(graph.input.add(), names.of(arg), arg, entry, block.parent_op)
        self.body(graph, block, attributes, names, graph)
        for name, value, entry in zip(names.outputs, terminator.operands, outputs, strict=True):
            self.info(graph.output.add(), name, value, entry, terminator)

    def info(
        self, info: onnx.ValueInfoProto, name: str, value: Value, entry: DictAttr, owner: Operation | None
    ) -> None:
        """A ValueInfo from a value and the attributes beside it."""
        info.name = name
        exact = entry.get(TYPE)
        try:
            found = type_proto(value.type, entry.get(DIMS), exact)
        except ValueError as error:
            raise (owner or self.module).error(f"cannot be written to ONNX: value '{name}': {error}") from None
        if found is not None:
            info.type.CopyFrom(found)
        doc = entry.get(F.DOC)
        if isinstance(doc, StringAttr):
            info.doc_string = doc.value
        F.write_metadata(entry.get(F.METADATA), info.metadata_props)

    def body(
        self, proto: Any, block: Block, attributes: Mapping[str, Attribute], names: Names, graph: onnx.GraphProto | None
    ) -> None:
        """Nodes, initializers and value infos of a block; `proto` is the graph or function, `graph` None for these."""
        default = F.VALUE_INFO in attributes
        explicit = F.names_of(attributes.get(F.EXPLICIT))
        also_inputs: list[tuple[int, Attribute, Operation]] = []
        terminator = block.last
        op = block.first
        while op is not None and op is not terminator:
            if op.name == "onnx.NoValue":
                pass
            elif graph is not None and F.INITIALIZER in op.attributes and op.name == "onnx.Constant":
                self.initializer(op, graph, names)
                also = op.attributes.get(F.INPUT)
                if also is not None:
                    also_inputs.append((_position(also), also, op))
                elif self.all_inputs and names.outer is None:
                    also_inputs.append((LAST, IntegerAttr(LAST), op))
                if F.VALUE_INFO in op.attributes:
                    self.value_infos(op, proto, names, False)
            else:
                self.node(op, proto.node.add(), names, explicit)
                if default or F.VALUE_INFO in op.attributes:
                    self.value_infos(op, proto, names, default)
            op = op.next
        for source, name in names.copies:
            self.used_domains.add("")
            proto.node.add(op_type="Identity", input=[source], output=[name], name=name)
        if also_inputs and graph is not None:
            self.initializers_as_inputs(also_inputs, graph, names)
        F.write_protos(attributes.get(F.MORE_INFO), proto.value_info)

    def initializers_as_inputs(
        self, found: list[tuple[int, Attribute, Operation]], graph: onnx.GraphProto, names: Names
    ) -> None:
        """Put initializers that are graph inputs too at their places."""
        inputs = list(graph.input)
        for position, attr, op in sorted(found, key=lambda f: f[0]):
            info = onnx.ValueInfoProto()
            name = names.of(op.results[0])
            exact = attr.get("info") if isinstance(attr, DictAttr) else None
            message = opaque_text(exact, "proto")
            if message is not None:
                text_format.Parse(message, info)
                info.name = name
            else:
                self.info(info, name, op.results[0], DictAttr(), op)
            inputs.insert(position, info)
        del graph.input[:]
        graph.input.extend(inputs)

    def value_infos(self, op: Operation, proto: Any, names: Names, default: bool) -> None:
        flags = op.attributes.get(F.VALUE_INFO)
        for i, value in enumerate(op.results):
            name = names.of(value)
            if isinstance(flags, DenseArrayAttr):
                wanted = i < len(flags.values) and bool(flags.values[i])
            else:
                wanted = default and name not in names.output_names and value.type != UNKNOWN_TYPE
            if not name or not wanted:
                continue
            entries: dict[str, Attribute] = {}
            for key in (DIMS, TYPE):
                entry = op.attributes.get(key)
                if key != DIMS or len(op.results) > 1:  # one result has its dimensions' names without a list around
                    entry = _nth(entry, i)
                if entry is not None:
                    entries[key] = entry
            extra = _nth(op.attributes.get("onnx.info"), i)
            if isinstance(extra, DictAttr):
                entries.update(extra.entries)
            self.info(proto.value_info.add(), name, value, DictAttr(tuple(entries.items())), op)

    # ------------------------------------------------------------ nodes
    def initializer(self, op: Operation, graph: onnx.GraphProto, names: Names) -> None:
        name = names.of(op.results[0])
        value = op.attributes.get("value")
        if isinstance(value, TensorAttr):
            tensor = graph.initializer.add()
            tensor.name = name
            self.tensor(op, value, tensor)
            extra = op.attributes.get(F.TENSORS)
            F.write_tensor_fields(extra.get("value") if isinstance(extra, DictAttr) else None, tensor)
            return
        message = opaque_text(op.attributes.get("sparse_value"), "proto")
        if message is None:
            raise op.error("is marked as an initializer and holds no tensor", "remove the mark or give it a 'value'")
        sparse = text_format.Parse(message, AttributeProto()).sparse_tensor
        sparse.values.name = name
        graph.sparse_initializer.add().CopyFrom(sparse)

    def tensor(self, op: Operation, value: TensorAttr, tensor: onnx.TensorProto) -> None:
        store = self.store
        try:
            if store is None or not isinstance(value, DenseResourceAttr):
                tensor_proto(value, tensor)
            else:
                tensor_proto(value, tensor, lambda attr: store.add(attr, tensor))
        except ValueError as error:
            raise op.error(f"cannot be written to ONNX: {error}") from None

    def node(self, op: Operation, node: onnx.NodeProto, names: Names, explicit: Sequence[str]) -> None:
        domain, op_type = self.identity(op)
        attributes = op.attributes
        of = names.of
        inputs = [of(v) for v in op.operands]
        node.input.extend(inputs)
        node.output.extend([of(v) for v in op.results])
        node.op_type = op_type
        if domain:
            node.domain = domain
        self.used_domains.add("" if domain == "ai.onnx" else domain)
        locations = op.location.names()
        if locations:
            node.name = self.node_name(locations[0])
        if attributes or op.regions:
            self.attributes(op, node, names)
        stated = attributes.get(F.EXPLICIT)
        for field in explicit if stated is None else F.names_of(stated):
            if not getattr(node, field):
                setattr(node, field, "")

    def identity(self, op: Operation) -> tuple[str, str]:
        """Domain and operator of the node that an operation is."""
        prefix, _, rest = op.name.partition(".")
        if prefix in self.domains:
            stated = op.attributes.get(F.DOMAIN)
            return (stated.value if isinstance(stated, StringAttr) else self.domains[prefix]), rest.rpartition(".")[2]
        if isinstance(op, (dialect.OnnxOp, UnregisteredOp)) and "." in op.name:
            return dialect.domain_and_type(op)
        raise op.error("is no ONNX node", "lower the module to ONNX before it is exported")

    def node_name(self, name: str) -> str:
        if self.shared_names:
            return name
        unique, count = name, 0
        while unique in self.node_names:
            count += 1
            unique = f"{name}_{count}"
        self.node_names.add(unique)
        return unique

    def attributes(self, op: Operation, node: onnx.NodeProto, names: Names) -> None:
        attributes = op.attributes
        special = False
        form = attributes.get(F.FORM)
        for name, value in attributes.items():
            if "." in name:
                special |= name.startswith("onnx.")
                continue
            if name == OpDefinition.SEGMENTS:
                continue
            proto = node.attribute.add()
            proto.name = name
            if name == "value" and isinstance(form, StringAttr) and isinstance(value, TensorAttr):
                _constant_form(proto, form.value, value)
                continue
            try:
                if isinstance(value, DenseResourceAttr):
                    proto.type = AttributeProto.TENSOR
                    self.tensor(op, value, proto.t)
                elif not write_attribute(proto, value):
                    raise ValueError(f"ONNX has no attribute like {value}")
            except (ValueError, text_format.ParseError) as error:
                raise op.error(f"cannot be written to ONNX: attribute '{name}': {error}") from None
        if op.regions:
            self.regions(op, node, names)
        if special:
            self.special(attributes, node)

    def special(self, attributes: Mapping[str, Attribute], node: onnx.NodeProto) -> None:
        """The fields that only some nodes set."""
        F.write_text(attributes, node, "doc_string", "overload")
        F.write_metadata(attributes.get(F.METADATA), node.metadata_props)
        F.write_protos(attributes.get("onnx.device_configurations"), node.device_configurations)
        F.write_protos(attributes.get(F.EXTRA), node.attribute)
        by_name = {a.name: a for a in node.attribute}
        docs, tensors = attributes.get(F.ATTRIBUTE_DOCS), attributes.get(F.TENSORS)
        for name, doc in docs.entries if isinstance(docs, DictAttr) else ():
            if name in by_name and isinstance(doc, StringAttr):
                by_name[name].doc_string = doc.value
        for name, extra in tensors.entries if isinstance(tensors, DictAttr) else ():
            if name in by_name and by_name[name].type == AttributeProto.TENSOR:
                F.write_tensor_fields(extra, by_name[name].t)
        for name in F.names_of(attributes.get(F.UNSET)):
            attribute = by_name.get(name)
            for field in ("i", "f", "s"):
                if attribute is not None and not getattr(attribute, field):
                    attribute.ClearField(field)

    def regions(self, op: Operation, node: onnx.NodeProto, names: Names) -> None:
        stated = F.names_of(op.attributes.get(F.REGIONS)) or dialect.region_names(op.name)
        if len(stated) != len(op.regions):
            raise op.error(f"has {len(op.regions)} regions, {len(stated)} are named", f"name each in '{F.REGIONS}'")
        lists: dict[str, AttributeProto] = {}
        for name, region in zip(stated, op.regions, strict=True):
            block = region.block
            if block.last is None:
                raise op.error("has a region without onnx.Yield")
            if name.endswith("[]"):
                name = name[:-2]
                if name not in lists:
                    lists[name] = node.attribute.add(name=name, type=AttributeProto.GRAPHS)
                graph = lists[name].graphs.add()
            else:
                attribute = node.attribute.add(name=name, type=AttributeProto.GRAPH)
                graph = attribute.g
            own = block.last.attributes
            title = own.get(F.NAME)
            if isinstance(title, StringAttr):
                graph.name = title.value
            inputs = _dicts(_values(own.get("onnx.inputs")), len(block.args))
            outputs = _dicts(_values(own.get("onnx.outputs")), len(block.last.operands))
            self.graph(graph, block, own, inputs, outputs, names)


def _constant_form(proto: AttributeProto, form: str, value: TensorAttr) -> None:
    """The attribute that a constant's node had instead of ``value``."""
    proto.name = form
    items = value.numpy().reshape(-1).tolist()
    if form == "value_string":
        proto.type, proto.s = AttributeProto.STRING, items[0]
    elif form == "value_strings":
        proto.type = AttributeProto.STRINGS
        proto.strings.extend(items)
    elif form == "value_float":
        proto.type, proto.f = AttributeProto.FLOAT, items[0]
    elif form == "value_int":
        proto.type, proto.i = AttributeProto.INT, items[0]
    elif form == "value_floats":
        proto.type = AttributeProto.FLOATS
        proto.floats.extend(items)
    else:
        proto.type = AttributeProto.INTS
        proto.ints.extend(items)


def _text(attr: Attribute | None) -> str | None:
    return attr.value if isinstance(attr, StringAttr) else None


def _values(attr: Attribute | None) -> tuple[Attribute, ...] | None:
    return attr.values if isinstance(attr, ArrayAttr) else None


def _dicts(attrs: Sequence[Attribute] | None, count: int) -> list[DictAttr]:
    """One dictionary per value; empty ones where there are none or not as many."""
    found = [a if isinstance(a, DictAttr) else DictAttr() for a in attrs or ()]
    return found if len(found) == count else [DictAttr()] * count


def _nth(attr: Attribute | None, index: int) -> Attribute | None:
    return attr.values[index] if isinstance(attr, ArrayAttr) and index < len(attr.values) else None


def _position(attr: Attribute) -> int:
    if isinstance(attr, DictAttr):
        attr = attr.get("position") or attr
    return attr.value if isinstance(attr, IntegerAttr) else 0
