"""`qir.kernel`: a user's own function as the kernel of an operation."""

from qir.interpreter.registry import user_kernel as kernel

__all__ = ["kernel"]
