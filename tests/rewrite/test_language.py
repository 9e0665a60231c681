"""The pattern language: what an expression matches, and what it refuses when it is defined."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from toy import Graph, context

from qir.ir import Value
from qir.rewrite import (
    Attr,
    PatternError,
    Progress,
    Quantizer,
    any_of,
    const,
    fake,
    maybe_fake,
    onnx,
    op,
    opt,
    pattern,
    rest,
)


@pytest.fixture
def g():
    return Graph(context(), inputs=3)


def definer(value: Value):
    return value.defining_op


def test_binds_parameters_by_name(g):
    @pattern
    def p(x: Value):
        return onnx.Relu(onnx.Neg(x))

    y = g.op("Relu", g.op("Neg", g.args[0]))
    m = p.match(definer(y))
    assert m.x is g.args[0] and [o.name for o in m.ops] == ["onnx.Relu", "onnx.Neg"]
    assert p.match(definer(g.op("Relu", g.args[0]))) is None


def test_equal_names_are_the_same_value(g):
    @pattern
    def p(x: Value):
        return onnx.Sub(x, x)

    assert p.match(definer(g.op("Sub", g.args[0], g.args[0]))) is not None
    assert p.match(definer(g.op("Sub", g.args[0], g.args[1]))) is None


def test_commutative_operands_are_tried_in_both_orders(g):
    @pattern
    def p(x: Value, y: Value):
        return onnx.Add(onnx.Neg(x), y)

    m = p.match(definer(g.op("Add", g.args[1], g.op("Neg", g.args[0]))))
    assert m.x is g.args[0] and m.y is g.args[1]

    @pattern
    def q(x: Value, y: Value):
        return onnx.Sub(onnx.Neg(x), y)

    assert q.match(definer(g.op("Sub", g.args[1], g.op("Neg", g.args[0])))) is None


def test_a_wrong_first_order_is_undone(g):
    """add(neg(x), mul(x, y)): taking mul's operands in the written order binds x wrongly and must be taken back."""

    @pattern
    def p(x: Value, y: Value):
        return onnx.Add(onnx.Mul(x, y), onnx.Neg(x))

    a, b, _ = g.args
    m = p.match(definer(g.op("Add", g.op("Neg", b), g.op("Mul", a, b))))
    assert m.x is b and m.y is a


def test_alternatives_restore_bindings(g):
    @pattern
    def p(x: Value, y: Value):
        return onnx.Relu(any_of(onnx.Sub(onnx.Neg(x), y), onnx.Sub(y, x)))

    a, b, _ = g.args
    m = p.match(definer(g.op("Relu", g.op("Sub", a, b))))
    assert m.y is a and m.x is b
    m = p.match(definer(g.op("Relu", g.op("Sub", g.op("Neg", a), b))))
    assert m.x is a and m.y is b


def test_alternatives_at_the_root_and_several_names(g):
    @pattern
    def p(x: Value, y: Value):
        return any_of(onnx.Relu(x), onnx["Mul", "Add"](x, y))

    assert p.roots == ("onnx.Relu", "onnx.Mul", "onnx.Add")
    assert p.match(definer(g.op("Relu", g.args[0]))).y is None
    assert p.match(definer(g.op("Add", g.args[0], g.args[1]))).y is g.args[1]


def test_interior_results_are_single_use_unless_shared(g):
    @pattern
    def strict(x: Value):
        return onnx.Relu(onnx.Neg(x))

    @pattern
    def loose(x: Value):
        return onnx.Relu(onnx.Neg(x).shared())

    n = g.op("Neg", g.args[0])
    y = g.op("Relu", n)
    g.op("Print", n, results=0)
    progress = Progress()
    assert strict.match(definer(y), progress=progress) is None
    assert progress.reason == "onnx.Neg is used 2 times, not only in this match"
    assert loose.match(definer(y)) is not None


def test_an_operation_used_twice_inside_the_match(g):
    @pattern
    def p(x: Value):
        n = onnx.Neg(x)
        return onnx.Mul(n, onnx.Relu(n))

    n = g.op("Neg", g.args[0])
    y = g.op("Mul", g.op("Relu", n), n)
    assert p.match(definer(y)) is not None
    g.op("Print", n, results=0)
    assert p.match(definer(y)) is None
    # two different operations are not one node
    z = g.op("Mul", g.op("Neg", g.args[0]), g.op("Relu", g.op("Neg", g.args[0])))
    assert p.match(definer(z)) is None


def test_constants(g):
    @pattern
    def p(x: Value, c: Value):
        return onnx.Add(x, const(c))

    @pattern
    def zero(x: Value):
        return onnx.Add(x, const(0.0))

    c = g.const(np.array([0, 0], np.float32))
    y = definer(g.op("Add", c, g.args[0]))
    assert p.match(y).c is c and zero.match(y).x is g.args[0]
    assert p.match(y).array("c").tolist() == [0, 0] and p.match(y).splat("c") == 0.0
    d = definer(g.op("Add", g.args[0], g.const(np.array([0, 1], np.float32))))
    assert p.match(d) is not None and zero.match(d) is None and p.match(d).splat("c") is None
    assert p.match(definer(g.op("Add", g.args[0], g.args[1]))) is None


def test_optional_operands_missing_absent_or_there(g):
    @pattern
    def p(x: Value, w: Value, b: Value):
        return onnx.Conv(x, w, opt(const(b)))

    a, w, b = g.args
    assert p.match(definer(g.op("Conv", a, w))).b is None
    assert p.match(definer(g.op("Conv", a, w, g.absent()))).b is None
    c = g.const(np.ones(2, np.float32))
    assert p.match(definer(g.op("Conv", a, w, c))).b is c
    assert p.match(definer(g.op("Conv", a, w, b))) is None

    @pattern
    def two(x: Value, w: Value):
        return onnx.Conv(x, w)

    assert two.match(definer(g.op("Conv", a, w, g.absent()))) is not None
    assert two.match(definer(g.op("Conv", a, w, c))) is None


def test_rest(g):
    @pattern
    def p(x: Value):
        return onnx.Concat(x, rest("xs"))

    m = p.match(definer(g.op("Concat", *g.args)))
    assert m.x is g.args[0] and m.xs == tuple(g.args[1:])
    assert p.match(definer(g.op("Concat", g.args[0]))).xs == ()


def test_attributes_literal_default_predicate_and_bound(g):
    @pattern
    def literal(x: Value):
        return onnx.Conv(x, group=1, strides=[2, 2])

    @pattern
    def bound(x: Value, s: Attr, n: Attr):
        return onnx.Relu(onnx.Conv(x, strides=s, group=n), mode=lambda v: v > 0)

    c = g.op("Conv", g.args[0], strides=(2, 2))
    assert literal.match(definer(c)) is not None
    m = bound.match(definer(g.op("Relu", c, mode=1)))
    assert m.s == (2, 2) and m.n == 1
    assert literal.match(definer(g.op("Conv", g.args[0], group=2, strides=(2, 2)))) is None
    assert bound.match(definer(g.op("Relu", g.op("Conv", g.args[0])))) is None


def test_equal_attribute_names_are_equal_attributes(g):
    @pattern
    def p(x: Value, s: Attr):
        return onnx.Conv(onnx.Conv(x, strides=s), strides=s)

    assert p.match(definer(g.op("Conv", g.op("Conv", g.args[0], strides=(2, 2)), strides=(2, 2)))) is not None
    assert p.match(definer(g.op("Conv", g.op("Conv", g.args[0], strides=(1, 2)), strides=(2, 2)))) is None


def test_quantizer_edges(g):
    @pattern
    def p(x: Value, q: Quantizer):
        return onnx.Relu(maybe_fake(x, q))

    @pattern
    def same(x: Value, q: Quantizer):
        return fake(fake(x, q), q)

    m = p.match(definer(g.op("Relu", g.op("fake", g.args[0], quantizer="a"))))
    assert m.q == "a" and m.x is g.args[0]
    m = p.match(definer(g.op("Relu", g.args[0])))
    assert m.q is None and m.x is g.args[0]
    inner = g.op("fake", g.args[0], quantizer="a")
    assert same.match(definer(g.op("fake", inner, quantizer="a"))) is not None
    other = g.op("fake", g.args[0], quantizer="a")
    assert same.match(definer(g.op("fake", other, quantizer="b"))) is None


def test_further_results(g):
    @pattern
    def p(x: Value):
        return onnx.Relu(onnx.Split(x)[1])

    split = g.build("Split", g.args[0], results=2)
    assert p.match(definer(g.op("Relu", split.results[1]))) is not None
    assert p.match(definer(g.op("Relu", split.results[0]))) is None


def test_conditions_carry_reasons(g):
    @pattern
    def p(x: Value):
        return onnx.Relu(onnx.Neg(x).bind("inner").where("the inner one is not a Neg", lambda m: m.inner is not None))

    p.where("x has no name", lambda m: m.x.name is not None)
    p.where("never", lambda m: "because of x")
    y = definer(g.op("Relu", g.op("Neg", g.args[0])))
    progress = Progress()
    assert p.match(y, progress=progress) is None and progress.reason == "x has no name"
    g.args[0].name = "x"
    progress = Progress()
    assert p.match(y, progress=progress) is None and progress.reason == "because of x"


def test_a_match_stays_in_one_block(g):
    from qir.ir import Block, Region, UnregisteredOp

    @pattern
    def p(x: Value):
        return onnx.Relu(onnx.Neg(x))

    n = g.op("Neg", g.args[0])
    inner = Block()
    g.func.body.append(UnregisteredOp.create(regions=[Region([inner])], name="x.region"))
    relu = g.ctx.op_class("onnx.Relu").create([n], [n.type])
    inner.append(relu)
    progress = Progress()
    assert p.match(relu, progress=progress) is None and progress.reason == "onnx.Neg is in another block"


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda: pattern(_attr_as_value), "'a' is a parameter of type Attr, an operand needs one of type Value"),
        (lambda: pattern(_value_as_attr), "attribute 'mode'"),
        (lambda: pattern(_value_as_quantizer), "q must be a parameter of type Quantizer"),
        (lambda: pattern(_untyped), "parameter 'x' needs a type"),
        (lambda: pattern(_unused), "parameter y does not occur"),
        (lambda: pattern(_leaf_root), "must return an operation's expression"),
        (lambda: pattern(_number), "write const(1.0)"),
        (lambda: pattern(_rest_first), "rest(…) stands last"),
        (lambda: op("Relu"), "give full names"),
        (lambda: any_of(1), "two alternatives"),
        (lambda: list(onnx.Split(const())), "name its results by index"),
    ],
)
def test_refused_when_defined(define, message):
    with pytest.raises(PatternError) as error:
        define()
    assert message in str(error.value)


def _attr_as_value(a: Attr):
    return onnx.Relu(a)


def _value_as_attr(x: Value):
    return onnx.Relu(x, mode=x)


def _value_as_quantizer(x: Value):
    return fake(x, x)


def _untyped(x):
    return onnx.Relu(x)


def _unused(x: Value, y: Value):
    return onnx.Relu(x)


def _leaf_root(x: Value):
    return x


def _number(x: Value):
    return onnx.Add(x, 1.0)


def _rest_first(x: Value):
    return onnx.Concat(rest("xs"), x)
