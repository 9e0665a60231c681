"""qir-opt as a command: files, streams, statuses, and how fast it starts. Its flags are tested in
tests/filecheck/tools."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qir.tools.qir_opt import main

RELU = "%y{0} = onnx.Relu(%y{1}) : (tensor<2xf32>) -> tensor<2xf32>"


def text(count: int = 1) -> str:
    lines = "\n".join("    " + RELU.format(i + 1, i) for i in range(count))
    return (
        "module attributes {onnx.opset = {ai.onnx = 17 : i64}} {\n"
        "  func.func @main(%y0: tensor<2xf32>) -> tensor<2xf32> {\n"
        f"{lines}\n    return %y{count} : tensor<2xf32>\n  }}\n}}\n"
    )


def run(*argv: str | Path, stdin: str = "") -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main([str(a) for a in argv], io.StringIO(stdin), out, err)
    return status, out.getvalue(), err.getvalue()


def test_reads_files_and_standard_input(tmp_path: Path):
    path = tmp_path / "a.qir"
    path.write_text(text())
    assert run(path) == run("-", stdin=text()) == run(stdin=text()) == (0, text(), "")


def test_writes_whole_files_with_weights_beside_them(tmp_path: Path):
    big = (
        text().replace(
            "    return",
            "    %w = onnx.Constant() {value = dense_resource<w> : tensor<64xf32>} : () -> tensor<64xf32>\n    return",
        )
        + '{-#\n  dialect_resources: {\n    builtin: {\n      w: "0x04000000'
        + "0000803F" * 64
        + '"\n    }\n  }\n#-}\n'
    )
    path = tmp_path / "b.qir"
    assert run("-", "-o", path, stdin=big) == (0, "", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.qir", "b.safetensors"]
    assert "dialect_resources: {" not in path.read_text()
    again = tmp_path / "c.qir"
    assert run(path, "-o", again)[0] == 0
    assert (tmp_path / "c.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    before = again.read_bytes()
    status, _, errors = run("-", "-o", again, stdin=text().replace("onnx.Relu", "onnx.Rele"))
    assert status == 1 and "error" in errors and again.read_bytes() == before


def test_reads_onnx_models(tmp_path: Path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    w = np.arange(6, dtype=np.float32).reshape(2, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product"), helper.make_node("Relu", ["y"], ["z"])],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(w, "w")],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    status, out, errors = run(path, "--verify-roundtrip", "--canonicalize")
    assert (status, errors) == (0, "") and 'loc("product")' in out and "%w = onnx.Constant() {onnx.initializer" in out
    assert run(path, "--split-input-file")[0] == 2


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["/no/such/file.qir"], 1, "there is no file"),
        (["/no/such/file.onnx"], 1, "error"),
        (["-", "-o", "/no/such/folder/x.qir"], 1, "there is no folder /no/such/folder"),
        (["--no-such-flag"], 2, "no flag and no pass"),
        (["a.qir", "b.qir"], 2, "unrecognized arguments: b.qir"),
        (["-", "--elide-resources=few"], 2, "no number"),
        (["-", "--remarks=("], 2, "no regular expression"),
        (["-", "--debug-counter=x=3"], 2, "is no counter"),
        (["-", "--run-reproducer", "--cse"], 2, "takes the pipeline from the input"),
        (["-", "--print-ir-before=csee"], 2, "did you mean 'cse'"),
        (["-", "-p", "cse(x)"], 1, "'cse' is no operation"),
    ],
)
def test_wrong_usage_and_files(argv: list[str], status: int, message: str):
    found, out, errors = run(*argv, stdin=text())
    assert (found, out) == (status, "") and message in errors and "Traceback" not in errors
    assert errors.count("error: ") == 1


def test_binary_input(tmp_path: Path):
    path = tmp_path / "x.qir"
    path.write_bytes(b"module \xff\xfe")
    status, _, errors = run(path)
    assert status == 1 and errors.count("error: ") == 1 and "UTF-8" in errors


def test_too_many_weights_for_standard_output(monkeypatch: pytest.MonkeyPatch):
    import qir.tools._opt_job as tool

    monkeypatch.setattr(tool, "STDOUT_LIMIT", 16)
    big = (
        "module {\n  %w = onnx.Constant() {value = dense_resource<w> : tensor<64xf32>} : () -> tensor<64xf32>\n}\n"
        '{-#\n  dialect_resources: {\n    builtin: {\n      w: "0x04000000' + "0000803F" * 64 + '"\n    }\n  }\n#-}\n'
    )
    status, out, errors = run(stdin=big)
    assert (status, out) == (1, "") and "-o FILE" in errors
    assert run("--elide-resources=4", stdin=big)[0] == 0


def process(*argv: str, code: str = "pass") -> str:
    """The output of the command in a fresh process, then of `code`."""
    program = f"import sys\nfrom qir.tools.qir_opt import main\nmain({list(argv)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_a_small_module_needs_no_torch(tmp_path: Path):
    """Start-up times are in benchmarks/bench_startup.py; what makes them possible is tested here."""
    path = tmp_path / "a.qir"
    path.write_text(text(20))
    code = "print([m for m in ('torch', 'triton', 'onnxruntime') if m in sys.modules])"
    assert process(str(path), "--canonicalize", "--cse", code=code).endswith("[]\n")


def test_help_needs_neither_onnx_nor_numpy_nor_the_grammar():
    code = "print([m for m in ('torch', 'onnx', 'qir.text.operations') if m in sys.modules])"
    assert process("--help", code=code).endswith("[]\n")


def test_without_onnx_operations_onnx_is_not_imported(tmp_path: Path):
    path = tmp_path / "a.qir"
    path.write_text("func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n  return %x : tensor<2xf32>\n}\n")
    assert process(str(path), "--cse", code="print('onnx' in sys.modules)").endswith("False\n")


def test_the_generic_form_is_mlirs(mlir_opt: Path):
    _, out, _ = run("--print-op-generic", stdin=text(3))
    done = subprocess.run(
        [mlir_opt, "--allow-unregistered-dialect"], input=out, capture_output=True, text=True, check=True
    )
    status, back, errors = run(stdin=done.stdout)
    assert (status, errors) == (0, "") and back.count("onnx.Relu") == 3
