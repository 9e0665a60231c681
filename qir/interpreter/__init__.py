"""The interpreter: runs a module at any stage with torch.

`Plan(module).run({"x": array})` is the one executor; constant folding, calibration, analysis and ``qir run`` use it.
"""

from qir.interpreter.node import Body, Node, Settings
from qir.interpreter.plan import Plan, Taps, evaluate
from qir.interpreter.registry import Factory, Kernel, find_kernel, kernel, kernels_in, supported_ops, user_kernel
from qir.interpreter.values import as_array, as_tensor, integer_range, torch_dtype

__all__ = [
    "Body", "Factory", "Kernel", "Node", "Plan", "Settings", "Taps", "as_array", "as_tensor", "evaluate",
    "find_kernel", "integer_range", "kernel", "kernels_in", "supported_ops", "torch_dtype", "user_kernel",
]  # fmt: skip
