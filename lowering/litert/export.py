"""The artifact: a lowered module as a .tflite flatbuffer, every operation one Operator record.

Format: schema version 3, file identifier ``TFL3`` (tflite/converter/schema/schema.fbs), written with the schema's own
classes from the ai-edge-litert wheel. Operator versions: tflite/converter/tools/versioning/op_version.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.interpreter.lookup import symbols_of
from qir.interpreter.quantizers import Quantization, quantization_of
from qir.ir import Context, TensorType
from qir.ir.files import whole_file
from qir.ir.records import RecordOp
from qir.ir.tensors import pack
from qir.lowering.litert.dialect import CODES
from qir.lowering.litert.runtime import schema
from qir.passes.lower.program import Line, Program, program_of
from qir.target import Artifact

__all__ = ["export", "to_bytes", "verify", "version"]

TYPES = {"f32": "FLOAT32", "f16": "FLOAT16", "i32": "INT32", "i64": "INT64", "i1": "BOOL", "i16": "INT16", "i8": "INT8",
         "i4": "INT4", "ui8": "UINT8"}  # fmt: skip
ENUMS = {"padding": "Padding", "fused_activation_function": "ActivationFunctionType"}
CHANNELS = {"DEPTHWISE_CONV_2D": 3}
"""The axis of the weight's scales, where it is not 0."""


def export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **_: Any) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.tflite`` from a lowered module; gives the file. Raises QirError where a type has no
    TFLite form."""
    data = to_bytes(module)
    path = Path(folder) / f"{name}.tflite"
    with whole_file(path) as file:
        file.write(data)
    show = f"i = I('{path}'); i.allocate_tensors(); print(i.get_input_details())"
    command = f'python -c "from ai_edge_litert.interpreter import Interpreter as I; {show}"'
    return [Artifact(path, "the model as a flatbuffer", command)]


def to_bytes(module: ModuleOp) -> bytes:
    """The flatbuffer of a lowered module. Raises QirError for a type that TFLite does not have."""
    from flatbuffers import Builder

    class Aligned(Builder):  # type: ignore[misc]
        """Vectors begin at multiples of 16 bytes, as the schema asks for data: chips read it in place."""

        def StartVector(self, size: int, count: int, alignment: int) -> Any:
            return super().StartVector(size, count, max(alignment, 16) if size == 1 else alignment)

    s, program = schema(), program_of(module)
    model, graph, writer = s.ModelT(), s.SubGraphT(), _Writer(s, program)
    graph.operators = [writer.operator(line) for line in program.lines]
    graph.inputs, graph.outputs = (_ints([i for _, i in ends]) for ends in (program.inputs, program.outputs))
    graph.tensors, graph.name = writer.tensors, "main"
    model.version, model.description, model.subgraphs, model.buffers = 3, "qir", [graph], writer.buffers
    model.operatorCodes = [_code(s, name, number) for name, number in writer.codes]
    builder = Aligned(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Writer:
    """Tensors, buffers, operator codes and operators as the schema's objects."""

    def __init__(self, s: Any, program: Program) -> None:
        self.s = s
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [s.BufferT()]  # the first one is empty by definition
        self.codes: dict[tuple[str, int], int] = {}
        names = {i: name for name, i in (*program.outputs, *program.inputs)}
        axes = {line.reads[1]: CHANNELS[name] for line in program.lines if (name := _name(line)) in CHANNELS}
        for i, slot in enumerate(program.slots):
            element = str(slot.type.element)
            if element not in TYPES:
                raise program.lines[0].op.error(f"the model holds {slot.type}, which a .tflite file cannot")
            data = None if slot.data is None else pack(slot.data, slot.type.element)
            tensor = self.tensor(names.get(i, f"tensor_{i}"), slot.shape, TYPES[element], data)
            if slot.quantization is not None:
                tensor.quantization = self.quantization(slot.quantization, axes.get(i, 0))

    def tensor(self, name: str, shape: Sequence[int], kind: str, data: bytes | None) -> Any:
        tensor = self.s.TensorT()
        tensor.name, tensor.type, tensor.buffer = name, getattr(self.s.TensorType, kind), 0
        tensor.shape = np.abs(_ints(shape))
        if -1 in shape:
            tensor.shapeSignature = _ints(shape)
        if data is not None:
            buffer = self.s.BufferT()
            buffer.data = np.frombuffer(data, np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return tensor

    def quantization(self, found: Quantization, axis: int) -> Any:
        made = self.s.QuantizationParametersT()
        made.scale = found.scale.numpy().reshape(-1)
        made.zeroPoint = found.zero.numpy().reshape(-1)
        made.quantizedDimension = axis if made.scale.size > 1 else 0
        return made

    def operator(self, line: Line) -> Any:
        name, op, made = _name(line), line.op, self.s.OperatorT()
        code = CODES[name]
        made.opcodeIndex = self.codes.setdefault((name, version(op)), len(self.codes))
        reads = [-1 if i is None else i for i in line.reads]
        for attribute, position in sorted(code.tensors.items(), key=lambda item: item[1]):
            data = _ints(op.parameter(attribute))
            data = data.reshape(-1, 2) if attribute == "paddings" else data
            reads.insert(position, len(self.tensors))
            self.tensor(f"{attribute}_{len(self.tensors)}", data.shape, "INT32", data.tobytes())
        made.inputs, made.outputs = _ints(reads), _ints(line.writes)
        if code.options:
            made.builtinOptionsType = getattr(self.s.BuiltinOptions, code.options)
            made.builtinOptions = getattr(self.s, code.options + "T")()
            for attribute in op.definition.attributes if op.definition is not None else ():
                head, *rest = attribute.split("_")
                field, value = head + "".join(map(str.capitalize, rest)), op.parameter(attribute)
                if attribute in ENUMS:
                    value = getattr(getattr(self.s, ENUMS[attribute]), value)
                if hasattr(made.builtinOptions, field):
                    setattr(made.builtinOptions, field, _ints(value) if isinstance(value, tuple) else value)
        return made


def _ints(values: Any) -> Any:
    return np.array(values, np.int32)


def _name(line: Line) -> str:
    return line.op.name.partition(".")[2]


def _code(s: Any, name: str, number: int) -> Any:
    code = s.OperatorCodeT()
    code.builtinCode = getattr(s.BuiltinOperator, name)
    code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), number
    return code


def version(op: RecordOp) -> int:
    """The lowest operator version that has what the record uses."""
    versions = CODES[op.name.partition(".")[2]].versions
    types = [v.type for v in (*op.operands[:2], op.results[0]) if isinstance(v.type, TensorType)]
    elements, shapes = [str(t.element) for t in types], [t.shape or () for t in types]
    kinds = [f"to {elements[-1]}", elements[0], ""]
    if "hybrid" in versions and elements[1] != elements[0]:
        kinds[:1] = ["i4"] if elements[1] == "i4" else ["hybrid"] if elements[0] == "f32" else []
    grouped = "grouped" in versions and shapes[0][-1:] != shapes[1][-1:]
    kinds[:0] = [*(["grouped"] if grouped else []), *(["5-D"] if len(shapes[0]) > 4 else [])]
    found = next((versions[kind] for kind in kinds if kind in versions), 1)
    return max(found, versions["dims"]) if op.attr("keep_num_dims", False) else found


def verify(module: ModuleOp, ctx: Context) -> None:
    """Warn of convolutions and products that XNNPACK does not load: ``sx * sw / sy`` must be below 256."""
    symbols = symbols_of(module)
    for op in module.walk():
        if isinstance(op, RecordOp) and "hybrid" in CODES[op.name.partition(".")[2]].versions:
            scales = [q.scale.max() for i in (0, 1, -1) if (q := quantization_of(op, i, symbols.get)) is not None]
            if len(scales) == 3 and float(scales[0] * scales[1] / scales[2]) >= 256:
                message = "its result's scale is so small that XNNPACK refuses the whole file"
                ctx.warning(op.location, message, "run it by the other kernels, or give the result a wider range")
