"""An artifact is run by its runtime and compared with the module before it is handed over, whatever the target."""

# ruff: noqa: E501  (lines of IR)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import qir
from qir.artifact import Agreement, agreement, interpret, make_sample, simulate
from qir.ir import Context, QirError
from qir.target import Artifact, Runtime, Target

MODULE = """
module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main(%x: tensor<?x4xf32>, %codes: tensor<1x300xi8>, %i: tensor<3xi64>) -> (tensor<?x4xf32>, tensor<1x300xi8>) {
    %a = onnx.Neg(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %y = onnx.Neg(%a) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %z = onnx.Neg(%codes) : (tensor<1x300xi8>) -> tensor<1x300xi8>
    return %y, %z : tensor<?x4xf32>, tensor<1x300xi8>
  }
}
"""
Arrays = Mapping[str, NDArray[Any]]


def chip(**changes: Any) -> Target:
    """A target whose artifact is a line of text, and whose runtime gives the right results but for `changes`."""

    def export(module: Any, ctx: Context, folder: Path, name: str) -> list[Artifact]:
        (folder / f"{name}.chip").write_text("fine")
        (folder / f"{name}.weights").write_text("none")
        return [Artifact(folder / f"{name}.chip", "the program", f"chip {folder / name}.chip"),
                Artifact(folder / f"{name}.weights", "its weights", "-")]  # fmt: skip

    def run(path: Path, inputs: Arrays, profile: str) -> dict[str, NDArray[Any]]:
        assert path.with_suffix(".weights").exists()
        results = {"y": inputs["x"], "z": -inputs["codes"]} | {k: f(inputs) for k, f in changes.items()}
        return {name: array for name, array in results.items() if array is not None}

    runtime = Runtime("chip", "pip install chip", lambda: "1", run, account=lambda path: path.read_text())
    return Target(name="chip", export=export, runtime=runtime)


def test_a_good_one_is_put_in_place_and_said(tmp_path: Path) -> None:
    ctx = Context()
    files = qir.export(qir.parse(MODULE, ctx), tmp_path / "out" / "m.chip", chip(), ctx)
    assert [(f.path.name, f.what) for f in files] == [("m.chip", "the program: fine"), ("m.weights", "its weights")]
    assert files[0].command == f"chip {tmp_path / 'out' / 'm'}.chip"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["m.chip", "m.weights"]
    assert "chip ran a sample; its results are equal to the interpreter's" in str(ctx.diagnostics[-1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": lambda given: 1.3 * given["x"]}, "chip's result is only 12.7 dB from what qir computed"),
        ({"z": lambda given: given["codes"]}, r"chip's result is only -?\d+\.\d dB from what qir computed"),
        ({"y": lambda given: None}, r"has no output 'y'\n(.*\n)+  hint: its outputs are z"),
        ({"y": lambda given: given["x"][0]}, r"chip gives 'y' in the shape \(4,\), the module says \(\?, 4\)"),
        ({"y": lambda given: given["nothing"]}, "chip 1 cannot load or run it: 'nothing'"),
    ],
    ids=["floats", "codes", "missing", "shape", "error"],
)
def test_a_wrong_one_is_not_handed_over(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    ctx = Context()
    with pytest.raises(QirError, match=message):
        qir.export(qir.parse(MODULE, ctx), tmp_path / "out" / "m.chip", chip(**changes), ctx)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("returned", "why"),
    [("%x", "an input handed on"), ("%z", "the value of another output"), ("%c", "a constant")],
)
def test_why_an_output_is_missing(returned: str, why: str, tmp_path: Path) -> None:
    kind = {"%x": "?x4xf32", "%z": "1x300xi8", "%c": "1xf32"}[returned]
    constant = "%c = onnx.Constant() {value = dense<[1.0]> : tensor<1xf32>} : () -> tensor<1xf32>"
    text = MODULE.replace("return %y,", f"{constant}\n    return {returned},")
    text = text.replace("-> (tensor<?x4xf32>,", f'-> (tensor<{kind}> {{onnx.name = "w"}},')
    text = text.replace(": tensor<?x4xf32>, tensor<1x300xi8>\n", f": tensor<{kind}>, tensor<1x300xi8>\n")
    with pytest.raises(QirError, match=f"has no output 'w', which is {why}\n(.*\n)+  hint: .* leave 'w' out"):
        qir.export(qir.parse(text, ctx := Context()), tmp_path / "m.chip", chip(), ctx)


def test_small_noise_is_said_and_taken(tmp_path: Path) -> None:
    ctx = Context()
    qir.export(qir.parse(MODULE, ctx), tmp_path / "m.chip", chip(y=lambda given: 1.001 * given["x"]), ctx)
    assert "60 dB from the interpreter's (4 of 304 elements differ)" in str(ctx.diagnostics[-1])


def test_made_up_samples() -> None:
    module = qir.parse(MODULE)
    given = {"x": np.ones((5, 4), np.float32), "codes": np.ones((1, 300), np.float32)}
    sample = make_sample(module, given)
    assert sample["x"] is given["x"]
    codes = sample["codes"]  # floats are no codes: these are made up, over the whole range
    assert codes.dtype == np.int8 and codes.shape == (1, 300) and codes.min() < -120 and codes.max() > 120
    assert np.array_equal(sample["i"], np.zeros(3, np.int64))
    assert make_sample(module, {})["x"].shape == (1, 4)


def test_agreement() -> None:
    nan = np.array([np.nan, 1.0], np.float32)
    assert agreement({"a": nan}, {"a": nan.copy()}) == Agreement(0, 2, np.inf)
    codes = np.full(100, 100, np.int8)
    found = agreement({"a": codes}, {"a": np.where(np.arange(100) == 7, 101, codes).astype(np.int8)})
    assert found.different == 1 and found.decibels == pytest.approx(10 * np.log10(100**2 * 100), abs=0.01)
    indices = np.arange(5)
    assert agreement({"a": indices}, {"a": indices[::-1].copy()}) == Agreement(4, 5, np.inf)


def test_simulation_follows_what_the_runtime_does_on_load() -> None:
    """The passes of `on_load` are run on a copy; here there is no such pass, and that is what the user hears."""
    import attrs

    target = chip()
    assert target.runtime is not None
    loads = attrs.evolve(target, runtime=attrs.evolve(target.runtime, on_load="no-such-pass"))
    given = make_sample(qir.parse(MODULE), {})
    assert np.array_equal(simulate(qir.parse(MODULE), target, given)["y"], given["x"])
    with pytest.raises(QirError, match="no-such-pass"):
        simulate(qir.parse(MODULE), loads, given)


def test_inputs_without_a_name_are_sampled_by_the_name_that_the_interpreter_gives_them() -> None:
    text = """func.func @main(%0: tensor<2xf32>) -> tensor<2xf32> {
      %y = onnx.Neg(%0) : (tensor<2xf32>) -> tensor<2xf32>
      return %y : tensor<2xf32>
    }"""
    module = qir.parse(text)
    assert list(interpret(module, make_sample(module, {}))) == ["y"]
