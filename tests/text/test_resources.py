"""Data by reference: in the text's own section, and in a safetensors file beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir.dialects.builtin import ModuleOp
from qir.ir import ArrayAttr, Context, FileTensor, Operation, QirError, StringAttr, difference, is_equal
from qir.ir.attributes import DenseResourceAttr, dense_from_numpy
from qir.text import parse_file, parse_module, print_module, write_module
from qir.text.printer import resource_key

CONTEXT = Context(allow_unregistered=True)
RNG = np.random.default_rng(0)


def module(**arrays: Any) -> ModuleOp:
    """A module with one operation for each array, under the array's name as key."""
    made = parse_module("\n".join(f"%{i} = t.c() : () -> i8" for i in range(len(arrays))), CONTEXT)
    for op, (key, array) in zip(made.body, arrays.items(), strict=True):
        op.attributes["value"] = dense_from_numpy(array, key)
    return made


def values(root: Operation) -> list[DenseResourceAttr]:
    found = [op.attributes["value"] for op in root.walk() if "value" in op.attributes]
    assert all(isinstance(v, DenseResourceAttr) for v in found)
    return found  # type: ignore[return-value]


W = RNG.standard_normal((8, 9)).astype(np.float32)
V = RNG.integers(-100, 100, 40).astype(np.int8)


def test_a_text_can_hold_its_data() -> None:
    made = module(w=W, v=V)
    text = print_module(made)
    assert "dialect_resources: {" in text and f'w: "0x04000000{W.tobytes().hex().upper()}"' in text
    again = parse_module(text, CONTEXT)
    assert is_equal(made, again) and print_module(again) == text
    assert np.array_equal(values(again)[0].numpy(), W)


def test_data_can_be_left_out() -> None:
    made = module(w=W, v=V)
    text = print_module(made, elide=50)
    assert "dense_resource<__elided__> : tensor<8x9xf32>" in text and "v: " in text and "w: " not in text
    tensor = values(parse_module(text, CONTEXT))[0]
    with pytest.raises(QirError, match=r"not in the text"):
        tensor.numpy()
    assert "dialect_resources" not in print_module(made, resources=False)


def test_data_in_a_file_beside_the_text(tmp_path: Path) -> None:
    made = module(w=W, v=V)
    written = write_module(made, tmp_path / "m.qir")
    assert [Path(w).name for w in written] == ["m.qir", "m.safetensors"]
    text = (tmp_path / "m.qir").read_text()
    assert 'module attributes {qir.resources = "m.safetensors"} {' in text and len(text) < 400
    again = parse_file(tmp_path / "m.qir", CONTEXT)
    assert difference(made, again) is None and "qir.resources" not in again.attributes
    assert all(isinstance(v.tensor, FileTensor) for v in values(again))


def test_other_tools_read_the_file(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    write_module(module(w=W, v=V), tmp_path / "m.qir")
    loaded = load_file(tmp_path / "m.safetensors")
    assert np.array_equal(loaded["w"], W) and np.array_equal(loaded["v"], V)


@pytest.mark.parametrize("name", "bfloat16 float8_e4m3fn int4 uint4 float4_e2m1fn int2 float6_e2m3fn".split())
def test_small_types(tmp_path: Path, name: str) -> None:
    import ml_dtypes

    array = np.arange(-4, 17).astype(np.float32).clip(-2, 1).astype(getattr(ml_dtypes, name))
    made = module(w=array)
    write_module(made, tmp_path / "m.qir")
    for again in (parse_file(tmp_path / "m.qir", CONTEXT), parse_module(print_module(made), CONTEXT)):
        assert is_equal(made, again)
        assert values(again)[0].numpy().tobytes() == array.tobytes()


def test_weights_left_alone_are_linked(tmp_path: Path) -> None:
    write_module(module(w=W, v=V), tmp_path / "a.qir")
    made = parse_file(tmp_path / "a.qir", CONTEXT)
    write_module(made, tmp_path / "b.qir")
    assert os.path.samefile(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    again = parse_file(tmp_path / "b.qir", CONTEXT)
    assert is_equal(made, again)


def test_changed_weights_are_written_beside_the_linked_ones(tmp_path: Path) -> None:
    write_module(module(w=W, v=V), tmp_path / "a.qir")
    made = parse_file(tmp_path / "a.qir", CONTEXT)
    op = made.body.first
    assert op is not None
    op.attributes["value"] = dense_from_numpy(W + 1, "w")
    write_module(made, tmp_path / "b.qir")
    assert 'qir.resources = ["b.safetensors", "b.1.safetensors"]' in (tmp_path / "b.qir").read_text()
    assert os.path.samefile(tmp_path / "a.safetensors", tmp_path / "b.1.safetensors")
    again = parse_file(tmp_path / "b.qir", CONTEXT)
    assert is_equal(made, again) and np.array_equal(values(again)[0].numpy(), W + 1)
    write_module(again, tmp_path / "c.qir")  # both files are kept
    assert is_equal(parse_file(tmp_path / "c.qir", CONTEXT), made)


def test_a_text_can_replace_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.qir"
    write_module(module(w=W, v=V), path)
    for step in range(3):
        made = parse_file(path, CONTEXT)
        op = made.body.first
        assert op is not None
        op.attributes["value"] = dense_from_numpy(W + step, "w")
        write_module(made, path)
        again = parse_file(path, CONTEXT)
        assert is_equal(made, again)
        assert np.array_equal(values(again)[0].numpy(), W + step) and np.array_equal(values(again)[1].numpy(), V)


def test_a_text_in_another_folder_brings_its_weights(tmp_path: Path) -> None:
    write_module(module(w=W, v=V), tmp_path / "a.qir")
    made = parse_file(tmp_path / "a.qir", CONTEXT)
    (tmp_path / "there").mkdir()
    write_module(made, tmp_path / "there" / "b.qir")
    assert is_equal(parse_file(tmp_path / "there" / "b.qir", CONTEXT), made)


def test_a_mapped_file_that_was_replaced_meanwhile_is_not_linked(tmp_path: Path) -> None:
    write_module(module(w=W), tmp_path / "a.qir")
    made = parse_file(tmp_path / "a.qir", CONTEXT)
    write_module(module(w=W * 2), tmp_path / "a.qir")
    write_module(made, tmp_path / "b.qir")
    assert np.array_equal(values(parse_file(tmp_path / "b.qir", CONTEXT))[0].numpy(), W)


def test_keys_are_made_legal_and_unique() -> None:
    assert resource_key("/conv1/W:0") == "_conv1_W_0" and resource_key("0.w") == "_0.w" and resource_key("") == "_"
    made = parse_module("\n".join(f"%{i} = t.c() : () -> i8" for i in range(3)), CONTEXT)
    shared = dense_from_numpy(W, "a/b")
    for op, value in zip(made.body, (shared, dense_from_numpy(W + 1, "a:b"), shared), strict=True):
        op.attributes["value"] = ArrayAttr((value,))
    text = print_module(made)
    assert text.count("dense_resource<a_b>") == 2 and text.count("dense_resource<a_b_1>") == 1
    assert print_module(parse_module(text, CONTEXT)) == text and is_equal(made, parse_module(text, CONTEXT))


def side(tmp_path: Path, entries: dict[str, object], data: bytes, name: str = "m.safetensors") -> None:
    """A side file made by hand."""
    header = json.dumps(entries).encode()
    (tmp_path / name).write_bytes(len(header).to_bytes(8, "little") + header + data)


TEXT = (
    "module attributes {{qir.resources = {}}} {{\n"
    "  %0 = t.c() {{value = dense_resource<w> : tensor<4xf32>}} : () -> i8\n}}"
)
GOOD: dict[str, object] = {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}


@pytest.mark.parametrize(
    ("named", "entries", "data", "message"),
    [
        ('"none.safetensors"', GOOD, 16, "'none.safetensors' is missing"),
        ('"../m.safetensors"', GOOD, 16, "does not lie in the text's folder"),
        ('"/etc/passwd"', GOOD, 16, "does not lie in the text's folder"),
        ('"link.safetensors"', GOOD, 16, "leads out of the text's folder"),
        ("3", GOOD, 16, "must be the name of a file"),
        ('""', GOOD, 16, "does not lie"),
        ('"m.safetensors"', GOOD, 12, "cut short"),
        ('"m.safetensors"', {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 16, "has 8 bytes"),
        ('"m.safetensors"', {"x": GOOD["w"]}, 16, "'w' is neither in m.safetensors nor in the text"),
        ('"m.safetensors"', {"w": {"dtype": "F32"}}, 16, "header is malformed"),
        ('"m.safetensors"', {"w": {"data_offsets": [8, 0]}}, 16, "header is malformed"),
        ('"m.safetensors"', None, 4, "no safetensors file"),
    ],
)
def test_bad_side_files(tmp_path: Path, named: str, entries: dict[str, object] | None, data: int, message: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(b"")
    (folder / "link.safetensors").symlink_to(tmp_path / "outside")
    if entries is None:
        (folder / "m.safetensors").write_bytes(bytes(data))
    else:
        side(folder, entries, bytes(data))
    (folder / "m.qir").write_text(TEXT.format(named))
    with pytest.raises(QirError) as caught:
        parse_file(folder / "m.qir", CONTEXT)
    assert len(caught.value.diagnostics) == 1 and message in str(caught.value)


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        ('"0x0400000000"', "'w' has 1 bytes in the resource section, tensor<4xf32> needs 16"),
        ('"zz"', "must be a string of hexadecimal digits"),
        ("3", None),
        ('"0x04000000' + "z" * 32 + '"', "not hexadecimal digits"),
    ],
)
def test_bad_sections(blob: str, message: str | None) -> None:
    text = TEXT.format('"x"').replace('qir.resources = "x"', "")
    text = text.replace(" attributes {}", "") + "{-# dialect_resources: { builtin: { w: " + blob + " } } #-}"
    if message is None:
        assert values(parse_module(text, CONTEXT))[0].tensor is None
        return
    with pytest.raises(QirError) as caught:
        values(parse_module(text, CONTEXT))[0].numpy()
    assert message in str(caught.value)


def test_hostile_sizes_allocate_nothing() -> None:
    text = "module {\n  %0 = t.c() {v = dense_resource<w> : tensor<4000000000x4000000000xf32>} : () -> i8\n}\n"
    text += '{-# dialect_resources: { builtin: { w: "0x0400000000" } } #-}'
    with pytest.raises(QirError, match="too large"):
        parse_module(text, CONTEXT)
    with pytest.raises(QirError, match=r"there is no data"):
        parse_module("t.c() {v = dense<> : tensor<4000000000x4000000000xf32>} : () -> ()", CONTEXT)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(QirError, match="cannot be written"):
        write_module(module(w=W), tmp_path / "none" / "m.qir")


def test_several_files_may_be_named(tmp_path: Path) -> None:
    side(tmp_path, {"x": GOOD["w"]}, bytes(16), "a.safetensors")
    side(tmp_path, GOOD, np.arange(4, dtype=np.float32).tobytes(), "b.safetensors")
    names = ArrayAttr((StringAttr("a.safetensors"), StringAttr("b.safetensors")))
    (tmp_path / "m.qir").write_text(TEXT.format(names))
    assert values(parse_file(tmp_path / "m.qir", CONTEXT))[0].numpy().tolist() == [0, 1, 2, 3]
