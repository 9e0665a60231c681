"""The classes of the ``onnx`` dialect, made from ``onnx.defs`` when first asked for; see `qir.dialects.onnx`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from qir.dialects import onnx_schema
from qir.dialects.onnx_schema import Schema
from qir.ir.attributes import Attribute, DictAttr, IntegerAttr, StringAttr, python_value
from qir.ir.context import Dialect
from qir.ir.core import Operation, Region, Trait, Value, is_absent
from qir.ir.definition import (
    ANY,
    AttrKind,
    OpDefinition,
    op_def,
    operand,
    optional_attr,
    optional_operand,
    result,
    variadic_operand,
)
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import NoneType, Type, none

if TYPE_CHECKING:
    from qir.ir.definition import AttrField, OperandField
    from qir.ir.verifier import Verifier

__all__ = [
    "DIALECT",
    "DIALECT_AI",
    "NoValue",
    "OnnxDefinition",
    "OnnxOp",
    "Yield",
    "domain_and_type",
    "op_class",
    "op_name",
    "opset_of",
    "opsets",
    "region_names",
    "similar",
]

ELEMENTWISE = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil
    Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf
    IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu
    Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
"""
COMMUTATIVE = "Add And BitwiseAnd BitwiseOr BitwiseXor Equal Max Mean Min Mul Or Sum Xor"
SCALE_PRESERVING = """
    CenterCropPad Compress Concat DepthToSpace Dropout Expand Flatten Gather GatherElements GatherND Identity MaxPool
    Reshape ReverseSequence Scatter ScatterElements ScatterND Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze
"""
"""Operators whose results hold only values of their data operands: a scale that fits those fits the results."""

_TRAITS: dict[str, Trait] = {"Constant": Trait.CONSTANT_LIKE}
for _names, _trait in (
    (ELEMENTWISE, Trait.ELEMENTWISE),
    (COMMUTATIVE, Trait.COMMUTATIVE),
    (SCALE_PRESERVING, Trait.SCALE_PRESERVING),
):
    for _name in _names.split():
        _TRAITS[_name] = _TRAITS.get(_name, Trait.NONE) | _trait

_RESERVED = frozenset({"ai.onnx", "builtin", "domain", "func", "onnx", "onnxruntime", "qsim", "quant"})


# ---------------------------------------------------------------- names
def op_name(domain: str, op_type: str) -> tuple[str, bool]:
    """The name of a node's operation, and whether the domain must be kept beside it for the name does not say it."""
    if domain in ("", "ai.onnx"):
        return f"onnx.{op_type}", bool(domain)
    if domain.partition(".")[0] in _RESERVED:
        return f"domain.{domain}.{op_type}", True
    return f"{domain}.{op_type}", "." in op_type


def domain_and_type(op: Operation) -> tuple[str, str]:
    """Domain and operator of the node that an operation stands for."""
    name = op.name
    kept = op.attributes.get("onnx.domain")
    if isinstance(kept, StringAttr):
        domain = kept.value
        for prefix in ("onnx." if domain in ("", "ai.onnx") else f"{domain}.", f"domain.{domain}."):
            if name.startswith(prefix):
                return domain, name[len(prefix) :]
        return domain, name.rpartition(".")[2]
    if name.startswith("onnx."):
        return "", name[5:]
    domain, _, op_type = name.rpartition(".")
    return domain, op_type


def similar(op_type: str) -> str | None:
    """The standard operator whose name is nearest to a misspelt one."""
    import difflib

    close = difflib.get_close_matches(op_type, onnx_schema.names(""), 1)
    return close[0] if close else None


def _split(name: str) -> tuple[str, str]:
    """Domain (as the schemas spell it) and operator of a class's name."""
    if name.startswith("onnx."):
        return "", name[5:]
    domain, _, op_type = name.rpartition(".")
    return domain, op_type


# ---------------------------------------------------------------- opsets
_versions: dict[int, tuple[DictAttr, dict[str, int]]] = {}


def opsets(op: Operation) -> Mapping[str, int]:
    """The opset versions that hold for `op`, by domain: those of the nearest operation around it that states them."""
    around: Operation | None = op
    while around is not None:
        stated = around.attributes.get("onnx.opset")
        if isinstance(stated, DictAttr):
            known = _versions.get(id(stated))
            if known is None or known[0] is not stated:
                found = {
                    ("" if k == "ai.onnx" else k): v.value for k, v in stated.entries if isinstance(v, IntegerAttr)
                }
                if len(_versions) > 256:
                    _versions.clear()
                known = _versions[id(stated)] = stated, found
            return known[1]
        around = around.parent_op
    return {}


def opset_of(op: Operation, domain: str = "") -> int | None:
    """The version of `domain` that holds for `op`; None where none is stated."""
    return opsets(op).get(domain)


# ---------------------------------------------------------------- classes
def _kind(schema: Schema, name: str) -> AttrKind[Any]:
    """The kind of an attribute, for everything that makes attributes from Python values."""

    def encode(value: Any) -> Attribute:
        from qir.dialects.onnx_build import encode as encode_value

        return encode_value(schema, name, value)

    words, accepts = onnx_schema.KINDS[schema.attributes[name].kind]
    return AttrKind(words, accepts, python_value, encode)


class OnnxDefinition(OpDefinition):
    """The definition of an operator; checks against the schema of the version that holds for an operation."""

    def __init__(self, name: str, schema: Schema) -> None:
        fields: list[OperandField] = []
        kinds = {"single": operand, "optional": optional_operand, "variadic": variadic_operand}
        for parameter in schema.inputs:
            field = kinds[parameter.option](ANY, parameter.doc)
            field.name = parameter.name
            fields.append(field)
        attributes: dict[str, AttrField[Any]] = {}
        for known in schema.attributes.values():
            if known.kind not in ("GRAPH", "GRAPHS"):
                attributes[known.name] = optional_attr(_kind(schema, known.name), known.default, known.doc)
        super().__init__(name, schema.doc, fields, (), attributes)
        self.flexible = []  # operands are found by position: absent ones are there, as NoValue
        self.schema = schema
        self.domain, self.op_type = _split(name)
        self.inherent = frozenset(self._all_attributes())

    def _all_attributes(self) -> Iterator[str]:
        version: int | None = self.schema.since
        while version:
            schema = onnx_schema.find(self.domain, self.op_type, version)
            if schema is None:
                return
            yield from (a.name for a in schema.attributes.values() if a.kind not in ("GRAPH", "GRAPHS"))
            version = min(schema.since, version) - 1

    def at(self, version: int | None) -> Schema | None:
        """The schema at an opset version, the newest for None."""
        return self.schema if version is None else onnx_schema.find(self.domain, self.op_type, version)

    def segment(self, op: Operation, field: OperandField) -> tuple[Value, ...]:
        found = op.operands[field.position :] if field.variadic else op.operands[field.position : field.position + 1]
        return found if field.variadic else tuple(v for v in found if not is_absent(v))

    def check(self, op: Operation) -> Iterator[str]:
        version = opsets(op).get(self.domain)
        schema = self.at(version)
        if schema is None:
            first = min(
                v for v in range(1, self.schema.since + 1) if onnx_schema.find(self.domain, self.op_type, v) is not None
            )
            domain = self.domain or "ai.onnx"
            yield f"needs {domain} version {first} or newer, the module declares {version} in onnx.opset"
            return
        yield from schema.check(op)


class OnnxOp(Operation):
    """Base of all operations of ONNX's own domains."""

    __slots__ = ()
    op_type: ClassVar[str] = ""
    domain: ClassVar[str] = ""

    @property
    def schema(self) -> Schema:
        """The schema at the version that holds here (the newest where none is stated or it is too old)."""
        definition = self.definition
        assert isinstance(definition, OnnxDefinition)
        return definition.at(opsets(self).get(self.domain)) or definition.schema

    def onnx_operand(self, name: str) -> Value | None:
        """The operand called `name` by the schema that holds here; None if it is absent or there is none."""
        for i, parameter in enumerate(self.schema.inputs):
            if parameter.name == name:
                value = self.operands[i] if i < len(self.operands) else None
                return None if is_absent(value) else value
        return None

    def onnx_attr(self, name: str, default: Any = None) -> Any:
        """An attribute as a Python value: what is given, else the schema's default, else `default`."""
        given = self.attributes.get(name)
        if given is not None:
            return python_value(given)
        known = self.schema.attributes.get(name)
        return default if known is None or known.default is None else known.default

    @classmethod
    def build(
        cls, *operands: Value | Sequence[Value] | None, result_types: Sequence[Type] | None = None,
        regions: Sequence[Region] = (), location: Location = UNKNOWN, name: str | None = None, opset: int | None = None,
        outputs: int = 1, **attributes: Any,
    ) -> OnnxOp:  # fmt: skip
        """A new operation, outside any block.

        One argument per input of the schema: a value, None for an absent one, a sequence for a variadic one. Attributes
        are Python values (None: not given); the kind that the schema names is made of them. Without `result_types`
        ONNX infers the types of `outputs` results at version `opset` (by default the one that holds where the
        operands are defined). `name` names the result.
        """
        from qir.dialects.onnx_build import build

        return build(cls, operands, attributes, result_types, regions, location, name, opset, outputs)


class _Operand:
    """Accessor of an input: a value, None where it is absent, or a tuple for a variadic one."""

    def __init__(self, index: int, variadic: bool, doc: str) -> None:
        self.index, self.variadic, self.__doc__ = index, variadic, doc

    def __get__(self, op: Operation | None, owner: type) -> Any:
        if op is None:
            return self
        if self.variadic:
            return op.operands[self.index :]
        value = op.operands[self.index] if self.index < len(op.operands) else None
        return None if is_absent(value) else value


class _Attribute:
    """Accessor of an attribute: the given Python value, else the schema's default, else None."""

    def __init__(self, name: str, doc: str) -> None:
        self.name, self.__doc__ = name, doc

    def __get__(self, op: OnnxOp | None, owner: type) -> Any:
        return self if op is None else op.onnx_attr(self.name)

    def __set__(self, op: OnnxOp, value: Any) -> None:
        from qir.dialects.onnx_build import encode

        if value is None:
            op.attributes.pop(self.name, None)
        else:
            op.attributes[self.name] = encode(op.schema, self.name, value)


def _traits(schema: Schema) -> Trait:
    pure = schema.deterministic or schema.graphs or schema.name in ("Dropout", "AffineGrid")
    traits = Trait.PURE if pure else Trait.NONE
    return traits if schema.domain else traits | _TRAITS.get(schema.name, Trait.NONE)


def _make(name: str) -> type[Operation] | None:
    """The class of an operator by its full name; None if ONNX does not know it."""
    domain, op_type = _split(name)
    schema = onnx_schema.newest(domain, op_type)
    if schema is None:
        return None
    body: dict[str, Any] = {
        "__slots__": (), "__doc__": schema.doc, "__module__": "qir.dialects.onnx", "name": name,
        "traits": _traits(schema),
        "definition": OnnxDefinition(name, schema), "op_type": op_type, "domain": domain,
    }  # fmt: skip
    for known in schema.attributes.values():
        if known.name not in _TAKEN and known.kind not in ("GRAPH", "GRAPHS"):
            body[known.name] = _Attribute(known.name, known.doc)
    for i, parameter in enumerate(schema.inputs):
        if parameter.name not in _TAKEN:
            body[parameter.name] = _Operand(i, parameter.option == "variadic", parameter.doc)
    return type(op_type, (OnnxOp,), body)


_TAKEN = frozenset(dir(OnnxOp))


@op_def("onnx.NoValue", Trait.PURE)
class NoValue(Operation):
    """An absent operand of the operation that follows."""

    value = result(ANY)

    @classmethod
    def infer(cls, operands: Sequence[Value], attributes: Mapping[str, Attribute]) -> Sequence[Type]:
        return (none,)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        if not isinstance(self.results[0].type, NoneType):
            yield f"gives a value of type none, not {self.results[0].type}"


@op_def("onnx.Yield", Trait.TERMINATOR)
class Yield(Operation):
    """Ends a graph inside an operator and gives its outputs. Attributes of the graph stand here as ``onnx.*``."""

    values = variadic_operand(ANY)


DIALECT = Dialect("onnx", [NoValue, Yield], _make, doc="ONNX's operators, from onnx.defs.",
                  known=lambda: (f"onnx.{name}" for name in onnx_schema.names("")))  # fmt: skip
DIALECT_AI = Dialect("ai", [], lambda name: _make(name) if _split(name)[0] in onnx_schema.STANDARD else None,
                     doc="Operators of ONNX's other domains (ai.onnx.ml, ai.onnx.preview.training).")  # fmt: skip


def op_class(name: str) -> type[Operation]:
    """The class of a standard operator (``Conv``). Raises AttributeError with the nearest name."""
    cls = DIALECT.op_class(f"onnx.{name}")
    if cls is None:
        close = similar(name)
        raise AttributeError(f"ONNX has no operator '{name}'" + (f"; did you mean '{close}'?" if close else ""))
    return cls


def region_names(name: str) -> tuple[str, ...]:
    """The graph attributes of an operation called `name`, in the order of its regions."""
    cls = (
        (DIALECT_AI if name.startswith("ai.") else DIALECT).op_class(name)
        if name.startswith(("onnx.", "ai."))
        else None
    )
    definition = cls.definition if cls is not None else None
    return definition.schema.graphs if isinstance(definition, OnnxDefinition) else ()
