"""Declarative definitions of operations.

A class body states operands, results, attributes and regions; accessors, the builder, the verifier and the
documentation come from it::

    @op_def("qsim.fake", traits=Trait.PURE)
    class FakeOp(Operation):
        "Simulates a quantizer on one edge."
        x = operand(FLOAT_TENSOR)
        y = result(FLOAT_TENSOR)
        quantizer = attr(SYMBOL)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from qir.ir.attributes import Attribute, DenseArrayAttr, attribute, integer_array
from qir.ir.constraints import (
    ANY,
    ANY_ATTR,
    ANY_TENSOR,
    ARRAY,
    BOOL,
    DICT,
    FLOAT,
    FLOAT_TENSOR,
    FUNCTION_TYPE,
    INT,
    INTEGER_TENSOR,
    INTS,
    NUMBERS,
    STRING,
    SYMBOL,
    TENSOR,
    TYPE,
    UNIT,
    AttrKind,
    TypeConstraint,
    tensor_of,
)
from qir.ir.core import Operation, OpResult, Region, Trait, Value
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import Type, i32

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "ANY",
    "ANY_ATTR",
    "ANY_TENSOR",
    "ARRAY",
    "BOOL",
    "DICT",
    "FLOAT",
    "FLOAT_TENSOR",
    "FUNCTION_TYPE",
    "INT",
    "INTEGER_TENSOR",
    "INTS",
    "NUMBERS",
    "STRING",
    "SYMBOL",
    "TENSOR",
    "TYPE",
    "UNIT",
    "AttrField",
    "AttrKind",
    "OpDefinition",
    "OperandField",
    "ResultField",
    "TypeConstraint",
    "attr",
    "op_def",
    "operand",
    "optional_attr",
    "optional_operand",
    "region",
    "result",
    "tensor_of",
    "variadic_operand",
    "variadic_result",
]  # fmt: skip

T = TypeVar("T")
C = TypeVar("C", bound=type[Operation])


# ---------------------------------------------------------------- fields
class _Field:
    """A part of a definition; a descriptor that reads itself from an operation."""

    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name


class OperandField(_Field):
    """Base of what stands for operands; `position` is that among the fields."""

    variadic = optional = False

    def __init__(self, constraint: TypeConstraint, doc: str = "") -> None:
        self.constraint, self.doc = constraint, doc
        self.position = 0

    def slice(self, op: Operation) -> tuple[Value, ...]:
        definition = op.definition
        assert definition is not None
        return definition.segment(op, self)


class operand(OperandField):
    """Exactly one operand."""

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> Value: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | Value:
        return self if op is None else self.slice(op)[0]


class optional_operand(OperandField):
    """One operand or none."""

    optional = True

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> Value | None: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | Value | None:
        if op is None:
            return self
        values = self.slice(op)
        return values[0] if values else None


class variadic_operand(OperandField):
    """Any number of operands."""

    variadic = True

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> tuple[Value, ...]: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | tuple[Value, ...]:
        return self if op is None else self.slice(op)


class ResultField(_Field):
    """Base of what stands for results."""

    variadic = False

    def __init__(self, constraint: TypeConstraint, doc: str = "") -> None:
        self.constraint, self.doc = constraint, doc
        self.position = 0


class result(ResultField):
    """Exactly one result."""

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> OpResult: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | OpResult:
        return self if op is None else op.results[self.position]


class variadic_result(ResultField):
    """All results from here on; stands last."""

    variadic = True

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> tuple[OpResult, ...]: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | tuple[OpResult, ...]:
        return self if op is None else op.results[self.position :]


class AttrField(_Field, Generic[T]):
    """Base of what stands for an attribute."""

    required = False

    def __init__(self, kind: AttrKind[T], default: T | None = None, doc: str = "") -> None:
        self.kind, self.default, self.doc = kind, default, doc

    def __set__(self, op: Operation, value: T | None) -> None:
        if value is None:
            op.attributes.pop(self.name, None)
        else:
            op.attributes[self.name] = self.kind.encode(value)


class attr(AttrField[T]):
    """An attribute that is always there: required, unless it has a default."""

    def __init__(self, kind: AttrKind[T], default: T | None = None, doc: str = "") -> None:
        super().__init__(kind, default, doc)
        self.required = default is None

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> T: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | T:
        if op is None:
            return self
        value = op.attributes.get(self.name)
        return cast(T, self.default) if value is None else self.kind.decode(value)


class optional_attr(AttrField[T]):
    """An attribute or None."""

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> T | None: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | T | None:
        if op is None:
            return self
        value = op.attributes.get(self.name)
        return None if value is None else self.kind.decode(value)


class region(_Field):
    """One region."""

    def __init__(self, doc: str = "") -> None:
        self.doc = doc
        self.position = 0

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Operation, owner: type) -> Region: ...
    def __get__(self, op: Operation | None, owner: type) -> Self | Region:
        return self if op is None else op.regions[self.position]


# ---------------------------------------------------------------- definitions
class OpDefinition:
    """What a class body said, for the verifier, the printers and the documentation.

    `inherent` are the attribute names that belong to the operation (``<{…}>`` in the generic form).
    """

    SEGMENTS: ClassVar[str] = "operandSegmentSizes"

    def __init__(
        self, name: str, doc: str, operands: Sequence[OperandField] = (), results: Sequence[ResultField] = (),
        attributes: Mapping[str, AttrField[Any]] | None = None, regions: Sequence[region] = (),
    ) -> None:  # fmt: skip
        self.name, self.doc = name, doc
        self.operands, self.results, self.regions = tuple(operands), tuple(results), tuple(regions)
        self.attributes = dict(attributes or {})
        self.flexible = [o for o in self.operands if o.optional or o.variadic]
        self.inherent = frozenset(self.attributes) | ({self.SEGMENTS} if len(self.flexible) > 1 else frozenset())
        for i, operand_field in enumerate(self.operands):
            operand_field.position = i
        for i, result_field in enumerate(self.results):
            result_field.position = i
        for i, region_field in enumerate(self.regions):
            region_field.position = i
        self._seen: dict[TypeConstraint, set[Type]] = {}

    def sizes(self, op: Operation) -> tuple[int, ...]:
        """How many operands each field has. Raises ValueError where the count fits no field."""
        count, fields = len(op.operands), self.operands
        if not self.flexible:
            if count != len(fields):
                raise ValueError(f"takes {len(fields)} operand{'s' * (len(fields) != 1)}, has {count}")
            return (1,) * count
        if len(self.flexible) == 1:
            rest = count - (len(fields) - 1)
            if rest < 0 or (self.flexible[0].optional and rest > 1):
                low, high = len(fields) - 1, len(fields) if self.flexible[0].optional else "more"
                raise ValueError(f"takes {low} to {high} operands, has {count}")
            return tuple(rest if f is self.flexible[0] else 1 for f in fields)
        segments = op.attributes.get(self.SEGMENTS)
        if (
            not isinstance(segments, DenseArrayAttr)
            or len(segments.values) != len(fields)
            or sum(segments.values) != count
        ):
            raise ValueError(f"needs '{self.SEGMENTS}' with {len(fields)} sizes that add up to its {count} operands")
        return segments.values

    def segment(self, op: Operation, field: OperandField) -> tuple[Value, ...]:
        if not self.flexible:
            return op.operands[field.position : field.position + 1]
        sizes = self.sizes(op)
        start = sum(sizes[: field.position])
        return op.operands[start : start + sizes[field.position]]

    def check(self, op: Operation) -> Iterator[str]:
        """Messages for everything in which `op` differs from its definition."""
        operands = op.operands
        if self.flexible or len(operands) != len(self.operands):
            try:
                sizes = self.sizes(op)
            except ValueError as error:
                yield str(error)
                return
            fields: Sequence[OperandField] = [
                f for f, size in zip(self.operands, sizes, strict=True) for _ in range(size)
            ]
        else:
            fields = self.operands
        for operand_field, value in zip(fields, operands, strict=True):
            if not self._accepts(operand_field.constraint, value.type):
                yield f"operand '{operand_field.name}' must be {operand_field.constraint.name}, is {value.type}"
        results = op.results
        expected = len(self.results)
        variadic = bool(self.results) and self.results[-1].variadic
        if len(results) != expected and not (variadic and len(results) >= expected - 1):
            yield f"gives {expected} result{'s' * (expected != 1)}, has {len(results)}"
        else:
            for i, value in enumerate(results):
                result_field = self.results[min(i, expected - 1)]
                if not self._accepts(result_field.constraint, value.type):
                    yield f"result '{result_field.name}' must be {result_field.constraint.name}, is {value.type}"
        attributes = op.attributes
        for name, attr_field in self.attributes.items():
            value_ = attributes.get(name)
            if value_ is None:
                if attr_field.required:
                    yield f"needs the attribute '{name}', {attr_field.kind.name}"
            elif not attr_field.kind.accepts(value_):
                yield f"attribute '{name}' must be {attr_field.kind.name}, is {value_}"
        if len(op.regions) != len(self.regions):
            yield f"has {len(op.regions)} regions, not {len(self.regions)}"

    def _accepts(self, constraint: TypeConstraint, type: Type) -> bool:
        seen = self._seen.get(constraint)
        if seen is None:
            seen = self._seen[constraint] = set()
        if type in seen:
            return True
        if constraint.accepts(type):
            seen.add(type)
            return True
        return False


def op_def(name: str, traits: Trait = Trait.NONE) -> Callable[[C], C]:
    """Class decorator: registers nothing, makes the class an operation called `name` with what its body declares."""

    def decorate(cls: C) -> C:
        fields = {k: v for base in reversed(cls.__mro__) for k, v in vars(base).items() if isinstance(v, _Field)}
        definition = OpDefinition(
            name,
            cls.__doc__ or "",
            [f for f in fields.values() if isinstance(f, OperandField)],
            [f for f in fields.values() if isinstance(f, ResultField)],
            {k: f for k, f in fields.items() if isinstance(f, AttrField)},
            [f for f in fields.values() if isinstance(f, region)],
        )
        body = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__", "__slots__")}
        body |= {"__slots__": (), "name": name, "traits": traits, "definition": definition}
        if "build" not in body:
            body["build"] = classmethod(_build)
        return cast(C, cast(Any, type(cls))(cls.__name__, cls.__bases__, body))

    return decorate


def _build(
    cls: Any, /, *operands: Value | Sequence[Value] | None, result_types: Sequence[Type] | None = None,
    regions: Sequence[Region] = (), location: Location = UNKNOWN, **attributes: Any,
) -> Operation:  # fmt: skip
    return build_op(cls, operands, attributes, result_types, regions, location)


def build_op(
    cls: type[Operation], operands: Sequence[Value | Sequence[Value] | None], attributes: Mapping[str, Any],
    result_types: Sequence[Type] | None = None, regions: Sequence[Region] = (), location: Location = UNKNOWN,
) -> Operation:  # fmt: skip
    """A new operation from one argument per operand field (a sequence for a variadic, None for an absent optional one)
    and Python values of attributes. Without `result_types` the class's ``infer(operands, attributes)`` gives them."""
    definition = cls.definition
    assert definition is not None
    flat: list[Value] = []
    sizes: list[int] = []
    for field in definition.operands:
        given = operands[field.position] if field.position < len(operands) else None
        values = () if given is None else (given,) if isinstance(given, Value) else tuple(given)
        flat += values
        sizes.append(len(values))
    encoded: dict[str, Attribute] = {}
    for key, value in attributes.items():
        if value is not None:
            kind = definition.attributes.get(key)
            encoded[key] = (
                value if isinstance(value, Attribute) else kind.kind.encode(value) if kind else attribute(value)
            )
    if len(definition.flexible) > 1:
        encoded[OpDefinition.SEGMENTS] = integer_array(sizes, i32)
    if result_types is None:
        infer = getattr(cls, "infer", None)
        if infer is None:
            raise TypeError(f"{cls.name}: give result_types, it cannot infer them")
        result_types = infer(flat, encoded)
    return cls.create(flat, cast("Sequence[Type]", result_types), encoded, regions, location)
