"""qir: a compiler for neural-network quantization.

ONNX comes in, every stage of the job is one module of readable text, and what a chip runs goes out::

    import qir
    module = qir.import_onnx("model.onnx")
    qir.run_pipeline(module, "canonicalize,fold-batch-norm")
    print(qir.print(module))
    result = qir.quantize("model.onnx", target="onnxruntime", data="calib.npz", out="out")

The names below are loaded when they are first used: ``import qir`` alone loads neither torch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qir.api import QuantizeResult as QuantizeResult
    from qir.api import export as export
    from qir.api import import_onnx as import_onnx
    from qir.api import parse as parse
    from qir.api import print as print
    from qir.api import quantize as quantize
    from qir.api import run as run
    from qir.api import run_pipeline as run_pipeline
    from qir.interpreter.user import kernel as kernel
    from qir.ir import Context as Context
    from qir.ir import Diagnostic as Diagnostic
    from qir.ir import QirError as QirError
    from qir.rewrite import pattern as pattern
    from qir.target import Target as Target

__version__ = "0.1.0"

_HOME = {
    "Context": "qir.ir",
    "Diagnostic": "qir.ir",
    "QirError": "qir.ir",
    "QuantizeResult": "qir.api",
    "Target": "qir.target",
    "export": "qir.api",
    "import_onnx": "qir.api",
    "kernel": "qir.interpreter.user",
    "parse": "qir.api",
    "pattern": "qir.rewrite",
    "print": "qir.api",
    "quantize": "qir.api",
    "run": "qir.api",
    "run_pipeline": "qir.api",
}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qir' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
