"""Where kernels run: a device by its name."""

from __future__ import annotations

import torch

from qir.ir import fail

__all__ = ["find_device"]


def find_device(name: str | torch.device) -> torch.device:
    """The device of this name, as torch spells it (cpu, cuda, cuda:1). Raises QirError where it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        fail(None, f"there is no device '{name}'", "devices are cpu, cuda, cuda:1, …")
    if device.type == "cuda" and not torch.cuda.is_available():
        fail(None, f"the device '{name}' cannot be used: torch finds no CUDA device here", "leave --device out")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()
        fail(None, f"the device '{name}' cannot be used: {reason[0] if reason else type(error).__name__}")
    if device.type == "meta":
        fail(None, "the device 'meta' holds no numbers", "devices are cpu, cuda, cuda:1, …")
    return device
