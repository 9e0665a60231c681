"""Importing an ONNX file, beside onnx-ir and protobuf alone.

    python benchmarks/bench_import.py [--sizes 1000 10000 100000] [--repeat 5]

Needs onnx-ir in the same interpreter (``pip install onnx-ir``). The program is a chain of residual blocks of six nodes
(Conv, Relu, QuantizeLinear, DequantizeLinear, Add, Transpose) over 24 channel widths, with a ValueInfo for every value
and its weights as inputs, so that nodes are what is measured. From the file to the module (qir: types, locations, use
lists, verified against ONNX's schemas; also without verification) or to the ``onnx_ir.Model``; exporting to a
ModelProto beside it. In turn, best of several, after one run of each that does not count. A second table imports 100 MB
of weights in 50 tensors. Garbage collection is as each library leaves it. Writes benchmarks/results/import.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
from onnx import TensorProto, helper, numpy_helper

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context

RESULTS = Path(__file__).resolve().parent / "results" / "import.md"
CHANNELS = [8 * (k + 1) for k in range(24)]
SIZE = 28


def blocks(count: int) -> onnx.ModelProto:
    """A model of `count` nodes."""

    def info(name: str, shape: list[int], element: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, element, shape)

    inputs = [info("x", [1, CHANNELS[0], SIZE, SIZE]), info("s", []), info("z", [], TensorProto.INT8)]
    for k in range(24):
        ci, co = CHANNELS[k], CHANNELS[(k + 1) % 24]
        inputs += [info(f"w{k}", [co, ci, 3, 3]), info(f"b{k}", [co])]
    conv = {"dilations": [1, 1], "group": 1, "kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1]}
    nodes, infos, current = [], [], "x"
    for i in range(count):
        k, step = i // 6 % 24, i % 6
        first = f"v{i - step}"
        op, operands, attributes = (
            ("Conv", [current, f"w{k}", f"b{k}"], conv),
            ("Relu", [f"v{i - 1}"], {}),
            ("QuantizeLinear", [f"v{i - 1}", "s", "z"], {"axis": 1}),
            ("DequantizeLinear", [f"v{i - 1}", "s", "z"], {"axis": 1}),
            ("Add", [f"v{i - 1}", first], {}),
            ("Transpose", [f"v{i - 1}"], {"perm": [0, 1, 3, 2]}),
        )[step]
        nodes.append(helper.make_node(op, operands, [f"v{i}"], name=f"n{i}", **attributes))
        shape = [1, CHANNELS[(k + 1) % 24], SIZE, SIZE]
        infos.append(info(f"v{i}", shape, TensorProto.INT8 if op == "QuantizeLinear" else TensorProto.FLOAT))
        current = f"v{i}" if step == 5 else current
    graph = helper.make_graph(nodes, "main", inputs, [infos[-1]], value_info=infos[:-1])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def heavy() -> onnx.ModelProto:
    """50 products with 2 MB of weights each."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.normal(size=(724, 724)).astype(np.float32), f"w{i}") for i in range(50)]
    nodes = [helper.make_node("MatMul", [f"h{i}", f"w{i}"], [f"h{i + 1}"], name=f"n{i}") for i in range(50)]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 724]) for name in ("h0", "h50")]
    graph = helper.make_graph(nodes, "main", info[:1], info[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def best(runs: dict[str, Callable[[], object]], repeat: int, clock: Callable[[], float]) -> dict[str, float]:
    """Each run's best time, all measured in turn."""
    found = dict.fromkeys(runs, float("inf"))
    for attempt in range(repeat + 1):
        for name, run in runs.items():
            start = clock()
            held = run()
            elapsed = clock() - start
            del held
            if attempt:
                found[name] = min(found[name], elapsed)
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1000, 10000, 100000])
    arguments.add_argument("--repeat", type=int, default=5)
    options = arguments.parse_args()
    lines = [
        "# Importing ONNX files",
        "",
        f"CPU time in µs a node, best of {options.repeat}, in turn; `benchmarks/bench_import.py` says what.",
        f"onnx {onnx.__version__}, onnx-ir {onnx_ir.__version__}.",
        "",
        "| nodes | qir import | unverified | onnx-ir load | onnx.load | ratio | qir export | onnx-ir to_proto |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "m.onnx")
        for size in options.sizes:
            onnx.save(blocks(size), path)
            module, model = import_onnx(path, Context()), onnx_ir.load(path)
            runs: dict[str, Callable[[], object]] = {
                "qir": lambda: import_onnx(path, Context()),
                "loose": lambda: import_onnx(path, Context(), check=False),
                "ir": lambda: onnx_ir.load(path),
                "onnx": lambda: onnx.load(path),
                "export": lambda module=module: export_onnx(module),  # type: ignore[misc]
                "proto": lambda model=model: onnx_ir.to_proto(model),  # type: ignore[misc]
            }
            t = {k: v / size * 1e6 for k, v in best(runs, options.repeat, time.process_time).items()}
            lines.append(
                f"| {size} | {t['qir']:.1f} | {t['loose']:.1f} | {t['ir']:.1f} | {t['onnx']:.1f} "
                f"| {t['qir'] / t['ir']:.2f} | {t['export']:.1f} | {t['proto']:.1f} |"
            )
            print(lines[-1])
        onnx.save(heavy(), path)
        runs = {
            "qir": lambda: import_onnx(path, Context()),
            "ir": lambda: onnx_ir.load(path),
            "onnx": lambda: onnx.load(path),
        }
        t = {k: v * 1e3 for k, v in best(runs, options.repeat, time.perf_counter).items()}
        lines += [
            "",
            "100 MB of weights in 50 tensors inside the file, wall time in ms, page cache warm:",
            "",
            "| qir import | onnx-ir load | onnx.load |",
            "|---|---|---|",
            f"| {t['qir']:.1f} | {t['ir']:.1f} | {t['onnx']:.1f} |",
        ]
        print(lines[-1])
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
