"""The verifier and declarative definitions: what is wrong is said in words, at its place."""

import numpy as np
import pytest

from qir.dialects.builtin import ModuleOp, empty_module
from qir.dialects.func import CallOp, ReturnOp, make_func
from qir.dialects.qsim import DecodeOp, EncodeOp, FakeOp, make_quantizer
from qir.ir import (
    Block,
    Builder,
    NameLoc,
    Operation,
    QirError,
    Region,
    SymbolTable,
    Trait,
    UnregisteredOp,
    Value,
    attribute,
    f32,
    i8,
    i32,
    op_def,
    symbol_refs,
    tensor,
    ui8,
    verify,
)
from qir.ir.definition import (
    ANY,
    FLOAT_TENSOR,
    INT,
    INTS,
    STRING,
    attr,
    operand,
    optional_attr,
    optional_operand,
    region,
    result,
    tensor_of,
    variadic_operand,
)
from qir.numerics.scheme import Granularity, Product, Scheme

X = tensor([2, 4], f32)


@op_def("t.conv", Trait.PURE)
class ConvOp(Operation):
    """A convolution."""

    x = operand(FLOAT_TENSOR)
    w = operand(tensor_of(i8, i32, rank=2))
    b = optional_operand(FLOAT_TENSOR)
    y = result(FLOAT_TENSOR)
    pads = attr(INTS)
    group = attr(INT, default=1)
    note = optional_attr(STRING)

    @classmethod
    def infer(cls, operands, attributes):
        return (operands[0].type,)


@op_def("t.many")
class ManyOp(Operation):
    """Two variadic fields."""

    xs = variadic_operand(ANY)
    s = optional_operand(ANY)
    y = result(ANY)


@op_def("t.loop")
class LoopOp(Operation):
    """One region that must end in a terminator."""

    body = region()


def messages(op: Operation) -> list[str]:
    with pytest.raises(QirError) as caught:
        verify(op)
    return [d.message for d in caught.value.diagnostics]


def program(*types) -> tuple[ModuleOp, Block, list[Value]]:
    module = empty_module()
    func = make_func("main", types)
    module.body.append(func)
    return module, func.body, list(func.body.args)


def finish(block: Block) -> None:
    block.append(ReturnOp.build([], result_types=[]))


def test_accessors_and_defaults_come_from_the_definition():
    _, block, (x, w, b) = program(X, tensor([2, 2], i8), X)
    conv = Builder(block).insert(ConvOp.build(x, w, pads=[1, 2]))
    assert (conv.x, conv.w, conv.b, conv.y) == (x, w, None, conv.result)
    assert conv.pads == (1, 2) and conv.group == 1 and conv.note is None
    conv.group, conv.note = 3, "n"
    assert conv.attr("group") == 3 and conv.note == "n"
    conv.note = None
    assert "note" not in conv.attributes
    assert ConvOp.build(x, w, b, pads=[0, 0]).b is b
    assert ConvOp.pads.kind is INTS and ConvOp.x.constraint is FLOAT_TENSOR


def test_a_correct_operation_verifies():
    module, block, (x, w) = program(X, tensor([None, 2], i8))
    block.append(ConvOp.build(x, w, pads=[]))
    finish(block)
    verify(module)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, x, w: o.set_operands([x]), "'t.conv' takes 2 to 3 operands, has 1"),
        (
            lambda o, x, w: o.set_operands([w, w]),
            "operand 'x' must be a tensor of a floating-point type, is tensor<2x2xi8>",
        ),
        (
            lambda o, x, w: o.set_operands([x, x]),
            "operand 'w' must be a rank-2 tensor of i8 or i32, is tensor<2x4xf32>",
        ),
        (lambda o, x, w: o.attributes.pop("pads"), "needs the attribute 'pads', an array of integers"),
        (
            lambda o, x, w: o.attributes.update(pads=attribute("x")),
            "attribute 'pads' must be an array of integers, is \"x\"",
        ),
        (lambda o, x, w: o.attributes.update(group=attribute(True)), "attribute 'group' must be an integer, is true"),
    ],
)
def test_each_difference_from_the_definition_is_named(change, message):
    module, block, (x, w) = program(X, tensor([2, 2], i8))
    conv = Builder(block).insert(ConvOp.build(x, w, pads=[]))
    finish(block)
    change(conv, x, w)
    assert message in messages(module)[0]


def test_several_flexible_fields_carry_their_sizes():
    module, block, (x, s) = program(X, X)
    many = Builder(block).insert(ManyOp.build([x, x], s, result_types=[X]))
    finish(block)
    assert str(many.attributes["operandSegmentSizes"]) == "array<i32: 2, 1>"
    assert many.xs == (x, x) and many.s is s
    many.attributes["operandSegmentSizes"] = attribute([1, 1])
    assert "needs 'operandSegmentSizes' with 2 sizes that add up to its 3 operands" in messages(module)[0]


def test_use_before_definition_and_values_of_other_regions():
    module, block, (x,) = program(X)
    late = UnregisteredOp.create([x], [X], name="t.late")
    early = Builder(block).insert(UnregisteredOp.create([late.result], [], name="t.early"))
    block.append(late)
    finish(block)
    assert messages(module) == ["'t.early' uses operand 0 before 't.late' defines it"]
    early.erase()
    verify(module)
    other = make_func("other", [X])
    module.body.append(other)
    other.body.append(UnregisteredOp.create([x], [], name="t.thief"))
    finish(other.body)
    assert messages(module) == ["'t.thief' uses operand 0, which is not visible here"]


def test_values_of_an_enclosing_region_are_visible_and_inner_ones_are_not_outside():
    module, block, (x,) = program(X)
    inner = UnregisteredOp.create([x], [X], name="t.inner")
    loop = LoopOp.create(regions=[Region([Block()])])
    loop.body.block.append(inner)
    loop.body.block.append(UnregisteredOp.create(name="t.yield"))
    block.append(loop)
    finish(block)
    verify(module)
    block.insert_before(UnregisteredOp.create([inner.result], [], name="t.outside"), block.last)
    assert messages(module) == ["'t.outside' uses operand 0, which is not visible here"]


def test_terminators_stand_last_and_are_needed():
    module, block, _ = program()
    assert messages(module) == ["'func.func' needs a terminator at the end of its block"]
    finish(block)
    finish(block)
    assert messages(module) == ["'func.return' is a terminator and must stand last in its block"]


def test_symbols_are_unique_and_resolved():
    module, block, (x,) = program(X)
    block.append(FakeOp.build(x, quantizer="q"))
    block.append(CallOp.build([x], result_types=[], callee="nobody"))
    finish(block)
    assert messages(module) == [
        "'qsim.fake' names @q, which is no quantizer",
        "'func.call' calls @nobody, which is no function",
    ]
    module.body.append(make_quantizer("q", Scheme(storage="i8")))
    assert messages(module) == ["'func.call' calls @nobody, which is no function"]
    module.body.append(make_quantizer("q", Scheme(storage="i8")))
    assert "'qsim.quantizer' defines the symbol @q a second time" in messages(module)


def test_symbol_tables_rename_with_all_references():
    module, block, (x,) = program(X)
    fake = Builder(block).insert(FakeOp.build(x, quantizer="q"))
    finish(block)
    table = SymbolTable(module)
    assert table.insert(make_quantizer("q", Scheme(storage="i8"))) == "q"
    assert table.insert(make_quantizer("q", Scheme(storage="i8"))) == "q_0"
    assert table.rename("q", "main") == "main_0" and fake.quantizer == "main_0"
    assert [(o.name, r) for o, r in symbol_refs(module)] == [("qsim.fake", "main_0")]
    table.erase("q_0")
    verify(module)
    assert table.lookup("q_0") is None


def test_errors_carry_the_onnx_node_and_all_are_reported():
    module, block, (x,) = program(X)
    for i in range(3):
        fake = Builder(block).insert(FakeOp.build(x, quantizer=f"q{i}"))
        fake.location = NameLoc(f"/node{i}")
    finish(block)
    with pytest.raises(QirError) as caught:
        verify(module)
    assert str(caught.value).splitlines()[0] == "error: [/node0] 'qsim.fake' names @q0, which is no quantizer"


# ---------------------------------------------------------------- qsim
def quantized(scheme: Scheme, type=X, name="q"):
    module, block, (x,) = program(type)
    quantizer = make_quantizer(name, scheme)
    module.body.insert_before(quantizer, module.body.first)
    fake = Builder(block).insert(FakeOp.build(x, quantizer=name))
    finish(block)
    return module, quantizer, fake


SCHEMES = [
    Scheme(storage="u8", symmetric=False),
    Scheme(storage="i8", qmin=-127, granularity=Granularity.per_axis(0)),
    Scheme(storage="i4", granularity=Granularity.block({0: 1, 1: 2}, tail="pad"), rounding="half_away"),
    Scheme(storage="f8E4M3FN", granularity=Granularity.per_token(), dynamic=True),
    Scheme(storage="i8", pow2="up", saturate=False),
    Scheme(storage="lut", codebook=(-1.0, 0.0, 1.0)),
    Scheme(storage="u4", symmetric=False, zero_inside=True, rounding="stochastic", seed=7),
    Scheme(storage="i32", product=Product("x", "w", 1, 0.5)),
    Scheme(storage="f4E2M1FN", granularity=Granularity.block({-1: 32}, rest=1), scale_by="s"),
]


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_quantizer_holds_its_whole_scheme(scheme):
    assert make_quantizer("q", scheme).scheme == scheme


@pytest.mark.parametrize(
    ("scale", "zero", "message"),
    [
        (np.float32(0.1), np.int32(300), "the zero point must lie in 0:255"),
        (np.float32(0.0), None, "every scale must be positive and finite"),
        (np.float32(np.inf), None, "every scale must be positive and finite"),
        (np.float32(np.nan), None, "every scale must be positive and finite"),
        (np.int64(1), None, "the scale must be floats"),
        (np.ones(3, np.float32), None, "has scales of shape (3,), tensor<2x4xf32> needs ()"),
    ],
)
def test_parameters_are_checked(scale, zero, message):
    module, quantizer, _ = quantized(Scheme(storage="u8", symmetric=False))
    quantizer.set_parameters(scale, zero)
    assert message in messages(module)[0]


def test_blocks_must_divide():
    module, _, _ = quantized(Scheme(storage="i8", granularity=Granularity.block({1: 3})))
    assert "blocks of 3 do not divide axis 1 of size 4" in messages(module)[0]


def test_contradicting_words_are_an_error_of_the_quantizer():
    module, quantizer, _ = quantized(Scheme(storage="f8E4M3FN"))
    quantizer.symmetric = False
    assert "@q: storage f8E4M3FN has no zero point: it must be symmetric" in messages(module)[0]


def test_codes_have_the_storage_and_shape_of_the_quantizer():
    module, _, fake = quantized(Scheme(storage="u8", symmetric=False))
    encode = Builder(fake.parent, fake).insert(EncodeOp.build(fake.x, quantizer="q", result_types=[tensor([2, 4], i8)]))
    assert messages(module) == ["'qsim.encode' has codes of type i8, @q stores ui8"]
    encode.results[0].type = tensor([2, 3], ui8)
    assert messages(module) == ["'qsim.encode' has codes of shape tensor<2x3xui8> for tensor<2x4xf32>"]
    encode.results[0].type = tensor([2, 4], ui8)
    Builder(fake.parent, fake).insert(DecodeOp.build(encode.result, quantizer="q", result_types=[X]))
    verify(module)


def test_a_product_scale_needs_both_quantizers_on_the_users_inputs():
    module, block, (x, w, b) = program(X, X, tensor([4], f32))
    for name, scheme in (
        ("x", Scheme(storage="u8", symmetric=False)),
        ("w", Scheme(storage="i8")),
        ("b", Scheme(storage="i32", product=Product("x", "w"))),
    ):
        module.body.append(make_quantizer(name, scheme))
    build = Builder(block)
    fx, fw, fb = (build.insert(FakeOp.build(v, quantizer=n)) for v, n in ((x, "x"), (w, "w"), (b, "b")))
    user = build.insert(UnregisteredOp.create([fx.result, fw.result, fb.result], [], name="t.gemm"))
    finish(block)
    verify(module)
    user.set_operands([x, fw.result, fb.result])
    assert "its user 't.gemm' has no input quantized by @x" in messages(module)[0]
