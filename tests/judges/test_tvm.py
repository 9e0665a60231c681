"""Apache TVM on our QDQ files: its relax importer and LLVM code compute the codes that our simulation does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.runtime("tvm")


def run(model: onnx.ModelProto, inputs: Any) -> dict[str, NDArray[Any]]:
    """The model's outputs by name, compiled by TVM for this CPU."""
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    built = tvm.compile(from_onnx(model, keep_params_in_input=False), target="llvm")
    given = [tvm.runtime.tensor(inputs[i.name]) for i in model.graph.input]
    results = relax.VirtualMachine(built, tvm.cpu())["main"](*given)
    if len(model.graph.output) == 1:
        results = [results]
    return {o.name: result.numpy() for o, result in zip(model.graph.output, results, strict=True)}


def test_every_number_is_equal_where_float32_is_exact(exact: Any) -> None:
    assert exact.unequal(run(exact.model, exact.inputs)) == []


def test_with_calibrated_scales_codes_next_to_a_tie_may_be_one_off(calibrated: Any) -> None:
    """One step on less than 0.1 % of the codes: float32 sums that fall on the other side of a tie."""
    steps = np.abs(calibrated.steps(run(calibrated.model, calibrated.inputs)))
    print(f"{(steps > 0).sum()} of {steps.size} codes differ")
    assert steps.max() <= 1
    assert (steps > 0).mean() < 0.001
