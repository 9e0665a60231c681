"""Each pattern of canonicalize: it acts where it may, not where it may not, and the results stay the same."""

import pytest

X = "%x: tensor<2x3x4xf32>"
T = "tensor<2x3x4xf32>"


def unary(op: str, type_out: str = T) -> str:
    return f"""func.func @main({X}) -> {type_out} {{
      %y = {op} -> {type_out}
      %z = onnx.Relu(%y) : ({type_out}) -> {type_out}
      return %z : {type_out}
    }}"""


def const(name: str, value: str, type_: str) -> str:
    return f"{name} = onnx.Constant() {{value = dense<{value}> : {type_}}} : () -> {type_}\n"


def with_const(op: str, value: str, type_: str, out: str = T) -> str:
    return f"""func.func @main({X}) -> {out} {{
      {const("%c", value, type_)}
      %y = {op} -> {out}
      %z = onnx.Relu(%y) : ({out}) -> {out}
      return %z : {out}
    }}"""


DROPPED = {
    "identity": unary(f"onnx.Identity(%x) : ({T})"),
    "dropout": unary(f"onnx.Dropout(%x) : ({T})"),
    "cast": unary(f"onnx.Cast(%x) {{to = 1 : i64}} : ({T})"),
    "transpose": unary(f"onnx.Transpose(%x) {{perm = array<i64: 0, 1, 2>}} : ({T})"),
    "concat": unary(f"onnx.Concat(%x) {{axis = 1 : i64}} : ({T})"),
    "max": unary(f"onnx.Max(%x) : ({T})"),
    "pool": unary(f"onnx.MaxPool(%x) {{kernel_shape = array<i64: 1>}} : ({T})"),
    "clip": unary(f"onnx.Clip(%x) : ({T})"),
    "reshape": with_const(f"onnx.Reshape(%x, %c) : ({T}, tensor<3xi64>)", "[2, 3, -1]", "tensor<3xi64>"),
    "expand": with_const(f"onnx.Expand(%x, %c) : ({T}, tensor<2xi64>)", "[3, 1]", "tensor<2xi64>"),
    "tile": with_const(f"onnx.Tile(%x, %c) : ({T}, tensor<3xi64>)", "1", "tensor<3xi64>"),
    "slice": with_const(f"onnx.Slice(%x, %c, %c) : ({T}, tensor<0xi64>, tensor<0xi64>)", "", "tensor<0xi64>"),
    "pad": with_const(f"onnx.Pad(%x, %c) : ({T}, tensor<6xi64>)", "0", "tensor<6xi64>"),
    "add": with_const(f"onnx.Add(%c, %x) : (tensor<f32>, {T})", "0.0", "tensor<f32>"),
    "add_vector": with_const(f"onnx.Add(%x, %c) : ({T}, tensor<3x1xf32>)", "0.0", "tensor<3x1xf32>"),
    "sub": with_const(f"onnx.Sub(%x, %c) : ({T}, tensor<1xf32>)", "0.0", "tensor<1xf32>"),
    "mul": with_const(f"onnx.Mul(%c, %x) : (tensor<4xf32>, {T})", "1.0", "tensor<4xf32>"),
    "div": with_const(f"onnx.Div(%x, %c) : ({T}, tensor<f32>)", "1.0", "tensor<f32>"),
    "pow": with_const(f"onnx.Pow(%x, %c) : ({T}, tensor<f32>)", "1.0", "tensor<f32>"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_dropped(keeps_meaning, name):
    keeps_meaning(DROPPED[name], "canonicalize", ["Relu"])


BIG = "tensor<5x2x3x4xf32>"
KEPT = {
    "cast": (unary(f"onnx.Cast(%x) {{to = 11 : i64}} : ({T})", "tensor<2x3x4xf64>"), "Cast"),
    "transpose": (unary(f"onnx.Transpose(%x) : ({T})", "tensor<4x3x2xf32>"), "Transpose"),
    "pool": (
        unary(
            f"onnx.MaxPool(%x) {{kernel_shape = array<i64: 1>, strides = array<i64: 2>}} : ({T})", "tensor<2x3x2xf32>"
        ),
        "MaxPool",
    ),
    "add_that_broadcasts": (
        with_const(f"onnx.Add(%x, %c) : ({T}, tensor<5x1x1x1xf32>)", "0.0", "tensor<5x1x1x1xf32>", BIG),
        "Add",
    ),
    "sub_from_zero": (with_const(f"onnx.Sub(%c, %x) : (tensor<f32>, {T})", "0.0", "tensor<f32>"), "Sub"),
    "one_over_x": (with_const(f"onnx.Div(%c, %x) : (tensor<f32>, {T})", "1.0", "tensor<f32>"), "Div"),
    "pad": (
        with_const(
            f"onnx.Pad(%x, %c) : ({T}, tensor<6xi64>)", "[0, 0, 1, 0, 0, 0]", "tensor<6xi64>", "tensor<2x3x5xf32>"
        ),
        "Pad",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_kept(keeps_meaning, name):
    body, op = KEPT[name]
    keeps_meaning(body, "canonicalize", [op, "Relu"])


def test_a_reversing_slice_stays(keeps_meaning):
    body = f"""func.func @main({X}) -> {T} {{
      {const("%s", "-1", "tensor<1xi64>")}{const("%e", "-9", "tensor<1xi64>")}{const("%a", "2", "tensor<1xi64>")}
      %y = onnx.Slice(%x, %s, %e, %a, %s) : ({T}, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> {T}
      return %y : {T}
    }}"""
    keeps_meaning(body, "canonicalize", ["Slice"])


def test_dropout_in_training_or_with_a_used_mask_stays(keeps_meaning):
    mask = "tensor<2x3x4xi1>"
    keeps_meaning(
        f"""func.func @main({X}) -> ({T}, {mask}) {{
          %y:2 = onnx.Dropout(%x) : ({T}) -> ({T}, {mask})
          return %y#0, %y#1 : {T}, {mask}
        }}""",
        "canonicalize",
        ["Dropout"],
    )


def test_repetitions(keeps_meaning):
    for op, left in (("Relu", ["Relu"]), ("Abs", ["Abs"]), ("Neg", []), ("Round", ["Round"])):
        body = f"""func.func @main({X}) -> {T} {{
          %y = onnx.{op}(%x) : ({T}) -> {T}
          %z = onnx.{op}(%y) : ({T}) -> {T}
          return %z : {T}
        }}"""
        keeps_meaning(body, "canonicalize", left)
    body = f"""func.func @main({X}) -> {T} {{
      %y = onnx.Relu(%x) : ({T}) -> {T}
      %z = onnx.Abs(%y) : ({T}) -> {T}
      return %z : {T}
    }}"""
    keeps_meaning(body, "canonicalize", ["Relu", "Abs"])


def test_transposes_are_composed(keeps_meaning):
    body = f"""func.func @main({X}) -> tensor<3x4x2xf32> {{
      %y = onnx.Transpose(%x) {{perm = array<i64: 2, 0, 1>}} : ({T}) -> tensor<4x2x3xf32>
      %z = onnx.Transpose(%y) : (tensor<4x2x3xf32>) -> tensor<3x2x4xf32>
      %a = onnx.Transpose(%z) {{perm = array<i64: 0, 2, 1>}} : (tensor<3x2x4xf32>) -> tensor<3x4x2xf32>
      return %a : tensor<3x4x2xf32>
    }}"""
    module = keeps_meaning(body, "canonicalize", ["Transpose"])
    assert module.body.last.body.first.attr("perm") == (1, 2, 0)


def test_inverse_transposes_vanish(keeps_meaning):
    body = f"""func.func @main({X}) -> {T} {{
      %y = onnx.Transpose(%x) {{perm = array<i64: 2, 0, 1>}} : ({T}) -> tensor<4x2x3xf32>
      %z = onnx.Transpose(%y) {{perm = array<i64: 1, 2, 0>}} : (tensor<4x2x3xf32>) -> {T}
      return %z : {T}
    }}"""
    keeps_meaning(body, "canonicalize", [])


def test_reshapes_are_composed(keeps_meaning):
    body = f"""func.func @main({X}) -> tensor<6x4xf32> {{
      {const("%s", "[-1]", "tensor<1xi64>")}{const("%t", "[6, -1]", "tensor<2xi64>")}
      %y = onnx.Reshape(%x, %s) : ({T}, tensor<1xi64>) -> tensor<24xf32>
      %z = onnx.Reshape(%y, %t) : (tensor<24xf32>, tensor<2xi64>) -> tensor<6x4xf32>
      return %z : tensor<6x4xf32>
    }}"""
    keeps_meaning(body, "canonicalize", ["Reshape"])
    copying = (
        body.replace("[6, -1]", "[0]")
        .replace("tensor<2xi64>", "tensor<1xi64>")
        .replace("tensor<6x4xf32>", "tensor<24xf32>")
    )
    keeps_meaning(copying, "canonicalize{fold=false}", ["Reshape"])  # the second is a no-op, the first stays


def test_clips(keeps_meaning):
    zero = with_const(f"onnx.Clip(%x, %c) : ({T}, tensor<f32>)", "0.0", "tensor<f32>")
    keeps_meaning(zero, "canonicalize", ["Relu"])
    bounded = f"""func.func @main({X}) -> {T} {{
      {const("%lo", "0.0", "tensor<f32>")}{const("%hi", "6.0", "tensor<f32>")}
      %y = onnx.Clip(%x, %lo, %hi) : ({T}, tensor<f32>, tensor<f32>) -> {T}
      return %y : {T}
    }}"""
    keeps_meaning(bounded, "canonicalize", ["Clip"])
    upper = f"""func.func @main({X}) -> {T} {{
      {const("%hi", "0.0", "tensor<f32>")}
      %y = onnx.Clip(%x, _, %hi) : ({T}, none, tensor<f32>) -> {T}
      return %y : {T}
    }}"""
    keeps_meaning(upper, "canonicalize", ["Clip"])


def test_integer_clip_is_no_relu(keeps_meaning):
    body = f"""func.func @main(%x: tensor<4xi32>) -> tensor<4xi32> {{
      {const("%lo", "0", "tensor<i32>")}
      %y = onnx.Clip(%x, %lo) : (tensor<4xi32>, tensor<i32>) -> tensor<4xi32>
      return %y : tensor<4xi32>
    }}"""
    keeps_meaning(body, "canonicalize", ["Clip"])


def test_sum_of_two_is_add(keeps_meaning):
    body = f"""func.func @main({X}, %c: tensor<4xf32>) -> {T} {{
      %y = onnx.Sum(%x, %c) : ({T}, tensor<4xf32>) -> {T}
      %z = onnx.Sum(%y, %x, %x) : ({T}, {T}, {T}) -> {T}
      return %z : {T}
    }}"""
    keeps_meaning(body, "canonicalize", ["Add", "Sum"])
