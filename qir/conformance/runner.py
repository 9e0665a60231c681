"""The conformance kit: every operator of a data sheet and whole nets, through the target's own pipeline and runtime."""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.artifact import AGREEMENT_DB, agreement, interpreter
from qir.conformance.cases import CASES
from qir.conformance.compare import Comparison, compare, largest
from qir.conformance.report import Outcome, Report
from qir.conformance.stages import Job, run_job
from qir.conformance.suite import Feed, Trial, operators, trials
from qir.conformance.text import Broken
from qir.conformance.watch import Observe, Watch
from qir.conformance.worker import Worker
from qir.conformance.zoo import ZooNet, nets
from qir.dialects.builtin import ModuleOp
from qir.frontends.onnx import import_onnx
from qir.ir import Context, Diagnostic, QirError, StringAttr, fail
from qir.passes.progress import track
from qir.target import Target, Tolerance, get_target

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["check_target"]

WHOLE = "the whole net"

Results = dict[str, "NDArray[Any]"]


def check_target(
    name: str,
    *,
    only: Sequence[str] = (),
    modes: Sequence[str] = (),
    profiles: Sequence[str] = (),
    seed: int = 0,
    runtime: bool = True,
    suite: bool = True,
    zoo: Path | None = None,
    ctx: Context | None = None,
) -> Report:
    """Try a target on the generated suite and on the nets of `zoo`.

    `only` are op types; `modes` and `profiles` name those to try (none: all, nets in the default mode, ""). Without
    `runtime`, or where it is not installed, nothing is compared with it, and all else is checked. Raises QirError for
    names that the target does not have.
    """
    target = get_target(name)
    tried = _chosen("mode", modes, ("", *target.modes))
    known = target.runtime.profiles if target.runtime is not None else ("",)
    chosen = _chosen("profile", profiles, known)
    ops = _chosen("operator", only, operators(target))
    version = target.runtime.version() if target.runtime is not None and runtime else None
    report = Report(target, f"{target.runtime.name} {version}" if target.runtime is not None and version else "")
    report.without_case = [op for op in ops if op not in CASES]
    ctx = ctx if ctx is not None else Context()
    with Worker(target) as worker:
        check = _Check(target, chosen, report, worker)
        for mode in tried if suite else ():
            for op in track(ctx, ops, f"operators{f' ({mode})' if mode else ''}"):
                check.operator(op, mode, seed)
        if zoo is not None and not only:
            for net in track(ctx, nets(zoo), "nets"):
                for mode in modes or ("",):
                    check.net(net, mode)
    return report


def _chosen(what: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those wanted, or all. Raises QirError for one that is not known."""
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            names = ", ".join(filter(None, known)) or "none"
            fail(None, f"the target has no {what} '{name}'", f"did you mean {near[0]}?" if near else f"it has: {names}")
    return list(wanted) or list(known)


@attrs.frozen
class _Check:
    """One target, with what was found so far."""

    target: Target
    profiles: Sequence[str]
    report: Report
    worker: Worker
    in_float: set[tuple[str, str]] = attrs.field(factory=set)
    """Operators and labels of the trials that no rule quantizes."""

    # ------------------------------------------------------------ the suite
    def operator(self, op: str, mode: str, seed: int) -> None:
        """All trials of an operator in a mode."""
        quantized, why = False, ""
        for trial in trials(self.target.in_mode(mode), op, seed):
            if not trial.promised and (op, trial.label) in self.in_float:
                continue  # another mode had it in float too
            if not trial.promised:
                self.in_float.add((op, trial.label))
            self.report.trials += 1
            self.report.operators.add(op)
            watch = self.trial(trial, mode, Context())
            quantized |= op in watch.quantized
            if trial.promised:
                why = why or watch.left.get(op, "")
        if why and not quantized:
            self.report.unused[op, mode] = why

    def trial(self, trial: Trial, mode: str, ctx: Context) -> Watch:
        """One trial; what comes of it goes into the report.

        A chip that cannot give out the quantized value of a result is tried again without.
        """
        failures: list[tuple[QirError, Watch]] = []
        for returned in (True, False) if trial.promised else (True,):
            watch = Watch(Observe(trial.heads, returned, trial.ties))
            with tempfile.TemporaryDirectory() as folder:
                try:
                    job = self.job(trial.model, trial.calibration, mode, Path(folder), ctx, watch, trial.texts)
                except QirError as error:
                    failures.append((error, watch))
                    continue
                except Broken as error:
                    self.failed(trial.op, trial.label, mode, error)
                    return watch
                self.report.through_readers += not returned
                heads = trial.heads if returned else 0
                self.compare(trial.op, trial.label, mode, job, watch, trial.feeds, heads, ctx, Path(folder))
                return watch
        last, watch = failures[-1]
        if watch.planned and _is_refusal(last, ctx):
            self.report.refused.append(Outcome(trial.op, trial.label, mode, "", error=str(last)))
        else:
            self.failed(trial.op, trial.label, mode, last)
        return watch

    # ------------------------------------------------------------ whole nets
    def net(self, net: ZooNet, mode: str) -> None:
        """A trained net in a mode."""
        ctx, watch = Context(), Watch()
        self.report.nets.add(net.name)
        with tempfile.TemporaryDirectory() as folder:
            try:
                job = self.job(net.path, net.calibration, mode, Path(folder), ctx, watch)
            except (QirError, Broken) as error:
                if isinstance(error, QirError) and watch.planned and _is_refusal(error, ctx):
                    self.report.refused.append(Outcome(net.name, WHOLE, mode, "", error=str(error)))
                else:
                    self.failed(net.name, WHOLE, mode, error)
            else:
                self.compare(net.name, WHOLE, mode, job, watch, net.feeds, 0, ctx, Path(folder))

    # ------------------------------------------------------------ one job
    def job(
        self, model: onnx.ModelProto | Path, data: Mapping[str, Any], mode: str, folder: Path, ctx: Context,
        watch: Watch, texts: bool = True,
    ) -> Job:  # fmt: skip
        import numpy as np

        path = folder / "calibration.npz"
        np.savez(path, **data)
        return run_job(import_onnx(model, ctx), self.target, mode, path, ctx, watch, texts)

    def compare(
        self, op: str, label: str, mode: str, job: Job, watch: Watch, feeds: Sequence[Feed], heads: int, ctx: Context,
        folder: Path,
    ) -> None:  # fmt: skip
        """Run the module before and after lowering, then the artifact in each profile.

        `heads` is how many of the results stand before those that are computed from them.
        """
        try:
            before, after = (_interpreted(module, feeds) for module in (job.simulated, job.loaded))
            near = agreement(_together(after), _together(before)).decibels
            if near < AGREEMENT_DB:
                raise Broken(f"lowering changes the results: they are {near:.1f} dB from those of the module before it")
            if self.target.export is None:
                fail(None, f"the target '{self.target.name}' writes no artifact")
            artifact = self.target.export(job.lowered, ctx, folder, "case")[0].path
        except (QirError, Broken) as error:
            self.failed(op, label, mode, error)
            return
        for profile in self.profiles if self.report.runtime else ():
            tolerance = self.target.tolerance("net" if label == WHOLE else op, profile, mode)
            try:
                if tolerance.absent is True:
                    self.absent(op, label, mode, profile, artifact, feeds[0])
                    continue
                ours = after if not profile else _interpreted(job.loaded, feeds, profile)
                try:
                    theirs = [self.worker.run(artifact, feed.arrays, profile) for feed in feeds]
                except Broken as error:
                    if tolerance.absent != "partly":
                        raise
                    self.report.refused.append(Outcome(op, label, mode, profile, error=str(error)))
                    continue
                found = tuple(_differences(ours, theirs, watch.steps, heads, tolerance))
            except (QirError, Broken) as error:
                self.failed(op, label, mode, error, profile)
            else:
                self.report.add(Outcome(op, label, mode, profile, found, tolerance=tolerance))

    def absent(self, op: str, label: str, mode: str, profile: str, artifact: Path, feed: Feed) -> None:
        """An artifact that the runtime must refuse in this profile. Raises Broken where it runs."""
        try:
            self.worker.run(artifact, feed.arrays, profile)
        except Broken as error:
            self.report.refused.append(Outcome(op, label, mode, profile, error=str(error)))
        else:
            raise Broken("the target says that the runtime has no kernel for it, but it runs")

    def failed(self, op: str, label: str, mode: str, error: Exception, profile: str = "") -> None:
        self.report.add(Outcome(op, label, mode, profile, error=str(error)))


def _is_refusal(error: QirError, ctx: Context) -> bool:
    """Whether a job ended as it may: the target says of operations that annotate left in float that it has no way to
    run them, and names the nodes of the model (or their tensors, where the model's nodes have no names)."""
    promised = _nodes(d for d in ctx.diagnostics if d.name == "annotate" and d.category == "passed")
    said = _nodes(error.diagnostics)
    named = all(map(_names, error.diagnostics))
    return error.__cause__ is None and named and bool(said) and not said & promised


def _names(diagnostic: Diagnostic) -> Sequence[str]:
    """The nodes that a diagnostic is placed at; of nodes without a name the result that it names."""
    return diagnostic.location.names() or re.findall(r"\bonnx\.\w+' that gives '([^']+)'", diagnostic.message)


def _nodes(diagnostics: Iterable[Diagnostic]) -> set[tuple[str, str]]:
    """The nodes that diagnostics speak of, each with the type of the operation that they name first."""
    found: set[tuple[str, str]] = set()
    for d in diagnostics:
        kind = re.search(r"\bonnx\.(\w+)", d.message)
        if kind is not None:
            found.update((name, kind[1]) for name in _names(d))
    return found


def _differences(
    ours: Sequence[Results], theirs: Sequence[Results], steps: Mapping[str, float], heads: int, tolerance: Tolerance
) -> Iterator[Comparison]:
    """Simulation and runtime, result by result. What is computed from a result counts where that was equal."""
    sizes = largest(ours)
    for a, b in zip(ours, theirs, strict=True):
        missing = [name for name in a if name not in b]
        if missing:
            raise Broken(f"the runtime gives no result '{missing[0]}'; it gives {', '.join(b) or 'none'}")
        found = [compare(name, a[name], b[name], steps.get(name), sizes[name], tolerance) for name in a]
        yield from found[:heads] if any(c.worst for c in found[:heads]) else found


def _interpreted(module: ModuleOp, feeds: Sequence[Feed], profile: str = "") -> list[Results]:
    """The results of a module on each feed, as the profile computes them."""
    if profile:
        module = module.clone()
        module.attributes["qir.profile"] = StringAttr(profile)
    run = interpreter(module)
    return [run(feed.arrays) for feed in feeds]


def _together(runs: Sequence[Results]) -> Results:
    """Every result over all feeds, as one array."""
    import numpy as np

    return {name: np.concatenate([run[name].reshape(-1) for run in runs]) for name in runs[0]}
