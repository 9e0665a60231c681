"""What a case is, and the table that the files beside this one fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from qir.conformance.net import Net

__all__ = ["CASES", "Case", "add", "apply"]


@attrs.frozen
class Case:
    """One shape class of an operator: `build` puts the operator on a net and gives its results.

    `weights`: it has weights, so it is tried with extreme ones too; `fuses`: it is also tried with each activation
    function behind it that the data sheet fuses; `flat`: data without any variance say something about it (of a
    normalization it makes rounding errors large).
    """

    label: str
    build: Callable[[Net], list[str]]
    opset: int = 21
    weights: bool = False
    fuses: bool = False
    flat: bool = True


CASES: dict[str, list[Case]] = {}
"""Cases by op type, as data sheets write it."""


def add(ops: str, label: str, build: Callable[[Net, str], str | Sequence[str]], **options: Any) -> None:
    """A case for each of the op types (blanks between them); `build` gets the op type too."""
    for op in ops.split():
        CASES.setdefault(op, []).append(Case(label, partial(_built, build, op), **options))


def _built(build: Callable[[Net, str], str | Sequence[str]], op: str, net: Net) -> list[str]:
    results = build(net, op)
    return [results] if isinstance(results, str) else list(results)


def apply(
    ops: str, label: str, shape: tuple[int, ...], *constants: Any, low: float = -3.0, high: float = 3.0,
    opset: int = 21, fuses: bool = False, flat: bool = True, **attributes: Any,
) -> None:  # fmt: skip
    """A case of one activation with numbers from `low` to `high`, constants (None: absent) and attributes."""

    def build(net: Net, op: str) -> str:
        x = net.data(*shape, low=low, high=high)
        return net.op(op, x, *("" if c is None else net.constant(c) for c in constants), **attributes)

    add(ops, label, build, opset=opset, fuses=fuses, flat=flat)
