"""What the conformance kit finds: nothing on a chip that does what its data sheet says, and each defect put into it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from qir.conformance import Report, check_target
from qir.conformance.cases import CASES
from qir.conformance.text import Broken, through_text
from qir.ir import Context, QirError, fail
from qir.target import Constraint, Data, Fused, Rule, Tolerance
from qir.text import parse_module
from qir.tools.qir import main

from . import chip
from .chip import NAME, RULES, make_chip


def check(*only: str, **options: Any) -> Report:
    return check_target(NAME, only=only, **options)


def command(*argv: str | Path) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    status = main(["check-target", *map(str, argv)], io.StringIO(), out, errors)
    return status, out.getvalue(), errors.getvalue()


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cases of an operator are enough here."""
    for op, cases in CASES.items():
        monkeypatch.setitem(CASES, op, cases[:2])


# ---------------------------------------------------------------- a chip that conforms
def test_a_chip_that_does_what_it_says_conforms() -> None:
    make_chip()
    report = check("ConvTranspose", "Sigmoid", "Transpose", "Softmax")
    assert not report.failed and not report.errors and not report.unused and not report.refused
    kinds = {(row.op, row.quantized) for row in report.rows.values()}
    assert {("ConvTranspose", True), ("ConvTranspose", False), ("Sigmoid", True), ("Transpose", True)} <= kinds
    assert ("Softmax", False) in kinds and ("Softmax", True) not in kinds
    assert all(row.wrong == 0 and row.elements for row in report.rows.values())


def test_the_command_prints_a_table_and_the_totals(tmp_path: Path) -> None:
    make_chip()
    status, out, _ = command(NAME, "--no-zoo", "--only", "Sigmoid", "Softmax", "--json", tmp_path / "found.json")
    assert status == 0
    assert f"{NAME} against chipsim 1.0" in out
    assert out.splitlines()[-1].startswith(f"{NAME}: 5 cases of 2 operators; 0 of ")
    assert out.rstrip().endswith(": conforms")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["conforms"] and found["runtime"] == "chipsim 1.0" and {r["op"] for r in found["rows"]} == {
        "Sigmoid", "Softmax",
    }  # fmt: skip


# ---------------------------------------------------------------- defects of a runtime
def test_a_wrong_rounding_is_found_and_shown() -> None:
    """Ties are rare in random numbers; scales of powers of two make some."""
    make_chip(chip.rounds_half_away)
    report = check("ConvTranspose")
    assert report.failed
    wrong = [row for row in report.rows.values() if row.quantized and row.failed]
    assert wrong and all(0 < row.wrong < row.elements / 10 and row.worst == 1 for row in wrong)
    status, out, _ = command(NAME, "--no-zoo", "--only", "ConvTranspose")
    assert status == 1 and "1 steps" in out and "FAILED: " in out and out.rstrip().endswith("does not conform")


def test_a_profile_is_compared_by_itself() -> None:
    make_chip(chip.rounds_half_away, profiles=("exact", "quick"))
    report = check("ConvTranspose")
    assert {row.profile for row in report.rows.values() if row.failed} == {"quick"}
    assert not check("ConvTranspose", profiles=["exact"]).failed


def test_floats_are_held_to_a_relative_error() -> None:
    make_chip(chip.one_off)
    (row,) = check("Softmax").rows.values()
    assert row.failed and not row.quantized and 0.0009 < row.worst < 0.0011


def test_a_bound_with_its_reason_is_kept_to() -> None:
    reason = "ties go away from zero"
    make_chip(chip.rounds_half_away, bounds={("ConvTranspose", ""): Tolerance(1, 0.1, reason=reason)})
    report = check("ConvTranspose")
    assert not report.failed and any(row.wrong for row in report.rows.values())
    assert reason in command(NAME, "--no-zoo", "--only", "ConvTranspose")[1]
    make_chip(chip.rounds_half_away, bounds={("ConvTranspose", ""): Tolerance(1, 0.0001, reason=reason)})
    assert check("ConvTranspose").failed


def test_a_kernel_that_is_declared_absent_must_refuse() -> None:
    bounds = {("Softmax", ""): Tolerance(absent=True, reason="the chip has no Softmax")}
    make_chip(chip.fails, bounds=bounds)
    report = check("Softmax")
    assert not report.failed and len(report.refused) == report.trials == 2
    make_chip(bounds=bounds)
    assert "but it runs" in check("Softmax").errors[0].error


def test_a_runtime_that_fails_or_forgets_a_result_is_told() -> None:
    make_chip(chip.fails)
    assert "the runtime cannot run it: MemoryError: case.chip: out of tiles" in check("Softmax").errors[0].error
    make_chip(chip.drops_the_last_result)
    assert "the runtime gives no result 'v0'; it gives none" in check("Softmax").errors[0].error


def test_a_missing_runtime_is_loud() -> None:
    make_chip(version=None)
    status, out, _ = command(NAME, "--no-zoo", "--only", "Softmax")
    assert status == 1 and "NOT COMPARED WITH THE RUNTIME: chipsim is not installed: make chipsim" in out
    assert command(NAME, "--no-zoo", "--only", "Softmax", "--no-runtime")[0] == 0
    make_chip(None)
    status, out, _ = command(NAME, "--no-zoo", "--only", "Softmax")
    assert status == 1 and "NOT COMPARED WITH THE RUNTIME: there is no runtime of it" in out


# ---------------------------------------------------------------- defects of a target
def test_a_fusion_that_does_not_happen_names_both() -> None:
    fused = Rule("Conv", "compute", RULES[0].operands, result="act", output="always", fused=(Fused("Relu"),))
    make_chip(rules=(fused, *RULES[1:]))
    errors = {e.label: e.error for e in check("Conv").errors}
    assert set(errors) == {"3x3, with Relu"}
    assert (
        "'relu1' into 'conv0'" in errors["3x3, with Relu"] and "became a record of its own" in errors["3x3, with Relu"]
    )


def test_a_rule_that_never_applies_is_told_with_the_reason() -> None:
    never = Constraint("a full moon", "the moon is not full", lambda op: False)
    make_chip(rules=(*RULES, Rule("Tanh", "follow", {0: Data("act")}, result="act", where=(never,))))
    report = check("Tanh")
    assert report.failed and "the moon is not full" in report.unused["Tanh", ""]
    assert "NEVER QUANTIZED: Tanh" in command(NAME, "--no-zoo", "--only", "Tanh")[1]


def test_an_operator_without_a_case_is_told() -> None:
    make_chip(rules=(*RULES, Rule("com.chip.Blend", "follow", {0: Data("act")}, result="act")))
    report = check("com.chip.Blend")
    assert report.without_case == ["com.chip.Blend"] and not report.failed
    assert "NO CASE: com.chip.Blend" in command(NAME, "--no-zoo", "--only", "com.chip.Blend")[1]


def refuse(kind: str, message: str) -> Any:
    def verify(module: Any, ctx: Context) -> None:
        for op in module.walk():
            if op.name == f"onnx.{kind}":
                raise op.error(message)

    return verify


def test_a_refusal_in_float_is_no_failure_but_one_of_a_promise_is() -> None:
    make_chip(verify=refuse("Softmax", "the chip cannot run 'onnx.Softmax'"))
    report = check("Softmax")
    assert not report.failed and len(report.refused) == 2
    assert "REFUSED: Softmax: 'onnx.Softmax' the chip cannot run" in command(NAME, "--no-zoo", "--only", "Softmax")[1]
    make_chip(verify=refuse("Transpose", "the chip cannot run 'onnx.Transpose'"))
    assert check("Transpose").failed
    make_chip(verify=lambda module, ctx: fail(None, "something is wrong"))
    assert check("Softmax").failed


def test_a_chip_that_cannot_give_out_codes_is_seen_through_the_reader() -> None:
    def verify(module: Any, ctx: Context) -> None:
        func = next(op for op in module.body if op.name == "func.func")
        for value in func.return_op.operands:
            if value.defining_op is not None and value.defining_op.name == "qsim.fake":
                raise value.defining_op.error("no way out for codes")

    rules = (Rule("Conv", "compute", RULES[0].operands, result="act"), RULES[1])
    make_chip(verify=verify, rules=rules)
    report = check("ConvTranspose")
    assert not report.failed and report.through_readers == 5
    make_chip(chip.rounds_half_away, verify=verify, rules=rules)
    assert any(row.quantized and row.failed for row in check("ConvTranspose").rows.values())


def test_a_lowering_that_changes_the_result_is_found() -> None:
    make_chip(pipeline=f"{make_chip().pipeline},test-sigmoid-as-tanh")
    assert not check("Transpose").failed
    errors = check("Sigmoid").errors
    assert len(errors) == 3 and all("lowering changes the results: they are " in e.error for e in errors)


# ---------------------------------------------------------------- texts
def test_a_text_that_loses_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import qir.text

    module = parse_module("""module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
      func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
        %y = onnx.LeakyRelu(%x) {alpha = 0.5 : f32} : (tensor<2xf32>) -> tensor<2xf32> loc("leaky")
        return %y : tensor<2xf32>
      }}""", Context())  # fmt: skip
    assert through_text(module, "the test") is not module
    real = qir.text.print_module
    monkeypatch.setattr(qir.text, "print_module", lambda m, **k: real(m, **k).replace("0.5 : f32", "0.25 : f32"))
    with pytest.raises(Broken, match=r"after the test is another module: onnx\.LeakyRelu \[leaky\]: attribute 'alpha'"):
        through_text(module, "the test")
    monkeypatch.setattr(qir.text, "print_module", lambda m, **k: "func.func {")
    with pytest.raises(Broken, match="does not parse"):
        through_text(module, "the test")


# ---------------------------------------------------------------- wrong names
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["Cnov"]}, "the target has no operator 'Cnov'(.|\n)*did you mean Conv"),
        ({"modes": ["int4"]}, "the target has no mode 'int4'"),
        ({"profiles": ["fast"]}, "the target has no profile 'fast'"),
    ],
)
def test_names_that_the_target_does_not_have_are_errors(options: Any, message: str) -> None:
    make_chip()
    with pytest.raises(QirError, match=message):
        check_target(NAME, **options)


def test_a_folder_without_nets_is_an_error(tmp_path: Path) -> None:
    make_chip()
    status, _, errors = command(NAME, "--zoo", tmp_path)
    assert status == 1 and "it has no entries.json" in errors
