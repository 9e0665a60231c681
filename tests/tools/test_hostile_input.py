"""Input made to break the commands: one diagnostic, status 1 (2 for wrong usage), and no file that was not there."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qir.tools import qir, qir_opt, qir_translate

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
JOB = ("quantize", "m.onnx", "--target", "onnxruntime", "--data", "c.npz", "-o", "out/deep")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a model, its data, a folder, and a file."""
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes())
    images = np.load(DIGITS / "digits.npz")["train_x"][:8, None].astype(np.float32) / 16
    np.savez("c.npz", input=images)
    np.save("x.npy", images)
    Path("folder").mkdir()
    Path("file").write_text("x")
    return tmp_path


def files() -> dict[str, int]:
    found = (p for p in Path().rglob("*") if "__pycache__" not in p.parts and p.name != "__pycache__")
    return {str(p): p.stat().st_mtime_ns if p.is_file() else 0 for p in found}


def fails(tool: ModuleType, *argv: str, status: int = 1, stdin: str = "") -> str:
    out, errors, before = io.StringIO(), io.StringIO(), files()
    assert tool.main(list(argv), io.StringIO(stdin), out, errors) == status, errors.getvalue()
    text = errors.getvalue()
    assert text.count("error: ") == 1 and "internal" not in text and "is a bug" not in text, text
    assert out.getvalue() == "" and files() == before
    return text



# ---------------------------------------------------------------------- a user's functions
FUNCTIONS = '''
import sys
def boom(*_):
    raise ValueError("too bad")
def leave(*_):
    sys.exit(3)
def nothing(*_):
    return None
def words(*_):
    return "abc"
def two(a, b):
    return a
'''


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("boom", ("ValueError: too bad", ".py:4")),
        ("leave", ("SystemExit", ".py:6")),
        ("nothing", ("NoneType", "yields {input name: array}")),
        ("words", ("str, not a dictionary",)),
        ("two", ("required positional argument",)),
    ],
)
def test_data_functions(function: str, words: tuple[str, ...]) -> None:
    Path("hostile_data.py").write_text(FUNCTIONS)
    errors = fails(qir, *JOB[:5], f"hostile_data:{function}", *JOB[6:])
    assert all(word in errors for word in words) and errors.startswith(f"hostile_data:{function}: error")


@pytest.mark.parametrize(
    ("function", "word"), [("boom", ".py:4"), ("leave", "SystemExit"), ("nothing", "no number"), ("words", "no number")]
)
def test_score_functions(function: str, word: str) -> None:
    Path("hostile_score.py").write_text(FUNCTIONS)
    assert word in fails(qir, *JOB, "--eval", f"hostile_score:{function}")


@pytest.mark.parametrize("option", ["--data", "--eval"])
def test_a_module_that_cannot_be_imported(option: str) -> None:
    Path("hostile_syntax.py").write_text("def (:\n")
    job = JOB if option == "--eval" else JOB[:4]
    assert "SyntaxError" in fails(qir, *job, option, "hostile_syntax:f")


# ---------------------------------------------------------------------- options
@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--device", "tpu"), "no device 'tpu'"),
        (("--device", "cuda:77"), "cuda:77"),
        (("--device", "meta"), "meta"),
        (("--set", "samples=-3"), "samples=-3"),
        (("--set", "batch=-1"), "batch=-1"),
        (("--set", "samples=many"), "expected an integer"),
        (("--set", "colour=red"), "no pass of the pipeline has the option 'colour'"),
        (("--method", "percentile", "--set", "p=nan"), "a percentile lies between"),
        (("--pipeline", ""), "no pipeline"),
        (("--pipeline", "annotate{target=onnxruntime"), "never closed"),
    ],
)
def test_options_of_a_job(options: tuple[str, ...], word: str) -> None:
    assert word in fails(qir, *JOB, *options)


@pytest.mark.parametrize("device", ["banana", "cuda:77"])
def test_devices_of_run_and_compare(device: str) -> None:
    assert device in fails(qir, "run", "m.onnx", "--input", "input=x.npy", "--device", device)
    assert device in fails(qir, "compare", "m.onnx", "m.onnx", "--data", "c.npz", "--device", device)


@pytest.mark.parametrize(
    ("tool", "argv"),
    [
        (qir, ("compare", "m.onnx", "m.onnx", "--data", "c.npz", "--samples", "-4")),
        (qir, ("run", "m.onnx", "--input", "=x.npy")),
        (qir_opt, ("m.onnx", "--elide-resources", "-1")),
        (qir_opt, ("m.onnx", "--debug-counter", "nonsense")),
        (qir_opt, ("m.onnx", "--split-input-file")),
        (qir_translate, ("--import-onnx", "--export=onnx", "m.onnx")),
        (qir_translate, ("m.onnx",)),
        (qir, ("check-target", "onnxruntime", "--no-suite", "--no-zoo")),
        (qir, ("check-target", "onnxruntime", "--no-suite", "--only", "Conv")),
    ],
)
def test_wrong_usage(tool: ModuleType, argv: tuple[str, ...]) -> None:
    fails(tool, *argv, status=2)


# ---------------------------------------------------------------------- files
@pytest.mark.parametrize(
    ("tool", "argv", "word"),
    [
        (qir_opt, ("m.onnx", "-o", "m.onnx"), "its name says ONNX"),
        (qir_opt, ("m.onnx", "-o", "folder"), "folder"),
        (qir_opt, ("m.onnx", "-o", "missing/x.qir"), "there is no folder missing"),
        (qir_opt, ("m.onnx", "-o", "file/x.qir"), "there is no folder file"),
        (qir_opt, ("m.onxn",), "did you mean m.onnx?"),
        (qir_opt, ("folder",), "is a folder"),
        (qir_opt, ("m.onnx", "-p", "cse", "--print-ir-tree-dir", "file"), "file"),
        (qir_translate, ("--import-onnx", "m.onnx", "-o", "m.onnx"), "its name says ONNX"),
        (qir_translate, ("--import-onnx", "m.onnx", "-o", "folder"), "folder"),
        (qir_translate, ("--import-onnx", "m.onnx", "-o", "missing/x.qir"), "missing"),
        (qir_translate, ("--import-onnx", "folder"), "is a folder"),
        (qir_translate, ("--export=onnx", "nothing.qir", "-o", "o.onnx"), "there is no file nothing.qir"),
        (qir, ("run", "m.onnx", "--input", "input=x.npy", "-o", "file"), "file"),
        (qir, ("run", "m.onnx", "--input", "input=folder"), "give an .npy file"),
        (qir, ("quantize", "m.onnx", "--target", "onnxruntime", "--data", "c.npz", "-o", "file/x"), "file/x"),
    ],
)
def test_files(tool: ModuleType, argv: tuple[str, ...], word: str) -> None:
    assert word in fails(tool, *argv)


def test_a_module_of_another_target() -> None:
    """One diagnostic, however much of the module the target cannot run."""
    passes = "canonicalize,fold-batch-norm,annotate{target=onnxruntime},calibrate{data=c.npz},materialise"
    assert qir_opt.main(["m.onnx", "-o", "text.qir", "-p", passes]) == 0
    assert qir_opt.main(["text.qir", "-o", "lowered.qir", "-p", "lower-to-onnxruntime"]) == 0
    for argv in (("text.qir", "-p", "lower{target=ncnn}"), ("lowered.qir", "-p", "verify-target{target=ncnn}")):
        errors = fails(qir_opt, *argv)
        assert "was quantized for onnxruntime, and ncnn cannot run" in errors and "qir quantize TEXT" in errors
    assert "was lowered for onnxruntime, not for ncnn" in fails(
        qir_translate, "--export=ncnn", "lowered.qir", "-o", "o.param"
    )


@pytest.mark.parametrize("out", ["folder", "missing/o.onnx", "text.qir", "file/o.onnx"])
def test_exports(out: str) -> None:
    assert qir_translate.main(["--import-onnx", "m.onnx", "-o", "text.qir"]) == 0
    fails(qir_translate, "--export=onnx", "text.qir", "-o", out)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("cut short", lambda data: data[: len(data) // 2]),
        ("empty", lambda data: b""),
        ("junk", lambda data: b"\xff" * 300),
        ("a header of a petabyte", lambda data: (10**15).to_bytes(8, "little") + data[8:]),
        ("a tail lost", lambda data: data[:-50]),
    ],
)
def test_damaged_weights(name: str, damage: Callable[[bytes], bytes]) -> None:
    assert qir_translate.main(["--import-onnx", "m.onnx", "-o", "text.qir"]) == 0
    path = Path("text.safetensors")
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(damage(data))
    assert "text.safetensors" in fails(qir_opt, "text.qir")


def test_weights_that_are_not_there() -> None:
    assert qir_translate.main(["--import-onnx", "m.onnx", "-o", "text.qir"]) == 0
    os.unlink("text.safetensors")
    for argv in (("run", "text.qir", "--input", "input=x.npy"), ("quantize", "text.qir", *JOB[2:])):
        assert "text.safetensors" in fails(qir, *argv)


@pytest.mark.parametrize("name", ["m.qir", "m.txt"])
def test_a_model_under_another_name(name: str) -> None:
    Path(name).write_bytes(Path("m.onnx").read_bytes())
    assert "not UTF-8" in fails(qir, "quantize", name, *JOB[2:])


# ---------------------------------------------------------------------- texts
FUNCTION = """
  func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %0 = qsim.fake %x by @a : tensor<2xf32>
    return %0 : tensor<2xf32>
  }
}
"""
SCALE_CYCLE = "module {\n  qsim.quantizer @a : i4 symmetric block({0: 2}) scale_by(@b) scale([1.0])\n"
SCALE_CYCLE += "  qsim.quantizer @b : i8 symmetric per_tensor scale_by(@a) scale(1.0)" + FUNCTION
HUGE = """module attributes {onnx.opset = {ai.onnx = 17 : i64}} {
  func.func @main() -> tensor<99999999x99999999xf32> {
    %0 = onnx.Constant() {value = dense<1.0> : tensor<99999999x99999999xf32>} : () -> tensor<99999999x99999999xf32>
    return %0 : tensor<99999999x99999999xf32>
  }
}
"""


def test_quantizers_that_depend_on_themselves() -> None:
    Path("t.qir").write_text(SCALE_CYCLE)
    np.save("two.npy", np.zeros(2, np.float32))
    for tool, argv in ((qir_opt, ("t.qir",)), (qir, ("run", "t.qir", "--input", "x=two.npy"))):
        errors = fails(tool, *argv)
        assert "@a depend on themselves: @a of @b of @a" in errors and errors.startswith("t.qir:2:3")


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (r"@stem\.weight : .*?scale", "@stem.weight, whose 5 scales do not fit tensor<16x1x3x3xi8>"),
        (r"@input : .*?scale", "@input, whose 5 scales do not fit tensor<?x1x8x8xf32>"),
    ],
)
def test_scales_that_do_not_fit_a_record(edit: str, word: str) -> None:
    passes = "canonicalize,fold-batch-norm,annotate{target=ncnn},calibrate{data=c.npz},materialise,lower{target=ncnn}"
    assert qir_opt.main(["m.onnx", "-o", "t.qir", "-p", passes]) == 0
    text, edits = re.subn(rf"({edit})\([^)]*\)", r"\1([0.1, 0.2, 0.3, 0.4, 0.5])", Path("t.qir").read_text(), count=1)
    assert edits == 1
    Path("t.qir").write_text(text, encoding="utf-8")
    errors = fails(qir_translate, "--export=ncnn", "t.qir", "-o", "o.param")
    assert "[/stem, /stem_bn]" in errors and word in errors


def test_more_memory_than_there_is() -> None:
    Path("t.qir").write_text(HUGE)
    assert qir_opt.main(["t.qir", "-p", "canonicalize,cse", "--no-output"]) == 0
    assert "memory" in fails(qir, "run", "t.qir")
    assert "memory" in fails(qir_translate, "--export=onnx", "t.qir", "-o", "o.onnx")


@pytest.mark.parametrize("opset", ["17 : i64", '"17"', "{ai.onnx = 17.5 : f32}", "[17]"])
def test_opsets_that_say_nothing(opset: str) -> None:
    text = f"module attributes {{onnx.opset = {opset}}} {{\n}}\n"
    assert "is no dictionary of versions" in fails(qir_opt, stdin=text)
