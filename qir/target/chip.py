"""What a hardware target is: a data sheet, a pipeline, the patterns into its own dialect, an exporter, a runtime."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from qir.ir import Context, Operation, fail
from qir.numerics.scheme import Scheme
from qir.rewrite import PatternSet
from qir.target.sheet import Bias, Role, Rule, Weight, is_constant, operand_indices

if TYPE_CHECKING:
    from qir.dialects.builtin import ModuleOp

__all__ = ["Artifact", "Runtime", "Target", "Tolerance", "installed", "late"]


def late(path: str) -> Callable[..., Any]:
    """The function ``package.module:name``, imported when it is called.

    So that a target is listed without importing what its patterns, exporter and runtime need.
    """

    def call(*args: Any, **keywords: Any) -> Any:
        module, _, name = path.partition(":")
        return getattr(importlib.import_module(module), name)(*args, **keywords)

    return call


def installed(*distributions: str) -> Callable[[], str | None]:
    """A function for `Runtime.version`: the version of the first of these distributions that is installed, or None."""

    def found() -> str | None:
        from importlib.metadata import PackageNotFoundError, version

        for name in distributions:
            with suppress(PackageNotFoundError):
                return version(name)
        return None

    return found


@attrs.frozen
class Artifact:
    """A file that an exporter wrote: what it is, in a line, and the command that runs it."""

    path: Path
    what: str
    command: str


@attrs.frozen
class Runtime:
    """The real runtime of a target, where it can be installed.

    - `version` gives the installed version or None, `install` is the command that installs it.
    - `run(path, inputs, profile)` runs an artifact on numpy arrays by input name and gives its outputs by name. Any
      exception means that it cannot; a QirError is shown as it is.
    - `profiles` are the ways in which it can run one artifact with an arithmetic of its own (kernel sets, options), the
      default one first; a module's ``qir.profile`` says which one the interpreter simulates.
    - `suffixes` are the endings of the files that `run` takes, of several files the one that is named (``.xml``).
    - `on_load` are the passes that do to a module what the runtime does to an artifact when it loads it; the lowered
      module is simulated behind them. `account(path)` says in words what it made of the artifact, or nothing.
    - `isolated` is for libraries that a broken file can crash: such files run in a process of their own.
    """

    name: str
    install: str
    version: Callable[[], str | None]
    run: Callable[..., dict[str, Any]]
    profiles: tuple[str, ...] = ("",)
    suffixes: tuple[str, ...] = (".onnx",)
    on_load: str = ""
    account: Callable[[Path], str] | None = None
    isolated: bool = True

    def check_profile(self, profile: str | None) -> None:
        """Raises QirError for a profile that the runtime does not have; none is the default one."""
        if profile and profile not in self.profiles:
            names = ", ".join(filter(None, self.profiles))
            hint = f"its profiles are {names}" if names else "it runs an artifact in one way only"
            fail(None, f"{self.name} has no profile '{profile}'", hint)


@attrs.frozen
class Tolerance:
    """How far the simulation may be from the runtime, and why.

    Of a quantized result at most `fraction` of the elements may differ, by at most `steps` of its quantizer. Floats are
    equal within `relative` of the largest number of the result (float32 sums in another order are off by less), at most
    `fraction` of them not. `absent`: the runtime has no kernel for it in this profile, and says so; ``partly``: for
    some forms of it.
    """

    steps: int = 0
    fraction: float = 0.0
    relative: float = 5e-5
    absent: bool | Literal["partly"] = False
    reason: str = ""


Exporter = Callable[..., Sequence[Artifact]]


def _schemes_of(rule: Rule) -> list[str]:
    """The names of the schemes that a rule asks for."""
    return [d.scheme for d in rule.operands.values()] + ([rule.result] if rule.result else [])


def _in_float(rule: Rule, floats: set[str]) -> Rule:
    """A rule without what is of these schemes."""
    if not floats.intersection(_schemes_of(rule)):
        return rule
    kept = {key: demand for key, demand in rule.operands.items() if demand.scheme not in floats}
    result = None if rule.result in floats else rule.result
    weights = any(isinstance(demand, Weight) for demand in kept.values())
    role: Role = rule.role if weights and rule.role == "compute" else "float"
    note = rule.note if role != "float" else "this mode quantizes weights only"
    return attrs.evolve(rule, operands=kept, result=result, role=role, output="demanded", note=note)


@attrs.frozen
class Target:
    """A chip or runtime that modules are compiled for.

    - `schemes` name the number formats, `elements` the float types that it quantizes, `rules` is the data sheet.
    - `pipeline` is the default job as a pipeline string (``{data}`` options are filled in by the tool), `formats` the
      forms of the artifact by name, the default one first, each with the passes to append to the pipeline (in place of
      its end, from the pass on that they begin with, if it has that one).
    - `modes` are other ways to quantize for the chip: each replaces schemes by name (None: operands of that scheme
      stay float), and rules may be limited to modes. The data sheet as it stands is the mode ``""``.
    - `level` is the stage that `patterns` start from, `patterns(target)` are the rewrites into the dialect `dialect`,
      for the target in the module's mode, in one set or in several, one after the other; `held` are the dialects whose
      operations may stand beside it.
    - `io` says what the artifact's inputs and outputs can be: floats, or (``quantize-io``) codes too.
    - `export(module, context, folder, name, …)` writes the artifact and returns its files; `opset` is the lowest
      version of each operator set that the artifact needs.
    - `bounds` say where the simulation is not the runtime's numbers exactly: by op type (``net`` for whole models) and
      profile of the runtime, ``""`` for all op types or all profiles that have none of their own. A third name limits
      a bound to one mode (``""``: the data sheet as it stands).

    `patterns`, `export` and `verify` are called late, so that a target is listed without importing what they need.
    """

    name: str
    title: str = ""
    dialect: str = ""
    schemes: Mapping[str, Scheme] = attrs.field(factory=dict)
    elements: tuple[str, ...] = ("f32",)
    rules: tuple[Rule, ...] = ()
    modes: Mapping[str, Mapping[str, Scheme | None]] = attrs.field(factory=dict)
    pipeline: str = ""
    formats: Mapping[str, str] = attrs.field(factory=dict)
    level: Literal["simulated", "materialised"] = "materialised"
    patterns: Callable[[Target], PatternSet | Sequence[PatternSet]] | None = None
    export: Exporter | None = None
    runtime: Runtime | None = None
    opset: Mapping[str, int] = attrs.field(factory=dict)
    verify: Callable[[ModuleOp, Context], None] | None = None
    held: tuple[str, ...] = ("builtin", "func")
    io: tuple[Literal["float", "integer"], ...] = ("float",)
    bounds: Mapping[tuple[str, str] | tuple[str, str, str], Tolerance] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        for rule in self.rules:
            known = {*self.schemes, *(name for mode in rule.modes for name in self.modes.get(mode, ()))}
            for scheme in _schemes_of(rule):
                if scheme not in known:
                    fail(None, f"target '{self.name}': the rule for {', '.join(rule.ops)} names the scheme '{scheme}'",
                         f"its schemes are {', '.join(self.schemes)}")  # fmt: skip
            for mode in rule.modes:
                if mode and mode not in self.modes:
                    fail(None, f"target '{self.name}': the rule for {', '.join(rule.ops)} names the mode '{mode}'",
                         f"its modes are {', '.join(self.modes) or 'none'}")  # fmt: skip

    def in_mode(self, mode: str) -> Target:
        """The target as the data sheet of one mode alone: its schemes and its rules.

        Raises QirError for a mode that it does not have. Operands whose scheme the mode leaves in float are no demands
        any more; a rule that demands nothing and gives nothing is float.
        """
        if mode and mode not in self.modes:
            modes = f"its modes are {', '.join(self.modes)}" if self.modes else "it has one mode only"
            fail(None, f"the target '{self.name}' has no mode '{mode}'", modes)
        changes = self.modes.get(mode, {})
        floats = {name for name, scheme in changes.items() if scheme is None}
        schemes = {k: v for k, v in {**self.schemes, **changes}.items() if v is not None}
        chosen = (attrs.evolve(rule, modes=()) for rule in self.rules if not rule.modes or mode in rule.modes)
        rules = tuple(_in_float(rule, floats) for rule in chosen)
        return attrs.evolve(self, schemes=schemes, rules=rules, modes={})

    def phases(self) -> tuple[PatternSet, ...]:
        """The patterns, one set after the other; none for a target without."""
        found = self.patterns(self) if self.patterns is not None else ()
        return (found,) if isinstance(found, PatternSet) else tuple(found)

    def tolerance(self, op: str, profile: str = "", mode: str = "") -> Tolerance:
        """How far the simulation of an op type (``net``: of a whole model) may be from the runtime in a profile and a
        mode: what `bounds` say of both, else of this op type and profile, this op type, this profile."""
        for what in ((op, profile), (op, ""), ("", profile)):
            for key in ((*what, mode), what):
                if key in self.bounds:
                    return self.bounds[key]
        return Tolerance()

    def rules_for(self, op_name: str) -> tuple[Rule, ...]:
        """The rules of an op by its IR name (``onnx.Conv``, ``com.microsoft.Gelu``), in order."""
        short = op_name.removeprefix("onnx.")
        return tuple(rule for rule in self.rules if short in rule.ops)

    def choose(self, op: Operation) -> tuple[Rule | None, str]:
        """The rule that applies to an operation, or None and the reason."""
        rules = self.rules_for(op.name)
        if not rules:
            return None, f"{op.name} is not in the data sheet of {self.name}"
        reasons = []
        for rule in rules:
            broken = next((c.otherwise for c in rule.where if not c.holds(op)), None) or _computed(rule, op)
            if broken is None:
                return rule, rule.note
            reasons.append(broken)
        return None, "; ".join(dict.fromkeys(reasons))


def _computed(rule: Rule, op: Operation) -> str | None:
    """What is wrong with a weight or bias that is there and no constant."""
    for key, demand in rule.operands.items():
        if isinstance(demand, (Weight, Bias)):
            for index in operand_indices(op, key):
                if not is_constant(op.operands[index]):
                    return f"{key} is not a constant"
    return None
