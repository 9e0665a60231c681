"""Where targets are found: among those that come with qir, by entry point, or registered in this process."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from qir.ir import QirError, fail
from qir.ir.shipped import lowering_modules
from qir.target.chip import Target

__all__ = ["get_target", "is_installed", "list_targets", "register_target", "targets_for"]

_BUILTIN: dict[str, str] = {name: f"{module}:TARGET" for name, module in lowering_modules("__init__").items()}
"""Targets that come with qir; others register in the entry-point group ``qir.targets``."""

_REGISTERED: dict[str, Target] = {}


def register_target(target: Target) -> Target:
    """Make a target known to this process (entry points make one known to every process)."""
    _REGISTERED[target.name] = target
    return target


def _entry_points() -> Iterator[tuple[str, str]]:
    from importlib.metadata import entry_points

    for point in entry_points(group="qir.targets"):
        yield point.name, point.value


def list_targets() -> list[str]:
    """The names of all targets, sorted. Nothing is imported."""
    return sorted({*_BUILTIN, *_REGISTERED, *(name for name, _ in _entry_points())})


def _path_of(name: str) -> str | None:
    return _BUILTIN.get(name) or dict(_entry_points()).get(name)


def is_installed(target: Target) -> bool:
    """Whether other processes find the target too: it comes with qir or has an entry point."""
    return _path_of(target.name) is not None


def targets_for(path: Path) -> list[Target]:
    """The targets whose runtimes take a file of this ending, by name. One that cannot be loaded is passed over."""
    found = []
    for name in list_targets():
        with suppress(QirError):
            target = get_target(name)
            if target.runtime is not None and path.name.endswith(target.runtime.suffixes):
                found.append(target)
    return found


def get_target(name: str) -> Target:
    """The target called `name`. Raises QirError for an unknown one, or one whose package cannot be loaded."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    path = _path_of(name)
    if path is None:
        names = list_targets()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"the targets are {', '.join(names)}"
        fail(None, f"there is no target '{name}'", hint)
    module, _, attribute = path.partition(":")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # what a third party's module raises when it is imported may be anything
        fail(None, f"the target '{name}' ({path}) cannot be loaded: {error}", "reinstall the package that brings it")
    if not isinstance(target, Target):
        fail(None, f"the target '{name}' is registered as {path}, which is no Target")
    _REGISTERED[name] = target
    return target
