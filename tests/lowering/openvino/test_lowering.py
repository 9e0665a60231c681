"""What becomes of a quantized net: its layers, the files written by hand, and what is said where it cannot be."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import onnx
import pytest

import qir
from qir.ir import Context, QirError
from qir.lowering.openvino.export import write_ir
from qir.passes import run_pipeline
from qir.text import parse_module, print_module


def residual(net: Any) -> str:
    x = net.op("Relu", net.conv(net.input(8, 10, 10), 8, 8))
    y = net.conv(net.op("Relu", net.conv(x, 8, 8)), 8, 8)
    return net.op("Relu", net.op("Add", y, x))


def layers_of(xml: bytes) -> dict[str, list[Xml.Element]]:
    found: dict[str, list[Xml.Element]] = {}
    for layer in Xml.fromstring(xml).iter("layer"):
        found.setdefault(str(layer.get("type")), []).append(layer)
    return found


def test_nothing_of_openvino_is_imported_to_write() -> None:
    folder = Path(sys.modules["qir.lowering.openvino.export"].__file__ or "").parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert file.name == "runtime.py" or not any(name.split(".")[0] == "openvino" for name in names), file


def test_a_residual_net_reads_codes_and_leaves_the_convolutions_branch_in_float(Net: Any, quantize: Any) -> None:
    net = Net()
    result = residual(net)
    job = quantize(net, net.conv(result, 8, 4))
    assert job.layers().count("FakeQuantize") == 4, "the input, two of three Relus before the sum, and the sum"
    sums = [op for op in job.module.walk() if op.name == "openvino.Add" and op.attr("quant", None) is not None]
    assert [op.location.names()[-1] for op in sums] == ["add5"]
    fakes = [v.defining_op for v in sums[0].operands if v.defining_op and v.defining_op.name == "openvino.FakeQuantize"]
    assert len(fakes) == 1, "the skip is on its grid, the branch is not"


def test_what_only_moves_numbers_gets_no_second_quantizer(Net: Any, quantize: Any) -> None:
    net = Net()
    x = net.op("Relu", net.conv(net.input(4, 12, 12), 4, 8))
    left, right = net.op("Relu", net.conv(x, 8, 8, 1)), net.op("Relu", net.conv(x, 8, 8))
    joined = net.op("MaxPool", net.op("Concat", left, right, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    job = quantize(net, net.conv(joined, 16, 4))
    names = [op.attr("quant")[1].root for op in job.module.walk() if op.name == "openvino.FakeQuantize"]
    assert len(names) == 4 and names[2] == names[3], "the input, the first Relu, and one quantizer for both branches"


def test_the_two_files(Net: Any, quantize: Any) -> None:
    net = Net()
    hidden = net.op("Relu", net.conv(net.input(4, 6, 6), 4, 8, group=4))
    flat = net.op("Flatten", hidden)
    job = quantize(net, net.linear(flat, 288, 5))
    xml, data = write_ir(job.module)
    root, layers = Xml.fromstring(xml), layers_of(xml)
    assert root.tag == "net" and root.get("version") == "11"
    assert len({layer.get("name") for layer in root.iter("layer")}) == len(list(root.iter("layer")))
    (parameter,) = layers["Parameter"]
    assert parameter.find("data").attrib == {"shape": "?,4,6,6", "element_type": "f32"}  # type: ignore[union-attr]
    assert parameter.find("output/port").get("names") == "x0"  # type: ignore[union-attr]
    for fake in layers["FakeQuantize"]:
        assert fake.find("data").get("levels") == "256" and len(fake.findall("input/port")) == 5  # type: ignore[union-attr]
    (group,) = layers["GroupConvolution"]
    assert group.find("data").attrib == {  # type: ignore[union-attr]
        "strides": "1,1", "pads_begin": "1,1", "pads_end": "1,1", "dilations": "1,1", "auto_pad": "explicit",
    }  # fmt: skip
    ends_of_data = []
    for const in layers["Const"]:
        given = const.find("data").attrib  # type: ignore[union-attr]
        count = int(np.prod([int(n) for n in given["shape"].split(",") if n]))
        size = {"i8": 1, "f32": 4, "i64": 8}[given["element_type"]]
        assert int(given["size"]) == count * size and int(given["offset"]) % size == 0
        ends_of_data.append(int(given["offset"]) + int(given["size"]))
    assert max(ends_of_data) == len(data)
    ports = {(layer.get("id"), port.get("id")) for layer in root.iter("layer") for port in layer.iter("port")}
    for edge in root.iter("edge"):
        assert {(edge.get("from-layer"), edge.get("from-port")), (edge.get("to-layer"), edge.get("to-port"))} <= ports
    assert layers["Result"] and len(layers["Convert"]) == 2, "each weight is int8 behind Convert and Multiply"


def test_int4_weights_lie_in_groups_low_half_first(Net: Any, quantize: Any) -> None:
    net = Net()
    job = quantize(net, net.linear(net.input(64), 64, 10, bias=False), mode="weights-int4")
    assert "FakeQuantize" not in job.layers(), "activations are float in this mode"
    codes = next(op for op in job.module.walk() if op.name == "openvino.Dequantize").operands[0].defining_op
    assert codes is not None
    array = codes.attr("value").numpy().astype(np.int8)
    xml, data = write_ir(job.module)
    const = next(c for c in layers_of(xml)["Const"] if c.find("data").get("element_type") == "i4")  # type: ignore[union-attr]
    given = const.find("data").attrib  # type: ignore[union-attr]
    assert given["shape"] == "2,32,10" and int(given["size"]) == 320
    packed = np.frombuffer(data, np.uint8)[int(given["offset"]) :][:320]
    halves = np.stack([packed & 15, packed >> 4], 1).reshape(-1)
    assert np.array_equal((halves.astype(np.int8) ^ 8) - 8, array.reshape(-1))


def test_the_text_of_a_lowered_module_is_the_module(Net: Any, quantize: Any) -> None:
    net = Net()
    job = quantize(net, residual(net))
    text = print_module(job.module)
    again = parse_module(text, Context())
    assert print_module(again) == text
    assert write_ir(again) == write_ir(job.module)


# ---------------------------------------------------------------- what cannot be
def test_an_operator_without_a_layer_is_named(Net: Any) -> None:
    net = Net(batch=1)
    y = net.op("LpNormalization", net.conv(net.input(4, 6, 6), 4, 4))
    module = qir.import_onnx(net.model(y), Context())
    with pytest.raises(QirError) as caught:
        run_pipeline(module, "lower{target=openvino}", Context())
    assert "LpNormalization" in str(caught.value) and "lpnormalization1" in str(caught.value)


LEVELS = """
module attributes {onnx.opset = {ai.onnx = 18 : i64}, qir.target = "openvino"} {
  qsim.quantizer @x : SCHEME
  func.func @main(%x: tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> {
    %0 = qsim.encode %x by @x : tensor<1x2x4x4xf32> to tensor<1x2x4x4xTYPE>
    %1 = qsim.decode %0 by @x : tensor<1x2x4x4xTYPE> to tensor<1x2x4x4xf32>
    %y = onnx.Relu(%1) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> loc("act")
    return %y : tensor<1x2x4x4xf32>
  }
}
"""


@pytest.mark.parametrize(
    ("scheme", "element", "said"),
    [
        ("i8<-127:127> symmetric per_tensor range(-1.0, 1.0) scale(0.01)", "i8", "255 codes"),
        ("u8 affine per_axis(1) scale([0.1, 0.2]) zero([3, 4])", "ui8", "per_axis(1)"),
    ],
)
def test_a_grid_that_the_plugin_would_not_keep_is_refused(scheme: str, element: str, said: str) -> None:
    module = parse_module(LEVELS.replace("SCHEME", scheme).replace("TYPE", element), Context())
    with pytest.raises(QirError, match=r"@x") as caught:
        run_pipeline(module, "lower{target=openvino},verify-target{target=openvino}", Context())
    assert said in str(caught.value) and "u8 affine" in str(caught.value)


def test_formats_and_modes_are_those_of_the_data_sheet(Net: Any, quantize: Any) -> None:
    net = Net()
    y = net.conv(net.input(4, 6, 6), 4, 4)
    with pytest.raises(QirError, match="no format 'tflite'"):
        quantize(net, y, format="tflite")
    with pytest.raises(QirError, match="no mode 'int2'"):
        quantize(net, y, mode="int2")


def test_weights_alone_need_no_data(Net: Any, tmp_path: Path) -> None:
    net = Net()
    onnx.save(net.model(net.conv(net.input(4, 6, 6), 4, 4)), tmp_path / "net.onnx")
    given: dict[str, Any] = {"out": tmp_path / "out", "unchecked": True}
    with pytest.raises(QirError, match="needs calibration data"):
        qir.quantize(tmp_path / "net.onnx", "openvino", **given)
    done = qir.quantize(tmp_path / "net.onnx", "openvino", mode="weights-int8", **given)
    assert {layer.get("element_type") for layer in Xml.parse(done.files[0].path).iter("data")} >= {"i8"}


@pytest.mark.parametrize(
    ("how", "fixed", "kind", "moved"),
    [
        ({"mode": "nearest"}, [1.0, 1.0, 2.0, 2.0], "scales", True),
        ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, [1.0, 1.0, 2.0, 0.5], "scales", False),
    ],
)
def test_resize_is_interpolate(
    how: dict[str, str], fixed: list[float], kind: str, moved: bool, Net: Any, quantize: Any
) -> None:
    net = Net()
    x = net.op("Resize", net.conv(net.input(4, 6, 6), 4, 4), "", net.constant(fixed), **how)
    job = quantize(net, net.conv(x, 4, 4))
    (op,) = (op for op in job.module.walk() if op.name == "openvino.Interpolate")
    assert op.parameter("shape_calculation_mode") == kind and op.parameter("mode") == how["mode"]
    assert (job.layers().index("Interpolate") > job.layers().index("FakeQuantize", 1)) is moved
    (layer,) = layers_of(job.artifact.read_bytes())["Interpolate"]
    data = layer.find("data")
    assert data is not None and data.get("mode") == {"nearest": "nearest", "linear": "linear_onnx"}[how["mode"]]
