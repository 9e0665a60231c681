"""A target's pipeline for a module that is quantized already: by hand so far, or for another target."""

from __future__ import annotations

from qir.dialects.builtin import ModuleOp
from qir.passes.base import Pass
from qir.passes.pipeline import Nested
from qir.passes.quantize.annotate import Annotate
from qir.passes.quantize.calibrate import Calibrate
from qir.passes.quantize.retarget import Retarget

__all__ = ["is_quantized", "resume"]

_WEIGHTS = "qir.passes.optimise."
"""The family of passes that change weights for the sake of quantization; known ranges do not outlive that."""


def is_quantized(module: ModuleOp) -> bool:
    """Whether a job need not annotate the module: it has quantizers."""
    return any(op.name == "qsim.quantizer" for op in module.body)


def resume(pipeline: Nested, module: ModuleOp, target: str, mode: str, data: bool) -> Nested:
    """The rest of `target`'s pipeline for a module that has quantizers.

    A module of this target and mode goes on behind ``annotate`` as it stands. Any other one is re-targeted in its
    place, after the passes before it, but for those that change weights. ``calibrate`` runs only where there is data;
    it finds what is not known yet, scales of weights included whose scheme differs.
    """
    items = pipeline.items
    at = next((i for i, item in enumerate(items) if isinstance(item, Annotate)), None)
    if at is None:
        return pipeline
    first: list[Pass | Nested] = []
    if (module.attr("qir.target", ""), module.attr("qir.mode", "")) != (target, mode):
        first = [item for item in items[:at] if not type(item).__module__.startswith(_WEIGHTS)]
        first.append(Retarget(target=target, mode=mode, weights="later" if data else "mse"))
    rest = [item for item in items[at + 1 :] if data or not isinstance(item, Calibrate)]
    return Nested(pipeline.anchor, first + rest)
