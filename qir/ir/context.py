"""The context: dialects loaded by name, diagnostics, remarks. There is no global state."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from qir.ir.attributes import Attribute
from qir.ir.core import Operation, Region, UnregisteredOp, Value
from qir.ir.diagnostics import Diagnostic, DiagnosticEngine, Severity, fail
from qir.ir.location import UNKNOWN, Location
from qir.ir.shipped import installed_modules, lowering_modules
from qir.ir.types import Type

__all__ = ["BUILTIN_DIALECTS", "Context", "Dialect", "no_gc"]

BUILTIN_DIALECTS: dict[str, str] = {
    "ai": "qir.dialects.onnx:DIALECT_AI",
    "builtin": "qir.dialects.builtin:DIALECT",
    "func": "qir.dialects.func:DIALECT",
    "onnx": "qir.dialects.onnx:DIALECT",
    "quant": "qir.dialects.quant:DIALECT",
    "qsim": "qir.dialects.qsim:DIALECT",
    **{name: f"{module}:DIALECT" for name, module in lowering_modules("dialect").items()},
}
"""Where the dialects that come with qir are; installed packages bring others: ``dialect.py`` beside a target, or any
module in the entry-point group ``qir.dialects``."""


class Dialect:
    """A named set of operations. `lookup`, where given, makes classes on demand from full names (``onnx.Conv``)."""

    def __init__(
        self, name: str, ops: Sequence[type[Operation]] = (),
        lookup: Callable[[str], type[Operation] | None] | None = None, doc: str = "",
        known: Callable[[], Iterable[str]] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.doc = name, doc
        self.ops: dict[str, type[Operation]] = {op.name: op for op in ops}
        self.lookup, self.known = lookup, known

    def names(self) -> list[str]:
        """The full names of all operations, also of those that `lookup` has not made yet."""
        return [*self.ops, *(self.known() if self.known is not None else ())]

    def op_class(self, name: str) -> type[Operation] | None:
        cls = self.ops.get(name)
        if cls is None and self.lookup is not None:
            cls = self.lookup(name)
            if cls is not None:
                self.ops[name] = cls
        return cls


class Context:
    """What one compilation shares. With `allow_unregistered` operations of unknown dialects are kept as they are."""

    def __init__(self, allow_unregistered: bool = False) -> None:
        self.allow_unregistered = allow_unregistered
        self.engine = DiagnosticEngine()
        self.extensions: dict[type, Any] = {}
        """What upper layers keep per compilation, by class (the rewriter's controls)."""
        self._dialects: dict[str, Dialect | None] = {}
        self._classes: dict[str, type[Operation] | None] = {}

    # ------------------------------------------------------------ dialects
    def register_dialect(self, dialect: Dialect) -> None:
        """Add a dialect to this context only."""
        self._dialects[dialect.name] = dialect
        self._classes.clear()

    def dialect(self, name: str) -> Dialect | None:
        """The dialect called `name`, loaded on first use; None if there is none."""
        if name not in self._dialects:
            self._dialects[name] = load_dialect(name)
        return self._dialects[name]

    def op_class(self, name: str) -> type[Operation] | None:
        """The class of the operations called `name` (``onnx.Conv``); None if it is not registered."""
        try:
            return self._classes[name]
        except KeyError:
            dialect = self.dialect(name.partition(".")[0])
            cls = self._classes[name] = dialect.op_class(name) if dialect is not None else None
            return cls

    def create_op(
        self, name: str, operands: Sequence[Value] = (), result_types: Sequence[Type] = (),
        attributes: Mapping[str, Attribute] | None = None, regions: Sequence[Region] = (), location: Location = UNKNOWN,
    ) -> Operation:  # fmt: skip
        """An operation by name: of its class if registered, else an `UnregisteredOp`."""
        cls = self.op_class(name)
        if cls is None:
            return UnregisteredOp.create(operands, result_types, attributes, regions, location, name=name)
        return cls.create(operands, result_types, attributes, regions, location)

    # ------------------------------------------------------------ diagnostics
    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What was emitted and no handler took."""
        return self.engine.diagnostics

    def emit(self, diagnostic: Diagnostic) -> None:
        self.engine.emit(diagnostic)

    def warning(self, location: Location, message: str, hint: str | None = None) -> None:
        self.emit(Diagnostic(Severity.WARNING, location, message, hint=hint))

    def remark(self, category: str, location: Location, message: str, name: str = "") -> None:
        """Say why something was done (``passed``), not done (``missed``) or found (``analysis``) by the pass `name`."""
        self.emit(Diagnostic(Severity.REMARK, location, message, category=category, name=name))


def load_dialect(name: str) -> Dialect | None:
    """The dialect that comes with qir or that an installed package registers under `name`."""
    path = BUILTIN_DIALECTS.get(name) or _installed_dialect(name)
    if path is None:
        return None
    module, _, attribute = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        if name in BUILTIN_DIALECTS:
            raise
        fail(None, f"the dialect '{name}' of {path} cannot be loaded: {error}", "reinstall the package that brings it")
    if not isinstance(found, Dialect):
        fail(None, f"the dialect '{name}' is registered as {found!r}, which is no Dialect")
    return found


def _installed_dialect(name: str) -> str | None:
    from importlib.metadata import entry_points

    for point in entry_points(group="qir.dialects"):
        if point.name == name:
            return point.value
    module = installed_modules("dialect").get(name)
    return None if module is None else f"{module}:DIALECT"


@contextmanager
def no_gc() -> Any:
    """Switch the garbage collector off while many objects are built: it would walk them all again and again."""
    import gc

    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
