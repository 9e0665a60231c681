"""The ``onnxruntime`` dialect: one operation per NodeProto that the target writes beyond ONNX's float operators.

The quantized artifact has two forms. In QDQ form there are ``QuantizeLinear`` and ``DequantizeLinear`` around float
``onnx`` operations; in fused form the integer operators of ``ai.onnx`` (``QLinearConv``) and of ``com.microsoft``
(``QGemm``) stand in their place, as the runtime makes them when it loads the QDQ form. Scales and zero points are
operands (constants); names and order of operands and attributes are those of the operators' schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qir.dialects.onnx_types import CODES
from qir.ir.constraints import ANY_TENSOR, FLOAT_TENSOR, TypeConstraint, tensor_of
from qir.ir.core import Value
from qir.ir.records import Record, RecordOp, records
from qir.ir.types import TensorType, Type, f32, i8, i32, ui8

__all__ = ["CONTRIBUTED", "DEQUANTIZE", "DIALECT", "MICROSOFT", "QUANTIZE", "STANDARD", "element"]

QUANTIZE, DEQUANTIZE = "onnxruntime.QuantizeLinear", "onnxruntime.DequantizeLinear"
MICROSOFT = "com.microsoft"


def element(value: Value) -> Type:
    """Element type of a tensor."""
    assert isinstance(value.type, TensorType)
    return value.type.element


def _count(value: Value) -> int | None:
    """Number of elements, where the shape is static."""
    assert isinstance(value.type, TensorType)
    return value.type.count if value.type.is_static else None


KINDS = {
    "any": ANY_TENSOR,
    "float": FLOAT_TENSOR,
    "codes": TypeConstraint("a tensor of codes", lambda t: isinstance(t, TensorType) and t.element in CODES),
    "bytes": tensor_of(ui8, i8),
    "u8": tensor_of(ui8),
    "sums": tensor_of(i32),
    "f32": tensor_of(f32),
    "one": TypeConstraint(
        "one value of f32",
        lambda t: isinstance(t, TensorType) and t.element == f32 and (not t.is_static or t.count == 1),
    ),
}


# ---------------------------------------------------------------------- what else the operators demand
def _check(op: RecordOp) -> Iterator[str]:
    """Zero points are of their codes' type, and as many as there are scales."""
    assert op.definition is not None
    fields = {f.name: getattr(op, f.name) for f in (*op.definition.operands, *op.definition.results)}
    tensors = {name.lower(): name for name in fields}
    for name, zero in fields.items():
        stem = name.removesuffix("_zero_point")
        if stem == name or zero is None:
            continue
        codes, scale = tensors[stem.lower()], f"{stem}_scale"
        if element(zero) != element(fields[codes]):
            yield f"'{codes}' holds {element(fields[codes])}, its zero point '{name}' is of {element(zero)}"
        counts = _count(fields[scale]), _count(zero)
        if None not in counts and counts[0] != counts[1]:
            yield f"'{scale}' has {counts[0]} values, '{name}' has {counts[1]}"
    special = CHECKS.get(op.name.partition(".")[2])
    if special is not None:
        yield from special(op)


def _converter(op: RecordOp) -> Iterator[str]:
    """A scale per tensor, per index of an axis, or per block along it."""
    if op.name == QUANTIZE and element(op.results[0]) == i32:
        yield "cannot give i32: only DequantizeLinear takes it"
    data, scales = (v.type for v in op.operands[:2])
    assert isinstance(data, TensorType) and isinstance(scales, TensorType)
    if data.shape is None or scales.shape is None or not scales.shape or scales.shape == (1,):
        return
    rank, axis, block = len(data.shape), op.parameter("axis"), op.parameter("block_size")
    if not -rank <= axis < rank:
        yield f"axis {axis} is outside {data}"
    elif block:
        want = [-(-n // block) if n is not None and i == axis % rank else n for i, n in enumerate(data.shape)]
        if len(scales.shape) != rank or any(None not in (w, s) and w != s for w, s in zip(want, scales.shape)):
            yield f"blocks of {block} along axis {axis} of {data} do not fit scales of {scales}"
    elif len(scales.shape) != 1 or None not in (n := data.shape[axis], scales.shape[0]) and n != scales.shape[0]:
        yield f"{scales} is not one scale for each index of axis {axis} of {data}"


def _conv(op: RecordOp) -> Iterator[str]:
    weight = op.operands[3].type
    assert isinstance(weight, TensorType)
    if weight.shape and weight.shape[0] is not None:
        for name, value in zip(("w_scale", "B"), (op.operands[4], *op.operands[8:])):
            if _count(value) not in (None, 1, weight.shape[0]):
                yield f"'{name}' has {_count(value)} values for {weight.shape[0]} output channels"


def _gemm(op: RecordOp) -> Iterator[str]:
    y, output = op.results[0], op.operands[7:]
    if len(output) not in (0, 2):
        yield "takes both an output scale and a zero point, or neither"
    elif output and (not KINDS["f32"].accepts(output[0].type) or element(output[1]) != element(y)):
        yield f"gives {y.type} with the zero point {output[1].type} and the scale {output[0].type}"
    elif not output and element(y) != f32:
        yield f"gives {y.type}, but without an output scale the result is float"


def _concat(op: RecordOp) -> Iterator[str]:
    inputs, y = op.operands[2:], op.results[0]
    if not inputs or len(inputs) % 3:
        yield f"takes triples of codes, scale and zero point, has {len(inputs)} operands"
        return
    for codes, scale, zero in zip(inputs[::3], inputs[1::3], inputs[2::3], strict=True):
        if {element(codes), element(zero)} != {element(y)} or not KINDS["f32"].accepts(scale.type):
            yield f"joins {codes.type} with {scale.type} and {zero.type} into {y.type}"


CHECKS: dict[str, Callable[[RecordOp], Iterator[str]]] = {
    "QuantizeLinear": _converter, "DequantizeLinear": _converter, "QLinearConv": _conv, "QGemm": _gemm,
    "QLinearConcat": _concat,
}  # fmt: skip


# ---------------------------------------------------------------------- the table
def _triple(name: str, scales: str = "one") -> str:
    """Codes with their scales and zero points."""
    return f"{name}:bytes {name}_scale:{scales} {name}_zero_point:bytes"


def _given(name: str) -> str:
    """Scale and zero point of a result."""
    return f"{name}_scale:one {name}_zero_point:bytes"


_UNARY = f"{_triple('X')} {_given('Y')}", "Y:bytes"
_BINARY = f"{_triple('A')} {_triple('B')} {_given('C')}", "C:bytes"
_FACTORS = f"{_triple('a')} {_triple('b', 'f32')} {_given('y')}"
_WINDOW: dict[str, Any] = {"auto_pad": "NOTSET", "pads": (), "strides": ()}

STANDARD = {
    "QuantizeLinear": Record(
        "x:float y_scale:float y_zero_point:codes?", "y:codes",
        "Float to codes: clip(rhe(fl(x / s)) + z), a scale per tensor, per index of an axis, or per block along it.",
        axis=1, block_size=0, saturate=1, output_dtype=0),
    "DequantizeLinear": Record(
        "x:codes x_scale:float x_zero_point:codes?", "y:float", "Codes to float: fl(float(q - z) * s).",
        axis=1, block_size=0),
    "DynamicQuantizeLinear": Record(
        "x:f32", "y:u8 y_scale:f32 y_zero_point:u8",
        "Float to uint8 codes under the tensor's own range, which includes 0; scale and zero point are results."),
    "QLinearConv": Record(
        f"{_triple('x')} {_triple('w', 'f32')} {_given('y')} B:sums?", "y:bytes",
        "Convolution of codes: clip(rhe(fl(float(acc) * m)) + zy), m = fl(fl(sx * sw[c]) / sy), bias in acc.",
        **_WINDOW, dilations=(), group=1, kernel_shape=()),
    "QLinearMatMul": Record(_FACTORS, "y:bytes", "Matrix product of codes, requantized as QLinearConv does."),
}  # fmt: skip
"""Operators of ai.onnx."""

CONTRIBUTED = {
    "QGemm": Record(
        "A:bytes a_scale:one a_zero_point:bytes B:bytes b_scale:f32 b_zero_point:bytes C:sums? output:any*", "Y:any",
        "alpha * A B + C of codes; requantized if there is an output scale and zero point, else float.",
        alpha=1.0, transA=0, transB=0),
    "MatMulIntegerToFloat": Record(
        "A:bytes B:bytes a_scale:f32 b_scale:f32 a_zero_point:bytes b_zero_point:bytes bias:f32?", "Y:f32",
        "Matrix product of codes with a float result: fl(fl(float(acc) * fl(sa * sb[n])) + bias)."),
    "QLinearAdd": Record(*_BINARY, "Sum: two fused multiply-adds with the zero point inside the rounding."),
    "QLinearMul": Record(*_BINARY, "Product, element by element, with the zero point inside the rounding."),
    "QLinearSigmoid": Record(*_UNARY, "Sigmoid by a table of 256 entries."),
    "QLinearLeakyRelu": Record(*_UNARY, "Leaky rectifier by a table of 256 entries.", alpha=0.01),
    "QLinearSoftmax": Record(
        *_UNARY, "Softmax by a table of exponentials; 1 / scale is rounded down. `opset` is Softmax's, for its axis.",
        axis=-1, opset=int),
    "QLinearAveragePool": Record(
        *_UNARY, "Mean over windows, in float32 in the window's order; the zero point is added before the rounding.",
        **_WINDOW, ceil_mode=0, channels_last=0, count_include_pad=0, kernel_shape=tuple),
    "QLinearGlobalAveragePool": Record(
        *_UNARY, "Mean over all positions: an integer sum, requantized.", channels_last=0),
    "QLinearConcat": Record(
        "Y_scale:f32 Y_zero_point:bytes inputs:any*", "Y:bytes",
        "Concatenation of (codes, scale, zero point)*, each brought to the output's parameters.", axis=int),
    "QLinearWhere": Record(
        "condition:any X:bytes x_scale:f32 x_zero_point:bytes Y:bytes y_scale:f32 y_zero_point:bytes "
        "z_scale:f32 z_zero_point:bytes", "Z:bytes",
        "Selection of codes, each branch brought to the output's parameters."),
}  # fmt: skip
"""Operators of com.microsoft."""

DIALECT = records(
    "onnxruntime", "The NodeProtos of a model quantized for onnxruntime.", {**STANDARD, **CONTRIBUTED},
    kinds=KINDS, check=_check,
)  # fmt: skip
