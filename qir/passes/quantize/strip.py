"""The way back: integers become fakes again, fakes become nothing, and what was known of each edge is kept."""

from __future__ import annotations

import attrs

from qir.dialects.builtin import ModuleOp
from qir.dialects.qsim import DecodeDynamicOp, DecodeOp, EncodeDynamicOp, EncodeOp, FakeOp, QuantizerOp
from qir.ir import Context, Location, Operation, SymbolRefAttr, TensorType, Value, dense_from_numpy
from qir.ir.tensors import numpy_dtype
from qir.passes.quantize.queries import fakes_of, quantizers, symbol
from qir.rewrite import constant_of

__all__ = ["QuantizedEdge", "Use", "edges_of", "simulate", "strip"]

Use = tuple[Operation, int]
"""An operand: the operation and the position."""


# ---------------------------------------------------------------- integers become fakes
def simulate(module: ModuleOp, ctx: Context) -> bool:
    """Undo `materialise`: a decode of an encode is a fake again, a constant the numbers that its codes stand for.

    Returns whether there was any. Raises QirError for codes that anything else computes with or makes: such a module
    is lowered, and the numbers behind its codes cannot be given back.
    """
    known = quantizers(module)
    constants: dict[tuple[Value, str], Value] = {}
    codes: list[Operation] = []
    for op in list(module.walk()):
        if isinstance(op, DecodeOp | DecodeDynamicOp):
            source = op.operands[0].defining_op
            name = symbol(op)
            if name not in known:
                raise op.error(f"names @{name}, which is no quantizer")
            if isinstance(source, EncodeOp | EncodeDynamicOp) and symbol(source) == name:
                x = source.x
            elif isinstance(op, DecodeOp) and constant_of(op.x) is not None:
                x = constants.get((op.x, name)) or _numbers(op, known, ctx)
                constants[op.x, name] = x
            else:
                raise op.error("reads codes that come from an operation of a chip", LOWERED)
            if source is not None:
                codes.append(source)
            _replace(op, x, name)
    for source in dict.fromkeys(codes):
        if not any(result.uses for result in source.results):
            source.erase()
    for op in module.walk():
        if isinstance(op, EncodeOp | EncodeDynamicOp):
            raise op.error("makes codes that an operation of a chip reads", LOWERED)
    return bool(codes)


LOWERED = "the module is lowered already: start from the text before that"


def _replace(decode: Operation, x: Value, quantizer: str) -> None:
    (y,) = decode.results
    attributes = {"quantizer": SymbolRefAttr(quantizer)}
    fake = FakeOp.create([x], [y.type], attributes, location=decode.location)
    fake.y.name = y.name
    assert decode.parent is not None
    decode.parent.insert_before(fake, decode)
    y.replace_all_uses_with(fake.y)
    decode.erase()


def _numbers(decode: DecodeOp, known: dict[str, QuantizerOp], ctx: Context) -> Value:
    """The float constant that a constant of codes stands for."""
    from qir.interpreter.quantizers import quantizer_parameters
    from qir.numerics import codes_from_numpy
    from qir.numerics import decode as decoded

    quantizer, data, source = known[decode.quantizer], constant_of(decode.x), decode.x.defining_op
    assert data is not None and source is not None and isinstance(decode.y.type, TensorType)
    found = quantizer_parameters(quantizer, known.get)
    if found is None:
        raise quantizer.error(f"@{quantizer.sym_name} has no scale, and codes of it are stored", "write scale(…)")
    scheme = quantizer.scheme
    array = decoded(codes_from_numpy(data.numpy(), scheme), scheme, *found).numpy()
    name = (decode.x.name or quantizer.sym_name).removesuffix("_quantized")
    attributes = {k: v for k, v in source.attributes.items() if k == "onnx.initializer"}
    element = numpy_dtype(decode.y.type.element)
    attributes["value"] = dense_from_numpy(array.astype(element), name, decode.y.type)
    constant = ctx.create_op("onnx.Constant", [], [decode.y.type], attributes, location=source.location)
    constant.result.name = name
    assert source.parent is not None
    source.parent.insert_before(constant, source)
    return constant.result


# ---------------------------------------------------------------- fakes become nothing
@attrs.frozen(eq=False)
class QuantizedEdge:
    """A fake as it stood in a module.

    `value` is the float value behind it (behind all fakes, where it quantizes what is quantized already), `depth` how
    many fakes there were on the way, itself included; `readers` are the operands that read its result.
    """

    value: Value
    depth: int
    quantizer: QuantizerOp
    readers: frozenset[Use]
    location: Location


def edges_of(module: ModuleOp) -> list[QuantizedEdge]:
    """Every fake of the module, in order."""
    known = quantizers(module)
    behind: dict[Value, tuple[Value, int]] = {}
    edges = []
    for fake in fakes_of(module):
        value, depth = behind.get(fake.x, (fake.x, 0))
        behind[fake.y] = value, depth + 1
        readers = frozenset(
            (user, index)
            for user in fake.y.users
            if not isinstance(user, FakeOp)
            for index, operand in enumerate(user.operands)
            if operand is fake.y
        )
        edges.append(QuantizedEdge(value, depth + 1, known[fake.quantizer], readers, fake.location))
    return edges


def strip(module: ModuleOp) -> list[QuantizedEdge]:
    """Take all fakes and all quantizers out of a module, which is float then. Returns the edges that it had."""
    edges = edges_of(module)
    for fake in list(fakes_of(module)):
        fake.y.replace_all_uses_with(fake.x)
        fake.erase()
    for quantizer in quantizers(module).values():
        quantizer.detach()
    return edges
