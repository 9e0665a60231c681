"""A module edited by hand at any stage: the rest of the pipeline picks it up, and it shows in the artifact."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import qir
from qir.ir import Context, QirError
from qir.lowering.onnxruntime import runtime
from qir.passes import run_pipeline
from qir.runtime_process import run_artifact
from qir.target import get_target
from qir.text import parse_module, print_module

REST = "materialise,lower-to-onnxruntime,verify-target{target=onnxruntime}"


@pytest.fixture
def calibrated(float_net: Any, job: Any, tmp_path: Path) -> str:
    """The text of a calibrated two-convolution net."""
    n = float_net("edits")
    x = n.op("Relu", n.convolution(n.input("x", "n", 3, 8, 8), 3, 8))
    n.output(n.op("Relu", n.convolution(x, 8, 4)))
    work = job(n)
    work.run(f"annotate{{target=onnxruntime}},calibrate{{data={tmp_path / 'data.npz'} method=minmax}}")
    return print_module(work.module)


@pytest.fixture
def annotated(float_net: Any, job: Any) -> str:
    """The same net, not calibrated yet."""
    n = float_net("edits")
    x = n.op("Relu", n.convolution(n.input("x", "n", 3, 8, 8), 3, 8))
    n.output(n.op("Relu", n.convolution(x, 8, 4)))
    work = job(n)
    work.run("annotate{target=onnxruntime}")
    return print_module(work.module)


@pytest.fixture
def materialised(calibrated: str) -> str:
    ctx = Context()
    module = parse_module(calibrated, ctx)
    run_pipeline(module, "materialise", ctx)
    return print_module(module)


def finish(text: str, folder: Path, pipeline: str = REST) -> tuple[onnx.ModelProto, Path]:
    """The edited text's artifact."""
    ctx = Context()
    module = parse_module(text, ctx)
    run_pipeline(module, pipeline, ctx)
    path = qir.export(module, folder / "edited.onnx", "onnxruntime", ctx)[0].path
    return onnx.load(path), path


def initializers(model: onnx.ModelProto) -> dict[str, Any]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def kinds(model: onnx.ModelProto) -> list[str]:
    return [n.op_type for n in model.graph.node]


def test_a_changed_scale(calibrated: str, tmp_path: Path) -> None:
    edited, count = re.subn(r"(qsim\.quantizer @x : .*?scale\()[^)]*\)", r"\g<1>0.125)", calibrated)
    assert count == 1
    before, after = initializers(finish(calibrated, tmp_path)[0]), initializers(finish(edited, tmp_path)[0])
    assert before["x_scale"] != np.float32(0.125) and after["x_scale"] == np.float32(0.125)
    # The bias's scale is a product with it, and follows.
    weight = next(k for k in after if k.startswith("w") and k.endswith("_scale"))
    bias = next(k for k in after if k.startswith("b") and k.endswith("_scale"))
    assert np.array_equal(after[bias], np.float32(0.125) * after[weight])


def test_a_deleted_fake(calibrated: str, tmp_path: Path) -> None:
    """Without its fake the first convolution's input is float: the convolution runs in float, and nothing else does."""
    line = next(line for line in calibrated.splitlines() if "= qsim.fake %x by @x" in line)
    name = line.split("=")[0].strip()
    biases = [line for line in calibrated.splitlines() if "qsim.fake" in line and re.search(r"by @b", line)]
    edited = calibrated.replace(line + "\n", "").replace(f"({name},", "(%x,")
    # Its bias has the product of the deleted quantizer's scale: it goes too.
    bias = biases[0].split("=")[0].strip()
    source = re.search(r"fake (%\S+) by", biases[0])
    assert source is not None
    edited = edited.replace(biases[0] + "\n", "").replace(f"{bias})", f"{source[1]})")
    whole = kinds(finish(calibrated, tmp_path)[0])
    model, path = finish(edited, tmp_path)
    assert kinds(model).count("QuantizeLinear") == whole.count("QuantizeLinear") - 1
    kernels = runtime.kernels_of(path)
    assert kernels.integer == 1 and len(kernels.in_float) == 1


def test_a_shared_quantizer(calibrated: str, tmp_path: Path) -> None:
    """Both activations by one quantizer: one scale and zero point in the artifact for both."""
    names = re.findall(r"qsim\.quantizer (@\S+) : u8", calibrated)
    assert len(names) == 3
    edited = "\n".join(
        line for line in calibrated.splitlines() if not line.strip().startswith(f"qsim.quantizer {names[2]} ")
    ).replace(f"by {names[2]} ", f"by {names[1]} ")
    model, path = finish(edited, tmp_path)
    activations = [
        k for k in initializers(model) if k.endswith("_zero_point") and initializers(model)[k].dtype == np.uint8
    ]
    assert len(activations) == 2
    quantizes = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert quantizes[1].input[1:] == quantizes[2].input[1:]
    assert runtime.kernels_of(path).in_float == ()


# ---------------------------------------------------------------------- before calibrate and after materialise
def without(text: str, name: str) -> str:
    """The text without the fakes by @`name`: their readers read the value itself."""
    for line in [line for line in text.splitlines() if re.search(rf"= qsim\.fake %\S+ by @{name} ", line)]:
        made, value = re.findall(r"%[\w.]+", line)[:2]
        text = re.sub(rf"{re.escape(made)}(?=[,) ])", value, text.replace(line + "\n", ""))
    return text


def activations_of(text: str) -> list[str]:
    return re.findall(r"qsim\.quantizer @(\S+) : u8", text)


def calibrate_and(rest: str, folder: Path) -> str:
    return f"calibrate{{data={folder / 'data.npz'} method=minmax}},{rest}"


def test_a_scale_written_before_calibration_is_kept(annotated: str, tmp_path: Path) -> None:
    edited, count = re.subn(r"(quantizer @x : u8 affine per_tensor)", r"\g<1> scale(0.125) zero(7)", annotated)
    assert count == 1
    found = initializers(finish(edited, tmp_path, calibrate_and(REST, tmp_path))[0])
    assert found["x_scale"] == np.float32(0.125) and found["x_zero_point"] == 7


def test_a_fake_deleted_before_calibration(annotated: str, tmp_path: Path) -> None:
    bias = next(n for n in re.findall(r"qsim\.quantizer @(\S+) : i32", annotated))
    edited = without(without(annotated, "x"), bias)
    assert edited.count("qsim.fake") == annotated.count("qsim.fake") - 2
    _, path = finish(edited, tmp_path, calibrate_and("symbol-dce," + REST, tmp_path))
    kernels = runtime.kernels_of(path)
    assert kernels.integer == 1 and len(kernels.in_float) == 1


def test_a_quantizer_shared_before_calibration_sees_both_tensors(annotated: str, tmp_path: Path) -> None:
    _, first, second = activations_of(annotated)
    apart = initializers(finish(annotated, tmp_path, calibrate_and(REST, tmp_path))[0])
    edited = "\n".join(line for line in annotated.splitlines() if f"quantizer @{second} " not in line)
    edited = edited.replace(f"by @{second} ", f"by @{first} ").replace(f"product(@{second},", f"product(@{first},")
    model, _ = finish(edited, tmp_path, calibrate_and(REST, tmp_path))
    together = initializers(model)
    quantizes = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert quantizes[1].input[1:] == quantizes[2].input[1:]
    assert together[f"{first}_scale"] == max(apart[f"{first}_scale"], apart[f"{second}_scale"])


def test_a_scale_changed_after_materialise(materialised: str, tmp_path: Path) -> None:
    name = activations_of(materialised)[-1]
    edited, count = re.subn(rf"(quantizer @{name} : .*?scale\()[^)]*\)", r"\g<1>0.5)", materialised)
    assert count == 1
    found = initializers(finish(edited, tmp_path, REST.removeprefix("materialise,"))[0])
    assert found[f"{name}_scale"] == np.float32(0.5)


def test_codes_removed_after_materialise(materialised: str, tmp_path: Path) -> None:
    """The last encode and decode taken out: the result is float, and so is the convolution before it."""
    name = activations_of(materialised)[-1]
    lines = materialised.splitlines()
    encode = next(line for line in lines if "qsim.encode" in line and f"by @{name} " in line)
    decode = next(line for line in lines if "qsim.decode" in line and f"by @{name} " in line)
    value, result = re.findall(r"%[\w.]+", encode)[1], re.findall(r"%[\w.]+", decode)[0]
    edited = "\n".join(line for line in lines if line not in (encode, decode)).replace(
        f"return {result} ", f"return {value} "
    )
    model, path = finish(edited, tmp_path, REST.removeprefix("materialise,"))
    assert f"{name}_scale" not in initializers(model)
    assert runtime.kernels_of(path).integer == 1


def test_an_edited_lowered_module(calibrated: str, tmp_path: Path) -> None:
    """At the last stage too: a scale in the text of the lowered module is the artifact's."""
    ctx = Context()
    module = parse_module(calibrated, ctx)
    run_pipeline(module, REST, ctx)
    text = print_module(module)
    edited, count = re.subn(r"(%x_scale = onnx\.Constant\(\) \{.*?dense<)[^>]*>", r"\g<1>0.25>", text)
    assert count == 1
    assert initializers(finish(edited, tmp_path, "canonicalize")[0])["x_scale"] == np.float32(0.25)


# ---------------------------------------------------------------------- errors
def test_missing_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runtime, "version", lambda: None)
    with pytest.raises(QirError, match="onnxruntime is not installed") as caught:
        run_artifact(get_target("onnxruntime"), tmp_path / "model.onnx", {})
    assert caught.value.diagnostics[0].hint == "pip install onnxruntime"


def test_export_without_the_runtime_warns(calibrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "version", lambda: None)
    ctx = Context()
    module = parse_module(calibrated, ctx)
    run_pipeline(module, REST, ctx)
    assert qir.export(module, tmp_path / "unchecked.onnx", "onnxruntime", ctx)[0].path.exists()
    warnings = [d.message for d in ctx.diagnostics if d.severity.value == "warning"]
    assert warnings == ["the artifact was not run: onnxruntime is not installed"]


def test_a_module_that_is_not_lowered(calibrated: str, tmp_path: Path) -> None:
    ctx = Context()
    with pytest.raises(QirError, match=r"onnxruntime cannot run 'qsim\.fake': it was not lowered"):
        qir.export(parse_module(calibrated, ctx), tmp_path / "model.onnx", "onnxruntime", ctx)
    assert not list(tmp_path.glob("*.onnx"))


def test_an_operator_that_the_runtime_does_not_have(calibrated: str, tmp_path: Path) -> None:
    """A model that the runtime cannot load is no artifact: nothing is left behind."""
    ctx = Context(allow_unregistered=True)
    module = parse_module(calibrated.replace("onnx.Relu(", "my.domain.Relu("), ctx)
    run_pipeline(module, REST, ctx)
    with pytest.raises(QirError, match=r"onnxruntime .* cannot load it"):
        qir.export(module, tmp_path / "model.onnx", "onnxruntime", ctx)
    assert not list(tmp_path.glob("*.onnx"))


def test_a_wrong_artifact_is_not_handed_over(calibrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the runtime computes something else than the simulation, the export fails."""
    ctx = Context()
    module = parse_module(calibrated, ctx)
    run_pipeline(module, REST, ctx)
    real = runtime.run
    monkeypatch.setattr(runtime, "run", lambda *given: {k: -v for k, v in real(*given).items()})
    with pytest.raises(QirError, match="on a sample, onnxruntime's result is only"):
        qir.export(module, tmp_path / "model.onnx", "onnxruntime", ctx)
    assert not list(tmp_path.glob("*.onnx"))
