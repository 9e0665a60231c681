"""Time and memory of quantizing squeezenet with 128 images, beside onnxruntime's own quantizer.

    python benchmarks/bench_quantize.py [--repeat N]

Each measurement is a process of its own with 2 threads; imports are not timed. The time is from the model's file to the
artifact's; the memory is the peak above what the process held with its libraries imported (torch for qir, onnxruntime
for its quantizer). onnxruntime is measured with MinMax and with Percentile, as its documentation recommends (after
quant_pre_process). qir's figure is its whole job: report table, checks of the artifact and all. Writes
benchmarks/results/quantize.md. The model and its images come from the zoo ($QIR_ZOO).
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import pkgutil
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).resolve().parents[1]
THREADS = "2"
ENTRY = "squeezenet-imagenet"


def status(key: str) -> int:
    """A memory figure of this process in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def work(what: str, model: str, calib: str, out: str) -> dict[str, float]:
    """One measurement, in a process of its own."""
    if what.startswith("qir"):
        import torch

        torch.set_num_threads(int(THREADS))
        import qir
        import qir.tools.qir as tool

        for module in pkgutil.walk_packages(qir.__path__, "qir."):
            importlib.import_module(module.name)

        def job() -> None:
            streams = (io.StringIO(), io.StringIO(), io.StringIO())
            options = ["--target", "onnxruntime", "--data", calib, "-o", out]
            if tool.main(["quantize", model, *options], *streams):
                sys.exit(streams[2].getvalue())

    else:
        import numpy as np
        import onnxruntime.quantization  # noqa: F401 (its import is not timed)
        from _peers import quantize_with_onnxruntime

        def job() -> None:
            with np.load(calib) as data:
                arrays = {name: data[name] for name in data.files}
            quantize_with_onnxruntime(Path(model), arrays, Path(out + ".onnx"), method=what)

    reset_peak()
    before = status("VmRSS")
    start, cpu = time.perf_counter(), time.process_time()
    job()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "cpu": time.process_time() - cpu, "megabytes": (status("VmHWM") - before) / 1024}


def measure(what: str, model: Path, calib: Path, folder: Path, repeat: int) -> dict[str, float]:
    rows = []
    for n in range(repeat):
        command = [sys.executable, __file__, "--work", what, str(model), str(calib), str(folder / f"{what}{n}")]
        env = {**os.environ, "OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS, "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{what}: {done.stderr[-2000:]}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(work(*sys.argv[2:6])))
        return
    parser = argparse.ArgumentParser(description="Time and memory of quantizing squeezenet with 128 images.")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["qir", "MinMax", "Percentile"])
    args = parser.parse_args()
    import numpy as np
    from zoo import find_zoo, load_evaluate

    zoo = find_zoo()
    evaluate = load_evaluate(zoo)
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        calib = Path(folder, "calib.npz")
        np.savez(calib, **evaluate.calib(ENTRY))
        for what in args.only:
            results[what] = measure(what, zoo / evaluate.entries()[ENTRY]["model"], calib, Path(folder), args.repeat)
            print(what, results[what], flush=True)
    if set(results) == {"qir", "MinMax", "Percentile"}:
        page = ROOT / "benchmarks" / "results" / "quantize.md"
        page.write_text(render(results))
        print(page.read_text())


def render(results: dict[str, dict[str, Any]]) -> str:
    import onnxruntime
    import torch

    import qir

    ours = results["qir"]
    lines = []
    for what, row in results.items():
        name = "qir" if what == "qir" else f"onnxruntime {what}"
        share = {key: ours[key] / row[key] for key in row}
        lines.append(
            f"| {name} | {row['seconds']:.1f} s | {share['seconds']:.2f} | {row['cpu']:.1f} s | {share['cpu']:.2f} "
            f"| {row['megabytes']:.0f} MB | {share['megabytes']:.2f} |"
        )
    table = "\n".join(lines)
    return f"""# Quantizing squeezenet with 128 images

Written by `benchmarks/bench_quantize.py`: one run, 2 threads, a process each, imports excluded; memory is the peak
above the process with its libraries imported. qir {qir.__version__}, onnxruntime {onnxruntime.__version__},
torch {torch.__version__}, {platform.machine()}.

| | time | qir's share | CPU time | qir's share | peak memory | qir's share |
|---|---|---|---|---|---|---|
{table}
"""


if __name__ == "__main__":
    main()
