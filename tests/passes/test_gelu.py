"""fuse: the exact GELU that is written out over Erf becomes one operation."""

from __future__ import annotations

import pytest

T = "tensor<2x3xf32>"


def spelled(steps: str, root: str = "1.4142135", one: str = "1.0", half: str = "0.5") -> str:
    constants = "\n".join(
        f"%{name} = onnx.Constant() {{value = dense<{value}> : tensor<f32>}} : () -> tensor<f32>"
        for name, value in (("r", root), ("one", one), ("half", half))
    )
    lines = [f"%{line} : ({T}, {'tensor<f32>' if '%r' in line or '%one' in line or '%half' in line else T}) -> {T}"
             if "Erf" not in line else f"%{line} : ({T}) -> {T}" for line in steps.split("; ")]  # fmt: skip
    body = "\n".join(lines)
    return f"func.func @main(%x: {T}) -> {T} {{\n{constants}\n{body}\nreturn %y : {T}\n}}"


INNER = "a = onnx.Div(%x, %r); b = onnx.Erf(%a); c = onnx.Add(%b, %one)"
ORDERS = [
    f"{INNER}; d = onnx.Mul(%x, %c); y = onnx.Mul(%d, %half)",
    f"{INNER}; d = onnx.Mul(%x, %half); y = onnx.Mul(%d, %c)",
    f"{INNER}; d = onnx.Mul(%c, %half); y = onnx.Mul(%x, %d)",
]


@pytest.mark.parametrize("steps", ORDERS)
def test_in_whatever_order_the_factors_stand(keeps_meaning, steps: str) -> None:  # type: ignore[no-untyped-def]
    keeps_meaning(spelled(steps), "fuse", ["Gelu"], 1e-6, opset=20)


def test_a_product_for_the_quotient(keeps_meaning) -> None:  # type: ignore[no-untyped-def]
    keeps_meaning(spelled(ORDERS[0].replace("Div", "Mul"), root="0.70710677"), "fuse", ["Gelu"], 1e-6, opset=20)


@pytest.mark.parametrize("other", [{"root": "1.5"}, {"one": "1.1"}, {"half": "0.4"}])
def test_other_numbers_stay(keeps_meaning, other: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    keeps_meaning(spelled(ORDERS[0], **other), "fuse", ["Div", "Erf", "Add", "Mul", "Mul"], opset=20)


def test_before_opset_20_there_is_no_gelu(keeps_meaning) -> None:  # type: ignore[no-untyped-def]
    keeps_meaning(spelled(ORDERS[0]), "fuse", ["Div", "Erf", "Add", "Mul", "Mul"], opset=17)
