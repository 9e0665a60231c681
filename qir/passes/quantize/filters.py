"""Which operations a job quantizes: filters by node name, op type or glob."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from qir.ir import Operation, fail

__all__ = ["Selection"]


def _labels(op: Operation) -> tuple[str, ...]:
    """What a filter can call an operation: node names, result names, the op type with and without dialect."""
    names = (*op.location.names(), *(r.name for r in op.results if r.name))
    return (*names, op.name, op.name.removeprefix("onnx."))


class Selection:
    """The operations that ``only`` names, less those that ``exclude`` names. An empty ``only`` means all.

    Raises QirError for a filter that matches no operation of `ops`.
    """

    def __init__(self, ops: Iterable[Operation], only: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.only, self.exclude = tuple(only), tuple(exclude)
        self._reasons: dict[Operation, str] = {}
        labels = {op: _labels(op) for op in ops} if only or exclude else {}
        for option, filters in (("only", self.only), ("exclude", self.exclude)):
            for text in filters:
                if not any(_matches(text, names) for names in labels.values()):
                    _no_match(option, text, labels.values())
        for op, names in labels.items():
            hit = next((text for text in self.exclude if _matches(text, names)), None)
            if hit is not None:
                self._reasons[op] = f"left out by exclude={hit}"
            elif self.only and not any(_matches(text, names) for text in self.only):
                self._reasons[op] = f"not named by only={','.join(self.only)}"

    def reason(self, op: Operation) -> str | None:
        """Why the operation is left out; None if it is not."""
        return self._reasons.get(op)


def _matches(text: str, labels: Sequence[str]) -> bool:
    return any(text == label or fnmatchcase(label, text) for label in labels)


def _no_match(option: str, text: str, labels: Iterable[Sequence[str]]) -> None:
    known = list(dict.fromkeys(name for names in labels for name in names))
    near = difflib.get_close_matches(text, known, 3)
    hint = "a filter is a node name, an op type (Conv) or a glob (*/attn/*)"
    if near:
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?"
    fail(None, f"the filter {option}={text} matches no operation", hint)
