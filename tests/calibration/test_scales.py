"""Scales that are quantized themselves get their parameters, and the simulation is on their grid."""

import numpy as np
import pytest

from qir.calibration.calibrator import Method, calibrate
from qir.dialects.qsim import QuantizerOp
from qir.interpreter import Plan
from qir.ir import Context, QirError
from qir.numerics import decode, encode
from qir.text import parse_module

RNG = np.random.default_rng(0)


def module_of(quantizers: str, weights: dict[str, tuple[np.ndarray, str]]):
    """A function that returns each weight behind its fake."""
    from qir.ir import dense_from_numpy

    lines, names, types = [], [], []
    for name, (array, quantizer) in weights.items():
        type_ = f"tensor<{array.shape[0]}x{array.shape[1]}xf32>"
        lines.append(f"    %{name} = onnx.Constant() {{value = {dense_from_numpy(array)}}} : () -> {type_}")
        lines.append(f"    %{name}_q = qsim.fake %{name} by @{quantizer} : {type_}")
        names.append(f"%{name}_q")
        types.append(type_)
    text = f"""module attributes {{onnx.opset = {{ai.onnx = 17 : i64}}}} {{
{quantizers}
  func.func @main() -> ({", ".join(types)}) {{
{chr(10).join(lines)}
    return {", ".join(names)} : {", ".join(types)}
  }}
}}"""
    return parse_module(text, Context())


def run(module, again: bool = False) -> tuple[dict[str, QuantizerOp], list[np.ndarray]]:
    calibrate(module, Context(), None, [], Method("minmax", "minmax"), again=again)
    quantizers = {op.sym_name: op for op in module.body if isinstance(op, QuantizerOp)}
    return quantizers, [v.numpy() for v in Plan(module).run({}).values()]


def uneven(rows: int, columns: int) -> np.ndarray:
    return (RNG.normal(size=(rows, columns)) * np.geomspace(0.01, 50, columns)).astype(np.float32)


def test_mx_scales_are_powers_of_two_by_the_standards_rule():
    w = uneven(4, 64)
    quantizers, (y,) = run(
        module_of(
            "  qsim.quantizer @w : f8E4M3FN symmetric block({...: 1, -1: 32}) scale_by(@w.s)\n"
            "  qsim.quantizer @w.s : f8E8M0FNU symmetric per_tensor round(floor)",
            {"w": (w, "w")},
        )
    )
    amax = np.abs(w.astype(np.float64)).reshape(4, 2, 32).max(-1)
    expected = 2.0 ** (np.floor(np.log2(amax)) - 8)  # emax of f8E4M3FN is 8
    assert np.array_equal(quantizers["w"].scale.numpy().astype(np.float64), expected)
    assert quantizers["w.s"].scale.numpy() == 1.0
    import ml_dtypes

    scale = np.repeat(expected, 32, axis=1)
    clipped = np.clip(w / scale, -448, 448)
    assert np.array_equal(y, (clipped.astype(np.float32).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * scale))


def test_two_weights_under_one_quantizer_of_scales_share_its_range():
    a, b = uneven(2, 32), uneven(2, 32) * 10
    quantizers, _ = run(
        module_of(
            "  qsim.quantizer @a : f4E2M1FN symmetric block({...: 1, -1: 16}) scale_by(@s)\n"
            "  qsim.quantizer @b : f4E2M1FN symmetric block({...: 1, -1: 16}) scale_by(@s)\n"
            "  qsim.quantizer @s : f8E4M3FN symmetric per_tensor",
            {"a": (a, "a"), "b": (b, "b")},
        )
    )
    outer = float(quantizers["s"].scale.numpy())
    assert outer == pytest.approx(np.abs(b).max() / 6 / 448, rel=1e-6)
    for name in "ab":
        scales = quantizers[name].scale.numpy()
        import torch

        values = torch.from_numpy(scales.copy())
        s = quantizers["s"]
        codes = encode(values, s.scheme, torch.tensor(outer), None)
        assert torch.equal(decode(codes, s.scheme, torch.tensor(outer), None), values)


def test_a_scale_of_scales_given_by_hand_is_kept_and_found_anew_on_request():
    text = (
        "  qsim.quantizer @w : i4 symmetric block({...: 1, -1: 16}) scale_by(@s)\n"
        "  qsim.quantizer @s : u4 symmetric per_tensor scale(0.25)"
    )
    module = module_of(text.replace("u4 symmetric", "i8 symmetric"), {"w": (uneven(2, 32), "w")})
    quantizers, _ = run(module)
    assert quantizers["s"].scale.numpy() == 0.25
    scales = quantizers["w"].scale.numpy() / 0.25
    assert np.array_equal(scales, np.round(scales)) and scales.min() >= 1
    quantizers, _ = run(module, again=True)
    assert quantizers["s"].scale.numpy() != 0.25


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("i4 affine block({...: 1, -1: 16}) scale_by(@s)", "only symmetric quantizers"),
        (
            "i4 affine block({...: 1, -1: 16}) zero_by(@s) zero_inside",
            "finds no zero points that are quantized themselves",
        ),
    ],
)
def test_what_cannot_be_found_is_an_error_of_the_quantizer(words, message):
    module = module_of(
        f"  qsim.quantizer @w : {words}\n  qsim.quantizer @s : f8E4M3FN symmetric per_tensor",
        {"w": (uneven(2, 32), "w")},
    )
    with pytest.raises(QirError, match=message):
        run(module)
