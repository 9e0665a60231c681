"""Calibration data from a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from qir.calibration.data import InputSpec, Record
from qir.ir import fail

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ImageFolder"]


@attrs.define(kw_only=True)
class ImageFolder:
    """Images as model inputs: decoded to RGB, resized, then ``(x - mean) * scale`` with x in 0..255.

    `size` is width and height (default: what the model's input says), `mean` and `scale` one number or one per channel,
    `layout` nchw or nhwc (default: where the model's input has 1 or 3 channels), `bgr` reverses the channels. A model
    of one channel gets luma. The result is float32, or uint8 for a model that takes that (mean and scale must then be
    left out). Raises QirError for models of several inputs, unreadable images and options that do not fit.
    """

    files: Sequence[Path] = attrs.field(kw_only=False)
    specs: list[InputSpec] = attrs.field(kw_only=False)
    size: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    layout: str = ""
    bgr: bool = False
    channels: int = attrs.field(init=False, default=3)

    def __attrs_post_init__(self) -> None:
        place = str(self.files[0].parent)
        if len(self.specs) != 1 or self.specs[0].shape is None or len(self.specs[0].shape) != 4:
            fail(place, "images feed a model of one input of rank 4", "write an .npz with one array per input")
        shape = self.specs[0].shape
        if not self.layout:
            self.layout = "nhwc" if shape[3] in (1, 3) and shape[1] not in (1, 3) else "nchw"
        if self.layout not in ("nchw", "nhwc"):
            fail(place, f"unknown layout '{self.layout}'", "it is nchw or nhwc")
        channels, height, width = shape[1:] if self.layout == "nchw" else (shape[3], shape[1], shape[2])
        if channels not in (None, 1, 3):
            message = f"images have 1 or 3 channels, the model's input has {channels}"
            fail(place, message, "is the layout right? it is nchw or nhwc")
        self.channels = channels or 3
        if not self.size and height is not None and width is not None:
            self.size = (width, height)
        if len(self.size) == 1:
            self.size = (self.size[0], self.size[0])
        if len(self.size) not in (0, 2):
            fail(place, f"size takes width and height, not {len(self.size)} numbers", "write size=224,224")
        for option, value in (("mean", self.mean), ("scale", self.scale)):
            if len(value) not in (0, 1, self.channels):
                message = (
                    f"{option} takes one number, or one for each of the {self.channels} channels, not {len(value)}"
                )
                fail(place, message, f"write {option}=1.0 or {option}=1.0,2.0,3.0")
        if self.specs[0].dtype.kind != "f" and (self.mean or self.scale):
            fail(place, f"mean and scale need a float input, the model's is {self.specs[0].dtype}", "leave them out")

    def __iter__(self) -> Iterator[Record]:
        for file in self.files:
            yield Record(str(file), {self.specs[0].name: self.read(file)})

    def read(self, file: Path) -> NDArray[Any]:
        """One image as the model takes it, with a first axis of 1."""
        try:
            from PIL import Image
        except ImportError:
            fail(str(file), "reading images needs pillow, which is not installed", "pip install 'qir[images]'")
        import numpy as np

        try:
            with Image.open(file) as opened:
                image = opened.convert("RGB" if self.channels == 3 else "L")
        except (OSError, ValueError, SyntaxError) as error:
            fail(str(file), f"{file} is no image that can be read: {error}", "leave it out of the folder")
        if self.size and image.size != self.size:
            image = image.resize((self.size[0], self.size[1]), Image.Resampling.BILINEAR)
        x = np.asarray(image).reshape(image.height, image.width, self.channels)
        if self.bgr:
            x = x[..., ::-1]
        dtype = self.specs[0].dtype
        if dtype.kind == "f":
            mean = np.array(self.mean or 0, np.float32)
            x = (x.astype(np.float32) - mean) * np.array(self.scale or 1, np.float32)
        if self.layout == "nchw":
            x = np.moveaxis(x, -1, 0)
        return np.ascontiguousarray(x[None], dtype)
