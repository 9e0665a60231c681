"""Every model of the zoo, of ONNX's light models and of ONNX's backend suite, there and back.

import -> export equals the model field by field; import -> print -> parse gives an equal module and prints the same
text, in both forms; mlir-opt reads the generic form, and what it prints back is the same module.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import onnx
import pytest

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context, difference
from qir.text import parse_module, print_module

from .canonical import canonical, first_difference
from .corpus import COUNTS, GROUPS, _cases, group, zoo_models

Models = list[tuple[str, onnx.ModelProto]]
SEPARATOR = "// -----\n"


@pytest.fixture(params=[*GROUPS, pytest.param("zoo", marks=pytest.mark.peer("zoo"))])
def models(request: pytest.FixtureRequest) -> Models:
    if request.param == "zoo":
        return zoo_models(request.getfixturevalue("zoo"))
    return group(request.param)


def test_the_suite_is_whole() -> None:
    assert all(len(_cases(kind)) >= count for kind, count in COUNTS.items())


def test_export_equals_the_model(models: Models) -> None:
    wrong = {}
    for name, model in models:
        found = export_onnx(import_onnx(model, Context()))
        where = first_difference(canonical(model), canonical(found))
        if where is not None:
            wrong[name] = where
    assert wrong == {}


def test_text_is_a_fixed_point_and_parses_to_the_same_module(models: Models) -> None:
    wrong = {}
    for name, model in models:
        module = import_onnx(model, Context())
        for generic in (False, True):
            text = print_module(module, generic=generic)
            parsed = parse_module(text, Context(), filename=name)
            found = difference(module, parsed, names=True, locations=not generic)
            if found is None and print_module(parsed, generic=generic) != text:
                found = "prints to another text"
            if found is not None:
                wrong[name, generic] = found
    assert wrong == {}


@pytest.mark.parametrize("debuginfo", [False, True], ids=["plain", "debuginfo"])
def test_mlir_opt_gives_the_same_module_back(models: Models, debuginfo: bool, mlir_opt: Path, tmp_path: Path) -> None:
    texts = [print_module(import_onnx(m, Context()), generic=True, debuginfo=debuginfo) for _, m in models]
    path = tmp_path / "all.mlir"
    path.write_text(SEPARATOR.join(texts))
    flags = [
        "--allow-unregistered-dialect",
        "--mlir-print-op-generic",
        "--split-input-file",
        "-o",
        str(tmp_path / "back.mlir"),
    ]
    run = subprocess.run(
        [mlir_opt, *flags, *(["--mlir-print-debuginfo"] if debuginfo else []), str(path)],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[:2000]
    back = (tmp_path / "back.mlir").read_text().split(SEPARATOR)
    assert len(back) == len(models)
    wrong = [
        name
        for (name, _), text, theirs in zip(models, texts, back, strict=True)
        if print_module(parse_module(theirs, Context(), filename=name), generic=True, debuginfo=debuginfo) != text
    ]
    assert wrong == []
