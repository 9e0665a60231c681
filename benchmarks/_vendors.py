"""The vendors' own int8 quantizers, one for each target: an int8 artifact from the same model and calibration data.

onnxruntime's is part of the package. The others cannot be installed next to qir, or only with much else; each is found
by an option or an environment variable (`OPTIONS`), and one that is not given is left out by name:

- ``ai-edge-quantizer==0.10.0`` (LiteRT), in an environment of its own; it takes a float .tflite, which qir writes;
- ``nncf==3.4.0`` with openvino, in an environment of its own;
- ncnn's ``ncnn2table`` and ``ncnn2int8``, built from its sources (``cmake -DNCNN_SIMPLEOCV=ON -DNCNN_RUNTIME_CPU=OFF
  -DNCNN_XOP=OFF``, targets of these names), and ``pnnx==20261020``, which converts ONNX for them: the binary in the
  package, ``pip install --no-deps`` is enough.

Run by a vendor's Python this file is the part that needs its package: ``python _vendors.py nncf KIND MODEL CALIB OUT``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ENTRIES", "OPTIONS", "VENDORS", "Missing", "Source", "add_options", "make_artifact", "versions_of"]

ENTRIES = ("squeezenet-imagenet", "resnet8-cifar10", "mobilenet_v1_025-imagenet")
"""The entries of the zoo that the vendors' quantizers are tried on."""

OPTIONS = {
    "ai-edge-python": ("AI_EDGE_PYTHON", "a Python that has ai-edge-quantizer"),
    "nncf-python": ("NNCF_PYTHON", "a Python that has nncf and openvino"),
    "ncnn-tools": ("NCNN_TOOLS", "the folder of ncnn2table and ncnn2int8"),
    "pnnx": ("PNNX", "the pnnx program"),
}
VENDORS = {
    "onnxruntime": {"minmax": "quantize_static (MinMax)"},
    "litert": {"static_wi8_ai8": "ai-edge-quantizer static_wi8_ai8"},
    "ncnn": {"kl": "ncnn2table (kl), ncnn2int8"},
    "openvino": {"convert": "NNCF after convert_model", "read": "NNCF after read_model"},
}
"""By target the vendor's ways to quantize, each with what a table calls it; the first one is measured for size and
speed. NNCF finds another graph in a model that `openvino.convert_model` has optimised than in one only read: better
kernels, but not always better results."""


class Missing(Exception):
    """A vendor's tool that is not there; the text says which and how to name it."""


def versions_of(packages: Iterable[str]) -> str:
    """The installed packages with their versions."""
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def add_options(parser: argparse.ArgumentParser) -> None:
    for option, (variable, what) in OPTIONS.items():
        parser.add_argument(f"--{option}", default=os.environ.get(variable), help=f"{what} (default: ${variable})")


def _tool(args: argparse.Namespace, option: str) -> Path:
    variable, what = OPTIONS[option]
    value = getattr(args, option.replace("-", "_"))
    if not value:
        raise Missing(f"give --{option} or ${variable}, {what}")
    path = Path(value).absolute()  # resolved links would leave a virtual environment
    if not path.exists():
        raise Missing(f"--{option} (${variable}) is {path}, which is not there")
    return path


@dataclass(frozen=True)
class Source:
    """What a vendor's quantizer gets: the ONNX model, qir's float artifact for the runtime, calibration data by input
    name."""

    model: Path
    plain: Path
    calib: Mapping[str, np.ndarray]


def make_artifact(runtime: str, kind: str, source: Source, folder: Path, args: argparse.Namespace) -> Path:
    """The first file of the vendor's artifact of a `kind` in VENDORS, in the new `folder`.

    Raises Missing for a tool that is not there.
    """
    folder.mkdir(parents=True)
    data = folder / "calib.npz"
    if runtime == "onnxruntime":
        from _peers import quantize_with_onnxruntime

        out = folder / "vendor.onnx"
        quantize_with_onnxruntime(source.model, source.calib, out)
        return out
    if runtime == "ncnn":
        return _ncnn(_tool(args, "pnnx"), _tool(args, "ncnn-tools"), kind, source, folder)
    np.savez(data, **source.calib)
    option, what, model, suffix = {
        "litert": ("ai-edge-python", "ai-edge-quantizer", source.plain, ".tflite"),
        "openvino": ("nncf-python", "nncf", source.model, ".xml"),
    }[runtime]
    out = folder / f"vendor{suffix}"
    _call([_tool(args, option), __file__, what, kind, model, data, out], folder)
    return out


def _call(command: list[Any], folder: Path) -> None:
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")


# ---------------------------------------------------------------- ncnn
def _ncnn(pnnx: Path, tools: Path, method: str, source: Source, folder: Path) -> Path:
    """pnnx, ncnn2table, ncnn2int8, and what they leave to the user."""
    import onnx

    proto = onnx.load(source.model)
    _fold_pads(proto)
    onnx.save(proto, folder / "vendor.onnx")
    (array,) = source.calib.values()
    shape = array.shape[1:]
    _call([pnnx, "vendor.onnx", f"inputshape=[1,{','.join(map(str, shape))}]f32", "fp16=0"], folder)
    for n, sample in enumerate(array):
        np.save(folder / f"{n}.npy", sample)
    (folder / "list.txt").write_text("".join(f"{n}.npy\n" for n in range(len(array))))
    net = ("vendor.ncnn.param", "vendor.ncnn.bin")
    extents = f"shape=[{','.join(map(str, reversed(shape)))}]"
    options = [extents, f"method={method}", "type=1", "thread=1"]
    _call([tools / "ncnn2table", *net, "list.txt", "table", *options], folder)
    out = folder / "vendor.param"
    _call([tools / "ncnn2int8", *net, out, folder / "vendor.bin", "table"], folder)
    _restore_reshapes(folder / net[0], out)
    return out


def _fold_pads(proto: Any) -> None:
    """Explicit Pads go into the convolutions that they feed: pnnx has no Pad whose widths are an operand."""
    from onnx import helper, numpy_helper

    graph = proto.graph
    constants = {t.name: t for t in graph.initializer}
    pads = {n.output[0]: n for n in graph.node if n.op_type == "Pad"}
    for node in graph.node:
        pad = pads.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None:
            continue
        widths = numpy_helper.to_array(constants[pad.input[1]]).tolist()
        for attribute in [a for a in node.attribute if a.name == "pads"]:
            node.attribute.remove(attribute)
        node.attribute.append(helper.make_attribute("pads", [widths[2], widths[3], widths[6], widths[7]]))
        node.input[0] = pad.input[0]
        graph.node.remove(pad)


def _restore_reshapes(before: Path, after: Path) -> None:
    """ncnn2int8 forgets which axis of a Reshape is the batch (keys 12 and 13); its line is as it was."""
    kept = {tuple(line.split()[:2]): line for line in before.read_text().splitlines() if line.startswith("Reshape ")}
    lines = [kept.get(tuple(line.split()[:2]), line) for line in after.read_text().splitlines()]
    after.write_text("\n".join(lines) + "\n")


# ---------------------------------------------------------------- in a vendor's environment
def _ai_edge_quantizer(kind: str, model: str, calib: str, out: str) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    model = _signed(model)
    job = quantizer.Quantizer(model)
    job.load_quantization_recipe(getattr(recipe, kind)())
    interpreter = Interpreter(model)
    ((signature, names),) = interpreter.get_signature_list().items()
    (name,) = names["inputs"]
    shape = tuple(interpreter.get_input_details()[0]["shape"])
    with np.load(calib) as data:
        (array,) = (data[key] for key in data.files)
    samples = [sample[None] if sample[None].shape == shape else np.moveaxis(sample, 0, -1)[None] for sample in array]
    feeds = [{name: np.ascontiguousarray(sample)} for sample in samples]
    Path(out).write_bytes(job.quantize(job.calibrate({signature: feeds})).quantized_model)


def _signed(model: str) -> str:
    """A copy with a signature, by which the calibration finds inputs and outputs."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    net = schema.ModelT.InitFromPackedBuf(Path(model).read_bytes())
    graph, signature = net.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    for field, tensors in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        named = []
        for number, tensor in enumerate(tensors):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"{field}_{number}", int(tensor)
            named.append(entry)
        setattr(signature, field, named)
    net.signatureDefs = [signature]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(net.Pack(builder), b"TFL3")
    signed = f"{model}.signed.tflite"
    Path(signed).write_bytes(builder.Output())
    return signed


def _nncf(kind: str, model: str, calib: str, out: str) -> None:
    import nncf
    import openvino

    with np.load(calib) as data:
        arrays = {key: data[key] for key in data.files}
    count = len(next(iter(arrays.values())))
    samples = [{key: array[n : n + 1] for key, array in arrays.items()} for n in range(count)]
    net = openvino.convert_model(model) if kind == "convert" else openvino.Core().read_model(model)
    quantized = nncf.quantize(net, nncf.Dataset(samples), subset_size=count)
    openvino.save_model(quantized, out, compress_to_fp16=False)


if __name__ == "__main__":
    {"ai-edge-quantizer": _ai_edge_quantizer, "nncf": _nncf}[sys.argv[1]](*sys.argv[2:6])
