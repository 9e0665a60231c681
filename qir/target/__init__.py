"""What a hardware target is, and where targets are found.

A target is a data sheet (`Rule`s over `Scheme`s), a pipeline, the patterns into its own dialect and an exporter.
`annotate` interprets the rules; nothing about a chip stands anywhere else.
"""

from __future__ import annotations

from qir.numerics.scheme import Scheme
from qir.rewrite import constant_of
from qir.target.chip import Artifact, Runtime, Target, Tolerance, installed, late
from qir.target.registry import get_target, is_installed, list_targets, register_target, targets_for
from qir.target.sheet import (
    Axis,
    Bias,
    Constraint,
    Data,
    Demand,
    Fused,
    Rule,
    Weight,
    attribute_is,
    is_constant,
    node_name,
    operand_indices,
)
from qir.target.text import render_target

__all__ = [
    "Artifact", "Axis", "Bias", "Constraint", "Data", "Demand", "Fused", "Rule", "Runtime", "Scheme", "Target",
    "Tolerance", "Weight", "attribute_is", "constant_of", "get_target", "installed", "is_constant", "is_installed",
    "late", "list_targets", "node_name", "operand_indices", "register_target", "render_target", "targets_for",
]  # fmt: skip
