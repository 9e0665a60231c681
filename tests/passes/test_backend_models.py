"""The graph passes keep what ONNX's own node cases compute, subgraphs and all."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from qir.frontends.onnx import export_onnx, import_onnx
from qir.interpreter import Plan, as_array
from qir.ir import Context, QirError
from qir.passes import run_pipeline

PIPELINE = "canonicalize,cse,fold-batch-norm,fuse,symbol-dce"
RANDOM = ("bernoulli", "random", "multinomial", "training_dropout")


def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return [c for c in collect_testcases(None) if c.model is not None]


def compare(old: Any, new: Any) -> None:
    x, y = as_array(old), as_array(new)
    assert x.dtype == y.dtype and x.shape == y.shape
    if x.dtype.kind in "fiub":
        np.testing.assert_allclose(y.astype(np.float64), x.astype(np.float64), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_node_cases():
    """The pipeline runs, ends at a fixed point and exports; where the interpreter has the operators, results agree."""
    import onnx

    ran = 0
    for case in cases():
        ctx = Context(allow_unregistered=True)
        module, reference = import_onnx(case.model, ctx), import_onnx(case.model, ctx)
        run_pipeline(module, PIPELINE, ctx)
        run_pipeline(module, "canonicalize", ctx)
        assert not run_pipeline(module, "canonicalize", ctx), f"{case.name}: canonicalize changes its own result"
        onnx.checker.check_model(export_onnx(module))
        if any(word in case.name for word in RANDOM):
            continue
        feeds = {i.name: x for i, x in zip(case.model.graph.input, case.data_sets[0][0], strict=False)}
        try:
            before = Plan(reference).run(feeds)
        except (QirError, TypeError, ValueError, KeyError):
            continue  # an operator or a kind of value that the interpreter does not run
        after = Plan(module).run(feeds)
        assert list(before) == list(after), case.name
        for name, value in before.items():
            if isinstance(value, list) or value is None:
                continue
            try:
                compare(value, after[name])
            except AssertionError as error:
                raise AssertionError(f"{case.name}: output '{name}': {error}") from None
        ran += 1
    assert ran > 1500
