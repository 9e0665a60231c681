"""Building ONNX operations from Python values, with result types inferred by ONNX."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qir.dialects import onnx_ops as dialect
from qir.dialects.onnx_schema import KINDS, Schema
from qir.dialects.onnx_types import ELEMENTS, NUMBERS, UNKNOWN_TYPE, container, contents
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DenseArrayAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    TensorAttr,
    TypeAttr,
    dense_from_numpy,
    float_bits,
)
from qir.ir.core import Operation, Region, Value
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import NoneType, TensorType, Type, f32, i64, none

if TYPE_CHECKING:
    import onnx

__all__ = ["build", "constant", "encode", "infer_types"]

SMALL = 4096
"""Elements up to which constant operands are shown to shape inference (shapes, axes, paddings)."""


def encode(schema: Schema, name: str, value: Any) -> Attribute:
    """The attribute `name` of an operator from a Python value. Raises ValueError naming what the schema wants."""
    if isinstance(value, Attribute):
        return value
    known = schema.attributes.get(name)
    if known is None:
        import difflib

        close = difflib.get_close_matches(name, schema.attributes, 1, 0.5)
        hint = f"; did you mean '{close[0]}'?" if close else f"; it has {', '.join(schema.attributes) or 'none'}"
        raise ValueError(f"onnx.{schema.name} has no attribute '{name}' at version {schema.since}{hint}")
    kind = known.kind
    try:
        if kind == "INT":
            return IntegerAttr(int(value))
        if kind == "INTS":
            return DenseArrayAttr(i64, tuple(int(v) for v in value))
        if kind == "FLOAT":
            return FloatAttr(float_bits(float(value), f32), f32)
        if kind == "FLOATS":
            values = [float(v) for v in value]
            return DenseArrayAttr(f32, struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values)))
        if kind == "STRING":
            return StringAttr(value if isinstance(value, str) else bytes(value).decode("utf-8", "surrogateescape"))
        if kind == "STRINGS":
            return ArrayAttr(tuple(StringAttr(str(v)) for v in value))
        if kind == "TENSOR":
            import numpy as np

            return dense_from_numpy(np.asarray(value))
        if kind == "TYPE_PROTO" and isinstance(value, Type):
            return TypeAttr(value)
    except (TypeError, struct.error) as error:
        raise ValueError(f"onnx.{schema.name}: attribute '{name}' must be {KINDS[kind][0]}: {error}") from None
    raise ValueError(f"onnx.{schema.name}: attribute '{name}' must be {KINDS[kind][0]}, not {value!r}")


def build(
    cls: type[dialect.OnnxOp],
    operands: Sequence[Value | Sequence[Value] | None],
    attributes: Mapping[str, Any],
    result_types: Sequence[Type] | None,
    regions: Sequence[Region],
    location: Location,
    name: str | None,
    opset: int | None,
    outputs: int,
) -> dialect.OnnxOp:
    """See `qir.dialects.onnx.OnnxOp.build`. Absent operands become `onnx.NoValue` operations, which the caller's
    insertion brings along (`absent_operands`)."""
    definition = cls.definition
    assert isinstance(definition, dialect.OnnxDefinition)
    flat: list[Value | None] = []
    for given in operands:
        if given is None or isinstance(given, Value):
            flat.append(given)
        else:
            flat.extend(given)
    while flat and flat[-1] is None:
        flat.pop()
    if opset is None:
        around = next((v for v in flat if v is not None), None)
        opset = _opset_at(around, cls.domain) if around is not None else None
    schema = definition.at(opset) or definition.schema
    encoded = {key: encode(schema, key, value) for key, value in attributes.items() if value is not None}
    if result_types is None:
        result_types = infer_types(schema, flat, encoded, outputs)
    values = [dialect.NoValue.create((), (none,)).results[0] if v is None else v for v in flat]
    op = cls.create(values, result_types, encoded, regions, location)
    if name is not None and op.results:
        op.results[0].name = name
    return op


def constant(array: Any, *, name: str | None = None, key: str | None = None, location: Location = UNKNOWN) -> Operation:
    """An ``onnx.Constant`` that holds an array; large data goes by reference under `key` (by default `name`)."""
    import numpy as np

    attr = dense_from_numpy(np.asarray(array), key or name)
    op = dialect.op_class("Constant").create((), (attr.type,), {"value": attr}, (), location)
    op.results[0].name = name
    return op


def _opset_at(value: Value, domain: str) -> int | None:
    op = value.defining_op
    if op is None:
        block = value.block
        op = block.parent_op if block is not None else None
    return dialect.opsets(op).get(domain) if op is not None else None


# ---------------------------------------------------------------- result types
_inferred: dict[Any, tuple[Type, ...]] = {}


def infer_types(
    schema: Schema, operands: Sequence[Value | None], attributes: Mapping[str, Attribute], outputs: int = 1
) -> tuple[Type, ...]:
    """The types of the first `outputs` results, as ONNX infers them from the types of the operands, small constant
    operands and attributes; ``!onnx.unknown`` where it cannot tell."""
    known = [None if v is None or isinstance(v.type, NoneType) else v for v in operands]
    constants = [_constant_of(v) if v is not None else None for v in known]
    key = (
        id(schema),
        tuple(None if v is None else v.type for v in known),
        tuple(constants),
        tuple((k, v) for k, v in attributes.items() if not isinstance(v, TensorAttr) or v.type.count <= SMALL),
        outputs,
    )
    found = _inferred.get(key)
    if found is None:
        if len(_inferred) > 4096:
            _inferred.clear()
        found = _inferred[key] = _infer(schema, known, constants, attributes, outputs)
    return found


def _constant_of(value: Value) -> TensorAttr | None:
    op = value.defining_op
    if op is None or op.name != "onnx.Constant":
        return None
    attr = op.attributes.get("value")
    small = isinstance(attr, TensorAttr) and attr.type.count <= SMALL and attr.type.rank in (0, 1)
    return attr if small and isinstance(attr, TensorAttr) else None


def _infer(
    schema: Schema, operands: Sequence[Value | None], constants: Sequence[TensorAttr | None],
    attributes: Mapping[str, Attribute], outputs: int,
) -> tuple[Type, ...]:  # fmt: skip
    import onnx
    from onnx import numpy_helper, shape_inference

    unknown = (UNKNOWN_TYPE,) * outputs
    node = onnx.NodeProto(op_type=schema.name, domain=schema.domain)
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for i, value in enumerate(operands):
        if value is None:
            node.input.append("")
            continue
        node.input.append(f"i{i}")
        proto = to_proto(value.type)
        if proto is None:
            return unknown
        types[f"i{i}"] = proto
        attr = constants[i]
        if attr is not None and attr.type.element in NUMBERS and attr.numpy().dtype.kind in "iufb":
            data[f"i{i}"] = numpy_helper.from_array(attr.numpy(), f"i{i}")
    node.output.extend(f"o{i}" for i in range(outputs))
    for name, attribute in attributes.items():
        if "." not in name and not _attribute(node, name, attribute):
            return unknown
    try:
        found = shape_inference.infer_node_outputs(
            schema.native,
            node,
            types,
            data,
            opset_imports=[onnx.OperatorSetIdProto(domain=schema.domain, version=schema.since)],
        )
    except Exception:  # onnx raises several unrelated classes: the node is wrong, which the verifier says better
        return unknown
    return tuple(from_proto(found[f"o{i}"]) if f"o{i}" in found else UNKNOWN_TYPE for i in range(outputs))


def _attribute(node: onnx.NodeProto, name: str, attr: Attribute) -> bool:
    """Add an attribute to a node; False for kinds that inference does not need to see."""
    from onnx import AttributeProto, helper, numpy_helper

    if isinstance(attr, TensorAttr):
        array = attr.numpy()
        if array.dtype.kind not in "iufb":
            tensor = onnx_tensor(attr)
        else:
            tensor = numpy_helper.from_array(array)
        node.attribute.add(name=name, type=AttributeProto.TENSOR).t.CopyFrom(tensor)
        return True
    if isinstance(attr, DenseArrayAttr):
        kind = AttributeProto.FLOATS if attr.element == f32 else AttributeProto.INTS
        proto = node.attribute.add(name=name, type=kind)
        (proto.floats if attr.element == f32 else proto.ints).extend(attr.python)
        return True
    if isinstance(attr, (IntegerAttr, FloatAttr, StringAttr)):
        node.attribute.append(helper.make_attribute(name, attr.value))
        return True
    if isinstance(attr, ArrayAttr) and all(isinstance(v, (IntegerAttr, FloatAttr, StringAttr)) for v in attr.values):
        node.attribute.append(helper.make_attribute(name, [v.value for v in attr.values]))  # type: ignore[attr-defined]
        return True
    if isinstance(attr, TypeAttr):
        proto_type = to_proto(attr.type)
        if proto_type is not None:
            node.attribute.add(name=name, type=AttributeProto.TYPE_PROTO).tp.CopyFrom(proto_type)
        return proto_type is not None
    return False


def onnx_tensor(attr: TensorAttr) -> onnx.TensorProto:
    """Type and sizes of a tensor, without data."""
    import onnx

    return onnx.TensorProto(dims=attr.shape, data_type=NUMBERS.get(attr.type.element, 0))


def to_proto(type: Type) -> onnx.TypeProto | None:
    """The TypeProto of a tensor or container of tensors; None where there is none."""
    import onnx

    proto = onnx.TypeProto()
    if isinstance(type, TensorType):
        number = NUMBERS.get(type.element)
        if not number:
            return None
        proto.tensor_type.elem_type = number
        if type.shape is not None:
            proto.tensor_type.shape.SetInParent()
            for size in type.shape:
                dim = proto.tensor_type.shape.dim.add()
                if size is not None:
                    dim.dim_value = size
        return proto
    found = contents(type)
    inner = to_proto(found[1][0]) if found is not None and found[0] in ("seq", "opt") else None
    if found is None or inner is None:
        return None
    (proto.sequence_type if found[0] == "seq" else proto.optional_type).elem_type.CopyFrom(inner)
    return proto


def from_proto(proto: onnx.TypeProto) -> Type:
    """The type that shape inference gave."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        element = ELEMENTS.get(proto.tensor_type.elem_type, UNKNOWN_TYPE)
        if not proto.tensor_type.HasField("shape"):
            return TensorType(None, element)
        dims = proto.tensor_type.shape.dim
        return TensorType(
            tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in dims), element
        )
    if kind == "sequence_type":
        return container("seq", from_proto(proto.sequence_type.elem_type))
    if kind == "optional_type":
        return container("opt", from_proto(proto.optional_type.elem_type))
    return UNKNOWN_TYPE
