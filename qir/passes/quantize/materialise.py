"""``materialise``: simulated quantization becomes integers."""

from __future__ import annotations

from typing import ClassVar

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import DecodeDynamicOp, DecodeOp, EncodeDynamicOp, EncodeOp, FakeOp, QuantizerOp
from qir.ir import (
    Block,
    Context,
    Diagnostic,
    Operation,
    QirError,
    Severity,
    SymbolRefAttr,
    TensorType,
    Value,
    dense_from_numpy,
)
from qir.ir.types import IntegerType, f32
from qir.numerics.scheme import Scheme, element_type
from qir.passes.base import Pass
from qir.passes.quantize.queries import fakes_of, quantizers
from qir.passes.registry import register_pass
from qir.rewrite import constant_of

__all__ = ["Materialise"]


@register_pass
class Materialise(Pass):
    """Turn every fake into an encode and a decode; constants are stored as codes.

    The quantizers stay the one record of the parameters.
    """

    name: ClassVar[str] = "materialise"
    dialects: ClassVar[tuple[str, ...]] = ("qsim",)

    def run(self, module: Operation, ctx: Context) -> bool:
        assert isinstance(module, ModuleOp)
        fakes = list(fakes_of(module))
        known = quantizers(module)
        _check_calibrated(fakes, known)
        codes: dict[tuple[Value, str, Block | None], Value] = {}
        for fake in fakes:
            quantizer = known[fake.quantizer]
            source = fake.x.defining_op
            if isinstance(source, DecodeOp) and source.quantizer == fake.quantizer:
                fake.y.replace_all_uses_with(fake.x)  # the values are on this very grid
                fake.erase()
                continue
            if quantizer.dynamic:
                _dynamic(fake, quantizer)
            else:
                key = fake.x, fake.quantizer, fake.parent
                stored = codes.get(key)
                if stored is None:
                    stored = codes[key] = _stored(fake, quantizer, known, ctx)
                _decode(fake, stored)
            self.count(ctx, "fakes")
        return bool(fakes)


def _check_calibrated(fakes: list[FakeOp], known: dict[str, QuantizerOp]) -> None:
    missing: dict[str, FakeOp] = {}
    for fake in fakes:
        product = known[fake.quantizer].scheme.product
        for name in (fake.quantizer, *((product.x, product.w) if product is not None else ())):
            if name not in known:
                raise known[fake.quantizer].error(f"@{fake.quantizer} names @{name}, which is no quantizer")
            if not known[name].is_calibrated:
                missing.setdefault(name, fake)
    if missing:
        hint = "run calibrate{data=…} before materialise, or write a scale into the text"
        raise QirError(
            [
                Diagnostic(Severity.ERROR, fake.location, f"the quantizer @{name} has no scale", hint=hint)
                for name, fake in list(missing.items())[:10]
            ]
        )


def _codes_type(value: Value, scheme: Scheme) -> TensorType:
    assert isinstance(value.type, TensorType)
    return value.type.with_element(element_type(scheme))


def _stored(fake: FakeOp, quantizer: QuantizerOp, known: dict[str, QuantizerOp], ctx: Context) -> Value:
    """The codes of a fake's value: a constant's are computed now, others by an encode."""
    block = fake.parent
    assert block is not None
    scheme = quantizer.scheme
    type = _codes_type(fake.x, scheme)
    data = constant_of(fake.x)
    if data is None:
        op = EncodeOp.create([fake.x], [type], {"quantizer": SymbolRefAttr(fake.quantizer)}, location=fake.location)
        block.insert_before(op, fake)
        return op.y
    import torch

    from qir.interpreter.quantizers import quantizer_parameters
    from qir.numerics import codes_to_numpy, encode

    found = quantizer_parameters(quantizer, known.get)
    assert found is not None  # checked before anything was changed
    scale, zero = found
    weights = torch.from_numpy(data.numpy().astype("float64" if scheme.bits > 24 else "float32"))
    try:
        array = codes_to_numpy(encode(weights, scheme, scale, zero), scheme)
    except ValueError as error:
        raise fake.error(f"by @{fake.quantizer}: {error}") from None
    source = fake.x.defining_op
    assert source is not None
    name = f"{fake.x.name or fake.quantizer}_quantized"
    attributes = {k: v for k, v in source.attributes.items() if k == "onnx.initializer"}
    attributes["value"] = dense_from_numpy(array, name, type)
    constant = ctx.create_op("onnx.Constant", [], [type], attributes, location=source.location)
    constant.result.name = name
    block.insert_before(constant, fake)
    return constant.result


def _decode(fake: FakeOp, stored: Value) -> None:
    block, source = fake.parent, fake.x.defining_op
    assert block is not None
    attributes = {"quantizer": SymbolRefAttr(fake.quantizer)}
    decode = DecodeOp.create([stored], [fake.y.type], attributes, location=fake.location)
    decode.y.name = fake.y.name
    block.insert_before(decode, fake)
    fake.y.replace_all_uses_with(decode.y)
    fake.erase()
    if source is not None and constant_of(source.results[0]) is not None and not source.results[0].uses:
        source.erase()


def _dynamic(fake: FakeOp, quantizer: QuantizerOp) -> None:
    """The parameters are results of the encode."""
    block = fake.parent
    assert block is not None and isinstance(fake.x.type, TensorType)
    scheme = quantizer.scheme
    shape = fake.x.type.shape
    sizes = None if shape is None else scheme.granularity.param_shape(shape)
    zero = IntegerType(32) if scheme.storage.is_integer and not scheme.zero_inside else f32
    types = [_codes_type(fake.x, scheme), TensorType(sizes, f32), TensorType(sizes, zero)]
    name = {"quantizer": SymbolRefAttr(fake.quantizer)}
    encode = EncodeDynamicOp.create([fake.x], types, name, location=fake.location)
    decode = DecodeDynamicOp.create(list(encode.results), [fake.y.type], dict(name), location=fake.location)
    decode.results[0].name = fake.y.name
    block.insert_before(encode, fake)
    block.insert_before(decode, fake)
    fake.y.replace_all_uses_with(decode.results[0])
    fake.erase()
