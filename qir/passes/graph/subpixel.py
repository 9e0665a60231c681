"""A transposed convolution as a convolution whose channels are the pixels between pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qir.ir import Operation, TensorType, Value, f32
from qir.passes.graph.operations import opset
from qir.rewrite import RewritePattern, Rewriter, constant_array, is_absent

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ConvTransposeToConv"]


@attrs.frozen
class _Axis:
    """One spatial axis. With ``n = s·q + r`` the phase ``r`` of a transposed convolution is a convolution over ``q``
    with every s-th weight: ``y[s·q + r - pad] = Σ_m x[q - m]·w[s·m + r]``.

    `kernel` counts the dilated weights, `taps` those of a phase; `before` and `after` are the convolution's padding,
    `skip` and `drop` what is cut from both ends of the interleaved result.
    """

    stride: int
    dilation: int
    kernel: int
    taps: int
    before: int
    after: int
    skip: int
    drop: int

    @staticmethod
    def of(stride: int, dilation: int, weights: int, begin: int, end: int, extra: int) -> _Axis:
        kernel = dilation * (weights - 1) + 1
        taps = -(-kernel // stride)
        before = max(taps - 1 - begin // stride, 0)
        reach = kernel + extra - end  # from the last pixel's position to the end of the result
        after = max((reach - 1) // stride, 0)
        skip = begin - stride * (taps - 1 - before)
        return _Axis(stride, dilation, kernel, taps, before, after, skip, (after + 1) * stride - reach)


class ConvTransposeToConv(RewritePattern):
    """conv_transpose(x, w, stride s) = crop(depth_to_space(conv(x, w'))), with the s·s phases of w as channels.

    The products are the same, so a chip without transposed convolution computes them by its convolution. A Relu or
    Clip behind goes in front of the rearrangement, where a convolution absorbs it.
    """

    name = "conv-transpose-to-conv"
    roots = ("onnx.ConvTranspose",)
    depth = 2

    def match_and_rewrite(self, op: Operation, rewriter: Rewriter) -> bool:
        import numpy as np

        x, result = op.operands[0].type, op.results[0].type
        w = constant_array(op.operands[1])
        bias = None if len(op.operands) < 3 or is_absent(op.operands[2]) else op.operands[2]
        data = None if bias is None else constant_array(bias)
        if w is None or (bias is not None and data is None) or w.dtype != "float32":
            return False
        if not isinstance(x, TensorType) or x.shape is None or not isinstance(result, TensorType):
            return False
        sizes = x.shape[2:]
        axes = _axes(op, w.shape[2:], sizes)
        if isinstance(axes, str):
            rewriter.missed = axes
            return False
        strides = [a.stride for a in axes]
        phases = 1
        for s in strides:
            phases *= s
        group = int(op.attr("group", 1))
        mode = _mode(op, strides, group)
        if phases > 1 and mode is None and sum(n is None for n in sizes) > 1:
            rewriter.missed = "sizes are not known"
            return False
        channels = w.shape[1] * group
        inner = [None if n is None else n + a.before + a.after - a.taps + 1 for n, a in zip(sizes, axes, strict=True)]
        users = op.results[0].users
        behind = users[0] if len(users) == 1 and _is_clip(users[0], op) else None
        root = behind or op
        rewriter.start(root, (root, op) if behind is not None else (op,))
        name = f"{op.operands[1].name or 'weight'}_{'phases' if phases > 1 else 'flipped'}"
        weight = rewriter.constant(_phases(w, axes, group, mode == "DCR"), name, initializer=True)
        operands: list[Value | None] = [op.operands[0], weight]
        if data is not None and bias is not None:
            repeated = np.tile(data, phases) if mode == "DCR" else data.repeat(phases)
            operands.append(
                bias if phases == 1 else rewriter.constant(repeated, f"{bias.name or 'bias'}_phases", initializer=True)
            )
        attributes = {
            "group": group,
            "kernel_shape": [a.taps for a in axes],
            "pads": [a.before for a in axes] + [a.after for a in axes],
            "strides": [1] * len(axes),
        }
        full = TensorType((x.shape[0], channels * phases, *inner), f32)
        y: Value = rewriter.op("onnx.Conv", operands, attributes, full).result
        if behind is not None:
            rest = behind.operands[1:]
            made = rewriter.op(behind.name, [y, *rest], dict(behind.attributes), full, location=behind.location)
            y = made.result
        if mode is not None:
            y = _depth_to_space(y, channels, strides[0], mode, rewriter)
        elif phases > 1:
            y = _interleave(y, channels, strides, rewriter)
        if any(a.skip or a.drop for a in axes):
            y = _crop(y, axes, opset(op) < 10, rewriter)
        rewriter.replace(root, y)
        if root is not op:
            rewriter.erase_if_dead(op)
        return True


def _mode(op: Operation, strides: Sequence[int], group: int) -> str | None:
    """How DepthToSpace can interleave the phases; None where it cannot. Before opset 11 it takes channels last only."""
    if len(strides) != 2 or strides[0] != strides[1] or strides[0] == 1:
        return None
    if opset(op) >= 11:
        return "CRD"
    return "DCR" if group == 1 else None


def _is_clip(user: Operation, op: Operation) -> bool:
    if user.name == "onnx.Relu":
        return True
    return (
        user.name == "onnx.Clip"
        and user.operands[0] is op.results[0]
        and all(is_absent(v) or constant_array(v) is not None for v in user.operands[1:])
    )


def _axes(op: Operation, kernel: Sequence[int], sizes: Sequence[int | None]) -> list[_Axis] | str:
    """The axes of a ConvTranspose; or why they are not known."""
    rank = len(kernel)
    strides = op.attr("strides") or (1,) * rank
    dilations = op.attr("dilations") or (1,) * rank
    extra = op.attr("output_padding") or (0,) * rank
    pads = op.attr("pads") or (0,) * (2 * rank)
    wanted = op.attr("output_shape")
    automatic = op.attr("auto_pad", "NOTSET") or "NOTSET"
    found = []
    for i in range(rank):
        reach = dilations[i] * (kernel[i] - 1) + 1
        begin, end = pads[i], pads[rank + i]
        if wanted or automatic in ("SAME_UPPER", "SAME_LOWER"):
            size = sizes[i]
            if wanted:
                if size is None:
                    return "the input's size is not known"
                total = strides[i] * (size - 1) + extra[i] + reach - wanted[len(wanted) - rank + i]
            else:
                total = reach + extra[i] - strides[i]
            if total < 0:
                return "it pads its result"
            half = total // 2
            begin, end = (half, total - half) if automatic == "SAME_UPPER" else (total - half, half)
        elif automatic == "VALID":
            begin = end = 0
        if min(begin, end) < 0 or reach + extra[i] - end <= 0:
            return "its padding is unusual"
        found.append(_Axis.of(strides[i], dilations[i], kernel[i], begin, end, extra[i]))
    return found


def _phases(w: NDArray[Any], axes: Sequence[_Axis], group: int, phases_first: bool) -> NDArray[Any]:
    """The weight (inputs, outputs / group, …) as that of a convolution (outputs · phases, inputs / group, …); with
    `phases_first` the channels of one phase lie together."""
    import numpy as np

    rank = len(axes)
    spread = np.zeros((*w.shape[:2], *(a.taps * a.stride for a in axes)), w.dtype)
    every = (slice(None), slice(None), *(slice(0, a.kernel, a.dilation) for a in axes))
    spread[every] = w
    split = spread.reshape(group, w.shape[0] // group, w.shape[1], *(n for a in axes for n in (a.taps, a.stride)))
    taps, steps = [3 + 2 * i for i in range(rank)], [4 + 2 * i for i in range(rank)]
    channels = (*steps, 2) if phases_first else (2, *steps)
    turned = np.flip(split.transpose(0, *channels, 1, *taps), axis=tuple(3 + rank + i for i in range(rank)))
    outputs = group * w.shape[1]
    for a in axes:
        outputs *= a.stride
    return np.ascontiguousarray(turned.reshape(outputs, w.shape[0] // group, *(a.taps for a in axes)))


def _times(size: int | None, factor: int) -> int | None:
    return None if size is None else size * factor


def _depth_to_space(y: Value, channels: int, stride: int, mode: str, rewriter: Rewriter) -> Value:
    assert isinstance(y.type, TensorType) and y.type.shape is not None
    n, _, *sizes = y.type.shape
    type = TensorType((n, channels, *(_times(s, stride) for s in sizes)), f32)
    attributes = {"blocksize": stride, "mode": None if mode == "DCR" else mode}
    return rewriter.op("onnx.DepthToSpace", [y], attributes, type).result


def _interleave(y: Value, channels: int, strides: Sequence[int], rewriter: Rewriter) -> Value:
    """The same for any number of axes, by a Reshape, a Transpose and a Reshape; at most one size is unknown."""
    import numpy as np

    assert isinstance(y.type, TensorType) and y.type.shape is not None
    n, _, *sizes = y.type.shape
    rank = len(strides)

    def shape(name: str, *numbers: int | None) -> Value:
        return rewriter.constant(np.array([-1 if v is None else v for v in numbers], np.int64), name, initializer=True)

    def step(name: str, operands: Sequence[Value], attributes: dict[str, Any], *result: int | None) -> Value:
        return rewriter.op(name, operands, attributes, TensorType((n, channels, *result), f32)).result

    phases = shape("split_phases", 0, channels, *strides, *sizes)
    split = step("onnx.Reshape", [y, phases], {}, *strides, *sizes)
    order = [axis for i in range(rank) for axis in (2 + rank + i, 2 + i)]
    pairs = [v for size, s in zip(sizes, strides, strict=True) for v in (size, s)]
    mixed = step("onnx.Transpose", [split], {"perm": [0, 1, *order]}, *pairs)
    merged = [_times(size, s) for s, size in zip(strides, sizes, strict=True)]
    return step("onnx.Reshape", [mixed, shape("merge_phases", 0, channels, *merged)], {}, *merged)


def _crop(y: Value, axes: Sequence[_Axis], old: bool, rewriter: Rewriter) -> Value:
    """The result without what lies outside; `old` opsets have the limits as attributes."""
    import numpy as np

    assert isinstance(y.type, TensorType) and y.type.shape is not None
    cut = [(i, a) for i, a in enumerate(axes) if a.skip or a.drop]
    end = np.iinfo(np.int64).max
    limits = {
        "starts": [a.skip for _, a in cut],
        "ends": [-a.drop if a.drop else int(end) for _, a in cut],
        "axes": [2 + i for i, _ in cut],
    }
    operands: list[Value] = []
    if not old:
        for name, numbers in limits.items():
            operands.append(rewriter.constant(np.array(numbers, np.int64), f"crop_{name}", initializer=True))
    shape = list(y.type.shape)
    for i, a in cut:
        size = shape[2 + i]
        shape[2 + i] = None if size is None else size - a.skip - a.drop
    return rewriter.op("onnx.Slice", [y, *operands], limits if old else {}, TensorType(tuple(shape), f32)).result
