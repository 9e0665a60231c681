"""Transposes around records with channels last sink, meet and cancel, and the meaning stays at each step."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from qir.interpreter import Plan, as_array
from qir.interpreter.arrays import register_moves
from qir.interpreter.delegate import as_onnx
from qir.interpreter.registry import kernel
from qir.ir import Context, verify
from qir.ir.records import Record, records
from qir.passes.lower.layout import Layout, layout_phases
from qir.rewrite import apply_patterns
from qir.text import parse_module

DIALECT = records("wide", "Records of a made-up chip with channels last.", {
    "Transpose": Record(perm=()), "Reshape": Record(shape=()), "Add": Record("a b"), "Relu": Record(),
    "Concat": Record("xs*", axis=0), "Split": Record("x", "ys*", axis=0, num_splits=1),
    "Sum": Record(axes=(), keep_dims=False), "Pad": Record(paddings=()),
    "Slice": Record(begin=(), end=(), strides=()), "Gather": Record("x i", axis=0), "Fill": Record("x v", paddings=()),
})  # fmt: skip
LAYOUT = Layout(
    transpose="wide.Transpose", reshape="wide.Reshape", elementwise=frozenset(("wide.Add", "wide.Relu")),
    axes={"wide.Concat": "axis", "wide.Split": "axis", "wide.Sum": "axes"}, reducing=frozenset(("wide.Sum",)),
    per_axis={"wide.Pad": ("paddings",), "wide.Slice": ("begin", "end", "strides")},
)  # fmt: skip
register_moves({name.lower(): f"wide.{name}" for name in (
    "Transpose", "Reshape", "Slice", "Split", "Gather", "Concat", "Pad", "Fill")})  # fmt: skip
kernel("wide.Add")(lambda node: as_onnx(node, "Add"))
kernel("wide.Relu")(lambda node: as_onnx(node, "Relu"))
kernel("wide.Sum")(lambda node: lambda x: x.sum(list(node.parameter("axes")), keepdim=node.parameter("keep_dims")))

LAST, FIRST = "{perm = [0, 2, 3, 1]}", "{perm = [0, 3, 1, 2]}"
A, B = "tensor<2x3x4x5xf32>", "tensor<2x4x5x3xf32>"


def laid_out(body: str, inputs: str, results: str) -> tuple[list[str], Any]:
    """The names of the records after both phases (constants left out), and the module; what it computes stays."""
    ctx = Context()
    ctx.register_dialect(DIALECT)
    body = re.sub(r"= \[([-\d, ]+)\]", r"= array<i64: \1>", body)
    module = parse_module(f"module {{ func.func @main({inputs}) -> ({results}) {{\n{body}\n}} }}", ctx)
    verify(module)
    rng = np.random.default_rng(0)
    feeds = {}
    for arg in next(op for op in module.body if op.name == "func.func").body.args:  # type: ignore[attr-defined]
        shape = [2 if n is None else n for n in arg.type.shape]
        feeds[arg.name] = rng.integers(-9, 10, shape).astype(np.float32)
    before = [as_array(v) for v in Plan(module).run(feeds).values()]
    for phase in layout_phases(LAYOUT):
        apply_patterns(module, phase, ctx)
        verify(module)
        after = [as_array(v) for v in Plan(module).run(feeds).values()]
        for x, y in zip(before, after, strict=True):
            np.testing.assert_array_equal(x, y)
    return [op.name.partition(".")[2] for op in module.walk() if op.name.startswith("wide.")], module


def attribute(module: Any, name: str, key: str) -> Any:
    (op,) = (op for op in module.walk() if op.name == f"wide.{name}")
    return op.attr(key)


def test_opposite_transposes_cancel() -> None:
    body = f"""%a = wide.Transpose(%x) {LAST} : ({A}) -> {B}
               %b = wide.Transpose(%a) {FIRST} : ({B}) -> {A}
               return %b : {A}"""
    assert laid_out(body, f"%x: {A}", A)[0] == []


def test_others_become_one() -> None:
    body = f"""%a = wide.Transpose(%x) {LAST} : ({A}) -> {B}
               %b = wide.Transpose(%a) {{perm = [1, 0, 2, 3]}} : ({B}) -> tensor<4x2x5x3xf32>
               return %b : tensor<4x2x5x3xf32>"""
    names, module = laid_out(body, f"%x: {A}", "tensor<4x2x5x3xf32>")
    assert names == ["Transpose"] and attribute(module, "Transpose", "perm") == (2, 0, 3, 1)


def test_they_sink_through_elements_and_a_residual_sum() -> None:
    """relu(first(x)) + first(y), then last: nothing is left to move."""
    body = f"""%a = wide.Transpose(%x) {FIRST} : ({B}) -> {A}
               %r = wide.Relu(%a) : ({A}) -> {A}
               %b = wide.Transpose(%y) {FIRST} : ({B}) -> {A}
               %s = wide.Add(%r, %b) : ({A}, {A}) -> {A}
               %t = wide.Transpose(%s) {LAST} : ({A}) -> {B}
               return %t : {B}"""
    assert laid_out(body, f"%x: {B}, %y: {B}", B)[0] == ["Relu", "Add"]


@pytest.mark.parametrize(
    ("constant", "type"),
    [("dense<2.0>", "tensor<f32>"), ("dense<[[[1.0]], [[2.0]], [[3.0]]]>", "tensor<3x1x1xf32>"),
     ("dense<[[1.0, 2.0, 3.0, 4.0, 5.0]]>", "tensor<1x5xf32>")],
)  # fmt: skip
def test_constants_are_laid_out_anew(constant: str, type: str) -> None:
    """They may have fewer axes: what broadcasts along the channels still does."""
    body = f"""%a = wide.Transpose(%x) {FIRST} : ({B}) -> {A}
               %c = onnx.Constant() {{value = {constant} : {type}}} : () -> {type}
               %s = wide.Add(%a, %c) : ({A}, {type}) -> {A}
               %t = wide.Transpose(%s) {LAST} : ({A}) -> {B}
               return %t : {B}"""
    assert laid_out(body, f"%x: {B}", B)[0] == ["Add"]


def test_a_transposed_constant_is_a_constant() -> None:
    body = """%c = onnx.Constant() {value = dense<[[1.0, 2.0, 3.0]]> : tensor<1x3xf32>} : () -> tensor<1x3xf32>
              %t = wide.Transpose(%c) {perm = [1, 0]} : (tensor<1x3xf32>) -> tensor<3x1xf32>
              return %t : tensor<3x1xf32>"""
    assert laid_out(body, "", "tensor<3x1xf32>")[0] == []


def test_an_operand_from_elsewhere_keeps_them_in_place() -> None:
    body = f"""%a = wide.Transpose(%x) {FIRST} : ({B}) -> {A}
               %s = wide.Add(%a, %y) : ({A}, {A}) -> {A}
               return %s : {A}"""
    assert laid_out(body, f"%x: {B}, %y: {A}", A)[0] == ["Transpose", "Add"]


def test_axes_are_renamed() -> None:
    body = f"""%a = wide.Transpose(%x) {FIRST} : ({B}) -> {A}
               %b = wide.Transpose(%y) {FIRST} : ({B}) -> {A}
               %c = wide.Concat(%a, %b) {{axis = 1}} : ({A}, {A}) -> tensor<2x6x4x5xf32>
               %t = wide.Transpose(%c) {LAST} : (tensor<2x6x4x5xf32>) -> tensor<2x4x5x6xf32>
               return %t : tensor<2x4x5x6xf32>"""
    names, module = laid_out(body, f"%x: {B}, %y: {B}", "tensor<2x4x5x6xf32>")
    assert names == ["Concat"] and attribute(module, "Concat", "axis") == 3


def test_each_part_of_a_split_is_moved() -> None:
    half = "tensor<2x3x2x5xf32>"
    body = f"""%a = wide.Transpose(%x) {FIRST} : ({B}) -> {A}
               %p, %q = wide.Split(%a) {{axis = -2, num_splits = 2}} : ({A}) -> ({half}, {half})
               return %p, %q : {half}, {half}"""
    names, module = laid_out(body, f"%x: {B}", f"{half}, {half}")
    assert names == ["Split", "Transpose", "Transpose"] and attribute(module, "Split", "axis") == 1


@pytest.mark.parametrize(
    ("perm", "moved", "axes", "keep", "result"),
    [
        ("[0, 3, 1, 2]", A, "[1, 3]", True, "tensor<2x1x4x1xf32>"),
        ("[2, 3, 0, 1]", "tensor<5x3x2x4xf32>", "[0, 1]", False, "tensor<2x4xf32>"),
        ("[2, 1, 0, 3]", "tensor<5x4x2x3xf32>", "[3]", False, "tensor<5x4x2xf32>"),
    ],
)
def test_reductions_take_their_axes_along(perm: str, moved: str, axes: str, keep: bool, result: str) -> None:
    """Without its axes the result may have another order than the operand."""
    body = f"""%a = wide.Transpose(%x) {{perm = {perm}}} : ({B}) -> {moved}
               %s = wide.Sum(%a) {{axes = {axes}, keep_dims = {str(keep).lower()}}} : ({moved}) -> {result}
               return %s : {result}"""
    names, module = laid_out(body, f"%x: {B}", result)
    order = [int(p) for p in re.findall(r"\d", perm)]
    assert names[0] == "Sum" and attribute(module, "Sum", "axes") == tuple(
        order[int(a)] for a in re.findall(r"\d", axes)
    )


def test_numbers_per_axis_are_reordered() -> None:
    body = f"""%a = wide.Transpose(%x) {FIRST} : ({B}) -> {A}
               %p = wide.Pad(%a) {{paddings = [0, 0, 0, 0, 1, 2, 3, 4]}} : ({A}) -> tensor<2x3x7x12xf32>
               %s = wide.Slice(%p) {{begin = [0, 1, 0, 2], end = [2, 3, 7, 9], strides = [1, 1, 2, 1]}}
                    : (tensor<2x3x7x12xf32>) -> tensor<2x2x4x7xf32>
               %t = wide.Transpose(%s) {LAST} : (tensor<2x2x4x7xf32>) -> tensor<2x4x7x2xf32>
               return %t : tensor<2x4x7x2xf32>"""
    names, module = laid_out(body, f"%x: {B}", "tensor<2x4x7x2xf32>")
    assert names == ["Pad", "Slice"]
    assert attribute(module, "Pad", "paddings") == (0, 0, 1, 2, 3, 4, 0, 0)
    assert attribute(module, "Slice", "begin") == (0, 0, 2, 1)


def test_a_transpose_of_single_pixels_is_a_reshape_and_goes_into_another() -> None:
    """The pooled features of a classifier: [N, 1, 1, C] to [N, C, 1, 1] to [N, C]."""
    body = """%a = wide.Transpose(%x) {perm = [0, 3, 1, 2]} : (tensor<?x1x1x8xf32>) -> tensor<?x8x1x1xf32>
              %r = wide.Reshape(%a) {shape = [-1, 8]} : (tensor<?x8x1x1xf32>) -> tensor<?x8xf32>
              return %r : tensor<?x8xf32>"""
    names, module = laid_out(body, "%x: tensor<?x1x1x8xf32>", "tensor<?x8xf32>")
    assert names == ["Reshape"] and attribute(module, "Reshape", "shape") == (-1, 8)


def test_reshapes_meet_across_an_operation_on_each_element() -> None:
    body = """%a = wide.Reshape(%x) {shape = [2, 3, 4]} : (tensor<2x12xf32>) -> tensor<2x3x4xf32>
              %r = wide.Relu(%a) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
              %b = wide.Reshape(%r) {shape = [2, 12]} : (tensor<2x3x4xf32>) -> tensor<2x12xf32>
              return %b : tensor<2x12xf32>"""
    assert laid_out(body, "%x: tensor<2x12xf32>", "tensor<2x12xf32>")[0] == ["Relu"]


def test_two_unknown_sizes_are_not_reshaped() -> None:
    body = """%a = wide.Transpose(%x) {perm = [0, 3, 1, 2]} : (tensor<?x?x1x1xf32>) -> tensor<?x1x?x1xf32>
              return %a : tensor<?x1x?x1xf32>"""
    assert laid_out(body, "%x: tensor<?x?x1x1xf32>", "tensor<?x1x?x1xf32>")[0] == ["Transpose"]
