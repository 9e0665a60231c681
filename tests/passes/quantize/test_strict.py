"""annotate{strict=true}: which operations may stay float without a word, on a chip whose data sheet has every case."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qir.ir import Context, QirError
from qir.numerics.scheme import Scheme
from qir.passes import run_pipeline
from qir.target import Data, Fused, Rule, Target, Weight, attribute_is, register_target
from qir.target.registry import _REGISTERED
from qir.text import parse_module, print_module

A, W = Data("a"), Weight("w", axis=0)
CHIP = Target(
    name="strict-chip",
    schemes={"a": Scheme(storage="u8", symmetric=False), "w": Scheme(storage="i8", symmetric=True)},
    modes={"weights": {"a": None}},
    rules=(
        Rule("Conv", "compute", {"X": A, "W": W}, result="a", fused=(Fused("Relu"),), where=(attribute_is("group", 1, default=1),)),
        Rule("AveragePool", "follow", {"X": A}, result="a"),
        Rule("Flatten", "move", {"input": A}),
        Rule(("Add", "Sigmoid"), "float", within="Conv", note="on the vector unit"),
        Rule("Softmax", "float", note="on the vector unit"),
    ),
)  # fmt: skip
CONV = '%{y} = onnx.Conv({x}, %w{g}) {attrs}: (tensor<1x2x4x4xf32>, tensor<2x{n}x1x1xf32>) -> tensor<1x2x4x4xf32> loc("{y}")'


@pytest.fixture(autouse=True)
def chip() -> Iterator[None]:
    register_target(CHIP)
    yield
    del _REGISTERED[CHIP.name]


def conv(y: str, x: str, group: int = 1) -> str:
    return CONV.format(y=y, x=x, n=2 // group, g=group, attrs=f"{{group = {group} : i64}} ")


def unary(kind: str, y: str, x: str, attributes: str = "") -> str:
    return f'%{y} = onnx.{kind}(%{x}) {attributes}: (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> loc("{y}")'


def refused(lines: list[str], options: str = "") -> set[str]:
    """The nodes that strict refuses in a function of these operations; its result is the last one's."""
    last = lines[-1].split(" = ")[0]
    body = "\n    ".join(lines)
    text = f"""module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{
  func.func @main(%x: tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> {{
    %w1 = onnx.Constant() {{value = dense<0.5> : tensor<2x2x1x1xf32>}} : () -> tensor<2x2x1x1xf32>
    %w2 = onnx.Constant() {{value = dense<0.5> : tensor<2x1x1x1xf32>}} : () -> tensor<2x1x1x1xf32>
    {body}
    return {last} : tensor<1x2x4x4xf32>
  }}
}}"""
    ctx = Context(allow_unregistered=True)
    module = parse_module(text, ctx)
    before = print_module(module)
    try:
        run_pipeline(module, f"annotate{{target=strict-chip strict=true{options}}}", ctx)
    except QirError as error:
        assert print_module(module) == before, "a module that is refused is not changed"
        assert [d.hint is not None for d in error.diagnostics] == [False] * (len(error.diagnostics) - 1) + [True]
        return {name for d in error.diagnostics for name in d.location.names()}
    return set()


def test_what_runs_in_low_precision_is_fine() -> None:
    assert (
        refused(
            [
                conv("a", "%x"),
                unary("Relu", "b", "a"),
                unary("AveragePool", "c", "b", "{kernel_shape = array<i64: 1, 1>} "),
                conv("d", "%c"),
            ]
        )
        == set()
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (unary("Sin", "s", "a"), "s"),
        (unary("Softmax", "s", "a"), "s"),
        (conv("s", "%a", group=2), "s"),
        (conv("s", "%a").replace("%w1", "%a").replace("tensor<2x2x1x1xf32>", "tensor<1x2x4x4xf32>"), "s"),
    ],
    ids=["not in the data sheet", "float in the data sheet", "a condition is broken", "its weight is computed"],
)
def test_what_does_not_is_refused_and_nothing_behind_it(line: str, name: str) -> None:
    lines = [conv("a", "%x"), line, unary("Relu", "r", "s"), conv("z", "%a")]
    expected = {name} if "Conv" in line else {name, "r"}  # a Relu alone is float on this chip, behind a Conv it is not
    assert refused(lines) == expected
    assert refused(lines, f" exclude={','.join(expected)}") == set()
    assert refused(lines, " only=a,z") == set()


def test_a_part_of_a_kernel_is_no_float_operation() -> None:
    assert refused([conv("a", "%x"), unary("Sigmoid", "s", "a"), unary("Sigmoid", "t", "s")]) == set()
    assert refused([unary("Sigmoid", "s", "x"), conv("a", "%s")]) == {"s"}


def test_where_it_would_change_nothing() -> None:
    """At the edge of the model: nothing reads the codes of the last average, and nothing gives the first one's."""
    pool = "{kernel_shape = array<i64: 1, 1>} "
    assert refused([unary("AveragePool", "p", "x", pool), unary("Softmax", "s", "p")]) == {"s"}
    assert refused([conv("a", "%x"), unary("AveragePool", "p", "a", pool)]) == set()


def test_a_mode_that_quantizes_weights_alone_asks_for_these() -> None:
    lines = [conv("a", "%x"), unary("Sin", "s", "a"), conv("g", "%s", group=2), unary("Softmax", "t", "g")]
    assert refused(lines, " mode=weights") == {"g"}
    assert refused(lines) == {"s", "g", "t"}
