"""The artifact: ``name.param``, a line of text per layer, and ``name.bin``, its numbers in the order of the layers."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qir.dialects.builtin import ModuleOp
from qir.dialects.func import main_function
from qir.interpreter.lookup import result_names, symbols_of
from qir.interpreter.quantizers import quantization_of
from qir.ir import Context, TensorType, Value, is_absent
from qir.ir.records import RecordOp
from qir.lowering.ncnn.dialect import KEYS
from qir.rewrite import constant_of
from qir.target import Artifact, node_name

__all__ = ["export", "pack_rows"]

MAGIC = 7767517
FLOAT, INT8 = 0, 0x000D4B38
"""Tags of a weight blob: float32, and int8 padded to four bytes."""


def export(module: ModuleOp, ctx: Context, folder: str | Path, name: str, **_: Any) -> Sequence[Artifact]:
    """Write ``<folder>/<name>.param`` and ``<name>.bin`` of a lowered module; gives both, the network first."""
    network, weights = Path(folder) / f"{name}.param", Path(folder) / f"{name}.bin"
    lines, data = _layers(module)
    blobs = sum(int(line.split()[3]) for line in lines)
    network.write_text("\n".join([str(MAGIC), f"{len(lines)} {blobs}", *lines, ""]), encoding="utf-8")
    weights.write_bytes(data)
    load = f"p = '{network}'; n = ncnn.Net(); print(n.load_param(p), n.load_model(p[:-5] + 'bin'), n.input_names())"
    return [Artifact(network, "the network, for ncnn", f'python -c "import ncnn; {load}"'),
            Artifact(weights, "its weights", f"(belongs beside {network.name})")]  # fmt: skip


def _layers(module: ModuleOp) -> tuple[list[str], bytes]:
    main, symbols = main_function(module), symbols_of(module)
    results = main.return_op.operands
    names: dict[Value, str] = dict(zip(results, result_names(main, results), strict=True))
    taken = set(names.values())

    def blob(value: Value) -> str:
        if value not in names:
            names[value] = _unique(value.name or "blob", taken)
        return names[value]

    titles: set[str] = set()
    lines = [f"Input {_unique(arg.name or 'input', titles)} 0 1 {blob(arg)}" for arg in main.body.args]
    data = bytearray()
    for op in main.body:
        if not isinstance(op, RecordOp):
            continue
        kind = op.name.partition(".")[2]
        reads = [blob(v) for v in op.operands if not is_absent(v) and constant_of(v) is None]
        writes = [blob(r) for r in op.results]
        counts = f"{len(reads)} {len(writes)}"
        given = [_parameter(key, op.parameter(title)) for title, key in KEYS[kind].items()]
        title = _unique(node_name(op), titles)
        lines.append(" ".join([kind, title, counts, *reads, *writes, *filter(None, given)]))
        for part in _numbers(op, kind, symbols):
            data += part
    return lines, bytes(data)


def _unique(wanted: str, taken: set[str]) -> str:
    """A name without spaces, of at most 255 bytes, that nothing else has."""
    base = "_".join(wanted.split())[:200] or "_"
    name, number = base, 0
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _parameter(key: int, value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join([f"{-23300 - key}={len(value)}", *map(_number, value)]) if value else ""
    return f"{key}={_number(value)}"


def _number(value: float) -> str:
    """ncnn tells floats by their point, reads at most 15 characters, and keeps nine digits right."""
    return f"{value:.8e}" if isinstance(value, float) else str(value)


def _numbers(op: RecordOp, kind: str, symbols: Any) -> Iterator[bytes]:
    """The blobs of a layer in the .bin file."""
    held = [constant_of(v) for v in op.operands]
    constants = [None if h is None else h.numpy() for h in held]
    if kind in ("MemoryData", "LayerNorm"):
        yield from (_floats(c) for c in constants if c is not None)
    elif kind == "Embed":
        yield _weights(constants[1])
    elif kind == "Gemm":
        yield from _matrix(op, constants, quantization_of(op, 1, symbols.get))
    elif kind in ("Convolution", "ConvolutionDepthWise", "InnerProduct"):
        yield _weights(constants[1])
        yield from (_floats(c) for c in constants[2:] if c is not None)
        if op.parameter("int8_scale_term"):
            x, w, y = (quantization_of(op, i, symbols.get) for i in (0, 1, len(op.operands)))
            one = kind == "ConvolutionDepthWise" and op.parameter("int8_scale_term") in (2, 102)
            steps = 1 / w.scale.numpy()
            yield _floats(steps if one else np.broadcast_to(steps, (len(constants[1]),)))
            yield from (_floats(1 / found.scale.numpy()) for found in (x, y) if found is not None)


def _matrix(op: RecordOp, constants: Sequence[Any], found: Any) -> Iterator[bytes]:
    if found is None:
        yield _weights(constants[1])
    else:
        packed = pack_rows(constants[1], op.parameter("quantize_term") // 100)
        yield packed + bytes(-len(packed) % 4)  # in the release of 20261020 without a tag
    if len(constants) > 2:
        yield _weights(constants[2])
    if found is not None:
        scale = found.scale.numpy()
        rows = dict(found.scheme.granularity.blocks)[0] == 1
        yield _floats(1 / (scale if rows else scale.T))


def pack_rows(codes: np.ndarray[Any, Any], bits: int) -> bytes:
    """Codes ``[N, K]`` in two's complement, the low bits first, every row filled up to whole bytes."""
    unpacked = codes.astype(np.uint8)[..., None] >> np.arange(bits, dtype=np.uint8) & 1
    return np.packbits(unpacked.reshape(len(codes), -1), axis=1, bitorder="little").tobytes()


def _weights(array: Any) -> bytes:
    if array.dtype == np.int8:
        return struct.pack("<I", INT8) + array.tobytes() + bytes(-array.size % 4)
    return struct.pack("<I", FLOAT) + _floats(array)


def _floats(array: Any) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()
