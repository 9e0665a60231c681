"""Random graphs of no-ops, constants, moves and arithmetic: the graph passes keep results, verify, and end."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qir.interpreter import Plan, as_array
from qir.ir import Context, verify
from qir.passes import run_pipeline
from qir.text import parse_module, print_module

SHAPES = {(2, 3, 4), (4, 3, 2), (3, 2, 4), (2, 4, 3), (3, 4, 2), (4, 2, 3), (6, 4), (4, 6), (24,)}
UNARY = ("Relu", "Neg", "Abs", "Identity", "Dropout", "Floor", "Sign", "Clip", "Concat", "Max", "Sum")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
NUMBERS = ("0.0", "1.0", "-1.0", "2.5")


def type_of(shape: tuple[int, ...], element: str = "f32") -> str:
    return "tensor<" + "".join(f"{s}x" for s in shape) + f"{element}>"


class Writer:
    """Writes a function operation by operation from drawn numbers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.values: list[tuple[str, tuple[int, ...]]] = [("x", (2, 3, 4))]

    def add(self, text: str, shape: tuple[int, ...]) -> None:
        name = f"v{len(self.values)}"
        self.lines.append(f"%{name} = {text} -> {type_of(shape)}")
        self.values.append((name, shape))

    def const(self, literal: str, type_: str) -> str:
        name = f"c{len(self.lines)}"
        self.lines.append(f"%{name} = onnx.Constant() {{value = dense<{literal}> : {type_}}} : () -> {type_}")
        return f"%{name}"

    def step(self, draw: Any) -> None:
        name, shape = draw(st.sampled_from(self.values))
        t = type_of(shape)
        kind = draw(st.sampled_from(("unary", "binary", "number", "transpose", "reshape", "constant")))
        if kind == "unary":
            op = draw(st.sampled_from(UNARY))
            attributes = " {axis = 0 : i64}" if op == "Concat" else ""
            self.add(f"onnx.{op}(%{name}){attributes} : ({t})", shape)
        elif kind == "binary":
            others = [n for n, s in self.values if s == shape]
            other = draw(st.sampled_from(others))
            self.add(f"onnx.{draw(st.sampled_from(BINARY))}(%{name}, %{other}) : ({t}, {t})", shape)
        elif kind == "number":
            c_shape = draw(st.sampled_from([(), (1,), shape[-1:]]))
            c_type = type_of(c_shape)
            c = self.const(draw(st.sampled_from(NUMBERS)), c_type)
            op = draw(st.sampled_from(("Add", "Sub", "Mul", "Div")))
            first = draw(st.booleans()) and op != "Div"
            operands, types = (f"{c}, %{name}", f"{c_type}, {t}") if first else (f"%{name}, {c}", f"{t}, {c_type}")
            if op == "Div":
                c = self.const("2.0", c_type)
                operands = f"%{name}, {c}"
            self.add(f"onnx.{op}({operands}) : ({types})", shape)
        elif kind == "transpose":
            perm = draw(st.sampled_from(list(permutations(range(len(shape))))))
            text = ", ".join(map(str, perm))
            self.add(f"onnx.Transpose(%{name}) {{perm = array<i64: {text}>}} : ({t})", tuple(shape[p] for p in perm))
        elif kind == "reshape":
            new = draw(st.sampled_from(sorted(SHAPES)))
            sizes = list(new)
            if draw(st.booleans()):
                sizes[draw(st.integers(0, len(sizes) - 1))] = -1
            c = self.const(str(sizes), f"tensor<{len(sizes)}xi64>")
            self.add(f"onnx.Reshape(%{name}, {c}) : ({t}, tensor<{len(sizes)}xi64>)", new)
        else:
            c = self.const(draw(st.sampled_from(NUMBERS)), t)
            self.lines.append(f"%v{len(self.values)} = onnx.Relu({c}) : ({t}) -> {t}")
            self.values.append((f"v{len(self.values)}", shape))

    def module(self, outputs: list[tuple[str, tuple[int, ...]]]) -> str:
        types = ", ".join(type_of(s) for _, s in outputs)
        body = "\n".join(self.lines)
        returned = ", ".join(f"%{n}" for n, _ in outputs)
        return (
            "module attributes {onnx.opset = {ai.onnx = 17 : i64}} {\n"
            f"func.func @main(%x: tensor<2x3x4xf32>) -> ({types}) {{\n{body}\nreturn {returned} : {types}\n}}\n}}\n"
        )


@st.composite
def modules(draw: Any) -> str:
    writer = Writer()
    for _ in range(draw(st.integers(1, 14))):
        writer.step(draw)
    count = draw(st.integers(1, 3))
    outputs = [draw(st.sampled_from(writer.values)) for _ in range(count)]
    return writer.module(list(dict.fromkeys(outputs)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(modules(), st.sampled_from(["canonicalize", "cse,canonicalize", "canonicalize{fold=false},fuse,cse"]))
def test_results_stay(text: str, pipeline: str) -> None:
    ctx = Context()
    module, reference = parse_module(text, ctx), parse_module(text, ctx)
    verify(module)
    x = np.random.default_rng(1).uniform(-3, 3, (2, 3, 4)).astype(np.float32)
    before = Plan(reference).run({"x": x})
    run_pipeline(module, pipeline, ctx)
    after = Plan(module).run({"x": x})
    assert list(before) == list(after)
    for name, value in before.items():
        np.testing.assert_array_equal(as_array(value), as_array(after[name]))
    printed = print_module(module)
    assert print_module(parse_module(printed, ctx)) == printed
    if pipeline.endswith("canonicalize"):
        assert not run_pipeline(module, "canonicalize", ctx), "canonicalize changes its own result"
