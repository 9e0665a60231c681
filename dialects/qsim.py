"""The ``qsim`` dialect: quantizers as symbols, their simulation on edges, and integers.

A quantizer states once how a tensor is quantized (its scheme) and, once known, the parameters; operations name it.
Formulas: docs/semantics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from qir.dialects.qsim_syntax import (
    edge_from_clauses,
    edge_to_clauses,
    quantizer_from_clauses,
    quantizer_to_clauses,
)
from qir.ir.attributes import (
    ArrayAttr,
    Attribute,
    DictAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolRefAttr,
    UnitAttr,
    bool_attr,
    dense_from_numpy,
    integer_array,
)
from qir.ir.context import Dialect
from qir.ir.core import Operation, Trait, Value
from qir.ir.definition import (
    ANY_ATTR,
    ANY_TENSOR,
    ARRAY,
    BOOL,
    DICT,
    FLOAT,
    FLOAT_TENSOR,
    INT,
    INTS,
    STRING,
    SYMBOL,
    TENSOR,
    UNIT,
    attr,
    op_def,
    operand,
    optional_attr,
    result,
)
from qir.ir.location import UNKNOWN, Location
from qir.ir.types import FloatType, TensorType, Type, f64
from qir.ir.verifier import Verifier
from qir.numerics.scheme import Granularity, Product, Scheme

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qir.text.clauses import ClauseReader, ClauseWriter

__all__ = [
    "AXES", "DIALECT", "IO", "DecodeDynamicOp", "DecodeOp", "EncodeDynamicOp", "EncodeOp", "FakeOp", "QuantizerOp",
    "make_quantizer", "quantizer_of", "scheme_attributes",
]  # fmt: skip

IO = "qir.io"
"""On an argument or a result of a function: the quantizer whose codes it is."""
AXES = "qir.axes"
"""On an argument or a result of a function: for each of its axes, which one of the model's it is."""


@op_def("qsim.quantizer", Trait.SYMBOL)
class QuantizerOp(Operation):
    """How one tensor, or several that share it, is quantized; with range, scale and zero point once they are known."""

    sym_name = attr(STRING)
    storage = attr(STRING, doc="i8, u8, f8E4M3FN, lut, …")
    symmetric = attr(BOOL)
    qmin = optional_attr(ANY_ATTR, doc="smallest code, where narrower than the storage's")
    qmax = optional_attr(ANY_ATTR, doc="largest code, where narrower than the storage's")
    block_axes = optional_attr(INTS, doc="axes that are cut into blocks")
    block_sizes = optional_attr(INTS, doc="their block sizes; 0 is the whole axis")
    block_rest = attr(INT, default=0, doc="block size of all other axes: 0 (whole) or 1")
    tail = attr(STRING, default="error", doc="what a block that is not full is: error, pad or short")
    pow2 = optional_attr(STRING, doc="the scale is a power of two: nearest, up or down")
    scale_by = optional_attr(SYMBOL, doc="the quantizer of the scale tensor")
    zero_by = optional_attr(SYMBOL, doc="the quantizer of the zero-point tensor")
    product = optional_attr(ARRAY, doc="the two quantizers whose scales' product is the scale")
    product_axis = attr(INT, default=0, doc="axis on which the second quantizer's channels lie")
    factor = attr(FLOAT, default=1.0, doc="factor of the product")
    rounding = attr(STRING, default="half_even")
    seed = optional_attr(INT, doc="of stochastic rounding")
    saturate = attr(BOOL, default=True)
    dynamic = optional_attr(UNIT, doc="parameters are computed at run time")
    zero_inside = optional_attr(UNIT, doc="the zero point is added before rounding")
    codebook = optional_attr(TENSOR, doc="the values of storage lut")
    observe = optional_attr(DICT, doc="how calibration finds the range: method and its parameters")
    lo = optional_attr(TENSOR, doc="lower end of the range")
    hi = optional_attr(TENSOR, doc="upper end of the range")
    scale = optional_attr(TENSOR)
    zero = optional_attr(TENSOR, doc="zero point; absent is the scheme's fixed one")
    stats = optional_attr(TENSOR, doc="what was observed, where a later merge or re-targeting needs it")
    train = optional_attr(UNIT, doc="the scale is being trained")
    offset = optional_attr(TENSOR, doc="AdaRound's rounding variables")

    @classmethod
    def from_clauses(cls, clauses: ClauseReader) -> Operation:
        return quantizer_from_clauses(cls, clauses)

    def to_clauses(self, writer: ClauseWriter) -> str | None:
        return quantizer_to_clauses(self, writer)

    @property
    def granularity(self) -> Granularity:
        pairs = tuple(zip(self.block_axes or (), self.block_sizes or (), strict=True))
        return Granularity(pairs, self.block_rest, self.tail)  # type: ignore[arg-type]

    @property
    def scheme(self) -> Scheme:
        """The scheme. Raises QirError where the words contradict each other."""
        try:
            return Scheme(**self._scheme_fields())
        except (ValueError, TypeError) as error:
            raise self.error(f"@{self.sym_name}: {error}") from None

    def _scheme_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "storage": self.storage, "symmetric": self.symmetric, "granularity": self.granularity, "pow2": self.pow2,
            "scale_by": self.scale_by, "zero_by": self.zero_by, "rounding": self.rounding, "seed": self.seed,
            "saturate": self.saturate, "dynamic": bool(self.dynamic), "zero_inside": bool(self.zero_inside),
        }  # fmt: skip
        for key in ("qmin", "qmax"):
            if key in self.attributes:
                fields[key] = self.attr(key)
        refs = self.product
        if refs is not None:
            if len(refs) != 2 or not all(isinstance(r, SymbolRefAttr) for r in refs):
                raise ValueError("product takes two quantizers, as in product(@x, @w)")
            x, w = (r.root for r in refs if isinstance(r, SymbolRefAttr))
            fields["product"] = Product(x, w, self.product_axis, self.factor)
        if self.codebook is not None:
            fields["codebook"] = self.codebook.numpy().tolist()
        return fields

    @property
    def is_calibrated(self) -> bool:
        """Whether the parameters are known, here or through a product's quantizers, or are computed at run time."""
        return self.scale is not None or self.product is not None or bool(self.dynamic)

    def parameters(self) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """Scale (float32) and zero point (int32) as arrays of shape `Granularity.param_shape`, or None."""
        scale, zero = self.scale, self.zero
        return (None if scale is None else scale.numpy(), None if zero is None else zero.numpy())

    def set_parameters(self, scale: NDArray[Any], zero: NDArray[Any] | None = None) -> None:
        """Store scale and zero point; an absent zero point is the scheme's fixed one."""
        self.attributes["scale"] = dense_from_numpy(scale, f"{self.sym_name}.scale")
        if zero is None:
            self.attributes.pop("zero", None)
        else:
            self.attributes["zero"] = dense_from_numpy(zero, f"{self.sym_name}.zero")

    def set_range(self, lo: NDArray[Any], hi: NDArray[Any]) -> None:
        """Store the observed or chosen range."""
        self.attributes["lo"] = dense_from_numpy(lo, f"{self.sym_name}.lo")
        self.attributes["hi"] = dense_from_numpy(hi, f"{self.sym_name}.hi")

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        try:
            scheme = Scheme(**self._scheme_fields())
        except (ValueError, TypeError) as error:
            yield f"@{self.sym_name}: {error}"
            return
        refs = [scheme.scale_by, scheme.zero_by, *((scheme.product.x, scheme.product.w) if scheme.product else ())]
        for ref in refs:
            if ref is not None and not isinstance(verifier.lookup(self, ref), QuantizerOp):
                yield f"@{self.sym_name} names @{ref}, which is no quantizer"
        around = self._cycle(verifier)
        if around and self.sym_name == min(around):
            yield f"the parameters of @{self.sym_name} depend on themselves: @{' of @'.join((*around, around[0]))}"
        scale = self.scale
        if scale is not None:
            if not isinstance(scale.type.element, FloatType):
                yield f"@{self.sym_name}: the scale must be floats, is {scale.type}"
            elif getattr(scale, "tensor", True) is not None:
                values = scale.numpy().astype("float64")
                if not bool((values > 0).all() and (values < float("inf")).all()):
                    yield f"@{self.sym_name}: every scale must be positive and finite"
        zero = self.zero
        if (
            zero is not None
            and scheme.storage.is_integer
            and not scheme.zero_inside
            and getattr(zero, "tensor", True) is not None
        ):
            codes = zero.numpy()
            if codes.size and not (codes.min() >= scheme.qmin and codes.max() <= scheme.qmax):
                yield f"@{self.sym_name}: the zero point must lie in {scheme.qmin}:{scheme.qmax}"


    def _references(self) -> list[str]:
        """The quantizers that the parameters come from."""
        named = (self.scale_by, self.zero_by, *(self.product or ()))
        return [r if isinstance(r, str) else r.root for r in named if isinstance(r, (str, SymbolRefAttr))]

    def _cycle(self, verifier: Verifier) -> list[str]:
        """Names from this quantizer back to itself, empty where there is no way."""
        paths = [[self.sym_name]]
        seen: set[str] = set()
        while paths:
            path = paths.pop()
            last = verifier.lookup(self, path[-1])
            if not isinstance(last, QuantizerOp):
                continue
            for name in last._references():
                if name == self.sym_name:
                    return path
                if name not in seen:
                    seen.add(name)
                    paths.append([*path, name])
        return []


def scheme_attributes(scheme: Scheme) -> dict[str, Attribute]:
    """The attributes of a quantizer with this scheme; defaults are left out."""
    out: dict[str, Attribute] = {
        "storage": StringAttr(str(scheme.storage)),
        "symmetric": bool_attr(scheme.symmetric),
    }
    if scheme.is_narrow:
        integer = scheme.storage.is_integer
        for key, bound in (("qmin", scheme.qmin), ("qmax", scheme.qmax)):
            out[key] = IntegerAttr(int(bound)) if integer else FloatAttr.of(float(bound), f64)
    granularity = scheme.granularity
    if granularity.blocks:
        out["block_axes"] = integer_array([a for a, _ in granularity.blocks])
        out["block_sizes"] = integer_array([s for _, s in granularity.blocks])
    if granularity.rest:
        out["block_rest"] = IntegerAttr(granularity.rest)
    if granularity.tail != "error":
        out["tail"] = StringAttr(granularity.tail)
    for key in ("scale_by", "zero_by"):
        name = getattr(scheme, key)
        if name is not None:
            out[key] = SymbolRefAttr(name)
    if scheme.pow2 is not None:
        out["pow2"] = StringAttr(scheme.pow2)
    if scheme.product is not None:
        out["product"] = ArrayAttr((SymbolRefAttr(scheme.product.x), SymbolRefAttr(scheme.product.w)))
        if scheme.product.axis:
            out["product_axis"] = IntegerAttr(scheme.product.axis)
        if scheme.product.factor != 1.0:
            out["factor"] = FloatAttr.of(scheme.product.factor, f64)
    if scheme.rounding != "half_even":
        out["rounding"] = StringAttr(scheme.rounding)
    if scheme.seed is not None:
        out["seed"] = IntegerAttr(scheme.seed)
    if not scheme.saturate:
        out["saturate"] = bool_attr(False)
    for key in ("dynamic", "zero_inside"):
        if getattr(scheme, key):
            out[key] = UnitAttr()
    if scheme.codebook is not None:
        import numpy as np

        out["codebook"] = dense_from_numpy(np.array(scheme.codebook, np.float64))
    return out


def make_quantizer(
    name: str, scheme: Scheme, observe: DictAttr | None = None, location: Location = UNKNOWN
) -> QuantizerOp:
    """A quantizer without parameters, outside any block."""
    attributes = scheme_attributes(scheme)
    attributes["sym_name"] = StringAttr(name)
    if observe is not None:
        attributes["observe"] = observe
    return QuantizerOp.create(attributes=attributes, location=location)


def quantizer_of(op: Operation, verifier: Verifier) -> QuantizerOp | None:
    """The quantizer that an operation of this dialect names."""
    name = op.attr("quantizer")
    found = verifier.lookup(op, name.root) if isinstance(name, SymbolRefAttr) else None
    return found if isinstance(found, QuantizerOp) else None


def _verify_edge(op: Operation, value: Value, verifier: Verifier) -> Iterator[str]:
    """What must hold between a tensor and the quantizer on its edge."""
    quantizer = quantizer_of(op, verifier)
    if quantizer is None:
        yield f"names {op.attributes['quantizer']}, which is no quantizer"
        return
    type = value.type
    assert isinstance(type, TensorType)
    if type.shape is None:
        return
    try:
        expected = quantizer.granularity.param_shape(type.shape)
    except ValueError as error:
        yield f"cannot use @{quantizer.sym_name} on {type}: {error}"
        return
    scale = quantizer.scale
    if scale is not None and not _fits(scale.shape, expected):
        yield f"@{quantizer.sym_name} has scales of shape {scale.shape}, {type} needs {expected}"
    if quantizer.product is not None:
        yield from _verify_product(op, quantizer)


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(e is None or s == e for s, e in zip(shape, expected, strict=True))


def _verify_product(op: Operation, quantizer: QuantizerOp) -> Iterator[str]:
    """A bias scale is right only where both other quantizers are on the inputs of the operation that adds the bias."""
    refs = [r.root for r in quantizer.product or () if isinstance(r, SymbolRefAttr)]
    for user in op.results[0].uses:
        if user.name.startswith("qsim."):
            continue
        edges = {
            name.root
            for value in user.operands
            if (definer := value.defining_op) is not None and definer is not op
            for name in (definer.attr("quantizer"),)
            if isinstance(name, SymbolRefAttr)
        }
        for ref in dict.fromkeys(refs):
            if ref not in edges:
                yield (f"is product(@{', @'.join(refs)}), but its user '{user.name}' has no input quantized by @{ref}")


class _Edge(Operation):
    """An operation on one edge that names its quantizer: ``%x by @q``."""

    __slots__ = ()

    @classmethod
    def from_clauses(cls, clauses: ClauseReader) -> Operation:
        return edge_from_clauses(cls, clauses)

    def to_clauses(self, writer: ClauseWriter) -> str | None:
        return edge_to_clauses(self, writer)


@op_def("qsim.fake", Trait.PURE)
class FakeOp(_Edge):
    """Simulates a quantizer on one edge: float in, decode(encode(x)) out."""

    x = operand(FLOAT_TENSOR)
    quantizer = attr(SYMBOL)
    observe = attr(BOOL, default=True, doc="whether the quantizer's range is found from this edge too")
    y = result(FLOAT_TENSOR)

    @classmethod
    def infer(cls, operands: Sequence[Value], attributes: dict[str, Attribute]) -> tuple[Type, ...]:
        return (operands[0].type,)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        if self.x.type != self.y.type:
            yield f"gives {self.y.type} for {self.x.type}; both types must be equal"
        yield from _verify_edge(self, self.x, verifier)


@op_def("qsim.encode", Trait.PURE)
class EncodeOp(_Edge):
    """Float to codes of the quantizer's storage."""

    x = operand(FLOAT_TENSOR)
    quantizer = attr(SYMBOL)
    y = result(ANY_TENSOR)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        yield from _verify_edge(self, self.x, verifier)
        yield from _verify_codes(self, self.y, self.x, verifier)


@op_def("qsim.decode", Trait.PURE)
class DecodeOp(_Edge):
    """Codes of the quantizer's storage to float."""

    x = operand(ANY_TENSOR)
    quantizer = attr(SYMBOL)
    y = result(FLOAT_TENSOR)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        yield from _verify_edge(self, self.y, verifier)
        yield from _verify_codes(self, self.x, self.y, verifier)


def _verify_codes(op: Operation, codes: Value, values: Value, verifier: Verifier) -> Iterator[str]:
    quantizer = quantizer_of(op, verifier)
    if quantizer is None:
        return
    try:
        element = quantizer.scheme.element
    except Exception:
        return  # the quantizer reports it
    assert isinstance(codes.type, TensorType) and isinstance(values.type, TensorType)
    if str(codes.type.element) != element:
        yield f"has codes of type {codes.type.element}, @{quantizer.sym_name} stores {element}"
    elif codes.type.shape != values.type.shape:
        yield f"has codes of shape {codes.type} for {values.type}"


@op_def("qsim.encode_dynamic", Trait.PURE)
class EncodeDynamicOp(_Edge):
    """Float to codes with parameters from the tensor itself, which are results too."""

    x = operand(FLOAT_TENSOR)
    quantizer = attr(SYMBOL)
    y = result(ANY_TENSOR)
    scale = result(FLOAT_TENSOR)
    zero = result(ANY_TENSOR)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        quantizer = quantizer_of(self, verifier)
        if quantizer is None:
            yield f"names {self.attributes['quantizer']}, which is no quantizer"
        elif not quantizer.dynamic:
            yield f"@{quantizer.sym_name} is static: use qsim.encode"
        yield from _verify_codes(self, self.y, self.x, verifier)


@op_def("qsim.decode_dynamic", Trait.PURE)
class DecodeDynamicOp(_Edge):
    """Codes to float with the parameters that ``encode_dynamic`` gave."""

    x = operand(ANY_TENSOR)
    scale = operand(FLOAT_TENSOR)
    zero = operand(ANY_TENSOR)
    quantizer = attr(SYMBOL)
    y = result(FLOAT_TENSOR)


DIALECT = Dialect(
    "qsim",
    [QuantizerOp, FakeOp, EncodeOp, DecodeOp, EncodeDynamicOp, DecodeDynamicOp],
    doc="Quantizers as symbols, their simulation on edges, and integers.",
)
