"""What must hold before a module is written for onnxruntime."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, Diagnostic, Operation, QirError, Severity, TensorType
from qir.lowering.onnxruntime.activations import all_dequantized
from qir.lowering.onnxruntime.dialect import DEQUANTIZE, QUANTIZE, required_opset
from qir.lowering.onnxruntime.fuse import Fusion, fusing_patterns

__all__ = ["left_in_float", "verify_lowered"]

COMPUTE = ("onnx.Conv", "onnx.MatMul", "onnx.Gemm")


def verify_lowered(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with everything that onnxruntime's CPU provider cannot hold or run, by the user's nodes.

    Convolutions and products whose operands are all quantized and that the runtime will compute in float all the same
    are warnings: the model is right, but not as fast as it looks.
    """
    from qir.dialects.onnx import opset_of

    found: list[Diagnostic] = []

    def report(op: Operation, message: str, hint: str | None = None) -> None:
        found.append(Diagnostic(Severity.ERROR, op.location, message, hint=hint))

    opset = opset_of(module) or 0
    for op in module.walk():
        if op.name.startswith(("qsim.", "quant.")) and op.name != "qsim.quantizer":
            report(
                op,
                f"onnxruntime cannot run '{op.name}': it was not lowered",
                "run materialise, then lower-to-onnxruntime",
            )
        elif op.name in (QUANTIZE, DEQUANTIZE):
            kind, blocked = op.name.partition(".")[2], bool(op.attr("block_size", 0))
            codes, scale = (op.results if op.name == QUANTIZE else op.operands)[0].type, op.operands[1].type
            assert isinstance(codes, TensorType) and isinstance(scale, TensorType)
            per_axis = bool(scale.shape) and scale.shape != (1,)
            needed = required_opset(codes.element, per_axis=per_axis, blocked=blocked)
            if opset < needed:
                what = "blocks" if blocked else f"{codes.element} codes" if needed > 13 else "scales along an axis"
                report(
                    op,
                    f"onnxruntime cannot load {kind} with {what} at opset {opset}: they need opset {needed}",
                    f"run convert-opset{{version={needed}}}",
                )
            if str(codes.element) == "f4E2M1FN" and op.name == QUANTIZE:
                report(
                    op,
                    "onnxruntime's CPU provider has no kernel for QuantizeLinear to f4E2M1FN",
                    "use i8, i4 or f8E4M3FN",
                )
        elif op.name == "onnx.MaxPool" and _on_codes(op) and opset < 12:
            report(
                op,
                f"onnxruntime cannot run MaxPool on codes at opset {opset}: it needs opset 12",
                "run convert-opset{version=13}",
            )
    if found:
        raise QirError(found)
    for op, reason in left_in_float(module):
        ctx.warning(op.location, f"onnxruntime will compute {op.name.partition('.')[2]} in float: {reason}")


def left_in_float(module: ModuleOp) -> list[tuple[Operation, str]]:
    """The convolutions and products between codes that the runtime does not fuse, with the reasons."""
    from qir.passes import run_pipeline

    fused = module.clone()
    run_pipeline(fused, "onnxruntime-fuse", Context(allow_unregistered=True))
    fusions = {root: p for p in fusing_patterns() if isinstance(p, Fusion) for root in p.roots}
    left = [op for op in fused.walk() if op.name in COMPUTE and all_dequantized(op)]
    return [(op, reason) for op in left if (reason := fusions[op.name].reason(op))]


def _on_codes(op: Operation) -> bool:
    type = op.operands[0].type
    return isinstance(type, TensorType) and str(type.element) in ("ui8", "i8")
