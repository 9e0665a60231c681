"""A graph as two files: XML with layers, their ports and the edges between these, and the bytes of the constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as Xml

from numpy.typing import NDArray

from qir.ir import IntegerType, Type, i1
from qir.ir.tensors import pack

__all__ = ["LayerFiles", "Port", "element_name"]

Port = tuple[int, int, str]
"""A layer, one of its ports, and the element type there."""


def element_name(type: Type) -> str:
    """An element type in one word: ``f32``, ``i8``, ``u8``, ``boolean``."""
    if type == i1:
        return "boolean"
    return f"{type.signedness or 'i'}{type.width}" if isinstance(type, IntegerType) else str(type).lower()


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class LayerFiles:
    """The two files while they are written; `xml` and `data` are their bytes.

    `versions` are those of the layer types that are not of the first version. Sizes between the layers are not
    written: who reads the graph infers them.
    """

    def __init__(self, name: str, version: int, versions: Mapping[str, int]) -> None:
        self.net = Xml.Element("net", name=name, version=str(version))
        self.layers, self.edges, _ = (Xml.SubElement(self.net, part) for part in ("layers", "edges", "rt_info"))
        self.data, self.versions = bytearray(), versions
        self._held: dict[Any, Port] = {}
        self._names: set[str] = set()

    @property
    def xml(self) -> bytes:
        return bytes(Xml.tostring(self.net, "utf-8", xml_declaration=True))

    def layer(
        self, kind: str, name: str, given: Mapping[str, Any], reads: Sequence[Port], *writes: tuple[str, str]
    ) -> list[Port]:
        """Append a layer and the edges to it; `writes` are element type and tensor names of its results.

        A name that is taken gets the layer's type and number behind it.
        """
        number = len(self.layers)
        name = f"{name}/{kind}_{number}" if name in self._names else name
        self._names.add(name)
        known = {"id": str(number), "name": name, "type": kind, "version": f"opset{self.versions.get(kind, 1)}"}
        layer = Xml.SubElement(self.layers, "layer", known)
        if given:
            Xml.SubElement(layer, "data", {key: _text(value) for key, value in given.items()})
        inputs = Xml.SubElement(layer, "input") if reads else layer
        for i, (source, port, precision) in enumerate(reads):
            Xml.SubElement(inputs, "port", id=str(i), precision=precision)
            ends = {"from-layer": source, "from-port": port, "to-layer": number, "to-port": i}
            Xml.SubElement(self.edges, "edge", {key: str(end) for key, end in ends.items()})
        outputs = Xml.SubElement(layer, "output") if writes else layer
        for i, (precision, names) in enumerate(writes, len(reads)):
            named = {"names": names} if names else {}
            Xml.SubElement(outputs, "port", {"id": str(i), "precision": precision, **named})
        return [(number, len(reads) + i, kind) for i, (kind, _) in enumerate(writes)]

    def constant(self, array: NDArray[Any], type: Type, shape: Sequence[int]) -> Port:
        """A layer ``Const``, one for all that are equal; its bytes start at a multiple of 8."""
        kind, raw = element_name(type), pack(array, type)
        key = (kind, *shape, raw)
        if key not in self._held:
            self.data.extend(bytes(-len(self.data) % 8))
            given = {"element_type": kind, "shape": list(shape), "offset": len(self.data), "size": len(raw)}
            self.data.extend(raw)
            (self._held[key],) = self.layer("Const", f"constant_{len(self.layers)}", given, (), (kind, ""))
        return self._held[key]
