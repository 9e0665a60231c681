"""The table of cases: every one is a model that ONNX accepts, and every data sheet of ours is covered."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from qir.conformance.cases import CASES
from qir.conformance.net import Net
from qir.conformance.suite import operators, trials
from qir.target import get_target, list_targets

WITHOUT_SHAPE = ("GroupNormalization", "MeanVarianceNormalization")
"""onnx infers no shape of these functions, so its checker misses one."""


@pytest.mark.parametrize("op", CASES)
def test_every_case_is_a_model_of_its_operator(op: str) -> None:
    labels = [case.label for case in CASES[op]]
    assert len(set(labels)) == len(labels)
    for case in CASES[op]:
        net = Net(0, case.opset)
        model = net.model(case.build(net))
        onnx.checker.check_model(model, full_check=op not in WITHOUT_SHAPE)
        assert op in [node.op_type for node in model.graph.node], case.label


@pytest.mark.parametrize("name", list_targets())
def test_every_operator_of_a_data_sheet_of_ours_has_a_case(name: str) -> None:
    assert [op for op in operators(get_target(name)) if op not in CASES] == []


def test_extreme_weights_lie_at_the_ends_of_their_range() -> None:
    net = Net(0, 21, extreme=True)
    net.weight(4, 8, 3, 3)
    (weight,) = map(onnx.numpy_helper.to_array, net.initializers)
    assert np.ptp(np.abs(weight)) == 0
    assert all(len(set(np.sign(channel).flat)) == 1 for channel in weight)
    assert set(np.sign(weight[:, 0, 0, 0])) == {-1, 1}


def test_data_is_random_swept_and_at_the_ends() -> None:
    trial = next(iter(trials(get_target("onnxruntime").in_mode(""), "Sigmoid")))
    feeds = {feed.kind: feed.arrays["x0"] for feed in trial.feeds}
    assert set(feeds) == {"random", "sweep", "high", "low", "alternating"}
    assert set(feeds["high"].flat) == {3} and set(feeds["low"].flat) == {-3}
    assert set(feeds["alternating"].flat) == {-3, 3}
    assert len(set(feeds["sweep"].flat)) == feeds["sweep"].size
    assert {name: array.dtype for name, array in trial.calibration.items()} == {"x0": np.float32}


def test_the_same_seed_gives_the_same_trials() -> None:
    sheet = get_target("onnxruntime").in_mode("")
    first, again, other = (list(trials(sheet, "Conv", seed)) for seed in (0, 0, 1))
    assert [t.model for t in first] == [t.model for t in again] != [t.model for t in other]
    assert all((a.feeds[0].arrays["x0"] == b.feeds[0].arrays["x0"]).all() for a, b in zip(first, again, strict=True))


def test_what_stands_around_an_operator_comes_from_the_data_sheet() -> None:
    sheet = get_target("onnxruntime").in_mode("")

    def nodes(op: str, label: str) -> list[str]:
        return [n.op_type for t in trials(sheet, op) if t.label == label for n in t.model.graph.node]

    assert nodes("Sigmoid", "an image") == ["Conv", "Sigmoid", "Conv"]
    assert nodes("Sigmoid", "rows") == ["MatMul", "MatMul", "Sigmoid", "MatMul"]  # somebody must ask for its codes
    assert nodes("Conv", "3x3") == ["Conv", "Conv"]
    assert nodes("Conv", "3x3, with Relu") == ["Conv", "Relu", "Conv"]
    assert nodes("Gemm", "transB, float result") == ["Gemm"]
    assert nodes("Softmax", "rows") == ["Softmax"]
