"""``calibrate``: the parameters of every quantizer, from data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qir.dialects.builtin import ModuleOp
from qir.ir import Context, Operation
from qir.passes.base import Pass, option
from qir.passes.quantize.queries import main_function
from qir.passes.registry import register_pass

if TYPE_CHECKING:
    from qir.calibration.data import InputSpec, Record

__all__ = ["Calibrate"]


@register_pass
@attrs.frozen
class Calibrate(Pass):
    """Run the float model on data and find range, scale and zero point of every quantizer.

    Quantizers that have a scale keep it. The memory needed is one batch and one observer per quantizer.
    """

    name: ClassVar[str] = "calibrate"
    dialects: ClassVar[tuple[str, ...]] = ("qsim",)

    data: str = option("", "an .npz, a folder of .npz, .npy or images, or module:function")
    method: str = option("mse", "how activation ranges are found", choices=("minmax", "percentile", "mse", "kl"))
    weights: str = option("mse", "how weight ranges are found", choices=("minmax", "mse"))
    p: float = option(99.99, "the percentile")
    spread: float = option(
        0.0, "standard deviations that a range reaches at least where few numbers were seen (not minmax)"
    )
    samples: int = option(0, "read at most so many samples (0: all)")
    batch: int = option(0, "samples at once where the model's batch is free (0: chosen by size)")
    again: bool = option(False, "also those that have a scale already")
    device: str = option("cpu", "where the model runs")
    size: tuple[int, ...] = option((), "images: width,height")
    mean: tuple[float, ...] = option((), "images: subtracted, one number or one per channel")
    scale: tuple[float, ...] = option((), "images: multiplied after that, one number or one per channel")
    layout: str = option("", "images: nchw or nhwc; by default what the input's shape says")
    bgr: bool = option(False, "images: blue first")

    def run(self, module: Operation, ctx: Context) -> bool:
        from qir.calibration.calibrator import Method, calibrate

        assert isinstance(module, ModuleOp)
        if not 50.0 < self.p <= 100.0:
            raise module.error(f"calibrate{{p={self.p}}}: a percentile lies between 50 and 100")
        for name, number in (("samples", self.samples), ("batch", self.batch)):
            if number < 0:
                raise module.error(f"calibrate{{{name}={number}}}: it must not be negative", "0 leaves it open")
        specs, records = self.records(module) if self.data else ([], None)
        if not 0.0 <= self.spread < 100.0:
            raise module.error(f"calibrate{{spread={self.spread}}}: it lies between 0 and 100")
        method = Method(self.method, self.weights, self.p, self.spread)
        count = calibrate(module, ctx, records, specs, method, self.batch, self.samples, self.again, self.device)
        self.count(ctx, "quantizers", count)
        return count > 0

    def records(self, module: Operation) -> tuple[list[InputSpec], Iterable[Record]]:
        """The inputs of the module's main function and the data for them, as the options say."""
        from qir.calibration.data import input_specs, open_data

        assert isinstance(module, ModuleOp)
        specs = input_specs(main_function(module))
        images: dict[str, Any] = {name: getattr(self, name) for name in ("size", "mean", "scale", "layout", "bgr")}
        return specs, open_data(self.data, specs, images)
