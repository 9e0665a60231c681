"""The one place where numbers are quantized: schemes, rounding, encode, decode, requantize, range to scale.

`docs/semantics.md` gives each word as a formula. The description (`Scheme`, `Storage`, `Granularity`) needs no torch;
the arithmetic is imported at first use, because tools that only read text must start without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qir.numerics.scheme import POW2_FORMS, ROUNDINGS, FloatFormat, Granularity, Product, Scheme, Storage

if TYPE_CHECKING:
    from qir.numerics.codec import codes_from_numpy, codes_to_numpy, decode, encode, fake, storage_dtype
    from qir.numerics.gradient import fake_backward, fake_ste
    from qir.numerics.layout import block_range, reduce_blocks
    from qir.numerics.nested import ScaleTensor, microscaling, nested_params, nvfp4, quantize_scale
    from qir.numerics.ranges import dynamic_params, params_to_range, product_scale, range_to_params, widen_for_bias
    from qir.numerics.requantize import requantize
    from qir.numerics.rounding import round_, round_significand

__all__ = [
    "POW2_FORMS", "ROUNDINGS", "FloatFormat", "Granularity", "Product", "ScaleTensor", "Scheme", "Storage",
    "block_range", "codes_from_numpy", "codes_to_numpy", "decode", "dynamic_params", "encode", "fake", "fake_backward",
    "fake_ste", "microscaling", "nested_params", "nvfp4", "params_to_range", "product_scale", "quantize_scale",
    "range_to_params", "reduce_blocks", "requantize", "round_", "round_significand", "storage_dtype", "widen_for_bias",
]  # fmt: skip

_HOMES = {
    "codec": ("codes_from_numpy", "codes_to_numpy", "decode", "encode", "fake", "storage_dtype"),
    "gradient": ("fake_backward", "fake_ste"),
    "layout": ("block_range", "reduce_blocks"),
    "nested": ("ScaleTensor", "microscaling", "nested_params", "nvfp4", "quantize_scale"),
    "ranges": ("dynamic_params", "params_to_range", "product_scale", "range_to_params", "widen_for_bias"),
    "requantize": ("requantize",),
    "rounding": ("round_", "round_significand"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # A submodule of the same name as its function (requantize) is bound here by the import: the function wins.
    for function in _HOMES[home]:
        globals()[function] = getattr(importlib.import_module(f"{__name__}.{home}"), function)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
