"""``qir quantize``: what the job says to a person."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qir.ir import Context, Operation, QirError, Severity
from qir.passes import Instrumentation, Pass
from qir.passes.progress import Progress
from qir.tools._terminal import Bars, Streams, Usage, console, existing

if TYPE_CHECKING:
    from argparse import Namespace

    from qir.job import QuantizeResult

__all__ = ["quantize_command"]

WORST = 10


class _PassBar(Instrumentation):
    """One bar for the passes of the pipeline; a pass draws its own below it."""

    def __init__(self, bars: Bars) -> None:
        self.bars = bars

    def before_pass(self, item: Pass, op: Operation, ctx: Context) -> None:
        self.bars.start(item.name, None)

    def after_pass(self, item: Pass, op: Operation, ctx: Context, changed: bool) -> None:
        self.bars.stop()


def quantize_command(args: Namespace, streams: Streams) -> int:
    """Run the job of the command line, then print the table of errors, the pipeline and the files."""
    from qir.job import quantize

    try:
        wanted = re.compile(args.remarks) if args.remarks is not None else None
    except re.error as error:
        raise Usage(f"qir quantize: error: --remarks {args.remarks}: {error}\n", 2) from None
    model = existing(args.model)
    out = Path(args.output) if args.output else Path(f"{model.stem}-{args.target}")
    ctx = Context(allow_unregistered=True)
    try:
        with Bars(streams.stderr) as bars:
            ctx.extensions[Progress] = bars
            result = quantize(
                model,
                args.target,
                args.data,
                out,
                options={
                    **_settings(args.settings),
                    "method": args.method,
                    "only": tuple(args.only),
                    "exclude": tuple(args.exclude),
                    "format": args.format,
                    "mode": args.mode,
                    "profile": args.profile,
                    "io": args.io,
                    "channels_last": args.channels_last or None,
                    "device": args.device,
                    "seed": args.seed,
                },
                pipeline=args.pipeline,
                evaluate=args.eval,
                ctx=ctx,
                unchecked=args.unchecked,
                strict=args.strict,
                watchers=[_PassBar(bars)],
            )
    except QirError:  # what was left undone on the way may be the reason
        if wanted is not None:
            _diagnostics(ctx, wanted, streams)
        raise
    _say(result, model, args.report, streams)
    _diagnostics(ctx, wanted, streams)
    return 0


def _settings(texts: Sequence[str]) -> dict[str, str]:
    """``--set KEY=VALUE`` as options. Raises Usage for anything else."""
    settings = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise Usage(f"qir quantize: error: --set takes KEY=VALUE, not '{text}'\n", 2)
        settings[key.replace("-", "_")] = value
    return settings


def _say(result: QuantizeResult, model: Path, everything: bool, streams: Streams) -> None:
    from qir.analysis import error_table

    errors = result.errors
    if errors:
        shown = len(errors) if everything else min(WORST, len(errors))
        rest = "" if shown == len(errors) else f" ({shown} of {len(errors)}; --report shows all)"
        table = error_table(errors, f"error against the float model, worst first{rest}", shown)
        console(streams.stdout).print(table)
        streams.print()
    for line in _scores(result.scores):
        streams.print(line)
    lowered = next((f.path for f in result.files if f.path.suffix == ".qir"), None)
    target = f" -o {shlex.quote(str(lowered))}" if lowered is not None else ""
    streams.print("the same again, pass by pass:")
    streams.print(f"  qir-opt {shlex.quote(str(model))} -p {shlex.quote(result.pipeline)}{target}")
    streams.print()
    width = max((len(str(file.path)) for file in result.files), default=0)
    for file in result.files:
        streams.print(f"{file.path!s:{width}}  {file.what}: {file.command}")


def _scores(scores: Mapping[str, Any]) -> list[str]:
    if not scores:
        return []

    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return ", ".join(f"{key} {text(inner)}" for key, inner in value.items())
        return f"{value:.6g}" if isinstance(value, (int, float)) else str(value)

    width = max(map(len, scores))
    return [*(f"{name:{width}}  {text(value)}" for name, value in scores.items()), ""]


def _diagnostics(ctx: Context, wanted: re.Pattern[str] | None, streams: Streams) -> None:
    """Warnings always, remarks where they match, else how many there are."""
    counts: Counter[str] = Counter()
    for diagnostic in ctx.diagnostics:
        if diagnostic.severity is not Severity.REMARK:
            streams.show(diagnostic)
        elif wanted is not None:
            if wanted.search(str(diagnostic)):
                streams.show(diagnostic)
        else:
            counts[diagnostic.category] += 1
    if counts:
        words = ", ".join(f"{number} {category}" for category, number in sorted(counts.items()))
        streams.print(f"\nremarks: {words}; --remarks . prints why each thing was or was not quantized")
