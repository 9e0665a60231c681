"""Reading, verifying and printing MLIR's generic form, beside xDSL; opening a text with weights beside it.

    python benchmarks/bench_text.py [--xdsl PYTHON] [--sizes 1000 10000 100000] [--repeat 3] [--mb 100]

PYTHON is an interpreter that has xDSL (``python -m venv v && v/bin/pip install xdsl``); by default $XDSL_PYTHON. Both
read the same text with the same registered operations: groups of conv, relu, quantize, dequantize, add, transpose over
24 channel widths, five attributes on a conv, about 150 bytes an operation. Each library runs in a process of its own,
in turn; a run in each comes before that does not count. CPU time, garbage collection as each library leaves it;
memory is what Python allocated for the module (tracemalloc, in a run of its own).
Weights: the wall time of reading a text with a safetensors file beside it, less that of the same text without data.
Writes benchmarks/results/text.md.
"""

from __future__ import annotations

import gc
import io
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _xdsl import parse_arguments, start_workers

RESULTS = Path(__file__).resolve().parent / "results" / "text.md"
WHAT = ("parse", "verify", "print")
ATTRIBUTES = {
    "conv": "<{dilations = array<i64: 1, 1>, group = 1 : i64, kernel_shape = array<i64: 3, 3>, "
    "pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 1, 1>}>",
    "quantize": "<{axis = 1 : i64}>",
    "dequantize": "<{axis = 1 : i64}>",
    "transpose": "<{perm = array<i64: 0, 1, 3, 2>}>",
}
OPERANDS = {"conv": 3, "relu": 1, "quantize": 3, "dequantize": 3, "add": 2, "transpose": 1}


def text_of(size: int) -> str:
    """A module of `size` operations in one function, in the generic form."""
    widths = [8 * (k + 1) for k in range(24)]
    scale, zero = "tensor<f32>", "tensor<i8>"
    weights = [
        (f"tensor<{widths[(k + 1) % 24]}x{widths[k]}x3x3xf32>", f"tensor<{widths[(k + 1) % 24]}xf32>")
        for k in range(24)
    ]
    arguments = [("x", f"tensor<1x{widths[0]}x28x28xf32>")]
    for k, (w, b) in enumerate(weights):
        arguments += [(f"w{k}", w), (f"b{k}", b)]
    arguments += [("s", scale), ("z", zero)]
    lines: list[str] = []
    current, current_type = "x", arguments[0][1]
    conv = ""
    for i in range(size):
        group, kind = divmod(i, 6)
        k = group % 24
        y = f"tensor<1x{widths[(group + 1) % 24]}x28x28xf32>"
        q = y.replace("f32", "i8")
        name = list(OPERANDS)[kind]
        operands, types, result = {
            "conv": ((current, f"w{k}", f"b{k}"), (current_type, *weights[k]), y),
            "relu": ((current,), (y,), y),
            "quantize": ((current, "s", "z"), (y, scale, zero), q),
            "dequantize": ((current, "s", "z"), (q, scale, zero), y),
            "add": ((current, conv), (y, y), y),
            "transpose": ((current,), (y,), y),
        }[name]
        given = f" {ATTRIBUTES[name]}" if name in ATTRIBUTES else ""
        used = ", ".join("%" + o for o in operands)
        lines.append(f'    %{i} = "bench.{name}"({used}){given} : ({", ".join(types)}) -> {result}')
        current, current_type = str(i), result
        conv = current if name == "conv" else conv
    signature = f"({', '.join(t for _, t in arguments)}) -> {current_type}"
    return (
        f'"builtin.module"() ({{\n  "func.func"() <{{function_type = {signature}, sym_name = "main"}}> ({{\n'
        f"  ^bb0({', '.join(f'%{n}: {t}' for n, t in arguments)}):\n" + "\n".join(lines) + f"\n"
        f'    "func.return"(%{current}) : ({current_type}) -> ()\n  }}) : () -> ()\n}}) : () -> ()\n'
    )


# ---------------------------------------------------------------- qir
def qir_functions() -> tuple[Callable[[str], Any], Callable[[Any], Any], Callable[[Any], str]]:
    from qir.ir import Context, Dialect, Operation, Trait, op_def, verify
    from qir.ir.definition import ANY_TENSOR, INT, INTS, attr, operand, result
    from qir.text import parse_module, print_module

    attributes = {
        "conv": dict.fromkeys(("dilations", "kernel_shape", "pads", "strides"), INTS) | {"group": INT},
        "quantize": {"axis": INT},
        "dequantize": {"axis": INT},
        "transpose": {"perm": INTS},
    }

    def define(name: str) -> Any:
        body: dict[str, Any] = {"__doc__": name}
        body |= {f"x{i}": operand(ANY_TENSOR) for i in range(OPERANDS[name])}
        body |= {key: attr(kind) for key, kind in attributes.get(name, {}).items()}
        body["y"] = result(ANY_TENSOR)
        made = type(name, (Operation,), body)
        return op_def(f"bench.{name}", Trait.PURE)(made)

    ctx = Context()
    ctx.register_dialect(Dialect("bench", [define(name) for name in OPERANDS]))
    return lambda text: parse_module(text, ctx), verify, lambda module: print_module(module, generic=True)


# ---------------------------------------------------------------- xDSL
def xdsl_functions() -> tuple[Callable[[str], Any], Callable[[Any], Any], Callable[[Any], str]]:
    from xdsl.context import Context
    from xdsl.dialects.builtin import Builtin, DenseArrayBase, IntegerAttr, TensorType, i64
    from xdsl.dialects.func import Func
    from xdsl.ir import Dialect
    from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, result_def, traits_def
    from xdsl.parser import Parser
    from xdsl.printer import Printer
    from xdsl.traits import Pure

    ints, number = DenseArrayBase.constr(i64), IntegerAttr
    properties = {
        "conv": dict.fromkeys(("dilations", "kernel_shape", "pads", "strides"), ints) | {"group": number},
        "quantize": {"axis": number},
        "dequantize": {"axis": number},
        "transpose": {"perm": ints},
    }

    def define(name: str) -> Any:
        body: dict[str, Any] = {"name": f"bench.{name}", "__annotations__": {}, "__module__": __name__}
        body |= {f"x{i}": operand_def(TensorType) for i in range(OPERANDS[name])}
        body |= {key: prop_def(kind) for key, kind in properties.get(name, {}).items()}
        body |= {"y": result_def(TensorType), "traits": traits_def(Pure())}
        return irdl_op_definition(type(name, (IRDLOperation,), body))

    ctx = Context()
    ctx.load_dialect(Builtin)
    ctx.load_dialect(Func)
    ctx.load_dialect(Dialect("bench", [define(name) for name in OPERANDS], []))

    def show(module: Any) -> str:
        stream = io.StringIO()
        Printer(stream, print_generic_format=True).print_op(module)
        return stream.getvalue()

    return lambda text: Parser(ctx, text).parse_module(), lambda module: module.verify(), show


# ---------------------------------------------------------------- measuring
def serve(library: str) -> None:
    """Answer requests (what, size) on standard input with seconds, or bytes of memory."""
    parse, check, show = qir_functions() if library == "qir" else xdsl_functions()
    texts: dict[int, str] = {}
    for line in sys.stdin:
        what, size = json.loads(line)
        text = texts.setdefault(size, text_of(size))
        gc.collect()
        if what == "memory":
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            module = parse(text)
            gc.collect()
            answer: Any = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
        else:
            answer = {}
            start = time.process_time()
            module = parse(text)
            answer["parse"] = time.process_time() - start
            start = time.process_time()
            check(module)
            answer["verify"] = time.process_time() - start
            start = time.process_time()
            printed = show(module)
            answer["print"] = time.process_time() - start
            assert printed.count("bench.") == size
        del module
        print(json.dumps(answer), flush=True)


def weights(megabytes: int, repeat: int) -> tuple[float, float]:
    """Milliseconds to read a text of 50 tensors, without data and with `megabytes` beside it."""
    import numpy as np

    from qir.ir import Context
    from qir.ir.attributes import dense_from_numpy
    from qir.text import parse_file, parse_module, print_module, write_module

    ctx = Context(allow_unregistered=True)
    module = parse_module("\n".join(f"%w{i} = t.constant() : () -> i8" for i in range(50)), ctx)
    for i, op in enumerate(module.body):
        op.attributes["value"] = dense_from_numpy(np.full(megabytes * 20_000 // 4, i, np.float32), f"w{i}")
    with tempfile.TemporaryDirectory() as folder:
        bare, full = Path(folder) / "bare.qir", Path(folder) / "full.qir"
        bare.write_text(print_module(module, resources=False))
        write_module(module, full)
        del module
        times: dict[Path, list[float]] = {bare: [], full: []}
        for _ in range(max(25, repeat)):
            for path, found in times.items():
                start = time.perf_counter()
                parse_file(path, ctx)
                found.append(1000 * (time.perf_counter() - start))
        return min(times[bare]), min(times[full])


def main() -> int:
    args = parse_arguments(__doc__, serve, lambda parser: parser.add_argument("--mb", type=int, default=100))
    workers = start_workers(__file__, args.xdsl)
    rows = []
    for size in args.sizes:
        best = {name: dict.fromkeys(WHAT, float("inf")) for name in workers}
        memory = {}
        for turn in range(args.repeat + 1):
            for name, worker in workers.items():
                seconds = worker(("times", size))
                if turn:
                    best[name] = {what: min(best[name][what], seconds[what]) for what in WHAT}
        for name, worker in workers.items():
            memory[name] = worker(("memory", size)) / size if size <= 10000 or name == "qir" else None
        for what in WHAT:
            ours, theirs = best["qir"][what], best["xDSL"][what]
            rows.append(
                f"| {what} | {size} | {1e6 * ours / size:.2f} | {1e6 * theirs / size:.2f} | {theirs / ours:.1f} |"
            )
            print(rows[-1], flush=True)
        other = f"{memory['xDSL']:.0f}" if memory["xDSL"] is not None else "not measured"
        ratio = f"{memory['xDSL'] / memory['qir']:.1f}" if memory["xDSL"] is not None else ""
        rows.append(f"| memory (bytes) | {size} | {memory['qir']:.0f} | {other} | {ratio} |")
        print(rows[-1], flush=True)
    for worker in workers.values():
        worker.close()
    bare, full = weights(args.mb, args.repeat)
    lines = [
        "# Text: MLIR's generic form, registered operations",
        "",
        "CPU time, best of several, in turn; `benchmarks/bench_text.py` says what is measured.",
        "",
        "| what | operations | qir, µs an operation | xDSL, µs an operation | xDSL / qir |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"A text of 50 tensors opens in {bare:.2f} ms without data, and in {full:.2f} ms with {args.mb} MB "
        f"in a file beside it: {full - bare:.2f} ms more.",
        "",
    ]
    print(lines[-2])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
