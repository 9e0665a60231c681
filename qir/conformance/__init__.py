"""The conformance kit: what any target must pass, with nothing about a target known to it (``qir check-target``)."""

from qir.conformance.report import Report, grouped, report_table
from qir.conformance.runner import check_target
from qir.conformance.zoo import find_zoo

__all__ = ["Report", "check_target", "find_zoo", "grouped", "report_table"]
