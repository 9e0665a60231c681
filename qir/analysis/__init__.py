"""Error measures, and what quantization does to a module, tensor by tensor."""

from qir.analysis.compare import Comparison, NamedError, compare_modules
from qir.analysis.measures import ErrorMeasure
from qir.analysis.report import comparison_table, error_table, report_json, worst_first, write_report
from qir.analysis.twin import TensorError, quantization_errors
from qir.dialects.func import main_function

__all__ = [
    "Comparison", "ErrorMeasure", "NamedError", "TensorError", "compare_modules", "comparison_table", "error_table",
    "main_function", "quantization_errors", "report_json", "worst_first", "write_report",
]  # fmt: skip
