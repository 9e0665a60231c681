"""The artifact: a lowered module as an ONNX file, checked before it is handed over.

Writing is a walk: every operation is one NodeProto already. The checks are onnx.checker, loading by the real runtime,
and a run on a sample against the interpretation of the integer operations that the runtime makes of the graph.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp
from qir.ir import Context, IntegerAttr, NameLoc, StringAttr, TensorType, fail
from qir.lowering.onnxruntime import runtime
from qir.lowering.onnxruntime.dialect import MICROSOFT, DequantizeLinearOp, NodeProtoOp, QuantizeLinearOp
from qir.lowering.onnxruntime.verify import verify_lowered
from qir.target import Artifact

if TYPE_CHECKING:
    import onnx

__all__ = ["compare", "export", "make_sample", "to_model"]

AGREEMENT_DB = 20.0
"""How far runtime and interpretation must agree on the sample. Where all is integer they are equal. Where an operator
runs in float both round differently, some codes behind it are one step off, and that noise is carried on: it lies below
the noise of quantization itself. A wrong scale, zero point or axis gives less than 10 dB."""


def to_model(module: ModuleOp, path: str | Path | None = None) -> onnx.ModelProto:
    """The ONNX model of a lowered or fused module, written to `path` if given. Raises QirError for what is no node."""
    from onnx import helper

    from qir.frontends.onnx import export_onnx

    written = module.clone()
    for op in written.walk():
        if isinstance(op, NodeProtoOp) and op.domain:
            op.attributes["onnx.domain"] = StringAttr(op.domain)
        if isinstance(op, (QuantizeLinearOp, DequantizeLinearOp)):  # the model's node names are for the model's nodes
            kind = op.name.partition(".")[2]
            op.location = NameLoc(f"{op.operands[0].name or '/'.join(op.location.names()[:1])}_{kind}")
    lowest = helper.find_min_ir_version_for(_opsets(written), ignore_unknown=True)
    stated = written.attributes.get("onnx.ir_version")
    if not isinstance(stated, IntegerAttr) or stated.value < lowest:
        written.attributes["onnx.ir_version"] = IntegerAttr(lowest)
    return export_onnx(written, path, domains={"onnxruntime": ""})


def _opsets(module: ModuleOp) -> list[Any]:
    from onnx import helper

    from qir.dialects.onnx import opsets

    return [helper.make_opsetid(domain, version) for domain, version in opsets(module).items()]


def export(
    module: ModuleOp,
    ctx: Context,
    folder: str | Path,
    name: str,
    *,
    data: str | None = None,
    sample: Mapping[str, Any] | None = None,
    **_: Any,
) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.onnx`` from a lowered module and check it; gives the files, the model first.

    The check runs `sample` (arrays by input name), else the first sample of `data`, else made-up numbers. Nothing is
    left behind where a check fails. Raises QirError then, and for a module that is not lowered.
    """
    import onnx

    verify_lowered(module, ctx)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as staging:
        path = Path(staging) / f"{name}.onnx"
        to_model(module, path)
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise module.error(
                f"the model that was written breaks ONNX's rules: {str(error).strip().splitlines()[0]}"
            ) from None
        what = _checked(module, ctx, path, sample if sample is not None else first_sample(module, data))
        for file in sorted(Path(staging).iterdir(), reverse=True):  # the model comes last: it is whole when it is there
            os.replace(file, folder / file.name)
    target = folder / f"{name}.onnx"
    show = f"s = o.InferenceSession('{target}'); print([i.name for i in s.get_inputs()])"
    command = f'python -c "import onnxruntime as o; {show}"'
    files = [Artifact(target, what, command)]
    weights = folder / f"{name}.onnx.data"
    if weights.exists():
        files.append(Artifact(weights, "its weights", f"(belongs beside {target.name})"))
    return files


def _checked(module: ModuleOp, ctx: Context, path: Path, sample: Mapping[str, Any]) -> str:
    """Load and run the file, compare; one line that says what the file is. Raises QirError where it is not right."""
    fused = any(
        isinstance(op, NodeProtoOp) and op.domain == MICROSOFT or op.name == "onnxruntime.QLinearConv"
        for op in module.walk()
    )
    form = "the quantized model in integer operators" if fused else "the quantized model (QDQ)"
    if runtime.version() is None:
        ctx.warning(module.location, "the artifact was not run: onnxruntime is not installed", runtime.INSTALL)
        return form
    kernels = runtime.kernels_of(path)
    agreement = compare(module, ctx, path, sample)
    if agreement is not None and agreement < AGREEMENT_DB:
        raise module.error(
            f"on a sample, onnxruntime's result is only {agreement:.1f} dB from what qir computed",
            "compare them layer by layer with qir compare, and report it with the module",
        )
    said = "equal to the interpreter's" if agreement is None else f"{agreement:.0f} dB from the interpreter's"
    ctx.remark("analysis", module.location, f"onnxruntime ran a sample; its results are {said}", "export")
    if kernels.share is None:
        return form
    return f"{form}: {kernels.integer} of {kernels.total} convolutions and products run on integers"


# ---------------------------------------------------------------------- running a sample
def compare(module: ModuleOp, ctx: Context, path: str | Path, sample: Mapping[str, Any]) -> float | None:
    """SQNR in dB between the runtime's float results and those of the fused module; None where all are equal."""
    import numpy as np

    from qir.interpreter import Plan, as_array
    from qir.passes import run_pipeline

    fused = module.clone()
    quiet = Context(ctx.allow_unregistered)
    run_pipeline(fused, "onnxruntime-fuse", quiet)
    plan = Plan(fused)
    types = {n: v.type for n, v in zip(plan.outputs, plan.results, strict=True)}
    ours = {
        name: as_array(value, t.element if isinstance(t := types[name], TensorType) else None)
        for name, value in plan.run(sample).items()
    }
    theirs = runtime.run(path, sample)
    signal = noise = 0.0
    equal = True
    for name, expected in theirs.items():
        got = ours[name]
        if not isinstance(expected, np.ndarray) or expected.dtype.kind not in "fiub":
            continue
        if expected.shape != got.shape:
            equal = False  # a number of results that depends on the data, as of a non-maximum suppression
            continue
        if np.array_equal(expected, got, equal_nan=expected.dtype.kind == "f"):
            continue
        equal = False
        if expected.dtype.kind == "f":
            a, b = (np.nan_to_num(v.astype(np.float64)) for v in (expected, got))
            signal, noise = signal + float((a**2).sum()), noise + float(((a - b) ** 2).sum())
    if equal:
        return None
    return float(10 * np.log10(max(signal, 1e-30) / noise)) if noise else float("inf")


def first_sample(module: ModuleOp, data: str | None) -> dict[str, Any]:
    """The first sample of a calibration source, or made-up numbers without one."""
    from qir.calibration.data import Feed, input_specs, open_data

    main = next(op for op in module.body if isinstance(op, FuncOp))
    if not data:
        return make_sample(main)
    specs = input_specs(main)
    return dict(next(iter(Feed(open_data(data, specs), specs, batch=1, samples=1))).inputs)


def make_sample(main: FuncOp) -> dict[str, Any]:
    """Random numbers for float inputs, zeros for others, free sizes 1. Raises QirError for inputs without a rank."""
    import numpy as np

    from qir.ir.tensors import numpy_dtype

    rng = np.random.default_rng(0)
    sample = {}
    for arg in main.body.args:
        if not isinstance(arg.type, TensorType) or arg.type.shape is None:
            fail(
                main.location,
                f"the artifact cannot be tried: no sample can be made up for '{arg.name}' of {arg.type}",
                "give calibration data",
            )
        shape = [1 if size is None else size for size in arg.type.shape]
        dtype = numpy_dtype(arg.type.element)
        numbers = rng.normal(size=shape) if dtype.kind == "f" else np.zeros(shape)
        sample[arg.name or f"input_{arg.index}"] = np.asarray(numbers).astype(dtype)
    return sample
