"""Types, attributes and locations: what is read, and how it is printed again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qir.ir import (
    Context,
    DenseAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    OpaqueAttr,
    QirError,
    StringAttr,
    TensorAttr,
    TensorType,
    f32,
    i8,
    i64,
)
from qir.text import parse_attribute, parse_type

CONTEXT = Context()

SAME = [
    "i8", "si4", "ui4", "i1", "index", "none", "bf16", "f8E4M3FN", "f4E2M1FN", "f8E8M0FNU", "f6E2M3FN",
    "tensor<f32>", "tensor<?x3x0xbf16>", "tensor<*xi8>", "tensor<0x4xi8>", "tensor<4x8xf32>", "tensor<2x!onnx.string>",
    "tensor<4x4xi8, #t.packed<i4, 2>>", "tensor<4xf32, {d = 1 : i64}>", "complex<f32>", "tensor<2xcomplex<f64>>",
    "tuple<>", "tuple<i32, tuple<f32>>", "() -> ()", "(i8) -> i8", "(i8, tensor<f32>) -> (i8, i8)", "() -> (() -> ())",
    "!onnx.string", "!onnx.seq<tensor<?xf32>>", '!t.x<"a>b", [(-> 1)]>', '!t<"x", y>',
    "!quant.uniform<i8<-127:127>:f32:1, {0.1:3, 0.2}>", "vector<[4]x4xf32>", "memref<2xf32, strided<[1], offset: ?>>",
]  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_types_print_as_they_are_read(text: str) -> None:
    assert str(parse_type(text, CONTEXT)) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("3", "3 : i64"),
        ("-3 : i8", "-3 : i8"),
        ("255 : i8", "-1 : i8"),
        ("255 : ui8", "255 : ui8"),
        ("0x10 : i32", "16 : i32"),
        ("1 : i1", "true"),
        ("-1 : i1", "true"),
        ("true", "true"),
        ("1.0", "1.0 : f64"),
        ("9.987200e-01 : f32", "0.99872 : f32"),
        ("1.0e-30 : f32", "1.0e-30 : f32"),
        ("-0.0 : f16", "-0.0 : f16"),
        ("0x7FC00000 : f32", "0x7FC00000 : f32"),
        ("0x7f800000 : f32", "0x7F800000 : f32"),
        ("0x3F800000 : f32", "1.0 : f32"),
        ("unit", "unit"),
        ('"a\\0A\\22\\\\\\n\\tä"', '"a\\0A\\22\\\\\\0A\\09\\C3\\A4"'),
        ('"\\FF"', '"\\FF"'),
        ("@a::@\"b c\"::@d", "@a::@\"b c\"::@d"),
        ('@"plain"', "@plain"),
        ("[1, [2.0 : f16], []]", "[1 : i64, [2.0 : f16], []]"),
        ("{b, a = 1, \"c d\" = {}}", "{a = 1 : i64, b, \"c d\" = {}}"),
        ("{loc = loc(unknown), dense, array = array<i8>, tensor = tensor<f32>}",
         "{array = array<i8>, dense, loc = loc(unknown), tensor = tensor<f32>}"),
        ("array<i64: 1, -2>", "array<i64: 1, -2>"),
        ("array<i1: true, false>", "array<i1: true, false>"),
        ("array<f32: 0.5, 0x7FC00000>", "array<f32: 0.5, 0x7FC00000>"),
        ("dense<1> : tensor<4xi8>", "dense<1> : tensor<4xi8>"),
        ("dense<[1, 1, 1, 1]> : tensor<4xi8>", "dense<1> : tensor<4xi8>"),
        ("dense<[[1, 2], [3, 4]]> : tensor<2x2xi4>", "dense<[[1, 2], [3, 4]]> : tensor<2x2xi4>"),
        ("dense<1> : tensor<2xi4>", "dense<[1, 1]> : tensor<2xi4>"),
        ("dense<> : tensor<0x3xf32>", "dense<> : tensor<0x3xf32>"),
        ("dense<[]> : tensor<0xf32>", "dense<> : tensor<0xf32>"),
        ("dense<true> : tensor<i1>", "dense<true> : tensor<i1>"),
        ('dense<"0x0102"> : tensor<2xi8>', "dense<[1, 2]> : tensor<2xi8>"),
        ('dense<"0x0F01"> : tensor<2xi4>', "dense<[-1, 1]> : tensor<2xi4>"),
        ('dense<"0x05"> : tensor<3xi1>', "dense<[true, false, true]> : tensor<3xi1>"),
        ('dense<"0x0000803F"> : tensor<9xf32>', "dense<1.0> : tensor<9xf32>"),
        ("dense<[0x7FC00000, 1.0]> : tensor<2xf32>", "dense<[0x7FC00000, 1.0]> : tensor<2xf32>"),
        ("dense<[(1.0,2.0)]> : tensor<1xcomplex<f32>>", "dense<[(1.0, 2.0)]> : tensor<1xcomplex<f32>>"),
        ('dense<["a", "\\00b"]> : tensor<2x!onnx.string>', 'dense<["a", "\\00b"]> : tensor<2x!onnx.string>'),
        ("dense<[0.5, -6.0]> : tensor<2xf4E2M1FN>", "dense<[0.5, -6.0]> : tensor<2xf4E2M1FN>"),
        ("dense<1> : vector<2xi32>", "dense<1> : vector<2xi32>"),
        ("dense_resource<a.b> : tensor<4xf32>", "dense_resource<a.b> : tensor<4xf32>"),
        ("affine_map<(d0) -> (d0 mod 2)>", "affine_map<(d0) -> (d0 mod 2)>"),
        ("#t.x<1, [2]>", "#t.x<1, [2]>"),
        ("#t<x<1>>", "#t.x<1>"),
        ("#t.x : i32", "#t.x : i32"),
        ('loc("a"("f.py":1:2))', 'loc("a"("f.py":1:2))'),
        ('loc("f":1:2 to 3:4)', 'loc("f":1:2 to 3:4)'),
        ('loc("f":1:2 to :4)', 'loc("f":1:2 to :4)'),
        ('loc(fused<"m">["a", unknown])', 'loc(fused<"m">["a"])'),
        ('loc(fused["a", fused["b", "a"]])', 'loc(fused["a", "b"])'),
        ('loc(callsite("a" at "b"))', 'loc(callsite("a" at "b"))'),
        ("// a comment\n  3 // and another", "3 : i64"),
    ],
)  # fmt: skip
def test_attributes(text: str, printed: str) -> None:
    attribute = parse_attribute(text, CONTEXT)
    assert str(attribute) == printed
    assert str(parse_attribute(printed, CONTEXT)) == printed


def test_values_of_numbers() -> None:
    assert parse_attribute("255 : i8", CONTEXT) == IntegerAttr(-1, i8)
    assert parse_attribute("7", CONTEXT) == IntegerAttr(7, i64)
    nan = parse_attribute("0x7FC00001 : f32", CONTEXT)
    assert isinstance(nan, FloatAttr) and nan.bits == 0x7FC00001 and math.isnan(nan.value)
    assert parse_attribute("16777217.0 : f32", CONTEXT) == FloatAttr.of(16777216.0, f32)


def test_escaped_bytes_need_not_be_utf8() -> None:
    value = parse_attribute('"\\C3\\A4\\80"', CONTEXT)
    assert isinstance(value, StringAttr)
    assert value.value.encode("utf-8", "surrogateescape") == b"\xc3\xa4\x80"


def test_a_splat_stays_one_element_and_reads_whole() -> None:
    value = parse_attribute("dense<-3> : tensor<1000x1000xi4>", CONTEXT)
    assert isinstance(value, DenseAttr) and len(value.data) == 1
    assert value.numpy().shape == (1000, 1000) and int(value.numpy()[5, 7]) == -3


def test_every_float_bit_pattern_of_the_small_types_reads_back() -> None:
    for name, bits in (("f8E4M3FN", 8), ("f8E5M2", 8), ("f8E8M0FNU", 8), ("f4E2M1FN", 4), ("f6E3M2FN", 6), ("f16", 16)):
        for code in range(0, 1 << bits, 1 if bits < 16 else 17):
            element = parse_type(name, CONTEXT)
            attribute = FloatAttr(code, element)  # type: ignore[arg-type]
            assert parse_attribute(str(attribute), CONTEXT) == attribute


def test_dense_floats_are_rounded_once_from_their_decimals() -> None:
    values = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    text = f"dense<[{', '.join(map(repr, values.tolist()))}]> : tensor<64xf32>"
    value = parse_attribute(text, CONTEXT)
    assert isinstance(value, TensorAttr) and np.array_equal(value.numpy(), values)


def test_opaque_attributes_keep_their_text() -> None:
    assert parse_attribute("#t.x<a , b>", CONTEXT) == OpaqueAttr("t", "x<a , b>")


def test_nesting_is_limited_by_a_number_only() -> None:
    deep = "[" * 199 + "]" * 199
    assert str(parse_attribute(deep, CONTEXT)) == deep
    type = "tuple<" * 199 + "i8" + ">" * 199
    assert str(parse_type(type, CONTEXT)) == type


@pytest.mark.parametrize(
    ("rule", "text", "message"),
    [
        ("type", "f33", "a type is expected, not 'f33'"),
        ("type", "tensor<4xf32", "not closed"),
        ("type", "tensor<4x>", "a type is expected"),
        ("type", "tensor<tensor<4xf32>>", "cannot have elements"),
        ("type", "tensor<99999999999999999999xf32>", "2^63"),
        ("type", "i99999999999999", "at most"),
        ("type", "!undefined_alias", "the alias !undefined_alias is not defined"),
        ("type", "i8 i8", "the end is expected"),
        ("attr", "1.5 : i8", "integer of type i8 is expected"),
        ("attr", "1 : f32", "write 1.0"),
        ("attr", "300 : i8", "300 is not in the range of i8"),
        ("attr", "-1 : ui8", "not in the range"),
        ("attr", "0x1FFFF : f16", "more bits"),
        ("attr", '"abc', "not closed"),
        ("attr", '"a\\q"', "bad escape"),
        ("attr", "{a = 1, a = 2}", "the key 'a' stands twice"),
        ("attr", "{a = }", "an attribute is expected"),
        ("attr", "[1, 2", "not closed"),
        ("attr", "[1, 2}", "']' must come before '}'"),
        ("attr", "dense<[1, [2]]> : tensor<2xi8>", "different depths"),
        ("attr", "dense<[[1, 2], [3]]> : tensor<2x2xi8>", "this list has 1 elements, the one before it 2"),
        ("attr", "dense<[1, 2]> : tensor<3xi8>", "the data has the shape 2"),
        ("attr", "dense<[1, 2]> : tensor<?xi8>", "static shape"),
        ("attr", "dense<[1, 2]> : i8", "tensor type"),
        ("attr", 'dense<"0x01"> : tensor<3xi16>', "holds 1 bytes"),
        ("attr", 'dense<"zz"> : tensor<3xi16>', "hexadecimal"),
        ("attr", "dense<[1, 2]> : tensor<2xf32>", "decimal point"),
        ("attr", "dense<[300]> : tensor<1xi8>", "not in the range"),
        ("attr", "dense<\"a\"> : tensor<i7>", "hexadecimal"),
        ("attr", "array<i8: 1, x>", "'x' is no number"),
        ("attr", "loc(\"f\":1)", "':' is expected"),
        ("attr", "loc(\"f\":99999999999:1)", "line or column"),
        ("attr", "[" * 100_000, "nested more than 200 deep"),
        ("type", "tensor<" * 100_000, "nested more than 200 deep"),
        ("attr", "[" * 201 + "]" * 201, "nested more than 200 deep"),
    ],
)  # fmt: skip
def test_errors(rule: str, text: str, message: str) -> None:
    with pytest.raises(QirError) as caught:
        (parse_type if rule == "type" else parse_attribute)(text, CONTEXT)
    assert message in str(caught.value)


def test_types_of_equal_text_are_one_object_within_a_module() -> None:
    assert parse_type("tensor<4xi8>", CONTEXT) == TensorType((4,), IntegerType(8))
