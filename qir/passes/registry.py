"""Passes by name, loaded when they are asked for.

A pass lives in the package of its family, in the module called like it (``fold-batch-norm`` in
``qir/passes/graph/fold_batch_norm.py``), so finding one imports nothing else; whatever is elsewhere is found by
importing all families. Targets bring their own passes in ``passes.py`` beside them, other packages in modules named
by the entry-point group ``qir.passes``.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import lru_cache
from typing import TypeVar

import attrs

from qir.ir.shipped import installed_modules, lowering_modules
from qir.passes.base import Pass

__all__ = ["all_passes", "find_pass", "pass_names", "register_pass", "suggestion"]

FAMILIES = ("qir.passes.graph", "qir.passes.quantize", "qir.passes.optimise", "qir.passes.lower")

P = TypeVar("P", bound=type[Pass])
_passes: dict[str, type[Pass]] = {}
_complete = False


def register_pass(cls: P) -> P:
    """Class decorator: make a pass known by its `name`. Raises ValueError where another class has the name."""
    if "__attrs_attrs__" not in vars(cls):
        cls = attrs.frozen(cls)
    known = _passes.get(cls.name)
    if not cls.name:
        raise ValueError(f"{cls.__qualname__} needs a name")
    if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ValueError(f"two passes are called '{cls.name}': {known.__module__} and {cls.__module__}")
    _passes[cls.name] = cls
    return cls


@lru_cache(maxsize=1)
def _modules() -> dict[str, list[str]]:
    """Every module of the families, by its last name."""
    found: dict[str, list[str]] = {}
    for family in FAMILIES:
        package = importlib.import_module(family)
        for info in pkgutil.iter_modules(package.__path__):
            found.setdefault(info.name, []).append(f"{family}.{info.name}")
    return found


def find_pass(name: str) -> type[Pass] | None:
    """The class of the pass called `name`, or None."""
    known = _passes.get(name)
    if known is None:
        for module in _modules().get(name.replace("-", "_"), ()):
            importlib.import_module(module)
        known = _passes.get(name)
    if known is None and not _complete:
        _import_all()
        known = _passes.get(name)
    return known


def _import_all() -> None:
    global _complete
    for modules in _modules().values():
        for module in modules:
            importlib.import_module(module)
    for module in {*lowering_modules("passes").values(), *installed_modules("passes").values()}:
        importlib.import_module(module)
    from importlib.metadata import entry_points

    for point in entry_points(group="qir.passes"):
        point.load()
    _complete = True


def all_passes() -> dict[str, type[Pass]]:
    """Every pass by name, sorted."""
    if not _complete:
        _import_all()
    return dict(sorted(_passes.items()))


def pass_names() -> list[str]:
    """The names of all passes."""
    return list(all_passes())


def suggestion(name: str, known: list[str]) -> str | None:
    """A "did you mean" for a name that is not among the known ones."""
    close = difflib.get_close_matches(name, known, 3, 0.5)
    return f"did you mean {' or '.join(repr(c) for c in close)}?" if close else None
