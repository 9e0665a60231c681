"""Kernels of records on codes whose arithmetic a target chooses by name.

`register_arithmetic` registers the kernels of a target's convolutions, products, additions, means and tables, and of
the same records on floats. For each it asks the target's `Choice` for a formula; `qir.numerics.fixed_point` and
`qir.numerics.kernels` have them:

=========================== ================================================================================
what                        formulas
=========================== ================================================================================
conv, depthwise, grouped,   a rescaling by name; of ``mul`` also ``vectors``: double, in vectors modulo 2**16; of
product, matmul, mul        ``depthwise`` too: ruy for whole eights of channels, double for the rest; of ``mul`` with
                            `` f32`` behind it the factor is worked out in float32
requantize, leaky           a rescaling by name, or ``eighths``: a factor of 8 fraction bits, ties up
add, sub                    ``rescaled``, ``vectors`` (its operands' shifts without rounding), ``shifted``
resize (linear, of codes)   the bits of its weights: ``ten`` or ``eleven`` of `bilinear_codes`
mean                        ``double``, or ``float``: in float32, the zero point inside the rounding
quantize                    ``quotient`` half_away(x / s), ``reciprocal`` half_even(x fl(1 / s)), ``vectors``: that in
                            vectors of 8, half_away of a float64 quotient behind them
dequantize                  ``product`` s (q - z), ``vectors``: fl(q s) + fl(-z s) in vectors of 8
rows, rows equal, rows      of `row_steps`: how rows of floats become codes, for weights of codes (that have one
grouped, rows depthwise     scale, of a grouped and of a depthwise convolution)
=========================== ================================================================================

Records read the parameters `fused_activation_function` (a name of `qir.numerics.clamps`), `keep_num_dims`, `adj_y`,
`alpha`, `approximate`, `axes`, `keep_dims`, `block_size` and those of `qir.interpreter.arrays`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from qir.interpreter.arrays import code_sums, float_conv, window_maximum, window_sum
from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import IntegerMatmul, integer_matmul, integer_product
from qir.interpreter.node import Node
from qir.interpreter.quantizers import Quantization
from qir.interpreter.registry import Kernel, kernel
from qir.ir import TensorType
from qir.numerics import kernels as k
from qir.numerics import storage_dtype
from qir.numerics.clamps import CLAMPS
from qir.numerics.fixed_point import rescale, shift_right
from qir.numerics.rounding import round_
from qir.numerics.sampling import bilinear_codes, nearest_pixels

__all__ = ["Choice", "register_arithmetic", "sizes_of"]

F32, F64, I64 = torch.float32, torch.float64, torch.int64

Choice = Callable[..., str]
"""``choose(node, what, *ratios)``: the formula of an operation; `ratios` are factors that may be out of a kernel's
reach."""


# ---------------------------------------------------------------- what kernels share
def sizes_of(node: Node, index: int) -> tuple[int | None, ...]:
    """The sizes of an operand; none where it is absent or of unknown rank."""
    type = node.operand_type(index)
    return type.shape or () if isinstance(type, TensorType) else ()


def _quantizers(node: Node, *operands: int) -> list[Quantization] | None:
    """The quantizers of these operands and of the result; None where one is float."""
    found = [node.quantization(i) for i in (*operands, len(node.op.operands))]
    kept = [q for q in found if q is not None]
    return kept if len(kept) == len(found) else None


def _stored(node: Node, y: Quantization, steps: Tensor, how: str = "") -> Tensor:
    """Steps as the result holds them: the zero point added, clipped to the fused activation, whose bounds the formulas
    ``float`` and ``shifted`` round half to even, others half away."""
    dtype = storage_dtype(y.scheme)
    low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max  # kernels know the type, not the scheme
    ties = "half_even" if how in ("float", "shifted") else "half_away"
    for bound in CLAMPS[node.attr("fused_activation_function", "NONE")]:
        if math.isfinite(bound):
            code = int(round_(torch.tensor(bound, dtype=F32) / y.scale, ties)) + int(y.zero)
            code = min(max(code, low), high)
            low, high = (code, high) if bound <= 0 else (low, code)
    return (steps + y.zero).clamp_(low, high).to(dtype)


def _fused(node: Node, run: Callable[..., Tensor]) -> Kernel:
    """A float kernel and its fused activation."""
    act = node.attr("fused_activation_function", "NONE")
    return run if act == "NONE" else lambda *tensors: run(*tensors).clamp(*CLAMPS[act])


def _lanes(node: Node, y: Tensor, width: int, operands: Sequence[Sequence[int]] = (), scalar: int = 16) -> Tensor:
    """`vector_lanes` of a result. Where the batch is free the artifact has one sample: each is cut by itself."""
    if sizes_of(node, 0)[:1] == (None,) and len({tuple(s) for s in operands}) < 2:
        return k.vector_lanes(y.shape[1:], width).expand(y.shape)
    return k.vector_lanes(y.shape, width, operands, scalar)


def _factor(x: Quantization, w: Quantization, y: Quantization, how: str, product: torch.dtype = F64) -> Tensor:
    """``sx * sw / sy``: in float32 for ``float``, else in float64, the product rounded to `product` first."""
    if how == "float":
        return x.scale * w.scale / y.scale
    return (x.scale.to(product) * w.scale.to(product)).to(F64) / y.scale.to(F64)


def _chosen(node: Node, choose: Choice, what: str, x: Quantization, w: Quantization, y: Quantization) -> str:
    return choose(node, what, _factor(x, w, y, "float"))


# ---------------------------------------------------------------- products
def _conv(node: Node, choose: Choice, depthwise: bool) -> Kernel:
    found, w_only = _quantizers(node, 0, 1), node.quantization(1)
    convolve = float_conv(node, depthwise)
    if found is None and w_only is None:
        return _fused(node, convolve)
    if found is None:
        by = w_only.scale if w_only is not None else torch.ones(())
        grouped = sizes_of(node, 0)[-1:] != sizes_of(node, 1)[-1:]
        equal = bool((by == by.max()).all()) and not grouped
        apart = "depthwise" if depthwise else "grouped" if grouped else "equal" if equal else ""
        rows = choose(node, f"rows {apart}".rstrip())
        strides = node.parameter("stride_h"), node.parameter("stride_w")

        def hybrid(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            """An image is a row; where a 1x1 convolution is computed as a product (``unsigned``) each pixel is."""
            pixels = rows == "unsigned" and tuple(w.shape[1:3]) == (1, 1) == strides and not grouped
            steps, scale = k.row_steps(x if pixels else x.flatten(1), rows)
            sums = convolve(steps.reshape(x.shape).to(F64), w.to(F64)).to(F32)
            return sums * ((scale if pixels else scale.reshape(-1, 1, 1, 1)) * by) + b

        return _fused(node, hybrid)
    x_, w_, y_ = found
    grouped = sizes_of(node, 0)[-1:] != sizes_of(node, 1)[-1:]
    how = _chosen(node, choose, "depthwise" if depthwise else "grouped" if grouped else "conv", x_, w_, y_)
    sums, factor = code_sums(node, depthwise, x_), _factor(x_, w_, y_, how)
    if how != "vectors":
        return lambda x, w, b: _stored(node, y_, rescale(sums(x, w, b), factor, how), how)

    def eights(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        acc = sums(x, w, b)
        lanes = k.vector_lanes(acc.shape[-1:], 8)
        return _stored(node, y_, torch.where(lanes, rescale(acc, factor, "ruy"), rescale(acc, factor, "double")))

    return eights


def _product(node: Node, choose: Choice) -> Kernel:
    """Rows of x by the transpose of a constant w."""
    found, w_only = _quantizers(node, 0, 1), node.quantization(1)

    def rows(x: Tensor, w: Tensor) -> Tensor:
        return x.reshape(*(x.shape[:-1] if node.parameter("keep_num_dims") else (-1,)), w.shape[1])

    def floats(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        if w_only is None:
            y = torch.matmul(rows(x, w), w.T)
        else:
            steps, scale = k.row_steps(rows(x, w), choose(node, "rows"))
            y = torch.matmul(steps.to(F64), w.T.to(F64)).to(F32) * scale * w_only.scale
        return y if b is None else y + b

    if found is None:
        return _fused(node, floats)
    x_, w_, y_ = found
    how = _chosen(node, choose, "product", x_, w_, y_)
    one = w_.scale.dim() == 0 and x_.scheme.bits == 8
    factor = _factor(x_, w_, y_, how, F32 if one else F64)
    plans: list[IntegerMatmul] = []

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        if not plans:
            wide = x_.scheme.bits > 8
            plans.append(integer_matmul(w.T, x_zero=int(x_.zero), x_range=x_.codes, bias=b, wide=wide))
        return _stored(node, y_, rescale(plans[0](rows(x, w)), factor, how), how)

    return run


def _matmul(node: Node, choose: Choice) -> Kernel:
    turned, found = node.parameter("adj_y"), _quantizers(node, 0, 1)
    if found is None:
        return lambda a, b: torch.matmul(a, b.transpose(-1, -2) if turned else b)
    a_, b_, y_ = found
    how = _chosen(node, choose, "matmul", a_, b_, y_)
    factor = _factor(a_, b_, y_, how, F32)

    def run(a: Tensor, b: Tensor) -> Tensor:
        sums = integer_product(a, b.transpose(-1, -2) if turned else b, int(a_.zero), int(b_.zero))
        return _stored(node, y_, rescale(sums, factor, how), how)

    return run


# ---------------------------------------------------------------- elementwise
def _vectors(node: Node, y_: Quantization, wide: Tensor, exact: Tensor, a: Tensor, b: Tensor, scalar: int) -> Tensor:
    """Steps that are `wide`, their zero point added modulo 2**16, in vectors of 16, else `exact`."""
    lanes = _lanes(node, exact, 16, (a.shape, b.shape), scalar)
    return torch.where(lanes, (wide + y_.zero).to(torch.int16).to(I64) - y_.zero, exact)


def _add(node: Node, choose: Choice, sign: int) -> Kernel:
    found, what = _quantizers(node, 0, 1), "add" if sign > 0 else "sub"
    if found is None:
        return _fused(node, as_onnx(node, what.capitalize()))
    a_, b_, y_ = found
    how = choose(node, what, a_.scale / y_.scale, b_.scale / y_.scale)
    if how == "shifted":
        return lambda a, b: _stored(node, y_, k.shifted_sum(a, b, a_, b_, y_, sign), how)
    left = 15 if y_.scheme.bits == 16 else 20

    def run(a: Tensor, b: Tensor) -> Tensor:
        steps = k.sum_of_rescaled(a, b, a_, b_, y_, sign, left)
        if how == "vectors":
            steps = _vectors(node, y_, k.sum_of_rescaled(a, b, a_, b_, y_, sign, left, "floor"), steps, a, b, 8)
        return _stored(node, y_, steps)

    return run


def _mul(node: Node, choose: Choice) -> Kernel:
    found = _quantizers(node, 0, 1)
    if found is None:
        return _fused(node, as_onnx(node, "Mul"))
    a_, b_, y_ = found
    how, _, single = _chosen(node, choose, "mul", a_, b_, y_).partition(" ")
    factor = _factor(a_, b_, y_, "float" if single else how)

    def run(a: Tensor, b: Tensor) -> Tensor:
        product = (a.to(I64) - a_.zero) * (b.to(I64) - b_.zero)
        steps = rescale(product, factor, "double" if how == "vectors" else how)
        if how == "vectors":
            steps = _vectors(node, y_, steps.clamp(-32768, 32767), steps, a, b, 16)
        return _stored(node, y_, steps, how)

    return run


def _scaled(x: Tensor, real: Tensor, how: str) -> Tensor:
    return shift_right(x * torch.round(real.to(F32) * 256).to(I64), 8) if how == "eighths" else rescale(x, real, how)


def _quantize(node: Node, choose: Choice) -> Kernel:
    """Floats to codes, or the codes of one quantizer to another's."""
    x_, y_ = node.quantization(0), node.quantization(1)
    assert y_ is not None
    if x_ is not None:
        how = choose(node, "requantize", x_.scale / y_.scale)
        factor = x_.scale / y_.scale if how == "eighths" else x_.scale.to(F64) / y_.scale.to(F64)
        return lambda x: _stored(node, y_, _scaled(x.to(I64) - x_.zero, factor, how))
    how = choose(node, "quantize")

    def run(x: Tensor) -> Tensor:
        if how == "quotient":
            steps = round_(x / y_.scale, "half_away")
        else:
            steps = torch.round(x * (1 / y_.scale))
        if how == "vectors":
            behind = round_(x.to(F64) / y_.scale.to(F64), "half_away").to(F32)
            steps = torch.where(_lanes(node, x, 8), steps, behind)
        return _stored(node, y_, steps.clamp(-1e6, 1e6).to(I64))

    return run


def _dequantize(node: Node, choose: Choice) -> Kernel:
    x_, how = node.quantization(0), choose(node, "dequantize")
    assert x_ is not None
    offset = (-x_.zero.to(F64) * x_.scale.to(F64)).to(F32)

    def run(x: Tensor) -> Tensor:
        y = (x.to(I64) - x_.zero).to(F32) * x_.scale
        return torch.where(_lanes(node, x, 8), offset + x.to(F32) * x_.scale, y) if how == "vectors" else y

    return run


def _leaky(node: Node, choose: Choice) -> Kernel:
    found, alpha = _quantizers(node, 0), torch.tensor(node.parameter("alpha"), dtype=F32)
    if found is None:
        return lambda x: torch.where(x >= 0, x, x * alpha)
    x_, y_ = found
    ratio = x_.scale / y_.scale
    how = choose(node, "leaky", ratio, (ratio * alpha).abs())
    above, below = ratio, ratio * alpha
    if how != "eighths":
        above, below = (x_.scale.to(F64) * a / y_.scale.to(F64) for a in (torch.ones((), dtype=F64), alpha.to(F64)))

    def run(x: Tensor) -> Tensor:
        v = x.to(I64) - x_.zero
        return _stored(node, y_, torch.where(v >= 0, _scaled(v, above, how), _scaled(v, below, how)))

    return run


def _table(node: Node, op_type: str) -> Kernel:
    approximate = ("tanh" if node.parameter("approximate") else "none") if op_type == "Gelu" else None
    found, function = _quantizers(node, 0), as_onnx(node, op_type, approximate=approximate)
    if found is None:
        return function
    x_, y_ = found
    low, high = x_.codes
    table = _stored(node, y_, k.table_of(function, x_, y_, low, high))
    return lambda x: table[x.to(I64) - low]


# ---------------------------------------------------------------- along axes
def _softmax(node: Node) -> Kernel:
    found = _quantizers(node, 0)
    if found is None:
        return as_onnx(node, "Softmax", axis=-1)
    x_, y_ = found
    return lambda x: _stored(node, y_, k.softmax_by_table(x, x_, y_))


def _reduce(node: Node, choose: Choice, op_type: str) -> Kernel:
    axes, keep, found = list(node.parameter("axes")), node.parameter("keep_dims"), _quantizers(node, 0)
    if found is None:
        return as_onnx(node, op_type, (0, torch.tensor(axes)), keepdims=int(keep))
    x_, y_ = found
    how = choose(node, "mean")

    def run(x: Tensor) -> Tensor:
        count = math.prod(x.shape[axis] for axis in axes)
        total = (x.to(I64) - x_.zero).sum(axes, keepdim=keep)
        if how == "double":
            return _stored(node, y_, k.mean_by_multiplier(total, count, x_, y_))
        real = total.to(F32) * (x_.scale / y_.scale / count) + y_.zero.to(F32)
        return _stored(node, y_, torch.round(real).to(I64) - y_.zero)

    return run


def _average(node: Node) -> Kernel:
    def run(x: Tensor) -> Tensor:
        total, count = window_sum(node, x)
        return (total / count).to(F32) if x.is_floating_point() else k.average(total.to(I64), count.to(I64)).to(x.dtype)

    return run


def _depth_to_space(node: Node) -> Kernel:
    """Channels last, as (row, column, channel)."""
    moved = as_onnx(node, "DepthToSpace", blocksize=node.parameter("block_size"))
    return lambda x: moved(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _nearest(node: Node) -> Kernel:
    """Channels last, to the parameter `size`."""
    size, half, corners = (node.parameter(name) for name in ("size", "half_pixel_centers", "align_corners"))

    def run(x: Tensor) -> Tensor:
        rows, columns = (nearest_pixels(x.shape[axis], size[axis - 1], half, corners) for axis in (1, 2))
        return x.index_select(1, rows.to(x.device)).index_select(2, columns.to(x.device))

    return run


def _linear(node: Node, choose: Choice) -> Kernel:
    """Channels last, to the parameter `size`."""
    size, half, corners = (node.parameter(name) for name in ("size", "half_pixel_centers", "align_corners"))
    x_ = node.quantization(0)
    if x_ is not None:
        bits = {"ten": 10, "eleven": 11}[choose(node, "resize")]
        return lambda x: bilinear_codes(x, size, bits, half, corners).to(x.dtype)
    how = "half_pixel" if half else "align_corners" if corners else "asymmetric"
    given = {"axes": (2, 3), "mode": "linear", "coordinate_transformation_mode": how}
    resized = as_onnx(node, "Resize", (0, len(node.operands), len(node.operands), torch.tensor(size)), **given)
    return lambda x: resized(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


FLOATS = {"div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min", "relu": "Relu", "exp": "Exp", "log": "Log",
          "sqrt": "Sqrt", "abs": "Abs", "neg": "Neg", "hard_swish": "HardSwish"}  # fmt: skip


def register_arithmetic(names: Mapping[str, str], choose: Choice) -> None:
    """Register the kernels of a target's records, called by what they do.

    conv, depthwise, product, matmul, add, sub, mul, quantize (requantize for codes), dequantize, leaky, sigmoid, tanh,
    gelu, softmax, mean, max_pool, average_pool, depth_to_space, resize_nearest; in float alone resize_linear, sum,
    relu6 and those of `FLOATS`.
    """
    builders: dict[str, Callable[[Node], Kernel]] = {
        "conv": lambda node: _conv(node, choose, False),
        "depthwise": lambda node: _conv(node, choose, True),
        "product": lambda node: _product(node, choose),
        "matmul": lambda node: _matmul(node, choose),
        "add": lambda node: _add(node, choose, 1),
        "sub": lambda node: _add(node, choose, -1),
        "mul": lambda node: _mul(node, choose),
        "quantize": lambda node: _quantize(node, choose),
        "dequantize": lambda node: _dequantize(node, choose),
        "leaky": lambda node: _leaky(node, choose),
        "sigmoid": lambda node: _table(node, "Sigmoid"),
        "tanh": lambda node: _table(node, "Tanh"),
        "gelu": lambda node: _table(node, "Gelu"),
        "softmax": _softmax,
        "mean": lambda node: _reduce(node, choose, "ReduceMean"),
        "sum": lambda node: _reduce(node, choose, "ReduceSum"),
        "max_pool": lambda node: lambda x: window_maximum(node, x),
        "average_pool": _average,
        "depth_to_space": _depth_to_space,
        "resize_nearest": _nearest,
        "resize_linear": lambda node: _linear(node, choose),
        "relu6": lambda node: lambda x: x.clamp(0.0, 6.0),
    }
    for what, op_type in FLOATS.items():
        builders[what] = _float(op_type)
    for what, build in builders.items():
        if what in names:
            kernel(names[what], fresh=True)(build)


def _float(op_type: str) -> Callable[[Node], Any]:
    return lambda node: _fused(node, as_onnx(node, op_type))
