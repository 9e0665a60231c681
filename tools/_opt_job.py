"""What ``qir-opt`` does once its command line is understood."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qir.tools._terminal import Streams, Usage, existing, no_model_file

if TYPE_CHECKING:
    from qir.ir import Context, Diagnostic, Operation
    from qir.passes import PassManager

__all__ = ["Job"]

SPLIT = re.compile(r"^[ \t]*//[ \t]*-----[ \t]*$", re.MULTILINE)
SPLIT_MARKER = "// -----\n"
STDOUT_LIMIT = 64 << 20
"""Bytes of weights that are written into the text where there is no file to put them beside."""


class Job:
    """One run of the command."""

    def __init__(self, args: argparse.Namespace, pipeline: str, streams: Streams) -> None:
        from qir.passes import StatisticsReport, Timing

        self.args, self.pipeline, self.streams = args, pipeline, streams
        self.timing = Timing()
        self.statistics = StatisticsReport()
        self.remarks = _regex(args.remarks)
        self.counters = self._counters()
        self.disabled = frozenset(n for text in args.disable_patterns for n in text.split(",") if n)
        self.outputs: list[str] = []

    def _counters(self) -> dict[str, Any]:
        from qir.ir import QirError
        from qir.rewrite.control import DebugCounter

        try:
            return dict(DebugCounter.parse(text) for text in self.args.debug_counter)
        except QirError as error:
            found = error.diagnostics[0]
            raise Usage(f"qir-opt: error: {found.message} ({found.hint})\n", 2) from None

    # ------------------------------------------------------------ the whole
    def run(self) -> int:
        args = self.args
        if args.output != "-" and not Path(args.output).absolute().parent.is_dir():
            from qir.ir import fail

            fail(args.output, f"there is no folder {Path(args.output).parent}", "make it first, or give another -o")
        no_model_file(args.output)
        manager = self._manager()  # a wrong pipeline is an error before anything is read
        if args.dump_pass_pipeline and not args.run_reproducer:
            self.streams.stderr.write(f"{manager}\n")
        path = args.input if args.input == "-" else str(existing(args.input))
        if path != "-" and Path(path).suffix == ".onnx":
            if args.split_input_file or args.verify_diagnostics or args.run_reproducer:
                raise Usage("qir-opt: error: --split-input-file and the like need text\n", 2)
            status = self._piece(None, path, 0, manager)
        else:
            status = self._text(path, manager)
        if status == 0 or self.outputs:
            self._write_text()
        if args.timing:
            self.streams.stderr.write(self.timing.report())
        if args.statistics:
            self.streams.stderr.write(self.statistics.report())
        return status

    def _text(self, path: str, manager: PassManager) -> int:
        if path == "-":
            text = self.streams.stdin.read()
        else:
            from qir.text import read_text

            text = read_text(path)
        name = "-" if path == "-" else path
        if self.args.run_reproducer:
            from qir.passes import parse_pipeline, read_reproducer

            text, settings = read_reproducer(text, name)
            self.args.verify_each = self.args.verify_each and settings.verify_each
            manager = self._watch(parse_pipeline(settings.pipeline, verify_each=self.args.verify_each))
            if self.args.dump_pass_pipeline:
                self.streams.stderr.write(f"{manager}\n")
        if not self.args.split_input_file:
            return self._piece(text, name, 0, manager)
        status, start = 0, 0
        for found in [*SPLIT.finditer(text), None]:
            end = found.start() if found is not None else len(text)
            piece = text[start:end]
            if piece.strip():
                status = max(status, self._piece(piece, name, text.count("\n", 0, start), manager))
            start = found.end() + 1 if found is not None else end
        return status

    def _piece(self, text: str | None, name: str, lines_before: int, manager: PassManager) -> int:
        """One module: read, run, check, print."""
        from qir.ir import Context, QirError
        from qir.rewrite.control import control_of

        args = self.args
        ctx = Context(allow_unregistered=args.allow_unregistered_dialect)
        control = control_of(ctx)
        control.disabled, control.counters = self.disabled, self.counters
        control.trace = self.streams.stderr if args.debug_rewrites else None
        control.remarks = self.remarks is not None
        seen: list[Diagnostic] = []
        ctx.engine.handlers.append(lambda d: self._show(d, seen))
        status = 0
        try:
            self._process(text, name, lines_before, manager, ctx)
            self._check_patterns(control.known)
        except QirError as error:
            status = 1
            for diagnostic in error.diagnostics:
                self._show(diagnostic, seen)
        if args.verify_diagnostics:
            from qir.passes.verify_diagnostics import check_diagnostics, read_expectations

            assert text is not None
            complaints = check_diagnostics(read_expectations(text, lines_before + 1), seen, name)
            for line in complaints:
                self.streams.stderr.write(line + "\n")
            status = 1 if complaints else 0
        return status

    def _process(self, text: str | None, name: str, lines_before: int, manager: PassManager, ctx: Context) -> None:
        from qir.ir import verify

        start = time.perf_counter()
        if text is None:
            from qir.frontends.onnx import import_onnx

            ctx.allow_unregistered = True  # a model may hold operators of any domain
            module: Operation = import_onnx(name, ctx)
        else:
            from qir.text import parse_module

            module = parse_module("\n" * lines_before + text, ctx, name)
        self.timing.span("Parser", start)
        verify(module)
        if self.args.verify_roundtrip:
            self._check_roundtrip(module, ctx)
        manager.run(module, ctx)
        if not self.args.verify_each:
            verify(module)
        if self.args.verify_roundtrip:
            self._check_roundtrip(module, ctx)
        if not self.args.no_output:
            start = time.perf_counter()
            self._output(module)
            self.timing.span("Output", start)

    # ------------------------------------------------------------ the passes
    def _manager(self) -> PassManager:
        from qir.passes import parse_pipeline

        return self._watch(parse_pipeline(self.pipeline, verify_each=self.args.verify_each))

    def _watch(self, manager: PassManager) -> PassManager:
        """Attach what the flags ask for."""
        from qir.passes import IRPrinter, Reproducer

        args = self.args
        before, after = self._pass_list(args.print_ir_before), self._pass_list(args.print_ir_after)
        tree = Path(args.print_ir_tree_dir) if args.print_ir_tree_dir else None
        every_after = args.print_ir_after_all or args.print_ir_after_change or (tree is not None and not after)
        if before or after or args.print_ir_before_all or every_after:
            manager.instrumentations.append(
                IRPrinter(
                    self._dump,
                    self.streams.stderr,
                    before=None if args.print_ir_before_all else before,
                    after=None if every_after else after,
                    only_changed=args.print_ir_after_change,
                    tree_dir=tree,
                )
            )
        manager.instrumentations += [self.timing, self.statistics]
        if args.crash_reproducer:
            manager.instrumentations.append(Reproducer(Path(args.crash_reproducer), args.verify_each))
        return manager

    @staticmethod
    def _pass_list(given: Sequence[str]) -> list[str]:
        from qir.passes.registry import find_pass, pass_names, suggestion

        names = [n for text in given for n in text.split(",") if n]
        for name in names:
            if find_pass(name) is None:
                hint = suggestion(name, pass_names())
                raise Usage(f"qir-opt: error: there is no pass '{name}'{f', {hint}' if hint else ''}\n", 2)
        return names

    def _check_patterns(self, known: dict[str, None]) -> None:
        """A pattern named on the command line that no pass has is a mistake."""
        from qir.ir import fail
        from qir.passes.registry import suggestion

        for name in (*self.disabled, *self.counters):
            if name not in known:
                fail(None, f"no pass of this pipeline has a pattern '{name}'", suggestion(name, list(known)))

    # ------------------------------------------------------------ output
    def _dump(self, op: Operation) -> str:
        from qir.text import print_module

        limit = self.args.elide_resources
        generic, debuginfo = self.args.print_op_generic, self.args.print_debuginfo
        return print_module(op, generic=generic, debuginfo=debuginfo, elide=16 if limit is None else limit)

    def _output(self, module: Operation) -> None:
        args = self.args
        options = {"generic": args.print_op_generic, "debuginfo": args.print_debuginfo, "elide": args.elide_resources}
        if args.output != "-" and not args.split_input_file:
            from qir.text import write_module

            write_module(module, Path(args.output), **options)
            return
        from qir.text import print_module

        if args.output == "-" and args.elide_resources is None:
            _check_size(module)
        self.outputs.append(print_module(module, **options))

    def _write_text(self) -> None:
        text = SPLIT_MARKER.join(self.outputs)
        if not text:
            return
        if self.args.output == "-":
            self.streams.stdout.write(text)
        else:
            write_atomically(Path(self.args.output), text)

    def _check_roundtrip(self, module: Operation, ctx: Context) -> None:
        from qir.ir import difference, fail
        from qir.text import parse_module, print_module

        for generic in (False, True):
            form = "generic" if generic else "pretty"
            text = print_module(module, generic=generic, debuginfo=True)
            again = parse_module(text, ctx, f"<{form} form>")
            found = difference(module, again, names=not generic)
            if found is not None:
                fail(module.location, f"the {form} form does not parse back to the same module: {found}")
            if print_module(again, generic=generic, debuginfo=True) != text:
                fail(module.location, f"the {form} form is not a fixed point of printing and parsing")

    def _show(self, diagnostic: Diagnostic, seen: list[Diagnostic]) -> bool:
        """Handler of every diagnostic: print it, or keep it for --verify-diagnostics."""
        from qir.ir import Severity, render

        if diagnostic.severity is Severity.REMARK:
            text = render(diagnostic)
            if self.remarks is None or not self.remarks.search(text):
                return True
        if self.args.verify_diagnostics:
            seen.append(diagnostic)
        else:
            self.streams.stderr.write(render(diagnostic) + "\n")
        return True


def _check_size(module: Operation) -> None:
    """Weights are written into the text when there is no file to put them beside; not without end."""
    from qir.ir import DenseResourceAttr, fail

    held = (a for op in module.walk() for a in op.attributes.values() if isinstance(a, DenseResourceAttr))
    total = sum(a.tensor.nbytes for a in held if a.tensor is not None)
    if total > STDOUT_LIMIT:
        fail(
            None,
            f"the module holds {total >> 20} MB of weights, too much to write into the text on standard output",
            "write it with -o FILE, the weights go beside it; or leave them out with --elide-resources=16",
        )


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    import os

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _regex(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise Usage(f"qir-opt: error: --remarks: '{text}' is no regular expression: {error}\n", 2) from None
