"""Export: names, what rewrites leave behind, files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qir.dialects import onnx as dialect
from qir.dialects.func import FuncOp
from qir.dialects.onnx_build import constant
from qir.frontends.onnx import export_onnx, import_onnx
from qir.ir import Context, FusedLoc, NameLoc, Operation, QirError, UnitAttr

from . import models
from .models import info, model, node


def ops(module: Operation, name: str) -> list[Operation]:
    return [op for op in module.walk() if op.name == f"onnx.{name}"]


def test_an_output_keeps_its_name_when_another_value_is_returned() -> None:
    module = import_onnx(model([node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["y"])]), Context())
    neg = ops(module, "Neg")[0]
    neg.results[0].replace_all_uses_with(neg.operands[0])
    neg.erase()
    found = export_onnx(module)
    assert [(n.op_type, *n.output) for n in found.graph.node] == [("Relu", "y")]
    onnx.checker.check_model(found, full_check=True)


def test_an_output_that_became_an_input_gets_an_identity() -> None:
    module = import_onnx(model([node("Neg", ["x"], ["y"])]), Context())
    neg = ops(module, "Neg")[0]
    neg.results[0].replace_all_uses_with(neg.operands[0])
    neg.erase()
    found = export_onnx(module)
    assert [(n.op_type, *n.input, *n.output) for n in found.graph.node] == [("Identity", "x", "y")]
    onnx.checker.check_model(found, full_check=True)


def test_names_given_twice_and_names_not_given_are_made_unique() -> None:
    module = import_onnx(model([node("Relu", ["x"], ["a"], "r"), node("Neg", ["a"], ["y"], "n")]), Context())
    relu, neg = ops(module, "Relu")[0], ops(module, "Neg")[0]
    block = relu.parent
    assert block is not None
    copy = relu.clone()
    unnamed = dialect.op_class("Abs").create(copy.results, [copy.results[0].type])
    block.insert_after(copy, relu)
    block.insert_after(unnamed, copy)
    neg.set_operand(0, unnamed.results[0])
    found = export_onnx(module)
    assert [n.output[0] for n in found.graph.node] == ["a", "a_1", "abs", "y"]
    assert [n.name for n in found.graph.node] == ["r", "r_1", "", "n"]


def test_a_fused_operation_is_named_by_the_first_of_its_nodes() -> None:
    module = import_onnx(model([node("Relu", ["x"], ["y"], "r")]), Context())
    ops(module, "Relu")[0].location = FusedLoc((NameLoc("conv"), NameLoc("r")))
    assert export_onnx(module).graph.node[0].name == "conv"


def test_a_branch_that_gives_an_outer_value_gets_an_identity() -> None:
    branch = onnx.helper.make_graph([node("Relu", ["h"], ["o"])], "b", [], [info("o")])
    m = model(
        [node("Neg", ["x"], ["h"]), node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        [info("x"), info("c", [], onnx.TensorProto.BOOL)],
        [info("y")],
    )
    module = import_onnx(m, Context())
    relu = ops(module, "Relu")[0]
    relu.results[0].replace_all_uses_with(relu.operands[0])
    relu.erase()
    found = export_onnx(module)
    first = next(a.g for a in found.graph.node[1].attribute if a.name == "then_branch")
    assert [(n.op_type, *n.input) for n in first.node] == [("Identity", "h")]
    assert first.output[0].name == first.node[0].output[0] != "h"
    onnx.checker.check_model(found, full_check=True)


def test_new_domains_are_declared() -> None:
    module = import_onnx(models.relu(), Context())
    relu = ops(module, "Relu")[0]
    made = Context(allow_unregistered=True).create_op("com.microsoft.Gelu", relu.operands, [relu.results[0].type])
    assert relu.parent is not None
    relu.parent.insert_before(made, relu)
    relu.results[0].replace_all_uses_with(made.results[0])
    relu.erase()
    found = export_onnx(module)
    assert (found.graph.node[0].domain, found.graph.node[0].op_type) == ("com.microsoft", "Gelu")
    assert {e.domain: e.version for e in found.opset_import} == {"": 17, "com.microsoft": 1}


def test_built_operations_are_written() -> None:
    module = import_onnx(model([node("Relu", ["x"], ["y"], "r")], outputs=[info("y")]), Context())
    func = module.body.first
    assert isinstance(func, FuncOp)
    relu = ops(module, "Relu")[0]
    scale = constant(np.array([2.0, 3.0, 4.0], np.float32), name="scale")
    product = dialect.op_class("Mul").build(relu.operands[0], scale.result, name="scaled")  # type: ignore[attr-defined]
    for op in (scale, product):
        func.body.insert_before(op, relu)
    relu.set_operand(0, product.result)
    found = export_onnx(module)
    assert [n.op_type for n in found.graph.node] == ["Constant", "Mul", "Relu"]
    assert numpy_helper.to_array(found.graph.node[0].attribute[0].t).tolist() == [2, 3, 4]
    onnx.checker.check_model(found, full_check=True)


def test_what_is_no_onnx_node_is_named() -> None:
    module = import_onnx(models.relu(), Context())
    relu = ops(module, "Relu")[0]
    fake = Context().create_op("func.call", relu.operands, [relu.results[0].type], location=relu.location)
    assert relu.parent is not None
    relu.parent.insert_before(fake, relu)
    with pytest.raises(QirError, match=r"\[r\] 'func.call' is no ONNX node"):
        export_onnx(module)


def test_data_beside_the_file(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    m = model(
        [node("MatMul", ["x", "w"], ["y"]), node("Identity", ["v"], ["z"])], [info("x", [1, 100])],
        [info("y", None), info("z", None)], [numpy_helper.from_array(array, "w"), models.initializer("v", 1, 2)],
    )  # fmt: skip
    path = tmp_path / "big.onnx"
    export_onnx(import_onnx(m, Context()), path, external=True)
    stored = onnx.load(path, load_external_data=False).graph.initializer
    assert [t.data_location for t in stored] == [onnx.TensorProto.EXTERNAL, onnx.TensorProto.DEFAULT]
    assert os.path.getsize(tmp_path / "big.onnx.data") == array.nbytes
    module = import_onnx(path, Context())
    value = ops(module, "Constant")[0].attributes["value"]
    assert np.array_equal(value.numpy(), array)  # type: ignore[attr-defined]
    assert numpy_helper.to_array(export_onnx(module).graph.initializer[0]).tobytes() == array.tobytes()
    assert np.array_equal(numpy_helper.to_array(onnx.load(path).graph.initializer[0]), array)


def test_a_model_may_be_written_over_the_file_it_maps(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(model([node("MatMul", ["x", "w"], ["y"])], initializers=[numpy_helper.from_array(array, "w")]), path)
    module = import_onnx(path, Context())
    export_onnx(module, path)
    export_onnx(module, path, external=True)
    assert np.array_equal(numpy_helper.to_array(onnx.load(path).graph.initializer[0]), array)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    module = import_onnx(models.relu(), Context())
    with pytest.raises(QirError, match="cannot write the model"):
        export_onnx(module, tmp_path / "no" / "m.onnx")
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(QirError, match="cannot write the model"):
        export_onnx(module, tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_weights_stay_in_the_file(tmp_path: Path) -> None:
    from qir.ir import FileTensor

    array = np.zeros((1000, 100), np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(model([node("MatMul", ["x", "w"], ["y"])], initializers=[numpy_helper.from_array(array, "w")]), path)
    value = ops(import_onnx(path, Context()), "Constant")[0].attributes["value"]
    tensor = value.tensor  # type: ignore[attr-defined]
    assert isinstance(tensor, FileTensor) and tensor.nbytes == array.nbytes


def test_importing_the_package_does_not_import_onnx() -> None:
    import subprocess
    import sys

    code = "import sys, qir.frontends.onnx, qir.dialects.onnx; assert 'onnx' not in sys.modules, 'onnx was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_before_version_4_of_the_format_new_initializers_are_inputs_too() -> None:
    m = model(
        [node("Add", ["x", "w"], ["y"])], [info("w", [3]), info("x")], [info("y")], [models.initializer("w", 1, 2, 3)]
    )
    m.ir_version = 3
    module = import_onnx(m, Context())
    add = ops(module, "Add")[0]
    new = constant(np.ones(3, np.float32), name="new")
    new.attributes["onnx.initializer"] = UnitAttr()
    assert add.parent is not None
    add.parent.insert_before(new, add)
    add.set_operand(1, new.result)
    found = export_onnx(module)
    assert [i.name for i in found.graph.input] == ["w", "x", "new"]
    onnx.checker.check_model(found, full_check=True)


def test_weights_that_do_not_fit_in_one_file_go_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qir.frontends.onnx import exporter

    monkeypatch.setattr(exporter, "LARGEST", 1000)
    array = np.ones((30, 30), np.float32)
    m = model([node("MatMul", ["x", "w"], ["y"])], initializers=[numpy_helper.from_array(array, "w")])
    module = import_onnx(m, Context())
    with pytest.raises(QirError, match="more than fit in one ONNX file"):
        export_onnx(module)
    with pytest.raises(QirError, match="more than fit in one ONNX file"):
        export_onnx(module, tmp_path / "m.onnx", external=False)
    export_onnx(module, tmp_path / "m.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
