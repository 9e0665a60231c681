"""A node's operator, attributes and inner graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx
from onnx import AttributeProto

from qir.dialects import onnx as dialect
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.attributes import AttributeReader, proto_attr, reference
from qir.frontends.onnx.errors import NotText, Place, text_attr
from qir.frontends.onnx.scopes import Scope
from qir.frontends.onnx.tensors import TensorReader
from qir.frontends.onnx.types import Types
from qir.ir.attributes import ArrayAttr, Attribute, DenseStringAttr, DictAttr, UnitAttr, dense_from_numpy, dictionary
from qir.ir.context import Context
from qir.ir.core import Operation, Region
from qir.ir.types import TensorType

__all__ = ["NodeReader"]

GRAPH, GRAPHS = AttributeProto.GRAPH, AttributeProto.GRAPHS
_UNIT = UnitAttr()
_FORMS = frozenset({"value_float", "value_floats", "value_int", "value_ints", "value_string", "value_strings"})
RegionReader = Callable[[onnx.GraphProto, Scope, "onnx.GraphProto | None"], Region]


class NodeReader:
    """Reads what a node says beside its inputs and outputs. `region` reads an inner graph; `functions` are the model's
    own (domain, name)."""

    def __init__(
        self,
        ctx: Context,
        place: Place,
        types: Types,
        tensors: TensorReader,
        functions: Iterable[tuple[str, str]],
        region: RegionReader,
    ) -> None:
        self.ctx, self.place, self.region = ctx, place, region
        self.values = AttributeReader(types, tensors)
        self.functions = set(functions)
        self._names: dict[tuple[str, str], tuple[str, type[Operation] | None, Attribute | None]] = {}

    def domains(self) -> set[str]:
        """The domains of all nodes read so far."""
        return {domain for domain, _ in self._names}

    def operator(
        self, domain: str, op_type: str, node: onnx.NodeProto
    ) -> tuple[str, type[Operation] | None, Attribute | None]:
        """Name and class of a node's operation, and its domain where the name does not say it."""
        try:
            return self._names[domain, op_type]
        except KeyError:
            pass
        place = self.place.at(node.name)
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

    def attributes(
        self, node: onnx.NodeProto, attributes: dict[str, Attribute], scope: Scope, inferred: onnx.NodeProto | None
    ) -> Sequence[Region]:
        """Read a node's attributes into `attributes`, and its graphs into regions."""
        owner = node.name or (node.output[0] if len(node.output) else "")
        read = self.values.read
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
