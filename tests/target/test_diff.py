"""Two data sheets side by side: what is said, what is left out because it is equal, and the command."""

from __future__ import annotations

import io

import attrs
import pytest

from qir.numerics.scheme import Scheme
from qir.target import Axis, Bias, Constraint, Data, Fused, Rule, Target, Weight, get_target, register_target
from qir.target_diff import Aspect, OneSided, TargetDiff, diff_targets, render_diff
from qir.tools.qir import main

U8 = Scheme(storage="u8", symmetric=False)
I8 = Scheme(storage="i8")
X = Data("activation")
CONSTANT = Constraint("W is a constant", "W is computed", lambda op: True)


def target(name: str, *rules: Rule, **schemes: Scheme) -> Target:
    formats = {"activation": U8, "weight": I8, "bias": Scheme(storage="i32")}
    return Target(name, schemes={**formats, **schemes}, rules=rules)


def conv(**changes: object) -> Rule:
    operands = {"X": X, "W": Weight("weight", axis=0), "B": Bias("bias", of=("X", "W"), factor=lambda op: 1.0)}
    fields = {"operands": operands, "result": "activation", **changes}
    return Rule("Conv", "compute", **fields)  # type: ignore[arg-type]


def changed(a: Rule, b: Rule) -> dict[str, tuple[str, str]]:
    diff = diff_targets(target("a", a), target("b", b))
    return {aspect.name: (aspect.a, aspect.b) for d in diff.changed for aspect in d.aspects}


def test_a_data_sheet_does_not_differ_from_itself() -> None:
    sheet = get_target("onnxruntime")
    diff = diff_targets(sheet, sheet)
    assert diff.is_empty and "Conv" in diff.same
    assert "Both data sheets say the same." in render_diff(diff)


def test_functions_that_say_the_same_do_not_differ() -> None:
    """Factors, axes and conditions are functions, a new one for each rule: their words are compared."""
    axis = [Axis("one scale per row", lambda op, value: 0) for _ in range(2)]
    rules = (conv(operands={"X": X, "W": Weight("weight", axis=a)}, where=(CONSTANT,)) for a in axis)
    assert changed(*rules) == {}
    assert changed(conv(), conv()) == {}


@pytest.mark.parametrize(
    ("changes", "aspect", "says"),
    [
        ({"operands": {"X": X, "W": Weight("weight")}}, "W",
         ("weight, constant, axis 0", "weight, constant, per tensor")),
        ({"operands": {"X": Data("activation", joint=True)}}, "X",
         ("activation", "activation, and so by all who read it")),
        ({"operands": {"X": X, "W": X}}, "W", ("weight, constant, axis 0", "activation")),
        ({"output": "always"}, "result", ("activation, where demanded", "activation, always")),
        ({"fixed": (0.5, -128)}, "result",
         ("activation, where demanded", "activation, where demanded, scale 0.5 and zero point -128")),
        ({"fused": (Fused("Relu"), Fused("Clip", (CONSTANT,)))}, "fused", ("nothing", "Relu, Clip (W is a constant)")),
        ({"share": "always"}, "sharing", ("nothing", "all operands share")),
        ({"where": (CONSTANT,)}, "needs", ("nothing", "W is a constant")),
    ],
)  # fmt: skip
def test_each_part_of_a_rule_is_compared(changes: dict[str, object], aspect: str, says: tuple[str, str]) -> None:
    assert changed(conv(), conv(**changes))[aspect] == says


def test_an_operand_by_its_position_is_the_one_of_that_name() -> None:
    named, counted = (Rule("MaxPool", "move", {key: X}) for key in ("X", 0))
    assert changed(named, counted) == {}


def test_another_role_is_a_difference() -> None:
    a, b = (Rule("Add", role, {"A": X, "B": X}, result="activation") for role in ("follow", "compute"))  # type: ignore[arg-type]
    assert changed(a, b) == {"role": ("follow", "compute")}


def test_a_format_that_differs_is_said_once() -> None:
    diff = diff_targets(target("a", conv()), target("b", conv(), activation=I8, wide=Scheme(storage="i16")))
    assert diff.formats == (
        Aspect("activation", "u8 affine per_tensor", "i8 symmetric per_tensor"),
        Aspect("wide", "nothing", "i16 symmetric per_tensor"),
    )
    assert not diff.changed and diff.same == ("Conv",)


def test_formats_of_other_names_are_alike_where_they_are_equal() -> None:
    a = target("a", Rule("Sigmoid", "follow", {"X": X}, result="activation"))
    same = target("b", Rule("Sigmoid", "follow", {"X": Data("byte")}, result="byte"), byte=U8)
    other = target("b", Rule("Sigmoid", "follow", {"X": Data("byte")}, result="byte"), byte=I8)
    assert diff_targets(a, same).same == ("Sigmoid",)
    assert [x.name for d in diff_targets(a, other).changed for x in d.aspects] == ["X", "result"]


def test_what_one_of_them_quantizes_comes_with_the_others_reason() -> None:
    a = target("a", Rule(("Mul", "Div"), "follow", {"A": X, "B": X}, result="activation"), Rule("Tanh", "float"))
    b = target("b", Rule("Tanh", "compute", {0: X}), Rule("Div", "float", note="it has no divider"))
    diff = diff_targets(a, b)
    assert diff.only_a == (
        OneSided(("Mul",), "follow", "not in its data sheet"),
        OneSided(("Div",), "follow", "it has no divider"),
    )
    assert diff.only_b == (OneSided(("Tanh",), "compute", "not in its data sheet"),)


def test_operations_that_differ_alike_stand_on_one_line() -> None:
    rules = [Rule(("Slice", "Gather", "Pad"), "move", {0: X}, where=where) for where in ((), (CONSTANT,))]
    (difference,) = diff_targets(*(target(n, r) for n, r in zip("ab", rules, strict=True))).changed
    assert difference.ops == ("Slice", "Gather", "Pad")


def test_the_text_has_one_side_on_each_side_of_a_bar() -> None:
    diff = diff_targets(target("a", conv()), target("b", conv(output="always", where=(CONSTANT,)), activation=I8))
    assert render_diff(diff).splitlines() == [
        "a | b",
        "",
        "Number formats",
        "  activation  u8 affine per_tensor | i8 symmetric per_tensor",
        "",
        "Quantized by both, in different ways",
        "  Conv",
        "      result  activation, where demanded | activation, always",
        "      needs   nothing                    | W is a constant",
        "",
        "A format that differs counts for every operation that names it.",
    ]


def command(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return main(["targets", *argv], io.StringIO(), out, err), out.getvalue(), err.getvalue()


@pytest.fixture
def chip() -> TargetDiff:
    """A registered target, and how its mode differs from the default as the command calls it."""
    sheet = register_target(
        Target("diff-chip", schemes={"activation": U8, "weight": I8}, rules=(conv(operands={"X": X}),),
               modes={"wide": {"activation": Scheme(storage="i16")}})
    )  # fmt: skip
    return diff_targets(sheet, attrs.evolve(sheet.in_mode("wide"), name="diff-chip:wide"))


def test_the_command_prints_it_for_targets_and_for_modes(chip: TargetDiff) -> None:
    assert command("diff-chip", "--diff", "diff-chip:wide") == (0, render_diff(chip) + "\n", "")
    status, out, _ = command("onnxruntime", "--diff", "diff-chip")
    assert status == 0 and "Quantized by onnxruntime only" in out


def test_the_command_needs_two_targets_that_exist(chip: TargetDiff) -> None:
    assert command("--diff", "onnxruntime")[0] == 2
    status, _, err = command("onnxruntime", "--diff", "diff-chips")
    assert status == 1 and "did you mean 'diff-chip'?" in err
    assert "has no mode 'narrow'" in command("onnxruntime", "--diff", "diff-chip:narrow")[2]
