"""ONNX operations to ncnn's layers. Blobs have no batch axis: what mixes samples has no layer (the emitter gives None)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qir.ir import IntegerType, Operation, TensorType, Type, Value, dense_from_numpy, f32
from qir.passes.lower.groups import Emitter, Group, record
from qir.passes.lower.plain import clamp_bounds, window
from qir.passes.lower.reading import array_of, axis_of, integers, ranges_of_slice, shape_of
from qir.rewrite import Rewriter

__all__ = ["AXES", "BINARY", "EMITTERS", "ORDERS", "REDUCE", "UNARY", "overflowing", "runs_winograd"]

BINARY = {"Add": 0, "Sub": 1, "Mul": 2, "Div": 3, "Max": 4, "Min": 5, "Pow": 6}
REVERSED = {1: 7, 3: 8, 6: 9}
"""BinaryOp's types with the operands exchanged; the others commute."""
UNARY = {"Abs": 0, "Neg": 1, "Floor": 2, "Ceil": 3, "Sqrt": 5, "Exp": 7, "Log": 8, "Sin": 9, "Cos": 10}
REDUCE = {"ReduceSum": 0, "ReduceMean": 3, "ReduceMax": 4, "ReduceMin": 5}
AXES = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
"""A blob's axes from the outermost on, as ONNX counts."""
ORDERS = {
    2: "wh hw".split(),
    3: "whc hwc wch cwh hcw chw".split(),
    4: "whdc hwdc wdhc dwhc hdwc dhwc whcd hwcd wchd cwhd hcwd chwd wdch dwch wcdh cwdh dcwh cdwh hdcw dhcw hcdw chdw "
    "dchw cdhw".split(),
}
"""Permute's order_type, by the number of axes: where the result's axes come from, from the innermost on."""
WINOGRAD_SUM, NO_WINOGRAD = 29_356, 64
"""Sum of the weights' magnitudes up to which no input overflows the int8 kernel of F(4,3), whose int32 sums are 576
times too large; and the bit of a layer's feature mask that makes ncnn use another kernel for it."""
LARGEST = float(np.finfo(np.float32).max)

Parameter = Callable[[Group], Any]


def _layer(rewriter: Rewriter, name: str, operands: Sequence[Value | None], result: Type, quant: Sequence[str | None] = (),
           **parameters: Any) -> Value:  # fmt: skip
    return record(rewriter, f"ncnn.{name}", operands, result, parameters, quant).results[0]


def _type(value: Value) -> TensorType:
    assert isinstance(value.type, TensorType)
    return value.type


def _bits(value: Value) -> int:
    element = _type(value).element
    return element.width if isinstance(element, IntegerType) else 32


def _blob(rewriter: Rewriter, value: Value | None, rank: int) -> Value | None:
    """A value as a blob of `rank` axes: a constant becomes MemoryData of that rank. None for other values, and for
    constants that differ by sample."""
    array = array_of(value)
    if array is None or value is None:
        return value if len(shape_of(value)) == rank + 1 else None
    array = np.ascontiguousarray(array, np.float32)
    if array.ndim == rank + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > rank or rank not in AXES:
        return None
    data = rewriter.constant(array.reshape((1,) * (rank + 1 - array.ndim) + array.shape), value.name)
    return _layer(rewriter, "MemoryData", [data], data.type, **dict(zip(AXES[rank], _type(data).shape[1:])))  # type: ignore[index]


def _reshaped(rewriter: Rewriter, x: Value | None, type: TensorType) -> Value | None:
    """`x` in the shape of `type`, sample by sample."""
    old, new = shape_of(x)[1:], (type.shape or ())[1:]
    if x is None or None in (*old, *new) or len(new) not in AXES or math.prod(old) != math.prod(new):  # type: ignore[arg-type]
        return None
    if old == new:
        return x
    sizes = {} if len(new) == 1 else dict(zip(AXES[len(new)], new, strict=True))
    return _layer(rewriter, "Reshape" if sizes else "Flatten", [x], type, **sizes)


def activation_of(op: Operation | None) -> dict[str, Any]:
    """A Relu, Clip or nothing as a layer's fused activation: 1, or 3 with its bounds."""
    bounds = clamp_bounds(op) if op is not None else None
    if bounds is None:
        return {}
    if bounds == (0.0, math.inf):
        return {"activation_type": 1}
    return {"activation_type": 3, "activation_params": _finite(bounds)}


def _finite(bounds: Iterable[float] | None) -> tuple[float, ...]:
    return tuple(min(max(b, -LARGEST), LARGEST) for b in bounds or ())


# ---------------------------------------------------------------- windows and products
def _window(op: Operation) -> dict[str, int] | None:
    """The window of a plane as parameters; None for windows of other ranks."""
    found = window(op)
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left", "pad_bottom", "pad_right")
    numbers = (*found["kernel_shape"], *found["strides"], *found["pads"])
    return dict(zip(names, numbers, strict=True)) if len(numbers) == 8 else None


def runs_winograd(parameter: Callable[[str], Any], groups: int, shape: Sequence[int]) -> bool:
    """Whether x86 computes an int8 convolution by F(4,3): 3x3, stride and dilation 1, more than 8 channels in or out."""
    window = [parameter(k) for k in ("kernel_w", "kernel_h", "stride_w", "stride_h", "dilation_w", "dilation_h")]
    depthwise = groups > 1 and groups == shape[0] and shape[1] == 1
    wide = not depthwise and max(shape[0] // groups, shape[1]) > 8
    return window == [3, 3, 1, 1, 1, 1] and wide and not parameter("featmask") & NO_WINOGRAD


def overflowing(parameter: Callable[[str], Any], groups: int, codes: NDArray[Any]) -> str:
    """Which channels of an int8 convolution may overflow in F(4,3), in words; "" where none can."""
    sums = np.abs(codes.astype(np.int64)).reshape(len(codes), -1).sum(1)
    wrong = int((sums > WINOGRAD_SUM).sum()) if runs_winograd(parameter, groups, codes.shape) else 0
    return wrong and f"{wrong} channels with weights that sum up to {sums.max()}, more than {WINOGRAD_SUM}" or ""


def _conv(group: Group, rewriter: Rewriter) -> Value | None:
    """Convolution, or ConvolutionDepthWise where there are groups."""
    op, (x, w, *rest) = group.op, group.operands
    weights, bias, frame = array_of(w), rest[0] if rest else None, _window(op)
    if weights is None or frame is None or (bias is not None and array_of(bias) is None):
        return None
    found = window(op)
    groups, (dilation_h, dilation_w) = found["group"], found["dilations"]
    given = {"num_output": weights.shape[0], "bias_term": int(bias is not None), "weight_data_size": weights.size, **frame,
             "dilation_h": dilation_h, "dilation_w": dilation_w, "featmask": 0, **activation_of(group.activation)}  # fmt: skip
    if groups > 1:
        given["group"] = groups
    if group.quantized:
        given["int8_scale_term"] = 1 if 1 < groups == weights.shape[0] else 2
        given["int8_scale_term"] += 100 if group.outputs[0] else 0
        why = overflowing(given.__getitem__, groups, weights)
        if why:
            given["featmask"] = NO_WINOGRAD
            rewriter.ctx.remark("missed", op.location, f"{op.name} runs without Winograd, whose sums overflow: {why}", "lower")
    name = "ConvolutionDepthWise" if groups > 1 else "Convolution"
    return _layer(rewriter, name, [x, w, bias], group.result.type, group.quant, **given)


def _product(group: Group, rewriter: Rewriter) -> Value | None:
    """InnerProduct on integers. In float Gemm, for InnerProduct cuts its weights to half precision on x86; MatMul for
    two blobs."""
    op, (a, b, *rest) = group.op, group.operands
    gemm, weights, bias = op.name == "onnx.Gemm", array_of(b), array_of(rest[0] if rest else None)
    if weights is None or b is None or weights.ndim != 2 or len(shape_of(a)) not in (2, 3):
        return None if gemm else _matmul(group, rewriter)
    rows = np.ascontiguousarray(weights if op.attr("transB", 0) else weights.T)
    if op.attr("transA", 0) or (rest and (bias is None or bias.size != len(rows))):
        return None
    operands = [a, rewriter.constant(dense_from_numpy(rows, rewriter.resource_key(b.name or "weights"),
                                                      TensorType(rows.shape, _type(b).element)), b.name),
                None if bias is None else rewriter.constant(bias.reshape(-1))]  # fmt: skip
    quant = [*group.quantizers[:2], None, *group.outputs]
    if group.quantizers[0] is not None:
        return _layer(rewriter, "InnerProduct", operands, group.result.type, quant, num_output=len(rows),
                      bias_term=int(bias is not None), weight_data_size=rows.size, int8_scale_term=2)  # fmt: skip
    sizes = shape_of(group.result)
    made = _layer(
        rewriter, "Gemm", operands, TensorType((sizes[0], *(sizes[1:-1] or (1,)), sizes[-1]), f32), quant,
        constantN=len(rows), constantK=rows.shape[1], constant_broadcast_type_C=-1 if bias is None else 4,
        quantize_term=0 if group.quantizers[1] is None else 100 * _bits(b),
        alpha=op.attr("alpha", 1.0), beta=op.attr("beta", 1.0),
    )  # fmt: skip
    return _reshaped(rewriter, made, _type(group.result))


def _matmul(group: Group, rewriter: Rewriter) -> Value | None:
    ranks = [max(2, len(shape_of(v)) - (array_of(v) is None)) for v in group.operands]
    blobs = [_blob(rewriter, v, rank) for v, rank in zip(group.operands, ranks, strict=True)]
    return None if None in blobs else _layer(rewriter, "MatMul", blobs, group.result.type)


# ---------------------------------------------------------------- floats
def _binary(group: Group, rewriter: Rewriter) -> Value | None:
    """BinaryOp of two blobs of one rank, or of a blob and a number."""
    a, b = group.operands
    kind, type = BINARY[group.op.name[5:]], _type(group.result)
    for x, other, code in ((a, b, kind), (b, a, REVERSED.get(kind, kind))):
        number = array_of(other)
        if number is not None and number.size == 1 and shape_of(x) == type.shape:
            return _layer(rewriter, "BinaryOp", [x], type, op_type=code, with_scalar=1, scalar=float(number.reshape(())))
    order = (b, a) if array_of(a) is not None and kind not in REVERSED else (a, b)
    blobs = [_blob(rewriter, v, len(type.shape or ()) - 1) for v in order]
    return None if None in blobs else _layer(rewriter, "BinaryOp", blobs, type, op_type=kind)


def _pool(group: Group, rewriter: Rewriter) -> Value | None:
    op, frame = group.op, _window(group.op)
    ceil, include = op.attr("ceil_mode", 0), op.attr("count_include_pad", 0)
    if frame is None or (ceil and include) or set(window(op)["dilations"]) != {1} or len(op.results) > 1:
        return None
    return _layer(rewriter, "Pooling", group.operands, group.result.type, pooling_type=int("Average" in op.name), **frame,
                  pad_mode=0 if ceil else 1, avgpool_count_include_pad=include)  # fmt: skip


def _global_pool(group: Group, rewriter: Rewriter) -> Value | None:
    type, average = _type(group.result), int("Average" in group.op.name)
    vector = TensorType((type.shape or ())[:2], f32)
    made = _layer(rewriter, "Pooling", group.operands, vector, pooling_type=average, global_pooling=1)
    return _reshaped(rewriter, made, type)


def _split(group: Group, rewriter: Rewriter) -> list[Value] | None:
    """A Crop for each part."""
    axis = axis_of(group.op, 0)
    sizes = [shape_of(r)[axis] for r in group.results]
    if axis == 0 or None in sizes:
        return None
    ends = np.cumsum(sizes).tolist()  # type: ignore[arg-type]
    return [_layer(rewriter, "Crop", group.operands[:1], r.type, starts=(end - size,), ends=(end,), axes=(axis - 1,))
            for r, size, end in zip(group.results, sizes, ends, strict=True)]  # fmt: skip


def _concat(group: Group, rewriter: Rewriter) -> Value | None:
    axis, rank = axis_of(group.op), len(shape_of(group.result)) - 1
    blobs = [_blob(rewriter, v, rank) for v in group.operands]
    return None if axis == 0 or None in blobs else _layer(rewriter, "Concat", blobs, group.result.type, axis=axis - 1)


def _layer_norm(group: Group, rewriter: Rewriter) -> Value | None:
    (x, gamma, *rest), size = group.operands, (shape_of(group.operands[0]) or (None,))[-1]
    scale = array_of(gamma)
    if scale is None or scale.size != size or axis_of(group.op) != len(shape_of(x)) - 1:
        return None
    beta = rest[0] if rest else rewriter.constant(np.zeros(size, np.float32))
    return _layer(rewriter, "LayerNorm", [x, gamma, beta], group.result.type, affine_size=size,
                  eps=group.op.attr("epsilon", 1e-5))  # fmt: skip


def _embed(group: Group, rewriter: Rewriter) -> Value | None:
    """Rows of a constant table, by indices."""
    table, indices = array_of(group.operands[0]), group.operands[1]
    if table is None or table.ndim != 2 or group.op.attr("axis", 0) != 0 or len(shape_of(indices)) != 2:
        return None
    return _layer(rewriter, "Embed", [indices, group.operands[0]], group.result.type, num_output=table.shape[1],
                  input_dim=table.shape[0], weight_data_size=table.size)  # fmt: skip


def _pad(group: Group, rewriter: Rewriter) -> Value | None:
    pads, kinds = integers(group.op, 1, "pads"), {"constant": 0, "edge": 1, "reflect": 2}
    number, mode = array_of(group.operands[2] if len(group.operands) > 2 else None), group.op.attr("mode", "constant")
    if pads is None or len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0 or mode not in kinds:
        return None
    return _layer(rewriter, "Padding", group.operands[:1], group.result.type, top=pads[2], left=pads[3], bottom=pads[6],
                  right=pads[7], type=kinds[mode], value=0.0 if number is None else float(number.reshape(())))  # fmt: skip


# ---------------------------------------------------------------- layers that are one line of a table
def _axes(group: Group) -> tuple[int, ...] | None:
    rank, axes = len(shape_of(group.operands[0])), integers(group.op, 1, "axes")
    found = tuple(a % rank - 1 for a in axes or range(rank))
    return None if -1 in found else found


def _axis(group: Group) -> int | None:
    return axis_of(group.op) - 1 if axis_of(group.op) else None


def _order(group: Group) -> int | None:
    perm, rank = group.op.attr("perm", ()), len(shape_of(group.result)) - 1
    if rank not in ORDERS or not perm or perm[0] != 0:
        return None
    return ORDERS[rank].index("".join(AXES[rank][p - 1] for p in reversed(perm[1:])))


def _crop(part: Callable[[int, range], int]) -> Parameter:
    def parameter(group: Group) -> tuple[int, ...] | None:
        ranges = ranges_of_slice(group.op)
        if not ranges or 0 in ranges or any(r.step != 1 for r in ranges.values()):
            return None
        return tuple(part(axis, r) for axis, r in ranges.items())

    return parameter


def _attribute(name: str, default: Any) -> Parameter:
    return lambda group: group.op.attr(name, default)


def _bound(index: int) -> Parameter:
    return lambda group: None if clamp_bounds(group.op) is None else _finite(clamp_bounds(group.op))[index]


def _one(name: str, **parameters: Any) -> Emitter:
    """A layer of the first operand alone; parameters are values, or functions of the group (None: no layer for it)."""

    def emit(group: Group, rewriter: Rewriter) -> Value | None:
        given = {key: value(group) if callable(value) else value for key, value in parameters.items()}
        return None if None in given.values() else _layer(rewriter, name, group.operands[:1], group.result.type, **given)

    emit.__doc__ = f"The layer {name}."
    return emit


_RESHAPE: Emitter = lambda group, rewriter: _reshaped(rewriter, group.operands[0], _type(group.result))  # noqa: E731

EMITTERS: Mapping[str, Emitter] = {
    "Conv": _conv, "Gemm": _product, "MatMul": _product, "Split": _split, "Concat": _concat, "Pad": _pad,
    "LayerNormalization": _layer_norm, "Gather": _embed, "MaxPool": _pool, "AveragePool": _pool,
    "GlobalAveragePool": _global_pool, "GlobalMaxPool": _global_pool,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"), _RESHAPE),
    **dict.fromkeys(BINARY, _binary),
    **{name: _one("UnaryOp", op_type=code) for name, code in UNARY.items()},
    **{name: _one("Reduction", operation=code, axes=_axes, keepdims=_attribute("keepdims", 1)) for name, code in REDUCE.items()},
    "Softmax": _one("Softmax", axis=_axis),
    "Transpose": _one("Permute", order_type=_order),
    "Slice": _one("Crop", starts=_crop(lambda axis, r: r.start), ends=_crop(lambda axis, r: r.start + len(r)),
                  axes=_crop(lambda axis, r: axis - 1)),
    "DepthToSpace": _one("PixelShuffle", upscale_factor=_attribute("blocksize", 1),
                         mode=lambda group: int(group.op.attr("mode", "DCR") != "CRD")),
    "Clip": _one("Clip", min=_bound(0), max=_bound(1)),
    "Relu": _one("ReLU"), "LeakyRelu": _one("ReLU", slope=_attribute("alpha", 0.01)),
    "Sigmoid": _one("Sigmoid"), "Tanh": _one("TanH"), "Erf": _one("Erf"),
    "Gelu": _one("GELU", fast_gelu=lambda group: int(group.op.attr("approximate", "none") == "tanh")),
    "HardSwish": _one("HardSwish", alpha=1 / 6, beta=0.5),
    "HardSigmoid": _one("HardSigmoid", alpha=_attribute("alpha", 0.2), beta=_attribute("beta", 0.5)),
}  # fmt: skip
