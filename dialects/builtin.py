"""The ``builtin`` dialect: the module, as MLIR defines it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qir.dialects.cast_syntax import CastOp
from qir.ir.attributes import Attribute, DictAttr, IntegerAttr, StringAttr
from qir.ir.context import Dialect
from qir.ir.core import Block, Operation, Region, Trait
from qir.ir.definition import ANY, STRING, op_def, optional_attr, region, variadic_operand, variadic_result
from qir.ir.location import UNKNOWN, Location
from qir.ir.verifier import Verifier

__all__ = ["DIALECT", "ModuleOp", "UnrealizedConversionCastOp", "empty_module"]


@op_def(
    "builtin.module",
    Trait.SYMBOL_TABLE | Trait.ISOLATED_FROM_ABOVE | Trait.NO_TERMINATOR | Trait.GRAPH_REGION | Trait.SYMBOL,
)
class ModuleOp(Operation):
    """A program: functions and quantizers."""

    sym_name = optional_attr(STRING)
    sym_visibility = optional_attr(STRING)
    region = region()

    @property
    def body(self) -> Block:
        return self.regions[0].block

    def verify_op(self, verifier: Verifier) -> Iterator[str]:
        stated = self.attributes.get("onnx.opset")  # what all operators of ONNX are read by: it must not go unnoticed
        fine = isinstance(stated, DictAttr) and all(isinstance(version, IntegerAttr) for _, version in stated.entries)
        if stated is not None and not fine:
            yield f"has the opset {stated}, which is no dictionary of versions by domain ({{ai.onnx = 17 : i64}})"


@op_def("builtin.unrealized_conversion_cast", Trait.PURE)
class UnrealizedConversionCastOp(CastOp):
    """Values of other types that stand for the same; removed before the end."""

    inputs = variadic_operand(ANY)
    outputs = variadic_result(ANY)


def empty_module(
    name: str | None = None, attributes: Mapping[str, Attribute] | None = None, location: Location = UNKNOWN
) -> ModuleOp:
    """A module with an empty body."""
    entries = dict(attributes or {})
    if name is not None:
        entries["sym_name"] = StringAttr(name)
    return ModuleOp.create(attributes=entries, regions=[Region([Block()])], location=location)


DIALECT = Dialect("builtin", [ModuleOp, UnrealizedConversionCastOp], doc="Modules, as in MLIR.")
