"""retarget: scales stay where the data sheets agree, ranges where they do not, and nothing is made up."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from qir.dialects.qsim import QuantizerOp
from qir.interpreter import Plan, as_array
from qir.ir import Context, Operation, QirError, verify
from qir.ir.compare import difference
from qir.numerics import Scheme, range_to_params
from qir.passes import run_pipeline
from qir.passes.quantize.retarget import known_range, scheme_changes
from qir.target import Data, Rule, Weight, get_target, register_target
from qir.text import parse_module, print_module

T = "tensor<2x4x6x6xf32>"
SYMMETRIC = {"activation": Scheme(storage="i8"), "weight": Scheme(storage="i8", qmin=-127)}
X = Data("activation")


@pytest.fixture(scope="module", autouse=True)
def chips() -> Iterator[None]:
    """Targets whose data sheets differ from onnxruntime's in one thing each."""
    sheet = get_target("onnxruntime")
    wide = {"activation": Scheme(storage="i16")}
    for name, changes in {
        "same": {},
        "symmetric": {"schemes": {**sheet.schemes, **SYMMETRIC}},
        "pow2": {"schemes": {**sheet.schemes, "activation": Scheme(storage="i8", pow2="up", rounding="half_away")}},
        "per-tensor": {"rules": (Rule("Conv", "compute", {"X": X, "W": Weight("weight")}, result="activation", output="always"),)},
        "dynamic": {"schemes": {**sheet.schemes, "activation": Scheme(storage="u8", symmetric=False, dynamic=True)},
                    "rules": (Rule("Conv", "compute", {"X": X, "W": Weight("weight", axis=0)}),)},
        "sigmoid": {"rules": (*(r for r in sheet.rules if "Sigmoid" not in r.ops),
                              Rule("Sigmoid", "compute", {"X": X}, result="activation", output="always", fixed=(1 / 256, 0)))},
        "modes": {"modes": {"wide": wide}},
    }.items():  # fmt: skip
        register_target(attrs.evolve(sheet, name=name, **{"pipeline": "", **changes}))
    yield
    from qir.target import registry

    for name in ("same", "symmetric", "pow2", "per-tensor", "dynamic", "sigmoid", "modes"):
        del registry._REGISTERED[name]


def network(seed: int) -> str:
    """Convolutions with and without bias, sums, products, pools and joins over tensors of one shape."""
    rng = random.Random(seed)
    lines, values = [], ["x"]

    def add(text: str, operands: int) -> None:
        name = f"v{len(values)}"
        lines.append(f'%{name} = {text} : ({", ".join([T] * operands)}) -> {T} loc("{name}")')
        values.append(name)

    def constant(name: str, shape: tuple[int, ...], scale: float) -> str:
        numbers = np.random.default_rng(rng.randrange(1 << 30)).normal(0, scale, shape).astype(np.float32)
        type_ = f"tensor<{'x'.join(map(str, shape))}xf32>"
        lines.append(f"%{name} = onnx.Constant() {{value = dense<{numbers.tolist()}> : {type_}}} : () -> {type_}")
        return type_

    for step in range(rng.randint(3, 9)):
        a, b = rng.choice(values[-3:]), rng.choice(values)
        kind = (
            "Conv"
            if step == 0
            else rng.choice(["Conv", "Conv", "Conv", "Add", "Mul", "MaxPool", "Sigmoid", "Tanh", "Concat", "Transpose"])
        )
        if kind == "Conv":
            types, names = [T, constant(f"w{step}", (4, 4, 1, 1), 0.7)], [f"%{a}", f"%w{step}"]
            if rng.random() < 0.7:
                types.append(constant(f"b{step}", (4,), 0.3))
                names.append(f"%b{step}")
            name = f"v{len(values)}"
            lines.append(f'%{name} = onnx.Conv({", ".join(names)}) : ({", ".join(types)}) -> {T} loc("{name}")')
            values.append(name)
            if rng.random() < 0.4:
                add(f"onnx.Relu(%{name})", 1)
        elif kind in ("Add", "Mul"):
            add(f"onnx.{kind}(%{a}, %{b})", 2)
        elif kind == "Concat":
            half = "tensor<2x2x6x6xf32>"
            lines.append(f"%h{step}:2 = onnx.Split(%{a}) {{axis = 1 : i64}} : ({T}) -> ({half}, {half})")
            name = f"v{len(values)}"
            lines.append(
                f'%{name} = onnx.Concat(%h{step}#1, %h{step}#0) {{axis = 1 : i64}} : ({half}, {half}) -> {T} loc("{name}")'
            )
            values.append(name)
        else:
            attributes = {"MaxPool": " {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>}",
                          "Transpose": " {perm = array<i64: 0, 1, 3, 2>}"}.get(kind, "")  # fmt: skip
            add(f"onnx.{kind}(%{a}){attributes}", 1)
    body = "\n".join(lines)
    return f"module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{\nfunc.func @main(%x: {T}) -> {T} {{\n{body}\nreturn %{values[-1]} : {T}\n}}\n}}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "calib.npz", x=np.random.default_rng(2).normal(0, 1.5, (4, 4, 6, 6)).astype(np.float32))
    return tmp_path / "calib.npz"


def run(module: str | Operation, pipeline: str) -> Any:
    """A copy after the pipeline; what was said stands in `remarks`."""
    ctx = Context(allow_unregistered=True)
    copy = parse_module(module, ctx) if isinstance(module, str) else module.clone()
    run_pipeline(copy, pipeline, ctx)
    verify(copy)
    remarks[id(copy)] = [
        f"{d.category or d.severity.name.lower()}: {d.message}" for d in ctx.diagnostics if d.name in ("", "retarget")
    ]
    return copy


remarks: dict[int, list[str]] = {}


def quantizers(module: Operation) -> dict[str, QuantizerOp]:
    return {op.sym_name: op for op in module.walk() if isinstance(op, QuantizerOp)}


def parameters(module: Operation) -> dict[str, tuple[Any, Any]]:
    return {n: tuple(None if a is None else a.tolist() for a in q.parameters()) for n, q in quantizers(module).items()}  # type: ignore[misc]


# ---------------------------------------------------------------- properties
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("target", ["onnxruntime", "litert", "ncnn", "openvino"])
def test_the_same_data_sheet_changes_nothing(target: str, seed: int, data: Path) -> None:
    before = run(network(seed), f"annotate{{target={target}}},calibrate{{data={data}}}")
    assert quantizers(before)
    after = run(before, f"retarget{{target={target}}}")
    assert difference(before, after, names=True, locations=True) is None
    whole = run(before, "materialise")
    assert difference(whole, run(whole, f"retarget{{target={target}}},materialise")) is None
    text = print_module(whole)
    assert difference(whole, run(text, f"retarget{{target={target}}},materialise")) is None


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("chip", ["symmetric", "pow2"])
def test_there_and_back_is_where_it_started(seed: int, chip: str, data: Path) -> None:
    """Ranges outlive a scheme that could not use all of them: the scales come back bit for bit."""
    before = run(network(seed), f"annotate{{target=onnxruntime}},calibrate{{data={data} weights=minmax}}")
    there = run(before, f"retarget{{target={chip} weights=minmax}}")
    assert all(q.is_calibrated for q in quantizers(there).values())
    assert there.attr("qir.target") == chip and parameters(there) != parameters(before)
    back = run(there, "retarget{target=onnxruntime weights=minmax}")
    assert difference(before, back, names=True, locations=True) is None


@pytest.mark.parametrize("seed", range(6))
def test_what_comes_out_is_what_calibration_on_the_data_gives(seed: int, data: Path) -> None:
    """With extremes as ranges the scheme has no part in them, so re-targeting and calibrating anew must agree."""
    how = f"calibrate{{data={data} method=minmax weights=minmax}}"
    moved = run(network(seed), f"annotate{{target=onnxruntime}},{how},retarget{{target=symmetric weights=minmax}}")
    fresh = run(network(seed), f"annotate{{target=symmetric}},{how}")
    assert parameters(moved) == parameters(fresh)


# ---------------------------------------------------------------- one thing at a time
CONV = f"""
module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}, qir.profile = "fast", qir.target = "onnxruntime"}} {{
  qsim.quantizer @x : u8 affine per_tensor range(-1.0, 3.0) scale(0.015686275) zero(64)
  qsim.quantizer @w : i8<-127:127> symmetric per_axis(0) scale([0.5, 0.25, 0.125, 2.0])
  qsim.quantizer @y : u8 affine per_tensor range(0.0, 2.0) scale(0.007843138) zero(0)
  func.func @main(%x: {T}) -> {T} {{
    %w = onnx.Constant() {{value = dense<[[[[1.0]], [[2.0]], [[-3.0]], [[4.0]]], [[[1.0]], [[1.0]], [[1.0]], [[1.0]]], [[[0.5]], [[0.25]], [[0.0]], [[1.0]]], [[[8.0]], [[9.0]], [[7.0]], [[6.0]]]]> : tensor<4x4x1x1xf32>}} : () -> tensor<4x4x1x1xf32>
    %0 = qsim.fake %x by @x : {T}
    %1 = qsim.fake %w by @w : tensor<4x4x1x1xf32>
    %c = onnx.Conv(%0, %1) : ({T}, tensor<4x4x1x1xf32>) -> {T} loc("conv")
    %y = qsim.fake %c by @y : {T} loc("conv")
    %r = onnx.Tanh(%y) : ({T}) -> {T} loc("tanh")
    return %r : {T}
  }}
}}
"""


def test_what_belongs_to_the_old_target_goes() -> None:
    module = run(CONV, "retarget{target=same}")
    assert module.attr("qir.target") == "same" and "qir.profile" not in module.attributes


def test_a_scheme_that_differs_gets_the_range() -> None:
    module = run(CONV, "retarget{target=pow2}")
    x = quantizers(module)["x"]
    assert (float(x.lo.numpy()), float(x.hi.numpy()), float(x.scale.numpy()), x.zero) == (-1.0, 3.0, 2.0**-5, None)  # type: ignore[union-attr]
    assert (
        "passed: @x on 'x': u8 affine per_tensor becomes i8 symmetric per_tensor pow2(up) round(half_away) "
        "(storage, zero point, form of the scale, rounding); the range [-1, 3] is used again"
    ) in remarks[id(module)]


def test_where_only_the_rounding_differs_scales_stay() -> None:
    """The search of a weight's scale had data that re-targeting has not: what it found is right for both."""
    text = CONV.replace("i8<-127:127> symmetric per_axis(0) ", "i8<-127:127> symmetric per_axis(0) round(half_away) ")
    module = run(text.replace("u8 affine per_tensor", "u8 affine per_tensor round(floor)"), "retarget{target=same}")
    assert [parameters(module)[n] for n in ("x", "w", "c")] == [
        parameters(parse_module(CONV, Context()))[n] for n in ("x", "w", "y")
    ]
    assert sum("(rounding); its scale stays" in r for r in remarks[id(module)]) == 3


def test_a_weight_of_another_granularity_is_searched_again() -> None:
    module = run(CONV, "retarget{target=per-tensor weights=minmax}")
    assert float(quantizers(module)["w"].scale.numpy()) == np.float32(9) / np.float32(127)  # type: ignore[union-attr]
    said = [r for r in remarks[id(module)] if "@w" in r]
    assert len(said) == 1 and "per_axis(0) becomes" in said[0] and "(granularity); its scale is found again" in said[0]
    stored = run(CONV, "materialise,retarget{target=per-tensor weights=minmax}")
    assert float(quantizers(stored)["w"].scale.numpy()) == np.float32(8) / np.float32(127)  # type: ignore[union-attr]  # 9 is 4 steps of 2.0
    assert any("on the grid of onnxruntime" in r for r in remarks[id(stored)])


def test_weights_can_be_left_to_the_data(data: Path) -> None:
    """Calibration knows from the inputs which errors of a weight count; re-targeting does not."""
    later = run(CONV, "retarget{target=per-tensor weights=later}")
    assert parameters(later)["w"] == (None, None)
    assert any("its scale is left to calibrate" in r for r in remarks[id(later)])
    found = run(later, f"calibrate{{data={data}}}")
    at_once = run(CONV, "retarget{target=per-tensor}")
    assert parameters(found)["w"][0] is not None and parameters(found)["x"] == parameters(at_once)["x"]


def test_a_scale_changed_by_hand_goes_before_the_range_it_came_from() -> None:
    edited = CONV.replace("scale(0.015686275) zero(64)", "scale(0.5) zero(100)")
    x = quantizers(run(edited, "retarget{target=symmetric}"))["x"]
    assert (float(x.lo.numpy()), float(x.hi.numpy())) == (-50.0, 77.5)  # type: ignore[union-attr]
    assert float(x.scale.numpy()) == np.float32(77.5) / np.float32(127)  # type: ignore[union-attr]
    assert parameters(run(edited, "retarget{target=same}"))["x"] == (0.5, 100)


def test_a_scale_without_a_range_gives_the_range_that_it_reaches() -> None:
    edited = CONV.replace("range(-1.0, 3.0) scale(0.015686275) zero(64)", "scale(0.5) zero(128)")
    x = quantizers(run(edited, "retarget{target=symmetric}"))["x"]
    assert (float(x.lo.numpy()), float(x.hi.numpy())) == (-64.0, 63.5)  # type: ignore[union-attr]


def test_an_edge_that_nobody_quantized_has_no_scale_and_says_so() -> None:
    edited = "\n".join(line for line in CONV.splitlines() if "qsim.fake %c" not in line and "@y :" not in line).replace(
        "(%y)", "(%c)"
    )
    module = run(edited, "retarget{target=same}")
    assert parameters(module)["c"] == (None, None)
    assert any(
        r.startswith("missed: @c on 'c': u8 affine per_tensor, which onnxruntime did not quantize; no range is known")
        for r in remarks[id(module)]
    )
    with pytest.raises(QirError, match=r"\[conv\] the quantizer @c has no scale"):
        run(module, "materialise")


def test_calibrate_finds_only_what_is_missing(data: Path) -> None:
    edited = CONV.replace("scale(0.015686275) zero(64)", "scale(0.5) zero(100)")
    edited = "\n".join(
        line for line in edited.splitlines() if "qsim.fake %c" not in line and "@y :" not in line
    ).replace("(%y)", "(%c)")
    module = run(edited, f"retarget{{target=same}},calibrate{{data={data}}},materialise")
    found = parameters(module)
    assert found["x"] == (0.5, 100) and found["c"][0] is not None


def test_a_weight_beside_an_input_without_a_range_waits_for_the_data() -> None:
    """Its scale may have to grow for the bias, whose scale is the product of both."""
    edited = CONV.replace(" range(-1.0, 3.0) scale(0.015686275) zero(64)", "").replace("%0, %1)", "%0, %1, %2)")
    edited = edited.replace(f"({T}, tensor<4x4x1x1xf32>)", f"({T}, tensor<4x4x1x1xf32>, tensor<4xf32>)").replace(
        "    %c = ", "    %b = onnx.Constant() {value = dense<9.0e9> : tensor<4xf32>} : () -> tensor<4xf32>\n    %2 = qsim.fake %b by @b : tensor<4xf32>\n    %c = "
    ).replace("  func.func", "  qsim.quantizer @b : i32 symmetric product(@x, @w)\n  func.func")  # fmt: skip
    edited = edited.replace("@w : i8<-127:127>", "@w : i8")  # a scheme of its own
    module = run(edited, "retarget{target=same}")
    assert parameters(module)["x"] == parameters(module)["w"] == (None, None)
    assert any("missed: @x on 'x'" in r and "@x had none that fits" in r for r in remarks[id(module)])


def test_a_bias_must_fit_where_scales_beside_it_have_changed() -> None:
    big = CONV.replace("%0, %1)", "%0, %1, %2)").replace(f"({T}, tensor<4x4x1x1xf32>)", f"({T}, tensor<4x4x1x1xf32>, tensor<4xf32>)").replace(
        "    %c = ", "    %b = onnx.Constant() {value = dense<[1.0e9, 0.0, 0.0, 0.0]> : tensor<4xf32>} : () -> tensor<4xf32>\n    %2 = qsim.fake %b by @b : tensor<4xf32>\n    %c = "
    ).replace("  func.func", "  qsim.quantizer @b : i32 symmetric product(@x, @w)\n  func.func")  # fmt: skip
    w = quantizers(run(big, "retarget{target=symmetric}"))["w"].scale
    assert (
        w is not None and float(w.numpy()[0]) > 1e9 / 2**31 / (3 / 127) and w.numpy()[1:].tolist() == [0.25, 0.125, 2.0]
    )
    kept = quantizers(run(big, "retarget{target=same}"))["w"].scale
    assert kept is not None and kept.numpy().tolist() == [0.5, 0.25, 0.125, 2.0]


def test_a_dynamic_quantizer_needs_no_range() -> None:
    module = run(CONV, "retarget{target=dynamic}")
    assert quantizers(module)["x"].dynamic and parameters(module)["x"] == (None, None)
    assert any("its scale is computed at run time" in r for r in remarks[id(module)])
    assert any(
        r.startswith("missed: 'c' is read in float: onnxruntime quantized it by @y, dynamic does not")
        for r in remarks[id(module)]
    )
    back = run(module, "retarget{target=onnxruntime}")
    assert any("missed: @x on 'x'" in r for r in remarks[id(back)])


def test_a_materialised_dynamic_quantizer_comes_back() -> None:
    module = run(CONV, "retarget{target=dynamic}")
    stored = run(module, "materialise")
    assert any(op.name == "qsim.encode_dynamic" for op in stored.walk())
    assert difference(stored, run(stored, "retarget{target=dynamic},materialise")) is None


def test_fakes_in_a_subgraph_go_and_are_named() -> None:
    """annotate leaves subgraphs in float, whoever quantized what is in them before."""
    text = f"""
    module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}, qir.target = "chip"}} {{
      qsim.quantizer @x : i8 symmetric per_tensor scale(0.5)
      func.func @main(%x: {T}, %c: tensor<i1>) -> {T} {{
        %y = onnx.If(%c) ({{
          %0 = qsim.fake %x by @x : {T}
          onnx.Yield(%0) : ({T}) -> ()
        }}, {{
          onnx.Yield(%x) : ({T}) -> ()
        }}) : (tensor<i1>) -> {T}
        return %y : {T}
      }}
    }}"""
    module = run(text, "retarget{target=onnxruntime}")
    assert not quantizers(module) and not any(op.name.startswith("qsim.") for op in module.walk())
    assert any("'x' is read in float: chip quantized it by @x" in r for r in remarks[id(module)])


def test_a_scale_that_the_kernel_fixes_stays_fixed() -> None:
    edited = CONV.replace("onnx.Tanh", "onnx.Sigmoid")
    module = run(edited, "retarget{target=sigmoid}")
    assert parameters(module)["r"] == (1 / 256, None) or parameters(module)["r"] == (1 / 256, 0)
    assert any("the kernel of sigmoid fixes its scale" in r for r in remarks[id(module)])
    assert len(remarks[id(run(module, "retarget{target=sigmoid}"))]) == 1  # the account alone


def test_a_mode_is_another_data_sheet() -> None:
    module = run(CONV, "retarget{target=modes mode=wide}")
    assert module.attr("qir.mode") == "wide" and str(quantizers(module)["x"].scheme).startswith("i16")
    assert "qir.mode" not in run(module, "retarget{target=same}").attributes


def test_what_a_value_is_made_of_tells_its_range() -> None:
    """onnxruntime would share the quantizer of the reshaped value; a text that does not quantizes the convolution only."""
    chip = f"""
    module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}, qir.target = "chip"}} {{
      qsim.quantizer @x : i8 symmetric per_tensor range(-2.0, 1.0) scale(0.015748031)
      func.func @main(%x: {T}) -> {T} {{
        %w = onnx.Constant() {{value = dense<0.5> : tensor<4x4x1x1xf32>}} : () -> tensor<4x4x1x1xf32>
        %0 = qsim.fake %x by @x : {T}
        %a = onnx.Tanh(%0) : ({T}) -> {T}
        %t = onnx.Transpose(%x) {{perm = array<i64: 0, 1, 3, 2>}} : ({T}) -> {T}
        %y = onnx.Conv(%t, %w) : ({T}, tensor<4x4x1x1xf32>) -> {T} loc("conv")
        %z = onnx.Sub(%y, %a) : ({T}, {T}) -> {T}
        return %z : {T}
      }}
    }}"""
    module = run(chip, "retarget{target=onnxruntime}")
    t = quantizers(module)["t"]
    assert (float(t.lo.numpy()), float(t.hi.numpy())) == (-2.0, 1.0)  # type: ignore[union-attr]
    assert [name for name, found in parameters(module).items() if found[0] is None] == [
        "y"
    ]  # the convolution's own result, which the chip gives in float


def test_readers_with_quantizers_of_their_own_keep_them_apart() -> None:
    two = f"""
    module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}, qir.target = "chip"}} {{
      qsim.quantizer @narrow : i8 symmetric per_tensor range(-1.0, 1.0) scale(0.007874016)
      qsim.quantizer @wide : i16 symmetric per_tensor range(-8.0, 8.0) scale(0.00024414808)
      func.func @main(%x: {T}) -> {T} {{
        %w = onnx.Constant() {{value = dense<0.5> : tensor<4x4x1x1xf32>}} : () -> tensor<4x4x1x1xf32>
        %0 = qsim.fake %x by @narrow : {T}
        %1 = qsim.fake %x by @wide : {T}
        %y = onnx.Conv(%0, %w) : ({T}, tensor<4x4x1x1xf32>) -> {T} loc("conv")
        %t = onnx.Tanh(%1) : ({T}) -> {T}
        %z = onnx.Sub(%y, %t) : ({T}, {T}) -> {T}
        return %z : {T}
      }}
    }}"""
    module = run(two, "retarget{target=symmetric}")
    assert parameters(module)["x"] == parameters(parse_module(two, Context()))["narrow"]
    assert any("'x' is read in float: chip quantized it by @wide" in r for r in remarks[id(module)])


# ---------------------------------------------------------------- what is refused
def test_a_float_module_is_an_error() -> None:
    with pytest.raises(QirError, match="has no quantizers whose ranges could be used"):
        run(network(0), "retarget{target=onnxruntime}")


def test_a_lowered_module_is_an_error() -> None:
    with pytest.raises(QirError, match="is a record of onnxruntime: it cannot be quantized for another target"):
        run(CONV, "materialise,lower-to-onnxruntime,retarget{target=symmetric}")


def test_codes_that_something_else_computes_with_are_an_error() -> None:
    text = """
    module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
      qsim.quantizer @x : i8 symmetric per_tensor scale(0.5)
      func.func @main(%x: tensor<4xf32>) -> tensor<4xi8> {
        %q = qsim.encode %x by @x : tensor<4xf32> to tensor<4xi8>
        %n = onnx.Neg(%q) : (tensor<4xi8>) -> tensor<4xi8>
        return %n : tensor<4xi8>
      }
    }"""
    with pytest.raises(QirError, match="makes codes that an operation of a chip reads"):
        run(text, "retarget{target=onnxruntime}")
    back = text.replace("-> tensor<4xi8> {", "-> tensor<4xf32> {").replace(
        "return %n : tensor<4xi8>",
        "%f = qsim.decode %n by @x : tensor<4xi8> to tensor<4xf32>\nreturn %f : tensor<4xf32>",
    )
    with pytest.raises(QirError, match="reads codes that come from an operation of a chip"):
        run(back, "retarget{target=onnxruntime}")


def test_an_unknown_mode_or_target_is_an_error_before_anything_changes() -> None:
    ctx = Context()
    for options in ("target=symetric", "target=same mode=fast"):
        module = parse_module(CONV, ctx)
        with pytest.raises(QirError):
            run_pipeline(module, f"retarget{{{options}}}", ctx)
        assert difference(module, parse_module(CONV, Context())) is None
    with pytest.raises(QirError, match="needs the option 'target'"):
        run_pipeline(parse_module(CONV, ctx), "retarget", ctx)


# ---------------------------------------------------------------- the parts
@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (Scheme(storage="u8", symmetric=False), Scheme(storage="i8"), ["storage", "zero point"]),
        (Scheme(storage="i8"), Scheme(storage="i8", qmin=-127), ["codes"]),
        (Scheme(storage="i8"), Scheme(storage="i8", rounding="half_up", saturate=False), ["rounding", "saturation"]),
        (Scheme(storage="i8"), Scheme(storage="i8", dynamic=True, pow2="up"), ["form of the scale", "static or dynamic"]),
        (Scheme(storage="i8"), Scheme(storage="i8"), []),
    ],
)  # fmt: skip
def test_what_differs_between_schemes_in_words(a: Scheme, b: Scheme, words: list[str]) -> None:
    assert list(scheme_changes(a, b)) == words


def test_a_range_along_an_axis_serves_one_per_tensor_and_not_the_other_way() -> None:
    text = "module {\nqsim.quantizer @w : i8 symmetric per_axis(0) range([-1.0, -4.0], [2.0, 3.0]) scale([0.015748031, 0.031496063])\n}"
    w = quantizers(parse_module(text, Context()))["w"]
    found = known_range(w, Scheme(storage="i8"))
    assert found is not None and [float(v) for v in found] == [-4.0, 3.0]
    assert range_to_params(*found, Scheme(storage="i8"))[0].item() == np.float32(4) / np.float32(127)
    x = quantizers(parse_module("module {\nqsim.quantizer @x : i8 symmetric per_tensor scale(1.0)\n}", Context()))["x"]
    assert known_range(x, w.scheme) is None


def test_a_range_with_its_ends_swapped_is_an_error() -> None:
    with pytest.raises(QirError, match=r"@x has the range \(3.0, -1.0\)"):
        run(CONV.replace("range(-1.0, 3.0)", "range(3.0, -1.0)"), "retarget{target=symmetric}")


def test_the_converted_module_runs() -> None:
    """Simulated on both schemes, results agree within a few steps of the coarser one."""
    x = np.random.default_rng(4).uniform(-0.1, 0.1, (2, 4, 6, 6)).astype(np.float32)
    text = CONV.replace("range(0.0, 2.0) scale(0.007843138) zero(0)", "range(-2.0, 2.0) scale(0.015686275) zero(128)")
    before, after = (
        as_array(Plan(run(text, p)).run({"x": x})["r"])
        for p in ("canonicalize", "retarget{target=symmetric},materialise")
    )
    assert 0 < float(np.abs(before - after).max()) < 0.3
