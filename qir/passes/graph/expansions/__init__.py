"""Operators by formulas of others, for targets that have no record for them."""

from __future__ import annotations

from collections.abc import Sequence

# Each registers its formulas.
from qir.passes.graph.expansions import functions, normalizations, special  # noqa: F401
from qir.passes.graph.expansions.formula import EXPANSIONS
from qir.rewrite import PatternSet

__all__ = ["expansion_of", "expansions", "special_cases"]


def expansions(known: frozenset[str], also: Sequence[str] = ()) -> PatternSet:
    """The expansions of operators that are not `known`, and those of special cases that are named in `also`."""
    plain = [e for e in EXPANSIONS if not e.is_special and e.op_type not in known]
    return PatternSet([*(e for e in EXPANSIONS if e.name in also), *plain], "expand")


def expansion_of(op_type: str) -> PatternSet:
    """The expansion of one operator, for a target that wants its formula behind quantization and not before."""
    return PatternSet([e for e in EXPANSIONS if not e.is_special and e.op_type == op_type], f"expand-{op_type}")


def special_cases() -> list[str]:
    """The names of the expansions that run only where they are named."""
    return [e.name for e in EXPANSIONS if e.is_special]
