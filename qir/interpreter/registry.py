"""Which kernel runs which operation: a table of factories by op name and opset range.

A factory `build(node) -> callable(*tensors)` runs once when a plan is made; it reads attributes and constants there
and returns what the loop calls. Later registrations come before earlier ones, so a target or a user may replace any.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from qir.ir.shipped import installed_modules, lowering_modules

if TYPE_CHECKING:
    from qir.interpreter.node import Node

__all__ = ["Entry", "Factory", "Kernel", "find_kernel", "kernel", "kernels_in", "supported_ops", "user_kernel"]

Kernel = Callable[..., Any]
"""Takes one argument per operand (None where it is absent), then the captured values of an op with regions; returns
one tensor, or a tuple when the op has several results. A list is one value: a sequence."""

Factory = Callable[["Node"], Kernel]
F = TypeVar("F", bound=Factory)
G = TypeVar("G", bound=Kernel)


@attrs.frozen
class Entry:
    """One registered factory and what the plan may assume of its kernel.

    `fresh`: the first result never shares memory with an operand or a constant. `inplace`: the kernel overwrites the
    operand `node.inplace` when that is not None. `pure`: equal operands give equal results, so that a plan may
    evaluate it once when all its operands are constants.
    """

    build: Factory
    since: int = 1
    until: int | None = None
    fresh: bool = False
    inplace: bool = False
    pure: bool = True


_KERNELS: dict[str, list[Entry]] = {}
_MODULES: dict[str, list[str]] = {
    "onnx": ["qir.interpreter.kernels"],
    "ai.onnx": ["qir.interpreter.kernels"],
    "com.microsoft": ["qir.interpreter.kernels"],
    "qsim": ["qir.interpreter.kernels"],
    "quant": ["qir.interpreter.kernels"],
    "func": ["qir.interpreter.kernels"],
    "builtin": ["qir.interpreter.kernels"],
    **{name: [module] for name, module in lowering_modules("kernels").items()},
}


def kernel(
    *names: str,
    since: int = 1,
    until: int | None = None,
    fresh: bool = False,
    inplace: bool = False,
    pure: bool = True,
) -> Callable[[F], F]:
    """Registers a factory for ops of these names at the opsets `since`..`until` (both included) of their domain."""

    def register(build: F) -> F:
        entry = Entry(build, since, until, fresh, inplace, pure)
        for name in names:
            _KERNELS.setdefault(name, []).insert(0, entry)
        return build

    return register


def user_kernel(name: str, *, pure: bool = True) -> Callable[[G], G]:
    """`@qir.kernel("my.domain.Op")`: registers a plain function `f(op, *tensors)` as the kernel of an operation.

    `op` is the operation (`op.attr("alpha", 1.0)` reads an attribute); absent operands come as None. Returns a tensor,
    or a tuple of them for an op with several results. `pure=False` for functions with a state or randomness.
    """

    _load(name)  # first, so that a built-in kernel of that name comes later in the table

    def register(function: G) -> G:
        def build(node: Node) -> Kernel:
            op = node.op
            return lambda *tensors: function(op, *tensors)

        _KERNELS.setdefault(name, []).insert(0, Entry(build, pure=pure))
        return function

    return register


def kernels_in(dialect: str, module: str) -> None:
    """Says that kernels of `dialect.*` are registered by importing `module`; imported when one is needed."""
    modules = _modules(dialect)
    if module not in modules:
        modules.append(module)


@functools.cache
def _installed() -> dict[str, str]:
    """The modules of installed packages, by dialect: ``kernels.py`` beside a target, or what ``qir.kernels`` names."""
    return {**installed_modules("kernels"), **{p.name: p.value for p in entry_points(group="qir.kernels")}}


def _modules(prefix: str) -> list[str]:
    found = _MODULES.get(prefix)
    if found is None:
        installed = _installed().get(prefix)
        found = _MODULES[prefix] = [] if installed is None else [installed]
    return found


def _load(name: str) -> None:
    prefix = name
    while prefix:
        prefix = prefix.rpartition(".")[0]
        for module in _modules(prefix):
            importlib.import_module(module)


def find_kernel(name: str, opset: int) -> Entry | None:
    """The entry for an op name at an opset, or None."""
    _load(name)
    for entry in _KERNELS.get(name, ()):
        if entry.since <= opset and (entry.until is None or opset <= entry.until):
            return entry
    return None


def supported_ops(prefix: str = "") -> list[str]:
    """Names of the ops that have a kernel, sorted."""
    _load(prefix or "onnx.")
    return sorted(name for name in _KERNELS if name.startswith(prefix))
