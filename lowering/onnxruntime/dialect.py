"""The ``onnxruntime`` dialect: one operation per NodeProto that the target writes beyond ONNX's float operators.

The quantized artifact has two forms. In QDQ form there are `QuantizeLinearOp` and `DequantizeLinearOp` around float
``onnx`` operations; in fused form the integer operators of ``ai.onnx`` (``QLinearConv``) and of ``com.microsoft``
(``QGemm``) stand in their place, as the runtime makes them when it loads the QDQ form. Scales and zero points are
operands (constants), operands and attributes have the names and the order of the operators' schemas, and each class
says which NodeProto it is (`domain`, `op_type`, `since`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from qir.ir.context import Dialect
from qir.ir.core import Operation, Trait, Value
from qir.ir.definition import (
    ANY_TENSOR,
    FLOAT,
    FLOAT_TENSOR,
    INT,
    INTS,
    STRING,
    TypeConstraint,
    attr,
    op_def,
    operand,
    optional_attr,
    optional_operand,
    result,
    tensor_of,
    variadic_operand,
)  # fmt: skip
from qir.ir.types import FloatType, IntegerType, NoneType, TensorType, Type, f32, i8, i32, ui8
from qir.ir.verifier import Verifier

__all__ = [
    "DIALECT",
    "MICROSOFT",
    "STORED",
    "DequantizeLinearOp",
    "DynamicQuantizeLinearOp",
    "MatMulIntegerToFloatOp",
    "NodeProtoOp",
    "QGemmOp",
    "QLinearAddOp",
    "QLinearAveragePoolOp",
    "QLinearConcatOp",
    "QLinearConvOp",
    "QLinearGlobalAveragePoolOp",
    "QLinearLeakyReluOp",
    "QLinearMatMulOp",
    "QLinearMulOp",
    "QLinearSigmoidOp",
    "QLinearSoftmaxOp",
    "QLinearWhereOp",
    "QuantizeLinearOp",
    "required_opset",
]  # fmt: skip

MICROSOFT = "com.microsoft"

_FLOAT8 = ("f8E4M3FN", "f8E4M3FNUZ", "f8E5M2", "f8E5M2FNUZ")
STORED: dict[Type, int] = {
    i8: 10,
    ui8: 10,
    i32: 10,
    **{FloatType(name): 19 for name in _FLOAT8},
    **{IntegerType(width, sign): 21 for width in (4, 16) for sign in ("", "u")},
    FloatType("f4E2M1FN"): 23,
    **{IntegerType(2, sign): 25 for sign in ("", "u")},
}
"""Element types of codes, with the opset from which the two converters take them (i32: only DequantizeLinear)."""

CODES = TypeConstraint("a tensor of codes", lambda t: isinstance(t, TensorType) and t.element in STORED)
BYTES = tensor_of(ui8, i8)
SCALE = tensor_of(f32)
SUMS = tensor_of(i32)


def _absent_or(constraint: TypeConstraint) -> TypeConstraint:
    """For an operand before the last one: onnx.NoValue's result stands for absent."""
    return TypeConstraint(f"{constraint.name} or absent", lambda t: isinstance(t, NoneType) or constraint.accepts(t))


def _element(value: Value) -> Type:
    assert isinstance(value.type, TensorType)
    return value.type.element


def _count(value: Value) -> int | None:
    """Number of elements, where the shape is static."""
    assert isinstance(value.type, TensorType)
    return value.type.count if value.type.is_static else None


class NodeProtoOp(Operation):
    """Base: an operation that is exactly one NodeProto. An absent operand before others is an ``onnx.NoValue``."""

    __slots__ = ()
    domain: ClassVar[str] = ""
    op_type: ClassVar[str] = ""
    since: ClassVar[int] = 1

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        """(codes, scale, zero point) by operand name."""
        return ()

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        for names in self.groups():
            codes, scale, zero = (getattr(self, name) for name in names)
            if zero is not None and codes is not None and _element(zero) != _element(codes):
                yield f"'{names[0]}' holds {_element(codes)}, its zero point '{names[2]}' is of {_element(zero)}"
            if zero is not None and None not in (_count(scale), _count(zero)) and _count(scale) != _count(zero):
                yield f"'{names[1]}' has {_count(scale)} values, '{names[2]}' has {_count(zero)}"
        yield from self.verify_node()

    def verify_node(self) -> Iterator[str]:
        """What else the operator demands."""
        return iter(())


def _scalar(op: Operation, *names: str) -> Iterator[str]:
    for name in names:
        if (count := _count(getattr(op, name))) not in (None, 1):
            yield f"'{name}' must be one value, has {count}"


# ---------------------------------------------------------------------- ai.onnx
class _AxisOp(NodeProtoOp):
    """What the two converters share: a scale per tensor, per index of an axis, or per block along it."""

    __slots__ = ()
    axis = attr(INT, default=1, doc="where the scales lie along an axis")
    block_size = attr(INT, default=0, doc="indices of the axis that share a scale; 0 is no blocks")

    def _parameters(self, x: Value, scale: Value) -> Iterator[str]:
        data, scales = x.type, scale.type
        assert isinstance(data, TensorType) and isinstance(scales, TensorType)
        if data.shape is None or scales.shape is None or not scales.shape or scales.shape == (1,):
            return
        rank = len(data.shape)
        if not -rank <= self.axis < rank:
            yield f"axis {self.axis} is outside {data}"
        elif self.block_size:
            want = [
                -(-n // self.block_size) if n is not None and i == self.axis % rank else n
                for i, n in enumerate(data.shape)
            ]
            if len(scales.shape) != rank or any(None not in (w, s) and w != s for w, s in zip(want, scales.shape)):
                yield f"blocks of {self.block_size} along axis {self.axis} of {data} do not fit scales of {scales}"
        elif (
            len(scales.shape) != 1 or None not in (n := data.shape[self.axis], scales.shape[0]) and n != scales.shape[0]
        ):
            yield f"{scales} is not one scale for each index of axis {self.axis} of {data}"


@op_def("onnxruntime.QuantizeLinear", Trait.PURE)
class QuantizeLinearOp(_AxisOp):
    """Float to codes: ``clip(rhe(fl(x / s)) + z)``."""

    x = operand(FLOAT_TENSOR)
    y_scale = operand(FLOAT_TENSOR)
    y_zero_point = optional_operand(CODES)
    y = result(CODES)
    saturate = attr(INT, default=1, doc="of float8 codes")
    output_dtype = attr(INT, default=0, doc="type of the codes where there is no zero point")
    op_type = "QuantizeLinear"
    since = 10

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("y", "y_scale", "y_zero_point"),)

    def verify_node(self) -> Iterator[str]:
        if _element(self.y) == i32:
            yield "cannot give i32: only DequantizeLinear takes it"
        yield from self._parameters(self.x, self.y_scale)


@op_def("onnxruntime.DequantizeLinear", Trait.PURE)
class DequantizeLinearOp(_AxisOp):
    """Codes to float: ``fl(float(q - z) * s)``."""

    x = operand(CODES)
    x_scale = operand(FLOAT_TENSOR)
    x_zero_point = optional_operand(CODES)
    y = result(FLOAT_TENSOR)
    op_type = "DequantizeLinear"
    since = 10

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("x", "x_scale", "x_zero_point"),)

    def verify_node(self) -> Iterator[str]:
        yield from self._parameters(self.x, self.x_scale)


@op_def("onnxruntime.DynamicQuantizeLinear", Trait.PURE)
class DynamicQuantizeLinearOp(NodeProtoOp):
    """Float to uint8 codes under the tensor's own range, which includes 0; scale and zero point are results."""

    x = operand(SCALE)
    y = result(tensor_of(ui8))
    y_scale = result(SCALE)
    y_zero_point = result(tensor_of(ui8))
    op_type = "DynamicQuantizeLinear"
    since = 11


@op_def("onnxruntime.QLinearConv", Trait.PURE)
class QLinearConvOp(NodeProtoOp):
    """Convolution of codes: ``clip(rhe(fl(float(acc) * m)) + zy)``, ``m = fl(fl(sx * sw[c]) / sy)``, bias in acc."""

    x = operand(BYTES)
    x_scale = operand(SCALE)
    x_zero_point = operand(BYTES)
    w = operand(BYTES)
    w_scale = operand(SCALE)
    w_zero_point = operand(BYTES)
    y_scale = operand(SCALE)
    y_zero_point = operand(BYTES)
    B = optional_operand(SUMS)
    y = result(BYTES)
    auto_pad = attr(STRING, default="NOTSET")
    dilations = optional_attr(INTS)
    group = attr(INT, default=1)
    kernel_shape = optional_attr(INTS)
    pads = optional_attr(INTS)
    strides = optional_attr(INTS)
    op_type = "QLinearConv"
    since = 10

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("x", "x_scale", "x_zero_point"), ("w", "w_scale", "w_zero_point"), ("y", "y_scale", "y_zero_point"))

    def verify_node(self) -> Iterator[str]:
        yield from _scalar(self, "x_scale", "y_scale")
        weight = self.w.type
        assert isinstance(weight, TensorType)
        if weight.shape and weight.shape[0] is not None:
            for name in ("w_scale", "B"):
                value = getattr(self, name)
                if value is not None and _count(value) not in (None, 1, weight.shape[0]):
                    yield f"'{name}' has {_count(value)} values for {weight.shape[0]} output channels"


@op_def("onnxruntime.QLinearMatMul", Trait.PURE)
class QLinearMatMulOp(NodeProtoOp):
    """Matrix product of codes, requantized as `QLinearConvOp` does."""

    a = operand(BYTES)
    a_scale = operand(SCALE)
    a_zero_point = operand(BYTES)
    b = operand(BYTES)
    b_scale = operand(SCALE)
    b_zero_point = operand(BYTES)
    y_scale = operand(SCALE)
    y_zero_point = operand(BYTES)
    y = result(BYTES)
    op_type = "QLinearMatMul"
    since = 10

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("a", "a_scale", "a_zero_point"), ("b", "b_scale", "b_zero_point"), ("y", "y_scale", "y_zero_point"))

    def verify_node(self) -> Iterator[str]:
        yield from _scalar(self, "a_scale", "y_scale")


# ---------------------------------------------------------------------- com.microsoft
class _MicrosoftOp(NodeProtoOp):
    __slots__ = ()
    domain = MICROSOFT


@op_def("onnxruntime.QGemm", Trait.PURE)
class QGemmOp(_MicrosoftOp):
    """``alpha * A B + C`` of codes; requantized if there is an output scale and zero point, else float."""

    A = operand(BYTES)
    a_scale = operand(SCALE)
    a_zero_point = operand(BYTES)
    B = operand(BYTES)
    b_scale = operand(SCALE)
    b_zero_point = operand(BYTES)
    C = operand(_absent_or(SUMS))
    output = variadic_operand(ANY_TENSOR, doc="y_scale and y_zero_point, or nothing")
    Y = result(ANY_TENSOR)
    alpha = attr(FLOAT, default=1.0)
    transA = attr(INT, default=0)
    transB = attr(INT, default=0)
    op_type = "QGemm"

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("A", "a_scale", "a_zero_point"), ("B", "b_scale", "b_zero_point"))

    def verify_node(self) -> Iterator[str]:
        yield from _scalar(self, "a_scale")
        if len(self.output) not in (0, 2):
            yield "takes both an output scale and a zero point, or neither"
        elif self.output and (not SCALE.accepts(self.output[0].type) or _element(self.output[1]) != _element(self.Y)):
            yield f"gives {self.Y.type} with the zero point {self.output[1].type} and the scale {self.output[0].type}"
        elif not self.output and _element(self.Y) != f32:
            yield f"gives {self.Y.type}, but without an output scale the result is float"


@op_def("onnxruntime.MatMulIntegerToFloat", Trait.PURE)
class MatMulIntegerToFloatOp(_MicrosoftOp):
    """Matrix product of codes with a float result: ``fl(fl(float(acc) * fl(sa * sb[n])) + bias)``."""

    A = operand(BYTES)
    B = operand(BYTES)
    a_scale = operand(SCALE)
    b_scale = operand(SCALE)
    a_zero_point = operand(BYTES)
    b_zero_point = operand(BYTES)
    bias = optional_operand(SCALE)
    Y = result(SCALE)
    op_type = "MatMulIntegerToFloat"

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("A", "a_scale", "a_zero_point"), ("B", "b_scale", "b_zero_point"))


class _BinaryOp(_MicrosoftOp):
    __slots__ = ()
    A = operand(BYTES)
    A_scale = operand(SCALE)
    A_zero_point = operand(BYTES)
    B = operand(BYTES)
    B_scale = operand(SCALE)
    B_zero_point = operand(BYTES)
    C_scale = operand(SCALE)
    C_zero_point = operand(BYTES)
    C = result(BYTES)

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("A", "A_scale", "A_zero_point"), ("B", "B_scale", "B_zero_point"), ("C", "C_scale", "C_zero_point"))

    def verify_node(self) -> Iterator[str]:
        yield from _scalar(self, "A_scale", "B_scale", "C_scale")


@op_def("onnxruntime.QLinearAdd", Trait.PURE)
class QLinearAddOp(_BinaryOp):
    """Sum of codes: two fused multiply-adds with the zero point inside the rounding."""

    op_type = "QLinearAdd"


@op_def("onnxruntime.QLinearMul", Trait.PURE)
class QLinearMulOp(_BinaryOp):
    """Product of codes, element by element, with the zero point inside the rounding."""

    op_type = "QLinearMul"


class _UnaryOp(_MicrosoftOp):
    __slots__ = ()
    X = operand(BYTES)
    X_scale = operand(SCALE)
    X_zero_point = operand(BYTES)
    Y_scale = operand(SCALE)
    Y_zero_point = operand(BYTES)
    Y = result(BYTES)

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("X", "X_scale", "X_zero_point"), ("Y", "Y_scale", "Y_zero_point"))

    def verify_node(self) -> Iterator[str]:
        yield from _scalar(self, "X_scale", "Y_scale")


@op_def("onnxruntime.QLinearSigmoid", Trait.PURE)
class QLinearSigmoidOp(_UnaryOp):
    """Sigmoid by a table of 256 entries."""

    op_type = "QLinearSigmoid"


@op_def("onnxruntime.QLinearLeakyRelu", Trait.PURE)
class QLinearLeakyReluOp(_UnaryOp):
    """Leaky rectifier by a table of 256 entries."""

    alpha = attr(FLOAT, default=0.01)
    op_type = "QLinearLeakyRelu"


@op_def("onnxruntime.QLinearSoftmax", Trait.PURE)
class QLinearSoftmaxOp(_UnaryOp):
    """Softmax by a table of exponentials; the output scale is used as ``1 / floor(1 / scale)``."""

    axis = optional_attr(INT)
    opset = attr(INT, doc="the version of Softmax whose axis it means")
    op_type = "QLinearSoftmax"


@op_def("onnxruntime.QLinearAveragePool", Trait.PURE)
class QLinearAveragePoolOp(_UnaryOp):
    """Mean over windows, in float32 in the window's order; the zero point is added before the rounding."""

    auto_pad = attr(STRING, default="NOTSET")
    ceil_mode = attr(INT, default=0)
    channels_last = attr(INT, default=0)
    count_include_pad = attr(INT, default=0)
    kernel_shape = attr(INTS)
    pads = optional_attr(INTS)
    strides = optional_attr(INTS)
    op_type = "QLinearAveragePool"


@op_def("onnxruntime.QLinearGlobalAveragePool", Trait.PURE)
class QLinearGlobalAveragePoolOp(_UnaryOp):
    """Mean over all positions: an integer sum, requantized."""

    channels_last = attr(INT, default=0)
    op_type = "QLinearGlobalAveragePool"


@op_def("onnxruntime.QLinearConcat", Trait.PURE)
class QLinearConcatOp(_MicrosoftOp):
    """Concatenation of codes, each input (codes, scale, zero point) brought to the output's parameters."""

    Y_scale = operand(SCALE)
    Y_zero_point = operand(BYTES)
    inputs = variadic_operand(ANY_TENSOR)
    Y = result(BYTES)
    axis = attr(INT)
    op_type = "QLinearConcat"

    def verify_node(self) -> Iterator[str]:
        if not self.inputs or len(self.inputs) % 3:
            yield f"takes triples of codes, scale and zero point, has {len(self.inputs)} operands"
        for codes, scale, zero in self.triples():
            if (
                _element(codes) != _element(self.Y)
                or _element(zero) != _element(self.Y)
                or not SCALE.accepts(scale.type)
            ):
                yield f"joins {codes.type} with {scale.type} and {zero.type} into {self.Y.type}"

    def triples(self) -> Sequence[tuple[Value, ...]]:
        """(codes, scale, zero point) of each input."""
        return [self.inputs[i : i + 3] for i in range(0, len(self.inputs) - len(self.inputs) % 3, 3)]


@op_def("onnxruntime.QLinearWhere", Trait.PURE)
class QLinearWhereOp(_MicrosoftOp):
    """Selection of codes, each branch brought to the output's parameters."""

    condition = operand(ANY_TENSOR)
    X = operand(BYTES)
    x_scale = operand(SCALE)
    x_zero_point = operand(BYTES)
    Y = operand(BYTES)
    y_scale = operand(SCALE)
    y_zero_point = operand(BYTES)
    z_scale = operand(SCALE)
    z_zero_point = operand(BYTES)
    Z = result(BYTES)
    op_type = "QLinearWhere"

    @classmethod
    def groups(cls) -> tuple[tuple[str, str, str], ...]:
        return (("X", "x_scale", "x_zero_point"), ("Y", "y_scale", "y_zero_point"), ("Z", "z_scale", "z_zero_point"))


def required_opset(element: Type, *, per_axis: bool = False, blocked: bool = False) -> int:
    """The lowest ai.onnx opset whose QuantizeLinear and DequantizeLinear take these codes at this granularity."""
    return max(STORED[element], 13 if per_axis else 10, 21 if blocked else 10)


DIALECT = Dialect(
    "onnxruntime",
    [
        QuantizeLinearOp, DequantizeLinearOp, DynamicQuantizeLinearOp, QLinearConvOp, QLinearMatMulOp, QGemmOp,
        MatMulIntegerToFloatOp, QLinearAddOp, QLinearMulOp, QLinearSigmoidOp, QLinearLeakyReluOp, QLinearSoftmaxOp,
        QLinearAveragePoolOp, QLinearGlobalAveragePoolOp, QLinearConcatOp, QLinearWhereOp,
    ],
    doc="The NodeProtos of a model quantized for onnxruntime.",
)  # fmt: skip
