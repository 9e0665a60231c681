"""Quantize the zoo by default options and write docs/accuracy.md.

    python benchmarks/zoo.py [ENTRY ...]

Each entry is quantized by `qir quantize` and, on the same calibration data in the same run, by onnxruntime's own
static quantizer (MinMax; for transformers also with matrix products only); the zoo's evaluate.py scores all of them.
The zoo is no part of the project: it is looked for in $QIR_ZOO, by default ../shared/zoo beside the checkout.
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
from pathlib import Path
from typing import Any

import numpy as np

from qir.lowering.onnxruntime.runtime import kernels_of

sys.path.insert(0, str(Path(__file__).parent))
from _peers import quantize_with_onnxruntime

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


def quantize(model: Path, calib: Path, out: Path) -> Path:
    """The artifact of `qir quantize` with default options."""
    from qir.tools.qir import main

    errors = io.StringIO()
    command = ["quantize", str(model), "--target", "onnxruntime", "--data", str(calib), "-o", str(out)]
    if main(command, io.StringIO(), io.StringIO(), errors):
        sys.exit(f"qir {' '.join(command)}\n{errors.getvalue()}")
    (artifact,) = out.glob("*.onnx")
    return artifact


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


def main() -> None:
    parser = argparse.ArgumentParser(description="Quantize the zoo and write docs/accuracy.md.")
    parser.add_argument("entries", nargs="*", help="only these; the page is then printed, not written")
    parser.add_argument("--no-peers", action="store_true", help="leave out onnxruntime's quantizer")
    args = parser.parse_args()
    zoo = find_zoo()
    evaluate = load_evaluate(zoo)
    logging.disable(logging.WARNING)  # onnxruntime's quantizer warns about every normalization's weight
    lines = []
    for name, entry in evaluate.entries().items():
        model = zoo / entry["model"]
        if (args.entries and name not in args.entries) or not model.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            calib = evaluate.calib(name)
            np.savez(f"{folder}/calib.npz", **calib)
            start = time.perf_counter()
            artifact = quantize(model, Path(folder, "calib.npz"), Path(folder, "out"))
            seconds = time.perf_counter() - start
            ours = evaluate.evaluate(name, str(artifact), True, None)
            kernels = kernels_of(artifact)
            peers: list[dict[str, Any] | None] = [None, None]
            if not args.no_peers:
                for index, products_only in enumerate((False, True)):
                    if products_only and not any(word in name for word in TRANSFORMERS):
                        continue
                    out = Path(folder, f"peer{index}.onnx")
                    with contextlib.redirect_stdout(io.StringIO()):
                        quantize_with_onnxruntime(model, calib, out, products_only=products_only)
                    peers[index] = evaluate.evaluate(name, str(out), True, None)
            plain = metric_of(evaluate.evaluate(name, None, False, None))
        cells = [name, plain, *map(describe, (ours, *peers)), f"{kernels.integer}/{kernels.total}", f"{seconds:.0f} s"]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    if not args.entries:
        page = ROOT / "docs" / "accuracy.md"
        page.write_text(PAGE.format(versions=versions(), rows="\n".join(lines)))
        print(f"{page} written")


def versions() -> str:
    import onnxruntime
    import torch

    import qir

    libraries = f"onnxruntime {onnxruntime.__version__}, torch {torch.__version__}"
    return f"qir {qir.__version__}, {libraries}, {platform.machine()}"


PAGE = """# Accuracy

Written by `benchmarks/zoo.py`; do not edit. {versions}.

`qir quantize MODEL --target onnxruntime --data CALIB`, default options, no tuning by model. dB is the SQNR of all raw
outputs against the float model's, agree the share of equal arg-max. onnxruntime's columns are its own
`quantize_static` on the same data in the same run (after `quant_pre_process`, QDQ, uint8 activations, int8 weights per
channel, MinMax): everything that it supports, and matrix products only. Integer: how many of the convolutions and
products with constant weights onnxruntime really runs on integers, counted in the graph as it has optimised it. The
models are real and trained; digits-cnn, digits-vit and chargpt-outlier are made hard on purpose.

| entry | float | qir | onnxruntime | its products only | integer | time |
|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
