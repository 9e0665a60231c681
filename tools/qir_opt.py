"""``qir-opt``: read a module, run passes on it, print it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TextIO

from qir.tools._opt_job import Job
from qir.tools._terminal import ArgumentParser, Streams, Usage, count, run_tool

__all__ = ["main"]

DESCRIPTION = """\
Reads a module (.qir text, .onnx, or text from standard input), runs passes, and prints it.

Passes come as a pipeline (-p 'canonicalize,annotate{target=onnxruntime},func.func(cse)'), or each as a flag, in order:
--canonicalize --annotate='target=onnxruntime'. --list-passes shows them all with their options."""


def main(
    argv: Sequence[str] | None = None, stdin: TextIO | None = None, stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:  # fmt: skip
    """Run the command; returns the exit status: 0 done, 1 failed with a diagnostic, 2 wrong usage."""
    return run_tool(_run, argv, stdin, stdout, stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="qir-opt", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("input", nargs="?", default="-", metavar="IN", help=".qir, .onnx or - (text from standard input; the default)")
    add("-o", dest="output", default="-", metavar="OUT", help="file to write; weights go beside it as .safetensors")
    add("-p", "--pass-pipeline", dest="pipeline", metavar="PIPELINE", help="the passes to run")
    add("--allow-unregistered-dialect", action="store_true", help="keep operations of unknown dialects as they are")
    add("--run-reproducer", action="store_true", help="run the pipeline that the input says it should be run with")

    group = parser.add_argument_group("printing")
    add = group.add_argument
    add("--print-op-generic", action="store_true", help="MLIR's generic form, which mlir-opt reads too")
    add("--print-debuginfo", action="store_true", help="all locations")
    add("--elide-resources", type=count, metavar="N", help="leave out the data of tensors of more than N elements")
    add("--no-output", action="store_true", help="print no module")

    group = parser.add_argument_group("checking")
    add = group.add_argument
    add("--verify-each", action=argparse.BooleanOptionalAction, default=True, help="verify after each pass (default)")
    add("--verify-roundtrip", action="store_true", help="check that the module parses back from what is printed")
    add("--verify-diagnostics", action="store_true",
        help="check that exactly the diagnostics come that '// expected-error {{…}}' comments say")  # fmt: skip
    add("--split-input-file", action="store_true", help="treat the parts between '// -----' lines one by one")

    group = parser.add_argument_group("watching")
    add = group.add_argument
    add("--print-ir-before", action="append", default=[], metavar="PASS", help="print the module before this pass")
    add("--print-ir-after", action="append", default=[], metavar="PASS", help="print the module after this pass")
    add("--print-ir-before-all", action="store_true", help="print the module before each pass")
    add("--print-ir-after-all", action="store_true", help="print the module after each pass")
    add("--print-ir-after-change", action="store_true", help="print the module after each pass that changed it")
    add("--print-ir-tree-dir", metavar="DIR", help="write these prints as numbered files instead")
    add("--timing", action="store_true", help="print how long everything took")
    add("--statistics", action="store_true", help="print what passes counted, and how often each pattern acted")
    add("--remarks", metavar="REGEX", help="print the remarks that match: what was done or not done, and why")
    add("--crash-reproducer", metavar="FILE", help="if a pass fails, write the module and the pipeline to FILE")
    add("--dump-pass-pipeline", action="store_true", help="print the pipeline that is going to run")

    group = parser.add_argument_group("debugging rewrites")
    add = group.add_argument
    add("--debug-rewrites", action="store_true", help="print every rewrite, and why patterns did not apply")
    add("--debug-counter", action="append", default=[], metavar="PATTERN=skip:N,count:M",
        help="let a pattern's rewrites happen only from number N on, M of them")  # fmt: skip
    add("--disable-patterns", action="append", default=[], metavar="A,B", help="patterns that must not act")

    group = parser.add_argument_group("listing")
    add = group.add_argument
    add("--list-passes", action="store_true", help="list the passes with their options")
    add("--list-dialects", action="store_true", help="list the dialects")
    add("--list-targets", action="store_true", help="list the targets")
    return parser


def _flags(parser: ArgumentParser) -> set[str]:
    return {flag for action in parser._actions for flag in action.option_strings}


def _split_passes(argv: Sequence[str], own: set[str]) -> tuple[list[str], list[str]]:
    """Arguments without the passes among them, and the passes as items of a pipeline."""
    rest: list[str] = []
    passes: list[str] = []
    for arg in argv:
        name, equals, value = arg.partition("=")
        if name == "--verify-each" and equals:
            rest.append("--no-verify-each" if value.lower() in ("0", "false") else "--verify-each")
        elif not arg.startswith("--") or arg == "--" or name in own:
            rest.append(arg)
        else:
            from qir.passes.registry import find_pass, pass_names, suggestion

            if find_pass(name[2:]) is None:
                hint = suggestion(name, [*sorted(own), *(f"--{p}" for p in pass_names())])
                raise Usage(f"qir-opt: error: no flag and no pass: {name}{f' ({hint})' if hint else ''}\n", 2)
            braces = value.startswith("{") and value.endswith("}")
            passes.append(f"{name[2:]}{value if braces else f'{{{value}}}' if value else ''}")
    return rest, passes


def _run(argv: Sequence[str], streams: Streams) -> int:
    parser = _parser()
    rest, passes = _split_passes(argv, _flags(parser))
    args = parser.parse_args(rest)
    if passes and args.pipeline is not None:
        parser.error(f"give a pipeline (-p) or passes as flags (--{passes[0]}), not both")
    if args.run_reproducer and (passes or args.pipeline is not None):
        parser.error("--run-reproducer takes the pipeline from the input, give no other")
    if args.list_passes or args.list_dialects or args.list_targets:
        _list(args, streams)
        return 0
    text = ",".join(passes) if passes else args.pipeline or ""
    return Job(args, text, streams).run()


# ---------------------------------------------------------------- lists
def _list(args: argparse.Namespace, streams: Streams) -> None:
    if args.list_passes:
        from qir.passes import all_passes, option_specs
        from qir.passes.base import format_value

        for name, cls in all_passes().items():
            streams.print(f"{name:<24} {cls.summary()}")
            for spec in option_specs(cls):
                default = "required" if spec.required else f"default {format_value(spec.default) or 'none'}"
                streams.print(f"    {spec.name + '=' + spec.type_name:<28} {spec.help} ({default})")
    if args.list_dialects:
        from qir.ir.context import BUILTIN_DIALECTS, load_dialect

        names = dict.fromkeys([*BUILTIN_DIALECTS, *_entry_points("qir.dialects")])
        for name in sorted(names):
            dialect = load_dialect(name)
            if dialect is not None:
                streams.print(f"{name:<16} {' '.join(dialect.doc.split())}")
    if args.list_targets:
        from qir.target import get_target, list_targets

        for name in list_targets():
            streams.print(f"{name:<16} {get_target(name).title}".rstrip())


def _entry_points(group: str) -> list[str]:
    from importlib.metadata import entry_points

    return [point.name for point in entry_points(group=group)]


if __name__ == "__main__":
    raise SystemExit(main())
