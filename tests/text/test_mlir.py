"""MLIR's own tool as judge: it takes our generic form, and we take whatever it prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from qir.ir import Context, difference
from qir.text import parse_module, print_module

CONTEXT = Context(allow_unregistered=True)

# Everything that MLIR's printer can show, in one module.
TEXT = r"""
#outer = loc("outer.py":1:2)
module @m attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func private @declared(tensor<2xf32> {a.b = 1 : i32}) -> (tensor<2xf32> {c.d})
  func.func @"odd name"() { return }
  func.func public @main(%x: tensor<?x4xf32> {onnx.name = "x/0"}) -> (tensor<?x4xf32>, i1) attributes {
      k.l = [1, 2.5, true, unit, @a::@"b c", -1 : i8, 0x7F800000 : f32, "a\0A\"\\ \C3\A9"]} {
    %0:2 = "foo.bar"(%x) <{p = 1 : i32}> ({
     ^bb0(%a: i32, %b: tuple<i8, !onnx.string>):
      %1 = "q.w"() : () -> i1
      "foo.yield"(%1) {return} : (i1) -> ()
    }, {}, { %1 = "q.w"() : () -> i1 "a.b"() : () -> () }) {
      z.z, "odd key" = 3, "0" = -0.0 : f16, affine = affine_map<(d0, d1) -> (d0 + d1 * 2)>, again = affine_map<(d0, d1) -> (d0 + d1 * 2)>,
      dense = dense<[[1.0, -2.5], [0x7FC00000, 1.0e-30]]> : tensor<2x2xf32>, hex = dense<"0x01020304"> : tensor<4xi8>,
      splat = dense<7> : tensor<100xi4>, bools = dense<[true, false, true]> : tensor<3xi1>, none = dense<> : tensor<0x2xi8>,
      complex = dense<[(1.0, 2.0), (3.0, 4.0)]> : tensor<2xcomplex<f32>>, strings = dense<["a", "\00"]> : tensor<2x!onnx.string>,
      resource = dense_resource<w1> : tensor<2xf32>, array = array<i64: 1, -2>, flags = array<i1: true, false>,
      floats = array<f32: 0.5, 3.0e+10>, empty = array<i8>, location = loc("x"(fused["a", "f":1:2])), type = (i8) -> (i8, i8),
      v = vector<[4]x2xf32>, mm = memref<2xf32, strided<[1], offset: ?>>, opaque = #t.x<[1, {2}], "]">, enc = tensor<4xi8, #t.e<1>>,
      f8 = 1.5 : f8E4M3FN, f4 = dense<[0.5, -6.0]> : tensor<2xf4E2M1FN>, bf = 3.0 : bf16, i2 = dense<[-2, 1]> : tensor<2xi2>,
      u4 = dense<[15, 0]> : tensor<2xui4>, u8 = 255 : ui8, big = 9223372036854775807, index = 3 : index
    } : (tensor<?x4xf32>) -> (tensor<?x4xf32>, i1) loc("n"("f.py":3:4))
    %5:2 = func.call @main(%0#0) {onnx.names = ["a/1", "b"]} : (tensor<?x4xf32>) -> (tensor<?x4xf32>, i1)
      loc(callsite("a" at fused<"m">["b", unknown]))
    %6 = builtin.unrealized_conversion_cast %5#1 : i1 to i8 loc(#outer)
    return %5#0, %0#1 : tensor<?x4xf32>, i1
  }
}
{-#
  dialect_resources: {
    builtin: {
      w1: "0x040000000000803F00000040"
    }
  }
#-}
"""  # noqa: E501

FLAGS = [
    (),
    ("--mlir-print-debuginfo",),
    ("--mlir-print-local-scope",),
    ("--mlir-print-debuginfo", "--mlir-print-local-scope"),
    ("--mlir-print-op-generic",),
    ("--mlir-print-op-generic", "--mlir-print-debuginfo"),
    ("--mlir-use-nameloc-as-prefix",),
]


def text_for(flags: tuple[str, ...]) -> str:
    """With local scope mlir-opt prints no resource section: the data is lost, so the text has none."""
    return (
        TEXT.replace("resource = dense_resource<w1> : tensor<2xf32>,", "")
        if "--mlir-print-local-scope" in flags
        else TEXT
    )


def through(mlir_opt: Path, text: str, *flags: str) -> str:
    command = [str(mlir_opt), "--allow-unregistered-dialect", *flags]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


@pytest.mark.parametrize("flags", FLAGS, ids=lambda f: "+".join(f) or "default")
def test_what_mlir_opt_prints_is_read(mlir_opt: Path, flags: tuple[str, ...]) -> None:
    text = text_for(flags)
    module = parse_module(text, CONTEXT)
    again = parse_module(through(mlir_opt, text, *flags), CONTEXT)
    assert difference(module, again) is None


@pytest.mark.parametrize("debuginfo", [False, True])
@pytest.mark.parametrize("flags", FLAGS, ids=lambda f: "+".join(f) or "default")
def test_mlir_opt_carries_our_generic_form(mlir_opt: Path, flags: tuple[str, ...], debuginfo: bool) -> None:
    module = parse_module(text_for(flags), CONTEXT)
    text = print_module(module, generic=True, debuginfo=debuginfo)
    again = parse_module(through(mlir_opt, text, *flags), CONTEXT)
    located = debuginfo and "--mlir-print-debuginfo" in flags
    named = "--mlir-use-nameloc-as-prefix" not in flags
    assert difference(module, again, names=named, locations=located) is None
    if named and located == debuginfo:
        assert print_module(again, generic=True, debuginfo=debuginfo) == text


def test_mlir_opt_takes_every_small_float_as_we_print_it(mlir_opt: Path) -> None:
    names = "f8E4M3FN f8E5M2 f8E4M3FNUZ f8E5M2FNUZ f8E4M3B11FNUZ f8E3M4 f8E4M3 f6E2M3FN f6E3M2FN f4E2M1FN".split()
    lines = []
    for name in names:
        width = 4 if "f4" in name else 6 if "f6" in name else 8
        entries = ", ".join(f"x{code} = 0x{code:02X} : {name}" for code in range(1 << width))
        lines.append(f'"t.{name}"() {{{entries}}} : () -> ()')
    module = parse_module("\n".join(lines), CONTEXT)
    again = parse_module(through(mlir_opt, print_module(module, generic=True)), CONTEXT)
    found = difference(module, again)
    assert found is None, found
