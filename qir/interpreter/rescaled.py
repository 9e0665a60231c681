"""Kernels that scale integer sums in float32, with scales that are steps per unit: the inverse of a quantizer's.

codes   clip(trunc(fl(v + copysign(1/2, v)))),  v = fl(x * sx)
floats  act(fl(fl(acc) * si + bias)),  si = fl(1 / fl(sx * sw)), rounded once (a fused multiply-add) or twice
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qir.interpreter.node import Node
from qir.interpreter.quantizers import Quantization
from qir.interpreter.registry import Kernel
from qir.numerics import decode
from qir.numerics.requantize import scaled_sums, truncated_codes

__all__ = ["block_rows", "codes_of", "rescaled", "rounded_by_block", "steps_of"]


def steps_of(node: Node, index: int) -> Tensor | None:
    """Steps per unit of an operand or result; None where it is no codes."""
    found = node.quantization(index)
    return None if found is None else 1 / found.scale


def codes_of(x: Tensor, steps: Tensor | None) -> Tensor:
    """int8 codes: those that are there, or those of floats."""
    return x if x.dtype == torch.int8 or steps is None else truncated_codes(x * steps, -127, 127)


def rescaled(
    node: Node,
    sums: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    fused: bool,
    activate: Callable[[Tensor], Tensor],
) -> Kernel:
    """The kernel of operands x (codes, or floats that it quantizes), w and a float bias or none, all constant but x.

    `sums` gives the exact sums of codes; scales and bias of the channels get `shape` to lie on their axis. The result
    is codes where the record names a quantizer for it.
    """
    x_steps, w_steps, bias, y_steps = steps_of(node, 0), steps_of(node, 1), node.constant(2), None
    if len(node.op.results) == 1:
        y_steps = steps_of(node, len(node.operands))
    if x_steps is None or w_steps is None:
        raise node.error("runs on integers, and names no quantizer for what it reads", "fill in its `quant`")
    factor = (1 / (x_steps * w_steps)).reshape(shape if w_steps.dim() else ())
    added = None if bias is None else bias.reshape(shape)

    def run(x: Tensor, *_: Tensor | None) -> Tensor:
        return codes_of(activate(scaled_sums(sums(codes_of(x, x_steps)), factor, added, fused)), y_steps)

    return run


def block_rows(weight: Tensor, found: Quantization) -> Tensor:
    """Float rows ``[N, K]`` of codes with a scale per block of inputs, which lie on the second axis of the quantizer's
    tensor, or on the first, where the model's matrix was the other way round."""
    if dict(found.scheme.granularity.blocks)[0] == 1:
        return decode(weight, found.scheme, found.scale)
    return decode(weight.t(), found.scheme, found.scale).t()


def rounded_by_block(x: Tensor, size: int) -> Tensor:
    """What int8 codes keep of x ``[…, K]``, each block of `size` by its own largest magnitude, which becomes 127."""
    blocks: Tensor = torch.nn.functional.pad(x, (0, -x.shape[-1] % size)).unflatten(-1, (-1, size))
    steps = 127 / blocks.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    rounded: Tensor = codes_of(blocks, steps) / steps
    return rounded.flatten(-2)[..., : x.shape[-1]]
