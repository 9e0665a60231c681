"""The greedy driver: order, events, dead code, locations, names, budget, counters, traces."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from toy import Graph, context

from qir.ir import FusedLoc, QirError, Value, verify
from qir.rewrite import (
    DebugCounter,
    PatternSet,
    RewritePattern,
    any_of,
    apply_patterns,
    const,
    control_of,
    onnx,
    pattern,
    rest,
)


@pattern
def double_neg(x: Value):
    """neg(neg(x)) = x"""
    return onnx.Neg(onnx.Neg(x).shared())


@double_neg.rewrite
def _(m, rewriter):
    return m.x


@pattern
def neg_add(x: Value, y: Value):
    """x + neg(y) = x - y"""
    return onnx.Add(x, onnx.Neg(y))


@neg_add.rewrite
def _(m, rewriter):
    return rewriter.op("onnx.Sub", [m.x, m.y])


def test_runs_to_the_fixed_point_and_erases_what_is_dead():
    g = Graph(context())
    x = g.args[0]
    for _ in range(6):
        x = g.op("Neg", x)
    module = g.done(g.op("Relu", x))
    assert apply_patterns(module, [double_neg], g.ctx)
    assert g.names == ["Relu"]
    verify(module)
    assert not apply_patterns(module, [double_neg], g.ctx)


def test_replacement_gets_fused_location_and_name():
    g = Graph(context(), 2)
    n = g.op("Neg", g.args[1])
    y = g.op("Add", g.args[0], n)
    y.name = "sum"
    module = g.done(y)
    assert apply_patterns(module, [neg_add], g.ctx, name="test")
    sub = g.func.body.first
    assert sub.name == "onnx.Sub" and sub.result.name == "sum"
    assert isinstance(sub.location, FusedLoc) and sub.location.names() == ("neg0", "add1")


def test_deep_patterns_see_changes_below_them():
    """relu(conv(neg(·))) appears only when the mul under it has become a neg: two levels below the root."""

    @pattern
    def deep(x: Value):
        return onnx.Relu(onnx.Conv(onnx.Neg(x)))

    @deep.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Concat", [m.x])

    @pattern
    def mul_to_neg(x: Value):
        return onnx.Mul(x, x)

    @mul_to_neg.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Neg", [m.x])

    g = Graph(context())
    order = []
    original = deep.match_and_rewrite
    deep.match_and_rewrite = lambda op, rw: order.append(op.name) or original(op, rw)
    y = g.op("Relu", g.op("Conv", g.op("Mul", g.args[0], g.args[0])))
    module = g.done(y)
    # Mul is visited first anyway; put a second one in front by making it from something later
    apply_patterns(module, [deep, mul_to_neg], g.ctx)
    assert g.names == ["Concat"]


def test_a_user_is_visited_again_when_its_producer_becomes_single_use():
    g = Graph(context(), 2)
    n = g.op("Neg", g.args[1])
    y = g.op("Add", g.args[0], n)  # visited first, and neg has two uses
    z = g.op("Relu", n)  # dead: erased afterwards
    module = g.done(y)
    del z
    assert apply_patterns(module, [neg_add], g.ctx)
    assert g.names == ["Sub"]


def test_benefit_then_order_of_registration():
    def make(name, benefit, to):
        @pattern(name=name, benefit=benefit)
        def p(x: Value):
            return onnx.Relu(x)

        @p.rewrite
        def _(m, rewriter):
            return rewriter.op(to, [m.x])

        return p

    g = Graph(context())
    module = g.done(g.op("Relu", g.args[0]))
    a, b = make("a", 1, "onnx.Neg"), make("b", 1, "onnx.Conv")
    apply_patterns(module, [a, b], g.ctx)
    assert g.names == ["Neg"]
    g = Graph(context())
    module = g.done(g.op("Relu", g.args[0]))
    apply_patterns(module, [a, make("c", 2, "onnx.Conv")], g.ctx)
    assert g.names == ["Conv"]


def test_generic_patterns_keep_their_place_in_the_order():
    class Any(RewritePattern):
        name = "any"

        def match_and_rewrite(self, op, rewriter):
            if op.name != "onnx.Relu":
                return False
            rewriter.replace(op, rewriter.op("onnx.Conv", op.operands))
            return True

    @pattern
    def relu(x: Value):
        return onnx.Relu(x)

    @relu.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Neg", [m.x])

    for patterns, expected in (([Any(), relu], ["Conv"]), ([relu, Any()], ["Neg"])):
        g = Graph(context())
        module = g.done(g.op("Relu", g.args[0]))
        apply_patterns(module, patterns, g.ctx)
        assert g.names == expected


def test_same_names_are_refused():
    with pytest.raises(ValueError, match="two patterns called 'double-neg'"):
        PatternSet([double_neg, double_neg])


def test_a_cycle_ends_in_an_error_that_names_the_pattern():
    @pattern
    def there(x: Value):
        return onnx.Relu(x)

    @there.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Neg", [m.x])

    @pattern
    def back(x: Value):
        return onnx.Neg(x)

    @back.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Relu", [m.x])

    g = Graph(context())
    module = g.done(g.op("Relu", g.args[0]))
    with pytest.raises(QirError) as error:
        apply_patterns(module, [there, back], g.ctx)
    text = str(error.value)
    assert "[relu0] pattern 'there' does not converge: it acted 65 times" in text
    assert "there on onnx.Relu; back on onnx.Neg" in text and "--disable-patterns=there" in text


def test_growth_without_end_is_an_error_too():
    @pattern
    def grow(x: Value):
        return onnx.Relu(x)

    @grow.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Relu", [rewriter.op("onnx.Relu", [m.x])])

    g = Graph(context())
    with pytest.raises(QirError, match="grow"):
        apply_patterns(g.done(g.op("Relu", g.args[0])), [grow], g.ctx)


def test_counters_and_disabled_patterns_and_hits():
    def chain():
        g = Graph(context())
        values = [g.op("Add", g.args[0], g.op("Neg", g.args[0])) for _ in range(6)]
        return g, g.done(*values)

    g, module = chain()
    control_of(g.ctx).counters["neg-add"] = DebugCounter.parse("neg-add=skip:1,count:2")[1]
    apply_patterns(module, [neg_add], g.ctx)
    assert [n for n in g.names if n != "Neg"] == ["Add", "Sub", "Sub", "Add", "Add", "Add"]
    assert control_of(g.ctx).hits == {"neg-add": 2}

    g, module = chain()
    control_of(g.ctx).disabled = frozenset({"neg-add"})
    assert not apply_patterns(module, [neg_add], g.ctx)
    with pytest.raises(QirError, match="PATTERN=skip:N,count:M"):
        DebugCounter.parse("neg-add=3")


def test_remarks_say_what_was_done_and_what_prevented_it():
    @pattern
    def drop(x: Value):
        return onnx.Relu(x)

    drop.where("its input has no name", lambda m: m.x.name is not None)

    @drop.rewrite
    def _(m, rewriter):
        return m.x

    g = Graph(context(), 2)
    g.args[0].name = "x"
    module = g.done(g.op("Relu", g.args[0]), g.op("Relu", g.args[1]))
    control_of(g.ctx).remarks = True
    apply_patterns(module, [drop], g.ctx, name="my-pass")
    assert [str(d) for d in g.ctx.diagnostics] == [
        "remark (passed): [relu0] my-pass: drop rewrote onnx.Relu",
        "remark (missed): [relu1] my-pass: drop did not rewrite onnx.Relu: its input has no name",
    ]


def test_in_place_changes_are_events():
    class Flatten(RewritePattern):
        """concat(concat(a, b), c) = concat(a, b, c), in place."""

        name, roots, depth = "flatten", ("onnx.Concat",), 2

        def match_and_rewrite(self, op, rewriter):
            for i, value in enumerate(op.operands):
                inner = value.defining_op
                if inner is not None and inner.name == "onnx.Concat":
                    rewriter.set_operands(op, [*op.operands[:i], *inner.operands, *op.operands[i + 1 :]])
                    return True
            return False

    g = Graph(context(), 2)
    a, b = g.args
    module = g.done(g.op("Concat", g.op("Concat", g.op("Concat", a, b), a), b))
    apply_patterns(module, [Flatten()], g.ctx)
    assert g.names == ["Concat"] and list(g.func.body.first.operands) == [a, b, a, b]
    verify(module)


def test_a_pattern_that_lies_is_found_out():
    class Liar(RewritePattern):
        name, roots = "liar", ("onnx.Relu",)

        def match_and_rewrite(self, op, rewriter):
            rewriter.op("onnx.Neg", op.operands)
            return False

    g = Graph(context())
    with pytest.raises(RuntimeError, match="liar"):
        apply_patterns(g.done(g.op("Relu", g.args[0])), [Liar()], g.ctx)


def test_folder_is_asked_for_constant_operands_only():
    from qir.ir import dense_from_numpy
    from qir.rewrite import constant_array

    asked = []

    def folder(op):
        asked.append(op.name)
        if op.name != "onnx.Add":
            return None
        return [dense_from_numpy(sum(constant_array(v) for v in op.operands))]

    g = Graph(context())
    c = g.const(np.ones((2, 2), np.float32))
    y = g.op("Add", g.op("Add", c, c), c)
    module = g.done(g.op("Mul", y, g.args[0]))
    assert apply_patterns(module, [], g.ctx, folder)
    assert g.names == ["Constant", "Mul"] and asked == ["onnx.Add", "onnx.Add"]
    assert constant_array(g.func.body.first.result).tolist() == [[3, 3], [3, 3]]
    assert g.func.body.first.location.names() == ("add1", "add2") or g.func.body.first.location.names() == ("add2",)


def test_absent_operands_are_made_and_trailing_ones_dropped():
    @pattern
    def p(x: Value):
        return onnx.Relu(x)

    @p.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Conv", [m.x, None, m.x, None], {"strides": [1, 1], "group": None})

    g = Graph(context())
    module = g.done(g.op("Relu", g.args[0]))
    apply_patterns(module, [p], g.ctx)
    assert g.names == ["NoValue", "Conv"]
    conv = g.func.body.first.next
    assert len(conv.operands) == 3 and conv.strides == (1, 1) and "group" not in conv.attributes


def test_a_side_effect_is_never_dead():
    g = Graph(context())
    g.op("Print", g.args[0], results=0)
    g.op("Relu", g.args[0])
    apply_patterns(g.done(), [], g.ctx)
    assert g.names == ["Print"]


def test_alternatives_at_the_root_share_one_rewrite():
    @pattern
    def p(x: Value):
        return any_of(onnx.Relu(x), onnx.Concat(x, rest("more")))

    @p.rewrite
    def _(m, rewriter):
        return rewriter.op("onnx.Neg", [m.x])

    g = Graph(context())
    module = g.done(g.op("Relu", g.op("Concat", g.args[0], g.args[0])))
    apply_patterns(module, [p], g.ctx)
    assert g.names == ["Neg", "Neg"]


def test_determinism():
    def run():
        g = Graph(context(), 2)
        values = list(g.args)
        for i in range(60):
            kind = ("Neg", "Neg", "Add", "Relu")[i * 7 % 4]
            values.append(g.op(kind, *values[-2 if kind == "Add" else -1 :]))
        module = g.done(*values[-3:])
        apply_patterns(module, [neg_add, double_neg], g.ctx)
        return g.names

    assert run() == run()


def test_const_patterns_look_into_short_forms():
    @pattern
    def p(x: Value):
        return onnx.Mul(x, const(1.0))

    @p.rewrite
    def _(m, rewriter):
        return m.x

    g = Graph(context())
    module = g.done(g.op("Mul", g.args[0], g.const(np.asarray(1.0, np.float32))))
    apply_patterns(module, [p], g.ctx)
    assert g.names == []


def test_many_users_of_one_value_cost_one_visit_each():
    """A thousand no-ops on one value: the users that were there already are not visited again for each of them."""

    @pattern
    def drop(x: Value):
        return onnx.Relu(x)

    @drop.rewrite
    def _(m, rewriter):
        return m.x

    visits = []
    original = drop.match_and_rewrite
    drop.match_and_rewrite = lambda op, rewriter: visits.append(op) or original(op, rewriter)

    class Watch(RewritePattern):
        name, roots, depth = "watch", ("onnx.Neg",), 3

        def match_and_rewrite(self, op, rewriter):
            visits.append(op)
            return False

    g = Graph(context())
    values = [g.op("Neg", g.op("Relu", g.args[0])) for _ in range(1000)]
    apply_patterns(g.done(*values), [drop, Watch()], g.ctx)
    assert g.names == ["Neg"] * 1000 and len(visits) <= 3000


def test_the_driver_is_linear():
    import time

    def seconds(size: int) -> float:
        g = Graph(context())
        x = g.args[0]
        for _ in range(size):
            x = g.op("Relu", g.op("Neg", g.op("Neg", x)))
        module = g.done(x)
        start = time.process_time()
        apply_patterns(module, [double_neg, neg_add], g.ctx)
        return time.process_time() - start

    seconds(100)
    small, large = min(seconds(1000) for _ in range(3)), seconds(10000)
    assert large < 25 * small
