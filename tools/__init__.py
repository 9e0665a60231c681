"""Command-line tools: argument parsing only."""

if __name__ != "qir.tools":
    raise ImportError(f"import this package as qir.tools, not as {__name__}")
