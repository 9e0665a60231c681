"""Errors as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from qir.analysis.compare import NamedError
from qir.analysis.measures import ErrorMeasure
from qir.analysis.twin import TensorError
from qir.ir.files import whole_file

__all__ = ["comparison_table", "error_table", "report_json", "worst_first", "write_report"]


class _Measured(Protocol):
    @property
    def measure(self) -> ErrorMeasure: ...


E = TypeVar("E", bound=_Measured)


def worst_first(errors: Iterable[E]) -> list[E]:
    """By SQNR, the smallest first; NaN before all.

    Biases come last: their grid is that of the sums that they are added to, so what is large beside a small bias is
    small beside the sum.
    """

    def key(error: E) -> tuple[bool, bool, float]:
        sqnr = error.measure.sqnr_db
        return getattr(error, "kind", "") == "bias", not math.isnan(sqnr), sqnr

    return sorted(errors, key=key)


def _table(title: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _figures(measure: ErrorMeasure) -> list[str]:
    def exact(text: str) -> str:
        return "exact" if measure.sqnr_db == math.inf else text

    return [
        exact(f"{measure.sqnr_db:.1f}"),
        exact(f"{100 * measure.noise_to_signal:.3g}"),
        f"{measure.cosine:.5f}",
        f"{measure.max_error:.3g}",
    ]


FIGURES = ("SQNR dB", "noise/signal %", "cosine", "max error")


def error_table(errors: Sequence[TensorError], title: str, limit: int | None = None) -> Any:
    """A rich table of quantized tensors, worst first; `limit` rows of them."""
    table = _table(title)
    for column in ("tensor", "quantizer", "storage"):
        table.add_column(column, overflow="fold")
    for column in FIGURES:
        table.add_column(column, justify="right")
    for error in worst_first(errors)[:limit]:
        quantizer = f"@{error.quantizer}" if error.quantizer else "(output)"
        table.add_row(_text(error.tensor), _text(quantizer), error.storage, *_figures(error.measure))
    return table


def comparison_table(errors: Sequence[NamedError], title: str) -> Any:
    """A rich table of tensors that two modules share, in the order given."""
    table = _table(title)
    for column in ("tensor", "node"):
        table.add_column(column, overflow="fold")
    for column in FIGURES:
        table.add_column(column, justify="right")
    for error in errors:
        table.add_row(_text(error.tensor), _text(error.node), *_figures(error.measure))
    return table


def _text(name: str) -> Any:
    """A name as it is: brackets in it are no markup."""
    from rich.text import Text

    return Text(name)


def _number(value: float) -> float | None:
    """JSON has no infinities: an exact tensor's SQNR is null."""
    return value if math.isfinite(value) else None


def report_json(errors: Sequence[TensorError], **facts: Any) -> str:
    """The report as JSON text: the given facts, then every tensor, worst first."""
    tensors = [
        {
            "tensor": e.tensor,
            "quantizer": e.quantizer,
            "storage": e.storage,
            "kind": e.kind,
            "node": e.node,
            **{key: _number(value) for key, value in e.measure.as_dict().items()},
        }
        for e in worst_first(errors)
    ]
    return json.dumps({**facts, "tensors": tensors}, indent=2, ensure_ascii=False) + "\n"


def write_report(path: Path, errors: Sequence[TensorError], **facts: Any) -> None:
    """Write `report_json` to a file, whole or not at all."""
    with whole_file(path) as file:
        file.write(report_json(errors, **facts).encode("utf-8"))
