"""Crash reproducers: one text with the module as it was, and the pipeline that broke it, as mlir-opt writes them."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from qir.ir.context import Context
from qir.ir.core import Operation
from qir.ir.diagnostics import Diagnostic, QirError, Severity, fail
from qir.ir.files import whole_file
from qir.ir.location import UNKNOWN
from qir.passes.base import Pass
from qir.passes.instrumentation import Instrumentation

__all__ = ["Reproducer", "ReproducerSettings", "read_reproducer", "reproducer_section", "write_reproducer"]


@attrs.frozen
class ReproducerSettings:
    """What a reproducer says about the run."""

    pipeline: str
    verify_each: bool = True


def reproducer_section(settings: ReproducerSettings) -> str:
    """The entry for the file's ``{-# … #-}`` section."""
    text = settings.pipeline.replace("\\", "\\\\").replace('"', '\\"')
    verify = str(settings.verify_each).lower()
    return (
        "  external_resources: {\n    mlir_reproducer: {\n"
        f'      pipeline: "{text}",\n      disable_threading: true,\n      verify_each: {verify}\n'
        "    }\n  }\n"
    )


_SECTION = re.compile(
    r"[ \t]*external_resources\s*:\s*\{\s*mlir_reproducer\s*:\s*\{"
    r'(?P<body>(?:[^"{}]|"(?:[^"\\]|\\.)*")*)\}\s*\}\s*,?\s*'
)
_PIPELINE = re.compile(r'pipeline\s*:\s*"((?:[^"\\]|\\.)*)"')
_VERIFY = re.compile(r"verify_each\s*:\s*(true|false)")


def read_reproducer(text: str, filename: str) -> tuple[str, ReproducerSettings]:
    """The text without its reproducer section, and what the section says. Raises QirError where there is none."""
    found = _SECTION.search(text, max(text.rfind("external_resources") - 200, 0)) or _SECTION.search(text)
    pipeline = _PIPELINE.search(found["body"]) if found is not None else None
    if found is None or pipeline is None:
        fail(
            filename,
            "holds no reproducer: there is no 'mlir_reproducer' with a 'pipeline' in its {-# external_resources #-}",
            "run it without --run-reproducer, and with -p PIPELINE",
        )
    verify = _VERIFY.search(found["body"])
    value = re.sub(r"\\(.)", r"\1", pipeline[1])
    rest = text[: found.start()] + text[found.end() :]
    rest = re.sub(r"\{-#\s*#-\}", "", rest)
    rest = re.sub(r",(\s*#-\})", r"\1", rest)
    return rest, ReproducerSettings(value, verify is None or verify[1] == "true")


def write_reproducer(op: Operation, path: Path, settings: ReproducerSettings) -> list[Path]:
    """Write the module with its pipeline; weights go beside it. Returns the files written."""
    from qir.text import write_module

    write_module(op, path)
    text = path.read_text(encoding="utf-8").rstrip("\n")
    section = reproducer_section(settings)
    if text.endswith("#-}"):
        text = f"{text[: text.rindex('#-}')].rstrip()},\n{section}#-}}\n"
    else:
        text = f"{text}\n\n{{-#\n{section}#-}}\n"
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))
    side = path.with_suffix(".safetensors")
    return [path, *([side] if side.exists() else [])]


class Reproducer(Instrumentation):
    """Keeps the module as it was before the pipeline, and writes it with the pipeline when a pass fails."""

    def __init__(self, path: Path, verify_each: bool = True) -> None:
        self.path, self.verify_each = path, verify_each
        self.kept: Operation | None = None
        self.pipeline = ""

    def before_pipeline(self, op: Operation, ctx: Context, pipeline: str) -> None:
        self.kept, self.pipeline = op.clone(), pipeline

    def after_failure(self, item: Pass, op: Operation, ctx: Context, error: QirError) -> None:
        if self.kept is None:
            return
        try:
            files = write_reproducer(self.kept, self.path, ReproducerSettings(self.pipeline, self.verify_each))
        except (OSError, QirError) as problem:  # the pass's own error is the one to tell
            why = problem.strerror if isinstance(problem, OSError) else problem.diagnostics[0].message
            ctx.warning(UNKNOWN, f"the reproducer {self.path} could not be written: {why}")
            return
        text = f"wrote the reproducer {', '.join(map(str, files))}"
        ctx.emit(
            Diagnostic(
                Severity.WARNING,
                UNKNOWN,
                text,
                hint=f"repeat it with: qir-opt --run-reproducer {self.path}",
                name=item.name,
            )
        )
