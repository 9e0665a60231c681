"""Import, then export: every field that ONNX has comes back."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context, verify
from qir.ir.attributes import DenseStringAttr, TensorAttr

from . import models
from .models import info, model, node


def same(m: onnx.ModelProto) -> None:
    copy = onnx.ModelProto.FromString(m.SerializeToString())
    found = export_onnx(import_onnx(m, Context()))
    assert m == copy, "importing changed the model"
    assert models.first_difference(models.sort_attributes(copy), models.sort_attributes(found)) is None


def test_every_field_comes_back() -> None:
    same(models.rich())


def test_every_field_of_every_message_is_in_that_test() -> None:
    seen: set[str] = set()

    def walk(message: object) -> None:
        for field, value in message.ListFields():  # type: ignore[attr-defined]
            seen.add(field.full_name)
            if field.message_type is not None:
                for inner in value if field.is_repeated else [value]:
                    walk(inner)

    walk(models.rich())
    everything = {
        f.full_name for m in onnx.ModelProto.DESCRIPTOR.file.message_types_by_name.values() for f in _fields(m)
    }
    elsewhere = {  # how a tensor stores its data: test_tensors; chunks, which nobody reads; details of device placement
        *(f"onnx.TensorProto.{f}" for f in ("segment", "data_location", "external_data", "float_data", "int32_data")),
        *(f"onnx.TensorProto.{f}" for f in ("int64_data", "double_data", "uint64_data")),
        "onnx.TensorProto.Segment.begin",
        "onnx.TensorProto.Segment.end",
        "onnx.AttributeProto.ref_attr_name",
    }
    missing = {f for f in everything - seen - elsewhere if "Shard" not in f and "IntIntList" not in f}
    missing -= {"onnx.TrainingInfoProto.initialization", "onnx.TrainingInfoProto.initialization_binding"}
    missing -= {"onnx.TrainingInfoProto.update_binding"}
    assert missing == set()


def _fields(message: object) -> list[object]:
    found = list(message.fields)  # type: ignore[attr-defined]
    for nested in message.nested_types:  # type: ignore[attr-defined]
        found += _fields(nested)
    return found


@pytest.mark.parametrize("field", ["name", "domain", "doc_string", "overload"])
def test_text_fields_that_are_set_and_empty(field: str) -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    for n in nodes:
        for each in ("name", "domain"):
            n.ClearField(each)
    setattr(nodes[0], field, "")
    same(model(nodes))
    setattr(nodes[1], field, "")
    same(model(nodes))


@pytest.mark.parametrize("listed", [(), ("a",), ("a", "b"), ("a", "b", "y")])
def test_which_values_have_a_value_info(listed: tuple[str, ...]) -> None:
    m = model([node("Relu", ["x"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])])
    m.graph.value_info.extend(info(name, ["N", 3]) for name in listed)
    same(m)


def test_inferred_types_are_in_the_module_and_not_in_the_file() -> None:
    m = model([node("Relu", ["x"], ["a"]), node("Flatten", ["a"], ["y"])])
    module = import_onnx(m, Context())
    assert [str(r.type) for op in module.walk() if op.name == "onnx.Relu" for r in op.results] == ["tensor<1x3xf32>"]
    assert not export_onnx(module).graph.value_info


def test_absent_operands_stay_where_they_are() -> None:
    m = model(
        [node("Clip", ["x", "", "hi"], ["a"]), node("Clip", ["a", "", ""], ["y"])],
        initializers=[numpy_helper.from_array(np.array(1.0, np.float32), "hi")],
    )
    module = import_onnx(m, Context())
    assert sum(op.name == "onnx.NoValue" for op in module.walk()) == 3
    same(m)


def test_weights_that_are_also_inputs_are_constants() -> None:
    m = model(
        [node("Add", ["x", "w"], ["y"])], [info("w", [2]), info("x", [2]), info("v", ["K"])],
        initializers=[models.initializer("w", 1, 2), models.initializer("v", 1, 2)],
    )  # fmt: skip
    module = import_onnx(m, Context())
    assert len(module.body.first.regions[0].block.args) == 1  # type: ignore[union-attr]
    same(m)


def test_outer_values_are_captured_by_regions() -> None:
    branch = helper.make_graph([node("Relu", ["h"], ["o"])], "b", [], [info("o", None)])
    m = model(
        [node("Neg", ["x"], ["h"]), node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        [info("x"), info("c", [], TensorProto.BOOL)],
    )
    module = import_onnx(m, Context())
    inner = next(op for op in module.walk() if op.name == "onnx.Relu")
    assert inner.operands[0].defining_op is not None and inner.operands[0].defining_op.name == "onnx.Neg"
    same(m)


def test_nested_graphs_without_types_get_inferred_ones() -> None:
    body = helper.make_graph(
        [node("Identity", ["c"], ["c2"]), node("Add", ["s", "x"], ["s2"])],
        "body",
        [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), onnx.ValueInfoProto(name="s")],
        [onnx.ValueInfoProto(name="c2"), onnx.ValueInfoProto(name="s2")],
    )
    m = model([node("Loop", ["n", "", "x"], ["y"], body=body)], [info("x"), info("n", [], TensorProto.INT64)])
    module = import_onnx(m, Context())
    add = next(op for op in module.walk() if op.name == "onnx.Add")
    assert str(add.operands[1].type) == "tensor<1x3xf32>"
    same(m)


ARRAYS = [
    np.arange(-8, 8).astype(d).reshape(4, 4)
    for d in (
        "float32",
        "float64",
        "float16",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
    )
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(a.dtype))
@pytest.mark.parametrize("size", ["small", "large"])
def test_tensors_as_raw_data_and_as_numbers(array: np.ndarray, size: str) -> None:
    array = array if size == "small" else np.tile(array, (3, 5))
    raw = numpy_helper.from_array(array, "w")
    flat = array.reshape(-1)
    values = flat.view(np.uint16).tolist() if array.dtype == np.float16 else flat.tolist()
    if array.dtype == np.float16:
        typed = TensorProto(name="w", dims=array.shape, data_type=TensorProto.FLOAT16, int32_data=values)
    else:
        typed = helper.make_tensor("w", raw.data_type, array.shape, values)
    for tensor in (raw, typed):
        m = model([node("Identity", ["w"], ["y"])], [], [info("y", None, raw.data_type)], [tensor])
        module = import_onnx(m, Context())
        verify(module)
        value = next(op for op in module.walk() if op.name == "onnx.Constant").attributes["value"]
        assert isinstance(value, TensorAttr)
        assert np.array_equal(value.numpy(), array) and value.numpy().dtype == array.dtype
        found = export_onnx(module).graph.initializer[0]
        assert np.array_equal(numpy_helper.to_array(found), array)


@pytest.mark.parametrize("number", [n for n in TensorProto.DataType.values() if n not in (0, 8)])
@pytest.mark.parametrize("count", [1, 7, 33])
def test_every_element_type_bit_for_bit(number: int, count: int) -> None:
    rng = np.random.default_rng(number)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    if dtype.kind in "iuf" and dtype.itemsize > 1 or dtype.kind == "c":
        array = rng.integers(0, 100, count).astype(dtype)
    else:
        array = rng.integers(0, 4, count).astype(np.float32).astype(dtype)
    tensor = numpy_helper.from_array(array, "w")
    m = model([node("Identity", ["w"], ["y"])], [], [info("y", None, number)], [tensor], opset=25)
    module = import_onnx(m, Context(), check=False)
    value = next(op for op in module.walk() if op.name == "onnx.Constant").attributes["value"]
    assert isinstance(value, TensorAttr)
    assert value.numpy().tobytes() == array.tobytes() and value.numpy().dtype == dtype
    assert export_onnx(module).graph.initializer[0] == tensor


def test_string_tensors_keep_bytes() -> None:
    tensor = TensorProto(name="w", dims=[2], data_type=TensorProto.STRING, string_data=[b"\xff\x00", "é".encode()])
    m = model([node("Identity", ["w"], ["y"])], [], [info("y", None, TensorProto.STRING)], [tensor])
    module = import_onnx(m, Context())
    value = next(op for op in module.walk() if op.name == "onnx.Constant").attributes["value"]
    assert isinstance(value, DenseStringAttr) and value.values == (b"\xff\x00", "é".encode())
    same(m)


def test_unsorted_nodes_are_sorted_with_a_warning() -> None:
    ctx = Context()
    m = model([node("Relu", ["b"], ["y"], "second"), node("Neg", ["x"], ["b"], "first")])
    found = export_onnx(import_onnx(m, ctx))
    assert [n.name for n in found.graph.node] == ["first", "second"]
    assert [d.message for d in ctx.diagnostics] == ["the nodes are not in topological order; they were sorted"]
