"""Hypothesis strategies: random types, attributes, locations and modules, as deep and odd as the text allows."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from qir.dialects.builtin import ModuleOp, empty_module
from qir.dialects.func import ReturnOp, make_func
from qir.ir import (
    UNKNOWN,
    ArrayAttr,
    ArrayTensor,
    Attribute,
    Block,
    ComplexType,
    Context,
    DenseArrayAttr,
    DenseAttr,
    DenseResourceAttr,
    FileLineColLoc,
    FloatAttr,
    FloatType,
    FunctionType,
    IndexType,
    IntegerAttr,
    IntegerType,
    Location,
    LocationAttr,
    NameLoc,
    NoneType,
    OpaqueAttr,
    OpaqueType,
    Operation,
    Region,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    TupleType,
    Type,
    TypeAttr,
    UnitAttr,
    Value,
    dictionary,
    fuse,
)
from qir.ir.attributes import dense_from_bytes
from qir.ir.location import CallSiteLoc
from qir.ir.tensors import storage_size
from qir.ir.types import FLOAT_BITS

# Text as ONNX models have it: names with slashes and colons, quotes, control characters, any script.
strings = st.text(max_size=12) | st.sampled_from(
    ["", "a", "conv1/Conv", "x:0", "0", "12", "arg0", "_", "%a", 'q"\\', "\x00", "ü/β"]
)
names = (
    st.sampled_from(["a", "b", "x", "a/b", "a_b", "a.b", "1", "arg1", "é", "a b", "-", "_0", "n_output_0", ""])
    | strings
)
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
keys = words | st.sampled_from(
    ["loc", "dense", "tensor", "true", "unit", "array", "at", "return", "onnx.x", "a b", "ü", "0"]
)

flags = st.booleans()
symbols = strings.filter(bool)  # MLIR has no empty symbol

integer_types = st.builds(IntegerType, st.sampled_from([1, 2, 4, 8, 16, 32, 64, 7]), st.sampled_from(["", "s", "u"]))
float_names = sorted(set(FLOAT_BITS) - {"f128", "f80", "tf32"})
float_types = st.builds(FloatType, st.sampled_from(float_names))
opaque_types = st.sampled_from(
    [
        OpaqueType("onnx", "string"),
        OpaqueType("onnx", "seq<tensor<?xf32>>"),
        OpaqueType("quant", "uniform<i8:f32:0, {1.000000e-01:-3,2.000000e-01}>"),
        OpaqueType("t", 'x<"a>b", [(-> 1)]>'),
        OpaqueType("", "vector<4xf32>"),
    ]
)
scalars: st.SearchStrategy[Type] = integer_types | float_types | st.just(IndexType()) | opaque_types
sizes = st.none() | st.integers(0, 3) | st.just(10**9)
shapes = st.none() | st.lists(sizes, max_size=4).map(tuple)


def _compound(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    some = st.lists(inner, max_size=3).map(tuple)
    return st.builds(TupleType, some) | st.builds(FunctionType, some, some)


tensor_types = st.builds(TensorType, shapes, scalars | st.builds(ComplexType, float_types))
types: st.SearchStrategy[Type] = st.recursive(scalars | tensor_types | st.just(NoneType()), _compound, max_leaves=4)


@st.composite
def integers(draw: st.DrawFn, type: IntegerType) -> int:
    if type.signedness == "u" or (type.width == 1 and not type.signedness):
        return draw(st.integers(0, (1 << type.width) - 1))
    return draw(st.integers(-(1 << (type.width - 1)), (1 << (type.width - 1)) - 1))


@st.composite
def numbers(draw: st.DrawFn) -> Attribute:
    """Integers of every type, floats of every bit pattern."""
    if draw(st.booleans()):
        type = draw(integer_types)
        return IntegerAttr(draw(integers(type)), type)
    float_type = draw(float_types)
    return FloatAttr(draw(st.integers(0, (1 << float_type.width) - 1)), float_type)


@st.composite
def dense(draw: st.DrawFn) -> Attribute:
    """Tensors in place, of random bytes."""
    element = draw(
        float_types | st.builds(IntegerType, st.sampled_from([1, 2, 4, 8, 16, 32, 64]), st.sampled_from(["", "u"]))
    )
    type = TensorType(tuple(draw(st.lists(st.integers(0, 3), max_size=3))), element)
    count = type.count
    size = storage_size(element, count)
    data = bytearray(draw(st.binary(min_size=size, max_size=size)))
    bits = FLOAT_BITS[element.name] if isinstance(element, FloatType) else element.width
    if bits in (1, 6):
        data = bytearray(b & ((1 << bits) - 1) for b in data)
    if bits in (2, 4) and data and count * bits % 8:
        data[-1] &= (1 << (count * bits % 8)) - 1
    return dense_from_bytes(bytes(data), type) if count else DenseAttr(type, b"")


@st.composite
def resources(draw: st.DrawFn) -> Attribute:
    """Tensors by reference, under odd keys."""
    array = np.frombuffer(draw(st.binary(min_size=24, max_size=24)), np.uint8)
    return DenseResourceAttr(draw(names), TensorType((24,), IntegerType(8, "u")), ArrayTensor(array))


@st.composite
def arrays(draw: st.DrawFn) -> Attribute:
    if draw(st.booleans()):  # MLIR takes elements of whole bytes only
        type = draw(st.builds(IntegerType, st.sampled_from([1, 8, 16, 32, 64])))
        return DenseArrayAttr(type, tuple(draw(st.lists(integers(type), max_size=4))))
    float_type = draw(float_types.filter(lambda t: t.width % 8 == 0))
    values = draw(st.lists(st.integers(0, (1 << float_type.width) - 1), max_size=4))
    return DenseArrayAttr(float_type, tuple(values))


positions = st.integers(0, 2**32 - 1)
locations: st.SearchStrategy[Location] = st.recursive(
    st.just(UNKNOWN)
    | st.builds(NameLoc, strings)
    | st.builds(FileLineColLoc, strings.filter(bool), positions, positions),
    lambda inner: (
        st.builds(NameLoc, strings, inner)
        | st.lists(inner, min_size=2, max_size=3).map(fuse)
        | st.builds(CallSiteLoc, inner, inner)
    ),
    max_leaves=4,
)
atoms: st.SearchStrategy[Attribute] = st.one_of(
    numbers(),
    dense(),
    arrays(),
    resources(),
    st.builds(StringAttr, strings),
    st.just(UnitAttr()),
    st.builds(TypeAttr, types),
    st.builds(SymbolRefAttr, symbols, st.lists(symbols, max_size=2).map(tuple)),
    st.builds(LocationAttr, locations),
    st.sampled_from(
        [
            OpaqueAttr("t", "x<[1, {2}]>"),
            OpaqueAttr("t", "y"),
            OpaqueAttr("", "affine_map<(d0) -> (d0 * 2)>"),
            OpaqueAttr("t", '<"a>", b>'),
        ]
    ),
)
attributes: st.SearchStrategy[Attribute] = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: ArrayAttr(tuple(v)))
        | st.dictionaries(keys, inner, max_size=3).map(dictionary)
    ),
    max_leaves=5,
)


@st.composite
def operations(draw: st.DrawFn, visible: list[Value], context: Context, depth: int) -> Operation:
    """One operation of an unknown dialect, with operands among `visible` and up to two regions."""
    operands = draw(st.lists(st.sampled_from(visible), max_size=3)) if visible else []
    results = draw(st.lists(types, max_size=3))
    given = draw(st.dictionaries(keys, attributes, max_size=3))
    regions = []
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        regions.append(draw(regions_of(list(visible), context, depth - 1)))
    name = draw(st.sampled_from(["t.a", "t.b.c", "com.x.Op", "odd name", "t.a$b"]))
    op = context.create_op(name, operands, results, given, regions, draw(locations))
    for value in op.results:
        value.name = draw(st.none() | names) or None
    return op


@st.composite
def regions_of(draw: st.DrawFn, visible: list[Value], context: Context, depth: int) -> Region:
    region = Region()
    count = draw(st.integers(0, 2))
    for _ in range(count):
        block = region.add_block(Block())
        for type in draw(st.lists(types, max_size=2)):
            visible.append(block.add_arg(type, draw(st.none() | names) or None, draw(locations)))
        fill(draw, block, visible, context, depth, least=int(count > 1))  # of several blocks MLIR takes no empty one
    return region


def fill(draw: st.DrawFn, block: Block, visible: list[Value], context: Context, depth: int, least: int = 0) -> None:
    for _ in range(draw(st.integers(least, 3))):
        op = draw(operations(visible, context, depth))
        block.append(op)
        visible.extend(op.results)


@st.composite
def modules(draw: st.DrawFn) -> ModuleOp:
    """Modules with functions of random operations, ONNX's or not."""
    context = Context(allow_unregistered=True)
    given: dict[str, Attribute] = draw(st.dictionaries(keys.map(lambda k: f"t.{k}"), attributes, max_size=2))
    if draw(st.booleans()):
        given["onnx.opset"] = dictionary({"ai.onnx": IntegerAttr(17)})
    module = empty_module(draw(st.none() | strings), given, draw(locations))
    for number in range(draw(st.integers(0, 2))):
        inputs = draw(st.lists(types, max_size=3))
        func = make_func(f"f{number}", inputs, location=draw(locations))
        for argument in func.body.args:
            argument.name = draw(st.none() | names) or None
            argument.location = draw(locations)
        visible: list[Value] = list(func.body.args)
        fill(draw, func.body, visible, context, 2)
        returned = draw(st.lists(st.sampled_from(visible), max_size=3)) if visible else []
        func.body.append(ReturnOp.create(returned))
        func.update_type()
        keyed = draw(flags)
        if inputs and keyed:
            func.set_arg_attr(0, "t.x", draw(attributes))
        module.body.append(func)
    return module
