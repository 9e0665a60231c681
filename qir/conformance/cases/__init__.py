"""The cases of the conformance kit: for each ONNX operator the shapes and attributes that it is tried with.

They know no target: whether an operator is quantized, and what stands around it, is the data sheet's business.
"""

from qir.conformance.cases import functions, moves, products
from qir.conformance.cases.table import CASES, Case

__all__ = ["CASES", "Case", "functions", "moves", "products"]
