"""Greedy rewriting with 300 patterns, 60 of them on one root operation, beside xDSL's.

    python benchmarks/bench_rewrite.py [--xdsl PYTHON] [--sizes 1000 10000 100000] [--repeat 3]

PYTHON is an interpreter that has xDSL (``python -m venv v && v/bin/pip install xdsl``); by default $XDSL_PYTHON. Both
build the same module: groups of conv, relu, quantize, dequantize, add, transpose in one function. The patterns are the
same in both: 60 start from relu and look at what defines its operand; the last of them replaces every relu once (one
operation in six), the others never match. 240 more start from 48 other operations, five each; the module holds five of
these. Each measurement runs the driver on a fresh module, in turn in both libraries; a run in each comes before that
does not count. Imports, building the module and making the patterns are not timed; garbage collection is as each
library leaves it. Writes benchmarks/results/rewrite.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _xdsl import parse_arguments, start_workers

KINDS = ("conv", "relu", "quantize", "dequantize", "add", "transpose")
OTHERS = (*(k for k in KINDS if k != "relu"), *(f"other{i}" for i in range(43)))
ROOT_PATTERNS, OTHER_PATTERNS = 60, 5
RESULTS = Path(__file__).resolve().parent / "results" / "rewrite.md"


# ---------------------------------------------------------------- qir
def qir_run() -> Callable[[int], tuple[float, int]]:
    from qir.dialects.builtin import empty_module
    from qir.dialects.func import ReturnOp, make_func
    from qir.ir import Context, Dialect, Trait, f32, op_def, tensor
    from qir.ir.core import Operation
    from qir.ir.definition import ANY_TENSOR, result, variadic_operand
    from qir.rewrite import PatternSet, Value, apply_patterns, op, pattern

    class Base(Operation):
        __slots__ = ()

    def define(name: str) -> Any:
        body = {"xs": variadic_operand(ANY_TENSOR), "y": result(ANY_TENSOR), "__doc__": name}
        return op_def(f"bench.{name}", Trait.PURE)(type(name, (Operation,), body))

    classes = {name: define(name) for name in (*KINDS, *OTHERS, "relun", *(f"made{i}" for i in range(60)))}
    ctx = Context()
    ctx.register_dialect(Dialect("bench", list(classes.values())))
    patterns = []

    def add(root: str, producer: str, number: int) -> None:
        def expression(x: Value):  # type: ignore[no-untyped-def]
            return op(f"bench.{root}")(op(f"bench.{producer}")(x).shared().bind("inner"))

        made = pattern(expression, name=f"{root}-{number}")  # type: ignore[call-overload]

        @made.rewrite
        def _(m, rewriter):  # type: ignore[no-untyped-def]
            return rewriter.op("bench.relun", [m.inner.results[0]])

        patterns.append(made)

    for i in range(ROOT_PATTERNS - 1):
        add("relu", f"made{i}", i)
    add("relu", "conv", ROOT_PATTERNS - 1)
    for root in OTHERS:
        for i in range(OTHER_PATTERNS):
            add(root, f"made{i}", i)
    patterns_ = PatternSet(patterns)
    assert len(patterns_) == 300
    t = tensor([8, 16, 16], f32)

    def run(size: int) -> tuple[float, int]:
        module = empty_module()
        func = make_func("main", [t])
        module.body.append(func)
        value = func.body.args[0]
        for i in range(size):
            cls = classes[KINDS[i % 6]]
            operands = [value, value] if KINDS[i % 6] == "add" else [value]
            made = cls.create(operands, [t])
            func.body.append(made)
            value = made.results[0]
        func.body.append(ReturnOp.create([value]))
        func.update_type()
        start = time.process_time()
        apply_patterns(module, patterns_, ctx)
        seconds = time.process_time() - start
        return seconds, sum(o.name == "bench.relun" for o in func.body)

    return run


# ---------------------------------------------------------------- xDSL
def xdsl_run() -> Callable[[int], tuple[float, int]]:
    from xdsl.dialects.builtin import ModuleOp, TensorType, f32
    from xdsl.dialects.func import FuncOp, ReturnOp
    from xdsl.ir import Block, Region
    from xdsl.irdl import IRDLOperation, irdl_op_definition, result_def, traits_def, var_operand_def
    from xdsl.pattern_rewriter import (
        GreedyRewritePatternApplier,
        PatternRewriter,
        PatternRewriteWalker,
        RewritePattern,
        op_type_rewrite_pattern,
    )
    from xdsl.traits import Pure

    def define(op_name: str) -> Any:
        body = {
            "name": f"bench.{op_name}",
            "xs": var_operand_def(TensorType),
            "y": result_def(TensorType),
            "traits": traits_def(Pure()),
            "__annotations__": {},
            "__module__": __name__,
        }
        return irdl_op_definition(type(op_name, (IRDLOperation,), body))

    classes = {name: define(name) for name in (*KINDS, *OTHERS, "relun", *(f"made{i}" for i in range(60)))}
    relun = classes["relun"]

    def make(root: Any, producer: Any) -> RewritePattern:
        class Pattern(RewritePattern):
            def match_and_rewrite(self, op: Any, rewriter: Any) -> None:
                if not isinstance(op.xs[0].owner, producer):
                    return
                rewriter.replace(op, relun(operands=[[op.xs[0]]], result_types=[op.y.type]))

        # the decorator reads the annotation, which must be a class of this run
        Pattern.match_and_rewrite.__annotations__.update({"op": root, "rewriter": PatternRewriter, "return": None})
        Pattern.match_and_rewrite = op_type_rewrite_pattern(Pattern.match_and_rewrite)  # type: ignore[method-assign]
        return Pattern()

    patterns = [make(classes["relu"], classes[f"made{i}"]) for i in range(ROOT_PATTERNS - 1)]
    patterns.append(make(classes["relu"], classes["conv"]))
    patterns += [make(classes[r], classes[f"made{i}"]) for r in OTHERS for i in range(OTHER_PATTERNS)]
    assert len(patterns) == 300
    t = TensorType(f32, [8, 16, 16])

    def run(size: int) -> tuple[float, int]:
        block = Block(arg_types=[t])
        value: Any = block.args[0]
        for i in range(size):
            operands = [value, value] if KINDS[i % 6] == "add" else [value]
            made = classes[KINDS[i % 6]](operands=[operands], result_types=[t])
            block.add_op(made)
            value = made.y
        block.add_op(ReturnOp(value))
        module = ModuleOp([FuncOp("main", ((t,), (t,)), Region(block))])
        walker = PatternRewriteWalker(GreedyRewritePatternApplier(patterns))
        start = time.process_time()
        walker.rewrite_module(module)
        seconds = time.process_time() - start
        return seconds, sum(o.name == "bench.relun" for o in block.ops)

    return run


# ---------------------------------------------------------------- measuring
def serve(library: str) -> None:
    """Answer sizes on standard input with the seconds and rewrites of a run."""
    run = qir_run() if library == "qir" else xdsl_run()
    for line in sys.stdin:
        print(json.dumps(run(int(line))), flush=True)


def main() -> int:
    args = parse_arguments(__doc__, serve)
    workers = start_workers(__file__, args.xdsl)
    rows = []
    for size in args.sizes:
        best = dict.fromkeys(workers, float("inf"))
        for turn in range(args.repeat + 1):
            for name, worker in workers.items():
                seconds, rewrites = worker(size)
                assert rewrites == (size + 4) // 6, (name, rewrites)
                if turn:
                    best[name] = min(best[name], seconds)
        rows.append((size, best["qir"], best["xDSL"]))
        print(
            f"{size:7} ops: qir {best['qir']:.4f} s, xDSL {best['xDSL']:.4f} s, {best['xDSL'] / best['qir']:.1f} times"
        )
    for worker in workers.values():
        worker.close()
    lines = [
        "# Greedy rewriting: 300 patterns, 60 on one root, one operation in six rewritten",
        "",
        "CPU time of the driver, best of several, in turn; `benchmarks/bench_rewrite.py` says what is measured.",
        "",
        "| operations | qir, µs an operation | xDSL, µs an operation | xDSL / qir |",
        "|---|---|---|---|",
        *(f"| {n} | {1e6 * q / n:.2f} | {1e6 * x / n:.2f} | {x / q:.1f} |" for n, q, x in rows),
        "",
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
