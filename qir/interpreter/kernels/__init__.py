"""The kernels that come with qir, one file per family; importing this package registers all of them."""

from qir.interpreter.kernels import (
    activation,
    cast,
    control,
    conv,
    elementwise,
    generate,
    index,
    linear,
    norm,
    pool,
    qsim,
    quantized,
    reduce,
    shape,
)

__all__ = [
    "activation", "cast", "control", "conv", "elementwise", "generate", "index", "linear", "norm", "pool", "qsim",
    "quantized", "reduce", "shape",
]  # fmt: skip
