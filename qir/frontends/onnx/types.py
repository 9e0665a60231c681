"""TypeProto and ValueInfoProto against types of the IR.

A type of the IR says element types and sizes. What else a TypeProto can say goes into attributes beside it: names of
dimensions into ``onnx.dims`` (one string per dimension up to the last with a name, empty for none), anything that these
two cannot give back exactly (denotations, fields set to their default) into ``onnx.type`` as protobuf text;
``onnx.type`` alone says that the model gives no type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs
import onnx
from google.protobuf import text_format

from qir.dialects.onnx_types import ELEMENTS, NUMBERS, UNDEFINED, UNKNOWN_TYPE, container, contents
from qir.frontends.onnx.errors import text_attr
from qir.ir.attributes import ArrayAttr, Attribute, StringAttr, UnitAttr
from qir.ir.types import FunctionType, OpaqueType, TensorType, Type

__all__ = ["DIMS", "TYPE", "TypeRecord", "Types", "dims_attr", "exact_type", "type_proto"]

DIMS = "onnx.dims"
TYPE = "onnx.type"
_OPAQUE = re.compile(r'opaque<"([^"\\]*)", "([^"\\]*)">')


@attrs.frozen
class TypeRecord:
    """A TypeProto as a type of the IR and the attributes that complete it."""

    type: Type
    dims: ArrayAttr | None = None
    exact: StringAttr | UnitAttr | None = None

    def attributes(self) -> dict[str, Attribute]:
        """The attributes of a function's argument or result of this type."""
        found: dict[str, Attribute] = {}
        if self.dims is not None:
            found[DIMS] = self.dims
        if self.exact is not None:
            found[TYPE] = self.exact
        return found


class Types:
    """Reads TypeProtos, each distinct one once. `unknown_element` is called with the number of an element type that
    ONNX does not have, and the name of the value, and raises."""

    def __init__(self, unknown_element: Callable[[int, str], Type]) -> None:
        self.records: dict[bytes, TypeRecord] = {}
        self.interned: dict[Type, Type] = {}
        self._name = ""
        self.unknown_element = unknown_element

    def read(self, proto: onnx.TypeProto, name: str = "") -> TypeRecord:
        """The record of a TypeProto; `name` is the value's, for messages."""
        key = proto.SerializeToString()
        record = self.records.get(key)
        if record is None:
            self._name = name
            dims = _dims(proto)
            type = self._type(proto)
            type = self.interned.setdefault(type, type)
            try:
                exact = None if type_proto(type, dims) == proto else exact_type(proto)
            except ValueError:  # names of opaque types with characters that need escapes
                exact = exact_type(proto)
            record = self.records[key] = TypeRecord(type, dims, exact)
        return record

    def tensor(self, shape: tuple[int, ...], element: Type) -> TensorType:
        """The interned tensor type."""
        type = TensorType(shape, element)
        return self.interned.setdefault(type, type)  # type: ignore[return-value]

    def element(self, number: int, name: str | None = None) -> Type:
        """The element type of an ONNX number."""
        found = ELEMENTS.get(number)
        return self.unknown_element(number, self._name if name is None else name) if found is None else found

    def _type(self, proto: onnx.TypeProto) -> Type:
        kind = proto.WhichOneof("value")
        if kind == "tensor_type":
            return self._tensor(proto.tensor_type)
        if kind == "sequence_type":
            return container("seq", self._type(proto.sequence_type.elem_type))
        if kind == "optional_type":
            return container("opt", self._type(proto.optional_type.elem_type))
        if kind == "map_type":
            return container("map", self.element(proto.map_type.key_type), self._type(proto.map_type.value_type))
        if kind == "sparse_tensor_type":
            return container("sparse", self._tensor(proto.sparse_tensor_type))
        if kind == "opaque_type":
            domain, name = text_attr(proto.opaque_type.domain), text_attr(proto.opaque_type.name)
            return OpaqueType("onnx", f"opaque<{domain}, {name}>")
        return UNKNOWN_TYPE

    def _tensor(self, proto: onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor) -> TensorType:
        element = self.element(proto.elem_type)
        if not proto.HasField("shape"):
            return TensorType(None, element)
        shape = []
        for dim in proto.shape.dim:
            size = dim.dim_value if dim.HasField("dim_value") else None
            shape.append(None if size is None or size < 0 else size)
        return TensorType(tuple(shape), element)


def exact_type(proto: onnx.TypeProto) -> StringAttr:
    """The ``onnx.type`` attribute that gives a TypeProto back."""
    return StringAttr(text_format.MessageToString(proto, as_one_line=True))


def _dims(proto: onnx.TypeProto) -> ArrayAttr | None:
    if proto.WhichOneof("value") != "tensor_type":
        return None
    names = [dim.dim_param for dim in proto.tensor_type.shape.dim]
    return dims_attr(names) if any(names) else None


def dims_attr(names: Sequence[str]) -> ArrayAttr:
    """The ``onnx.dims`` attribute of the names of a tensor's dimensions."""
    names = list(names)
    while names and not names[-1]:
        names.pop()
    return ArrayAttr(tuple(text_attr(name) for name in names))


def type_proto(type: Type, dims: Attribute | None = None, exact: Attribute | None = None) -> onnx.TypeProto | None:
    """The TypeProto of a type and the attributes beside it; None for one that nobody gives.

    A stale attribute (another rank, another type) is ignored. Raises ValueError for types that ONNX does not have.
    """
    if isinstance(exact, StringAttr):
        proto = onnx.TypeProto()
        text_format.Parse(exact.value, proto)
        if _compatible(Types(lambda number, name: UNKNOWN_TYPE).read(proto).type, type):
            return proto
    if type == UNKNOWN_TYPE or isinstance(exact, UnitAttr):
        return None
    proto = onnx.TypeProto()
    names: list[str] = []
    if isinstance(dims, ArrayAttr):
        names = [name.value if isinstance(name, StringAttr) else "" for name in dims.values]
    _fill(proto, type, names)
    return proto


def _compatible(a: Type, b: Type) -> bool:
    """Whether two types may say the same of one value, one of them perhaps more."""
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        if a.element != b.element and UNDEFINED not in (a.element, b.element):
            return False
        if a.shape is None or b.shape is None:
            return True
        return len(a.shape) == len(b.shape) and all(
            None in (x, y) or x == y for x, y in zip(a.shape, b.shape, strict=True)
        )
    return a == b or UNKNOWN_TYPE in (a, b)


def _fill(proto: onnx.TypeProto, type: Type, names: Sequence[str] = ()) -> None:
    if isinstance(type, TensorType):
        _fill_tensor(proto.tensor_type, type, names)
        return
    found = contents(type)
    if found is None:
        opaque = _OPAQUE.fullmatch(type.body) if isinstance(type, OpaqueType) and type.dialect == "onnx" else None
        if opaque is not None:
            proto.opaque_type.domain, proto.opaque_type.name = opaque[1], opaque[2]
            return
        if type == UNKNOWN_TYPE:
            return
        raise ValueError(f"ONNX has no type for {type}")
    kind, types = found
    if kind == "seq":
        proto.sequence_type.SetInParent()
        _fill(proto.sequence_type.elem_type, types[0])
    elif kind == "opt":
        proto.optional_type.SetInParent()
        _fill(proto.optional_type.elem_type, types[0])
    elif kind == "map":
        proto.map_type.key_type = _number(types[0])
        _fill(proto.map_type.value_type, types[1])
    elif isinstance(types[0], TensorType):
        _fill_tensor(proto.sparse_tensor_type, types[0], ())


def _fill_tensor(
    proto: onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor, type: TensorType, names: Sequence[str]
) -> None:
    proto.elem_type = _number(type.element)
    if type.shape is None:
        return
    proto.shape.SetInParent()
    dims = proto.shape.dim
    named = len(names) if len(names) <= len(type.shape) else 0
    for i, size in enumerate(type.shape):
        dim = dims.add()
        if size is not None:
            dim.dim_value = size
        elif i < named and names[i]:
            dim.dim_param = names[i]


def _number(element: Type) -> int:
    number = NUMBERS.get(element)
    if number is None:
        kind = "function types" if isinstance(element, FunctionType) else f"elements of type {element}"
        raise ValueError(f"ONNX has no {kind}")
    return number
