"""Opaque attributes of the ``onnx`` dialect: what ONNX can say and the IR has no attribute for.

``#onnx.ref<"alpha", FLOAT>`` is a reference to an attribute of the function around the node, ``#onnx.proto<"…">`` any
message in protobuf's text form.
"""

from __future__ import annotations

from qir.ir.attributes import Attribute, OpaqueAttr
from qir.ir.base import quote, unquote

__all__ = ["opaque_attr", "opaque_text", "reference_attr", "reference_of"]


def opaque_attr(kind: str, text: str) -> OpaqueAttr:
    """``#onnx.kind<"text">``."""
    return OpaqueAttr("onnx", f"{kind}<{quote(text)}>")


def opaque_text(attr: Attribute | None, kind: str) -> str | None:
    """The string inside ``#onnx.kind<"…">``; None for any other attribute. Raises ValueError for a bad escape."""
    if not isinstance(attr, OpaqueAttr) or attr.dialect != "onnx":
        return None
    body = attr.body
    return unquote(body[len(kind) + 1 : -1]) if body.startswith(f'{kind}<"') and body.endswith('">') else None


def reference_attr(name: str, kind: str) -> OpaqueAttr:
    """A reference to the function's attribute `name`, which is of a kind by ONNX's name (``FLOAT``)."""
    return OpaqueAttr("onnx", f"ref<{quote(name)}, {kind}>")


def reference_of(attr: Attribute | None) -> tuple[str, str] | None:
    """Name and kind of the function's attribute that a reference means; None for any other attribute."""
    if not isinstance(attr, OpaqueAttr) or attr.dialect != "onnx":
        return None
    if not (attr.body.startswith('ref<"') and attr.body.endswith(">")):
        return None
    name, _, kind = attr.body[4:-1].rpartition(", ")
    return unquote(name), kind
