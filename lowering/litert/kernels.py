"""What the interpreter runs for the ``litert`` dialect: each kernel set's own arithmetic, by the module's profile.

``xnnpack`` is the runtime's default (XNNPACK where it takes an operator, else the optimized builtin kernels);
``optimized`` and ``reference`` are the builtin kernels, ``micro`` the portable ones of TFLite Micro. README.md has the
formulas and their sources; roundings by name: `qir.numerics.fixed_point`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from qir.interpreter.arrays import code_sums, float_conv, register_moves, window_maximum, window_sum
from qir.interpreter.delegate import as_onnx
from qir.interpreter.integer import IntegerMatmul, integer_matmul, integer_product
from qir.interpreter.node import Node
from qir.interpreter.quantizers import Quantization
from qir.interpreter.registry import Kernel, kernel
from qir.ir import TensorType
from qir.lowering.litert.dialect import ARRAYS
from qir.numerics.fixed_point import Multiplier, quantize_multiplier, rescale, shift_right, truncated_quotient
from qir.numerics.rounding import round_

__all__: list[str] = []

F32, F64, I64 = torch.float32, torch.float64, torch.int64
register_moves(ARRAYS, shape="new_shape")


def _quantizers(node: Node, *operands: int) -> list[Quantization] | None:
    """The quantizers of these operands and of the result; None where one is float."""
    found = [node.quantization(i) for i in (*operands, len(node.op.operands))]
    kept = [q for q in found if q is not None]
    return kept if len(kept) == len(found) else None


def _profile(node: Node) -> str:
    return node.settings.profile or "xnnpack"


def _delegated(
    node: Node, *ratios: Tensor, low: float = 0.0, high: float = 256.0, weights: Sequence[str] = ("i8",)
) -> bool:
    """Whether XNNPACK runs an operator on int8 whose scale ratios are these: within [low, high)."""
    inside = all(bool(((r >= low) & (r < high)).all()) for r in ratios)
    elements = [str(node.element(i) or "i8") for i in (0, 1)]
    return _profile(node) == "xnnpack" and inside and elements[0] == "i8" and elements[1] in weights


def _stored(node: Node, y: Quantization, codes: Tensor, even: bool = False) -> Tensor:
    """Codes without their zero point as the result holds them: zero added, clipped to the fused activation."""
    low, high = int(y.scheme.qmin), int(y.scheme.qmax)
    for bound in BOUNDS[node.attr("fused_activation_function", "NONE")]:
        if math.isfinite(bound):
            step = round_(torch.tensor(bound, dtype=F32) / y.scale, "half_even" if even else "half_away")
            code = min(max(int(step) + int(y.zero), low), high)
            low, high = (code, high) if bound <= 0 else (low, code)
    return (codes + y.zero).clamp_(low, high).to(torch.int16 if y.scheme.bits == 16 else torch.int8)


INF = math.inf
BOUNDS = {"NONE": (-INF, INF), "RELU": (0.0, INF), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


def _fused(node: Node, run: Callable[..., Tensor]) -> Kernel:
    """A float kernel and its fused activation."""
    act = node.attr("fused_activation_function", "NONE")
    return run if act == "NONE" else lambda *tensors: run(*tensors).clamp(*BOUNDS[act])


def _lanes(node: Node, y: Tensor, width: int, *shapes: Sequence[int], scalar: int = 16) -> Tensor | None:
    """Which elements the optimized kernels of x86 compute `width` at a time; None where they are not what runs.

    Runs of elements are cut into vectors from their beginning. A run is the whole tensor (one sample, where the batch
    is free), or under broadcasting the trailing axes on which the operands agree, else those on which one broadcasts:
    there `scalar` at a time.
    """
    if _profile(node) not in ("xnnpack", "optimized"):
        return None
    type = node.operand_type(0)
    free = isinstance(type, TensorType) and type.shape is not None and type.shape[:1] == (None,)
    run = math.prod(y.shape[1:] if free else y.shape)
    if len(set(shapes)) > 1:
        pairs = [*itertools.zip_longest(*(reversed(s) for s in shapes), fillvalue=1)]
        same = [*itertools.takewhile(lambda p: p[0] == p[1], pairs)]
        run = math.prod(p[0] for p in same)
        if run == 1:
            side, width = pairs[len(same)].index(1), scalar
            run = math.prod(max(p) for p in itertools.takewhile(lambda p: p[side] == 1, pairs[len(same) :]))
    index = torch.arange(y.numel()) % max(run, 1)
    return (index < run // width * width).reshape(y.shape)


# ---------------------------------------------------------------- products
def _factor(x: Quantization, w: Quantization, y: Quantization, how: str, product: torch.dtype = F64) -> Tensor:
    """``sx * sw / sy``: in float32 for XNNPACK, else in double, the product rounded to `product` first."""
    if how == "float":
        return x.scale * w.scale / y.scale
    return (x.scale.to(product) * w.scale.to(product)).to(F64) / y.scale.to(F64)


def _per_row(node: Node, x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows that are quantized at run time, as codes without their zero point and scales: 255 steps over a range that
    holds 0.

    Builtin: the zero point from the end whose rounding costs less, ``half_away(fl(x / s + z))``, in the optimized
    kernels ``half_even(fl(x / s)) + z``. XNNPACK (unsigned codes, on CPUs with VNNI): ``half_even(fl(x (1 / s))) + z``
    with the zero point from the lower end, all in float32.
    """
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    span = torch.where(high == low, torch.ones_like(low), high - low)
    if _profile(node) == "xnnpack" and node.name != "litert.DEPTHWISE_CONV_2D":
        inverse = 255 / span
        zero = torch.round(-low * inverse) - 128
        return torch.round(x * inverse).clamp(-128 - zero, 127 - zero), 1 / inverse
    step = (high.to(F64) - low.to(F64)) / 255 if _profile(node) == "reference" else (high - low).to(F64) / 255
    step = torch.where(high == low, torch.ones_like(step), step)
    ends = torch.where(128 - low / step < 127 + high / step, -128 - low / step, 127 - high / step)
    zero, inverse = round_(ends.clamp(-128, 127), "half_away").to(F32), 1 / step.to(F32)
    if _profile(node) == "reference":
        return round_(zero + x * inverse, "half_away").clamp(-128, 127) - zero, step.to(F32)
    return torch.round(x * inverse).clamp(-128 - zero, 127 - zero), step.to(F32)


def _strides(node: Node) -> tuple[int, int]:
    return node.parameter("stride_h"), node.parameter("stride_w")


@kernel("litert.CONV_2D", "litert.DEPTHWISE_CONV_2D", fresh=True)
def _conv(node: Node) -> Kernel:
    depthwise, found, w_only = node.name.endswith("DEPTHWISE_CONV_2D"), _quantizers(node, 0, 1), node.quantization(1)
    if found is None:
        convolve = float_conv(node, depthwise)
        if w_only is None:
            return _fused(node, convolve)

        def hybrid(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            pixels = _profile(node) == "xnnpack" and tuple(w.shape[1:3]) == (1, 1) == _strides(node) and not depthwise
            steps, scale = _per_row(node, x if pixels else x.flatten(1))
            sums = convolve(steps.reshape(x.shape).to(F64), w.to(F64)).to(F32)
            return sums * ((scale if pixels else scale.reshape(-1, 1, 1, 1)) * w_only.scale) + b

        return _fused(node, hybrid)
    x_, w_, y_ = found
    sums = code_sums(node, depthwise, x_)
    weight = node.operand_type(1)
    grouped = not depthwise and getattr(weight, "shape", (0,))[-1] != getattr(node.operand_type(0), "shape", (0,))[-1]
    portable = _profile(node) in ("reference", "micro") or grouped
    how = "reduced" if x_.scheme.bits == 16 else "double" if portable else "ruy"
    if _delegated(node, _factor(x_, w_, y_, "float")):
        how = "float"
    factor = _factor(x_, w_, y_, how)
    return lambda x, w, b: _stored(node, y_, rescale(sums(x, w, b), factor, how), how == "float")


@kernel("litert.FULLY_CONNECTED", fresh=True)
def _fully_connected(node: Node) -> Kernel:
    found, w_only = _quantizers(node, 0, 1), node.quantization(1)

    def rows(x: Tensor, w: Tensor) -> Tensor:
        return x.reshape(*(x.shape[:-1] if node.parameter("keep_num_dims") else (-1,)), w.shape[1])

    def floats(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        if w_only is None:
            y = torch.matmul(rows(x, w), w.T)
        else:
            steps, scale = _per_row(node, rows(x, w))
            y = torch.matmul(steps.to(F64), w.T.to(F64)).to(F32) * scale * w_only.scale
        return y if b is None else y + b

    if found is None:
        return _fused(node, floats)
    x_, w_, y_ = found
    wide, micro = x_.scheme.bits == 16, _profile(node) == "micro"
    how = {"reference": "real", "micro": "double"}.get(_profile(node), "ruy")
    if wide:
        how = "reduced" if micro else "real"
    elif _delegated(node, _factor(x_, w_, y_, "float"), weights=("i8", "i4")):
        how = "float"
    factor = _factor(x_, w_, y_, how, F64 if w_.scale.dim() or wide else F32)
    plans: list[IntegerMatmul] = []

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        if not plans:
            span = int(x_.scheme.qmin), int(x_.scheme.qmax)
            plans.append(integer_matmul(w.T, x_zero=int(x_.zero), x_range=span, bias=b))
        return _stored(node, y_, rescale(plans[0](rows(x, w)), factor, how), how == "float")

    return run


@kernel("litert.BATCH_MATMUL", fresh=True)
def _batch_matmul(node: Node) -> Kernel:
    turned, found = node.parameter("adj_y"), _quantizers(node, 0, 1)
    if found is None:
        return lambda a, b: torch.matmul(a, b.transpose(-1, -2) if turned else b)
    a_, b_, y_ = found
    factor = _factor(a_, b_, y_, "double", F32)

    def run(a: Tensor, b: Tensor) -> Tensor:
        sums = integer_product(a, b.transpose(-1, -2) if turned else b, int(a_.zero), int(b_.zero))
        return _stored(node, y_, rescale(sums, factor, "double"))

    return run


# ---------------------------------------------------------------- elementwise
FLOATS = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "POW": "Pow", "MAXIMUM": "Max", "MINIMUM": "Min",
          "RELU": "Relu", "HARD_SWISH": "HardSwish", "EXP": "Exp", "LOG": "Log", "SQRT": "Sqrt", "ABS": "Abs",
          "NEG": "Neg"}  # fmt: skip


@kernel(*(f"litert.{name}" for name in FLOATS), fresh=True)
def _elementwise(node: Node) -> Kernel:
    return _fused(node, as_onnx(node, FLOATS[node.name.partition(".")[2]]))


@kernel("litert.RELU6", fresh=True)
def _relu6(node: Node) -> Kernel:
    return lambda x: x.clamp(0.0, 6.0)


def _vectors(node: Node, y_: Quantization, wide: Tensor, exact: Tensor, *operands: Tensor) -> Tensor:
    """Results of the builtin ADD and MUL: `wide` in vectors of 16, where the zero point is added modulo 2**16, else
    `exact`."""
    scalar = 8 if node.name == "litert.ADD" else 16
    lanes = _lanes(node, exact, 16, *(t.shape for t in operands), scalar=scalar) if y_.scheme.bits == 8 else None
    if lanes is None:
        return _stored(node, y_, exact)
    wrapped = (wide + y_.zero).to(torch.int16).to(I64) - y_.zero
    return _stored(node, y_, torch.where(lanes, wrapped, exact))


@kernel("litert.ADD", "litert.SUB", fresh=True)
def _sum(node: Node) -> Kernel:
    """Builtin: both operands scaled to ``1 / (2 max(s) 2**20)``, their sum to the result's scale. XNNPACK: one sum of
    products with integers of 21 bits, shifted once."""
    found, sign = _quantizers(node, 0, 1), -1 if node.name == "litert.SUB" else 1
    if found is None:
        return _elementwise(node)
    a_, b_, y_ = found
    ratios = a_.scale / y_.scale, b_.scale / y_.scale
    if _delegated(node, *ratios, low=2.0**-10):
        shift = 21 - int(torch.frexp(torch.maximum(*ratios))[1])
        ka, kb = (int(torch.round(r * 2.0**shift)) for r in ratios)

        def run(a: Tensor, b: Tensor) -> Tensor:
            total = ka * (a.to(I64) - a_.zero) + sign * kb * (b.to(I64) - b_.zero)
            return _stored(node, y_, shift_right(total, shift), True)

        return run
    left = 15 if y_.scheme.bits == 16 else 20
    twice = 2 * torch.maximum(a_.scale.to(F64), b_.scale.to(F64))
    out = twice / (y_.scale.to(F64) * 2.0**left)

    def run_builtin(a: Tensor, b: Tensor) -> Tensor:
        sums = []
        for ties in ("away", "floor"):  # the vectors shift the operands without rounding
            parts = []
            for v, q in ((a, a_), (b, b_)):
                m = quantize_multiplier(q.scale.to(F64) / twice)
                high = rescale(
                    (v.to(I64) - q.zero) << left, Multiplier(m.mantissa, torch.zeros_like(m.exponent)), "double"
                )
                parts.append(shift_right(high, -m.exponent, ties))
            sums.append(rescale(parts[0] + sign * parts[1], out, "double"))
        return _stored(node, y_, sums[0]) if sign < 0 else _vectors(node, y_, sums[1], sums[0], a, b)

    return run_builtin


@kernel("litert.MUL", fresh=True)
def _mul(node: Node) -> Kernel:
    found = _quantizers(node, 0, 1)
    if found is None:
        return _elementwise(node)
    a_, b_, y_ = found
    how = "float" if _delegated(node, _factor(a_, b_, y_, "float"), low=2.0**-16) else "double"
    factor = _factor(a_, b_, y_, how)

    def run(a: Tensor, b: Tensor) -> Tensor:
        y = rescale((a.to(I64) - a_.zero) * (b.to(I64) - b_.zero), factor, how)
        return _stored(node, y_, y, True) if how == "float" else _vectors(node, y_, y.clamp(-32768, 32767), y, a, b)

    return run


@kernel("litert.QUANTIZE", fresh=True)
def _quantize(node: Node) -> Kernel:
    """Of floats ``half_even(x * fl(1 / s)) + z``; reference, micro and to int16 ``half_away(x / s) + z``. Of codes a
    product; XNNPACK's factor has 8 fraction bits."""
    x_, y_ = node.quantization(0), node.quantization(1)
    assert y_ is not None
    if x_ is None:

        def run(x: Tensor) -> Tensor:
            steps, lanes = round_(x / y_.scale, "half_away"), _lanes(node, x, 8)
            if y_.scheme.bits == 8 and lanes is not None:
                tail = round_(x.to(F64) / y_.scale.to(F64), "half_away").to(F32)
                steps = torch.round(x * (1 / y_.scale))
                steps = steps if _profile(node) == "xnnpack" else torch.where(lanes, steps, tail)
            return _stored(node, y_, steps.clamp(-1e6, 1e6).to(I64))

        return run
    ratio = x_.scale / y_.scale
    if _delegated(node, ratio, low=2.0**-8, high=128.0) and y_.scheme.bits == 8:
        scaled = int(torch.round(ratio * 256))
        return lambda x: _stored(node, y_, shift_right((x.to(I64) - x_.zero) * scaled, 8))
    factor = x_.scale.to(F64) / y_.scale.to(F64)
    return lambda x: _stored(node, y_, rescale(x.to(I64) - x_.zero, factor, "double"))


@kernel("litert.DEQUANTIZE", fresh=True)
def _dequantize(node: Node) -> Kernel:
    """``s (q - z)``; the optimized kernel adds ``q s`` and ``-z s`` in vectors of 8."""
    x_ = node.quantization(0)
    assert x_ is not None
    offset = (-x_.zero.to(F64) * x_.scale.to(F64)).to(F32)

    def run(x: Tensor) -> Tensor:
        y = (x.to(I64) - x_.zero).to(F32) * x_.scale
        lanes = None if _delegated(node) else _lanes(node, x, 8)
        return y if lanes is None else torch.where(lanes, offset + x.to(F32) * x_.scale, y)

    return run


@kernel("litert.LEAKY_RELU", fresh=True)
def _leaky_relu(node: Node) -> Kernel:
    found, alpha = _quantizers(node, 0), torch.tensor(node.parameter("alpha"), dtype=F32)
    if found is None:
        return lambda x: torch.where(x >= 0, x, x * alpha)
    x_, y_ = found
    ratio = x_.scale / y_.scale
    eighth = _delegated(node, ratio, (ratio * alpha).abs(), low=2.0**-8, high=128.0)
    scaled = [int(torch.round(r * 256)) for r in (ratio, ratio * alpha)]
    factors = [x_.scale.to(F64) * a / y_.scale.to(F64) for a in (torch.ones((), dtype=F64), alpha.to(F64))]

    def run(x: Tensor) -> Tensor:
        v = x.to(I64) - x_.zero
        up, down = ((shift_right(v * k, 8) if eighth else rescale(v, f, "double")) for k, f in zip(scaled, factors))
        return _stored(node, y_, torch.where(v >= 0, up, down))

    return run


@kernel("litert.LOGISTIC", "litert.TANH", "litert.GELU", fresh=True)
def _by_table(node: Node) -> Kernel:
    """On codes a table of 256 entries: ``half_away(f(s (q - z)) (1 / sy)) + zy``."""
    found, name = _quantizers(node, 0), node.name.partition(".")[2]
    approximate = ("tanh" if node.parameter("approximate") else "none") if name == "GELU" else None
    function = as_onnx(node, {"LOGISTIC": "Sigmoid"}.get(name, name.capitalize()), approximate=approximate)
    if found is None:
        return function
    x_, y_ = found
    low, high = int(x_.scheme.qmin), int(x_.scheme.qmax)
    reals = (torch.arange(low, high + 1) - x_.zero).to(F32) * x_.scale
    table = _stored(node, y_, round_(function(reals.to(F64)).to(F32) * (1 / y_.scale), "half_away").to(I64))
    return lambda x: table[x.to(I64) - low]


# ---------------------------------------------------------------- along axes
@kernel("litert.SOFTMAX", fresh=True)
def _softmax(node: Node) -> Kernel:
    """On codes a float32 table of ``exp(-s d)`` over the distance d to the row's largest code."""
    found = _quantizers(node, 0)
    if found is None:
        return as_onnx(node, "Softmax", axis=-1)
    x_, y_ = found
    table = torch.exp(-x_.scale * torch.arange(256).to(F32))

    def run(x: Tensor) -> Tensor:
        codes = x.to(I64)
        values = table[codes.amax(-1, keepdim=True) - codes]
        total = torch.zeros_like(values[..., :1])
        for i in range(values.shape[-1]):  # in float32, one after the other, as the kernel adds
            total = total + values[..., i : i + 1]
        return _stored(node, y_, round_(values * (1 / (total * y_.scale)), "half_away").to(I64))

    return run


@kernel("litert.MEAN", "litert.SUM", fresh=True)
def _mean(node: Node) -> Kernel:
    """Builtin: the multiplier is divided by the count, with as many more bits as that has. XNNPACK: in float, the zero
    point inside the rounding."""
    axes, keep, found = list(node.parameter("axes")), node.parameter("keep_dims"), _quantizers(node, 0)
    if found is None:
        name = "ReduceMean" if node.name == "litert.MEAN" else "ReduceSum"
        return as_onnx(node, name, (0, torch.tensor(axes)), keepdims=int(keep))
    x_, y_ = found
    m = quantize_multiplier(x_.scale.to(F64) / y_.scale.to(F64))

    def run(x: Tensor) -> Tensor:
        count = math.prod(x.shape[axis] for axis in axes)
        total = (x.to(I64) - x_.zero).sum(axes, keepdim=keep)
        if _delegated(node):
            real = total.to(F32) * (x_.scale / y_.scale / count) + y_.zero.to(F32)
            return _stored(node, y_, torch.round(real).to(I64) - y_.zero)
        more = min(count.bit_length() - 1, 32, 31 + int(m.exponent))
        return _stored(node, y_, rescale(total, Multiplier((m.mantissa << more) // count, m.exponent - more), "double"))

    return run


@kernel("litert.MAX_POOL_2D", "litert.AVERAGE_POOL_2D", fresh=True)
def _pool(node: Node) -> Kernel:
    """Averages of codes: ``(sum ± n / 2) / n`` truncated, over the n pixels of the window that are in the image."""
    y_ = node.quantization(1)

    def run(x: Tensor) -> Tensor:
        if node.name == "litert.MAX_POOL_2D":
            return window_maximum(node, x)
        total, n = window_sum(node, x)
        if y_ is None:
            return (total / n).to(F32)
        total, n = total.to(I64), n.to(I64)
        return truncated_quotient(total + torch.where(total > 0, n // 2, -(n // 2)), n).to(x.dtype)

    return run


@kernel("litert.DEPTH_TO_SPACE", fresh=True)
def _depth_to_space(node: Node) -> Kernel:
    moved = as_onnx(node, "DepthToSpace", blocksize=node.parameter("block_size"))
    return lambda x: moved(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
