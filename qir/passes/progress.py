"""How a long pass tells that it gets on, without knowing who listens.

A tool puts a `Progress` into ``ctx.extensions[Progress]``; passes wrap their long loops in `track`. Without one,
`track` is the loop itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from qir.ir import Context

__all__ = ["Progress", "track"]

T = TypeVar("T")


class Progress:
    """Listens to long loops. This one does nothing; a tool's own class draws bars."""

    def start(self, label: str, total: int | None) -> None:
        """A loop of `total` steps (None: not known) begins."""

    def step(self) -> None:
        """One step of the loop that began last is done."""

    def stop(self) -> None:
        """The loop that began last has ended, or was left."""


def track(ctx: Context, items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The items, with the context's progress told about each: ``for batch in track(ctx, batches, "calibrate"):``."""
    progress = ctx.extensions.get(Progress)
    if not isinstance(progress, Progress):
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    progress.start(label, total)
    try:
        for item in items:
            yield item
            progress.step()
    finally:
        progress.stop()
