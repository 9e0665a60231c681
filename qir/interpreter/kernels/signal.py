"""Fourier transforms; complex numbers are pairs along the last axis."""

from __future__ import annotations

from typing import Any

import torch

from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel


def _complex(x: torch.Tensor) -> torch.Tensor:
    """[..., 1] or [..., 2] as complex [...]."""
    if x.shape[-1] == 2:
        return torch.view_as_complex(x.contiguous())
    return torch.complex(x[..., 0], torch.zeros_like(x[..., 0]))


def transform(x: torch.Tensor, length: int | None, axis: int, inverse: bool, onesided: bool) -> torch.Tensor:
    """ONNX DFT. One-sided: only the non-redundant half goes out, or comes in for the inverse (which is real)."""
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    axis = axis % x.dim()
    if inverse and onesided:
        size = 2 * (x.shape[axis] - 1) if length is None else length
        real: torch.Tensor = torch.fft.irfft(_complex(wide), size, axis)
        return real.unsqueeze(-1).to(x.dtype)
    values = _complex(wide)
    result = torch.fft.ifft(values, length, axis) if inverse else torch.fft.fft(values, length, axis)
    if onesided:
        result = result.narrow(axis, 0, result.shape[axis] // 2 + 1)
    parts: torch.Tensor = torch.view_as_real(result).to(x.dtype)
    return parts


def _number(value: torch.Tensor | None) -> int | None:
    return None if value is None else int(value.reshape(-1)[0])


@kernel("onnx.DFT", fresh=True)
def _dft(node: Node) -> Kernel:
    inverse, onesided = bool(node.attr("inverse", 0)), bool(node.attr("onesided", 0))
    fixed = node.attr("axis", 1)

    def run(x: torch.Tensor, length: torch.Tensor | None = None, axis: torch.Tensor | None = None) -> Any:
        along = fixed if node.opset < 20 else -2 if axis is None else int(axis.reshape(-1)[0])
        return transform(x, _number(length), along, inverse, onesided)

    return run


@kernel("onnx.STFT", fresh=True)
def _stft(node: Node) -> Kernel:
    onesided = bool(node.attr("onesided", 1))

    def run(x: torch.Tensor, step: torch.Tensor, window: torch.Tensor | None = None, length: Any = None) -> Any:
        size = _number(length) or (x.shape[-2] if window is None else window.shape[0])
        frames = x.unfold(-2, size, int(step)).transpose(-1, -2)  # [batch, frames, size, 1 or 2]
        if window is not None:
            frames = frames * window.reshape(-1, 1)
        return transform(frames, None, -2, False, onesided)

    return run
