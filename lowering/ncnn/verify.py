"""What must hold before a module is written for ncnn."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, Diagnostic, Operation, QirError, Severity, TensorType, Value, i8
from qir.ir.records import RecordOp
from qir.lowering.ncnn.patterns import CODES
from qir.rewrite import constant_of

__all__ = ["verify_lowered"]


def verify_lowered(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with every int8 blob that goes where ncnn makes garbage of it, and every blob read twice."""
    found: list[Diagnostic] = []
    for op in module.walk():
        if isinstance(op, RecordOp):
            for result in op.results:
                found += [Diagnostic(Severity.ERROR, op.location, text, hint=hint) for text, hint in _wrong(op, result)]
    if found:
        raise QirError(found)


def _wrong(op: RecordOp, value: Value) -> list[tuple[str, str]]:
    users = [u for u in value.users if constant_of(value) is None]
    if len(users) > 1 and op.name != "onnx.Constant":
        return [(f"its result is read {len(users)} times, and a blob of ncnn has one reader", "put an ncnn.Split behind it")]
    if not _codes(value):
        return []
    given = op.quantizer_names()[len(op.operands) + list(op.results).index(value)]
    wrong = []
    for user in users:
        if not _takes(user, value):
            wrong.append((f"its int8 result reaches {user.name}, which makes garbage of it",
                          "int8 blobs go to convolutions and products only, through Split, Concat, Flatten, Padding or ReLU"))  # fmt: skip
        elif isinstance(user, RecordOp) and user.quantizer_names()[list(user.operands).index(value)] != given:
            wrong.append((f"its int8 result is of @{given}, and {user.name} reads it by another quantizer",
                          "a blob has one scale: let both name one quantizer"))  # fmt: skip
    return wrong


def _codes(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.element == i8


def _takes(user: Operation, value: Value) -> bool:
    if user.name in CODES.takes:
        return user.operands[0] is value and bool(user.attr("int8_scale_term", 0))
    if user.name == "ncnn.Split":
        return True
    passes = CODES.passes.get(user.name)
    return passes is not None and isinstance(user, RecordOp) and passes(user) and all(map(_codes, user.operands))
