"""The artifact: ``name.param``, a line of text per layer, and ``name.bin``, its numbers in the order of the layers."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import main_function
from qir.interpreter.lookup import symbols_of
from qir.interpreter.quantizers import quantization_of
from qir.ir import Context, is_absent
from qir.ir.records import RecordOp
from qir.lowering.ncnn.dialect import KEYS
from qir.numerics.packing import pack_rows
from qir.passes.lower.naming import Names, ValueNames
from qir.passes.lower.program import records_of
from qir.rewrite import constant_array
from qir.target import Artifact, node_name

__all__ = ["export"]

FLOAT, INT8 = 0, 0x000D4B38  # tags of a weight blob: float32, and int8 padded to four bytes


def export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **_: Any) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.param`` and ``<name>.bin`` of a lowered module; gives both, the network first."""
    main, symbols = main_function(module), symbols_of(module)
    blobs, titles, data = ValueNames(main), Names(), bytearray()
    lines = [f"Input {titles.unique(blobs[arg])} 0 1 {blobs[arg]}" for arg in main.body.args]
    for op in records_of(main):
        kind = op.name.partition(".")[2]
        reads = [blobs[v] for v in op.operands if not is_absent(v) and constant_array(v) is None]
        writes = [blobs[r] for r in op.results]
        given = [_parameter(key, op.parameter(title)) for title, key in KEYS[kind].items()]
        counts = (str(len(reads)), str(len(writes)))
        lines.append(" ".join([kind, titles.unique(node_name(op)), *counts, *reads, *writes, *filter(None, given)]))
        data += b"".join(_numbers(op, kind, [constant_array(v) for v in op.operands], symbols))
    network, weights = (Path(folder) / f"{name}.{ending}" for ending in ("param", "bin"))
    head = ["7767517", f"{len(lines)} {sum(int(line.split()[3]) for line in lines)}"]
    network.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")
    weights.write_bytes(data)
    load = f"p = '{network}'; n = ncnn.Net(); n.opt.use_packing_layout = False; "
    load += "print(n.load_param(p), n.load_model(p[:-5] + 'bin'), n.input_names())"
    return [Artifact(network, "the network, for ncnn", f'python -c "import ncnn; {load}"'),
            Artifact(weights, "its weights", f"(belongs beside {network.name})")]  # fmt: skip


def _parameter(key: int, value: Any) -> str:
    """ncnn tells floats by their point, reads at most 15 characters of a number, and keeps nine digits right."""
    values = value if isinstance(value, tuple) else (value,)
    text = ",".join(f"{v:.8e}" if isinstance(v, float) else str(v) for v in values)
    if isinstance(value, tuple):
        return f"{-23300 - key}={len(value)},{text}" if value else ""
    return f"{key}={text}"


def _numbers(op: RecordOp, kind: str, held: Sequence[Any], symbols: Any) -> Iterator[bytes]:
    """The blobs of a layer in the .bin file, in its order; scales are steps per unit."""
    x, w, y = (quantization_of(op, i, symbols.get) for i in (0, min(1, len(held)), len(held)))
    if kind in ("MemoryData", "LayerNorm", "InstanceNorm", "PReLU"):
        yield from (_floats(array) for array in held if array is not None)
    elif kind == "Embed":
        yield _weights(held[1])
    elif kind == "Gemm":
        packed = b"" if w is None else pack_rows(held[1], op.parameter("quantize_term") // 100)
        yield _weights(held[1]) if w is None else packed + bytes(-len(packed) % 4)  # 20261020: without a tag
        yield from map(_weights, held[2:])
        if w is not None:
            rows = dict(w.scheme.granularity.blocks)[0] == 1
            yield _floats(1 / (w.scale if rows else w.scale.T).numpy())
    elif kind in ("Convolution", "ConvolutionDepthWise", "InnerProduct"):
        yield _weights(held[1])
        yield from map(_floats, held[2:])
        if w is not None:
            one = kind == "ConvolutionDepthWise" and op.parameter("int8_scale_term") in (2, 102)
            steps = 1 / w.scale.numpy()
            yield _floats(steps if one else np.broadcast_to(steps, (len(held[1]),)))
            yield from (_floats(1 / found.scale.numpy()) for found in (x, y) if found is not None)


def _weights(array: np.ndarray[Any, Any]) -> bytes:
    if array.dtype == np.int8:
        return struct.pack("<I", INT8) + array.tobytes() + bytes(-array.size % 4)
    return struct.pack("<I", FLOAT) + _floats(array)


def _floats(array: Any) -> bytes:
    return bytes(np.ascontiguousarray(array, "<f4").tobytes())
