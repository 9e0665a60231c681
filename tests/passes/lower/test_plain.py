"""Plain emitters, windows and clamps: what they read from ONNX's operations."""

from __future__ import annotations

import math

import onnx
import pytest
from onnx import TensorProto, helper
from onnx.shape_inference import infer_shapes

from qir.datasheet import BOUNDS_KNOWN, clamp_bounds
from qir.frontends.onnx import import_onnx
from qir.ir import Context, Operation, QirError
from qir.passes.lower.plain import window


def one(kind: str, shapes: dict[str, list[int | str]], opset: int = 17, **attributes: object) -> Operation:
    """The operation of a model with one node, whose operands have these shapes."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    node = helper.make_node(kind, list(shapes), ["y"], **attributes)
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    model = infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))
    return next(op for op in import_onnx(model, Context()).walk() if op.name == f"onnx.{kind}")


X, W = [1, 2, 7, 8], [4, 2, 3, 2]


def test_a_window_states_what_onnx_leaves_out() -> None:
    assert window(one("Conv", {"x": X, "w": W})) == {
        "kernel_shape": (3, 2), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "group": 1
    }  # fmt: skip
    given = {"kernel_shape": [3, 2], "strides": [2, 1], "dilations": [1, 3], "pads": [1, 2, 3, 4]}
    assert window(one("MaxPool", {"x": X}, **given)) == {key: tuple(value) for key, value in given.items()}


@pytest.mark.parametrize("how", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3], [4, 1]])
@pytest.mark.parametrize("dilations", [[1, 1], [2, 3]])
def test_auto_pad_gives_the_result_that_onnx_infers(how: str, strides: list[int], dilations: list[int]) -> None:
    op = one("Conv", {"x": X, "w": W}, auto_pad=how, strides=strides, dilations=dilations)
    found = window(op)
    sizes = [
        (size + begin + end - (taps - 1) * dilation - 1) // stride + 1
        for size, taps, begin, end, dilation, stride in zip(
            X[2:], W[2:], found["pads"][:2], found["pads"][2:], dilations, strides, strict=True
        )
    ]
    assert tuple(sizes) == op.results[0].type.shape[2:]
    uneven = [end - begin for begin, end in zip(found["pads"][:2], found["pads"][2:], strict=True)]
    assert set(uneven) <= ({0, 1} if how == "SAME_UPPER" else {0, -1} if how == "SAME_LOWER" else {0})


def test_a_window_over_unknown_sizes_is_an_error_at_the_node() -> None:
    op = one("Conv", {"x": [1, 2, "H", 8], "w": W}, auto_pad="SAME_UPPER")
    with pytest.raises(QirError, match="depends on the sizes of operand 0"):
        window(op)


def clip(opset: int, low: float | None, high: float | None, constant: bool = True) -> Operation:
    bounds = {"low": low, "high": high}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])]
    attributes, names, constants = {}, ["x"], []
    if opset < 11:
        attributes = {k: v for k, v in {"min": low, "max": high}.items() if v is not None}
    else:
        names += [name if value is not None else "" for name, value in bounds.items()]
        given = [(name, value) for name, value in bounds.items() if value is not None]
        if constant:
            constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in given]
        else:
            inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name, _ in given]
    node = helper.make_node("Clip", names, ["y"], **attributes)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([node], "g", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(model)
    return next(op for op in import_onnx(model, Context()).walk() if op.name == "onnx.Clip")


@pytest.mark.parametrize("opset", [6, 13])
@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.5, None), (None, 3.0)])
def test_the_bounds_of_a_clip(opset: int, low: float | None, high: float | None) -> None:
    found = clamp_bounds(clip(opset, low, high))
    free = 3.4028234663852886e38 if opset < 11 else math.inf  # the old form has a default
    assert found is not None and found[0] in ((-free, -math.inf) if low is None else (low,))
    assert found[1] in ((free, math.inf) if high is None else (high,))


def test_bounds_that_are_computed_are_not_known() -> None:
    computed = clip(13, 0.0, 6.0, constant=False)
    assert clamp_bounds(computed) is None and not BOUNDS_KNOWN.holds(computed)
    assert clamp_bounds(one("Relu", {"x": X})) == (0.0, math.inf)
    assert clamp_bounds(one("Sigmoid", {"x": X})) is None
