"""Quantize the zoo by default options for every target, run it there, and write docs/accuracy.md.

    python benchmarks/zoo.py [--targets T ...] [--entries E ...]

Each entry is quantized by `qir quantize` and scored by the zoo's evaluate.py: for onnxruntime beside its own static
quantizer on the same calibration data in the same run (MinMax; for transformers also with matrix products only); for
each other target in that target's runtime, beside the float model there and, on the entries of bench_targets.py, the
vendor's quantizer (_vendors.py says which tools that takes; what is missing is said and left out). With --targets or
--entries the tables are printed, not written. The zoo is no part of the project: it is looked for in $QIR_ZOO, by
default ../shared/zoo beside the checkout.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _peers import quantize_with_onnxruntime
from _runtimes import PACKAGES, RUNTIMES
from _vendors import ENTRIES, VENDORS, Missing, Source, add_options, make_artifact, versions_of

ROOT = Path(__file__).resolve().parents[1]
TRANSFORMERS = ("vit", "gpt")


def find_zoo() -> Path:
    place = Path(os.environ.get("QIR_ZOO") or ROOT.parent / "shared" / "zoo")
    if not (place / "entries.json").is_file():
        sys.exit(f"the zoo is not at {place}: set QIR_ZOO to the folder that holds entries.json")
    return place.resolve()


def load_evaluate(zoo: Path) -> Any:
    spec = importlib.util.spec_from_file_location("evaluate", zoo / "evaluate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- scores
class Session:
    """What the zoo's evaluate.py takes for a session: a function of inputs by name, outputs in the model's order."""

    def __init__(self, model: Path, run: Callable[[Mapping[str, np.ndarray]], Iterable[np.ndarray]]) -> None:
        import onnx

        graph = onnx.load(model, load_external_data=False).graph
        self.inputs = [
            SimpleNamespace(name=i.name, shape=[d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim])
            for i in graph.input
        ]
        self.outputs = [output.name for output in graph.output]
        self.function = run

    def get_inputs(self) -> list[Any]:
        return self.inputs

    def run(self, names: None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """evaluate.py asks for all outputs: `names` is None."""
        results = self.function(feeds)
        return [results[name] for name in self.outputs] if isinstance(results, Mapping) else list(results)


def score(evaluate: Any, name: str, session: Session) -> dict[str, Any]:
    """The entry's metric, and SQNR and agreement with the float model in onnxruntime, as evaluate.py reports them."""
    entry = evaluate.entries()[name]
    reference = evaluate.session(evaluate.path(entry["model"]))
    row, noise = evaluate.TASKS[entry["task"]](entry, session, reference, None)
    return {**row, **noise.result()}


def metric_of(row: dict[str, Any]) -> str:
    """The entry's own metric, shares in %."""
    value = 100 * row["value"] if row["metric"] in ("top1", "f1") else row["value"]
    return f"{row['metric']} {value:.4g}"


def describe(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    parts = [metric_of(row), f"{row['sqnr_db']:.1f} dB"]
    if row.get("agree") is not None:
        parts.append(f"agree {row['agree']:.3f}")
    return ", ".join(p for p in parts if p)


# ---------------------------------------------------------------- onnxruntime, with its own quantizer
def onnxruntime_row(evaluate: Any, name: str, model: Path, folder: Path, args: argparse.Namespace) -> str:
    import qir
    from qir.lowering.onnxruntime.runtime import kernels_of

    calib = evaluate.calib(name)
    start = time.perf_counter()
    artifact = qir.quantize(model, "onnxruntime", folder / "calib.npz", folder / "out").files[0].path
    seconds = time.perf_counter() - start
    ours = evaluate.evaluate(name, str(artifact), True, None)
    kernels = kernels_of(artifact)
    peers: list[dict[str, Any] | None] = [None, None]
    for index, products_only in enumerate(() if args.no_peers else (False, True)):
        if products_only and not any(word in name for word in TRANSFORMERS):
            continue
        out = folder / f"peer{index}.onnx"
        with contextlib.redirect_stdout(io.StringIO()):
            quantize_with_onnxruntime(model, calib, out, products_only=products_only)
        peers[index] = evaluate.evaluate(name, str(out), True, None)
    plain = metric_of(evaluate.evaluate(name, None, False, None))
    return row(name, plain, *map(describe, (ours, *peers)), f"{kernels.integer}/{kernels.total}", f"{seconds:.0f} s")


# ---------------------------------------------------------------- the other targets, in their own runtimes
def target_row(target: str, evaluate: Any, name: str, model: Path, folder: Path, args: argparse.Namespace) -> str:
    """Float in the target's runtime, qir, the vendor's; where qir or the runtime cannot, what it says."""
    import qir
    from qir.ir import QirError

    calib = folder / "calib.npz"
    vendors = [""] * len(VENDORS[target])

    def scored(artifact: Path) -> dict[str, Any]:
        from qir.target import get_target

        runtime = get_target(target).runtime
        assert runtime is not None
        return score(evaluate, name, Session(model, lambda feeds: runtime.run(artifact, feeds)))

    try:
        plain = qir.quantize(model, target, calib, folder / "float", exclude=["*"]).files[0].path
        first = metric_of(scored(plain))
    except QirError as error:
        return row(name, reason(error), "", *vendors, "")
    if name in ENTRIES and not args.no_peers:
        source = Source(model, plain, evaluate.calib(name))
        vendors = [vendor_cell(target, kind, evaluate, name, source, folder, args) for kind in VENDORS[target]]
    try:
        start = time.perf_counter()
        artifact = qir.quantize(model, target, calib, folder / "out").files[0].path
        seconds = time.perf_counter() - start
        return row(name, first, describe(scored(artifact)), *vendors, f"{seconds:.0f} s")
    except QirError as error:
        return row(name, first, reason(error), *vendors, "")


def reason(error: Any) -> str:
    """The first diagnostic in one line of a table."""
    return f"cannot: {error.diagnostics[0].message}".replace("|", "\\|").replace("\n", " ")


def vendor_cell(
    target: str, kind: str, evaluate: Any, name: str, source: Source, folder: Path, args: argparse.Namespace
) -> str:
    try:
        path = make_artifact(target, kind, source, folder / kind, args)
    except Missing as error:
        args.missing.add(str(error))
        return ""
    opened = RUNTIMES[target](path, 1)
    return describe(score(evaluate, name, Session(source.model, lambda feeds: [opened(next(iter(feeds.values())))])))


# ---------------------------------------------------------------- the page
def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def head(*cells: str) -> list[str]:
    return [row(*cells), "|" + "---|" * len(cells)]


def table(target: str, evaluate: Any, zoo: Path, args: argparse.Namespace) -> list[str]:
    """The lines of a target's table, printed as they come."""
    if target == "onnxruntime":
        lines = head("entry", "float", "qir", "onnxruntime", "its products only", "integer", "time")
    else:
        lines = head("entry", f"float in {target}", "qir", *VENDORS[target].values(), "time")
    print("\n".join(lines))
    for name, entry in evaluate.entries().items():
        model = zoo / entry["model"]
        if (args.entries and name not in args.entries) or not model.exists():
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            np.savez(folder / "calib.npz", **evaluate.calib(name))
            if target == "onnxruntime":
                lines.append(onnxruntime_row(evaluate, name, model, folder, args))
            else:
                lines.append(target_row(target, evaluate, name, model, folder, args))
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Quantize the zoo and write docs/accuracy.md.")
    parser.add_argument("--entries", nargs="+", metavar="E", help="only these; the tables are printed, not written")
    parser.add_argument("--targets", nargs="+", choices=tuple(RUNTIMES), help="only these; likewise")
    parser.add_argument("--no-peers", action="store_true", help="leave out the others' quantizers; likewise")
    add_options(parser)
    args = parser.parse_args()
    args.missing = set()
    zoo = find_zoo()
    evaluate = load_evaluate(zoo)
    logging.disable(logging.WARNING)  # onnxruntime's quantizer warns about every normalization's weight
    tables = {}
    for target in args.targets or RUNTIMES:
        print(f"\n{target}")
        tables[target] = "\n".join(table(target, evaluate, zoo, args))
    for text in sorted(args.missing):
        print(f"left out: {text}")
    if not (args.entries or args.targets or args.no_peers or args.missing):
        page = ROOT / "docs" / "accuracy.md"
        page.write_text(render(tables))
        print(f"{page} written")


def render(tables: Mapping[str, str]) -> str:
    import torch

    import qir

    libraries = f"{versions_of(PACKAGES.values())}, torch {torch.__version__}"
    versions = f"qir {qir.__version__}, {libraries}, {platform.machine()}"
    sections = [OTHER.format(target=target, table=lines) for target, lines in tables.items() if target != "onnxruntime"]
    return PAGE.format(versions=versions, table=tables["onnxruntime"], others="\n".join(sections))


PAGE = """# Accuracy

Written by `benchmarks/zoo.py`; do not edit.
{versions}.

`qir quantize MODEL --target TARGET --data CALIB`, default options, no tuning by model. dB is the SQNR of all raw
outputs against the float model's in onnxruntime, agree the share of equal arg-max. The models are real and trained;
digits-cnn, digits-vit and chargpt-outlier are made hard on purpose.

## onnxruntime

onnxruntime's columns are its own `quantize_static` on the same data in the same run (after `quant_pre_process`, QDQ,
uint8 activations, int8 weights per channel, MinMax): everything that it supports, and matrix products only. Integer:
how many of the convolutions and products with constant weights onnxruntime really runs on integers, counted in the
graph as it has optimised it.

{table}

## In the other targets' own runtimes

Every figure is from the artifact in the target's runtime, with its default options: the model with nothing quantized,
written by qir too; `qir quantize`; and, for three entries, the vendor's own quantizer on the same calibration data.
What a target cannot run says why.

{others}"""

OTHER = """### {target}

{table}
"""


if __name__ == "__main__":
    main()
