"""The target's passes: into QDQ form, and into the integer operations that the runtime makes of it."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, DictAttr, IntegerAttr, Operation, TensorType, dictionary
from qir.lowering.onnxruntime.dialect import required_opset
from qir.lowering.onnxruntime.fuse import Fusion, fusing_patterns
from qir.lowering.onnxruntime.patterns import layout_of, lowering_patterns
from qir.lowering.onnxruntime.prepare import preparing_patterns
from qir.passes import Pass, register_pass
from qir.passes.quantize.queries import drop_unused_quantizers
from qir.rewrite import apply_patterns

__all__ = ["FuseOnnxruntime", "LowerToOnnxruntime", "needed_opset"]

MINIMUM_OPSET = 13
"""Scales along an axis need 13, MaxPool on codes 12: every artifact gets at least this."""


@register_pass
@attrs.frozen
class LowerToOnnxruntime(Pass):
    """Lower a materialised module to QuantizeLinear and DequantizeLinear around float ONNX operators (QDQ form)."""

    name: ClassVar[str] = "lower-to-onnxruntime"
    dialects: ClassVar[tuple[str, ...]] = ("onnx", "qsim", "onnxruntime")

    def run(self, module: Operation, ctx: Context) -> bool:
        for op in module.walk():
            if op.name == "qsim.fake":
                raise op.error(
                    "stands in the way of lowering: it simulates, and the artifact needs integers",
                    "run materialise before lower-to-onnxruntime",
                )
        module.attributes.pop("onnx.shared_node_names", None)  # the runtime takes no two nodes of one name
        needed, why = needed_opset(module)
        raise_opset(module, ctx, needed, why)
        changed = apply_patterns(module, lowering_patterns(), ctx)
        return drop_unused_quantizers(module) or changed


@register_pass
@attrs.frozen
class FuseOnnxruntime(Pass):
    """Replace QDQ groups by integer operations, exactly where onnxruntime does on an x86-64 CPU."""

    name: ClassVar[str] = "onnxruntime-fuse"
    dialects: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    def run(self, module: Operation, ctx: Context) -> bool:
        patterns = fusing_patterns()
        changed = False
        for phase in (*preparing_patterns(), patterns):
            changed = apply_patterns(module, phase, ctx, name=self.name) or changed
        fusions = {root: p for p in patterns if isinstance(p, Fusion) for root in p.roots}
        for op in module.walk():
            if op.name.startswith("onnxruntime.Q") and not op.name.endswith(".QuantizeLinear"):
                self.count(ctx, op.name.partition(".")[2])
                ctx.remark("passed", op.location, f"runs on integers as {op.name.partition('.')[2]}", self.name)
            elif (fusion := fusions.get(op.name)) is not None and (reason := fusion.reason(op)):
                self.count(ctx, "groups left in float")
                ctx.remark("missed", op.location, f"{op.name.partition('.')[2]} runs in float: {reason}", self.name)
        return changed


# ---------------------------------------------------------------------- opsets
def needed_opset(module: Operation) -> tuple[int, str]:
    """The lowest ai.onnx opset that can hold the quantized module, and what needs it."""
    from qir.dialects.qsim import QuantizerOp
    from qir.ir import SymbolTable

    needed, why = MINIMUM_OPSET, "scales along an axis"
    table = SymbolTable(module)
    for op in module.walk():
        if op.name not in ("qsim.encode", "qsim.decode"):
            continue
        quantizer = table.lookup(op.attr("quantizer").root)
        codes = (op.results if op.name == "qsim.encode" else op.operands)[0].type
        if not isinstance(quantizer, QuantizerOp) or not isinstance(codes, TensorType):
            continue
        layout = layout_of(quantizer, codes, op)
        opset = required_opset(codes.element, per_axis=layout.axis is not None, blocked=bool(layout.block))
        if opset > needed:
            needed, why = opset, f"{codes.element} codes" + (" in blocks" if layout.block else "")
    return needed, why


def raise_opset(module: Operation, ctx: Context, version: int, why: str) -> None:
    """Convert the module to `version` of ai.onnx where it is older, with a remark."""
    stated = module.attributes.get("onnx.opset")
    held = stated.get("ai.onnx") if isinstance(stated, DictAttr) else None
    current = held.value if isinstance(held, IntegerAttr) else None
    if current is None:
        entries = dict(stated.entries) if isinstance(stated, DictAttr) else {}
        module.attributes["onnx.opset"] = dictionary({**entries, "ai.onnx": IntegerAttr(version)})
        return
    if current >= version:
        return
    from qir.passes import run_pipeline

    run_pipeline(module, f"convert-opset{{version={version}}}", ctx)
    ctx.remark(
        "passed", module.location, f"opset raised from {current} to {version}: {why} need it", "lower-to-onnxruntime"
    )
