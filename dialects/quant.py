"""The ``quant`` dialect, for interchange with MLIR: exactly its operations, and its types as MLIR 22 spells them.

qir's own record of parameters are quantizers (``qsim``); ``qsim-to-quant`` and ``quant-to-qsim`` translate. MLIR leaves
the rounding of ``qcast`` open; here it is that of ``qsim.encode``: half to even, saturating. MLIR's own
``--canonicalize`` replaces ``dcast(qcast(x))`` by x, which drops the quantization error: do not run it on such modules.
"""

from __future__ import annotations

from collections.abc import Iterator

from qir.dialects.cast_syntax import CastOp
from qir.dialects.quant_types import Uniform, is_quantized
from qir.ir.context import Dialect
from qir.ir.core import Trait, Value
from qir.ir.definition import ANY, op_def, operand, result
from qir.ir.types import FloatType, IntegerType, OpaqueType, TensorType, Type
from qir.ir.verifier import Verifier

__all__ = ["DIALECT", "DequantizeCastOp", "QuantizeCastOp", "StorageCastOp"]


@op_def("quant.qcast", Trait.PURE)
class QuantizeCastOp(CastOp):
    """Float to quantized values: ``clip(round(x / s) + z)``."""

    input = operand(ANY)
    output = result(ANY)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        yield from _verify_cast(self.input, self.output)


@op_def("quant.dcast", Trait.PURE)
class DequantizeCastOp(CastOp):
    """Quantized values to float: ``(q - z) * s``."""

    input = operand(ANY)
    output = result(ANY)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        yield from _verify_cast(self.output, self.input)


@op_def("quant.scast", Trait.PURE)
class StorageCastOp(CastOp):
    """Quantized values to the integers that store them, or back: the same bits."""

    input = operand(ANY)
    output = result(ANY)

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        source, target = _element(self.input.type), _element(self.output.type)
        quantized, stored = (source, target) if is_quantized(source) else (target, source)
        if not is_quantized(quantized) or not isinstance(stored, IntegerType):
            yield f"casts between a quantized type and its storage, not from {self.input.type} to {self.output.type}"
            return
        uniform, message = _uniform(quantized)
        if message is not None:
            yield message
        elif uniform is not None and stored != IntegerType(int(uniform.storage[1:])):
            yield f"the storage of {quantized} is i{uniform.storage[1:]}, not {stored}"
        yield from _same_shape(self.input, self.output)


def _element(type: Type) -> Type:
    return type.element if isinstance(type, TensorType) else type


def _uniform(element: Type) -> tuple[Uniform | None, str | None]:
    try:
        return Uniform.parse(element), None
    except ValueError as error:
        return None, str(error)


def _same_shape(a: Value, b: Value) -> Iterator[str]:
    shapes = [v.type.shape if isinstance(v.type, TensorType) else () for v in (a, b)]
    if shapes[0] != shapes[1]:
        yield f"has {a.type} and {b.type}, which differ in shape"


def _verify_cast(expressed: Value, quantized: Value) -> Iterator[str]:
    """What MLIR checks of a qcast or dcast."""
    float_, element = _element(expressed.type), _element(quantized.type)
    if not isinstance(float_, FloatType) or not (isinstance(element, OpaqueType) and is_quantized(element)):
        yield f"casts between a float type and a quantized one, not {expressed.type} and {quantized.type}"
        return
    yield from _same_shape(expressed, quantized)
    uniform, message = _uniform(element)
    if message is not None:
        yield message
    if uniform is None:
        return
    if uniform.expressed != str(float_):
        yield f"{element} expresses {uniform.expressed}, the value is {float_}"
    if not all(0 < scale < float("inf") for scale in uniform.scales):
        yield f"every scale of {element} must be positive and finite"
    shape = quantized.type.shape if isinstance(quantized.type, TensorType) else ()
    if shape is None:
        return
    for axis, _ in uniform.blocks:
        if axis >= len(shape):
            yield f"{element} names axis {axis} of a value of rank {len(shape)}"
            return
    if uniform.per_axis:
        size = shape[uniform.blocks[0][0]]
        if size is not None and size != len(uniform.scales):
            yield f"{element} has {len(uniform.scales)} scales for {size} channels"


DIALECT = Dialect(
    "quant", [QuantizeCastOp, DequantizeCastOp, StorageCastOp], doc="Quantized types, as in MLIR; for interchange."
)
