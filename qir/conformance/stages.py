"""One job of the conformance kit: the target's default pipeline, stage by stage."""

from __future__ import annotations

from pathlib import Path

import attrs

from qir.conformance.text import through_text
from qir.conformance.watch import Watch
from qir.dialects.builtin import ModuleOp
from qir.ir import Context, verify
from qir.job import make_pipeline
from qir.passes import PassManager, run_pipeline
from qir.target import Target

__all__ = ["Job", "run_job"]

STAGED = frozenset(("qsim.fake", "qsim.encode", "qsim.decode", "qsim.encode_dynamic", "qsim.decode_dynamic"))
"""The operations that simulate quantization."""


@attrs.frozen
class Job:
    """What a job left: the module before the target's patterns, after them, and as the runtime makes it when it loads
    the artifact."""

    simulated: ModuleOp
    lowered: ModuleOp
    loaded: ModuleOp


def run_job(
    module: ModuleOp, target: Target, mode: str, data: Path, ctx: Context, watch: Watch, texts: bool = True
) -> Job:
    """Run the default pipeline on `module` and check every stage; `data` is the calibration data.

    With `texts` the job goes on from the text of each stage, so that what the text loses is lost; a stage is what the
    import gives, and what each pass from annotate on does (rewrites of float modules are no target's business). Raises
    QirError for a pass that fails, and Broken.
    """
    calibrates = "{data}" in target.pipeline or "calibrate" in target.pipeline
    manager = make_pipeline(target, None, {"data": str(data) if calibrates else None, "mode": mode or None})

    names = [getattr(item, "name", str(item)) for item in manager.root.items]
    first = names.index("annotate") if "annotate" in names else 0

    def stage(module: ModuleOp, name: str) -> ModuleOp:
        return through_text(module, name) if texts else module

    module = simulated = stage(module, "import")
    for index, item in enumerate(manager.root.items):
        if names[index] == "annotate":
            watch.plan(module, target.in_mode(mode))
        if not PassManager([item]).run(module, ctx) or index < first:
            continue
        module = stage(module, names[index])
        watch.stage(module)
        if any(op.name in STAGED for op in module.walk()):
            simulated = module.clone()
    verify(module)
    if not any(item.name == "verify-target" for item in manager.passes):
        run_pipeline(module, f"verify-target{{target={target.name}}}", ctx)
    loaded = module
    if target.runtime is not None and target.runtime.on_load:
        loaded = module.clone()
        run_pipeline(loaded, target.runtime.on_load, Context(allow_unregistered=True))
        loaded = stage(loaded, target.runtime.on_load)
    watch.check_fusions(loaded, loaded is not module)
    return Job(simulated, module, loaded)
