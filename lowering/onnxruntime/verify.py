"""What must hold before a module is written for onnxruntime."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.dialects.onnx_types import codes_since
from qir.ir import Context, Diagnostic, Operation, QirError, Severity, TensorType, i8, ui8
from qir.lowering.onnxruntime.dialect import DEQUANTIZE, QUANTIZE, element
from qir.lowering.onnxruntime.fuse import left_in_float
from qir.lowering.onnxruntime.groups import all_dequantized
from qir.passes.quantize.verify_target import left_overs
from qir.target import get_target

__all__ = ["verify_lowered"]

COMPUTE = ("onnx.Conv", "onnx.MatMul", "onnx.Gemm")


def verify_lowered(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with everything that onnxruntime's CPU provider cannot hold or run, by the user's nodes.

    Convolutions and products whose operands are all quantized and that the runtime will compute in float all the same
    are warnings: the model is right, but not as fast as it looks.
    """
    from qir.dialects.onnx import opset_of
    from qir.passes import run_pipeline

    target, opset = get_target("onnxruntime"), opset_of(module) or 0
    found = [*left_overs(module, target), *(d for op in module.walk() if (d := _too_new(op, opset)) is not None)]
    if found:
        raise QirError(found)
    fused = module.clone()
    run_pipeline(fused, "onnxruntime-fuse", Context(allow_unregistered=True))
    for op, reason in left_in_float(fused):
        if op.name in COMPUTE and all_dequantized(op):
            ctx.warning(op.location, f"onnxruntime will compute {op.name.partition('.')[2]} in float: {reason}")


def _too_new(op: Operation, opset: int) -> Diagnostic | None:
    """What the runtime cannot load of an operation at an opset, or not at all."""
    kind, what, hint = op.name.partition(".")[2], None, ""
    if op.name in (QUANTIZE, DEQUANTIZE):
        codes, scale = element((op.results if op.name == QUANTIZE else op.operands)[0]), op.operands[1].type
        assert isinstance(scale, TensorType)
        blocked = bool(op.attr("block_size", 0))
        needed = codes_since(codes, per_axis=bool(scale.shape) and scale.shape != (1,), blocked=blocked)
        if opset < needed:
            held = "blocks" if blocked else f"{codes} codes" if needed > 13 else "scales along an axis"
            what = f"onnxruntime cannot load {kind} with {held} at opset {opset}: they need opset {needed}"
            hint = f"run convert-opset{{version={needed}}}"
        elif str(codes) == "f4E2M1FN" and op.name == QUANTIZE:
            what, hint = f"onnxruntime's CPU provider has no kernel for {kind} to {codes}", "use i8, i4 or f8E4M3FN"
    elif op.name == "onnx.MaxPool" and opset < 12 and element(op.operands[0]) in (ui8, i8):
        what = f"onnxruntime cannot run MaxPool on codes at opset {opset}: it needs opset 12"
        hint = "run convert-opset{version=13}"
    return None if what is None else Diagnostic(Severity.ERROR, op.location, what, hint=hint)
