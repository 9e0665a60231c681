"""The artifact: IR v11, ``<name>.xml`` with the layers and ``<name>.bin`` with the constants, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
from numpy.typing import NDArray

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, IntegerType, Type, f32, i1, i64
from qir.ir.records import RecordOp
from qir.ir.tensors import pack
from qir.lowering.openvino.dialect import FAKE, SPELLED, VERSIONS, ends
from qir.passes.lower.fakes import check_fakes
from qir.passes.lower.program import Slot, program_of
from qir.target import Artifact, get_target, node_name

__all__ = ["export", "verify", "write_ir"]

Port = tuple[int, int, str]
"""A layer, one of its ports, and the element type there."""


def element(type: Type) -> str:
    """The IR's name of an element type."""
    if type == i1:
        return "boolean"
    return f"{type.signedness or 'i'}{type.width}" if isinstance(type, IntegerType) else str(type).lower()


def text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class Ir:
    """The two files while they are written. Sizes between the layers are left to the reader, who infers them."""

    def __init__(self, name: str) -> None:
        self.net = Xml.Element("net", name=name, version="11")
        self.layers, self.edges, _ = (Xml.SubElement(self.net, part) for part in ("layers", "edges", "rt_info"))
        self.data, self.held, self.names = bytearray(), dict[Any, Any](), set[str]()

    def layer(
        self, kind: str, name: str, given: Mapping[str, Any], reads: Sequence[Port], *writes: tuple[str, str]
    ) -> list[Port]:
        """Append a layer and the edges to it; `writes` are element type and tensor names of its results."""
        number = len(self.layers)
        name = f"{name}/{kind}_{number}" if name in self.names else name
        self.names.add(name)
        version = f"opset{VERSIONS.get(kind, 1)}"
        layer = Xml.SubElement(self.layers, "layer", id=str(number), name=name, type=kind, version=version)
        if given:
            Xml.SubElement(layer, "data", {key: text(value) for key, value in given.items()})
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
        """A Const, one for all that are equal."""
        kind, raw = element(type), pack(array, type)
        key = (kind, *shape, raw)
        if key not in self.held:
            self.data.extend(bytes(-len(self.data) % 8))
            given = {"element_type": kind, "shape": list(shape), "offset": len(self.data), "size": len(raw)}
            self.data.extend(raw)
            (self.held[key],) = self.layer("Const", f"constant_{len(self.layers)}", given, (), (kind, ""))
        port: Port = self.held[key]
        return port

    def weight(self, codes: Slot, name: str) -> Port:
        """Convert and Multiply; where scales belong to blocks, with two axes for one, and Reshape back."""
        assert codes.data is not None and codes.quantization is not None
        q, shape = codes.quantization, codes.shape
        axes = list(zip(shape, q.scheme.granularity.sizes(len(shape)), strict=True))
        cut = [part for n, size in axes for part in ((n // size, size) if size > 1 else (n,))]
        spread = [part for n, size in axes for part in ((n // size, 1) if size > 1 else (n if size else 1,))]
        port, result = self.constant(codes.data, codes.type.element, cut), ("f32", "")
        (port,) = self.layer("Convert", name, {"destination_type": "f32"}, [port], result)
        scales = self.constant(q.scale.numpy(), f32, spread)
        (port,) = self.layer("Multiply", name, {"auto_broadcast": "numpy"}, [port, scales], result)
        if len(cut) > len(shape):
            whole = self.constant(np.array(shape), i64, [len(shape)])
            (port,) = self.layer("Reshape", name, {"special_zero": False}, [port, whole], result)
        return port


def attributes(op: RecordOp) -> dict[str, Any]:
    """The attributes of a layer in the format's words."""
    given: dict[str, Any] = {}
    assert op.definition is not None
    for key in op.definition.attributes:
        name, words = SPELLED.get(key, (key, {}))
        if key == "pads":
            given["pads_begin"], given["pads_end"] = np.reshape(op.parameter(key), (2, -1)).tolist()
        elif key != "quant":
            given[name] = words.get(op.parameter(key), op.parameter(key))
    return given


def write_ir(module: ModuleOp) -> tuple[bytes, bytes]:
    """The bytes of the two files. Raises QirError for a module that is not lowered."""
    program, ir = program_of(module), Ir(str(module.attr("sym_name", "model")))
    names, ports = dict[int, list[str]](), dict[int, Port]()
    for name, slot in dict.fromkeys((*program.inputs, *program.outputs)):
        names.setdefault(slot, []).append(name.replace(",", r"\,"))
    results = [(element(slot.type.element), ",".join(names.get(i, ()))) for i, slot in enumerate(program.slots)]
    for name, i in program.inputs:
        shape = ["?" if size < 0 else size for size in program.slots[i].shape]
        (ports[i],) = ir.layer("Parameter", name, {"shape": shape, "element_type": results[i][0]}, (), results[i])
    for i, held in enumerate(program.slots):
        if held.data is not None and held.quantization is None:
            ports[i] = ir.constant(held.data, held.type.element, held.shape)
    for line in program.lines:
        reads, name, given = [i for i in line.reads if i is not None], node_name(line.op), attributes(line.op)
        if line.op.name == "openvino.Dequantize":
            ports[line.writes[0]] = ir.weight(program.slots[reads[0]], f"{name}/weight")
            continue
        sources, q = [ports[i] for i in reads], program.slots[line.writes[0]].quantization
        if line.op.name == FAKE and q is not None:
            given["levels"] = int(q.scheme.qmax - q.scheme.qmin) + 1
            span = ends(q.scale.item(), int(q.zero) - int(q.scheme.qmin), given["levels"])
            sources += [ir.constant(np.asarray(end), f32, ()) for end in span] * 2
        kind, writes = line.op.name.partition(".")[2], [results[i] for i in line.writes]
        made = ir.layer(kind, name, given, sources, *writes, *[("i64", "")] * (kind == "MaxPool"))  # its indices
        ports |= dict(zip(line.writes, made))
    for name, i in program.outputs:
        ir.layer("Result", f"{name}/result", {}, [ports[i]])
    return Xml.tostring(ir.net, "utf-8", xml_declaration=True), bytes(ir.data)


def export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **_: Any) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.xml`` and ``.bin`` from a lowered module, or ``.onnx`` from one lowered to QDQ.

    Raises QirError for a module that is lowered to neither.
    """
    path, weights = (Path(folder) / f"{name}.{suffix}" for suffix in ("xml", "bin"))
    path.parent.mkdir(parents=True, exist_ok=True)
    options = "{{'INFERENCE_PRECISION_HINT': 'f32'}}"
    show = f"python -c \"import openvino as o; o.Core().compile_model('{{}}', 'CPU', {options})\""
    if any(op.name.startswith("onnxruntime.") for op in module.walk()):
        from qir.lowering.onnxruntime.export import to_model

        to_model(module, path := path.with_suffix(".onnx"))
        return [Artifact(path, "the quantized model (QDQ ONNX)", show.format(path))]
    xml, data = write_ir(module)
    weights.write_bytes(data)
    path.write_bytes(xml)
    return [Artifact(path, "the quantized model (OpenVINO IR)", show.format(path)),
            Artifact(weights, "its weights", f"(read with {path.name})")]  # fmt: skip


def verify(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with every FakeQuantize that LPT would give another grid (it spreads 255 levels over 256 codes),
    or leave in float (more than one scale)."""
    check_fakes(module, FAKE, get_target("openvino"), "activation")
