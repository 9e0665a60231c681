"""What a hardware target is, and where targets are found.

A target is a data sheet (`Rule`s over `Scheme`s), a pipeline, the patterns into its own dialect and an exporter.
`annotate` interprets the rules; nothing about a chip stands anywhere else.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from qir.ir import Context, Operation, QirError, Value, fail, is_absent
from qir.ir.shipped import lowering_modules
from qir.numerics.scheme import Scheme
from qir.rewrite import constant_of

if TYPE_CHECKING:
    from qir.dialects.builtin import ModuleOp

__all__ = [
    "Artifact", "Axis", "Bias", "Constraint", "Data", "Demand", "Fused", "Rule", "Runtime", "Scheme", "Target",
    "Tolerance", "Weight", "attribute_is", "constant_of", "get_target", "installed", "is_constant", "is_installed",
    "late", "list_targets", "node_name", "operand_indices", "register_target", "render_target", "targets_for",
]  # fmt: skip

Role = Literal["compute", "follow", "move", "float"]


# ---------------------------------------------------------------- reading an operation
def is_constant(value: Value) -> bool:
    """Whether the value is a constant tensor, by itself or behind its quantizer."""
    source = value.defining_op
    if source is not None and source.name in ("qsim.fake", "qsim.decode"):
        value = source.operands[0]
    return constant_of(value) is not None


def node_name(op: Operation) -> str:
    """What a message calls an operation: its ONNX node name, else its first result's name, else its op name."""
    names = op.location.names()
    if names:
        return names[0]
    return next((r.name for r in op.results if r.name), None) or op.name


def operand_indices(op: Operation, key: str | int) -> tuple[int, ...]:
    """The positions of the operands that a data sheet calls `key`: ONNX's operand name, or an index.

    Absent operands are left out.
    """
    found: Iterable[int] = ()
    if isinstance(key, int):
        found = (key,)
    elif op.definition is not None:
        position = next((i for i, field in enumerate(op.definition.operands) if field.name == key), None)
        if position is not None:
            variadic = op.definition.operands[position].variadic
            found = range(position, len(op.operands)) if variadic else (position,)
    return tuple(i for i in found if i < len(op.operands) and not is_absent(op.operands[i]))


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


# ---------------------------------------------------------------- the words of a data sheet
@attrs.frozen
class Constraint:
    """A condition on an operation: what the data sheet says it needs, and what a remark says when it does not hold."""

    needs: str
    otherwise: str
    holds: Callable[[Operation], bool]


def attribute_is(name: str, *values: Any, default: Any = None) -> Constraint:
    """The attribute (or its default) is one of these values."""
    words = " or ".join(map(str, values))
    return Constraint(f"{name} is {words}", f"{name} is not {words}", lambda op: op.attr(name, default) in values)


@attrs.frozen
class Axis:
    """The axis along which each element has its own scale, worked out from the operation and its operand; None is per
    tensor. `text` says it in the data sheet."""

    text: str
    of: Callable[[Operation, Value], int | None]


@attrs.frozen
class Data:
    """An operand that is an activation (or a constant in an activation's place).

    Who reads the same value reads it quantized too if `joint`, so that one tensor is stored and not two; otherwise the
    others read the floats, where there are any.
    """

    scheme: str
    joint: bool = False


@attrs.frozen
class Weight:
    """An operand that must be a constant, with its own scales along `axis` (None: one scale)."""

    scheme: str
    axis: int | Axis | None = None


@attrs.frozen
class Bias:
    """A constant whose scale is the product of the scales of two other operands, times `factor`."""

    scheme: str
    of: tuple[str, str]
    factor: Callable[[Operation], float] = lambda op: 1.0


Demand = Data | Weight | Bias


@attrs.frozen
class Fused:
    """An activation function that the target computes inside the op before it.

    It may stand between that op and its result's quantizer.
    """

    op: str
    where: tuple[Constraint, ...] = ()


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen
class Rule:
    """One line of the data sheet.

    `ops` are ONNX op types (``Conv``) or full names of other domains (``com.microsoft.Gelu``). Roles:

    - ``compute``: quantized wherever its constraints hold; its `operands` get the quantizers that they demand.
    - ``follow``: quantized where all its data operands carry quantizers already (constants join) and its result is
      demanded, or feeds only ops that follow or move.
    - ``move``: moves or selects elements; operand and results share one quantizer between quantized ops.
    - ``float``: stays float, for the reason in `note`. Behind quantized ops of the types `within` (and behind one that
      is such a part itself) it is a part of their kernel, and no float op of its own.

    `result` is the scheme of the results; ``output="always"`` quantizes them even if nobody asks (the kernel gives
    integers only). `fused` lists what may stand between the op and its result's quantizer. ``share=True`` lets operands
    that nothing else reads share the result's quantizer; with ``"always"`` the others get a requantization to it.
    `fixed` is the scale and zero point that the kernel's result has, whatever the data. `modes` limits the rule to
    modes of the target. Of several rules for an op the first is taken whose `where` holds, and whose weights and
    biases are constants (or not there).
    """

    ops: tuple[str, ...] = attrs.field(converter=_texts)
    role: Role
    operands: Mapping[str | int, Demand] = attrs.field(factory=dict)
    result: str | None = None
    output: Literal["always", "demanded"] = "demanded"
    fused: tuple[Fused, ...] = ()
    share: bool | Literal["always"] = False
    fixed: tuple[float, int] | None = None
    where: tuple[Constraint, ...] = ()
    within: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    modes: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    note: str = ""


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
      profile of the runtime, ``""`` for all op types or all profiles that have none of their own.

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
    patterns: Callable[[Target], Any] | None = None
    export: Exporter | None = None
    runtime: Runtime | None = None
    opset: Mapping[str, int] = attrs.field(factory=dict)
    verify: Callable[[ModuleOp, Context], None] | None = None
    held: tuple[str, ...] = ("builtin", "func")
    io: tuple[Literal["float", "integer"], ...] = ("float",)
    bounds: Mapping[tuple[str, str], Tolerance] = attrs.field(factory=dict)
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

    def tolerance(self, op: str, profile: str = "") -> Tolerance:
        """How far the simulation of an op type (``net``: of a whole model) may be from the runtime in a profile."""
        keys = (op, profile), (op, ""), ("", profile)
        return next((self.bounds[key] for key in keys if key in self.bounds), Tolerance())

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


# ---------------------------------------------------------------- registry
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


# ---------------------------------------------------------------- rendering
def _demand_text(name: str | int, demand: Demand) -> str:
    if isinstance(demand, Weight):
        axis = demand.axis
        where = "per tensor" if axis is None else f"axis {axis}" if isinstance(axis, int) else axis.text
        return f"{name}: constant {demand.scheme}, {where}"
    if isinstance(demand, Bias):
        return f"{name}: constant {demand.scheme}, scale = {' × '.join(demand.of)}"
    return f"{name}: {demand.scheme}"


def _rule_lines(rule: Rule) -> Iterator[str]:
    yield f"  {', '.join(rule.ops)}"
    demands = "; ".join(_demand_text(k, d) for k, d in rule.operands.items())
    if demands:
        yield f"      {demands}"
    if rule.result and rule.role != "move":
        yield f"      result: {rule.result}, {'always' if rule.output == 'always' else 'where demanded'}"
    if rule.fused:
        yield f"      fused into it: {', '.join(f.op for f in rule.fused)}"
    if rule.within:
        yield f"      behind {', '.join(rule.within)} a part of their kernel"
    if rule.share:
        others = "; others are requantized to it" if rule.share == "always" else ""
        yield f"      operands that nothing else reads share the result's quantizer{others}"
    if rule.fixed:
        yield f"      the result's scale is {rule.fixed[0]!r}, its zero point {rule.fixed[1]}"
    if rule.modes:
        yield f"      in the mode{'s' if len(rule.modes) > 1 else ''} {', '.join(m or 'default' for m in rule.modes)}"
    if rule.where:
        yield f"      needs: {'; '.join(c.needs for c in rule.where)}"
    if rule.note:
        yield f"      {rule.note}"


_ROLES: dict[str, str] = {
    "compute": "Compute: quantized wherever they stand",
    "follow": "Follow: quantized between quantized ops",
    "move": "Move: operand and results share one quantizer",
    "float": "Float: never quantized",
}


def render_target(target: Target) -> str:
    """The data sheet as text, for ``qir targets NAME``."""
    lines = [f"{target.name}: {target.title}".rstrip(": "), ""]
    width = max(map(len, [*target.schemes, *(name for mode in target.modes.values() for name in mode)]), default=0)
    if target.schemes:
        lines += ["Number formats", *(f"  {name:{width}}  {scheme}" for name, scheme in target.schemes.items()), ""]
    for mode, changes in target.modes.items():
        spelled = ((name, "float" if scheme is None else str(scheme)) for name, scheme in changes.items())
        lines += [f"In the mode '{mode}'", *(f"  {name:{width}}  {text}" for name, text in spelled), ""]
    for role, title in _ROLES.items():
        rules = [r for r in target.rules if r.role == role]
        if rules:
            lines += [title, *(line for rule in rules for line in _rule_lines(rule)), ""]
    lines.append(f"Any other op stays float. Patterns start from a {target.level} module.")
    if "integer" in target.io:
        lines.append("Inputs and outputs can be integers.")
    if target.opset:
        lines.append("Operator sets raised to at least: " + ", ".join(f"{k} {v}" for k, v in target.opset.items()))
    if target.runtime is not None:
        version = target.runtime.version()
        state = f"{version} is installed" if version else f"not installed: {target.runtime.install}"
        lines.append(f"Runtime: {target.runtime.name}, {state}")
        if len(target.runtime.profiles) > 1:
            lines.append(f"It can run an artifact in the profiles {', '.join(target.runtime.profiles)}")
    lines += target.notes
    if target.pipeline:
        lines += ["", "Default pipeline", f"  {target.pipeline}"]
    return "\n".join(lines)
