"""The artifact: IR v11, ``<name>.xml`` with the layers and ``<name>.bin`` with the constants, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, f32, i64
from qir.ir.records import RecordOp
from qir.lowering.onnxruntime.export import to_model
from qir.lowering.openvino.dialect import FAKE, SPELLED, VERSIONS
from qir.numerics.span import span_of
from qir.passes.lower.fakes import check_fakes
from qir.passes.lower.layer_files import LayerFiles, Port, element_name
from qir.passes.lower.program import Slot, program_of
from qir.target import Artifact, get_target, node_name

__all__ = ["export", "verify", "write_ir"]


def weight(ir: LayerFiles, codes: Slot, name: str) -> Port:
    """Convert and Multiply; where scales belong to blocks, with two axes for one, and Reshape back."""
    assert codes.data is not None and codes.quantization is not None
    q, shape, result = codes.quantization, codes.shape, ("f32", "")
    cut, spread = q.scheme.granularity.as_axes(shape)
    port, scales = ir.constant(codes.data, codes.type.element, cut), ir.constant(q.scale.numpy(), f32, spread)
    (port,) = ir.layer("Convert", name, {"destination_type": "f32"}, [port], result)
    (port,) = ir.layer("Multiply", name, {"auto_broadcast": "numpy"}, [port, scales], result)
    if len(cut) > len(shape):
        whole = ir.constant(np.array(shape), i64, [len(shape)])
        (port,) = ir.layer("Reshape", name, {"special_zero": False}, [port, whole], result)
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
    program, ir = program_of(module), LayerFiles(str(module.attr("sym_name", "model")), 11, VERSIONS)
    names, ports = dict[int, list[str]](), dict[int, Port]()
    for name, slot in dict.fromkeys((*program.inputs, *program.outputs)):
        names.setdefault(slot, []).append(name.replace(",", r"\,"))
    results = [(element_name(slot.type.element), ",".join(names.get(i, ()))) for i, slot in enumerate(program.slots)]
    for name, i in program.inputs:
        shape = ["?" if size < 0 else size for size in program.slots[i].shape]
        (ports[i],) = ir.layer("Parameter", name, {"shape": shape, "element_type": results[i][0]}, (), results[i])
    for i, held in enumerate(program.slots):
        if held.data is not None and held.quantization is None:
            ports[i] = ir.constant(held.data, held.type.element, held.shape)
    for line in program.lines:
        reads, name, given = [i for i in line.reads if i is not None], node_name(line.op), attributes(line.op)
        if line.op.name == "openvino.Dequantize":
            ports[line.writes[0]] = weight(ir, program.slots[reads[0]], f"{name}/weight")
            continue
        sources, q = [ports[i] for i in reads], program.slots[line.writes[0]].quantization
        if line.op.name == FAKE and q is not None:
            given["levels"] = int(q.scheme.qmax - q.scheme.qmin) + 1
            span = span_of(q.scale.item(), int(q.zero) - int(q.scheme.qmin), given["levels"])
            sources += [ir.constant(np.asarray(end), f32, ()) for end in span] * 2
        kind, writes = line.op.name.partition(".")[2], [results[i] for i in line.writes]
        made = ir.layer(kind, name, given, sources, *writes, *[("i64", "")] * (kind == "MaxPool"))  # its indices
        ports |= dict(zip(line.writes, made))
    for name, i in program.outputs:
        ir.layer("Result", f"{name}/result", {}, [ports[i]])
    return ir.xml, bytes(ir.data)


def export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **_: Any) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.xml`` and ``.bin`` from a lowered module, or ``.onnx`` from one lowered to QDQ.

    Raises QirError for a module that is lowered to neither.
    """
    qdq = any(op.name.startswith("onnxruntime.") for op in module.walk())
    path, weights = Path(folder) / f"{name}.{'onnx' if qdq else 'xml'}", Path(folder) / f"{name}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    hint = "{'INFERENCE_PRECISION_HINT': 'f32'}"
    show = f"python -c \"import openvino as o; o.Core().compile_model('{path}', 'CPU', {hint})\""
    if qdq:
        to_model(module, path)
        return [Artifact(path, "the quantized model (QDQ ONNX)", show)]
    xml, data = write_ir(module)
    weights.write_bytes(data)
    path.write_bytes(xml)
    read = Artifact(weights, "its weights", f"(read with {path.name})")
    return [Artifact(path, "the quantized model (OpenVINO IR)", show), read]


def verify(module: ModuleOp, ctx: Context) -> None:
    """Raise a QirError with every FakeQuantize that LPT would give another grid (it spreads 255 levels over 256 codes),
    or leave in float (more than one scale)."""
    check_fakes(module, FAKE, get_target("openvino"), "activation")
