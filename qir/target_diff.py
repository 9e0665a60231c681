"""Two data sheets side by side: what changes for a model that goes from one chip to another.

Schemes are compared by name first: a format that differs is said once, in the table of formats, and not again for each
operation that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from qir.ir import Context
from qir.numerics.scheme import Scheme
from qir.target import Bias, Data, Demand, Rule, Target

__all__ = ["Aspect", "Difference", "OneSided", "TargetDiff", "diff_targets", "render_diff"]

NOTHING = "nothing"
LONG = 50


@attrs.frozen
class Aspect:
    """One heading under which two data sheets say different things, and what each says."""

    name: str
    a: str
    b: str


@attrs.frozen
class Difference:
    """Operations that both targets quantize, and that differ in the same way."""

    ops: tuple[str, ...]
    aspects: tuple[Aspect, ...]


@attrs.frozen
class OneSided:
    """Operations that one target quantizes: by which role, and what the other one's data sheet says of them."""

    ops: tuple[str, ...]
    role: str
    other: str


@attrs.frozen
class TargetDiff:
    """What differs between the targets `a` and `b`.

    `formats` are the number formats by name as each spells them, where they differ; `same` the operations that both
    quantize in one way (the formats aside).
    """

    a: Target
    b: Target
    formats: tuple[Aspect, ...]
    only_a: tuple[OneSided, ...]
    only_b: tuple[OneSided, ...]
    changed: tuple[Difference, ...]
    same: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both data sheets say the same."""
        return not (self.formats or self.only_a or self.only_b or self.changed)


def diff_targets(a: Target, b: Target) -> TargetDiff:
    """Compare two data sheets, of a target with modes the default one; for another give `target.in_mode(name)`."""
    a, b = (target.in_mode("") if target.modes else target for target in (a, b))
    names = dict.fromkeys([*a.schemes, *b.schemes])
    formats = (Aspect(name, *(_format(t.schemes.get(name)) for t in (a, b))) for name in names)
    ops = list(dict.fromkeys(op for target in (a, b) for rule in target.rules for op in rule.ops))
    one_sided: dict[tuple[bool, str, str], list[str]] = {}
    changed: dict[tuple[Aspect, ...], list[str]] = {}
    for op in ops:
        in_a, in_b = _quantizing(a, op), _quantizing(b, op)
        if in_a and in_b:
            changed.setdefault(tuple(_aspects(_Operands(op), a, in_a, b, in_b)), []).append(op)
        elif in_a or in_b:
            role = " or ".join(dict.fromkeys(rule.role for rule in in_a or in_b))
            one_sided.setdefault((bool(in_a), role, _why_float(b if in_a else a, op)), []).append(op)
    same = changed.pop((), [])
    sides = {
        side: tuple(OneSided(tuple(ops), role, why) for (of_a, role, why), ops in one_sided.items() if of_a is side)
        for side in (True, False)
    }
    return TargetDiff(
        a,
        b,
        tuple(f for f in formats if f.a != f.b),
        sides[True],
        sides[False],
        tuple(Difference(tuple(ops), aspects) for aspects, ops in changed.items()),
        tuple(same),
    )


def _format(scheme: Scheme | None) -> str:
    return NOTHING if scheme is None else str(scheme)


def _quantizing(target: Target, op: str) -> list[Rule]:
    return [rule for rule in target.rules if op in rule.ops and rule.role != "float"]


def _why_float(target: Target, op: str) -> str:
    notes = [rule.note for rule in target.rules if op in rule.ops and rule.note]
    return "; ".join(dict.fromkeys(notes)) or "not in its data sheet"


# ---------------------------------------------------------------- one operation
class _Operands:
    """What an operation's operands are called: a data sheet may name one or give its position."""

    def __init__(self, op: str) -> None:
        context = Context()
        cls = context.op_class(f"onnx.{op}") or context.op_class(op)
        self.names = [field.name for field in cls.definition.operands] if cls is not None and cls.definition else []

    def name(self, key: str | int) -> str:
        if isinstance(key, str):
            return key
        return self.names[key] if key < len(self.names) else f"operand {key}"


def _aspects(
    operands: _Operands, a: Target, rules_a: Sequence[Rule], b: Target, rules_b: Sequence[Rule]
) -> Iterator[Aspect]:
    """Everything but the formats' spelling; what several rules for one operation say is joined by ``or``."""
    yield from _differs("role", [r.role for r in rules_a], [r.role for r in rules_b])
    asked_a, asked_b = (
        [{operands.name(k): d for k, d in r.operands.items()} for r in rules] for rules in (rules_a, rules_b)
    )
    for name in dict.fromkeys(name for asked in (*asked_a, *asked_b) for name in asked):
        of_a, of_b = ([asked[name] for asked in every if name in asked] for every in (asked_a, asked_b))
        yield from _asked(name, a, [(d.scheme, _where(d)) for d in of_a], b, [(d.scheme, _where(d)) for d in of_b])
    result_a, result_b = ([(r.result or "", _given(r)) for r in rules if r.result] for rules in (rules_a, rules_b))
    yield from _asked("result", a, result_a, b, result_b)
    yield from _differs("fused", [_fused(r) for r in rules_a], [_fused(r) for r in rules_b])
    yield from _differs("sharing", [_sharing(r) for r in rules_a], [_sharing(r) for r in rules_b])
    needs = ["; ".join(dict.fromkeys(_beyond(*pair))) for pair in ((rules_a, rules_b), (rules_b, rules_a))]
    yield from _differs("needs", *([text] if text else [] for text in needs))


def _beyond(rules: Sequence[Rule], others: Sequence[Rule]) -> Iterator[str]:
    """What the rules need and the others do not."""
    known = {c.needs for rule in others for c in rule.where}
    yield from (c.needs for rule in rules for c in rule.where if c.needs not in known)


def _differs(name: str, of_a: Sequence[str], of_b: Sequence[str]) -> Iterator[Aspect]:
    a, b = (" or ".join(dict.fromkeys(filter(None, texts))) or NOTHING for texts in (of_a, of_b))
    if a != b:
        yield Aspect(name, a, b)


_Asked = Sequence[tuple[str, str]]
"""What rules ask of an operand or say of a result: the scheme's name, and the rest in words."""


def _asked(name: str, a: Target, of_a: _Asked, b: Target, of_b: _Asked) -> Iterator[Aspect]:
    """Alike are schemes of one name (the table of formats has said what differs) and schemes of one format."""

    def alike(x: tuple[str, str], y: tuple[str, str]) -> bool:
        return x[1] == y[1] and (x[0] == y[0] or a.schemes[x[0]] == b.schemes[y[0]])

    if len(of_a) != len(of_b) or not all(alike(x, y) for x, y in zip(of_a, of_b, strict=True)):
        yield from _differs(
            name, [", ".join(filter(None, x)) for x in of_a], [", ".join(filter(None, y)) for y in of_b]
        )


def _where(demand: Demand) -> str:
    if isinstance(demand, Bias):
        return f"constant, scale = {' × '.join(demand.of)}"
    if isinstance(demand, Data):
        return "and so by all who read it" if demand.joint else ""
    return f"constant, {demand.scales}"


def _given(rule: Rule) -> str:
    given = "always" if rule.output == "always" else "where demanded"
    return given if rule.fixed is None else f"{given}, scale {rule.fixed[0]!r} and zero point {rule.fixed[1]}"


def _fused(rule: Rule) -> str:
    return ", ".join(f.op + (f" ({'; '.join(c.needs for c in f.where)})" if f.where else "") for f in rule.fused)


def _sharing(rule: Rule) -> str:
    return {False: "", True: "operands share where nothing else reads them", "always": "all operands share"}[rule.share]


# ---------------------------------------------------------------- rendering
def render_diff(diff: TargetDiff) -> str:
    """The comparison as text, for ``qir targets A --diff B``: A on the left of each ``|``, B on its right."""
    a, b = diff.a.name, diff.b.name
    lines = [f"{a} | {b}", ""]
    if diff.is_empty:
        lines += ["Both data sheets say the same.", ""]
    if diff.formats:
        lines += ["Number formats", *_table(diff.formats, "  "), ""]
    for name, other, groups in ((a, b, diff.only_a), (b, a, diff.only_b)):
        if groups:
            lines.append(f"Quantized by {name} only")
            for group in groups:
                lines += [f"  {', '.join(group.ops)}", f"      {group.role}; {other}: {group.other}"]
            lines.append("")
    if diff.changed:
        lines.append("Quantized by both, in different ways")
        for difference in diff.changed:
            lines += [f"  {', '.join(difference.ops)}", *_table(difference.aspects, "      ")]
        lines.append("")
    if diff.same:
        lines += ["Quantized by both in one way", f"  {', '.join(diff.same)}", ""]
    lines.append("A format that differs counts for every operation that names it.")
    return "\n".join(lines)


def _table(aspects: Sequence[Aspect], margin: str) -> Iterator[str]:
    """A line for each; where the left side is longer than half a line, the right one goes below it."""
    width = max(len(aspect.name) for aspect in aspects)
    left = max((len(aspect.a) for aspect in aspects if len(aspect.a) <= LONG), default=0)
    for aspect in aspects:
        gap = f"\n{margin}{'':{width + 2}}" if len(aspect.a) > LONG else " "
        yield f"{margin}{aspect.name:{width}}  {aspect.a:{left}}{gap}| {aspect.b}"
