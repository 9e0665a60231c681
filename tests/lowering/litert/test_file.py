"""The .tflite file: versions, layout of data, names; and files that are broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qir.conformance.net import Net
from qir.ir import Context, QirError
from qir.lowering.litert import TARGET
from qir.runtime_process import run_artifact

from .conftest import ACTIVATION, WEIGHT4, Single, quantized

pytestmark = pytest.mark.runtime("litert")


def parsed(module: Any) -> Any:
    """The file of a lowered module as the schema's objects."""
    from qir.lowering.litert.export import to_bytes
    from qir.lowering.litert.runtime import schema

    return schema().ModelT.InitFromPackedBuf(to_bytes(module))


def small(tmp_path: Path, mode: str = "") -> Any:
    n = Net(0, 17)
    x = n.op("Relu", n.op("Conv", n.data(1, 3, 8, 8), n.weight(4, 3, 3, 3), n.bias(4), pads=[1, 1, 1, 1]))
    x = n.op("Conv", x, n.weight(4, 1, 3, 3), n.bias(4), group=4)
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    return quantized(n.model([n.op("Gemm", x, n.weight(10, 4), n.bias(10), transB=1)]), tmp_path, mode)


def versions(model: Any) -> dict[str, int]:
    from qir.lowering.litert.runtime import schema

    names = {v: k for k, v in vars(schema().BuiltinOperator).items() if isinstance(v, int)}
    return {names[code.builtinCode]: code.version for code in model.operatorCodes}


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("", {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "MEAN": 2, "TRANSPOSE": 2, "QUANTIZE": 1}),
        ("int16x8", {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 5, "FULLY_CONNECTED": 7, "MEAN": 3, "QUANTIZE": 2}),
        ("int4", {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}),
        ("dynamic", {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "FULLY_CONNECTED": 12, "MEAN": 1}),
    ],
)
def test_versions_are_the_lowest_that_will_do(mode: str, want: dict[str, int], tmp_path: Path) -> None:
    found = versions(parsed(small(tmp_path, mode)))
    assert {name: found[name] for name in want} == want


def test_the_file(tmp_path: Path) -> None:
    model = parsed(small(tmp_path))
    (graph,) = model.subgraphs
    assert model.version == 3 and model.buffers[0].data is None
    assert [graph.tensors[i].name for i in graph.inputs] == [b"x0"]
    assert len({t.name for t in graph.tensors}) == len(graph.tensors)
    codes = [c.deprecatedBuiltinCode for c in model.operatorCodes]
    assert codes == [min(c.builtinCode, 127) for c in model.operatorCodes]
    by_name = {t.name: t for t in graph.tensors}
    weights = [t for t in graph.tensors if t.quantization is not None and len(t.quantization.scale) == 4]
    assert {(len(t.shape), t.quantization.quantizedDimension) for t in weights} == {(4, 0), (4, 3), (1, 0)}
    assert by_name[b"x0"].quantization is None


@pytest.mark.parametrize("free", [False, True])
def test_the_signature_has_the_models_names(free: bool, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    n = Net(0, 17)
    y = n.op("Gemm", n.data(1, 4), n.weight(3, 4), n.bias(3), transB=1)
    model = n.model([y, n.op("Mul", n.data(1, 3), y)])
    for end in (*model.graph.input, *model.graph.output) if free else ():
        end.type.tensor_type.shape.dim[0].dim_param = "N"
    path = TARGET.export(quantized(model, tmp_path), Context(), tmp_path, "net")[0].path  # type: ignore[misc]
    rng = np.random.default_rng(0)
    inputs = {"x0": rng.normal(size=(1, 4)).astype(np.float32), "x1": rng.normal(size=(1, 3)).astype(np.float32)}
    runner = Interpreter(str(path)).get_signature_runner("serving_default")
    found, wanted = runner(**inputs), run_artifact(TARGET, path, inputs)
    assert found.keys() == wanted.keys() == {o.name for o in model.graph.output}
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_data_begins_at_multiples_of_16_bytes(tmp_path: Path) -> None:
    from qir.lowering.litert.export import to_bytes
    from qir.lowering.litert.runtime import schema

    model = schema().Model.GetRootAs(to_bytes(small(tmp_path)), 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) == 8 and all(start % 16 == 0 for start in starts)


def test_4_bits_lie_two_in_a_byte_low_bits_first() -> None:
    s = Single()
    weight = np.array([[1, -2, 7], [-7, 0, 3]])
    qx, qw = s.quantizer(ACTIVATION, 0.1), s.quantizer(WEIGHT4, [0.1, 0.2], axis=0)
    operands = [s.argument((1, 3)), s.constant(weight, "i4")]
    module = s.module("FULLY_CONNECTED", operands, (1, 2), "i8", [qx, qw, s.quantizer(ACTIVATION, 0.1)])
    model = parsed(module)
    (tensor,) = (t for t in model.subgraphs[0].tensors if t.type == 17)
    assert list(tensor.shape) == [2, 3] and bytes(model.buffers[tensor.buffer].data) == bytes((0xE1, 0x97, 0x30))


def test_a_free_batch_is_stated_and_is_one(tmp_path: Path) -> None:
    n = Net(0, 17)
    model = n.model([n.op("Gemm", n.data(1, 4), n.weight(3, 4), n.bias(3), transB=1)])
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].dim_param = "N"
    module = quantized(model, tmp_path)
    graph = parsed(module).subgraphs[0]
    first = graph.tensors[graph.inputs[0]]
    assert list(first.shape) == [1, 4] and list(first.shapeSignature) == [-1, 4]
    path = TARGET.export(module, Context(), tmp_path, "net")[0].path  # type: ignore[misc]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    found = run_artifact(TARGET, path, {"x0": x})
    one = [run_artifact(TARGET, path, {"x0": x[i : i + 1]}) for i in range(2)]
    for name, whole in found.items():
        assert whole.shape == (5, 3)
        np.testing.assert_array_equal(whole[:2], np.concatenate([o[name] for o in one]))


def test_free_sizes_of_an_image_are_set_when_it_runs_but_not_by_tflite_micro(tmp_path: Path) -> None:
    n = Net(0, 17)
    model = n.model([n.op("Conv", n.data(1, 3, 8, 8), n.weight(4, 3, 3, 3), n.bias(4), pads=[1, 1, 1, 1])])
    for end in (*model.graph.input, *model.graph.output):
        for axis in (2, 3):
            end.type.tensor_type.shape.dim[axis].dim_param = "HW"[axis - 2]
    path = TARGET.export(quantized(model, tmp_path), Context(), tmp_path, "net")[0].path  # type: ignore[misc]
    inputs = {"x0": np.random.default_rng(0).normal(size=(1, 3, 10, 6)).astype(np.float32)}
    for profile in ("xnnpack", "optimized", "reference"):
        assert [y.shape for y in run_artifact(TARGET, path, inputs, profile).values()] == [(1, 4, 10, 6)]
    with pytest.raises(QirError, match="x0 has the sizes 1, 3, 1, 1, not 1, 3, 10, 6, and TFLite Micro"):
        run_artifact(TARGET, path, inputs, "micro")


# ---------------------------------------------------------------- broken files
def spoiled(data: bytes, how: str) -> bytes:
    if how == "cut":
        return data[: len(data) // 2]
    if how == "another format":
        return b"PK\x03\x04" + data[4:]
    if how == "zeros":
        return data[:8] + bytes(len(data) - 8)
    if how == "offsets":
        return data[:16] + b"\xff" * 64 + data[80:]
    return data[:4]


@pytest.mark.parametrize("how", ["cut", "another format", "zeros", "offsets", "four bytes"])
@pytest.mark.parametrize("profile", ["", "micro"])
def test_a_broken_file_is_one_diagnostic(how: str, profile: str, tmp_path: Path) -> None:
    path = TARGET.export(small(tmp_path), Context(), tmp_path, "net")[0].path  # type: ignore[misc]
    path.write_bytes(spoiled(path.read_bytes(), how))
    with pytest.raises(QirError) as caught:
        run_artifact(TARGET, path, {"x0": np.zeros((1, 3, 8, 8), np.float32)}, profile)
    (said,) = caught.value.diagnostics
    assert "broken .tflite file" in said.message and str(path) in str(said)


def test_other_inputs_than_the_files_are_named(tmp_path: Path) -> None:
    path = TARGET.export(small(tmp_path), Context(), tmp_path, "net")[0].path  # type: ignore[misc]
    with pytest.raises(QirError, match="its inputs are x0, not y"):
        run_artifact(TARGET, path, {"y": np.zeros((1, 3, 8, 8), np.float32)})


def test_a_scale_that_xnnpack_refuses_is_a_warning(tmp_path: Path) -> None:
    from qir.lowering.litert.export import verify

    s = Single()
    qx, qw = s.quantizer(ACTIVATION, 40.0), s.quantizer(WEIGHT4, 1.0)
    operands = [s.argument((1, 2)), s.constant(np.ones((2, 2), np.int64), "i4")]
    for scale, count in ((0.1, 1), (10.0, 0)):
        module = s.module("FULLY_CONNECTED", operands, (1, 2), "i8", [qx, qw, s.quantizer(ACTIVATION, scale)])
        ctx = Context()
        verify(module, ctx)
        assert len(ctx.diagnostics) == count
