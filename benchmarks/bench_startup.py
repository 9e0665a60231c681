"""How long the commands take to start: whole processes, least of many runs.

    python benchmarks/bench_startup.py [--repeat N]

Beside Python itself (``python -c pass``) and, where it is installed, mlir-opt. Writes benchmarks/results/startup.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def program(operations: int) -> str:
    """A chain of `operations` in the pretty form."""
    chain = "\n".join(
        f"    %{i + 1} = onnx.Relu(%{i}) : (tensor<2x3xf32>) -> tensor<2x3xf32>" for i in range(operations - 1)
    )
    return (
        "module attributes {onnx.opset = {ai.onnx = 17 : i64}} {\n"
        f"  func.func @main(%0: tensor<2x3xf32>) -> tensor<2x3xf32> {{\n{chain}\n"
        f"    return %{operations - 1} : tensor<2x3xf32>\n  }}\n}}\n"
    )


def measure(command: list[str], repeat: int) -> tuple[float, float]:
    """Least wall and CPU seconds of a process."""
    wall, cpu = [], []
    for _ in range(repeat):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(wall), min(cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the commands take to start.")
    parser.add_argument("--repeat", type=int, default=10)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        text, generic = Path(folder, "a.qir"), Path(folder, "a.mlir")
        text.write_text(program(20))
        qir_opt = str(BIN / "qir-opt")
        subprocess.run([qir_opt, str(text), "--print-op-generic", "-o", str(generic)], check=True)
        rows = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import onnx'": [sys.executable, "-c", "import onnx"],
            "qir-opt --help": [qir_opt, "--help"],
            "qir-opt, 20 operations": [qir_opt, str(text)],
            "qir-opt, 20 operations, canonicalize and cse": [qir_opt, str(text), "--canonicalize", "--cse"],
        }
        peer = shutil.which("mlir-opt-22")
        if peer is not None:
            rows["mlir-opt-22, the same in generic form"] = [peer, "--allow-unregistered-dialect", str(generic)]
        lines = [
            f"| {name} | {wall:.2f} | {cpu:.2f} |"
            for name, command in rows.items()
            for wall, cpu in [measure(command, repeat)]
        ]
    page = ROOT / "benchmarks" / "results" / "startup.md"
    table = "\n".join(lines)
    page.write_text(
        f"# Starting the commands\n\nSeconds, least of {repeat} runs on {os.cpu_count()} cores;"
        " `benchmarks/bench_startup.py` says what is measured.\n\n"
        f"| command | wall | CPU |\n|---|---|---|\n{table}\n"
    )
    print(page.read_text())


if __name__ == "__main__":
    main()
