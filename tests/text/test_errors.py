"""Malformed texts: one diagnostic for each fault, at its place, in words; reading goes on after it."""

from __future__ import annotations

import pytest

from qir.ir import Context, QirError
from qir.text import parse_module


def errors(text: str) -> list[str]:
    with pytest.raises(QirError) as caught:
        parse_module(text, Context(), "f.qir")
    return [str(d) for d in caught.value.diagnostics]


def inside(line: str) -> str:
    head = "module {\n  func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {"
    return f"{head}\n    {line}\n    return %x : tensor<4xf32>\n  }}\n}}\n"


ONE = [  # one line of a function, the place (line 3) and the message
    ("%0 = onnx.Relu(%x : (tensor<4xf32>) -> tensor<4xf32>", 23, "')' is expected, not ':'"),
    ("%0 = onnx.Relu(%x) (tensor<4xf32>) -> tensor<4xf32>", 25, "'{' is expected, not 'tensor'"),
    ("%0 = onnx.Relu(%x) : tensor<4xf32>", 26, "a signature ((types) -> types) is expected"),
    ("%0 = onnx.Relu(%x) : (tensor<4xf32>) tensor<4xf32>", 42, "'->' is expected"),
    ("%0 = onnx.Relu(%x) : (tensor<4xf32>) ->", 44, "a type is expected after '->'"),
    ("%0 = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32", 51, "this '<' is not closed"),
    ("%0 = onnx.Relu(%x) {a = [1, 2} : (tensor<4xf32>) -> tensor<4xf32>", 29, "this '[' is not closed"),
    ('%0 = onnx.Relu(%x) {a = "abc} : (tensor<4xf32>) -> tensor<4xf32>', 29, "this string is not closed"),
    ('%0 = onnx.Relu(%x) {a = "a\\q"} : (tensor<4xf32>) -> tensor<4xf32>', 31, "bad escape"),
    ("%0 = onnx.Relu(%x) {a = 1, a = 2} : (tensor<4xf32>) -> tensor<4xf32>", 32, "the key 'a' stands twice"),
    ("%0 = onnx.Relu(%x) {a =} : (tensor<4xf32>) -> tensor<4xf32>", 28, "an attribute is expected, not '}'"),
    ("%0 = onnx.Relu(%x) : (tensor<4xf33>) -> tensor<4xf32>", 36, "a type is expected, not 'f33'"),
    ("%0 = onnx.Relu(%y) : (tensor<4xf32>) -> tensor<4xf32>", 20, "'%y' is not defined"),
    ("%0 = onnx.Relu(%x) : (tensor<4xf16>) -> tensor<4xf32>", 20, "'%x' has the type tensor<4xf32>"),
    ("%0 = onnx.Relu(%x, %x) : (tensor<4xf32>) -> tensor<4xf32>", 20, "2 values, but 1 type"),
    ("%x = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>", 5, "'%x' is defined a second time"),
    ("%0, %1 = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>", 5, "gives 1 result"),
    ("%0:3 = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>", 5, "gives 1 result"),
    ("onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>", 5, "no name stands before it"),
    ("%0 = onnx.Rleu(%x) : (tensor<4xf32>) -> tensor<4xf32>", 10, "has no operation 'onnx.Rleu'"),
    ("%0 = foo.bar(%x) : (tensor<4xf32>) -> tensor<4xf32>", 10, "no dialect defines the operation 'foo.bar'"),
    ("%0 = onnx.Relu %x : tensor<4xf32>", 10, "is written onnx.Relu(%operands)"),
    ("%0 = qsim.fake %x bye @q : tensor<4xf32>", 23, "'by' is expected here"),
    ("%0 = qsim.fake %x by @q : tensor<4xf32> to i8", 48, "does not take this clause"),
    ('%0 = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("a"', 62, "this '(' is not closed"),
    ("%0 = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32> loc(#l7)", 63, "the alias #l7 is not defined"),
    ("%0 = onnx.Constant() {value = 300 : i8} : () -> i8", 35, "300 is not in the range of i8"),
    ('%0 = onnx.Relu(%x) {onnx.names = "a"} : (tensor<4xf32>) -> tensor<4xf32>', 10, "must be a list of 1 string"),
    ("$", 5, "'$' cannot stand here"),
    ('%0 = "onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>', 10, "this string is not closed"),
    ("^bb1(%q): return", 12, "':' is expected"),
]


@pytest.mark.parametrize(("line", "column", "message"), ONE, ids=[m for _, _, m in ONE])
def test_one_fault_gives_one_error(line: str, column: int, message: str) -> None:
    found = errors(inside(line))
    assert len(found) == 1, found
    assert found[0].startswith(f"f.qir:3:{column}: error: ") and message in found[0]
    assert found[0].splitlines()[1] == "  " + f"    {line}"[:160] or len(line) > 150


def test_several_faults_are_reported_in_one_run() -> None:
    text = inside(
        "%0 = onnx.Relu(%x) (tensor<4xf32>) -> tensor<4xf32>\n"
        "    %1 = onnx.Relu(%0) {a =} : (tensor<4xf32>) -> tensor<4xf32>\n"
        "    %2 = onnx.Relu(%1 : (tensor<4xf32>) -> tensor<4xf32>\n"
        "    %3 = onnx.Relu(%2) : (tensor<4xf32>) -> tensor<4xf32>"
    )
    lines = [int(e.split(":")[1]) for e in errors(text)]
    assert lines == [3, 4, 5]


def test_an_operation_that_cannot_be_read_spoils_no_others() -> None:
    text = inside(
        "%0 = onnx.Relu(%x) : (tensor<4xf16>) -> tensor<4xf32>\n"
        "    %1 = onnx.Relu(%0) : (tensor<9xf32>) -> tensor<9xf32>"
    )
    assert len(errors(text)) == 1


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("hello", "1:1", "an operation or the end is expected, not 'hello'"),
        ("module {", "1:8", "the text ends here"),
        ("module {}}", "1:10", "an operation or the end is expected, not '}'"),
        ("module {\n  func.func @f(%x: i8, %x: i8) { return }\n}", "2:24", "'%x' is defined a second time"),
        ("func.func @f(%x: i8)", "1:11", "without a body"),
        ("func.func @f(i8) { return }", "1:14", "%name: type"),
        ("func.func @f() -> { return }", "1:19", "is expected"),
        ("func.func f() { return }", "1:11", "a symbol (@name)"),
        ("qsim.quantizer @x : i8 affine per_tensr", "1:31", "no clause 'per_tensr'"),
        ("qsim.quantizer @x : i8 per_axis(0)", "1:35", "'symmetric' or 'affine'"),
        ("qsim.quantizer @x : i8 affine symmetric", "1:31", "a second one is 'symmetric'"),
        ("qsim.quantizer @x : i8 affine block(3)", "1:31", "block(…) takes a map"),
        ("qsim.quantizer @x : i8<a:b> affine", "1:29", "is no number"),
        ("qsim.quantizer @x : i8 affine scale([[1.0, 2.0], [3.0]])", "1:31", "different lengths"),
        ("qsim.quantizer @x : i8 affine zero(1.5)", "1:31", "numbers of type i32"),
        ("qsim.quantizer x : i8 affine", "1:16", "a symbol is expected"),
        ("#l = loc(#m)\n#m = loc(#l)\nt.a() : () -> () loc(#l)", "2:10", "defined by itself"),
        ("!t = i8\n!t = i4", "2:1", "a second time"),
        ("{-# dialect_resources", "1:1", "'{-#' is not closed"),
        ("{-# a: { b #-}", "1:10", "the resource section is malformed"),
        ('"builtin.module"() ({' * 300, "1:", "regions are nested more than 200 deep"),
        ("module {\n" * 300, "", "regions are nested more than 200 deep"),
        ("t.a() {x = " + "[" * 100_000 + "} : () -> ()", "1:", "nested more than 200 deep"),
        ("t.a() : () -> " + "tensor<" * 100_000, "1:", "nested more than 200 deep"),
        ("t.a() : " + "(" * 100_000, "1:", "nested more than 200 deep"),
        ("%0 = t.a() : () -> " + "tuple<" * 300 + "i8" + ">" * 300, "1:", "nested more than 200 deep"),
    ],
)
def test_whole_texts(text: str, place: str, message: str) -> None:
    found = errors(text)
    assert message in found[0] and found[0].startswith(f"f.qir:{place}"), found[0]


@pytest.mark.parametrize(
    "text",
    [
        "module {\n  func.func @f(%x: tensor<2xq32>) {\n    %0 = onnx.Relu(%x) : (i8) -> i8\n    return\n  }\n}\n",
        "module attributes {a = [1 2]} {\n  func.func @f() {\n    return\n  }\n}\n",
        'module attributes {a = "x\n} {\n}\n',
        "module {\n  func.func @f(%c: tensor<i1>) {\n    onnx.If(%c) a ({\n      %a = onnx.NoValue() : () -> none\n"
        "    }, {\n      %b = onnx.NoValue() : () -> none\n    }) : (tensor<i1>) -> ()\n    return\n  }\n}\n",
    ],
)
def test_a_head_that_cannot_be_read_spoils_nothing_after_its_body(text: str) -> None:
    assert len(errors(text)) == 1


def test_aliases_of_aliases_do_not_grow_without_bound() -> None:
    lines = ['#a0 = loc("x")', *(f"#a{i} = loc(callsite(#a{i - 1} at #a{i - 1}))" for i in range(1, 60))]
    found = errors("\n".join((*lines, "t.a() : () -> () loc(#a59)")))
    assert "expands to more than" in found[0]


def test_the_number_of_errors_is_limited() -> None:
    assert len(errors("module {\n" + "  $\n" * 1000 + "}")) <= 21


def test_hostile_texts_cost_no_time() -> None:
    """Regular expressions that could match in many ways would take for ever here."""
    for part in ("%a, ", "// a\n", " ", '"a', "tensor<", "(", "loc(", "t.a "):
        errors(part * 5000 + "$")
    parse_module("//" * 5000, Context())
    errors("t.a() : (" + "tensor<4xf32>, " * 5000 + "tensor<4xf32")
    errors("t.a() {" + "a = [1], " * 3000 + "$")
