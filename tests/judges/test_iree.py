"""IREE on our QDQ files: torch-mlir's importer and IREE's compiler compute the codes that our simulation does."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run as run_program
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

pytestmark = pytest.mark.runtime("iree")

CPU = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
       "--iree-llvmcpu-target-cpu=host")  # fmt: skip


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with a Clip of uint8 codes made one of int32: IREE 3.13 compares such codes as signed numbers."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    nodes = list(wide.graph.node)
    del wide.graph.node[:]
    for node in nodes:
        if node.op_type == "Clip":
            (result,) = node.output
            for index, name in enumerate(node.input):
                node.input[index] = f"{result}_{index}_wide"
                wide.graph.node.append(onnx.helper.make_node("Cast", [name], [node.input[index]], to=TensorProto.INT32))
            node.output[0] = f"{result}_wide"
            back = onnx.helper.make_node("Cast", [node.output[0]], [result], to=TensorProto.UINT8)
            wide.graph.node.extend([node, back])
        else:
            wide.graph.node.append(node)
    del wide.graph.value_info[:]
    return wide


def run(model: onnx.ModelProto, inputs: Any, folder: Path) -> dict[str, NDArray[Any]]:
    """The model's outputs by name, imported, compiled for this CPU and run by IREE's own programs."""

    def program(name: str, *options: str) -> None:
        path = Path(sys.executable).parent / name
        done = run_program([str(path), *options], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"

    onnx.save(widened(model), folder / "model.onnx")
    program("iree-import-onnx", "model.onnx", "-o", "model.mlir")
    program("iree-compile", "model.mlir", *CPU, "-o", "model.vmfb")
    given, wanted = [i.name for i in model.graph.input], list(model.graph.output)
    for number, name in enumerate(given):
        np.save(folder / f"in{number}.npy", inputs[name])
    program(
        "iree-run-module", "--module=model.vmfb", "--device=local-sync",
        *(f"--input=@in{number}.npy" for number in range(len(given))),
        *(f"--output=@out{number}.npy" for number in range(len(wanted))),
    )  # fmt: skip
    results = {}
    for number, output in enumerate(wanted):  # IREE's integers have no sign, its files say int8
        dtype = onnx.helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type)
        results[output.name] = np.load(folder / f"out{number}.npy").view(dtype)
    return results


def test_every_number_is_equal_where_float32_is_exact(exact: Any, tmp_path: Path) -> None:
    assert exact.unequal(run(exact.model, exact.inputs, tmp_path)) == []


def test_with_calibrated_scales_codes_next_to_a_tie_may_be_one_off(calibrated: Any, tmp_path: Path) -> None:
    """One step on less than 0.1 % of the codes: float32 sums that fall on the other side of a tie."""
    steps = np.abs(calibrated.steps(run(calibrated.model, calibrated.inputs, tmp_path)))
    print(f"{(steps > 0).sum()} of {steps.size} codes differ")
    assert steps.max() <= 1
    assert (steps > 0).mean() < 0.001
