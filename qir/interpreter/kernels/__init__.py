"""The kernels that come with qir, one file per family; importing this package registers all of them."""

from qir.interpreter.kernels import (
    activation,
    attention,
    cast,
    control,
    conv,
    elementwise,
    generate,
    image,
    index,
    linear,
    loss,
    norm,
    pool,
    qsim,
    quant,
    quantized,
    quantized_elementwise,
    quantized_products,
    reduce,
    resize,
    rnn,
    shape,
    signal,
    text,
)

__all__ = [
    "activation", "attention", "cast", "control", "conv", "elementwise", "generate", "image", "index", "linear",
    "loss", "norm", "pool", "qsim", "quant", "quantized", "quantized_elementwise", "quantized_products", "reduce",
    "resize", "rnn", "shape", "signal", "text",
]  # fmt: skip
