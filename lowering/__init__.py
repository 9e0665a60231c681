"""One folder per hardware target: data sheet, dialect, patterns, semantics, exporter."""

if __name__ != "qir.lowering":
    raise ImportError(f"import this package as qir.lowering, not as {__name__}")
