"""Attributes and tensors: values, spelling, equality bit by bit."""

import math
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qir.ir import (
    ArrayAttr,
    BytesTensor,
    DenseAttr,
    DenseResourceAttr,
    FloatAttr,
    FloatType,
    IntegerAttr,
    IntegerType,
    QirError,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    attribute,
    bf16,
    dense_from_numpy,
    dictionary,
    f16,
    f32,
    f64,
    i1,
    i8,
    python_value,
    same_data,
    tensor,
    ui8,
)
from qir.ir.attributes import float_bits, float_text
from qir.ir.tensors import element_type, numpy_dtype, pack, storage_size, unpack
from qir.ir.types import FLOAT_BITS


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        (0.1, f32, "0.1"),
        (0.1, f64, "0.1"),
        (1.0, f32, "1.0"),
        (1e-7, f32, "1.0e-07"),
        (3e38, f32, "3.0e+38"),
        (1 / 3, f32, "0.33333334"),
        (1 / 3, f64, "0.3333333333333333"),
        (-0.0, f32, "-0.0"),
        (1e10, f32, "10000000000.0"),
        (math.inf, f32, "0x7F800000"),
        (-math.inf, f64, "0xFFF0000000000000"),
        (math.nan, bf16, "0x7FC0"),
        (65504.0, f16, "65504.0"),
        (448.0, FloatType("f8E4M3FN"), "448.0"),
        (0.5, FloatType("f4E2M1FN"), "0.5"),
        (5e-324, f64, "5.0e-324"),
        (1e-5, f64, "1.0e-05"),
    ],
)
def test_floats_are_spelled_shortest(value, type, text):
    assert float_text(float_bits(value, type), type) == text


@given(st.integers(0, 2**32 - 1))
def test_any_f32_reads_back_to_the_same_bits(bits):
    text = float_text(bits, f32)
    again = int(text, 16) if text.startswith("0x") else float_bits(float(text), f32)
    assert again == bits


@given(st.integers(0, 2**16 - 1), st.sampled_from([f16, bf16]))
def test_any_16_bit_float_reads_back_to_the_same_bits(bits, type):
    text = float_text(bits, type)
    assert (int(text, 16) if text.startswith("0x") else float_bits(float(text), type)) == bits


@pytest.mark.parametrize("name", [n for n, bits in FLOAT_BITS.items() if bits <= 8])
def test_every_code_of_the_small_floats_reads_back(name):
    type = FloatType(name)
    for bits in range(1 << type.width):
        text = float_text(bits, type)
        assert (int(text, 16) if text.startswith("0x") else float_bits(float(text), type)) == bits, text


def test_nan_payloads_and_signed_zeros_are_different_attributes():
    quiet, payload = FloatAttr(0x7FC00000), FloatAttr(0x7FC00001)
    assert quiet != payload and quiet == FloatAttr.of(math.nan) and math.isnan(payload.value)
    assert FloatAttr.of(0.0) != FloatAttr.of(-0.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3 : i64"),
        (True, "true"),
        ('a"b\\\n\u00e9', '"a\\22b\\\\\\0A\\C3\\A9"'),
        ([1, 2], "array<i64: 1, 2>"),
        ([1.0, 0.5], "array<f32: 1.0, 0.5>"),
        (["a", 1], '["a", 1 : i64]'),
        ({"b": 1, "a.x": True}, "{a.x = true, b = 1 : i64}"),
        (None, "unit"),
        (f32, "f32"),
        (SymbolRefAttr("a", ("b c",)), '@a::@"b c"'),
        (IntegerAttr(-1, i8), "-1 : i8"),
        ({"unit": None, "odd key": 1}, '{"odd key" = 1 : i64, unit}'),
        ([], "array<i64>"),
    ],
)
def test_python_values_become_attributes(value, text):
    assert str(attribute(value)) == text


def test_attributes_become_python_values():
    assert python_value(attribute([1, 2])) == (1, 2)
    assert python_value(attribute({"a": [0.5], "b": "x"})) == {"a": (0.5,), "b": "x"}
    assert python_value(IntegerAttr(1, i1)) is True and python_value(UnitAttr()) is True
    assert python_value(ArrayAttr((StringAttr("a"), IntegerAttr(2)))) == ("a", 2)


def test_bytes_that_are_not_utf8_survive():
    raw = bytes(range(256))
    text = str(StringAttr(raw.decode("utf-8", "surrogateescape")))
    assert text.isascii() and "\\FF" in text


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.arange(6, dtype=np.int64).reshape(2, 3), "dense<[[0, 1, 2], [3, 4, 5]]> : tensor<2x3xi64>"),
        (np.zeros((2, 3), np.float32), "dense<0.0> : tensor<2x3xf32>"),
        (np.float32(2.5), "dense<2.5> : tensor<f32>"),
        (np.array([True, False]), "dense<[true, false]> : tensor<2xi1>"),
        (np.zeros((0, 4), np.int8), "dense<> : tensor<0x4xi8>"),
        (np.array([200, 255], np.uint8), "dense<[200, 255]> : tensor<2xui8>"),
        (np.array([1, -8, 7], ml_dtypes.int4), "dense<[1, -8, 7]> : tensor<3xi4>"),
        (np.array([1.5, -6.0, 0.5], ml_dtypes.float4_e2m1fn), "dense<[1.5, -6.0, 0.5]> : tensor<3xf4E2M1FN>"),
        (np.array([1, 2, 3, 0], ml_dtypes.uint2), "dense<[1, 2, 3, 0]> : tensor<4xui2>"),
        (np.array([1 + 2j], np.complex64), "dense<[(1.0, 2.0)]> : tensor<1xcomplex<f32>>"),
        (np.array([b"a", b"b"], object), 'dense<["a", "b"]> : tensor<2x!onnx.string>'),
        (np.array([np.nan, -np.inf], np.float32), "dense<[0x7FC00000, 0xFF800000]> : tensor<2xf32>"),
    ],
)
def test_dense_literals(array, text):
    assert str(dense_from_numpy(np.asarray(array))) == text


def test_large_tensors_go_by_reference_only_with_a_key():
    array = np.arange(100, dtype=np.float32)
    assert isinstance(dense_from_numpy(array), DenseAttr)
    by_reference = dense_from_numpy(array, "w")
    assert str(by_reference) == "dense_resource<w> : tensor<100xf32>"
    assert np.array_equal(by_reference.numpy(), array) and not by_reference.numpy().flags.writeable
    assert isinstance(dense_from_numpy(array[:16], "w"), DenseAttr)


def test_same_data_compares_content_across_forms():
    a = dense_from_numpy(np.arange(100, dtype=np.float32), "a")
    b = dense_from_numpy(np.arange(100, dtype=np.float32), "b")
    assert a != b and same_data(a, b) and same_data(a, dense_from_numpy(np.arange(100, dtype=np.float32)))
    splat, explicit = dense_from_numpy(np.ones(40, np.int8)), DenseAttr(tensor([40], i8), b"\1" * 40)
    assert splat.is_splat and not explicit.is_splat and same_data(splat, explicit)


def test_missing_resource_data_is_a_diagnostic():
    with pytest.raises(QirError, match=r"dense_resource<w> is not in the text nor beside it"):
        DenseResourceAttr("w", tensor([4], f32)).numpy()


NUMPY_TYPES = [IntegerType(w, s) for w in (2, 4, 8, 16, 32, 64) for s in ("", "u")] + [
    FloatType(n) for n in FLOAT_BITS if n not in ("tf32", "f80", "f128")
]


@pytest.mark.parametrize("element", NUMPY_TYPES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_pack_and_unpack_are_inverse(element, count):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << min(8, numpy_dtype(element).itemsize * 8), count * numpy_dtype(element).itemsize)
    bits = element.width
    if bits in (2, 4, 6):
        codes = codes % (1 << bits)
        data = codes.astype(np.uint8)
        array = unpack(pack(data.view(np.uint8), IntegerType(8, "u")), IntegerType(8, "u"), (count,))
        array = (
            array.astype(np.uint8).view(numpy_dtype(element))
            if bits == 6
            else unpack(_packed(data, bits), element, (count,))
        )
    else:
        array = codes.astype(np.uint8).tobytes()
        array = np.frombuffer(array, numpy_dtype(element))
    data = pack(array, element)
    assert len(data) == storage_size(element, count)
    again = unpack(data, element, (count,))
    assert again.dtype == array.dtype and again.tobytes() == array.tobytes()


def _packed(codes: np.ndarray, bits: int) -> bytes:
    """Packs low bits first, one code at a time: an independent writing of the rule."""
    total = 0
    for i, code in enumerate(codes.tolist()):
        total |= code << (bits * i)
    return total.to_bytes((len(codes) * bits + 7) // 8, "little")


def test_element_types_and_dtypes_are_inverse():
    for element in [*NUMPY_TYPES, i1]:
        assert element_type(numpy_dtype(element)) == element
    with pytest.raises(ValueError, match="no tensor element type"):
        element_type(np.dtype("datetime64[s]"))


def test_stored_bytes_are_little_endian():
    data = struct.pack("<2f", 1.0, -2.5)
    assert BytesTensor(data, TensorType((2,), f32)).numpy().tolist() == [1.0, -2.5]
    assert pack(np.array([1.0, -2.5], np.float32), f32) == data


def test_dictionaries_are_sorted_and_compared_by_value():
    assert dictionary({"b": IntegerAttr(1), "a": IntegerAttr(2)}) == dictionary(
        {"a": IntegerAttr(2), "b": IntegerAttr(1)}
    )
    assert tensor([1], ui8) == tensor((1,), ui8) and hash(tensor([1], ui8)) == hash(tensor((1,), ui8))
