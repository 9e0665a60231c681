"""What must hold before a module is written for onnxruntime."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, Diagnostic, Operation, QirError, Severity, TensorType
from qir.lowering.onnxruntime.dialect import DequantizeLinearOp, QuantizeLinearOp, required_opset

__all__ = ["verify_lowered"]

PASSES = {
    "qsim.fake": "it simulates: run materialise, then lower-to-onnxruntime",
    "qsim.encode": "run lower-to-onnxruntime",
    "qsim.decode": "run lower-to-onnxruntime",
    "qsim.encode_dynamic": "run lower-to-onnxruntime",
    "qsim.decode_dynamic": "run lower-to-onnxruntime",
    "quant.qcast": "run quant-to-qsim, then materialise and lower-to-onnxruntime",
    "quant.dcast": "run quant-to-qsim, then materialise and lower-to-onnxruntime",
    "quant.scast": "run quant-to-qsim, then materialise and lower-to-onnxruntime",
}
"""Operations of earlier stages, and what brings them on."""


def verify_lowered(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with everything that onnxruntime's CPU provider cannot hold or run, by the user's nodes."""
    from qir.dialects.onnx import opset_of

    found: list[Diagnostic] = []

    def report(op: Operation, message: str, hint: str | None = None) -> None:
        found.append(Diagnostic(Severity.ERROR, op.location, message, hint=hint))

    opset = opset_of(module) or 0
    for op in module.walk():
        if op.name in PASSES:
            report(op, f"onnxruntime cannot run {op.name}: the module is not lowered", PASSES[op.name])
        elif isinstance(op, (QuantizeLinearOp, DequantizeLinearOp)):
            codes = op.y.type if isinstance(op, QuantizeLinearOp) else op.x.type
            scale = op.operands[1].type
            assert isinstance(codes, TensorType) and isinstance(scale, TensorType)
            per_axis = bool(scale.shape) and scale.shape != (1,)
            needed = required_opset(codes.element, per_axis=per_axis, blocked=bool(op.block_size))
            if opset < needed:
                what = (
                    "blocks" if op.block_size else f"{codes.element} codes" if needed > 13 else "scales along an axis"
                )
                report(op, f"onnxruntime cannot load {op.op_type} with {what} at opset {opset}: they need opset {needed}",
                       f"run convert-opset{{version={needed}}}")  # fmt: skip
            if str(codes.element) == "f4E2M1FN" and isinstance(op, QuantizeLinearOp):
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


def _on_codes(op: Operation) -> bool:
    type = op.operands[0].type
    return isinstance(type, TensorType) and str(type.element) in ("ui8", "i8")
