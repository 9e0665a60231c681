"""Passes, their options, pipelines as text, and what the manager does around them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qir.ir import Context, QirError, tensor
from qir.passes import (
    Instrumentation,
    IRPrinter,
    Pass,
    PassManager,
    all_passes,
    find_pass,
    option,
    option_specs,
    parse_pipeline,
    read_reproducer,
    register_pass,
    run_pipeline,
)
from qir.passes.base import format_value, parse_value
from qir.text import parse_module, print_module

TEXT = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @one(%x: tensor<2xf32>) -> tensor<2xf32> {
    %y = onnx.Identity(%x) : (tensor<2xf32>) -> tensor<2xf32>
    return %y : tensor<2xf32>
  }
  func.func @two(%x: tensor<2xf32>) -> tensor<2xf32> {
    return %x : tensor<2xf32>
  }
}
"""
SEEN: list[str] = []


@register_pass
@attrs.frozen
class Options(Pass):
    """Remember the options. And a second sentence.

    And more.
    """

    name: ClassVar[str] = "test-options"
    anchor: ClassVar[str | None] = None
    flag: bool = option(False, "a flag")
    count: int = option(3, "a number")
    rate: float = option(0.5, "a rate")
    text: str = option("", "any text")
    kind: str = option("a", "a word", choices=("a", "b"))
    names: tuple[str, ...] = option((), "names")
    sizes: tuple[int, ...] = option((1, 2), "sizes")
    limit: int | None = option(None, "a limit")

    def run(self, module: Any, ctx: Context) -> bool:
        SEEN.append(f"{self} on {module.name}")
        return False


@register_pass
@attrs.frozen
class Needs(Pass):
    """Has an option without a default."""

    name: ClassVar[str] = "test-needs"
    data: str = option(help="the data")

    def run(self, module: Any, ctx: Context) -> bool:
        return False


@register_pass
@attrs.frozen
class Breaks(Pass):
    """Leave an invalid module behind."""

    name: ClassVar[str] = "test-breaks"
    anchor: ClassVar[str | None] = "func.func"

    def run(self, module: Any, ctx: Context) -> bool:
        module.body.args[0].type = tensor([7], module.body.args[0].type.element)
        return True


def module() -> Any:
    return parse_module(TEXT, Context())


def test_options_are_typed_and_print_back():
    text = 'test-options{count=7 flag kind=b limit=4 names=a,b rate=1e-3 sizes=5 text="two words"}'
    made = parse_pipeline(text).passes[0]
    assert (made.flag, made.count, made.rate, made.text, made.kind) == (True, 7, 0.001, "two words", "b")
    assert (made.names, made.sizes, made.limit) == (("a", "b"), (5,), 4)
    again = parse_pipeline(str(made)).passes[0]
    assert again == made and str(parse_pipeline("test-options")) == "builtin.module(test-options)"
    assert made.summary() == "Remember the options. And a second sentence."
    assert [s.type_name for s in option_specs(Options)][:5] == ["true|false", "integer", "number", "text", "a|b"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), st.lists(st.integers(), max_size=3))
def test_any_text_and_list_survive_printing(text, sizes):
    made = Options(text=text, sizes=tuple(sizes))
    assert parse_pipeline(str(made)).passes[0] == made


@pytest.mark.parametrize("value", [None, True, 3, -2.5, "a", "", "x y", 'q"\\', (), ("a", "b")])
def test_format_value_is_readable(value):
    assert isinstance(format_value(value), str)


def test_parse_value_says_what_it_wants():
    for text, type_, message in (("x", int, "an integer"), ("x", float, "a number"), ("x", bool, "true or false")):
        with pytest.raises(ValueError, match=message):
            parse_value(text, type_)
    assert parse_value("none", int | None) is None and parse_value("0x10", int) == 16


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("nothing", 1, "there is no pass 'nothing'"),
        ("test-options{size=3}", 14, "has no option 'size'"),
        ("test-options{count=3 count=4}", 22, "given twice"),
        ("test-options{count}", 14, "needs a value"),
        ("test-options{kind=c}", 19, "expected a or b"),
        ("test-options{sizes=1,x}", 20, "expected an integer"),
        ("test-options{", 13, "never closed"),
        ("test-options{text={a}", 13, "never closed"),
        ("test-options{=3}", 14, "expected an option's name"),
        ("test-needs", 1, "needs the option 'data'"),
        ("func.func(test-needs{data=x})", 11, "runs on builtin.module, not on func.func"),
        ("func.func(test-options", 10, "never closed"),
        ("test-options test-options", 14, "expected ',' or the end"),
        ("test-options,", 14, "expected the name of a pass"),
        ("functions(test-options)", 1, "'functions' is no operation"),
    ],
)
def test_wrong_pipelines_have_a_caret(text, column, message):
    with pytest.raises(QirError) as error:
        parse_pipeline(text)
    (diagnostic,) = error.value.diagnostics
    assert message in str(diagnostic)
    assert diagnostic.location.source.column == column, str(diagnostic)


def test_nesting_too_deep_is_an_error():
    with pytest.raises(QirError, match="nested deeper"):
        parse_pipeline("func.func(" * 1000 + ")" * 1000)


def test_nested_pipelines_run_on_each_function():
    SEEN.clear()
    run_pipeline(module(), "func.func(test-options{count=1}),test-options,any(test-options{count=2})", Context())
    assert SEEN == [
        "test-options{count=1} on func.func",
        "test-options{count=1} on func.func",
        "test-options on builtin.module",
        "test-options{count=2} on func.func",
        "test-options{count=2} on func.func",
    ]


def test_a_pass_on_functions_is_nested_by_itself():
    assert str(parse_pipeline("test-breaks,test-options")) == "builtin.module(func.func(test-breaks),test-options)"


def test_the_anchored_form_is_the_flat_one():
    assert str(parse_pipeline("builtin.module(test-options,func.func(cse))")) == str(
        parse_pipeline(" test-options , func.func( cse ) ")
    )


def test_verification_names_the_pass():
    with pytest.raises(QirError) as error:
        run_pipeline(module(), "test-options,test-breaks", Context())
    assert "note: this was found after pass 'test-breaks'" in str(error.value)
    parse_pipeline("test-breaks", verify_each=False).run(module(), Context())


def test_instrumentation_is_called_around_every_pass():
    calls: list[str] = []

    class Watch(Instrumentation):
        def before_pipeline(self, op, ctx, pipeline):
            calls.append(f"start {pipeline}")

        def before_pass(self, item, op, ctx):
            calls.append(f"before {item.name}")

        def after_pass(self, item, op, ctx, changed):
            calls.append(f"after {item.name} {changed}")

        def after_failure(self, item, op, ctx, error):
            calls.append(f"failed {item.name}")

        def after_pipeline(self, op, ctx):
            calls.append("end")

    manager = PassManager(parse_pipeline("canonicalize,test-options").root, instrumentations=[Watch()])
    assert manager.run(module(), Context())
    assert calls == [
        "start builtin.module(canonicalize,test-options)",
        "before canonicalize",
        "after canonicalize True",
        "before test-options",
        "after test-options False",
        "end",
    ]
    calls.clear()
    with pytest.raises(QirError):
        PassManager(parse_pipeline("test-breaks").root, instrumentations=[Watch()]).run(module(), Context())
    assert calls[1:] == ["before test-breaks", "failed test-breaks"]


def test_the_tree_of_files(tmp_path: Path):
    printer = IRPrinter(print_module, io.StringIO(), after=None, only_changed=True, tree_dir=tmp_path / "ir")
    manager = PassManager(parse_pipeline("canonicalize,cse,test-options").root, instrumentations=[printer])
    manager.run(module(), Context())
    assert sorted(p.name for p in (tmp_path / "ir").iterdir()) == ["00_input.qir", "01_canonicalize.qir"]
    text = (tmp_path / "ir" / "01_canonicalize.qir").read_text()
    assert "Identity" not in text and print_module(parse_module(text, Context())) == text


def test_a_reproducer_without_weights_and_with(tmp_path: Path):
    from qir.passes import ReproducerSettings, write_reproducer

    pipeline = 'builtin.module(test-options{text="a \\"quoted\\" one"})'
    big = (
        TEXT.replace(
            "return %x",
            "%w = onnx.Constant() {value = dense_resource<w> : tensor<64xf32>} : () -> tensor<64xf32>\n    return %x",
        )
        + '{-#\n  dialect_resources: {\n    builtin: {\n      w: "0x04000000'
        + "0000803F" * 64
        + '"\n    }\n  }\n#-}\n'
    )
    for text in (TEXT, big):
        path = tmp_path / "r.qir"
        write_reproducer(parse_module(text, Context()), path, ReproducerSettings(pipeline, verify_each=False))
        rest, settings = read_reproducer(path.read_text(), str(path))
        assert settings == ReproducerSettings(pipeline, verify_each=False)
        again = parse_module(rest, Context(), str(path))
        from qir.ir import is_equal

        assert is_equal(again, parse_module(text, Context()))


def test_registry():
    assert find_pass("cse").__name__ == "CommonSubexpressions" and find_pass("no-such-pass") is None
    names = list(all_passes())
    assert names == sorted(names) and {"canonicalize", "cse", "fold-batch-norm", "fuse", "symbol-dce"} <= set(names)
    for cls in all_passes().values():
        assert cls.summary(), cls
        for spec in option_specs(cls):
            assert spec.help, f"{cls.name}: option {spec.name} says nothing"
    with pytest.raises(ValueError, match="two passes are called 'cse'"):

        @register_pass
        class Other(Pass):
            """Another."""

            name: ClassVar[str] = "cse"


WORDS = st.sampled_from(
    [*"(){}=,\"'\\ .-", "cse", "canonicalize", "fold-limit", "func.func", "builtin.module", "any", "7", "ä"]
)


@given(st.lists(WORDS, max_size=14).map("".join))
def test_any_text_is_a_pipeline_or_one_diagnostic(text):
    try:
        manager = parse_pipeline(text)
    except QirError as error:
        (diagnostic,) = error.diagnostics
        assert diagnostic.location.source is not None
        return
    assert str(parse_pipeline(str(manager))) == str(manager)


@given(
    st.lists(
        st.sampled_from(["{-#", "#-}", "external_resources", "mlir_reproducer", "pipeline", ": ", "{", "}", '"', "\\"])
    )
)
def test_any_text_is_a_reproducer_or_one_diagnostic(parts):
    try:
        read_reproducer("".join(parts), "x.qir")
    except QirError as error:
        assert len(error.diagnostics) == 1
