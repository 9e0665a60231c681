"""``qir-translate``: other formats in, other formats out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from qir.tools._terminal import ArgumentParser, Streams, count, existing, no_model_file, run_tool

if TYPE_CHECKING:
    from qir.ir import Context, Diagnostic

__all__ = ["main"]


def main(
    argv: Sequence[str] | None = None, stdin: TextIO | None = None, stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:  # fmt: skip
    """Run the command; returns the exit status: 0 done, 1 failed with a diagnostic, 2 wrong usage."""
    return run_tool(_run, argv, stdin, stdout, stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="qir-translate",
        description="Import a model as .qir text (qir-translate --import-onnx model.onnx -o model.qir), or export one.",
    )
    parser.add_argument("input", metavar="IN", help="the model, or the .qir text (- for standard input)")
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument("--import-onnx", action="store_true", help="IN is an ONNX model; OUT is .qir text")
    direction.add_argument("--export", metavar="FORMAT", help="IN is .qir text; FORMAT is onnx or the name of a target")
    parser.add_argument("-o", dest="output", default="-", metavar="OUT", help="file to write (- for standard output)")
    group = parser.add_argument_group("printing")
    group.add_argument("--print-op-generic", action="store_true", help="MLIR's generic form, which mlir-opt reads too")
    group.add_argument("--print-debuginfo", action="store_true", help="all locations")
    group.add_argument(
        "--elide-resources", type=count, metavar="N", help="leave out the data of tensors of more than N elements"
    )
    return parser


def _run(argv: Sequence[str], streams: Streams) -> int:
    from qir.ir import Context

    parser = _parser()
    args = parser.parse_args(list(argv))
    ctx = Context(allow_unregistered=True)

    def show(diagnostic: Diagnostic) -> bool:
        streams.show(diagnostic)
        return True

    ctx.engine.handlers.append(show)
    if args.import_onnx:
        return _import(args, ctx, streams)
    if args.output == "-":
        parser.error("--export needs -o OUT")
    return _export(args, ctx, streams)


def _import(args: argparse.Namespace, ctx: Context, streams: Streams) -> int:
    from qir.frontends.onnx import import_onnx
    from qir.text import print_module, write_module

    no_model_file(args.output)
    module = import_onnx(existing(args.input), ctx)
    generic, debuginfo, elide = args.print_op_generic, args.print_debuginfo, args.elide_resources
    if args.output == "-":
        streams.stdout.write(print_module(module, generic=generic, debuginfo=debuginfo, elide=elide))
    else:
        write_module(module, Path(args.output), generic=generic, debuginfo=debuginfo, elide=elide)
    return 0


def _export(args: argparse.Namespace, ctx: Context, streams: Streams) -> int:
    from qir.ir import fail, verify
    from qir.job import export_module
    from qir.text import parse_file, parse_module

    module = parse_module(streams.stdin.read(), ctx) if args.input == "-" else parse_file(existing(args.input), ctx)
    verify(module)
    if args.input != "-" and Path(args.output).exists() and Path(args.output).samefile(args.input):
        fail(args.output, f"{args.output} is what is to be exported", "give another -o")
    for artifact in export_module(module, Path(args.output), args.export, ctx):
        how = f"; {artifact.command}" if getattr(artifact, "command", "") else ""
        streams.print(f"{artifact.path}: {artifact.what}{how}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
