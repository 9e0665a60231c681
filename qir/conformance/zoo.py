"""The nets of a zoo: a folder whose ``entries.json`` names ONNX models and data for them.

An entry has ``model``, ``input`` (its name), ``calib`` (an ``.npz`` with an array ``x``, or a ``.zip`` of images) and
``pre`` (what is done to the numbers: ``size``, ``luma``, ``bgr``, ``mean``, ``scale``, ``nchw``).
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.conformance.suite import Feed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ZooNet", "find_zoo", "nets"]

SAMPLES = 4
"""So many samples calibrate a net, and so many run: arithmetic is tried, not accuracy."""


@attrs.frozen
class ZooNet:
    """A trained net with samples for calibration, and others to run, one at a time."""

    name: str
    path: Path
    calibration: Mapping[str, NDArray[Any]]
    feeds: tuple[Feed, ...]


def find_zoo() -> Path | None:
    """The folder that $QIR_ZOO names, else ``../shared/zoo`` beside the checkout; None where there is none."""
    place = Path(os.environ.get("QIR_ZOO") or Path(__file__).resolve().parents[3] / "shared" / "zoo")
    return place.resolve() if (place / "entries.json").is_file() else None


def nets(zoo: Path) -> list[ZooNet]:
    """Every net of the zoo that is there, by the name of its entry."""
    found = []
    for name, entry in json.loads((zoo / "entries.json").read_text(encoding="utf-8")).items():
        path = zoo / entry["model"]
        if not path.is_file() or not (zoo / entry["calib"]).is_file():
            continue
        samples = _samples(zoo / entry["calib"], entry.get("pre", {}))
        key = entry.get("input", "input")
        feeds = (Feed(f"sample {i}", {key: samples[i : i + 1]}) for i in range(SAMPLES, len(samples)))
        found.append(ZooNet(name, path, {key: samples[:SAMPLES]}, tuple(feeds)))
    return found


def _samples(path: Path, pre: Mapping[str, Any]) -> NDArray[Any]:
    """The first samples of an entry's calibration data as the net takes them."""
    import numpy as np

    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as data:
            x = data["x"][: 2 * SAMPLES]
        return x if x.dtype.kind == "i" else _prepared(x, pre)
    from PIL import Image

    images = []
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.namelist())[: 2 * SAMPLES]:
            image = Image.open(io.BytesIO(archive.read(member))).convert("RGB")
            images.append(np.asarray(image.resize(tuple(pre["size"]), Image.Resampling.BILINEAR)))
    return _prepared(np.stack(images), pre)


def _prepared(x: NDArray[Any], pre: Mapping[str, Any]) -> NDArray[Any]:
    """Numbers of (samples, height, width, channels) or other shapes as the entry's ``pre`` wants them, in float32."""
    import numpy as np

    x = x.astype(np.float32)
    if pre.get("luma"):
        x = x @ np.array([[0.299], [0.587], [0.114]], np.float32)
    if pre.get("bgr"):
        x = x[..., ::-1]
    x = (x - np.array(pre.get("mean", 0), np.float32)) * np.array(pre.get("scale", 1), np.float32)
    return np.ascontiguousarray(np.moveaxis(x, -1, 1) if pre.get("nchw") else x, np.float32)
