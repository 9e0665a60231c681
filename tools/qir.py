"""``qir``: quantize a model, run one, compare two, list targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from qir.tools._check_target import add_arguments as add_check_target
from qir.tools._terminal import ArgumentParser, Streams, Usage, count, run_tool

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["main"]

DATA_HELP = "an .npz (one array per input, first axis = samples), a folder of .npz, .npy or images, or module:function"


def main(
    argv: Sequence[str] | None = None,
    stdin: TextIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run the command line. Returns 0 (done), 1 (the input or the job failed, with a diagnostic) or 2 (wrong usage)."""
    return run_tool(_run, argv, stdin, stdout, stderr)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="qir", description="Quantize neural networks for the chips that run them.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=ArgumentParser)

    p = commands.add_parser("quantize", help="the whole job: a float model in, the chip's artifact out")
    p.add_argument("model", metavar="MODEL", help="the float model: .onnx or .qir")
    p.add_argument("--target", metavar="T", required=True, help="what it is to run on; qir targets lists them")
    p.add_argument("--data", metavar="CALIB", help=f"calibration data: {DATA_HELP}")
    p.add_argument("-o", "--output", metavar="DIR", help="folder for the results (default: MODEL-TARGET here)")
    p.add_argument("--method", metavar="M", help="how ranges are found: minmax, percentile, mse, kl, …")
    p.add_argument("--format", metavar="F", help="form of the artifact; onnxruntime: qdq (default) or qoperator")
    p.add_argument("--mode", metavar="M", help="another way to quantize that the target has: its data sheet lists them")
    p.add_argument("--profile", metavar="P", help="how its runtime will run the artifact, simulated and checked so")
    p.add_argument("--io", choices=("float", "integer"), help="what the model takes and gives (default: float)")
    p.add_argument("--channels-last", action="store_true", help="inputs and outputs of four axes are [N, H, W, C]")
    p.add_argument(
        "--exclude",
        metavar="NAME",
        action="append",
        default=[],
        help="leave float: a node's name, an op type or a glob",
    )
    p.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="quantize nothing else: a name, an op type or a glob",
    )
    p.add_argument(
        "--eval", metavar="MODULE:FUNCTION", help="scores the float and the quantized model; it gets a function that "
        "maps a dictionary of inputs to one of outputs, and returns a number or a dictionary of them"
    )  # fmt: skip
    p.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="settings",
        help="an option of the pipeline's passes, as --set size=224,224 for a folder of images or --set samples=64",
    )  # fmt: skip
    p.add_argument("--device", help="where calibration runs: cpu (default), cuda, cuda:1, …")
    p.add_argument("--seed", type=int, help="seed of what is random (default: 0)")
    p.add_argument("--report", action="store_true", help="print the whole table of errors, not only the worst ten")
    p.add_argument("--unchecked", action="store_true", help="write the artifact even if its runtime is missing")
    p.add_argument(
        "--strict", action="store_true",
        help="an operation that stays float though no --exclude or --only says so is an error",
    )  # fmt: skip
    p.add_argument("--pipeline", metavar="P", help="run this pipeline in place of the target's")
    p.add_argument("--remarks", metavar="REGEX", help="print the remarks that match: why something was or was not done")

    p = commands.add_parser("run", help="interpret a module at any stage or an ONNX model, or run an artifact")
    p.add_argument("model", metavar="MODEL", help=".qir or .onnx, or an artifact that a target's runtime takes")
    p.add_argument("--target", metavar="T", help="run the artifact in this target's runtime (default: by its ending)")
    p.add_argument("--profile", metavar="P", default="", help="a way in which the runtime can run it; simulated too")
    p.add_argument("--input", metavar="NAME=FILE.npy", action="append", default=[], help="an input; once for each")
    p.add_argument("-o", "--output", metavar="DIR", help="folder for the results, as NAME.npy")
    p.add_argument("--device", default="cpu", help="cpu (default), cuda, …")

    p = commands.add_parser("compare", help="two models side by side: outputs, and layer by layer")
    p.add_argument("a", metavar="A", help="the reference: .onnx or .qir")
    p.add_argument("b", metavar="B", help="what is measured against it")
    p.add_argument("--data", metavar="D", required=True, help=DATA_HELP)
    p.add_argument("--samples", type=count, default=32, metavar="N", help="how many samples (default: 32; 0: all)")
    p.add_argument("--device", default="cpu", help="cpu (default), cuda, …")

    p = commands.add_parser("targets", help="list the targets, or print one's data sheet")
    p.add_argument("target", metavar="T", nargs="?", help="the target whose data sheet is printed")
    p.add_argument(
        "--diff", metavar="B", help="print what differs between T's data sheet and B's; T:MODE and B:MODE name a mode"
    )

    p = commands.add_parser("new-target", help="write a package with a target of your own, to start from")
    p.add_argument("name", metavar="NAME", help="the target's name, as in --target NAME")
    p.add_argument("-o", "--output", metavar="DIR", help="the folder to write (default: NAME here)")
    p.add_argument("--package", metavar="P", help="the name of the Python package (default: NAME)")

    p = commands.add_parser("check-target", help="try every line of a target's data sheet, in its runtime")
    add_check_target(p)
    return parser


def _run(argv: Sequence[str], streams: Streams) -> int:
    args = _parser().parse_args(argv)
    if args.version:
        from qir import __version__

        streams.print(f"qir {__version__}")
        return 0
    if args.command is None:
        raise Usage(_parser().format_help(), 2)
    if args.command == "quantize":
        from qir.tools._quantize import quantize_command

        return quantize_command(args, streams)
    if args.command == "compare":
        from qir.tools._compare import compare_command

        return compare_command(args, streams)
    if args.command == "new-target":
        from qir.tools._new_target import new_target_command

        return new_target_command(args, streams)
    if args.command == "check-target":
        from qir.tools._check_target import check_target_command

        return check_target_command(args, streams)
    if args.command == "run":
        from qir.tools._run import run_command

        return run_command(args, streams)
    return _targets(args, streams)


def _targets(args: Namespace, streams: Streams) -> int:
    import attrs

    from qir.target import get_target, list_targets, render_target

    if args.diff is not None:
        from qir.target_diff import diff_targets, render_diff

        if args.target is None:
            raise Usage("qir targets: error: --diff compares two targets: qir targets A --diff B\n", 2)
        sheets = []
        for text in (args.target, args.diff):
            name, _, mode = text.partition(":")
            sheets.append(attrs.evolve(get_target(name).in_mode(mode), name=text))
        streams.print(render_diff(diff_targets(*sheets)))
    elif args.target:
        streams.print(render_target(get_target(args.target)))
    else:
        names = list_targets()
        width = max(map(len, names))
        for name in names:
            streams.print(f"{name:{width}}  {get_target(name).title}".rstrip())
        streams.print(f"\nqir targets {names[0]} prints its data sheet.")
    return 0
