"""Opset imports: a dictionary of versions, and what it takes to give the list back exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx

from qir.frontends.onnx import fields as F
from qir.ir.attributes import Attribute, DictAttr, IntegerAttr, UnitAttr, dictionary

__all__ = ["UNDECLARED", "opset_attributes", "opset_imports", "undeclared_domains"]

UNDECLARED = "onnx.undeclared_domains"
IMPLICIT = "onnx.implicit_domain"
"""The standard domain is the one that is not named (else its name is set, and empty)."""


def opset_attributes(imports: Iterable[Any]) -> dict[str, Attribute]:
    """``onnx.opset``, and ``onnx.opset_import`` where a dictionary cannot give the list back exactly."""
    imports = list(imports)
    entries = {e.domain or "ai.onnx": IntegerAttr(e.version) for e in imports}
    found: dict[str, Attribute] = {F.OPSET: dictionary(dict(entries))}
    if any(not e.domain and not e.HasField("domain") for e in imports):
        found[IMPLICIT] = UnitAttr()
    plain = onnx.ModelProto()
    opset_imports(found, plain.opset_import)
    if list(plain.opset_import) != imports:
        exact = F.read_protos(imports)
        if exact is not None:
            found["onnx.opset_import"] = exact
    return found


def undeclared_domains(used: set[str], imports: Iterable[Any]) -> dict[str, Attribute]:
    """``onnx.undeclared_domains``: those that are used without a version, so that the export adds none."""
    declared = {e.domain for e in imports}
    missing = sorted(d for d in used if d not in declared and not (d in ("", "ai.onnx") and declared & {"", "ai.onnx"}))
    return {UNDECLARED: F.strings(missing)} if missing else {}


def opset_imports(attributes: Mapping[str, Attribute], imports: Any) -> None:
    """Fill a list of OperatorSetIdProtos from attributes: the standard domain first, the others by name. The exact list
    counts as long as it says the same versions."""
    stated = attributes.get(F.OPSET)
    versions = (
        {k: v.value for k, v in stated.entries if isinstance(v, IntegerAttr)} if isinstance(stated, DictAttr) else {}
    )
    F.write_protos(attributes.get("onnx.opset_import"), imports)
    if len(imports) and {e.domain or "ai.onnx": e.version for e in imports} == versions:
        return
    del imports[:]
    for domain, version in sorted(versions.items(), key=lambda kv: (kv[0] != "ai.onnx", kv[0])):
        entry = imports.add(version=version)
        if domain != "ai.onnx" or IMPLICIT not in attributes:
            entry.domain = "" if domain == "ai.onnx" else domain
