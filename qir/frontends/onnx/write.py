"""Writing model files: all or nothing, weights beside the file where they are too large for it."""

from __future__ import annotations

import os
from typing import IO

import onnx

from qir.frontends.onnx.tensors import write_data
from qir.ir.attributes import TensorAttr
from qir.ir.diagnostics import fail
from qir.ir.files import whole_file

__all__ = ["LARGEST", "External", "write_files"]

LARGEST = 1_900_000_000
"""Bytes of weights up to which a model is one file: protobuf cannot write messages above 2 GB."""
ALIGNMENT = 4096
"""Tensors in a data file start at pages, so that they can be mapped."""


class External:
    """The data file beside a model: collects tensors, then writes them one after the other."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.tensors: list[tuple[TensorAttr, onnx.TensorProto]] = []

    def add(self, attr: TensorAttr, proto: onnx.TensorProto) -> None:
        """Take a tensor; its proto is completed when the file is written."""
        self.tensors.append((attr, proto))

    def write(self, file: IO[bytes]) -> None:
        position = 0
        for attr, proto in self.tensors:
            padding = -position % ALIGNMENT
            file.write(b"\0" * padding)
            position += padding
            length = write_data(attr, file)
            proto.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", self.location), ("offset", str(position)), ("length", str(length))):
                proto.external_data.add(key=key, value=value)
            position += length


def write_files(model: onnx.ModelProto, path: str, store: External | None) -> None:
    """Write a model, and its data file if it has one. Raises QirError where the disk does not let it."""
    try:
        if store is not None:
            with whole_file(os.path.join(os.path.dirname(path), store.location)) as file:
                store.write(file)
        with whole_file(path) as file:
            file.write(model.SerializeToString())
    except OSError as error:
        fail(path, f"cannot write the model: {error.strerror or error}", "check that the folder exists and has space")
