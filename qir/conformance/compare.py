"""Two results beside each other: how many elements differ, and by how much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from qir.conformance.text import Broken
from qir.target import Tolerance

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Comparison", "compare", "largest"]


@attrs.frozen
class Comparison:
    """A result of the runtime against the simulation's.

    `wrong` of its `elements` differ, the worst by `worst`: in steps of its quantizer where it is `quantized` (integers
    count as such), else as a fraction of the largest number that the result has on any data; then only those count as
    wrong that are off by more than the tolerance.
    """

    quantized: bool
    elements: int
    wrong: int
    worst: float


def compare(
    name: str, ours: NDArray[Any], theirs: NDArray[Any], step: float | None, largest: float, tolerance: Tolerance
) -> Comparison:
    """Compare `theirs`, what the runtime gave for the result `name`, with the simulation's.

    `step` is the scale of the result's quantizer, `largest` the largest number that the result ever has. Raises Broken
    where shapes or kinds of numbers differ.
    """
    import numpy as np

    if ours.shape != theirs.shape or ours.dtype.kind != theirs.dtype.kind:
        shapes = (f"{a.dtype} {'x'.join(map(str, a.shape)) or 'scalar'}" for a in (theirs, ours))
        raise Broken(f"the runtime gives '{name}' as {next(shapes)}, the simulation as {next(shapes)}")
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(a - b))
    error[np.isnan(error)] = np.inf
    if ours.dtype.kind != "f" or step is not None:
        steps = np.rint(error / (step or 1.0))
        return Comparison(True, a.size, int((steps > 0).sum()), float(steps.max(initial=0.0)))
    error /= largest or 1.0
    return Comparison(False, a.size, int((error > tolerance.relative).sum()), float(error.max(initial=0.0)))


def largest(results: Iterable[Mapping[str, NDArray[Any]]]) -> dict[str, float]:
    """The largest finite magnitude of each result by name, over several runs."""
    import numpy as np

    found: dict[str, float] = {}
    for result in results:
        for name, array in result.items():
            numbers = np.abs(array.astype(np.float64))
            found[name] = max(found.get(name, 0.0), float(numbers[np.isfinite(numbers)].max(initial=0.0)))
    return found
