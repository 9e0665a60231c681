"""``quant-to-qsim``: MLIR's quantized types become quantizers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import DecodeOp, EncodeOp, FakeOp, QuantizerOp, make_quantizer
from qir.dialects.quant import DequantizeCastOp, QuantizeCastOp, StorageCastOp
from qir.dialects.quant_types import AnyQuantized, Uniform, is_quantized
from qir.ir import Context, Operation, OpResult, SymbolRefAttr, SymbolTable, TensorType, Type, Value, dense_from_numpy
from qir.numerics.scheme import Granularity, Product, Scheme, element_type
from qir.passes.base import Pass
from qir.passes.quantize.qsim_to_quant import AXIS, NAME, PRODUCT
from qir.passes.registry import register_pass
from qir.target import constant_of, node_name

__all__ = ["QuantToQsim"]


@register_pass
class QuantToQsim(Pass):
    """Read quantization from MLIR's quant dialect: a qcast that is only dcast becomes a fake, scast becomes codes.

    Casts that carry qsim.quantizer get the quantizer of that name, others one each.
    """

    name: ClassVar[str] = "quant-to-qsim"
    dialects: ClassVar[tuple[str, ...]] = ("qsim", "onnx")

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        casts = [op for op in module.walk() if isinstance(op, (QuantizeCastOp, StorageCastOp))]
        if not casts:
            return False
        translation = _Translation(module, ctx)
        for op in casts:
            if isinstance(op, QuantizeCastOp):
                translation.qcast(op)
            elif is_quantized(_element(op.output)):
                translation.scast(op)
        translation.products()
        for user in module.walk():
            for value in (*user.operands, *user.results):
                if is_quantized(_element(value)):
                    message = f"uses the quantized type {value.type}, which only casts may do here"
                    raise user.error(message, "put a dcast before it and a qcast behind it")
        return True


def _element(value: Value) -> Type:
    return value.type.element if isinstance(value.type, TensorType) else value.type


class _Translation:
    def __init__(self, module: ModuleOp, ctx: Context) -> None:
        self.module, self.ctx = module, ctx
        self.symbols = SymbolTable(module)
        self.named: dict[str, tuple[QuantizerOp, Type]] = {}
        self.bias: list[tuple[QuantizerOp, Operation, str, str, int]] = []
        self.first = next(iter(module.body), None)

    def qcast(self, op: QuantizeCastOp) -> None:
        quantizer = self.quantizer(op, op.input)
        name = {"quantizer": SymbolRefAttr(quantizer.sym_name)}
        readers = op.output.users
        _only_casts(op, op.output)
        if all(isinstance(r, DequantizeCastOp) for r in readers):
            fake = FakeOp.create([op.input], [op.input.type], name, location=op.location)
            self._insert(fake, op)
            for reader in readers:
                self._forward(reader, fake.y)
        else:
            codes = EncodeOp.create([op.input], [self._codes_type(quantizer, op.output)], name, location=op.location)
            self._insert(codes, op)
            self._read_codes(op.output, codes.y, quantizer)
        op.erase()

    def scast(self, op: StorageCastOp) -> None:
        quantizer = self.quantizer(op, op.input)
        _only_casts(op, op.output)
        codes = op.input
        type = self._codes_type(quantizer, op.output)
        if codes.type != type:
            codes = self._unsigned(op, codes, type)
        self._read_codes(op.output, codes, quantizer)
        source = op.input.defining_op
        op.erase()
        if source is not None and constant_of(source.results[0]) is not None and not source.results[0].uses:
            source.erase()

    def _read_codes(self, quantized: Value, codes: Value, quantizer: QuantizerOp) -> None:
        for reader in quantized.users:
            if isinstance(reader, StorageCastOp):
                if codes.type != reader.output.type:
                    raise reader.error(f"gives {reader.output.type}, the codes are {codes.type}")
                self._forward(reader, codes)
                continue
            decode = DecodeOp.create(
                [codes],
                [reader.results[0].type],
                {"quantizer": SymbolRefAttr(quantizer.sym_name)},
                location=reader.location,
            )
            self._insert(decode, reader)
            self._forward(reader, decode.y)

    def _forward(self, op: Operation, value: Value) -> None:
        if isinstance(value, OpResult) and value.name is None:
            value.name = op.results[0].name
        op.results[0].replace_all_uses_with(value)
        op.erase()

    def _insert(self, op: Operation, before: Operation) -> None:
        assert before.parent is not None
        before.parent.insert_before(op, before)

    def _codes_type(self, quantizer: QuantizerOp, quantized: Value) -> TensorType:
        assert isinstance(quantized.type, TensorType)
        return quantized.type.with_element(element_type(quantizer.scheme))

    def _unsigned(self, op: StorageCastOp, codes: Value, type: TensorType) -> Value:
        """The constant of signless integers as the unsigned codes that its bits mean."""
        data, source = constant_of(codes), codes.defining_op
        if data is None or source is None:
            message = f"gives {op.output.type} from computed integers of type {codes.type}; qir stores {type}"
            raise op.error(message, "quantize with qcast, or store a constant")
        from qir.ir.tensors import numpy_dtype

        bits = int(str(type.element).lstrip("ui"))
        array = (data.numpy().astype(np.int64) & ((1 << bits) - 1)).astype(numpy_dtype(type.element))
        attributes = {**source.attributes, "value": dense_from_numpy(array, codes.name or "codes", type)}
        constant = self.ctx.create_op(source.name, [], [type], attributes, location=source.location)
        constant.results[0].name = codes.name
        self._insert(constant, source)
        return constant.results[0]

    # ------------------------------------------------------------ quantizers
    def quantizer(self, op: Operation, value: Value) -> QuantizerOp:
        """The quantizer of a cast: the one that it names, else a new one."""
        element = _element(op.results[0])
        wanted = op.attr(NAME)
        if isinstance(wanted, str) and wanted in self.named:
            known, type = self.named[wanted]
            if type != element:
                raise op.error(f"names the quantizer '{wanted}' with another type than before: {element}, not {type}")
            return known
        source = value.defining_op
        name = str(wanted) if wanted else value.name or (node_name(source) if source is not None else "input")
        made = self._make(op, self.symbols.unique(name), element)
        self.symbols.insert(made, self.first)
        if isinstance(wanted, str):
            self.named[wanted] = made, element
        product = op.attr(PRODUCT)
        if product is not None and len(product) == 2:
            self.bias.append((made, op, str(product[0]), str(product[1]), int(op.attr(AXIS, 0))))
        return made

    def _make(self, op: Operation, name: str, element: Type) -> QuantizerOp:
        try:
            uniform, unknown = Uniform.parse(element), AnyQuantized.parse(element)
            if uniform is not None:
                return _of_uniform(name, uniform, op)
            if unknown is not None:
                signed = unknown.storage[0] == "i"
                scheme = Scheme(storage=unknown.storage, qmin=unknown.qmin, qmax=unknown.qmax, symmetric=signed)
                return make_quantizer(name, scheme, location=op.location)
        except ValueError as error:
            raise op.error(f"has the type {element}: {error}") from None
        hint = "it reads !quant.uniform and !quant.any<storage:expressed>"
        raise op.error(f"has the type {element}, which qir does not read", hint)

    def products(self) -> None:
        """Biases get back the scale that follows from two others, where these exist and give the same numbers."""
        for quantizer, op, x, w, axis in self.bias:
            if x not in self.named or w not in self.named or quantizer.scale is None:
                continue
            scales = [self.named[name][0].scale for name in (x, w)]
            if scales[0] is None or scales[1] is None:
                continue
            given = quantizer.scale.numpy().astype(np.float64)
            plain = (scales[0].numpy() * scales[1].numpy()).astype(np.float64)
            factor = float(np.round((given / plain).ravel()[0], 12))
            if given.shape != plain.shape or not np.allclose(given, plain * factor, rtol=1e-6):
                message = f"the bias scale is no longer the product of @{x} and @{w}: it stays a scale of its own"
                self.ctx.remark("analysis", op.location, message, "quant-to-qsim")
                continue
            made_x, made_w = self.named[x][0].sym_name, self.named[w][0].sym_name
            factor = 1.0 if abs(factor - 1.0) < 1e-6 else factor
            product = Product(made_x, made_w, axis, factor)
            scheme = quantizer.scheme.evolve(granularity=Granularity.per_tensor(), product=product)
            fresh = make_quantizer(quantizer.sym_name, scheme, location=quantizer.location)
            quantizer.attributes.clear()
            quantizer.attributes.update(fresh.attributes)


def _only_casts(op: Operation, quantized: Value) -> None:
    for reader in quantized.users:
        if not isinstance(reader, (DequantizeCastOp, StorageCastOp)):
            message = f"reads the quantized value of {op.name}, which only casts may do here"
            raise reader.error(message, "put a dcast before it and a qcast behind it")


def _of_uniform(name: str, uniform: Uniform, op: Operation) -> QuantizerOp:
    granularity = Granularity(uniform.blocks) if uniform.blocks else Granularity.per_tensor()
    scheme = Scheme(storage=uniform.storage, qmin=uniform.qmin, qmax=uniform.qmax, granularity=granularity)
    symmetric = all(zero == scheme.fixed_zero for zero in uniform.zeros)
    quantizer = make_quantizer(name, scheme.evolve(symmetric=symmetric), location=op.location)
    scale = np.array(uniform.scales, np.float64).astype(np.float32)
    if not bool((np.isfinite(scale) & (scale > 0)).all()):
        raise ValueError("its scales are not positive float32 numbers")
    shape = uniform.shape
    zeros = None if symmetric else np.array(uniform.zeros, np.int32).reshape(shape)
    quantizer.set_parameters(scale.reshape(shape), zeros)
    return quantizer
