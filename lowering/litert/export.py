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
from qir.interpreter.quantizers import quantization_of
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
ENUMS = {"padding": "Padding", "fused_activation_function": "ActivationFunctionType", "mode": "MirrorPadMode"}
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
    writer = _Writer(s, program)
    operators = [writer.operator(line) for line in program.lines]
    inputs, outputs = (_ints([i for _, i in ends]) for ends in (program.inputs, program.outputs))
    graph = s.SubGraphT(tensors=writer.tensors, inputs=inputs, outputs=outputs, operators=operators, name="main")
    codes = [(getattr(s.BuiltinOperator, name), number) for name, number in writer.codes]
    named = ([s.TensorMapT(*end) for end in ends] for ends in (program.inputs, program.outputs))
    model = s.ModelT(version=3, description="qir", subgraphs=[graph], buffers=writer.buffers, operatorCodes=[
        s.OperatorCodeT(deprecatedBuiltinCode=min(c, 127), version=n, builtinCode=c) for c, n in codes],
        signatureDefs=[s.SignatureDefT(*named, signatureKey="serving_default", subgraphIndex=0)])  # fmt: skip
    builder = Aligned(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _ints(values: Any) -> Any:
    return np.array(values, np.int32)


def _name(op: RecordOp) -> str:
    return op.name.partition(".")[2]


class _Writer:
    """Tensors, buffers, operator codes and operators as the schema's objects."""

    def __init__(self, s: Any, program: Program) -> None:
        self.s = s
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [s.BufferT()]  # the first one is empty by definition
        self.codes: dict[tuple[str, int], int] = {}
        self.lists: dict[tuple[tuple[int, ...], bytes], int] = {}
        names = {i: name for name, i in (*program.outputs, *program.inputs)}
        axes = {line.reads[1]: CHANNELS[name] for line in program.lines if (name := _name(line.op)) in CHANNELS}
        for i, slot in enumerate(program.slots):
            element, q = str(slot.type.element), slot.quantization
            if element not in TYPES:
                raise program.lines[0].op.error(f"the model holds {slot.type}, which a .tflite file cannot")
            data = None if slot.data is None else pack(slot.data, slot.type.element)
            made = None if q is None else s.QuantizationParametersT(
                scale=q.scale.numpy().reshape(-1), zeroPoint=q.zero.numpy().reshape(-1),
                quantizedDimension=axes.get(i, 0) if q.scale.dim() else 0)  # fmt: skip
            self.tensor(names.get(i, f"tensor_{i}"), slot.shape, TYPES[element], data, made)

    def tensor(self, name: str, shape: Sequence[int], kind: str, data: bytes | None, quantization: Any = None) -> int:
        """The number of a new tensor; free sizes are 1 in the file."""
        if data is not None:
            self.buffers.append(self.s.BufferT(data=np.frombuffer(data, np.uint8)))
        self.tensors.append(self.s.TensorT(
            shape=np.abs(_ints(shape)), type=getattr(self.s.TensorType, kind), name=name, quantization=quantization,
            buffer=0 if data is None else len(self.buffers) - 1,
            shapeSignature=_ints(shape) if -1 in shape else None))  # fmt: skip
        return len(self.tensors) - 1

    def operator(self, line: Line) -> Any:
        op, code = line.op, CODES[_name(line.op)]
        reads = [-1 if i is None else i for i in line.reads]
        for attribute, position in sorted(code.tensors.items(), key=lambda item: item[1]):
            data = _ints(op.parameter(attribute))
            data = data.reshape(-1, 2) if attribute == "paddings" else data
            key = data.shape, data.tobytes()
            if key not in self.lists:
                self.lists[key] = self.tensor(f"{attribute}_{len(self.tensors)}", data.shape, "INT32", key[1])
            reads.insert(position, self.lists[key])
        options = getattr(self.s, code.options + "T")() if code.options else None
        for attribute in op.definition.attributes if op.definition is not None else ():
            head, *rest = attribute.split("_")
            field, value = head + "".join(map(str.capitalize, rest)), op.parameter(attribute)
            if hasattr(options, field):
                enum = ENUMS.get(attribute)
                setattr(options, field, getattr(getattr(self.s, enum), value) if enum else
                        _ints(value) if isinstance(value, tuple) else value)  # fmt: skip
        return self.s.OperatorT(
            opcodeIndex=self.codes.setdefault((_name(op), version(op)), len(self.codes)), inputs=_ints(reads),
            outputs=_ints(line.writes), builtinOptions=options,
            builtinOptionsType=getattr(self.s.BuiltinOptions, code.options) if code.options else 0)  # fmt: skip


def version(op: RecordOp) -> int:
    """The lowest operator version that has what the record uses."""
    versions = CODES[_name(op)].versions
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
        if isinstance(op, RecordOp) and "hybrid" in CODES[_name(op)].versions:
            scales = [q.scale.max() for i in (0, 1, -1) if (q := quantization_of(op, i, symbols.get)) is not None]
            if len(scales) == 3 and float(scales[0] * scales[1] / scales[2]) >= 256:
                message = "its result's scale is so small that XNNPACK refuses the whole file"
                ctx.warning(op.location, message, "run it by the other kernels, or give the result a wider range")
