"""``qsim-to-quant``: quantizers become types of MLIR's ``quant`` dialect, for MLIR to read."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import DecodeOp, EncodeOp, FakeOp, QuantizerOp
from qir.dialects.quant import DequantizeCastOp, QuantizeCastOp, StorageCastOp
from qir.dialects.quant_types import Uniform
from qir.ir import (
    ArrayAttr,
    Attribute,
    Context,
    FloatType,
    IntegerAttr,
    IntegerType,
    Operation,
    StringAttr,
    SymbolTable,
    TensorType,
    Value,
    dense_from_numpy,
)
from qir.numerics.scheme import Scheme
from qir.passes.base import Pass
from qir.passes.quantize.queries import quantizers, symbol
from qir.passes.registry import register_pass
from qir.rewrite import constant_of

__all__ = ["QsimToQuant"]

NAME, PRODUCT, AXIS = "qsim.quantizer", "qsim.product", "qsim.product_axis"
"""Attributes that carry what MLIR's types cannot say, so that the way back gives the same quantizers."""


@register_pass
class QsimToQuant(Pass):
    """Say quantization in MLIR's quant dialect: fakes and codes become qcast, dcast and scast.

    An error names what MLIR's types cannot say. Do not run MLIR's own canonicalize on the result: it drops the casts.
    """

    name: ClassVar[str] = "qsim-to-quant"
    dialects: ClassVar[tuple[str, ...]] = ("quant",)

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        known = quantizers(module)
        if not known:
            return False
        translation = _Translation(known, ctx)
        for op in list(module.walk()):
            if op.parent is None:
                continue
            if isinstance(op, FakeOp):
                translation.fake(op)
            elif isinstance(op, DecodeOp):
                translation.decode(op)
            elif op.name in ("qsim.encode_dynamic", "qsim.decode_dynamic"):
                raise _cannot(op, symbol(op), "parameters that are computed at run time")
        for op in list(module.walk()):
            if isinstance(op, EncodeOp):
                translation.encode(op)
        symbols = SymbolTable(module)
        for name in known:
            symbols.erase(name)
        return True


def _cannot(op: Operation, name: str, what: str) -> Exception:
    return op.error(f"by @{name}: MLIR's quant dialect cannot say {what}", "keep the module in qsim, which can")


class _Translation:
    def __init__(self, known: dict[str, QuantizerOp], ctx: Context) -> None:
        self.known, self.ctx = known, ctx

    # ------------------------------------------------------------ operations
    def fake(self, op: FakeOp) -> None:
        qcast = self._cast(QuantizeCastOp, op, op.x, self.quantized(op, op.x))
        dcast = DequantizeCastOp.create([qcast.results[0]], [op.y.type], location=op.location)
        self._replace(op, dcast)

    def decode(self, op: DecodeOp) -> None:
        type = self.quantized(op, op.y)
        op_codes = op.x
        source = op_codes.defining_op
        if isinstance(source, EncodeOp) and symbol(source) == symbol(op):
            stored = self._cast(QuantizeCastOp, op, source.x, type)
        else:
            stored = self._cast(StorageCastOp, op, self._signless(op, op.x), type)
        dcast = DequantizeCastOp.create([stored.results[0]], [op.y.type], location=op.location)
        self._replace(op, dcast)
        if isinstance(source, EncodeOp) or constant_of(op_codes) is not None:
            if source is not None and not any(r.uses for r in source.results):
                source.erase()

    def encode(self, op: EncodeOp) -> None:
        reader = next(iter(op.y.uses))
        raise _cannot(op, symbol(op), f"its codes as they are read by {reader.name}")

    def _cast(self, kind: type[Operation], op: Operation, value: Value, type: TensorType) -> Operation:
        quantizer = self.known[symbol(op)]
        attributes: dict[str, Attribute] = {NAME: StringAttr(quantizer.sym_name)}
        product = quantizer.scheme.product
        if product is not None:
            attributes[PRODUCT] = ArrayAttr((StringAttr(product.x), StringAttr(product.w)))
            if product.axis:
                attributes[AXIS] = IntegerAttr(product.axis)
        cast = kind.create([value], [type], attributes, location=op.location)
        assert op.parent is not None
        op.parent.insert_before(cast, op)
        return cast

    def _replace(self, op: Operation, new: Operation) -> None:
        assert op.parent is not None
        op.parent.insert_before(new, op)
        new.results[0].name = op.results[0].name
        op.results[0].replace_all_uses_with(new.results[0])
        op.erase()

    def _signless(self, op: Operation, codes: Value) -> Value:
        """Codes in the signless type that MLIR's scast takes: constants of unsigned codes are retyped, bit by bit."""
        type = codes.type
        assert isinstance(type, TensorType)
        if not isinstance(type.element, IntegerType) or not type.element.signedness:
            return codes
        data = constant_of(codes)
        source = codes.defining_op
        if data is None or source is None:
            raise _cannot(op, symbol(op), f"codes of type {type.element} that are computed")
        array = data.numpy()
        bits = type.element.width
        if bits in (8, 16, 32):
            signed = array.view(f"int{bits}")
        else:
            import ml_dtypes

            wrapped = array.astype(np.int16)
            wrapped = np.where(wrapped >= 1 << (bits - 1), wrapped - (1 << bits), wrapped)
            signed = wrapped.astype(getattr(ml_dtypes, f"int{bits}"))
        to = type.with_element(IntegerType(bits))
        attributes = {**source.attributes, "value": dense_from_numpy(signed, codes.name or "codes", to)}
        constant = self.ctx.create_op(source.name, [], [to], attributes, location=source.location)
        constant.results[0].name = codes.name
        assert source.parent is not None
        source.parent.insert_before(constant, source)
        return constant.results[0]

    # ------------------------------------------------------------ types
    def quantized(self, op: Operation, value: Value) -> TensorType:
        """The type of `value` under the quantizer that `op` names. Raises QirError for what MLIR cannot say."""
        name = symbol(op)
        quantizer = self.known.get(name)
        if quantizer is None:
            raise op.error(f"names @{name}, which is no quantizer")
        scheme = quantizer.scheme
        type = value.type
        assert isinstance(type, TensorType)
        for broken, what in _LIMITS:
            if broken(scheme):
                raise _cannot(op, name, what)
        assert isinstance(type.element, FloatType)
        expressed = str(type.element)
        storage, low, high = scheme.storage.name, int(scheme.qmin), int(scheme.qmax)
        from qir.interpreter.quantizers import quantizer_parameters

        found = quantizer_parameters(quantizer, self.known.get)
        if found is None:
            raise op.error(f"by @{name}, which has no scale: MLIR's quantized types need one", "run calibrate first")
        scale_t, zero_t = found
        scale = scale_t.numpy().astype(np.float64)
        zero = np.full(scale.shape, scheme.fixed_zero) if zero_t is None else zero_t.numpy()
        axis = scheme.granularity.axis
        if scheme.product is not None and scale.ndim == 1:
            axis = scheme.product.axis
        shape: tuple[int, ...] = ()
        blocks: tuple[tuple[int, int], ...] = ()
        if axis is not None:
            axis = axis + (type.rank or 0) if axis < 0 else axis
            blocks, shape = ((axis, 1),), scale.shape
        elif not scheme.granularity.is_per_tensor:
            blocks, shape = self._blocks(op, name, scheme, type), scale.shape
        scales, zeros = tuple(scale.ravel().tolist()), tuple(int(z) for z in zero.ravel())
        uniform = Uniform(storage, low, high, expressed, scales, zeros, shape, blocks, axis is not None)
        return type.with_element(uniform.type)

    def _blocks(self, op: Operation, name: str, scheme: Scheme, type: TensorType) -> tuple[tuple[int, int], ...]:
        if type.rank is None or type.shape is None:
            raise _cannot(op, name, f"blocks of {type}, whose rank is not known")
        sizes = scheme.granularity.sizes(type.rank)
        for axis, size in enumerate(sizes):
            length = type.shape[axis]
            if size and length is not None and length % size:
                raise _cannot(op, name, f"blocks of {size} along axis {axis} of {length}, which they do not divide")
        return tuple((axis, size) for axis, size in enumerate(sizes) if size)


_LIMITS = (
    (lambda s: s.storage.is_float, "floating-point storage"),
    (lambda s: s.storage.is_codebook, "a codebook"),
    (lambda s: s.dynamic, "parameters that are computed at run time"),
    (lambda s: s.zero_inside, "a zero point that is added before rounding"),
    (lambda s: not s.saturate, "codes that wrap"),
    (lambda s: s.rounding != "half_even", "another rounding than half_even"),
    (lambda s: s.scale_by is not None or s.zero_by is not None, "parameters that are quantized themselves"),
)
