"""Error measures, and what quantization does to a module, tensor by tensor."""

from qir.analysis.measures import ErrorMeasure
from qir.analysis.twin import TensorError, main_function, quantization_errors

__all__ = ["ErrorMeasure", "TensorError", "main_function", "quantization_errors"]
