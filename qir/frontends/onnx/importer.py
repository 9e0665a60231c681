"""ModelProto -> module."""

from __future__ import annotations

import os
from typing import Any

import onnx

from qir.dialects.builtin import ModuleOp, empty_module
from qir.dialects.func import FuncOp, ReturnOp, make_func
from qir.dialects.onnx_types import UNKNOWN_TYPE
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.attributes import proto_attr
from qir.frontends.onnx.errors import NotText, Place
from qir.frontends.onnx.graphs import GraphReader
from qir.frontends.onnx.infer import inferred_model
from qir.frontends.onnx.opsets import opset_attributes, undeclared_domains
from qir.frontends.onnx.read import read_model
from qir.frontends.onnx.scopes import Infos, Scope
from qir.frontends.onnx.tensors import TensorReader
from qir.frontends.onnx.types import Types
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseResourceAttr,
    StringAttr,
    UnitAttr,
    dense_from_bytes,
    dictionary,
)
from qir.ir.context import Context, no_gc
from qir.ir.core import Value
from qir.ir.diagnostics import Diagnostic, QirError
from qir.ir.location import FileLineColLoc, NameLoc, UnknownLoc
from qir.ir.tensors import BytesTensor
from qir.ir.types import Type, tensor, ui8
from qir.ir.verifier import verify

__all__ = ["import_model"]

OLDEST_IR = 1


def import_model(
    source: str | os.PathLike[str] | onnx.ModelProto, ctx: Context, *, folder: str | None = None, check: bool = True
) -> ModuleOp:
    """See `qir.frontends.onnx.import_onnx`."""
    with no_gc():
        mapped = None
        if isinstance(source, onnx.ModelProto):
            place, model = Place(""), source
        else:
            path = os.fspath(source)
            place = Place(path)
            model, mapped = read_model(path, place)
            folder = folder if folder is not None else os.path.dirname(path) or "."
        try:
            module = _Importer(ctx, place, folder, mapped).model(model)
        except (NotText, TypeError, ValueError, AttributeError):
            field = _field_that_is_no_text(model, "model")
            if field is None:
                raise
            place.fail(f"the file is damaged: {field} is no UTF-8 text", "export the model again")
    if check:
        try:
            verify(module)
        except QirError as error:
            raise QirError([_placed(d, place.name) for d in error.diagnostics]) from None
    return module


def _field_that_is_no_text(message: Any, where: str) -> str | None:
    """The path of a text field that holds something else."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_BYTES or field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for i, item in enumerate(
            [value] if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") else value
        ):
            path = f"{where}.{field.name}[{i}]"
            if field.type == field.TYPE_STRING and isinstance(item, bytes):
                return path
            found = _field_that_is_no_text(item, path) if field.type == field.TYPE_MESSAGE else None
            if found is not None:
                return found
    return None


def _placed(diagnostic: Diagnostic, name: str) -> Diagnostic:
    """A diagnostic about an operation, with the file it comes from."""
    import attrs

    location = diagnostic.location
    file = FileLineColLoc(name, 0, 0)
    if not name:
        return diagnostic
    if isinstance(location, UnknownLoc):
        return attrs.evolve(diagnostic, location=file)
    if isinstance(location, NameLoc) and isinstance(location.child, UnknownLoc):
        return attrs.evolve(diagnostic, location=NameLoc(location.name, file))
    return diagnostic


class _Importer:
    def __init__(self, ctx: Context, place: Place, folder: str | None, mapped: memoryview | None) -> None:
        self.ctx, self.place = ctx, place
        self.types = Types(self._unknown_element)
        self.tensors = TensorReader(place, self.types, folder, mapped)

    def _unknown_element(self, number: int, name: str) -> Type:
        self.place.at(name).fail(
            f"'{name}' has the element type number {number}, which onnx {onnx.__version__} does not know",
            "the file is damaged, or made for a newer ONNX: install a newer onnx package",
        )

    def model(self, model: onnx.ModelProto) -> ModuleOp:
        self._check(model)
        reader = GraphReader(
            self.ctx, self.place, self.types, self.tensors, [(f.domain, f.name) for f in model.functions]
        )
        module = empty_module(attributes=self._module_attributes(model))
        graph = model.graph
        inferred = None if _fully_typed(graph) else inferred_model(model)
        func = make_func("main", [])
        block = func.body
        values, inputs, outputs, own = reader.graph(
            graph, block, Scope(), inferred.graph if inferred is not None else None
        )
        if not graph.HasField("name"):
            own[F.NAME] = UnitAttr()
        elif graph.name != "main":
            own[F.NAME] = StringAttr(graph.name)
        block.append(ReturnOp.create(values))
        self._finish(func, inputs, outputs, own)
        module.attributes.update(undeclared_domains(reader.node_reader.domains(), model.opset_import))
        module.body.append(func)
        symbols = {"main"}
        for function in model.functions:
            module.body.append(self._function(function, reader, symbols))
        if reader.shared_names:
            module.attributes["onnx.shared_node_names"] = UnitAttr()
        return module

    def _check(self, model: onnx.ModelProto) -> None:
        """Everything that makes a file no model at all."""
        place = self.place
        if not model.HasField("graph") or not model.HasField("ir_version"):
            what = "no graph" if not model.HasField("graph") else "no ir_version"
            place.fail(f"this is no ONNX model: it has {what}", "give a .onnx file that holds a whole model")
        if model.ir_version < OLDEST_IR:
            place.fail(
                f"this is no ONNX model: its ir_version is {model.ir_version}",
                "the file is damaged: export the model again",
            )
        if model.ir_version > onnx.IR_VERSION:
            place.fail(
                f"the model has ir_version {model.ir_version}, onnx {onnx.__version__} knows {onnx.IR_VERSION} at most",
                "install a newer onnx package, or export the model for an older version",
            )
        if not model.opset_import and model.ir_version >= 3:
            place.fail("the model does not say which opset it uses", "export it again, or set its opset_import")
        seen: dict[str, int] = {}
        for entry in model.opset_import:
            if seen.setdefault(entry.domain, entry.version) != entry.version:
                place.fail(
                    f"the model declares two versions of '{entry.domain or 'ai.onnx'}': "
                    f"{seen[entry.domain]} and {entry.version}",
                    "export it again",
                )
        newest = onnx.defs.onnx_opset_version()
        used = seen.get("", seen.get("ai.onnx", 0))
        if used > newest:
            place.fail(
                f"the model uses opset {used}, onnx {onnx.__version__} knows them up to {newest}",
                "install a newer onnx package, or export the model with an older opset",
            )

    def _module_attributes(self, model: onnx.ModelProto) -> dict[str, Attribute]:
        own: dict[str, Attribute] = {}
        F.read_text(
            model, own, "ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string"
        )
        own.update(opset_attributes(model.opset_import))
        metadata = F.read_metadata(model.metadata_props)
        if metadata is not None:
            own[F.METADATA] = metadata
        configuration = F.read_protos(model.configuration)
        if configuration is not None:
            own["onnx.configuration"] = configuration
        if len(model.training_info):
            data = onnx.ModelProto(training_info=model.training_info).SerializeToString()
            type = tensor([len(data)], ui8)
            key = self.tensors.key("training_info")
            large = len(data) > 16
            own["onnx.training_info"] = (
                DenseResourceAttr(key, type, BytesTensor(data, type)) if large else dense_from_bytes(data, type)
            )
        return own

    def _finish(
        self,
        func: FuncOp,
        inputs: list[dict[str, Attribute]],
        outputs: list[dict[str, Attribute]],
        own: dict[str, Attribute],
    ) -> None:
        func.update_type()
        if any(inputs):
            func.arg_attrs = tuple(dictionary(entry) for entry in inputs)
        if any(outputs):
            func.res_attrs = tuple(dictionary(entry) for entry in outputs)
        func.attributes.update(own)

    def _function(self, function: onnx.FunctionProto, reader: GraphReader, symbols: set[str]) -> FuncOp:
        """A function of the model, as a function of its own; its types are mostly unknown."""
        base = f"{function.domain}.{function.name}" + (f":{function.overload}" if function.overload else "")
        symbol, count = base, 0
        while symbol in symbols:
            count += 1
            symbol = f"{base}_{count}"
        symbols.add(symbol)
        listed = {i.name: self.types.read(i.type).type for i in function.value_info if i.HasField("type")}
        func = make_func(symbol, [])
        block, scope = func.body, Scope()
        infos = Infos.read(function, (), None, self.types)
        for name in function.input:
            reader.define(scope, name, block.add_arg(listed.get(name, UNKNOWN_TYPE), name), "function input")
        ops = reader.nodes(function.node, block, scope, infos, None)
        own = reader.graph_attributes(function, infos, ops, scope)
        values: list[Value] = []
        outputs: list[dict[str, Attribute]] = []
        for name in function.output:
            value = scope.find(name)
            if value is None:
                self.place.at(base).fail(f"the function's output '{name}' is defined by no node", "the file is damaged")
            values.append(value)
            outputs.append({F.NAME: StringAttr(name)})
        block.append(ReturnOp.create(values))
        own["onnx.function"] = dictionary(_function_fields(function))
        own.update(opset_attributes(function.opset_import))
        own.update(undeclared_domains({n.domain for n in function.node}, function.opset_import))
        self._finish(func, [{} for _ in block.args], outputs, own)
        return func


def _function_fields(function: onnx.FunctionProto) -> dict[str, Attribute]:
    """What names a function and its attributes."""
    found: dict[str, Attribute] = {}
    for field in ("name", "domain", "overload"):
        if function.HasField(field):
            found[field] = StringAttr(getattr(function, field))
    if len(function.attribute):
        found["attributes"] = F.strings(function.attribute)
    if len(function.attribute_proto):
        found["defaults"] = ArrayAttr(tuple(proto_attr(a) for a in function.attribute_proto))
    return found


def _fully_typed(graph: onnx.GraphProto) -> bool:
    """Whether ValueInfos give a type to every value of a graph without inner graphs."""
    typed = {i.name for i in graph.value_info}
    typed.update(i.name for i in graph.output)
    for node in graph.node:
        for name in node.output:
            if name and name not in typed:
                return False
        if node.op_type in ("If", "Loop", "Scan"):
            return False
    return True
