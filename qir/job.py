"""The job behind ``qir quantize``: the target's pipeline, run once, with its files written whole or not at all."""

from __future__ import annotations

import importlib
import os
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.analysis import TensorError, main_function, quantization_errors, write_report
from qir.artifact import interpret, moved, staged, write_artifact
from qir.calibration.functions import said
from qir.interpreter.codes import decode_outputs, encode_inputs
from qir.ir import Context, Operation, QirError, fail, verify
from qir.passes import Instrumentation, Nested, Pass, PassManager, option_specs, parse_pipeline
from qir.passes.base import format_value, parse_value
from qir.passes.progress import track
from qir.passes.quantize.calibrate import Calibrate
from qir.passes.quantize.channels_last_io import ChannelsLastIo
from qir.passes.quantize.materialise import Materialise
from qir.passes.quantize.quantize_io import QuantizeIo
from qir.passes.quantize.resume import is_quantized, resume
from qir.target import Artifact, Data, Target, get_target

if TYPE_CHECKING:
    from qir.dialects.builtin import ModuleOp

__all__ = ["QuantizeResult", "export_module", "make_pipeline", "quantize"]

SCORER = "it gets a function from a dictionary of inputs to one of outputs, and returns a number or some by name"
WHOLE_JOB = ("device", "seed", "format", "io", "channels_last")
"""Options that are not those of one pass."""
REPORT_ELEMENTS = 600_000
"""The report measures on 4 to 32 samples, and between these on inputs of about so many elements in all: enough
to rank tensors, and little beside the calibration."""


@attrs.frozen
class QuantizeResult:
    """What a job gives: the lowered module, the pipeline that repeats it, the errors of its tensors, the files written.

    `scores` holds what ``evaluate`` returned for the float and for the quantized model.
    """

    module: ModuleOp
    pipeline: str
    errors: tuple[TensorError, ...]
    files: tuple[Artifact, ...]
    scores: Mapping[str, Any]


def quantize(
    model: str | Path | ModuleOp,
    target: str,
    data: str | None,
    out: Path | None,
    *,
    options: Mapping[str, Any],
    pipeline: str | None,
    evaluate: str | Callable[..., Any] | None,
    ctx: Context,
    unchecked: bool = False,
    strict: bool = False,
    watchers: Sequence[Instrumentation] = (),
) -> QuantizeResult:
    """Run the whole job; see `qir.api.quantize`. `watchers` are called around every pass."""
    goal = get_target(target)
    runtime, profile = goal.runtime, options.get("profile") or ""
    if runtime is not None and not unchecked and runtime.version() is None:
        fail(
            None,
            f"{runtime.name} is not installed, so the artifact could not be tried before it is handed over",
            f"{runtime.install}; or take it as it is, with --unchecked",
        )
    if runtime is not None:
        runtime.check_profile(profile)
    score = _scorer(evaluate)
    name = Path(model).stem if isinstance(model, (str, Path)) else "model"
    module = load_model(model, ctx)
    manager = make_pipeline(goal, pipeline, {**options, "data": data, "strict": strict or None}, module)
    report = _Report(manager, options.get("device") or "cpu")
    manager.instrumentations += [report, *watchers]
    _seed(options.get("seed") or 0)
    manager.run(module, ctx)
    errors = tuple(report.errors)
    scores: dict[str, Any] = {}
    with staged(out) as folder:
        sample = encode_inputs(module, report.sample or {})
        files = write_artifact(module, goal, ctx, folder, name, sample=sample, profile=profile)
        files += _write_beside(module, goal, folder, name, pipeline_text(manager), errors)
        if score is not None:
            if isinstance(model, (str, Path)):
                scores["float"] = score(_runner(Path(model), goal, ctx))
            scores["quantized"] = score(_with_floats(module, _runner(files[0].path, goal, ctx, profile)))
        if out is not None:
            files = moved(files, folder, out)
    return QuantizeResult(module, pipeline_text(manager), errors, tuple(files) if out is not None else (), scores)


def load_model(model: str | Path | ModuleOp, ctx: Context) -> ModuleOp:
    """The module of a file (``.onnx`` is imported, anything else parsed), or a copy of the one given."""
    if not isinstance(model, (str, Path)):
        return model.clone()
    if Path(model).suffix == ".onnx":
        from qir.frontends.onnx import import_onnx

        return import_onnx(model, ctx)
    from qir.text import parse_file

    module = parse_file(str(model), ctx)
    if not any(op.name == "func.func" for op in module.body):
        fail(str(model), f"{model} holds no function", "a model is a func.func in the module")
    verify(module)
    return module


# ---------------------------------------------------------------- the pipeline
def make_pipeline(
    target: Target, pipeline: str | None, options: Mapping[str, Any], module: ModuleOp | None = None
) -> PassManager:
    """The target's pipeline (or the one given) with each option set on the passes that have it; None is not given.

    For a `module` that is quantized already the target's pipeline is what is left to do (`resume`). Raises QirError for
    an option that no pass of the pipeline takes, for a format or mode that the target does not have, and where data is
    needed and not given: where the mode has activations with scales that are found on data.
    """
    text = target.pipeline if pipeline is None else pipeline
    if not text:
        fail(None, f"the target '{target.name}' has no pipeline", "give one with --pipeline")
    form = options.get("format")
    if form is not None and form not in target.formats:
        forms = f"its formats are {', '.join(target.formats)}" if target.formats else "it has one format only"
        fail(None, f"the target '{target.name}' has no format '{form}'", forms)
    if form is not None and target.formats[form] and pipeline is None:
        text = _followed_by(text, target.formats[form])
    measured = _measures(target.in_mode(options.get("mode") or ""))
    data = options.get("data")
    needs_data = "{data}" in text and measured
    text = text.replace("{data}", format_value(data or ("data" if measured else "")))
    manager = parse_pipeline(text, name="<pipeline>" if pipeline is not None else f"<pipeline of {target.name}>")
    if pipeline is None and module is not None and is_quantized(module):
        manager.root = resume(manager.root, module, target.name, options.get("mode") or "", data is not None)
        needs_data = False
    io = options.get("io") or "float"
    if io not in target.io:
        what = f"{' or '.join(target.io)} only, not {io}"
        fail(None, f"the inputs and outputs of an artifact for {target.name} are {what}", "leave --io out")
    if options.get("channels_last"):
        manager.root = _behind_materialise(manager.root, target, ChannelsLastIo())
    if io == "integer":
        manager.root = _behind_materialise(manager.root, target, QuantizeIo())
    takes = {spec for item in manager.passes for spec in _option_names(item)}
    if data is None and pipeline is None and measured and (needs_data or "data" in takes):
        fail(
            None,
            f"quantizing for {target.name} needs calibration data",
            "give --data: an .npz (one array per input, first axis = samples), a folder of .npz, .npy or images, "
            "or module:function; some hundred typical inputs are usual",
        )
    given = {key: value for key, value in options.items() if value is not None and value != ()}
    for key in given:
        if key not in takes and key not in WHOLE_JOB:
            fail(None, f"no pass of the pipeline has the option '{key}'", f"the pipeline is {pipeline_text(manager)}")
    manager.root = _with_options(manager.root, given)
    return manager


def _measures(target: Target) -> bool:
    """Whether a data sheet (of one mode) has activations with scales that are found on data."""
    demands = (demand.scheme for rule in target.rules for demand in rule.operands.values() if isinstance(demand, Data))
    names = {*demands, *(rule.result for rule in target.rules if rule.result and not rule.fixed)}
    return any(not target.schemes[name].dynamic for name in names)


def _followed_by(pipeline: str, passes: str) -> str:
    """A pipeline with a format's passes: behind it, or in place of its end from the pass on that they begin with."""
    first = passes.partition(",")[0]
    head, found, _ = f"{pipeline},".partition(f",{first},")
    return f"{head if found else pipeline},{passes}"


def _behind_materialise(pipeline: Nested, target: Target, added: Pass) -> Nested:
    """The pipeline with a pass on inputs and outputs behind ``materialise``."""
    at = next((i for i, item in enumerate(pipeline.items) if isinstance(item, Materialise)), None)
    if at is None:
        fail(None, f"the pipeline of {target.name} makes no integers: its inputs and outputs stay as they are")
    return Nested(pipeline.anchor, [*pipeline.items[: at + 1], added, *pipeline.items[at + 1 :]])


def pipeline_text(manager: PassManager) -> str:
    """The pipeline as it is written by hand, without the ``builtin.module(…)`` around it."""
    return ",".join(map(str, manager.root.items))


def _option_names(item: Pass) -> list[str]:
    return [spec.field for spec in option_specs(type(item))]


def _with_options(nested: Nested, given: Mapping[str, Any]) -> Nested:
    items: list[Pass | Nested] = []
    for item in nested.items:
        if isinstance(item, Nested):
            items.append(_with_options(item, given))
            continue
        changes: dict[str, Any] = {}
        for spec in option_specs(type(item)):
            if spec.field not in given:
                continue
            value = given[spec.field]
            if isinstance(value, tuple) and typing.get_origin(spec.type) is tuple:
                changes[spec.field] = value
                continue
            try:
                text = value if isinstance(value, str) else format_value(value)
                changes[spec.field] = parse_value(text, spec.type, spec.choices)
            except ValueError as error:
                fail(None, f"option {spec.name}={value} of pass '{item.name}': {error}", spec.help or None)
        items.append(attrs.evolve(item, **changes) if changes else item)
    return Nested(nested.anchor, items)


def _seed(seed: int) -> None:
    """What is random starts from here: torch's and numpy's generators (a user's data function may use them)."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)


# ---------------------------------------------------------------- the report
class _Report(Instrumentation):
    """Measures the errors of all tensors while the module is simulated, just before it is made of integers.

    A pipeline without ``materialise`` is measured at its end.
    """

    def __init__(self, manager: PassManager, device: str) -> None:
        self.calibrate = next((p for p in manager.passes if isinstance(p, Calibrate) and p.data), None)
        self.device = device
        self.errors: list[TensorError] = []
        self.sample: Mapping[str, Any] | None = None
        self.done = False

    def before_pass(self, item: Pass, op: Operation, ctx: Context) -> None:
        if item.name == "materialise":
            self.measure(op, ctx)

    def after_pipeline(self, op: Operation, ctx: Context) -> None:
        self.measure(op, ctx)

    def measure(self, module: Operation, ctx: Context) -> None:
        if self.done or self.calibrate is None or not any(op.name == "qsim.fake" for op in module.walk()):
            return
        from qir.calibration.data import Feed

        self.done = True
        specs, records = self.calibrate.records(module)
        self.sample = next(iter(Feed(records, specs, batch=1, samples=1))).inputs
        elements = sum(array.size for array in self.sample.values())
        samples = min(32, max(4, REPORT_ELEMENTS // max(1, elements)))
        batch = min(8, max(1, REPORT_ELEMENTS // 8 // max(1, elements)))  # large inputs one by one: memory
        feed = Feed(records, specs, batch=batch, samples=samples)
        batches = (batch.inputs for batch in track(ctx, feed, "measuring errors", None))
        self.errors = quantization_errors(module, batches, self.device)


# ---------------------------------------------------------------- the files
def _write_beside(
    module: ModuleOp, target: Target, folder: Path, name: str, pipeline: str, errors: Sequence[TensorError]
) -> list[Artifact]:
    """What a job leaves beside the artifact: the final module, the pipeline, the report."""
    from qir.text import write_module

    text = folder / f"{name}.qir"
    _, *weights = write_module(module, text)
    run = " ".join(f"--input {arg.name}=FILE.npy" for arg in main_function(module).body.args)
    files = [Artifact(text, "the lowered module, as text", f"qir run {text} {run}")]
    files += [Artifact(Path(path), "its weights", f"(read with {text.name})") for path in sorted(weights)]
    record = folder / f"{name}.pipeline"
    record.write_text(pipeline + "\n", encoding="utf-8")
    files.append(Artifact(record, "the passes of this job", f'qir-opt MODEL -p "$(cat {record})" -o OUT.qir'))
    if errors:
        report = folder / f"{name}.report.json"
        write_report(report, errors, target=target.name, pipeline=pipeline)
        what = "the error of every quantized tensor, worst first"
        files.append(Artifact(report, what, f"python -m json.tool {report}"))
    return files


def export_module(module: ModuleOp, path: Path, target: str | Target, ctx: Context) -> Sequence[Artifact]:
    """Write a module to a file as plain ONNX (``onnx``), or into the folder of `path` as a target's artifact.

    An artifact is tried by its runtime first, as in a job, on made-up inputs.
    """
    if target == "onnx":
        from qir.frontends.onnx import export_onnx

        export_onnx(module, path)
        return [Artifact(path, "the ONNX model", f"qir run {path}")]
    goal = get_target(target) if isinstance(target, str) else target
    made_for = str(module.attr("qir.target", goal.name))
    if made_for != goal.name:
        raise module.error(f"was lowered for {made_for}, not for {goal.name}", f"write --export={made_for}")
    with staged(path.parent) as folder:
        return moved(write_artifact(module, goal, ctx, folder, path.stem), folder, path.parent)


# ---------------------------------------------------------------- scores
def _scorer(evaluate: str | Callable[..., Any] | None) -> Callable[[Callable[..., Any]], Any] | None:
    """The user's function. Raises QirError where ``module:function`` is not found."""
    if evaluate is None or callable(evaluate):
        return evaluate
    module, colon, function = evaluate.partition(":")
    if not colon or not function.isidentifier():
        fail(None, f"'{evaluate}' is no function", "give --eval module:function")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        fail(None, f"the module '{module}' cannot be imported: {error}", f"it is looked for in {here} too")
    except (Exception, SystemExit) as error:
        fail(None, f"the module '{module}' cannot be imported: {said(error)}")
    finally:
        sys.path.remove(here)
    if not callable(found):
        fail(None, f"the module '{module}' has no function '{function}'")
    scorer: Callable[[Callable[..., Any]], Any] = found

    def score(run: Callable[..., Any]) -> Any:
        try:
            value = scorer(run)
        except QirError:
            raise
        except (Exception, SystemExit) as error:
            fail(None, f"{evaluate} failed: {said(error)}", SCORER)
        for number in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(number, str) or not hasattr(number, "__float__"):
                fail(None, f"{evaluate} gave {number!r}, which is no number", SCORER)
        return value

    return score


Predict = Callable[[Mapping[str, Any]], dict[str, Any]]
"""A model as a function of arrays by input name."""


def _with_floats(module: ModuleOp, predict: Predict) -> Predict:
    """A model whose inputs and outputs may be codes, as a function of floats."""
    return lambda inputs: decode_outputs(module, predict(encode_inputs(module, inputs)))


def _runner(path: Path, target: Target, ctx: Context, profile: str = "") -> Predict:
    """A model as a function of inputs by name: by the target's runtime where it takes the file, else interpreted."""
    runtime = target.runtime
    if runtime is not None and runtime.version() and path.name.endswith(runtime.suffixes):
        run = runtime.run
        return lambda inputs: run(path, inputs, profile)
    module = load_model(path, ctx)
    return lambda inputs: interpret(module, inputs)
