"""A check that a pass keeps what a module computes: run by the interpreter before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from qir.ir import Context, TensorType, verify
from qir.passes import run_pipeline
from qir.text import parse_module, print_module

SIZES = (3, 5, 4, 6)
"""What dynamic sizes are in the runs, by axis."""


def module_of(body: str, opset: int = 17) -> str:
    """A module around the text of a function."""
    return f"module attributes {{onnx.opset = {{ai.onnx = {opset} : i64}}}} {{\n{body}\n}}\n"


def inputs_of(func: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Random arguments: numbers between -3 and 3, some of them zero."""
    feeds = {}
    for arg in func.body.args:
        assert isinstance(arg.type, TensorType) and arg.type.shape is not None
        shape = [s if s is not None else SIZES[i] for i, s in enumerate(arg.type.shape)]
        element = str(arg.type.element)
        if element == "i1":
            feeds[arg.name] = rng.integers(0, 2, shape).astype(bool)
        elif element.startswith("i"):
            feeds[arg.name] = rng.integers(-3, 4, shape).astype(element.replace("i", "int"))
        else:
            array = rng.uniform(-3, 3, shape).astype({"f32": "f4", "f64": "f8", "f16": "f2"}[element])
            feeds[arg.name] = np.where(rng.uniform(size=shape) < 0.1, np.zeros((), array.dtype), array)
    return feeds


@pytest.fixture
def keeps_meaning() -> Callable[..., Any]:
    """``keeps_meaning(body, pipeline, ops, tolerance)``: the pipeline leaves the operators `ops` (names without
    dialect, constants and return left out), and the outputs differ by at most `tolerance` of their range."""
    from qir.interpreter import Plan, as_array

    def check(
        body: str,
        pipeline: str,
        ops: Sequence[str] | None = None,
        tolerance: float = 0.0,
        opset: int = 17,
        constants: bool = False,
    ) -> Any:
        ctx = Context(allow_unregistered=True)
        module = parse_module(module_of(body, opset), ctx, "<test>")
        verify(module)
        func = module.body.last
        feeds = inputs_of(func, np.random.default_rng(7))
        before = Plan(module).run(feeds)
        run_pipeline(module, pipeline, ctx)
        after = Plan(module).run(feeds)
        assert before.keys() == after.keys()
        for name, value in before.items():
            old, new = as_array(value), as_array(after[name])
            assert old.shape == new.shape and old.dtype == new.dtype, name
            if tolerance == 0.0:
                np.testing.assert_array_equal(old, new)
            else:
                limit = tolerance * max(float(np.abs(old).max()), 1e-30)
                np.testing.assert_allclose(new.astype(np.float64), old.astype(np.float64), rtol=0, atol=limit)
        text = print_module(module)
        assert print_module(parse_module(text, ctx)) == text
        found = [op.name.rpartition(".")[2] for op in func.body if op.name not in ("func.return", "onnx.NoValue")]
        if not constants:
            found = [n for n in found if n != "Constant"]
        if ops is not None:
            assert found == list(ops), text
        return module

    return check
