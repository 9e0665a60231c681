"""Real nets in the plugin: as simulated, as accurate as promised, on integers; other forms; broken files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import qir
from qir.interpreter import Plan, as_array
from qir.ir import QirError
from qir.lowering.openvino import runtime
from qir.runtime_process import run_artifact
from qir.target import get_target

pytestmark = pytest.mark.runtime("openvino")

NNCF_AGREE = 0.957
"""NNCF 3.4.0 (preset MIXED, the better one) on resnet8-cifar10, the same data, in OpenVINO 2026.4.1."""


class Entry:
    """A model of the zoo with its data."""

    def __init__(self, zoo: Path, name: str) -> None:
        spec = importlib.util.spec_from_file_location("evaluate", zoo / "evaluate.py")
        assert spec is not None and spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.entry = module.entries()[name]
        self.model, self.input = zoo / self.entry["model"], self.entry.get("input", "input")
        self.calib = module.calib
        self.samples, self.name = module.samples, name

    def data(self, folder: Path, limit: int) -> Path:
        np.savez(folder / "calib.npz", **self.calib(self.name, limit))
        return folder / "calib.npz"

    def images(self, count: int) -> dict[str, NDArray[Any]]:
        return {self.input: np.stack([x for x, _ in self.samples(self.entry, "eval", count)])}


@pytest.mark.parametrize(("name", "limit", "count", "layers"), [
    ("resnet8-cifar10", 260, 500, 10), ("digits-cnn", 128, 797, 8), ("espcn-x3", 24, 8, 4),
    ("squeezenet-imagenet", 8, 8, 26),
])  # fmt: skip
def test_a_cnn_gives_what_was_simulated(
    name: str, limit: int, count: int, layers: int, zoo: Path, quantize: Any, tmp_path: Path
) -> None:
    entry = Entry(zoo, name)
    job = quantize(entry.model, data=entry.data(tmp_path, limit))
    heavy = ("Convolution", "FullyConnected")
    assert [integer for kind, integer in runtime.executed(job.artifact) if kind in heavy] == [True] * layers
    feed = entry.images(count)
    ((theirs, ours),) = zip(runtime.run(job.artifact, feed).values(), job.simulate(feed).values(), strict=True)
    assert np.abs(theirs - ours).max() <= 1e-5 * np.abs(theirs).max(), "a code that is off shows as 1e-3 and more"


def test_resnet8_agrees_with_its_float_model_better_than_nncf(zoo: Path, quantize: Any, tmp_path: Path) -> None:
    entry = Entry(zoo, "resnet8-cifar10")
    job = quantize(entry.model, data=entry.data(tmp_path, 260))
    feed = entry.images(2000)
    (scores,) = runtime.run(job.artifact, feed).values()
    (floats,) = Plan(qir.import_onnx(entry.model)).run(feed).values()
    assert (scores.argmax(1) == as_array(floats).argmax(1)).mean() > NNCF_AGREE


@pytest.mark.parametrize(("mode", "decibels"), [("weights-int8", 35), ("weights-int4", 20)])
def test_compressed_weights(mode: str, decibels: float, zoo: Path, quantize: Any, tmp_path: Path) -> None:
    entry = Entry(zoo, "chargpt")
    job = quantize(entry.model, data=entry.data(tmp_path, 8), mode=mode)
    feed = {entry.input: next(iter(entry.images(4).values()))[:, :-1].astype(np.int64)}
    ((theirs, ours),) = zip(runtime.run(job.artifact, feed).values(), job.simulate(feed).values(), strict=True)
    assert np.abs(theirs - ours).max() <= 1e-5 * np.abs(theirs).max()
    (floats,) = (as_array(v) for v in Plan(qir.import_onnx(entry.model)).run(feed).values())
    assert 10 * np.log10((floats**2).sum() / ((floats - theirs) ** 2).sum()) > decibels
    whole = entry.model.stat().st_size
    assert job.artifact.with_suffix(".bin").stat().st_size < whole * {"weights-int8": 0.3, "weights-int4": 0.2}[mode]


def test_transformers_run_their_products_on_integers(zoo: Path, quantize: Any, tmp_path: Path) -> None:
    entry = Entry(zoo, "digits-vit")
    job = quantize(entry.model, data=entry.data(tmp_path, 64))
    assert runtime.account(job.artifact).startswith("14 of 14")
    feed = entry.images(200)
    ((theirs, ours),) = zip(runtime.run(job.artifact, feed).values(), job.simulate(feed).values(), strict=True)
    off = (np.abs(theirs - ours).max(1) > 1e-5 * np.abs(theirs).max()).mean()
    assert off <= 0.02, "float layers are rounded otherwise: now and then a code behind them is off"


def test_qdq_runs_on_integers_too(zoo: Path, quantize: Any, tmp_path: Path) -> None:
    entry = Entry(zoo, "resnet8-cifar10")
    job = quantize(entry.model, data=entry.data(tmp_path, 64), format="qdq")
    assert job.artifact.suffix == ".onnx" and runtime.account(job.artifact).startswith("10 of 10")
    feed = entry.images(200)
    ((theirs, ours),) = zip(runtime.run(job.artifact, feed).values(), job.simulate(feed).values(), strict=True)
    assert 10 * np.log10((ours**2).sum() / ((ours - theirs) ** 2).sum()) > 30


def test_broken_files_are_one_diagnostic(Net: Any, quantize: Any, tmp_path: Path) -> None:
    net = Net()
    job = quantize(net, net.conv(net.input(4, 6, 6), 4, 4))
    xml, weights = job.artifact.read_bytes(), job.artifact.with_suffix(".bin").read_bytes()
    target, feed = get_target("openvino"), net.feed(1)
    for number, (text, data) in enumerate(
        [(xml[:200], weights), (xml[:-40], weights), (xml, weights[:20]), (xml, b""), (b"", weights),
         (b"no xml at all", weights), (xml.replace(b"Convolution", b"Convulsion"), weights)]
    ):  # fmt: skip
        path = tmp_path / f"broken{number}.xml"
        path.write_bytes(text)
        path.with_suffix(".bin").write_bytes(data)
        with pytest.raises(QirError) as caught:
            run_artifact(target, path, feed)
        assert len(caught.value.diagnostics) == 1 and path.name in str(caught.value)
    path.with_suffix(".bin").unlink()
    path.write_bytes(xml)
    with pytest.raises(QirError):
        run_artifact(target, path, feed)
