"""Random modules through print and parse; random bytes and mutated texts through the parser."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qir.dialects.builtin import ModuleOp
from qir.ir import Attribute, Context, QirError, Type, difference
from qir.ir.compare import same_attribute
from qir.text import decode_text, parse_attribute, parse_module, parse_type, print_module

from .strategies import attributes, modules, types

settings.register_profile("text", deadline=None)
settings.load_profile("text")
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
CONTEXT = Context(allow_unregistered=True)


def read(text: str) -> ModuleOp:
    return parse_module(text, CONTEXT)


@given(types)
def test_types_read_back(type: Type) -> None:
    assert parse_type(str(type), CONTEXT) == type


@given(attributes)
@settings(deadline=None)
def test_attributes_read_back(attribute: Attribute) -> None:
    text = str(attribute)
    again = parse_attribute(text, CONTEXT)
    if "dense_resource" not in text:
        assert same_attribute(again, attribute)
    assert str(again) == text


@given(modules())
@SLOW
def test_the_pretty_form_reads_back(module: ModuleOp) -> None:
    text = print_module(module, debuginfo=True)
    again = read(text)
    assert difference(module, again, names=True, locations=True) is None, text
    assert print_module(again, debuginfo=True) == text
    short = print_module(module)
    again = read(short)
    assert difference(module, again, names=True) is None, short
    assert print_module(again) == short


@given(modules())
@SLOW
def test_the_generic_form_reads_back(module: ModuleOp) -> None:
    named = "onnx.opset" in module.attributes
    text = print_module(module, generic=True, debuginfo=True)
    again = read(text)
    assert difference(module, again, names=named, locations=True) is None, text
    assert print_module(again, generic=True, debuginfo=True) == text
    short = print_module(module, generic=True)
    assert print_module(read(short), generic=True) == short


@given(st.binary(max_size=200))
def test_random_bytes_give_diagnostics(data: bytes) -> None:
    try:
        read(decode_text(data, "-"))
    except QirError as error:
        assert error.diagnostics


TOKENS = st.sampled_from(
    '%0 %a _ , ( ) { } [ ] < > = : -> "a" "b.c"( t.a func.func module return @a @b.c ^bb0 loc(" loc(#loc) #loc !t = '
    "tensor<4xf32> tensor< 4x f32 i8 {a = 1} {a} <{ }> attributes private dense<[1, 2]> dense_resource<k> {-# #-} "
    "// ... qsim.quantizer qsim.fake by to symmetric scale(0.5) per_axis(0) 0x7F -1 1.0 true unit \\ $ \n".split(" ")
)


@given(st.lists(TOKENS, max_size=40))
@settings(max_examples=400, deadline=None)
def test_random_tokens_give_diagnostics(tokens: list[str]) -> None:
    try:
        read(" ".join(tokens))
    except QirError as error:
        assert error.diagnostics


@given(modules(), st.data())
@SLOW
def test_mutated_texts_give_diagnostics(module: ModuleOp, data: st.DataObject) -> None:
    text = print_module(module, generic=data.draw(st.booleans()), debuginfo=data.draw(st.booleans()))
    for _ in range(6):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 5)))
        mutated = text[:start] + data.draw(st.text('(){}[]<>"%@#!^:,=-.x0a \n\\/', max_size=3)) + text[end:]
        try:
            read(mutated)
        except QirError as error:
            str(error)


@given(modules())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_mlir_opt_carries_the_generic_form(mlir_opt: Path, module: ModuleOp) -> None:
    text = print_module(module, generic=True, debuginfo=True)
    command = [str(mlir_opt), "--allow-unregistered-dialect", "--mlir-print-op-generic", "--mlir-print-debuginfo"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:500] + text
    again = read(done.stdout)
    assert difference(module, again, names="onnx.opset" in module.attributes, locations=True) is None, done.stdout
