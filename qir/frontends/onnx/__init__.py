"""ONNX models in and out. The ``onnx`` package is imported at the first use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

    from qir.dialects.builtin import ModuleOp
    from qir.ir.context import Context
    from qir.ir.core import Operation

__all__ = ["export_onnx", "import_onnx"]


def import_onnx(
    source: str | os.PathLike[str] | onnx.ModelProto, ctx: Context, *, folder: str | None = None, check: bool = True
) -> ModuleOp:
    """The module of an ONNX model: nothing that the model says is lost, `export_onnx` gives it back.

    `source` is a path or a ModelProto; `folder` is where data outside the file lies (by default beside it). The graph
    becomes ``func.func @main``, each of the model's functions one more. Weights above 4 kB stay in the file, which is
    memory-mapped. With `check` the module is verified against ONNX's schemas. Raises QirError naming file and node.
    """
    from qir.frontends.onnx.importer import import_model

    return import_model(source, ctx, folder=folder, check=check)


def export_onnx(
    module: Operation,
    path: str | os.PathLike[str] | None = None,
    *,
    external: bool | None = None,
    domains: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """The ONNX model of a module whose operations are all ONNX nodes; written to `path` if given.

    Writing is atomic. With `external` the weights go to ``<path>.data`` (by default when the file would be near
    protobuf's limit of 2 GB); the returned model then refers to them. `domains` maps dialects whose operations are
    ONNX nodes to the domains of these nodes (``{"onnxruntime": ""}``). Raises QirError naming what is no ONNX.
    """
    from qir.frontends.onnx.exporter import export_model

    return export_model(module, path, external=external, domains=domains or {})
