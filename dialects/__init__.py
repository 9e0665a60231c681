"""Op and type definitions of the dialects, nothing else."""

if __name__ != "qir.dialects":
    raise ImportError(f"import this package as qir.dialects, not as {__name__}")
