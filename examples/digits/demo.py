"""Quantize the digits example for onnxruntime and show what happened: `make demo`.

    python examples/digits/demo.py [--out DIR]
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

import numpy as np
import onnxruntime

import qir
from qir.passes import PassManager, parse_pipeline
from qir.tools.qir import main as qir_command

HERE = Path(os.path.relpath(Path(__file__).resolve().parent))
CALIBRATION = 128


def accuracy(model: Path) -> float:
    """Share of the test digits that onnxruntime gets right with this model."""
    data = np.load(HERE / "digits.npz")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"input": data["test_x"][:, None].astype(np.float32) / 16})
    return float((scores.argmax(1) == data["test_y"]).mean())


def excerpt(text: str, words: tuple[str, ...], width: int = 118) -> str:
    """The lines that speak of one of the words, with the lines that open and close what they stand in."""
    kept: list[str] = []
    for line in text.splitlines():
        opens = line.lstrip().startswith(("module", "func.func", "return", "}"))
        if opens or any(word in line for word in words):
            kept.append("  " + (line if len(line) <= width else line[: width - 1] + "…"))
        elif kept and not kept[-1].endswith("..."):
            kept.append("  " + " " * (len(line) - len(line.lstrip())) + "...")
        if line.startswith("}"):
            break
    return "\n".join(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description="Quantize the digits example for onnxruntime.")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    model, calib = HERE / "digits.onnx", out / "calib.npz"
    images = np.load(HERE / "digits.npz")["train_x"][:CALIBRATION]
    np.savez(calib, input=images[:, None].astype(np.float32) / 16)
    results = out / "quantized"

    command = ["quantize", str(model), "--target", "onnxruntime", "--data", str(calib), "-o", str(results)]
    print(f"$ qir {shlex.join(command)}\n", flush=True)
    status = qir_command(command)
    if status:
        return status

    (artifact,) = results.glob("*.onnx")
    print("\n---- accuracy on the 797 test digits, measured by onnxruntime")
    for what, path in (("float", model), ("quantized", artifact)):
        print(f"{what:10} {accuracy(path):7.2%}  {path.stat().st_size:7} bytes  {path}")

    passes = parse_pipeline((results / "digits.pipeline").read_text().strip()).root.items
    names = [str(item).partition("{")[0] for item in passes]
    simulated = PassManager(passes[: names.index("materialise")])
    module = qir.import_onnx(model)
    qir.run_pipeline(module, str(simulated))
    print("\n---- the first layer, calibrated: quantizers are symbols, qsim.fake simulates them on edges")
    print(excerpt(qir.print(module), ("@input", "stem", "%input")))
    print("\n---- the same layer, lowered: one operation per node of the artifact")
    print(excerpt((results / "digits.qir").read_text(), ("stem", "%input")))
    print(f"\nEverything lies in {out}; the lines above say what each file is and which command runs it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
