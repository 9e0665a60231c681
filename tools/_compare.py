"""``qir compare``: outputs and layers of two models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qir.tools._terminal import Bars, Streams, console, existing

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

__all__ = ["compare_command"]


def compare_command(args: Namespace, streams: Streams) -> int:
    """Run it: a table for the outputs, a table for what both models have under one name, in the order of the first."""
    from qir.analysis import compare_modules, comparison_table, main_function
    from qir.api import load
    from qir.calibration.data import Feed, input_specs, open_data
    from qir.ir import Context
    from qir.passes.progress import Progress, track

    ctx = Context(allow_unregistered=True)
    a, b = (load(existing(path), ctx) for path in (args.a, args.b))
    specs = input_specs(main_function(a))
    feed = Feed(open_data(args.data, specs), specs, batch=8, samples=args.samples)
    with Bars(streams.stderr) as bars:
        ctx.extensions[Progress] = bars

        def batches() -> Iterator[Mapping[str, Any]]:
            for batch in track(ctx, feed, "comparing", total=None):
                yield batch.inputs

        comparison = compare_modules(a, b, batches(), device=args.device)
    out = console(streams.stdout)
    out.print(comparison_table(comparison.outputs, f"outputs of {args.b} against {args.a}"))
    if comparison.layers:
        out.print()
        out.print(comparison_table(comparison.layers, "layer by layer"))
    if comparison.unmatched:
        streams.print(f"\n{comparison.unmatched} tensors of {args.a} have no float tensor of their name in {args.b}")
    return 0
