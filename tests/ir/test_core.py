"""The SSA graph: use lists, linked blocks, cloning, erasing."""

import pytest

from qir.dialects.builtin import empty_module
from qir.dialects.func import FuncOp, ReturnOp, make_func
from qir.ir import (
    Block,
    Builder,
    Context,
    NameLoc,
    Operation,
    Region,
    Trait,
    UnregisteredOp,
    difference,
    f32,
    fuse,
    i8,
    is_equal,
    tensor,
    verify,
)

X = tensor([2, None], f32)


def op(name: str, *operands, results=1, regions=()) -> UnregisteredOp:
    return UnregisteredOp.create(operands, [X] * results, regions=regions, name=name)


@pytest.fixture
def func() -> FuncOp:
    module = empty_module("m")
    func = make_func("main", [X], [X])
    module.body.append(func)
    return func


def body(func: FuncOp, *names: str) -> list[Operation]:
    """A chain of unary operations and a return."""
    value, ops = func.body.args[0], []
    for name in names:
        ops.append(op(name, value))
        func.body.append(ops[-1])
        value = ops[-1].result
    func.body.append(ReturnOp.build([value], result_types=[]))
    return ops


def test_uses_count_operands_per_user_in_order(func):
    x = func.body.args[0]
    a, b = op("t.a", x, x), op("t.b", x)
    assert list(x.uses.items()) == [(a, 2), (b, 1)]
    assert not x.has_one_use()
    a.set_operands([a.operands[0]])
    assert list(x.uses.items()) == [(a, 1), (b, 1)]
    b.set_operands([])
    assert x.has_one_use() and x.users == (a,)


def test_replace_all_uses_keeps_the_other_operands(func):
    x = func.body.args[0]
    a, b = op("t.a", x), op("t.b", x)
    user = op("t.user", a.result, b.result, a.result)
    a.result.replace_all_uses_with(x)
    assert user.operands == (x, b.result, x)
    assert not a.result.uses and x.uses[user] == 2


def test_replacing_a_value_by_itself_changes_nothing(func):
    x = func.body.args[0]
    user = op("t.user", x)
    x.replace_all_uses_with(x)
    assert user.operands == (x,)


def test_erasing_an_operation_with_uses_is_an_error(func):
    a, b = body(func, "t.a", "t.b")
    with pytest.raises(ValueError, match=r"cannot erase t\.a: result 0 is used by t\.b"):
        a.erase()
    b.result.replace_all_uses_with(a.result)
    b.erase()
    assert [o.name for o in func.body] == ["t.a", "func.return"]
    assert list(a.result.uses) == [func.body.last]


def test_erasing_and_inserting_while_walking_is_defined(func):
    ops = body(func, *[f"t.{i}" for i in range(6)])
    seen = []
    for o in func.body:
        seen.append(o.name)
        if o.name == "t.2":
            func.body.insert_after(op("t.new"), o)
        if o in ops and ops.index(o) % 2 == 1:
            o.result.replace_all_uses_with(o.operands[0])
            o.erase()
    assert seen == ["t.0", "t.1", "t.2", "t.3", "t.4", "t.5", "func.return"]
    assert [o.name for o in func.body] == ["t.0", "t.2", "t.new", "t.4", "func.return"]


def test_the_rest_of_a_block_may_vanish_while_walking(func):
    ops = body(func, "t.a", "t.b", "t.c")
    seen = []
    for o in func.body:
        seen.append(o.name)
        if o is ops[0]:
            for later in (func.body.last, ops[2], ops[1]):
                later.erase()
    assert seen == ["t.a"]


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_insert_and_detach_keep_both_directions(func, where):
    ops = body(func, "t.a", "t.b", "t.c")
    new = op("t.new")
    {
        "first": lambda: func.body.insert_before(new, ops[0]),
        "middle": lambda: func.body.insert_after(new, ops[1]),
        "last": lambda: func.body.append(new),
    }[where]()
    forward = [o.name for o in func.body]
    backward, o = [], func.body.last
    while o is not None:
        backward.append(o.name)
        o = o.prev
    assert forward == backward[::-1] and len(forward) == 5
    new.detach()
    assert new.parent is new.prev is new.next is None
    assert [o.name for o in func.body] == ["t.a", "t.b", "t.c", "func.return"]


def test_is_before_looks_in_both_directions(func):
    a, b, c = body(func, "t.a", "t.b", "t.c")
    assert a.is_before(c) and not c.is_before(a) and not b.is_before(b)


def test_walk_is_in_order_and_enters_regions(func):
    inner = op("t.inner", results=0)
    outer = op("t.outer", regions=[Region([Block()])])
    outer.regions[0].block.append(inner)
    func.body.append(outer)
    assert [o.name for o in func.parent_op.walk()] == ["builtin.module", "func.func", "t.outer", "t.inner"]
    assert inner.ancestor(FuncOp) is func and inner.parent_op is outer


def test_a_clone_is_equal_and_independent(func):
    (a,) = body(func, "t.a")
    a.location, a.result.name = NameLoc("n"), "y"
    module = func.parent_op
    copy = module.clone()
    assert is_equal(module, copy, names=True, locations=True)
    copied = copy.body.first.body.first
    assert copied is not a and copied.operands[0] is copy.body.first.body.args[0]
    copied.result.name = "z"
    assert is_equal(module, copy) and "name 'y' against 'z'" in difference(module, copy, names=True)
    copied.attributes["k"] = copy.body.first.attributes["sym_name"]
    assert "attributes ['k'] only on one side" in difference(module, copy)


def test_a_clone_of_a_graph_region_keeps_uses_before_definitions():
    module = empty_module()
    late = op("t.late")
    module.body.append(op("t.early", late.result))
    module.body.append(late)
    copy = module.clone()
    assert copy.body.first.operands[0] is copy.body.last.result
    assert is_equal(module, copy)


def test_difference_sees_swapped_operands(func):
    x = func.body.args[0]
    a, b = op("t.a", x), op("t.b", x)
    for o in (a, b, op("t.user", a.result, b.result)):
        func.body.append(o)
    module = func.parent_op
    copy = module.clone()
    user = copy.body.first.body.last
    user.set_operands(user.operands[::-1])
    assert difference(module, copy) == "t.user: operand 0 is another value"


def test_block_arguments_are_renumbered(func):
    block = Block([X, X, X])
    block.erase_arg(1)
    assert [a.index for a in block.args] == [0, 1]
    op("t.user", block.args[0])
    with pytest.raises(ValueError, match="still used"):
        block.erase_arg(0)


def test_the_builder_gives_its_location(func):
    body(func)
    builder = Builder.at(func.body.last)
    builder.location = NameLoc("n")
    a, b = builder.insert(op("t.a")), op("t.b")
    b.location = NameLoc("own")
    builder.insert(b)
    assert a.location == NameLoc("n") and b.location == NameLoc("own")
    assert [o.name for o in func.body] == ["t.a", "t.b", "func.return"]


def test_locations_fuse_flat_and_without_duplicates():
    a, b = NameLoc("a"), NameLoc("b")
    assert fuse([]) == fuse([fuse([])]) and str(fuse([])) == "unknown"
    assert fuse([a, fuse([]), a]) is a
    assert str(fuse([fuse([a, b]), b])) == 'fused["a", "b"]' and fuse([a, b]).names() == ("a", "b")


def test_a_context_makes_registered_and_unregistered_operations():
    context = Context(allow_unregistered=True)
    ret = context.create_op("func.return")
    assert isinstance(ret, ReturnOp) and ret.has_trait(Trait.TERMINATOR) and ret.is_registered
    other = context.create_op("nobody.knows", [], [X])
    assert isinstance(other, UnregisteredOp) and other.name == "nobody.knows" and not other.is_registered
    assert context.op_class("func.nothing") is None and context.op_class("nobody.knows") is None


def test_slots_leave_no_dictionary(func):
    (a,) = body(func, "t.a")
    for thing in (a, a.result, func.body.args[0], func.body, func.regions[0], func):
        assert not hasattr(thing, "__dict__"), type(thing)


def test_types_verify_in_a_module(func):
    body(func, "t.a")
    verify(func.parent_op)
    func.function_type = type(func.function_type)((tensor([3], i8),), func.function_type.results)
    with pytest.raises(Exception, match=r"has a body for \(tensor<2x\?xf32>\), its type says \(tensor<3xi8>\)"):
        verify(func.parent_op)
