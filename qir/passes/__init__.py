"""Passes: what they are, how they are found, how pipelines of them run.

The passes themselves are in the families: `graph` (float rewrites), `quantize` (annotate, calibrate, materialise),
`optimise`. They are imported when a pipeline names them.
"""

from qir.passes.base import Pass, Statistics, option, option_specs, statistics_of
from qir.passes.instrumentation import Instrumentation, IRPrinter, StatisticsReport, Timing
from qir.passes.manager import PassManager, parse_pipeline, run_pipeline
from qir.passes.pipeline import Nested, parse_pipeline_items
from qir.passes.registry import all_passes, find_pass, pass_names, register_pass
from qir.passes.reproducer import Reproducer, ReproducerSettings, read_reproducer, write_reproducer

__all__ = [
    "IRPrinter",
    "Instrumentation",
    "Nested",
    "Pass",
    "PassManager",
    "Reproducer",
    "ReproducerSettings",
    "Statistics",
    "StatisticsReport",
    "Timing",
    "all_passes",
    "find_pass",
    "option",
    "option_specs",
    "parse_pipeline",
    "parse_pipeline_items",
    "pass_names",
    "read_reproducer",
    "register_pass",
    "run_pipeline",
    "statistics_of",
    "write_reproducer",
]
