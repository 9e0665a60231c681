"""How far one tensor is from another: SQNR, noise-to-signal, cosine and largest error.

With y the reference and ŷ what is measured, per sample (first axis) and over all elements of a sample::

    signal = Σ y²        noise = Σ (ŷ - y)²
    SQNR             = 10·log10(Σ signal / Σ noise)   in dB, sums over all samples: larger is better
    noise-to-signal  = mean over samples of noise / (signal + 1e-7), shown in %: smaller is better. This is what PPQ
                       calls "snr"
    cosine           = mean over samples of Σ y·ŷ / (‖y‖·‖ŷ‖)
    max error        = max |ŷ - y|

A measure keeps sums only, so that it can be fed batch by batch, and two of them can be merged.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import torch

__all__ = ["ErrorMeasure"]

CHUNK = 1024
"""Elements whose products are added in the tensor's own precision."""


@attrs.define
class ErrorMeasure:
    """The running error of a tensor against its reference."""

    signal: float = 0.0
    noise: float = 0.0
    ratio_sum: float = 0.0
    cosine_sum: float = 0.0
    max_error: float = 0.0
    reference_max: float = 0.0
    samples: int = 0
    elements: int = 0

    def add(self, reference: Any, measured: Any) -> None:
        """Add a batch: two arrays or tensors of one shape, first axis = samples (a scalar is one sample).

        Raises ValueError when the shapes differ.
        """
        import torch

        y, z = _rows(reference), _rows(measured)
        if y.shape != z.shape:
            raise ValueError(f"shapes differ: {tuple(y.shape)} and {tuple(z.shape)}")
        if y.numel() == 0:
            return
        z = z.to(y.device)
        difference = z - y
        signal, cross, noise = _dot(y, y), _dot(y, difference), _dot(difference, difference)
        if not bool(torch.isfinite(noise).all()):
            # Two equal infinities are no error, and their difference is NaN.
            difference = torch.where(torch.eq(y, z), torch.zeros_like(difference), difference)
            cross, noise = _dot(y, difference), _dot(difference, difference)
        other = signal + 2 * cross + noise  # Σ ŷ², from ŷ = y + difference
        norm = torch.sqrt(signal * other.clamp_min(0))
        both_zero = (signal == 0) & (other == 0)
        cosine = torch.where(both_zero, torch.ones_like(norm), (signal + cross) / norm.clamp_min(1e-300))
        self.signal += float(signal.sum())
        self.noise += float(noise.sum())
        self.ratio_sum += float((noise / (signal + 1e-7)).sum())
        self.cosine_sum += float(cosine.sum())
        self.max_error = _max(self.max_error, _largest(difference))
        self.reference_max = _max(self.reference_max, _largest(y))
        self.samples += y.shape[0]
        self.elements += y.numel()

    def merge(self, other: ErrorMeasure) -> None:
        """Take over what `other` has seen: the same as having been fed both."""
        self.signal += other.signal
        self.noise += other.noise
        self.ratio_sum += other.ratio_sum
        self.cosine_sum += other.cosine_sum
        self.max_error = _max(self.max_error, other.max_error)
        self.reference_max = _max(self.reference_max, other.reference_max)
        self.samples += other.samples
        self.elements += other.elements

    @property
    def sqnr_db(self) -> float:
        """10·log10(signal/noise): inf for no error at all, NaN where the measured values are."""
        if math.isnan(self.noise) or math.isnan(self.signal):
            return math.nan
        if self.noise == 0:
            return math.inf
        if self.signal == 0:
            return -math.inf
        return 10 * math.log10(self.signal / self.noise) if math.isfinite(self.noise) else -math.inf

    @property
    def noise_to_signal(self) -> float:
        """Mean over the samples of noise/signal, as a fraction (0.01 is 1 %)."""
        return self.ratio_sum / self.samples if self.samples else math.nan

    @property
    def cosine(self) -> float:
        """Mean over the samples of the cosine between reference and measured."""
        return self.cosine_sum / self.samples if self.samples else math.nan

    def as_dict(self) -> dict[str, float]:
        """The figures by name, as the report's JSON has them; not finite ones are None there."""
        return {
            "sqnr_db": self.sqnr_db,
            "noise_to_signal": self.noise_to_signal,
            "cosine": self.cosine,
            "max_error": self.max_error,
            "reference_max": self.reference_max,
        }


def _max(a: float, b: float) -> float:
    """The larger one; NaN wins."""
    return b if math.isnan(b) or b > a else a


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Σ a·b of each row, as float64. The rows' sums are added in float64 over chunks of float32 products: one pass over
    the data, without a temporary of its size."""
    import torch

    rows, columns = a.shape
    whole = columns - columns % CHUNK
    total = torch.zeros(rows, dtype=torch.float64, device=a.device)
    if whole:
        parts = [t[:, :whole].reshape(-1, 1, CHUNK) for t in (a, b)]
        total += torch.bmm(parts[0], parts[1].transpose(1, 2)).reshape(rows, -1).sum(1, dtype=torch.float64)
    if whole < columns:
        total += (a[:, whole:] * b[:, whole:]).sum(1, dtype=torch.float64)
    return total


def _largest(tensor: torch.Tensor) -> float:
    """max |x|; NaN where there is one."""
    low, high = tensor.aminmax()
    return _max(abs(float(low)), abs(float(high)))


def _rows(value: Any) -> torch.Tensor:
    """Any array or tensor as a 2-D floating tensor, one row a sample."""
    import torch

    tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(value)
    tensor = tensor.detach()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float64 if not tensor.is_floating_point() else torch.float32)
    return tensor.reshape(tensor.shape[0] if tensor.dim() and tensor.shape[0] else 1, -1)
