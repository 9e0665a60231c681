"""QDQ form: ONNX's QuantizeLinear and DequantizeLinear around float operators, in which runtimes read quantized models.

From a materialised module: each ``qsim.encode`` becomes a QuantizeLinear, each use of a ``qsim.decode`` a
DequantizeLinear of its own (runtimes count them by operator), and the quantizers' scales and zero points initializers.
A target says in `Qdq` whose operations these are and what it does not take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from qir.dialects.onnx_types import CODES, codes_since
from qir.dialects.qsim import QuantizerOp
from qir.ir import (
    Block,
    Context,
    DictAttr,
    IntegerAttr,
    Operation,
    OpResult,
    SymbolTable,
    TensorType,
    Trait,
    Type,
    dictionary,
    f32,
    i32,
    ui8,
)
from qir.numerics.scheme import Scheme
from qir.passes.quantize.queries import symbol
from qir.rewrite import RewritePattern, Rewriter, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Qdq", "ScaleLayout", "qdq_patterns", "raise_opset", "scale_layout"]


# ---------------------------------------------------------------- what the format can say
@attrs.frozen
class Qdq:
    """A target's QDQ form: its `name`, the `dialect` whose operations the converters are, and `refuses`, which says
    of a scheme what is wrong with it for the target (a sentence and a hint) beside what ONNX cannot say."""

    name: str
    dialect: str
    refuses: Callable[[Scheme], tuple[str, str] | None] = lambda scheme: None

    def op(self, kind: str) -> str:
        return f"{self.dialect}.{kind}"


@attrs.frozen
class ScaleLayout:
    """How a quantizer is spelled in ONNX: along which axis its scales lie, and in blocks of how many."""

    axis: int | None = None
    block: int = 0

    def attributes(self) -> dict[str, int]:
        if self.axis is None:
            return {}
        return {"axis": self.axis, "block_size": self.block} if self.block else {"axis": self.axis}


def scale_layout(quantizer: QuantizerOp, type: TensorType, at: Operation, qdq: Qdq) -> ScaleLayout:
    """The layout of a quantizer on a tensor. Raises QirError, placed at `at`, where ONNX cannot say the scheme."""
    scheme, name = quantizer.scheme, f"@{quantizer.sym_name}"
    if scheme.storage.is_codebook or not any(str(t) == scheme.element for t in CODES):
        raise at.error(
            f"cannot store the codes of {name}: ONNX has no quantized type for {scheme.storage}", "use i8 or u8"
        )
    refused = qdq.refuses(scheme)
    if refused is not None:
        raise at.error(f"cannot run {name}: {refused[0]}", refused[1])
    for broken, why in (
        (scheme.rounding != "half_even", f"rounds {scheme.rounding}, QuantizeLinear rounds half_even"),
        (not scheme.saturate, "wraps, QuantizeLinear saturates"),
        (scheme.zero_inside, "adds the zero point before rounding, QuantizeLinear after it"),
        (scheme.scale_by or scheme.zero_by, "has parameters that are quantized themselves; ONNX holds them as floats"),
    ):
        if broken:
            raise at.error(f"cannot express {name}: it {why}", f"choose a scheme of `qir targets {qdq.name}`")
    if scheme.product is not None:  # as many scales as the weight of the product has
        return ScaleLayout(scheme.product.axis)
    granularity = scheme.granularity
    if granularity.is_per_tensor:
        return ScaleLayout()
    if type.shape is None:
        raise at.error(f"cannot express {name}: the rank of its tensor is unknown", "run shape-inference first")
    rank = len(type.shape)
    if granularity.axis is not None:
        return ScaleLayout(granularity.axis % rank)
    sizes = [1 if n == 1 else size for n, size in zip(type.shape, granularity.sizes(rank), strict=True)]
    blocked = [i for i, size in enumerate(sizes) if size != 1]
    if len(blocked) != 1 or not sizes[blocked[0]]:
        raise at.error(f"cannot express {name}: ONNX has blocks along one axis and a scale per index of every other, "
                       f"not {granularity}")  # fmt: skip
    return ScaleLayout(blocked[0], sizes[blocked[0]])


# ---------------------------------------------------------------- opsets
def raise_opset(module: Operation, ctx: Context, qdq: Qdq, lowest: int, why: str, by: str) -> None:
    """Convert the module to the lowest ai.onnx opset that holds its quantizers, at least to `lowest`.

    Where it is older a remark of the pass `by` says what needs it: `why` says so of `lowest`.
    """
    needed, table = lowest, SymbolTable(module)
    for op in module.walk():
        if op.name not in ("qsim.encode", "qsim.decode"):
            continue
        quantizer, codes = table.lookup(symbol(op)), (op.results if op.name == "qsim.encode" else op.operands)[0].type
        if not isinstance(quantizer, QuantizerOp) or not isinstance(codes, TensorType):
            continue
        layout = scale_layout(quantizer, codes, op, qdq)
        opset = codes_since(codes.element, per_axis=layout.axis is not None, blocked=bool(layout.block))
        if opset > needed:
            needed, why = opset, f"{codes.element} codes" + (" in blocks" if layout.block else "")
    stated = module.attributes.get("onnx.opset")
    held = stated.get("ai.onnx") if isinstance(stated, DictAttr) else None
    if not isinstance(held, IntegerAttr):
        entries = dict(stated.entries) if isinstance(stated, DictAttr) else {}
        module.attributes["onnx.opset"] = dictionary({**entries, "ai.onnx": IntegerAttr(needed)})
    elif held.value < needed:
        from qir.passes import run_pipeline

        run_pipeline(module, f"convert-opset{{version={needed}}}", ctx)
        ctx.remark("passed", module.location, f"opset raised from {held.value} to {needed}: {why} need it", by)


# ---------------------------------------------------------------- encode, decode
class _Lowering(RewritePattern):
    """What the two directions share: the constants of each quantizer, made once per function."""

    def __init__(self, qdq: Qdq, shared: dict[tuple[Operation, str, str], OpResult]) -> None:
        self.qdq, self.constants = qdq, shared

    def parameters(
        self, op: Operation, type: TensorType, element: Type, rewriter: Rewriter
    ) -> tuple[ScaleLayout, list[Value]]:
        """The quantizer's layout, and its scale and zero point as operands (an int32 bias has no zero point)."""
        import numpy as np

        from qir.interpreter.quantizers import quantizer_parameters
        from qir.ir.tensors import numpy_dtype

        name = symbol(op)
        quantizer = rewriter.lookup(op, name)
        assert isinstance(quantizer, QuantizerOp)
        layout = scale_layout(quantizer, type, op, self.qdq)
        known = quantizer_parameters(quantizer, lambda other: rewriter.lookup(op, other))
        if known is None:
            raise op.error(f"needs the scale of @{name}, which is not calibrated", "run calibrate before lowering")
        scale = known[0].float().numpy()
        if scale.size == 1 and not layout.block:
            layout = ScaleLayout()
        if layout.axis is None:
            scale = scale.reshape(())
        elif not layout.block:
            scale = scale.reshape(-1)
        dtype = np.float32 if type.element == f32 else numpy_dtype(type.element)
        found = [self.constant(op, name, f"{name}_scale", scale.astype(dtype), rewriter)]
        scheme = quantizer.scheme
        if scheme.storage.is_integer and scheme.bits <= 16:
            _, zero = quantizer.parameters()
            codes = np.full(scale.shape, scheme.fixed_zero) if zero is None else np.broadcast_to(zero, scale.shape)
            found.append(self.constant(op, name, f"{name}_zero_point", codes.astype(numpy_dtype(element)), rewriter))
        elif scheme.storage.is_float:
            zeros = np.zeros(scale.shape, np.float32).astype(numpy_dtype(element))
            found.append(self.constant(op, name, f"{name}_zero_point", zeros, rewriter))
        return layout, found

    def constant(self, op: Operation, quantizer: str, name: str, data: NDArray[Any], rewriter: Rewriter) -> Value:
        """A parameter of a quantizer, at the start of the function around `op`."""
        block = _outermost_block(op)
        assert block.parent is not None and block.parent.parent is not None
        key = (block.parent.parent, name, f"{data.dtype}{data.shape}")
        made = self.constants.get(key)
        if made is None or made.owner.parent is None:
            first = next((o for o in block if not o.has_trait(Trait.CONSTANT_LIKE)), None)
            with rewriter.at(block, first):
                made = self.constants[key] = rewriter.constant(data, name, initializer=True)
        return made


def _outermost_block(op: Operation) -> Block:
    """The block of the function around `op`: what is defined at its start is seen in all regions inside."""
    block = op.parent
    assert block is not None
    while block.parent_op is not None and not block.parent_op.has_trait(Trait.ISOLATED_FROM_ABOVE):
        parent = block.parent_op.parent
        assert parent is not None
        block = parent
    return block


class LowerEncode(_Lowering):
    """qsim.encode = QuantizeLinear, with the quantizer's scale and zero point as initializers."""

    name = "encode-to-quantize-linear"
    roots = ("qsim.encode",)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        x, y = op.operands[0], op.results[0]
        assert isinstance(x.type, TensorType) and isinstance(y.type, TensorType)
        quantizer = rewriter.lookup(op, symbol(op))
        assert isinstance(quantizer, QuantizerOp)
        if quantizer.scheme.is_narrow:
            raise op.error(f"cannot express @{quantizer.sym_name}: QuantizeLinear saturates to the whole of "
                           f"{quantizer.scheme.storage}, not to {quantizer.scheme.qmin}:{quantizer.scheme.qmax}",
                           "a narrower range is for constants; give activations the whole range")  # fmt: skip
        if y.type.element == i32:
            raise op.error(
                "cannot be written: QuantizeLinear does not give int32", "only constants are stored as int32"
            )
        layout, parameters = self.parameters(op, x.type, y.type.element, rewriter)
        name = y.name or (f"{x.name}_quantized" if x.name else None)
        made = rewriter.op(self.qdq.op("QuantizeLinear"), [x, *parameters], layout.attributes(), names=name)
        rewriter.replace(op, made)
        return True


class LowerDecode(_Lowering):
    """qsim.decode = DequantizeLinear, one for every use."""

    name = "decode-to-dequantize-linear"
    roots = ("qsim.decode",)

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        q, y = op.operands[0], op.results[0]
        assert isinstance(q.type, TensorType) and isinstance(y.type, TensorType)
        layout, parameters = self.parameters(op, y.type, q.type.element, rewriter)
        kind, operands, single = self.qdq.op("DequantizeLinear"), [q, *parameters], y.has_one_use()
        for user in y.users:
            name = y.name if single or user.has_trait(Trait.TERMINATOR) else None
            for index, operand in enumerate(user.operands):
                if operand is y:
                    assert user.parent is not None
                    with rewriter.at(user.parent, user):
                        made = rewriter.op(kind, operands, layout.attributes(), names=name)
                    rewriter.set_operand(user, index, made.result)
        rewriter.erase(op)
        return True


class LowerDynamicEncode(RewritePattern):
    """qsim.encode_dynamic = DynamicQuantizeLinear: uint8 per tensor, over a range that includes 0."""

    name = "encode-to-dynamic-quantize-linear"
    roots = ("qsim.encode_dynamic",)

    def __init__(self, qdq: Qdq) -> None:
        self.qdq = qdq

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        quantizer = rewriter.lookup(op, symbol(op))
        assert isinstance(quantizer, QuantizerOp)
        scheme = quantizer.scheme
        plain = scheme.rounding == "half_even" and not (scheme.zero_inside or scheme.pow2 or scheme.is_narrow)
        if scheme.element != "ui8" or scheme.symmetric or not scheme.granularity.is_per_tensor or not plain:
            raise op.error(f"cannot express @{quantizer.sym_name} ({scheme}): at run time {self.qdq.name} quantizes to "
                           "u8 affine per_tensor only", "make it static, or u8 affine per_tensor dynamic")  # fmt: skip
        x = op.operands[0].type
        assert isinstance(x, TensorType)
        types, names = [x.with_element(ui8), TensorType((), f32), TensorType((), ui8)], [r.name for r in op.results]
        made = rewriter.op(self.qdq.op("DynamicQuantizeLinear"), [op.operands[0]], {}, types, names=names)
        for old, new in zip(op.results, made.results, strict=True):
            rewriter.replace_all_uses(old, new)
        rewriter.erase(op)
        return True


class LowerDynamicDecode(RewritePattern):
    """qsim.decode_dynamic = DequantizeLinear with the parameters that were computed."""

    name = "decode-of-dynamic"
    roots = ("qsim.decode_dynamic",)

    def __init__(self, qdq: Qdq) -> None:
        self.qdq = qdq

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        rewriter.replace(op, rewriter.op(self.qdq.op("DequantizeLinear"), op.operands))
        return True


def qdq_patterns(qdq: Qdq) -> list[RewritePattern]:
    """The patterns that bring a materialised module into QDQ form; they serve one module."""
    shared: dict[tuple[Operation, str, str], OpResult] = {}
    encode, decode = LowerEncode(qdq, shared), LowerDecode(qdq, shared)
    return [encode, decode, LowerDynamicEncode(qdq), LowerDynamicDecode(qdq)]
