"""Size and speed of int8 artifacts in each target's runtime, beside the vendor's own quantizer.

    python benchmarks/bench_targets.py [--targets T ...] [--entries E ...] [--rounds N] [--operators]

For each target and model: the bytes of qir's int8 artifact and of the vendor's, and the latency of one sample, with one
thread and with two, of both and of the float model. All artifacts of a target are loaded into one process, which runs
them in turn, some milliseconds each, in another order each round; a figure is the median over the rounds, a ratio the
median of the ratios within a round. The float models are qir's with nothing quantized (onnxruntime: the model itself).
Which tools the vendors' artifacts need: see _vendors.py; what is missing is said and left out. Writes
benchmarks/results/targets.md if all is there. The models and their data come from the zoo ($QIR_ZOO).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _runtimes import PACKAGES, RUNTIMES, size_of
from _vendors import ENTRIES, VENDORS, Missing, Source, add_options, make_artifact, versions_of

ROOT = Path(__file__).resolve().parents[1]
THREADS = (1, 2)
KINDS = ("qir", "vendor", "float")
LAYOUT = {"litert": {"channels_last": True}}
CODES = {"litert": {"io": "integer"}}
"""What `qir quantize` is asked for, where the vendor's artifact has another interface than qir's default one:
ai-edge-quantizer's takes and gives int8, channels last."""
SLICE = 0.008
"""Seconds that an artifact runs before the next has its turn."""


# ---------------------------------------------------------------- measuring, in a process of its own
def measure(runtime: str, paths: Mapping[str, str], calib: str, rounds: int, cpu: bool) -> dict[str, Any]:
    """Seconds a run (of CPU time if `cpu`) by threads and kind, one a round, and the operators of each artifact."""
    clock = time.process_time if cpu else time.perf_counter
    with np.load(calib) as data:
        sample = data[data.files[0]][:1]
    seconds: dict[str, dict[str, list[float]]] = {}
    operators = {}
    for threads in THREADS:
        opened = {kind: RUNTIMES[runtime](Path(path), threads) for kind, path in paths.items()}
        times: dict[str, list[float]] = {kind: [] for kind in opened}
        repeat = {}
        for kind, artifact in opened.items():
            artifact.feed(sample)
            for _ in range(3):
                artifact.step()
            repeat[kind] = max(1, math.ceil(SLICE / max(_timed(artifact, 3, clock), 1e-6)))
            operators[kind] = dict(artifact.operators())
        kinds = list(opened)
        for number in range(rounds):
            for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
                times[kind].append(_timed(opened[kind], repeat[kind], clock))
        seconds[str(threads)] = times
    return {"seconds": seconds, "operators": operators}


def _timed(artifact: Any, repeat: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeat):
        artifact.step()
    return (clock() - start) / repeat


def measure_apart(
    runtime: str, paths: Mapping[str, Path], calib: Path, rounds: int, cpu: bool = False
) -> dict[str, Any]:
    """`measure` in a process of its own, so that no library meets another's threads."""
    job = json.dumps([runtime, {kind: str(path) for kind, path in paths.items()}, str(calib), rounds, cpu])
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env.pop("OMP_NUM_THREADS", None)
    done = subprocess.run([sys.executable, __file__, "--measure", job], env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{runtime}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------- one target and model
def row_of(runtime: str, entry: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Bytes and times of all artifacts. Raises QirError where qir cannot make one; `missing` says what else is not."""
    from zoo import find_zoo, load_evaluate

    import qir

    zoo = find_zoo()
    evaluate = load_evaluate(zoo)
    model, calib = zoo / evaluate.entries()[entry]["model"], evaluate.calib(entry)
    data = folder / "calib.npz"
    np.savez(data, **calib)
    layout: dict[str, Any] = LAYOUT.get(runtime, {})
    job = qir.quantize(model, runtime, data, folder / "qir", **layout, **CODES.get(runtime, {}))
    paths = {"qir": job.files[0].path, "float": model}
    if runtime != "onnxruntime":
        plain = qir.quantize(model, runtime, data, folder / "float", exclude=["*"], **layout)
        paths["float"] = plain.files[0].path
    missing = None
    try:
        source = Source(model, paths["float"], calib)
        paths["vendor"] = make_artifact(runtime, next(iter(VENDORS[runtime])), source, folder / "vendor", args)
    except Missing as error:
        missing = str(error)
    measured = measure_apart(
        runtime, {kind: paths[kind] for kind in KINDS if kind in paths}, data, args.rounds, args.cpu
    )
    sizes = {kind: size_of(runtime, path) for kind, path in paths.items()}
    return {"runtime": runtime, "entry": entry, "bytes": sizes, "missing": missing, **measured}


def ratio(times: Mapping[str, list[float]], other: str) -> float:
    return statistics.median(a / b for a, b in zip(times["qir"], times[other]))


def line_of(row: Mapping[str, Any]) -> str:
    sizes = row["bytes"]
    cells = [row["runtime"], row["entry"], f"{sizes['qir']:,}"]
    vendor = "vendor" in sizes
    cells += [f"{sizes['vendor']:,}", f"{sizes['qir'] / sizes['vendor']:.3f}"] if vendor else ["", ""]
    for times in row["seconds"].values():
        cells += [f"{1000 * statistics.median(times[kind]):.3f}" if kind in times else "" for kind in KINDS]
        cells += [f"**{ratio(times, 'vendor'):.2f}**" if vendor else "", f"{ratio(times, 'float'):.2f}"]
    return "| " + " | ".join(cells) + " |"


# ---------------------------------------------------------------- all of it
def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description="Size and speed of int8 artifacts beside the vendors' own.")
    parser.add_argument("--targets", nargs="+", choices=tuple(RUNTIMES), default=list(RUNTIMES))
    parser.add_argument("--entries", nargs="+", choices=ENTRIES, default=list(ENTRIES))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--cpu", action="store_true", help="CPU time, where others use the machine too")
    parser.add_argument("--operators", action="store_true", help="print what each artifact runs, and how often")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the artifacts here")
    add_options(parser)
    args = parser.parse_args()
    from qir.ir import QirError

    rows, complete = [], True
    with tempfile.TemporaryDirectory() as temporary:
        for runtime in args.targets:
            for entry in args.entries:
                folder = (args.keep or Path(temporary)) / runtime / entry
                folder.mkdir(parents=True)
                try:
                    row = row_of(runtime, entry, args, folder)
                except QirError as error:
                    print(f"{runtime}, {entry}: {error}", flush=True)
                    complete = False
                    continue
                rows.append(line_of(row))
                print(rows[-1], flush=True)
                if row["missing"]:
                    print(f"  {runtime}'s own quantizer is left out: {row['missing']}")
                    complete = False
                for kind, counts in row["operators"].items() if args.operators else ():
                    print(f"  {kind}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
    if complete and args.targets == list(RUNTIMES) and args.entries == list(ENTRIES):
        page = ROOT / "benchmarks" / "results" / "targets.md"
        page.write_text(render(rows, "CPU time" if args.cpu else "time"))
        print(f"{page} written")


def render(rows: list[str], clock: str) -> str:
    versions = versions_of(PACKAGES.values())
    vendors = "; ".join(f"{runtime}: {next(iter(kinds.values()))}" for runtime, kinds in VENDORS.items())
    table = "\n".join(rows)
    import qir

    return f"""# Size and speed of int8 artifacts, beside the vendors' own

Written by `benchmarks/bench_targets.py`; do not edit. qir {qir.__version__}, {versions}, {os.cpu_count()} cores,
{platform.machine()}.

Both int8 artifacts come from the same float model and calibration data, each by default options; but for LiteRT qir is
asked for integers, channels last, as inputs and outputs, for the vendor's artifact has them. The vendors' quantizers
are {vendors}.
Bytes are those of all files that the runtime loads. Milliseconds of {clock} a sample, batch 1, by threads; the
artifacts of a row are loaded into one process and run in turn, and a share is the median over the rounds of qir's time
by the other's. CPU time is measured where others use the machine; it is all threads' together.

| runtime | model | bytes: qir | vendor | share | 1 thread: qir, ms | vendor | float | qir by vendor | qir by float \
| 2 threads: qir, ms | vendor | float | qir by vendor | qir by float |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{table}
"""


if __name__ == "__main__":
    main()
