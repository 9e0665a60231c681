"""The artifact: a lowered module as an ONNX file. Writing is a walk: every operation is one NodeProto already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, IntegerAttr, NameLoc, StringAttr
from qir.lowering.onnxruntime.dialect import CONTRIBUTED, DEQUANTIZE, MICROSOFT, QUANTIZE
from qir.lowering.onnxruntime.verify import verify_lowered
from qir.target import Artifact

if TYPE_CHECKING:
    import onnx

__all__ = ["export", "to_model"]


def to_model(module: ModuleOp, path: str | Path | None = None) -> onnx.ModelProto:
    """The ONNX model of a lowered or fused module, written to `path` if given. Raises QirError for what is no node."""
    from onnx import helper

    from qir.dialects.onnx import opsets
    from qir.frontends.onnx import export_onnx

    written = module.clone()
    for op in written.walk():
        dialect, _, kind = op.name.partition(".")
        if dialect == "onnxruntime" and kind in CONTRIBUTED:
            op.attributes["onnx.domain"] = StringAttr(MICROSOFT)
        if op.name in (QUANTIZE, DEQUANTIZE):  # the model's node names are for the model's nodes
            op.location = NameLoc(f"{op.operands[0].name or '/'.join(op.location.names()[:1])}_{kind}")
    versions = [helper.make_opsetid(domain, version) for domain, version in opsets(written).items()]
    lowest = helper.find_min_ir_version_for(versions, ignore_unknown=True)
    stated = written.attributes.get("onnx.ir_version")
    if not isinstance(stated, IntegerAttr) or stated.value < lowest:
        written.attributes["onnx.ir_version"] = IntegerAttr(lowest)
    return export_onnx(written, path, domains={"onnxruntime": ""})


def export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **_: Any) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.onnx`` from a lowered module; gives the files, the model first.

    Raises QirError for a module that is not lowered, and where onnx.checker finds fault with the model.
    """
    import onnx

    verify_lowered(module, ctx)
    path, weights = (Path(folder) / f"{name}.{suffix}" for suffix in ("onnx", "onnx.data"))
    path.parent.mkdir(parents=True, exist_ok=True)
    to_model(module, path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        fault = str(error).strip().splitlines()[0]
        raise module.error(f"the model that was written breaks ONNX's rules: {fault}") from None
    kinds = {op.name.partition(".")[2] for op in module.walk() if op.name.startswith("onnxruntime.")}
    fused = any(kind in CONTRIBUTED or kind.startswith("QLinear") for kind in kinds)
    what = "the quantized model in integer operators" if fused else "the quantized model (QDQ)"
    show = f"s = o.InferenceSession('{path}'); print([i.name for i in s.get_inputs()])"
    files = [Artifact(path, what, f'python -c "import onnxruntime as o; {show}"')]
    return [*files, Artifact(weights, "its weights", f"(belongs beside {path.name})")] if weights.exists() else files
