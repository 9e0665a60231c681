"""The artifact: what the lowered module says, as bytes; `chip` reads them."""

import struct
from collections.abc import Sequence
from pathlib import Path

from qir.dialects.builtin import ModuleOp
from qir.ir import Context
from qir.passes.lower.program import Line, Slot, program_of
from qir.target import Artifact

from .dialect import DIALECT

TYPES = {"i8": 0, "i32": 1, "f32": 2}
CODES = {name: code for code, name in enumerate(DIALECT.ops, 1)}


def tensor(slot: Slot) -> bytes:
    scale = 1.0 if slot.quantization is None else float(slot.quantization.scale)
    data = b"" if slot.data is None else slot.data.tobytes()
    head = struct.pack("<BfB", TYPES[str(slot.type.element)], scale, len(slot.shape))
    return head + struct.pack(f"<{len(slot.shape)}iI", *slot.shape, len(data)) + data


def record(line: Line) -> bytes:
    tensors = [n for n in (*line.reads, *line.writes) if n is not None]
    head = struct.pack("<BBB", CODES[line.op.name], len(tensors) - 1, len(line.numbers))
    return head + struct.pack(f"<{len(tensors)}H{len(line.numbers)}i", *tensors, *line.numbers)


def export(module: ModuleOp, ctx: Context, folder: Path, name: str) -> Sequence[Artifact]:
    program = program_of(module)
    slots, lines, inputs, outputs = program.slots, program.lines, program.inputs, program.outputs
    parts = [struct.pack("<4sBHHBB", b"chip", 1, len(slots), len(lines), len(inputs), len(outputs))]
    parts += map(tensor, slots)
    parts += (struct.pack("<HB", slot, len(s.encode())) + s.encode() for s, slot in (*inputs, *outputs))
    parts += map(record, lines)
    path = folder / f"{name}.chipname"
    path.write_bytes(b"".join(parts))
    run = f"qir run {path} " + " ".join(f"--input {key}=FILE.npy" for key, _ in inputs)
    return [Artifact(path, f"{len(lines)} records for chipname", run)]
