"""The onnx dialect: classes from schemas, accessors, building with inferred types, verification by version."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from qir.dialects import onnx, onnx_schema, onnx_stub
from qir.dialects.builtin import ModuleOp, empty_module
from qir.dialects.func import ReturnOp, make_func
from qir.dialects.onnx_build import constant, encode
from qir.dialects.onnx_types import container, contents, type_string
from qir.ir import (
    Builder,
    Context,
    IntegerAttr,
    OpaqueType,
    Operation,
    QirError,
    TensorType,
    Trait,
    Type,
    Value,
    dictionary,
    f16,
    f32,
    i1,
    i8,
    i64,
    is_absent,
    none,
    tensor,
    verify,
)


def module_with(types: list[Type], opset: int = 17) -> tuple[ModuleOp, Builder, list[Value]]:
    module = empty_module(attributes={"onnx.opset": dictionary({"ai.onnx": IntegerAttr(opset)})})
    func = make_func("main", types)
    module.body.append(func)
    return module, Builder(func.body), list(func.body.args)


def messages(op: Operation, opset: int = 17) -> str:
    """What the verifier says of an operation whose operands are a function's arguments."""
    module, builder, args = module_with([v.type for v in op.operands], opset)
    op.set_operands(args)
    builder.insert(op)
    builder.insert(ReturnOp.create(()))
    try:
        verify(module)
    except QirError as error:
        return str(error)
    return ""


def made(name: str, operands: list[Type], results: list[Type], **attributes: object) -> Operation:
    """An operation on arguments of these types; attributes as they are."""
    _, _, args = module_with(operands)
    from qir.ir import attribute

    encoded = {k: attribute(v) for k, v in attributes.items()}  # type: ignore[arg-type]
    return onnx.op_class(name).create(args, results, encoded)


X, W = tensor([None, 3, 8, 8], f32), tensor([4, 3, 3, 3], f32)


def test_every_operator_has_a_class_and_its_accessors() -> None:
    for name in onnx_schema.names(""):
        schema = onnx_schema.newest("", name)
        if schema is None:
            continue
        cls = onnx.op_class(name)
        assert cls.name == f"onnx.{name}" and cls.is_registered
        hidden = [
            member
            for member in (*(p.name for p in schema.inputs), *schema.attributes)
            if member not in schema.graphs and member not in vars(cls)
        ]
        assert hidden == [], f"{name}: members of Operation hide {hidden}"


def test_other_domains_of_onnx_are_known() -> None:
    ctx = Context()
    cls = ctx.op_class("ai.onnx.ml.Binarizer")
    assert cls is not None and cls.definition is not None
    assert ctx.op_class("ai.onnx.preview.training.Adam") is not None
    assert ctx.op_class("ai.onnx.ml.Gone") is None and ctx.op_class("com.microsoft.Gelu") is None


def test_an_unknown_operator_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'Conv'"):
        onnx.Convv  # noqa: B018


def test_importing_the_dialect_does_not_import_onnx() -> None:
    code = """
import sys
from qir.dialects import onnx
from qir.ir import Context
assert 'onnx' not in sys.modules
Context().op_class('onnx.Conv')
assert 'onnx.defs' in sys.modules and 'torch' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "trait", "has"),
    [
        ("Add", Trait.COMMUTATIVE | Trait.ELEMENTWISE | Trait.PURE, True),
        ("Sub", Trait.COMMUTATIVE, False),
        ("Constant", Trait.CONSTANT_LIKE, True),
        ("Reshape", Trait.SCALE_PRESERVING, True),
        ("Conv", Trait.SCALE_PRESERVING, False),
        ("RandomNormal", Trait.PURE, False),
        ("Multinomial", Trait.PURE, False),
        ("Dropout", Trait.PURE, True),
        ("If", Trait.PURE, True),
    ],
)
def test_traits(name: str, trait: Trait, has: bool) -> None:
    assert (onnx.op_class(name).traits & trait == trait) == has


def test_build_infers_types_at_the_version_of_the_operands() -> None:
    module, builder, (x, w) = module_with([X, W])
    conv = builder.insert(onnx.Conv.build(x, w, pads=[1, 1, 1, 1], name="c"))
    assert conv.results[0].type == tensor([None, 4, 8, 8], f32) and conv.results[0].name == "c"
    axes = builder.insert(constant(np.array([2, 3], np.int64)))
    mean = builder.insert(onnx.ReduceMean.build(conv.result, axes=[2, 3], keepdims=0))  # type: ignore[call-arg]
    assert mean.result.type == tensor([None, 4], f32)
    shape = builder.insert(constant(np.array([0, 2, -1], np.int64)))
    assert builder.insert(onnx.Reshape.build(mean.result, shape.result)).result.type == tensor([None, 2, 2], f32)
    first, second = onnx.Split.build(mean.result, axis=1, outputs=2).results
    assert first.type == second.type == tensor([None, 2], f32)
    squeezed = builder.insert(onnx.Unsqueeze.build(mean.result, axes.result))
    assert squeezed.result.type == tensor([None, 4, 1, 1], f32)
    builder.insert(ReturnOp.create(()))
    verify(module)


def test_accessors_give_operands_values_and_defaults() -> None:
    _, builder, (x, w) = module_with([X, W])
    conv = builder.insert(onnx.Conv.build(x, w, strides=[2, 2]))
    assert conv.X is x and conv.W is w and conv.B is None
    assert conv.strides == (2, 2) and conv.group == 1 and conv.auto_pad == "NOTSET" and conv.pads is None
    conv.group = 3
    assert conv.attributes["group"] == IntegerAttr(3)
    conv.pads = (1, 1, 1, 1)
    assert conv.pads == (1, 1, 1, 1)
    conv.pads = None
    assert "pads" not in conv.attributes
    cat = builder.insert(onnx.Concat.build([x, x], axis=1))
    assert cat.inputs == (x, x)
    assert constant(np.float32(2)).attributes["value"] == onnx.Constant.build(value=np.float32(2)).value


def test_absent_operands_are_values_of_type_none_and_come_along() -> None:
    module, builder, (x, hi) = module_with([X, tensor([], f32)])
    clip = builder.insert(onnx.Clip.build(x, None, hi))
    assert clip.operands[1].type == none and is_absent(clip.operands[1])
    assert clip.min is None and clip.max is hi and clip.onnx_operand("min") is None
    assert [op.name for op in builder.block] == ["onnx.NoValue", "onnx.Clip"]
    assert len(onnx.Clip.build(x, None, None).operands) == 1
    builder.insert(ReturnOp.create(()))
    verify(module)


def test_build_says_what_is_wrong_with_an_attribute() -> None:
    _, _, (x, w) = module_with([X, W])
    with pytest.raises(ValueError, match="no attribute 'pad' at version 11; did you mean 'pads'"):
        onnx.Conv.build(x, w, pad=[1])  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="attribute 'group' must be an integer"):
        onnx.Conv.build(x, w, group=[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "attribute", "value", "text"),
    [
        ("LeakyRelu", "alpha", 1, "1.0 : f32"),
        ("Conv", "group", True, "1 : i64"),
        ("Conv", "pads", (), "array<i64>"),
        ("Upsample", "mode", "linear", '"linear"'),
        ("LRN", "size", np.int64(3), "3 : i64"),
    ],
)
def test_python_values_become_what_the_schema_names(name: str, attribute: str, value: object, text: str) -> None:
    schema = onnx_schema.newest("", name)
    assert schema is not None
    assert str(encode(schema, attribute, value)) == text


@pytest.mark.parametrize(
    ("op", "opset", "message"),
    [
        (lambda: made("Relu", [X], [X]), 17, ""),
        (lambda: made("Squeeze", [X], [W], axes=[0]), 12, ""),
        (lambda: made("Squeeze", [X], [W], axes=[0]), 13, "has no attribute 'axes' at version 13"),
        (lambda: made("Relu", [], []), 17, "takes 1 operands at version 14, has 0"),
        (lambda: made("Relu", [X], []), 17, "gives 1 results at version 14, has 0"),
        (lambda: made("Relu", [X, X], [X]), 17, "takes 1 operands"),
        (lambda: made("Not", [X], [X]), 17, "operand 'X' must be a tensor of i1"),
        (lambda: made("Not", [tensor([1], i1)], [X]), 17, "result 'Y' must be a tensor of i1"),
        (lambda: made("Add", [X, tensor([1], f16)], [X]), 17, "must be of one type"),
        (lambda: made("Relu", [tensor([1], i8)], [tensor([1], i8)]), 13, "operand 'X' must be a tensor of"),
        (lambda: made("Relu", [tensor([1], i8)], [tensor([1], i8)]), 14, ""),
        (lambda: made("Cast", [X], [X]), 17, "needs the attribute 'to'"),
        (lambda: made("Cast", [X], [X], to="FLOAT"), 17, "attribute 'to' must be an integer"),
        (lambda: made("If", [tensor([], i1)], [X]), 17, "takes 2 regions (then_branch, else_branch), has 0"),
        (lambda: made("Gelu", [X], [X]), 17, "needs ai.onnx version 20 or newer"),
        (lambda: made("Upsample", [X, tensor([4], f32)], [X]), 10, ""),
        (lambda: made("Relu", [OpaqueType("onnx", "unknown")], [X]), 17, ""),
        (lambda: made("SequenceLength", [container("seq", X)], [tensor([], i64)]), 17, ""),
        (lambda: made("SequenceLength", [X], [tensor([], i64)]), 17, "operand 'input_sequence' must be"),
        (lambda: made("Relu", [OpaqueType("quant", "any<i8>")], [X]), 17, "operand 'X' must be"),
    ],
)  # fmt: skip
def test_verification_by_version(op: object, opset: int, message: str) -> None:
    found = messages(op(), opset)  # type: ignore[operator]
    assert (message in found) if message else found == ""


def test_the_opset_of_the_nearest_operation_around_holds() -> None:
    module, builder, (x,) = module_with([X], 12)
    relu = builder.insert(onnx.Relu.build(x))
    assert onnx.opset_of(relu) == 12 and onnx.opset_of(relu, "com.example") is None
    func = module.body.first
    assert func is not None
    func.attributes["onnx.opset"] = dictionary({"ai.onnx": IntegerAttr(20), "ai.onnx.ml": IntegerAttr(3)})
    assert onnx.opsets(relu) == {"": 20, "ai.onnx.ml": 3}
    assert relu.schema.since == 14


@pytest.mark.parametrize(
    ("domain", "op_type", "name", "spelled"),
    [
        ("", "Conv", "onnx.Conv", False),
        ("ai.onnx", "Conv", "onnx.Conv", True),
        ("ai.onnx.ml", "Scaler", "ai.onnx.ml.Scaler", False),
        ("com.microsoft", "Gelu", "com.microsoft.Gelu", False),
        ("my", "Op.v2", "my.Op.v2", True),
        ("func", "call", "domain.func.call", True),
        ("onnx", "X", "domain.onnx.X", True),
    ],
)
def test_names_of_nodes_there_and_back(domain: str, op_type: str, name: str, spelled: bool) -> None:
    from qir.ir import StringAttr

    assert onnx.op_name(domain, op_type) == (name, spelled)
    attributes = {"onnx.domain": StringAttr(domain)} if spelled else {}
    assert onnx.domain_and_type(Context().create_op(name, (), (), attributes)) == (domain, op_type)


@pytest.mark.parametrize(
    ("type", "text"),
    [
        (TensorType((1,), f32), "tensor(float)"),
        (TensorType(None, OpaqueType("onnx", "string")), "tensor(string)"),
        (container("seq", TensorType((1,), i64)), "seq(tensor(int64))"),
        (container("opt", container("seq", TensorType(None, f16))), "optional(seq(tensor(float16)))"),
        (container("map", i64, TensorType(None, f32)), "map(int64,tensor(float))"),
        (container("sparse", TensorType((4,), f32)), "sparse_tensor(float)"),
        (OpaqueType("onnx", "unknown"), ""),
        (OpaqueType("other", "x"), None),
        (f32, None),
    ],
)
def test_types_as_onnx_spells_them(type: Type, text: str | None) -> None:
    assert type_string(type) == text
    if isinstance(type, OpaqueType):  # what the text gives: a fresh object without the parts it was made of
        assert contents(OpaqueType(type.dialect, str(type.body))) == contents(type)


def test_the_stub_is_that_of_the_installed_onnx() -> None:
    with open(onnx_stub.PATH, encoding="utf-8") as file:
        committed = file.read()
    assert committed == onnx_stub.stub(), "write it anew: python -m qir.dialects.onnx_stub"


def test_the_stub_names_what_the_module_exports() -> None:
    text = onnx_stub.stub()
    assert [name for name in onnx.__all__ if f"{name} as {name}" not in text] == []
