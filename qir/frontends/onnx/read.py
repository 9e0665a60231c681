"""An ONNX file's bytes into a ModelProto, with a diagnostic for everything that is no model."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError

from qir.frontends.onnx.errors import Place
from qir.frontends.onnx.wire import WireError, skeleton
from qir.ir.tensors import map_file

__all__ = ["read_model"]

_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model", "fetch the model with: git lfs pull"),
    (b"PK\x03\x04", "a zip archive (PyTorch saves its models as one)", "unpack it, or export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file (Keras saves its models as one)", "export the model to ONNX"),
    (b"<!DOCTYPE", "a web page", "the download went wrong: fetch the file itself"),
    (b"<html", "a web page", "the download went wrong: fetch the file itself"),
    (b"\x80\x02", "a Python pickle (PyTorch's old format)", "export the model to ONNX"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"ir_version:", "a model as protobuf text", "convert it with onnx.load(..., format='textproto') and onnx.save"),
    (b"{", "a model as JSON, if one at all", "convert it with onnx.load(..., format='json') and onnx.save"),
    (b"<?xml", "XML (OpenVINO saves its models as such)", "convert it to ONNX"),
)


def read_model(path: str, place: Place) -> tuple[onnx.ModelProto, memoryview]:
    """The model in a file, and the mapped file in which its large raw data was left (see `wire`)."""
    try:
        data = map_file(path)
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else None
        place.fail(f"cannot read the model: {error.strerror or error}", hint)
    if not len(data):
        place.fail("the file is empty", "export the model again, or fetch it again")
    head = bytes(data[:32]).lstrip()
    for magic, what, hint in _OTHERS:
        if head.startswith(magic):
            place.fail(f"this is no ONNX model but {what}", hint)
    try:
        model = onnx.ModelProto.FromString(skeleton(data))
    except WireError as error:
        if error.needed is not None and error.needed > len(data) and _starts_like_a_model(data):
            place.fail(
                f"the file is cut off: it has {len(data)} bytes, a part of it should end at byte {error.needed}",
                "copy or download the whole file again",
            )
        place.fail("this is no ONNX model (no protobuf message)", "give a .onnx file, or a .qir text")
    except (DecodeError, ValueError, RecursionError) as error:
        place.fail(f"this is no ONNX model: {error}", "the file is damaged, or no ONNX file at all")
    return model, data


def _starts_like_a_model(data: memoryview) -> bool:
    """Whether the first field is one with which models begin: ir_version, a producer or the graph."""
    return data[0] in (0x08, 0x12, 0x1A, 0x22, 0x3A, 0x42)
