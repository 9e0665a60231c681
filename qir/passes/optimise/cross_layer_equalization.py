"""``cross-layer-equalization``: channels of one tensor get like ranges, without changing the float function.

Nagel et al. 2019 (Data-Free Quantization, section 4.1). Between two layers joined by operations f that are positively
homogeneous per channel, W₂ f(W₁ x + b₁) = (W₂ S) f(S⁻¹ W₁ x + S⁻¹ b₁) for a diagonal S > 0. With
sᵢ = √(r₁ᵢ r₂ᵢ) / r₂ᵢ, where r₁ᵢ and r₂ᵢ are the largest weights of channel i on both sides, both become √(r₁ᵢ r₂ᵢ).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import attrs
import numpy as np

from qir.ir import Context, DenseResourceAttr, Operation, TensorType, Value, dense_from_numpy
from qir.passes.base import Pass, option
from qir.passes.graph.operations import tensor_rank
from qir.passes.registry import register_pass
from qir.rewrite import constant_array, is_absent

__all__ = ["CrossLayerEqualization", "equalize"]

HOMOGENEOUS = frozenset(
    f"onnx.{name}"
    for name in (
        "Relu",
        "LeakyRelu",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Identity",
        "Dropout",
    )
)
"""Operations with f(s·x) = s·f(x) for s > 0 that leave the channel axis (1) where it is."""


@attrs.frozen
class Side:
    """A weight seen from the channels of the tensor between two layers: `view(w)` has shape (channels, …)."""

    weight: Value
    view: Callable[[Any], Any]
    channels: int


@attrs.frozen
class Link:
    """Two layers whose common channels can be scaled. `first` are the weight and (if any) the bias of the producer."""

    first: tuple[Side, ...]
    second: Side
    op: Operation


# ---------------------------------------------------------------- the layers
def _groups(op: Operation) -> int:
    return int(op.attr("group", 1))


def _as_it_is(array: Any) -> Any:
    return array


def _weight(op: Operation, index: int) -> Any:
    """A constant float operand that only this operation reads, else None."""
    value = op.operands[index] if index < len(op.operands) else None
    if value is None or not value.has_one_use():
        return None
    array = constant_array(value)
    return array if array is not None and array.dtype.kind == "f" else None


def _outputs(op: Operation) -> tuple[Side, ...] | None:
    """The weight and bias of a layer by output channel; None if it is not a layer with constants of its own."""
    w = _weight(op, 1)
    if w is None:
        return None
    group = _groups(op)
    view: Callable[[Any], Any]
    if op.name == "onnx.Conv":
        channels, view = w.shape[0], _as_it_is
    elif op.name == "onnx.ConvTranspose":  # (inputs, outputs / group, …)
        if group != 1:
            return None
        channels, view = w.shape[1], lambda a: np.moveaxis(a, 1, 0)
    elif op.name == "onnx.Gemm":
        transposed = bool(op.attr("transB", 0))
        channels, view = w.shape[0 if transposed else 1], _as_it_is if transposed else np.transpose
    else:
        return None
    sides = [Side(op.operands[1], view, channels)]
    if len(op.operands) > 2 and not is_absent(op.operands[2]):
        bias = _weight(op, 2)
        if bias is None or bias.shape != (channels,):
            return None
        sides.append(Side(op.operands[2], _as_it_is, channels))
    return tuple(sides)


def _inputs(op: Operation, channels: int) -> Side | None:
    """The weight of a layer by input channel, `channels` of them; each may stand for several features after Flatten."""
    w = _weight(op, 1)
    if w is None:
        return None
    view: Callable[[Any], Any]
    if op.name == "onnx.Conv":
        group = _groups(op)
        if w.shape[1] * group != channels:
            return None

        def view(a: Any) -> Any:
            grouped = a.reshape(group, a.shape[0] // group, *a.shape[1:])  # (group, outputs, inputs, …)
            return np.moveaxis(grouped, 2, 1)  # (group, inputs, outputs, …): the first two axes are the channels

    elif op.name == "onnx.ConvTranspose":
        if w.shape[0] != channels:
            return None
        view = _as_it_is
    elif op.name == "onnx.Gemm" and not op.attr("transA", 0):
        features = w.shape[1 if op.attr("transB", 0) else 0]
        if features % channels:
            return None
        transposed = bool(op.attr("transB", 0))

        def view(a: Any) -> Any:
            by_feature = a.T if transposed else a
            return by_feature.reshape(channels, features // channels, -1)

    else:
        return None
    return Side(op.operands[1], view, channels)


def _next(op: Operation) -> Operation | None:
    """The only reader of an operation's only used result."""
    value = op.results[0]
    if not value.has_one_use() or any(r.uses for r in op.results[1:]):
        return None
    user = value.users[0]
    return user if user.parent is op.parent and user.operands[0] is value else None


def _keeps_channels(op: Operation, flat: bool) -> bool | None:
    """Whether f(s·x) = s·f(x) per channel; True where the result has features instead of channels, None if not so."""
    if op.name in HOMOGENEOUS:
        return None if op.name == "onnx.Dropout" and op.attr("training_mode", 0) else flat
    if op.name == "onnx.Flatten" and op.attr("axis", 1) == 1:
        return True
    if op.name in ("onnx.Reshape", "onnx.Squeeze"):  # (N, C, H, W) to (N, C·H·W)
        before, after = op.operands[0].type, op.result.type
        if isinstance(before, TensorType) and isinstance(after, TensorType) and before.shape and after.rank == 2:
            sizes, features = before.shape[1:], (after.shape or ())[1]
            if features is not None and None not in sizes and features == int(np.prod([s or 0 for s in sizes])):
                return True
        return None
    if op.name == "onnx.ReduceMean" and not flat:
        axes, rank = op.attr("axes"), tensor_rank(op.operands[0])
        if axes is None and len(op.operands) > 1:
            array = constant_array(op.operands[1])
            axes = None if array is None else tuple(array.reshape(-1).tolist())
        if axes and rank is not None and all(int(a) % rank > 1 for a in axes):
            return not op.attr("keepdims", 1)
    return None


def links(module: Operation) -> Iterator[Link]:
    """Every pair of layers whose common channels can be scaled."""
    for op in module.walk():
        if not op.results:
            continue
        first = _outputs(op)
        if first is None:
            continue
        flat, user = op.name == "onnx.Gemm", _next(op)
        while user is not None:
            second = _inputs(user, first[0].channels)
            if second is not None and (flat == (user.name == "onnx.Gemm")):
                yield Link(first, second, op)
                break
            kept = _keeps_channels(user, flat)
            if kept is None:
                break
            flat, user = kept, _next(user)


# ---------------------------------------------------------------- scaling
def _ranges(side: Side, arrays: dict[Value, Any]) -> Any:
    return np.abs(side.view(arrays[side.weight])).reshape(side.channels, -1).max(axis=1)


def _scale(side: Side, arrays: dict[Value, Any], factor: Any) -> None:
    view = side.view(arrays[side.weight])
    lead = view.shape[:2] if view.shape[0] != side.channels else view.shape[:1]
    view *= factor.reshape(*lead, *(1,) * (view.ndim - len(lead)))


def _factors(link: Link, arrays: dict[Value, Any]) -> Any:
    """sᵢ = √(r₁ᵢ r₂ᵢ) / r₂ᵢ = √(r₁ᵢ / r₂ᵢ); 1 for a dead channel, which has nothing to balance."""
    r1, r2 = _ranges(link.first[0], arrays), _ranges(link.second, arrays)
    alive = (r1 > 0) & (r2 > 0)
    return np.where(alive, np.sqrt(np.where(alive, r1, 1) / np.where(alive, r2, 1)), 1.0)


def equalize(module: Operation, sweeps: int = 20, tolerance: float = 1e-3, spread: float = 1.0) -> list[Link]:
    """Equalize the links of a module until no factor moves by more than `tolerance`.

    Links whose factors lie within the ratio `spread` of each other at first are left alone. In float64; the weights are
    rounded once to their own type. Returns the links whose weights changed.
    """
    found = list(links(module))
    arrays: dict[Value, Any] = {}
    for link in found:
        for side in (*link.first, link.second):
            if side.weight not in arrays:
                arrays[side.weight] = np.array(constant_array(side.weight), np.float64)
    found = [link for link in found if (s := _factors(link, arrays)).max(initial=0) >= spread * s.min(initial=1)]
    changed: dict[int, Link] = {}
    for _ in range(sweeps):
        moved = 0.0
        for i, link in enumerate(found):
            s = _factors(link, arrays)
            step = float(np.abs(np.log(s)).max(initial=0.0))
            if step > tolerance:
                for side in link.first:
                    _scale(side, arrays, 1 / s)
                _scale(link.second, arrays, s)
                changed[i] = link
            moved = max(moved, step)
        if moved <= tolerance:
            break
    touched = {side.weight for link in changed.values() for side in (*link.first, link.second)}
    for weight in arrays:
        if weight in touched:
            _store(weight, arrays[weight])
    return [changed[i] for i in sorted(changed)]


def _store(weight: Value, array: Any) -> None:
    op = weight.defining_op
    old = constant_array(weight)
    assert op is not None and old is not None
    held = op.attributes.pop("value", None)
    for short_form in [name for name in op.attributes if name.startswith("value_")]:
        del op.attributes[short_form]
    key = held.key if isinstance(held, DenseResourceAttr) else None
    op.attributes["value"] = dense_from_numpy(array.astype(old.dtype), key)


@register_pass
@attrs.frozen
class CrossLayerEqualization(Pass):
    """Give the channels between two layers like ranges by scaling their weights; the float function stays the same.

    Channels of a network as it was trained differ by small factors, which cost no precision and whose removal changes
    every rounding for nothing.
    """

    name: ClassVar[str] = "cross-layer-equalization"

    sweeps: int = option(20, "go over all pairs of layers at most so often")
    spread: float = option(4.0, "leave pairs alone whose channels' factors lie within this ratio of each other")

    def run(self, module: Operation, ctx: Context) -> bool:
        changed = equalize(module, self.sweeps, spread=self.spread)
        for link in changed:
            ctx.remark("passed", link.op.location, f"{link.op.name} equalized with the next layer", self.name)
        self.count(ctx, "pairs of layers", len(changed))
        return bool(changed)
