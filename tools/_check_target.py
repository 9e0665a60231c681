"""``qir check-target``: what the conformance kit says to a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qir.tools._terminal import Bars, Streams, Usage, console

if TYPE_CHECKING:
    from argparse import Namespace

    from qir.conformance import Report
    from qir.tools._terminal import ArgumentParser

__all__ = ["add_arguments", "check_target_command"]

DEFAULT = "default"
"""What the command line calls the mode of the data sheet as it stands, and a profile without a name."""


def add_arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("target", metavar="NAME", help="the target to try; qir targets lists them")
    parser.add_argument("--only", metavar="OP", nargs="+", default=[], help="try these op types alone, and no nets")
    parser.add_argument(
        "--mode", metavar="M", action="append", default=[], help=f"try this mode alone ({DEFAULT}: the main one)"
    )
    parser.add_argument(
        "--profile", metavar="P", action="append", default=[], help="compare with this profile of the runtime alone"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and data (default: 0)")
    parser.add_argument("--no-suite", action="store_true", help="leave out the generated cases: nets only")
    zoo = parser.add_mutually_exclusive_group()
    zoo.add_argument("--zoo", metavar="DIR", nargs="?", const="", help="try the nets of DIR (default: where $QIR_ZOO "
                     "says, else ../shared/zoo beside the checkout, if it is there)")  # fmt: skip
    zoo.add_argument("--no-zoo", action="store_true", help="leave the nets out")
    parser.add_argument("--no-runtime", action="store_true", help="do all but the comparison with the runtime")
    parser.add_argument("--json", metavar="FILE", help="write what was found there too")


def check_target_command(args: Namespace, streams: Streams) -> int:
    """Run the kit and print its table, what failed, and the totals. Returns 1 where the target does not conform, and
    where its runtime is missing and not left out."""
    from qir.conformance import check_target, report_table
    from qir.ir import Context
    from qir.ir.files import whole_file
    from qir.passes.progress import Progress

    zoo = _zoo(args)
    if args.no_suite and (args.only or zoo is None):
        raise Usage("qir check-target: error: nothing is left to try: neither generated cases nor nets\n", 2)
    ctx = Context()
    with Bars(streams.stderr) as bars:
        ctx.extensions[Progress] = bars
        report = check_target(
            args.target,
            only=args.only,
            modes=_named(args.mode),
            profiles=_named(args.profile),
            seed=args.seed,
            runtime=not args.no_runtime,
            suite=not args.no_suite,
            zoo=zoo,
            ctx=ctx,
        )
    if args.json:
        with whole_file(Path(args.json)) as file:
            file.write(report.json().encode("utf-8"))
    if report.rows:
        console(streams.stdout).print(report_table(report))
        streams.print()
    _say(report, streams)
    runtime = report.target.runtime
    missing = not report.runtime and not args.no_runtime
    if missing:
        what = "there is no runtime of it" if runtime is None else f"{runtime.name} is not installed: {runtime.install}"
        streams.print(f"NOT COMPARED WITH THE RUNTIME: {what}; or leave it out with --no-runtime")
    return 1 if report.failed or missing else 0


def _named(names: list[str]) -> list[str]:
    return ["" if name == DEFAULT else name for name in names]


def _zoo(args: Namespace) -> Path | None:
    """The folder of nets. Raises QirError for one that holds none."""
    from qir.conformance import find_zoo
    from qir.ir import fail

    if args.no_zoo:
        return None
    if not args.zoo:
        found = find_zoo()
        if found is None and args.zoo is not None:
            fail(None, "there is no zoo", "set QIR_ZOO to the folder that holds entries.json, or give it to --zoo")
        return found
    place = Path(args.zoo)
    if not (place / "entries.json").is_file():
        fail(args.zoo, f"{place} is no folder of nets: it has no entries.json", "see docs/conformance.md")
    return place


def _say(report: Report, streams: Streams) -> None:
    from qir.conformance import grouped

    for (op, mode), why in report.unused.items():
        where = f" ({mode})" if mode else ""
        streams.print(f"NEVER QUANTIZED: {op}{where}, which the data sheet quantizes: {why}")
    for word, outcomes in (("FAILED", report.errors), ("REFUSED", report.refused)):
        for group in grouped(outcomes):
            place = ", ".join(filter(None, (group.mode, *group.profiles)))
            streams.print(f"{word}: {group.op}{f' ({place})' if place else ''}: {group.message}")
            streams.print(f"  {'; '.join(group.labels)}")
    if report.without_case:
        streams.print(f"NO CASE: {', '.join(report.without_case)}; add them to qir/conformance/cases")
    streams.print(report.totals())
