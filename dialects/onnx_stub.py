"""Writes ``onnx.pyi``: the operators of the installed ONNX as editors and type checkers see them.

python -m qir.dialects.onnx_stub
"""

from __future__ import annotations

import os
import re
import textwrap

from qir.dialects import onnx_schema
from qir.dialects.onnx_ops import OnnxOp, op_class
from qir.dialects.onnx_schema import Schema

__all__ = ["stub"]

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx.pyi")

HEADER = '''# ruff: noqa: E501, E743, I001
"""ONNX's operators, generated from onnx {version} by ``python -m qir.dialects.onnx_stub``."""

from collections.abc import Sequence
from typing import Any

from qir.dialects.onnx_ops import (
    DIALECT as DIALECT,
    DIALECT_AI as DIALECT_AI,
    NoValue as NoValue,
    OnnxDefinition as OnnxDefinition,
    OnnxOp as OnnxOp,
    Yield as Yield,
    domain_and_type as domain_and_type,
    op_class as op_class,
    op_name as op_name,
    opset_of as opset_of,
    opsets as opsets,
    region_names as region_names,
    similar as similar,
)
from qir.dialects.onnx_types import STRING as STRING, UNKNOWN_TYPE as UNKNOWN_TYPE
from qir.ir.attributes import TensorAttr
from qir.ir.core import Operation, Region, Value
from qir.ir.location import Location
from qir.ir.types import Type
'''

PYTHON = {
    "INT": "int", "INTS": "tuple[int, ...]", "FLOAT": "float", "FLOATS": "tuple[float, ...]", "STRING": "str",
    "STRINGS": "tuple[str, ...]", "TENSOR": "TensorAttr", "TENSORS": "tuple[TensorAttr, ...]", "TYPE_PROTO": "Type",
}  # fmt: skip
ACCEPTED = {
    "INT": "int", "INTS": "Sequence[int]", "FLOAT": "float", "FLOATS": "Sequence[float]", "STRING": "str",
    "STRINGS": "Sequence[str]", "TENSOR": "Any", "TENSORS": "Sequence[TensorAttr]", "TYPE_PROTO": "Type",
}  # fmt: skip
COMMON = """result_types: Sequence[Type] | None = ..., regions: Sequence[Region] = ..., location: Location = ...,
        name: str | None = ..., opset: int | None = ..., outputs: int = ..."""


def stub() -> str:
    """The text of ``onnx.pyi`` for the installed ONNX."""
    import onnx

    parts = [HEADER.format(version=onnx.__version__)]
    for name in onnx_schema.names(""):
        schema = onnx_schema.newest("", name)
        if schema is not None:
            parts.append(_class(schema))
    parts.append("def __getattr__(name: str) -> type[Operation]: ...\n")
    return "\n".join(parts)


def _class(schema: Schema) -> str:
    doc = textwrap.wrap(_summary(schema), 112)
    if len(doc) == 1:
        doc[0] += '"""'
    else:
        doc.append('"""')
    lines = [f"class {schema.name}(OnnxOp):", f'    """{doc[0]}', *(f"    {line}" for line in doc[1:]), ""]
    members = vars(op_class(schema.name))
    taken = dir(OnnxOp)
    operands: list[str] = []
    keywords: list[str] = []
    for parameter in schema.inputs:
        if parameter.option == "variadic":
            kind, argument = "tuple[Value, ...]", f"{parameter.name}: Sequence[Value]"
            if any(a.endswith("...") for a in operands):
                argument += " = ..."
        elif parameter.option == "optional":
            kind, argument = "Value | None", f"{parameter.name}: Value | None = ..."
        else:
            kind, argument = "Value", f"{parameter.name}: Value"
            if any(a.endswith("...") for a in operands):
                argument += " = ..."
        if parameter.name in members and parameter.name not in taken:
            lines += ["    @property", f"    def {parameter.name}(self) -> {kind}: ..."]
        operands.append(argument)
    for known in schema.attributes.values():
        if known.kind in ("GRAPH", "GRAPHS"):
            continue
        kind = PYTHON.get(known.kind, "Any")
        if known.name in members and known.name not in taken:
            given = known.required or known.default is not None
            lines.append(f"    {known.name}: {kind}{'' if given or kind == 'Any' else ' | None'}")
        accepted = ACCEPTED.get(known.kind, "Any")
        if accepted == "Any":
            keywords.append(f"{known.name}: Any{'' if known.required else ' = ...'}")
        else:
            keywords.append(f"{known.name}: {accepted}" if known.required else f"{known.name}: {accepted} | None = ...")
    arguments = ["cls", *operands, *(["/"] if operands else []), "*", *keywords]
    lines += [
        "    @classmethod",
        "    def build(  # type: ignore[override]",
        *_wrapped(arguments),
        f"        {COMMON},",
        f"    ) -> {schema.name}: ...",
        "",
    ]
    return "\n".join(lines)


def _wrapped(arguments: list[str]) -> list[str]:
    """Arguments on lines of at most 120 characters."""
    lines = [""]
    for argument in arguments:
        if lines[-1] and len(lines[-1]) + len(argument) > 108:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{argument},"
    return [f"        {line}" for line in lines]


def _summary(schema: Schema) -> str:
    """The first sentence of an operator's documentation, on one line."""
    text = re.sub(r"\s+", " ", schema.doc).strip()
    text = re.split(r"(?<=[a-z)])\. ", text, maxsplit=1)[0].rstrip(".")
    text = text.replace("\\", "\\\\").replace('"', "'")
    if len(text) > 400:
        text = text[:400].rpartition(" ")[0] + " ..."
    return f"{text or schema.name}."


if __name__ == "__main__":
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(stub())
