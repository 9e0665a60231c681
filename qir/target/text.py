"""Data sheets as text."""

from __future__ import annotations

from collections.abc import Iterator

from qir.target.chip import Target
from qir.target.sheet import Bias, Demand, Rule, Weight

__all__ = ["render_target"]


def _demand_text(name: str | int, demand: Demand) -> str:
    if isinstance(demand, Weight):
        return f"{name}: constant {demand.scheme}, {demand.scales}"
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
