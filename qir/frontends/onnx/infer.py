"""ONNX's own shape inference, run on a model without its weights."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import shape_inference

from qir.dialects.func import FuncOp
from qir.dialects.onnx import OnnxOp, region_names
from qir.dialects.onnx_types import NUMBERS
from qir.frontends.onnx import fields as F
from qir.frontends.onnx.attributes import write_attribute
from qir.frontends.onnx.opsets import opset_imports
from qir.frontends.onnx.tensors import tensor_proto
from qir.frontends.onnx.types import DIMS, type_proto
from qir.ir.attributes import Attribute, TensorAttr
from qir.ir.core import Block, Operation, Trait, Value
from qir.ir.types import NoneType, TensorType

__all__ = ["infer_module", "inferred_model", "without_weights"]

KEEP = 4096
"""Bytes up to which the data of a tensor stays: shapes, axes and limits that inference reads."""


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model without the data of large tensors."""
    copy = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name not in ("graph", "training_info"):
            _set(copy, field, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _set(copy.graph, field, value)
    for tensor in model.graph.initializer:
        if (
            len(tensor.raw_data) <= KEEP
            and tensor.data_location != onnx.TensorProto.EXTERNAL
            and not tensor.HasField("segment")
        ):
            copy.graph.initializer.add().CopyFrom(tensor)
        else:
            copy.graph.initializer.add(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    return copy


def _set(message: Any, field: Any, value: Any) -> None:
    name = field.name
    repeated = hasattr(value, "extend")
    if repeated:
        getattr(message, name).extend(value)
    elif hasattr(value, "CopyFrom"):
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def inferred_model(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model (without weights) with all types that ONNX infers; None where inference fails as a whole."""
    try:
        return shape_inference.infer_shapes(without_weights(model), check_type=False, strict_mode=False, data_prop=True)
    except Exception:  # what onnx raises here differs by version and is not one class
        return None


# ---------------------------------------------------------------- modules
def infer_module(module: Operation) -> dict[Value, onnx.TypeProto]:
    """What ONNX infers for the values of a module's graphs from the types of their inputs and from small constants.

    Simulated quantization passes shapes through; results of operations that are no ONNX nodes keep their types and
    are taken as given. Names of dimensions go through too. Empty where inference fails as a whole.
    """
    found: dict[Value, onnx.TypeProto] = {}
    for region in module.regions:
        for block in region.blocks:
            for func in block:
                if isinstance(func, FuncOp) and not func.is_declaration and "onnx.function" not in func.attributes:
                    found.update(_Skeleton(module, func).infer())
    return found


_LIKE_THEIR_OPERAND = ("onnx.GroupNormalization", "onnx.MeanVarianceNormalization")
"""Operators of which ONNX infers nothing, though their result is as large as their first operand."""


class _Skeleton:
    """A function as a model without weights, its values called by number."""

    def __init__(self, module: Operation, func: FuncOp) -> None:
        self.func = func
        self.names: dict[Value, str] = {}
        self.model = onnx.ModelProto(ir_version=onnx.IR_VERSION)
        self.model.graph.name = "g"
        opset_imports(module.attributes if F.OPSET not in func.attributes else func.attributes, self.model.opset_import)
        if not len(self.model.opset_import):
            self.model.opset_import.add(domain="", version=onnx.defs.onnx_opset_version())

    def infer(self) -> dict[Value, onnx.TypeProto]:
        func, graph = self.func, self.model.graph
        for i, arg in enumerate(func.body.args):
            self.given(arg, func.arg_attr(i, DIMS))
        self.block(func.body, graph)
        try:
            inferred = shape_inference.infer_shapes(self.model, check_type=False, strict_mode=False, data_prop=True)
        except Exception:  # see above
            return {}
        types: dict[str, onnx.TypeProto] = {}
        _collect(inferred.graph, types)
        return {value: types[name] for value, name in self.names.items() if name in types}

    def name(self, value: Value) -> str:
        if isinstance(value.type, NoneType):
            return ""
        name = self.names.get(value)
        if name is None:
            name = self.names[value] = f"v{len(self.names)}"
        return name

    def given(self, value: Value, dims: Attribute | None = None) -> None:
        """A value whose type is what it is."""
        info = self.model.graph.input.add(name=self.name(value))
        try:
            proto = type_proto(value.type, dims)
        except ValueError:  # ONNX has no such type
            return
        if proto is not None:
            info.type.CopyFrom(proto)

    def block(self, block: Block, graph: onnx.GraphProto) -> None:
        for op in block:
            if op is block.last and op.has_trait(Trait.TERMINATOR):
                graph.output.extend(onnx.ValueInfoProto(name=self.name(v)) for v in op.operands)
            elif op.name != "onnx.NoValue" and not self.op(op, graph):
                for result in op.results:
                    if not isinstance(result.type, NoneType):
                        self.given(result)

    def op(self, op: Operation, graph: onnx.GraphProto) -> bool:
        """Add the nodes of an operation; False if it is no ONNX node or says nothing about its results."""
        if op.name == "onnx.Constant":
            value = op.attributes.get("value")
            if isinstance(value, TensorAttr) and value.type.count <= KEEP // 8:
                tensor = graph.initializer.add(name=self.name(op.results[0]))
                tensor_proto(value, tensor)
                return True
            return False
        if op.name in ("qsim.fake", "qsim.encode", "qsim.decode"):
            element = op.results[0].type.element if isinstance(op.results[0].type, TensorType) else None
            if element not in NUMBERS:
                return False
            node = graph.node.add(op_type="Cast", input=[self.name(op.operands[0])], output=[self.name(op.results[0])])
            node.attribute.add(name="to", type=onnx.AttributeProto.INT, i=NUMBERS[element])
            return True
        if not isinstance(op, OnnxOp):
            return False
        if op.name in _LIKE_THEIR_OPERAND:
            graph.node.add(op_type="Identity", input=[self.name(op.operands[0])], output=[self.name(op.results[0])])
            return True
        node = onnx.NodeProto(op_type=op.op_type, domain=op.domain)
        for name, attr in op.attributes.items():
            if "." in name:
                continue
            large = isinstance(attr, TensorAttr) and attr.type.count > KEEP // 8
            if large or not write_attribute(node.attribute.add(name=name), attr):
                return False
        regions = F.names_of(op.attributes.get(F.REGIONS)) or region_names(op.name)
        for name, region in zip(regions, op.regions, strict=False):
            inner = node.attribute.add(name=name, type=onnx.AttributeProto.GRAPH).g
            inner.name = name
            for arg in region.block.args:
                info = inner.input.add(name=self.name(arg))
                proto = type_proto(arg.type)
                if proto is not None:
                    info.type.CopyFrom(proto)
            self.block(region.block, inner)
        node.input.extend(self.name(v) for v in op.operands)
        node.output.extend(self.name(v) for v in op.results)
        graph.node.append(node)
        return True


def _collect(graph: onnx.GraphProto, types: dict[str, onnx.TypeProto]) -> None:
    """The types of all values of a graph and the graphs inside it."""
    for info in (*graph.input, *graph.value_info, *graph.output):
        if info.HasField("type") and info.type.WhichOneof("value") is not None:
            types[info.name] = info.type
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _collect(attribute.g, types)
