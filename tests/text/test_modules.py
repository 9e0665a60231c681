"""Modules in both forms: syntax, scopes, names of values, absent operands, clauses."""

from __future__ import annotations

import pytest

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import FuncOp
from qir.dialects.qsim import QuantizerOp
from qir.ir import Context, NameLoc, Operation, QirError, UnregisteredOp, difference, is_equal, verify
from qir.text import parse_file, parse_module, print_module, print_op


def read(text: str, unregistered: bool = True) -> ModuleOp:
    return parse_module(text, Context(allow_unregistered=unregistered), "test.qir")


def find(module: ModuleOp, name: str) -> Operation:
    return next(op for op in module.walk() if op.name == name)


def same(text: str) -> ModuleOp:
    """Read a text that is printed exactly as it stands."""
    module = read(text)
    assert print_module(module) == text
    for options in ({"debuginfo": True}, {"generic": True}, {"generic": True, "debuginfo": True}):
        printed = print_module(module, **options)
        again = read(printed)
        assert difference(module, again, locations="debuginfo" in options) is None
        assert print_module(again, **options) == printed
    return module


def test_the_pretty_form() -> None:
    module = same(
        """\
module @m attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func private @declared(tensor<2xf32> {a.b = 1 : i32}) -> (tensor<2xf32> {c.d})
  func.func @empty() {
    return
  }
  func.func @main(%x: tensor<4xf32> {onnx.dims = ["N"]}) -> (tensor<4xf32>, i1) attributes {k.l} {
    %y, %z = t.pair(%x) {a = 1 : i64} ({
    ^bb0(%a: i32):
      %0 = t.one() : () -> i1
      t.stop(%0, %a) : (i1, i32) -> ()
    }, {
    }) : (tensor<4xf32>) -> (tensor<4xf32>, i1) loc("n")
    %called = func.call @other(%y) {u} : (tensor<4xf32>) -> tensor<4xf32>
    return %called, %z : tensor<4xf32>, i1
  }
}
"""
    )
    func = module.body.last
    assert isinstance(func, FuncOp)
    pair = find(module, "t.pair")
    assert [r.name for r in pair.results] == ["y", "z"] and pair.location.names() == ("n",)
    assert len(pair.regions[0].blocks) == 1 and not pair.regions[1].blocks


def test_generic_pretty_and_comments_mix() -> None:
    module = read(
        """// a module without a frame
        "func.func"() <{function_type = (i8) -> i8, sym_name = "f"}> ({
        ^entry(%a: i8): // labels are any names
          %0 = t.add(%a, %a) : (i8, i8) -> i8
          %1 = "t.add" (%0, /*no*/ %a) : (i8, i8) -> i8
        })  : () -> ()""".replace("/*no*/ ", "")
        + "\n func.func @g(%x : i8) { func.return }"
    )
    assert [op.name for op in module.body] == ["func.func", "func.func"]


def test_a_bare_return_may_stand_on_one_line_with_its_function() -> None:
    assert find(read("func.func @e() { return }"), "func.return").operands == ()


def test_a_module_without_body_has_a_block() -> None:
    assert list(read("module {}").body) == []
    assert list(read("").body) == []
    assert list(read('"builtin.module"() ({}) : () -> ()').body) == []


def test_blocks_and_empty_regions() -> None:
    module = same(
        """\
module {
  t.several() ({
    t.a() : () -> ()
  ^bb1(%a: i8):
    t.b(%a) : (i8) -> ()
  ^bb2:
    t.c() : () -> ()
  }, {
  }, {
  ^bb0:
  }) : () -> ()
}
"""
    )
    assert [len(r.blocks) for r in find(module, "t.several").regions] == [3, 0, 1]


def test_packs_of_results() -> None:
    module = read(
        '%5:2 = "t.two"() : () -> (i8, i4)\n%s, %t = "t.swap"(%5#1, %5) : (i4, i8) -> (i1, i2)\n'
        '"t.u"(%s, %t) : (i1, i2) -> ()'
    )
    assert find(module, "t.swap").operands == (find(module, "t.two").results[1], find(module, "t.two").results[0])
    assert '%0:2 = "t.two"()' in print_module(module, generic=True)
    assert '"t.swap"(%0#1, %0#0)' in print_module(module, generic=True)


def test_values_may_be_used_before_their_definition_in_graph_regions() -> None:
    module = same(
        """\
module {
  %0 = t.use(%1) : (i8) -> i8
  %1 = t.use(%0) : (i8) -> i8
}
"""
    )
    verify(module)


def test_scopes_end_with_their_region() -> None:
    module = same(
        """\
module {
  t.r() ({
    %x = t.a() : () -> i8
  }, {
    %x = t.a() : () -> i8
  }) : () -> ()
}
"""
    )
    assert len(list(module.walk())) == 4
    with pytest.raises(QirError, match="'%x' is not defined"):
        read('func.func @f() {\n  "t.r"() ({ %x = t.a() : () -> i8 }) : () -> ()\n  "t.b"(%x) : (i8) -> ()\n  return }')


def test_functions_see_nothing_from_outside() -> None:
    with pytest.raises(QirError, match="'%x' is not defined"):
        read("%x = t.a() : () -> i8\nfunc.func @f() { t.b(%x) : (i8) -> () return }")


def test_types_of_equal_text_are_one_object() -> None:
    module = read("%0 = t.a() : () -> tensor<4xf32>\n%1 = t.b(%0) : (tensor<4xf32>) -> tensor<4xf32>")
    a, b = (op.result.type for op in module.body)
    assert a is b


def test_aliases_before_and_after() -> None:
    module = read(
        '!t = tensor<4xf32>\n#map = affine_map<(d0) -> (d0)>\n#loc1 = loc("a")\n'
        '%0 = "t.a"() {m = #map} : () -> !t loc(#loc2)\n#loc2 = loc(callsite(#loc1 at "f":1:2))\n'
    )
    op = find(module, "t.a")
    assert str(op.result.type) == "tensor<4xf32>" and str(op.location) == 'callsite("a" at "f":1:2)'
    assert str(op.attributes["m"]) == "affine_map<(d0) -> (d0)>"


# ---------------------------------------------------------------- names
NAMED = [
    ("%y = t.a() : () -> i8", ["y"]),
    ('%conv1_Conv_output_0 = t.a() : () -> i8 loc("/conv1/Conv")', ["/conv1/Conv_output_0"]),
    ('%y = t.a() : () -> i8 loc("/conv1/Conv")', ["y"]),
    ('%y_0 = t.a() {onnx.names = ["y:0"]} : () -> i8', ["y:0"]),
    ("%0 = t.a() : () -> i8", [None]),
    ('%_12 = t.a() {onnx.names = ["12"]} : () -> i8', ["12"]),
    ('%a, %0 = t.a() {onnx.names = ["a/b", ""]} : () -> (i8, i8)', ["a/b", None]),
]


@pytest.mark.parametrize(("line", "names"), NAMED)
def test_exact_names_of_results(line: str, names: list[str | None]) -> None:
    module = read(line)
    op = find(module, "t.a")
    assert [r.name for r in op.results] == names
    assert "onnx.names" not in op.attributes
    again = read(print_module(module))
    assert is_equal(module, again, names=True)


def test_names_that_the_spelling_says_are_not_said_again() -> None:
    text = 'module {\n  %conv1_Conv_output_0 = t.a() : () -> i8 loc("/conv1/Conv")\n  %y = t.a() : () -> i8\n}\n'
    assert print_module(read(text)) == text


def test_a_name_that_the_location_would_change_is_said() -> None:
    module = read('%n_output_0 = t.a() {onnx.names = ["n_output_0"]} : () -> i8 loc("/n")')
    assert find(module, "t.a").result.name == "n_output_0"
    assert is_equal(module, read(print_module(module)), names=True)


def test_functions_that_have_no_head_are_printed_in_the_generic_form() -> None:
    head = '"func.func"() <{arg_attrs = [{}], function_type = (i8) -> (), sym_name = "f"}>'
    module = read(f"{head} ({{\n^bb0(%a: i8):\n  return\n}}) : () -> ()")
    assert head in print_module(module)
    assert is_equal(module, read(print_module(module)))


def test_equal_names_are_spelled_apart() -> None:
    module = read('%a = t.a() : () -> i8\n%b = t.a() {onnx.names = ["a"]} : () -> i8')
    assert '%a_1 = t.a() {onnx.names = ["a"]}' in print_module(module)


def test_names_of_arguments() -> None:
    text = """\
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @f(%x: i8, %y_0: i8 {onnx.name = "y:0"}, %0: i8) {
    t.loop() {onnx.arg_names = [["i/n"]]} ({
    ^bb0(%i_n: i8):
    }) : () -> ()
    return
  }
}
"""
    module = same(text)
    func = module.body.first
    assert isinstance(func, FuncOp)
    assert [a.name for a in func.body.args] == ["x", "y:0", None]
    assert "arg_attrs" not in func.attributes
    assert find(module, "t.loop").regions[0].block.args[0].name == "i/n"
    generic = print_module(module, generic=True)
    assert 'arg_attrs = [{onnx.name = "x"}, {onnx.name = "y:0"}, {}]' in generic
    assert is_equal(module, read(generic), names=True)


def test_mlir_names_of_arguments_mean_nothing() -> None:
    func = read("func.func @f(%arg0: i8) { return }").body.first
    assert isinstance(func, FuncOp) and func.body.args[0].name is None


def test_the_generic_form_says_names_only_in_onnx_modules() -> None:
    line = "%y = t.a() : () -> i8"
    assert "onnx.names" not in print_module(read(line), generic=True)
    module = read(f"module attributes {{onnx.opset = {{}}}} {{ {line} }}")
    assert '{onnx.names = ["y"]}' in print_module(module, generic=True)


# ---------------------------------------------------------------- locations
def test_the_pretty_form_shows_names_of_nodes_only() -> None:
    module = read('t.a() : () -> () loc("n"("f.py":1:2))\nt.b() : () -> () loc("f.py":1:2)\nt.c() : () -> ()')
    assert print_module(module) == 'module {\n  t.a() : () -> () loc("n")\n  t.b() : () -> ()\n  t.c() : () -> ()\n}\n'
    debug = print_module(module, debuginfo=True)
    assert 't.a() : () -> () loc("n"("f.py":1:2))' in debug and "t.c() : () -> () loc(unknown)" in debug
    assert "loc" not in print_module(module, generic=True)


def test_operations_know_where_they_stand() -> None:
    op = find(read('module {\n  %0 = "t.a"() : () -> i8 loc("n")\n}'), "t.a")
    source = op.location.source
    assert source is not None and (source.line, source.column) == (2, 8)
    assert str(op.error("is bad")).splitlines()[2] == "         ^~~~~"
    assert op.location == NameLoc("n")


# ---------------------------------------------------------------- absent operands
def test_absent_operands() -> None:
    text = """\
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @f(%x: tensor<1x1x2xf32>, %w: tensor<1x1x2xf32>) {
    %y = onnx.Clip(%x, _, _) : (tensor<1x1x2xf32>, none, none) -> tensor<1x1x2xf32>
    %z = onnx.Clip(%y, _) : (tensor<1x1x2xf32>, none) -> tensor<1x1x2xf32>
    return
  }
}
"""
    module = same(text)
    names = [op.name for op in module.walk() if op.name.startswith("onnx.")]
    assert names == ["onnx.NoValue", "onnx.NoValue", "onnx.Clip", "onnx.NoValue", "onnx.Clip"]


def test_a_novalue_that_others_use_too_is_printed() -> None:
    text = """\
module {
  %0 = onnx.NoValue() : () -> none
  t.a(%0) : (none) -> ()
  t.b(%0) : (none) -> ()
}
"""
    same(text)


def test_absent_operands_have_type_none() -> None:
    with pytest.raises(QirError, match="type of '_'"):
        read("t.a(_) : (i8) -> ()")


# ---------------------------------------------------------------- quantizers
QUANTIZERS = """\
module {
  qsim.quantizer @x : i8 affine per_tensor observe(percentile, p = 99.99)
  qsim.quantizer @conv1.w : i8<-127:127> symmetric per_axis(0) scale([0.0123, 0.0098])
  qsim.quantizer @conv1.b : i32 symmetric product(@x, @conv1.w) axis(0)
  qsim.quantizer @fc.w : i4 symmetric block({0: 1, 1: 32}) tail(pad) round(stochastic, seed = 3)
  qsim.quantizer @act9 : f8E4M3FN symmetric per_tensor range(-210.0, 224.0) scale(0.5)
  qsim.quantizer @tok : u8 affine per_token pow2(nearest) wrap dynamic zero(3) {foo.bar = 3 : i32}
  qsim.quantizer @mx : f8E4M3FN<-1.0:1.0> symmetric block({...: 1, -1: 32}) scale_by(@x) train
  qsim.quantizer @lut : lut symmetric per_tensor codebook([-1.0, 0.0, 1.0])
  qsim.quantizer @big : i8 symmetric per_axis(0) scale(dense_resource<s> : tensor<100xf32>)
  qsim.quantizer @half : i8 symmetric per_tensor scale(dense<0.5> : tensor<f16>)
  func.func @main(%x: tensor<2x4xf32>) {
    %0 = qsim.fake %x by @x : tensor<2x4xf32>
    %1 = qsim.fake %x by @x {observe = false} : tensor<2x4xf32>
    %2 = qsim.encode %x by @conv1.w : tensor<2x4xf32> to tensor<2x4xi8>
    %3 = qsim.decode %2 by @conv1.w : tensor<2x4xi8> to tensor<2x4xf32>
    %q, %s, %z = qsim.encode_dynamic %x by @tok : (tensor<2x4xf32>) -> (tensor<2x4xui8>, tensor<2xf32>, tensor<2xui8>)
    %4 = qsim.decode_dynamic %q, %s, %z by @tok : (tensor<2x4xui8>, tensor<2xf32>, tensor<2xui8>) -> tensor<2x4xf32>
    %5 = builtin.unrealized_conversion_cast %4 : tensor<2x4xf32> to tensor<2x4xf16>
    return
  }
}
"""


def test_clauses() -> None:
    module = same(QUANTIZERS)
    quantizers = {op.sym_name: op for op in module.body if isinstance(op, QuantizerOp)}
    assert str(quantizers["mx"].scheme).startswith("f8E4M3FN<-1.0:1.0> symmetric block({...: 1, -1: 32})")
    assert quantizers["fc.w"].scheme.seed == 3
    assert quantizers["conv1.w"].scale is not None and quantizers["conv1.w"].scale.numpy().shape == (2,)


def test_clauses_come_in_any_order_and_types_of_numbers_do_not_matter() -> None:
    a = read("qsim.quantizer @q : i8 scale(1) per_axis(-1) affine zero([1, 2])")
    b = read("qsim.quantizer @q : i8 affine per_axis(-1) scale(1.0) zero([1, 2])")
    assert is_equal(a, b)


def test_what_clauses_cannot_say_stays_in_the_dictionary() -> None:
    text = (
        'module {\n  "qsim.quantizer"() <{storage = "i8", sym_name = "q", symmetric = true, qmin = -3 : i32,'
        " seed = 3 : i64,"
        ' observe = {method = "mse", grid = [1, 2]}}> : () -> ()\n  "qsim.quantizer"() {sym_name = "r"} : () -> ()\n}'
    )
    module = read(text)
    printed = print_module(module)
    assert "per_tensor {observe = {grid" in printed and 'qsim.quantizer() {sym_name = "r"}' in printed
    assert is_equal(module, read(printed))


# ---------------------------------------------------------------- names of operations
def test_unknown_operations() -> None:
    with pytest.raises(QirError, match=r"(?s)no operation 'onnx.Rleu'.*did you mean onnx.Relu"):
        read("%0 = onnx.Rleu() : () -> i8", unregistered=False)
    with pytest.raises(QirError, match=r"no dialect defines the operation 'foo.bar'"):
        read("%0 = foo.bar() : () -> i8", unregistered=False)
    assert isinstance(find(read("%0 = foo.bar() : () -> i8"), "foo.bar"), UnregisteredOp)
    module = read(
        "module attributes {onnx.opset = {com.x = 1 : i64}} {\n  %0 = com.x.Op() : () -> i8\n"
        '  %1 = "com.x.Odd Op"() : () -> i8\n}',
        unregistered=False,
    )
    assert isinstance(find(module, "com.x.Op"), UnregisteredOp)
    assert '"com.x.Odd Op"() : () -> i8' in print_module(module)


def test_one_operation_alone() -> None:
    module = read("%x = t.a() : () -> i8\n%y = t.b(%x) : (i8) -> i8")
    assert print_op(find(module, "t.b")) == "%y = t.b(%x) : (i8) -> i8"
    assert print_op(find(module, "t.b"), generic=True) == '%1 = "t.b"(%0) : (i8) -> i8'


def test_files(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "m.qir"
    path.write_bytes(b"module {\n  \xff\n}")
    with pytest.raises(QirError, match=r"m.qir:2: error: the text is not UTF-8"):
        parse_file(path, Context())
    with pytest.raises(QirError, match=r"none.qir: error: cannot be read: No such file"):
        parse_file(Path(str(tmp_path)) / "none.qir", Context())
