"""GPU kernels, each with its torch reference beside it."""

if __name__ != "qir.triton_kernels":
    raise ImportError(f"import this package as qir.triton_kernels, not as {__name__}")
