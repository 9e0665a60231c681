"""Broken files: one diagnostic that names the file and the node or tensor, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from qir.frontends.onnx import import_onnx
from qir.ir import Context, QirError

from . import models
from .models import info, model, node


def failure(source: bytes | onnx.ModelProto, folder: Path) -> str:
    path = folder / "m.onnx"
    path.write_bytes(source if isinstance(source, bytes) else source.SerializeToString())
    with pytest.raises(QirError) as error:
        import_onnx(path, Context())
    text = str(error.value).replace(f"{folder}{os.sep}", "")
    assert text.startswith("m.onnx: error: ")
    return text


def with_weight(**fields: object) -> onnx.ModelProto:
    tensor = TensorProto(name="w", **fields)
    return model([node("Add", ["x", "w"], ["y"], "add")], initializers=[tensor])


def changed(**fields: object) -> onnx.ModelProto:
    m = models.relu()
    for name, value in fields.items():
        m.ClearField(name) if value is None else setattr(m, name, value)
    return m


def external(location: str, offset: str | None = None, length: str | None = None) -> onnx.ModelProto:
    m = with_weight(dims=[10, 10], data_type=1, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            m.graph.initializer[0].external_data.add(key=key, value=value)
    return m


def nested() -> onnx.ModelProto:
    branch = helper.make_graph([node("Relu", ["gone"], ["o"], "inner")], "b", [], [info("o", None)])
    return model([node("If", ["x"], ["y"], "if", then_branch=branch, else_branch=branch)])


def twice(name: str) -> onnx.NodeProto:
    n = node("Relu", ["x"], ["y"], "r")
    n.attribute.extend([helper.make_attribute(name, 1), helper.make_attribute(name, 1)])
    return n


WHOLE = models.relu().SerializeToString()
CASES: dict[str, tuple[bytes | onnx.ModelProto, str]] = {
    "empty": (b"", "the file is empty"),
    "zip": (b"PK\x03\x04rest", "a zip archive"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "text": (b"this is no protobuf message", "this is no ONNX model"),
    "noise": (bytes(range(256)) * 8, "this is no ONNX model"),
    "truncated": (WHOLE[:-7], "the file is cut off: it has"),
    "no graph": (changed(graph=None), "it has no graph"),
    "no ir_version": (changed(ir_version=None), "it has no ir_version"),
    "ir_version 0": (changed(ir_version=0), "its ir_version is 0"),
    "ir_version of the future": (changed(ir_version=99), "the model has ir_version 99"),
    "no opset": (changed(opset_import=None), "does not say which opset"),
    "opset of the future": (model([node("Relu", ["x"], ["y"])], opset=999), "the model uses opset 999"),
    "cycle": (
        model([node("Add", ["x", "c"], ["b"], "a1"), node("Relu", ["b"], ["c"], "r1"), node("Relu", ["c"], ["y"])]),
        "[a1] the graph has a cycle: a1 -> r1 -> a1",
    ),
    "cycle of one": (model([node("Add", ["x", "y"], ["y"], "a1")]), "[a1] the graph has a cycle: a1 -> a1"),
    "undefined input": (model([node("Relu", ["gone"], ["y"], "r")]), "[r] the input 'gone' of this Relu node"),
    "undefined inside a graph": (nested(), "[inner] the input 'gone' of this Relu node"),
    "undefined output": (model([node("Relu", ["x"], ["z"], "r")]), "[y] the graph's output 'y' is defined by no node"),
    "duplicate output": (
        model([node("Relu", ["x"], ["y"], "r1"), node("Relu", ["x"], ["y"], "r2")]),
        "[r2] the name 'y' is defined twice",
    ),
    "duplicate input": (model([node("Relu", ["x"], ["y"])], [info("x")] * 2), "[x] the name 'x' is defined twice"),
    "duplicate attribute": (model([twice("a")]), "[r] the attribute 'a' is given twice"),
    "hostile size": (with_weight(dims=[1 << 30, 1 << 30], data_type=1, raw_data=b"abcd"), "[w] tensor 'w' claims"),
    "size beyond the data": (with_weight(dims=[100, 100], data_type=1, raw_data=b"abcd"), "has 4 bytes of data"),
    "size of numbers": (with_weight(dims=[3], data_type=1, float_data=[1.0]), "has 4 bytes of data, tensor<3xf32>"),
    "missing data": (with_weight(dims=[100, 100], data_type=1), "[w] tensor 'w' has no data"),
    "missing strings": (with_weight(dims=[2], data_type=8, string_data=[b"a"]), "has 1 strings"),
    "negative size": (with_weight(dims=[-1], data_type=1), "the negative size -1"),
    "unknown element type": (with_weight(dims=[1], data_type=77), "[w] 'w' has the element type number 77"),
    "no element type": (with_weight(dims=[1]), "[w] tensor 'w' has no element type"),
    "unknown type of a value": (model([], [info("x", [1], 1)], [info("x", [1], 1)]), ""),
    "segments": (with_weight(dims=[1], data_type=1, segment=TensorProto.Segment(end=1 << 40)), "is stored in segments"),
    "external: escapes": (external("../w.bin"), "outside the model's folder"),
    "external: absolute": (external("/etc/passwd"), "outside the model's folder"),
    "external: backslashes": (external("..\\w.bin"), "outside the model's folder"),
    "external: link": (external("link.bin"), "outside the model's folder"),
    "external: missing": (external("gone.bin"), "the data file 'gone.bin' of tensor 'w' is not there"),
    "external: a folder": (external("."), "is not there"),
    "external: zero byte": (external("a\0b"), "which is no file's name"),
    "external: nowhere": (external(""), "does not say where"),
    "external: too short": (external("short.bin"), "needs bytes 0 to 400 of 'short.bin', which has 100"),
    "external: wrong length": (external("short.bin", "0", "7"), "holds 7 bytes of it"),
    "external: bad offset": (external("short.bin", "-5"), "has the offset '-5'"),
    "external: huge offset": (external("short.bin", "9" * 17), "which has 100"),
    "unknown operator": (model([node("Reluu", ["x"], ["y"], "r")]), "did you mean Relu?"),
    "no operator": (model([onnx.NodeProto(input=["x"], output=["y"])]), "a node has no operator"),
    "operator newer than the opset": (model([node("Gelu", ["x"], ["y"], "g")]), "'onnx.Gelu' needs ai.onnx version 20"),
    "unknown attribute": (model([node("Relu", ["x"], ["y"], "r", alpha=1.0)]), "'onnx.Relu' has no attribute 'alpha'"),
    "kind of attribute": (model([node("Softmax", ["x"], ["y"], "s", axis=1.0)]), "attribute 'axis' must be an integer"),
    "required attribute": (model([node("Cast", ["x"], ["y"], "c")]), "[c] 'onnx.Cast' needs the attribute 'to'"),
    "number of inputs": (model([node("Conv", ["x"], ["y"], "c")]), "[c] 'onnx.Conv' takes 2 to 3 operands"),
    "absent required input": (model([node("Add", ["x", ""], ["y"], "a")]), "[a] 'onnx.Add' needs its operand 'B'"),
    "element type of an operand": (
        model([node("Relu", ["x"], ["y"], "r")], [info("x", [1], TensorProto.STRING)]),
        "[r] 'onnx.Relu' operand 'X' must be a tensor of bf16, f16",
    ),
    "element types that differ": (
        model([node("Add", ["x", "z"], ["y"], "a")], [info("x"), info("z", [1], TensorProto.DOUBLE)]),
        "must be of one type, they are tensors of f32 and tensors of f64",
    ),
}  # fmt: skip
CASES["unknown type of a value"][0].graph.input[0].type.tensor_type.elem_type = 77  # type: ignore[union-attr]
CASES["unknown type of a value"] = CASES["unknown type of a value"][0], "[x] 'x' has the element type number 77"


@pytest.mark.parametrize("case", CASES)
def test_broken_files(case: str, tmp_path: Path) -> None:
    (tmp_path / "short.bin").write_bytes(bytes(100))
    (tmp_path / "link.bin").symlink_to("/etc/passwd")
    source, message = CASES[case]
    assert message in failure(source, tmp_path)


@pytest.mark.parametrize("path", ["gone.onnx", "."])
def test_files_that_cannot_be_read(path: str, tmp_path: Path) -> None:
    with pytest.raises(QirError, match="cannot read the model"):
        import_onnx(tmp_path / path, Context())


def test_every_truncation_is_one_diagnostic(tmp_path: Path) -> None:
    for m in (models.rich(), models.relu()):
        data = m.SerializeToString()
        for length in range(1, len(data), 37):
            failure(data[:length], tmp_path)


def test_changed_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    import random

    rng = random.Random(5)
    data = models.rich().SerializeToString()
    path = tmp_path / "m.onnx"
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        try:
            import_onnx(path, Context())
        except QirError as error:
            assert str(error).startswith(str(path))


def test_external_data_of_a_model_without_a_folder() -> None:
    with pytest.raises(QirError, match="the model did not come from a file"):
        import_onnx(external("w.bin"), Context())
