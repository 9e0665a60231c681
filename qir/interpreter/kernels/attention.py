"""Attention and what transformers put around it."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from qir.interpreter.kernels.common import onnx_type
from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel
from qir.interpreter.values import torch_dtype


def _heads(x: torch.Tensor, count: int | None) -> torch.Tensor:
    """[batch, length, heads * size] as [batch, heads, length, size]."""
    if x.dim() == 4:
        return x
    if not count:
        raise ValueError("operands of rank 3 need q_num_heads and kv_num_heads")
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def _positions(q: int, kv: int, offset: int | torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Absolute position of each query, [.., q, 1], and of each key, [1, kv]."""
    rows = torch.arange(q, device=device).reshape(-1, 1)
    if isinstance(offset, torch.Tensor):
        rows = rows + offset.reshape(-1, 1, 1, 1)
    else:
        rows = rows + offset
    return rows, torch.arange(kv, device=device).reshape(1, -1)


@kernel("onnx.Attention", fresh=True)
def _attention(node: Node) -> Kernel:
    """softmax(Q Kᵀ scale + bias) V; the scale goes to both factors as its square root."""
    q_heads, kv_heads = node.attr("q_num_heads", None), node.attr("kv_num_heads", None)
    causal, cap = bool(node.attr("is_causal", 0)), node.attr("softcap", 0.0)
    left, right = node.attr("left_window_size", -1), node.attr("right_window_size", -1)
    given_scale, shown = node.attr("scale", None), node.attr("qk_matmul_output_mode", 0)
    precise = onnx_type(node, "softmax_precision")
    count = len(node.op.results)

    def bias_of(mask: Any, q: int, kv: int, past: int, lengths: Any, like: torch.Tensor) -> torch.Tensor | None:
        """Everything that is added before the softmax, None if nothing is."""
        lowest = torch.tensor(-math.inf, dtype=like.dtype, device=like.device)
        zero = torch.zeros((), dtype=like.dtype, device=like.device)
        bias: torch.Tensor | None = None
        if mask is not None:
            bias = torch.where(mask, zero, lowest) if mask.dtype == torch.bool else mask
            if kv > mask.shape[-1]:
                bias = F.pad(bias, (0, kv - mask.shape[-1]), value=-math.inf)
        offset = lengths.reshape(-1) - q if lengths is not None and not past else past
        rows, columns = _positions(q, kv, offset, like.device)
        allowed: torch.Tensor | None = None
        if causal:
            allowed = columns <= rows
        if left >= 0:
            near = rows - columns <= left
            allowed = near if allowed is None else allowed & near
        if right >= 0:
            near = columns - rows <= right
            allowed = near if allowed is None else allowed & near
        if lengths is not None:
            there = columns < lengths.reshape(-1, 1, 1, 1)
            allowed = there if allowed is None else allowed & there
        if allowed is not None:
            limit = torch.where(allowed, zero, lowest)
            bias = limit if bias is None else bias + limit
        return bias

    def run(
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        mask: Any = None,
        past_key: Any = None,
        past_value: Any = None,
        lengths: Any = None,
    ) -> Any:
        flat = q.dim() == 3
        q, k, v = _heads(q, q_heads), _heads(k, kv_heads), _heads(v, kv_heads)
        past = 0 if past_key is None else past_key.shape[2]
        if past_key is not None:
            k = torch.cat([past_key, k], 2)
        if past_value is not None:
            v = torch.cat([past_value, v], 2)
        present = (k, v)
        repeats = q.shape[1] // k.shape[1]
        if repeats > 1:
            k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
        root = math.sqrt(given_scale if given_scale is not None else 1 / math.sqrt(q.shape[-1]))
        factor = torch.tensor(root, dtype=q.dtype, device=q.device)
        scores = (q * factor) @ (k.transpose(-1, -2) * factor)
        raw = scores
        if cap:
            scores = torch.tanh(scores / cap) * cap
            raw = raw if shown == 0 else scores
        bias = bias_of(mask, q.shape[2], k.shape[2], past, lengths, q)
        if bias is not None:
            scores = scores + bias
        raw = scores if shown == 2 else raw
        inner = scores if precise is None else scores.to(torch_dtype(precise))
        shares = torch.softmax(inner, -1)
        if bias is not None:  # a query that may look at nothing gives zeros, not NaN
            blind = bias.amax(-1, keepdim=True) == -math.inf
            shares = torch.where(blind, torch.zeros((), dtype=shares.dtype, device=q.device), shares)
        shares = shares.to(q.dtype)
        y = shares @ v
        if flat:
            y = y.transpose(1, 2).reshape(y.shape[0], y.shape[2], -1)
        return (y, *present, shares if shown == 3 else raw)[:count] if count > 1 else y

    return run


@kernel("onnx.RotaryEmbedding", fresh=True)
def _rotary_embedding(node: Node) -> Kernel:
    """Rotates pairs of features by angles that grow with the position (Su et al. 2021)."""
    interleaved, size = bool(node.attr("interleaved", 0)), node.attr("rotary_embedding_dim", 0)
    heads = node.attr("num_heads", 0)

    def run(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, positions: torch.Tensor | None = None) -> Any:
        parts = x.transpose(1, 2) if x.dim() == 4 else x.reshape(x.shape[0], x.shape[1], heads, -1)
        if positions is not None:
            cos, sin = cos[positions], sin[positions]
        cos, sin = cos.unsqueeze(2), sin.unsqueeze(2)
        width = size or parts.shape[-1]
        turned, rest = parts[..., :width], parts[..., width:]
        if interleaved:
            a, b = turned[..., 0::2], turned[..., 1::2]
        else:
            a, b = turned.chunk(2, -1)
        real, imaginary = cos * a - sin * b, sin * a + cos * b
        if interleaved:
            turned = torch.stack([real, imaginary], -1).reshape(turned.shape)
        else:
            turned = torch.cat([real, imaginary], -1)
        y = torch.cat([turned, rest], -1)
        return y.transpose(1, 2) if x.dim() == 4 else y.reshape(x.shape)

    return run


@kernel("onnx.SwiGLU", fresh=True)
def _swiglu(node: Node) -> Kernel:
    alpha = node.attr("alpha", 1.0)
    return lambda a, b: a * torch.sigmoid(alpha * a) * b


@kernel("onnx.CausalConvWithState", fresh=True)
def _causal_conv(node: Node) -> Kernel:
    """A depthwise convolution over time that sees the past only; its last inputs are the next call's state."""
    activation = node.attr("activation", "none")

    def run(
        x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None, past: torch.Tensor | None = None
    ) -> Any:
        keep = w.shape[2] - 1
        before = x.new_zeros((x.shape[0], x.shape[1], keep)) if past is None else past
        whole = torch.cat([before, x], 2)
        y = F.conv1d(whole, w, bias, groups=x.shape[1])
        if activation in ("silu", "swish"):
            y = F.silu(y.float()).to(y.dtype)
        return y, whole[:, :, whole.shape[2] - keep :]

    return run


@kernel("onnx.LinearAttention", fresh=True)
def _linear_attention(node: Node) -> Kernel:
    """A running sum of k vᵀ, decayed (gated) or corrected by what it already says of k (delta), read by each query."""
    rule = node.attr("update_rule", "gated_delta")
    q_heads, kv_heads, scale = node.attr("q_num_heads"), node.attr("kv_num_heads"), node.attr("scale", 0.0)

    def run(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, past: Any = None, decay: Any = None, beta: Any = None
    ) -> Any:
        dtype = q.dtype
        qs, ks, vs = (_heads(t.float(), n) for t, n in ((q, q_heads), (k, kv_heads), (v, kv_heads)))
        decays = None if decay is None else _heads(decay.float(), kv_heads)
        betas = None if beta is None else _heads(beta.float(), beta.shape[-1])
        size = ks.shape[-1]
        state = ks.new_zeros((q.shape[0], kv_heads, size, vs.shape[-1])) if past is None else past.float()
        factor = scale or 1 / math.sqrt(size)
        outputs = []
        for t in range(q.shape[1]):
            kt, vt = ks[:, :, t], vs[:, :, t]
            if decays is not None:
                state = state * torch.exp(decays[:, :, t]).unsqueeze(-1)
            if betas is not None and "delta" in rule:
                vt = betas[:, :, t] * (vt - torch.einsum("bhdm,bhd->bhm", state, kt))
            state = state + kt.unsqueeze(-1) * vt.unsqueeze(-2)
            read = state.repeat_interleave(q_heads // kv_heads, 1)
            outputs.append(factor * torch.einsum("bhd,bhdm->bhm", qs[:, :, t], read))
        y = torch.stack(outputs, 1).reshape(q.shape[0], q.shape[1], -1)
        return y.to(dtype), state.to(dtype if past is None else past.dtype)

    return run
