"""The target's passes: into QDQ form, and into the integer operations that the runtime makes of it."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qir.ir import Context, Operation
from qir.lowering.onnxruntime.fuse import fusing_patterns, left_in_float
from qir.lowering.onnxruntime.patterns import QDQ, lowering_patterns
from qir.lowering.onnxruntime.prepare import preparing_patterns
from qir.passes import Pass, register_pass
from qir.passes.lower.lower import refuse_fakes
from qir.passes.lower.qdq import raise_opset
from qir.passes.quantize.queries import drop_unused_quantizers
from qir.rewrite import apply_patterns

__all__ = ["FuseOnnxruntime", "LowerToOnnxruntime"]


@register_pass
@attrs.frozen
class LowerToOnnxruntime(Pass):
    """Lower a materialised module to QuantizeLinear and DequantizeLinear around float ONNX operators (QDQ form)."""

    name: ClassVar[str] = "lower-to-onnxruntime"
    dialects: ClassVar[tuple[str, ...]] = ("onnx", "qsim", "onnxruntime")

    def run(self, module: Operation, ctx: Context) -> bool:
        refuse_fakes(module, self.name)
        module.attributes.pop("onnx.shared_node_names", None)  # the runtime takes no two nodes of one name
        # Scales along an axis need 13, MaxPool on codes 12: every artifact gets at least this.
        raise_opset(module, ctx, QDQ, 13, "scales along an axis", self.name)
        changed = apply_patterns(module, lowering_patterns(), ctx)
        return drop_unused_quantizers(module) or changed


@register_pass
@attrs.frozen
class FuseOnnxruntime(Pass):
    """Replace QDQ groups by integer operations, exactly where onnxruntime does on an x86-64 CPU."""

    name: ClassVar[str] = "onnxruntime-fuse"
    dialects: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    def run(self, module: Operation, ctx: Context) -> bool:
        changed = False
        for phase in (*preparing_patterns(), fusing_patterns()):
            changed = apply_patterns(module, phase, ctx, name=self.name) or changed
        left = dict(left_in_float(module))
        for op in module.walk():
            kind = op.name.partition(".")[2]
            if op.name.startswith("onnxruntime.Q") and kind != "QuantizeLinear":
                self.count(ctx, kind)
                ctx.remark("passed", op.location, f"runs on integers as {kind}", self.name)
            elif op in left:
                self.count(ctx, "groups left in float")
                ctx.remark("missed", op.location, f"{kind} runs in float: {left[op]}", self.name)
        return changed
