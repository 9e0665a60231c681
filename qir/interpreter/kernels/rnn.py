"""Recurrent layers: RNN, GRU and LSTM with the standard's gates, directions, peepholes and sequence lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from qir.interpreter.node import Node
from qir.interpreter.registry import Kernel, kernel

Activation = Callable[[torch.Tensor], torch.Tensor]

_DEFAULT_ALPHA = {
    "leakyrelu": 0.01,
    "elu": 1.0,
    "thresholdedrelu": 1.0,
    "hardsigmoid": 0.2,
    "affine": 1.0,
    "scaledtanh": 1.0,
}
_DEFAULT_BETA = {"hardsigmoid": 0.5, "affine": 0.0, "scaledtanh": 1.0}


def _activation(name: str, alpha: float, beta: float) -> Activation:
    table: dict[str, Activation] = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "softplus": F.softplus,
        "softsign": F.softsign,
        "affine": lambda x: alpha * x + beta,
        "leakyrelu": lambda x: F.leaky_relu(x, alpha),
        "thresholdedrelu": lambda x: torch.where(x > alpha, x, torch.zeros_like(x)),
        "scaledtanh": lambda x: alpha * torch.tanh(beta * x),
        "hardsigmoid": lambda x: torch.clamp(alpha * x + beta, 0, 1),
        "elu": lambda x: F.elu(x, alpha),
    }
    if name not in table:
        raise ValueError(f"activation {name!r} is none of {', '.join(sorted(table))}")
    return table[name]


class _Layer:
    """What the three have in common: attributes, directions, the loop over time."""

    def __init__(self, node: Node, gates: int, defaults: Sequence[str]) -> None:
        self.node, self.gates = node, gates
        self.direction = node.attr("direction", "forward")
        self.clip = node.attr("clip", None)
        self.layout = node.attr("layout", 0)
        directions = 2 if self.direction == "bidirectional" else 1
        names = [n.lower() for n in node.attr("activations", None) or list(defaults) * directions]
        alphas, betas = list(node.attr("activation_alpha", None) or ()), list(node.attr("activation_beta", None) or ())
        functions = []
        for name in names:
            # The lists of alphas and betas only have entries for the functions that take one.
            alpha = alphas.pop(0) if alphas and name in _DEFAULT_ALPHA else _DEFAULT_ALPHA.get(name, 0.0)
            beta = betas.pop(0) if betas and name in _DEFAULT_BETA else _DEFAULT_BETA.get(name, 0.0)
            functions.append(_activation(name, alpha, beta))
        self.functions = [functions[i * len(defaults) : (i + 1) * len(defaults)] for i in range(directions)]

    def clipped(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.clip is None else torch.clamp(x, -self.clip, self.clip)

    def sweep(
        self, x: torch.Tensor, lengths: torch.Tensor | None, states: list[torch.Tensor], backward: bool, step: Any
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """One direction over ``x [time, batch, inputs]``. Beyond a sequence's length states stay and outputs are 0."""
        outputs: list[torch.Tensor] = []
        steps = range(x.shape[0] - 1, -1, -1) if backward else range(x.shape[0])
        for t in steps:
            fresh = step(x[t], states)
            if lengths is not None:
                live = (lengths > t).reshape(-1, 1)
                outputs.append(torch.where(live, fresh[0], torch.zeros_like(fresh[0])))
                fresh = [torch.where(live, new, old) for new, old in zip(fresh, states, strict=True)]
            else:
                outputs.append(fresh[0])
            states = list(fresh)
        return torch.stack(outputs[::-1] if backward else outputs), states

    def run(
        self,
        x: torch.Tensor,
        w: torch.Tensor,
        lengths: torch.Tensor | None,
        initial: Sequence[torch.Tensor | None],
        make_step: Callable[[int], Any],
    ) -> Any:
        hidden = w.shape[1] // self.gates
        if self.layout:
            x = x.transpose(0, 1)
            initial = [None if s is None else s.transpose(0, 1) for s in initial]
        rows, finals = [], []
        for d in range(w.shape[0]):
            states = [x.new_zeros((x.shape[1], hidden)) if s is None else s[d] for s in initial]
            backward = self.direction == "reverse" or d == 1
            outputs, last = self.sweep(x, lengths, states, backward, make_step(d))
            rows.append(outputs)
            finals.append(last)
        y = torch.stack(rows, 1)
        ends = [torch.stack(column) for column in zip(*finals, strict=True)]
        if self.layout:
            y = y.permute(2, 0, 1, 3)
            ends = [e.transpose(0, 1) for e in ends]
        return (y, *ends)


def _biases(b: torch.Tensor | None, d: int, width: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if b is None:
        return like.new_zeros(width), like.new_zeros(width)
    return b[d, :width], b[d, width:]


@kernel("onnx.RNN", fresh=True)
def _rnn(node: Node) -> Kernel:
    layer = _Layer(node, 1, ("Tanh",))

    def run(x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, initial: Any = None) -> Any:
        def make(d: int) -> Any:
            wb, rb = _biases(b, d, w.shape[1], x)
            f = layer.functions[d][0]
            return lambda xt, s: [f(layer.clipped(xt @ w[d].t() + s[0] @ r[d].t() + wb + rb))]

        return layer.run(x, w, lengths, [initial], make)

    return run


@kernel("onnx.GRU", fresh=True)
def _gru(node: Node) -> Kernel:
    layer = _Layer(node, 3, ("Sigmoid", "Tanh"))
    after = bool(node.attr("linear_before_reset", 0))

    def run(x: Any, w: Any, r: Any, b: Any = None, lengths: Any = None, initial: Any = None) -> Any:
        def make(d: int) -> Any:
            wb, rb = _biases(b, d, w.shape[1], x)
            n = w.shape[1] // 3
            f, g = layer.functions[d]
            rz, rr, rh = r[d, :n], r[d, n : 2 * n], r[d, 2 * n :]

            def step(xt: torch.Tensor, states: list[torch.Tensor]) -> list[torch.Tensor]:
                h = states[0]
                xz, xr, xh = (xt @ w[d].t() + wb).split(n, -1)
                z = f(layer.clipped(xz + h @ rz.t() + rb[:n]))
                reset = f(layer.clipped(xr + h @ rr.t() + rb[n : 2 * n]))
                inner = reset * (h @ rh.t() + rb[2 * n :]) if after else (reset * h) @ rh.t() + rb[2 * n :]
                return [(1 - z) * g(layer.clipped(xh + inner)) + z * h]

            return step

        return layer.run(x, w, lengths, [initial], make)

    return run


@kernel("onnx.LSTM", fresh=True)
def _lstm(node: Node) -> Kernel:
    layer = _Layer(node, 4, ("Sigmoid", "Tanh", "Tanh"))
    coupled = bool(node.attr("input_forget", 0))

    def run(
        x: Any,
        w: Any,
        r: Any,
        b: Any = None,
        lengths: Any = None,
        h0: Any = None,
        c0: Any = None,
        peepholes: Any = None,
    ) -> Any:
        def make(d: int) -> Any:
            wb, rb = _biases(b, d, w.shape[1], x)
            n = w.shape[1] // 4
            f, g, h_of = layer.functions[d]
            pi, po, pf = peepholes[d].split(n) if peepholes is not None else (0, 0, 0)

            def step(xt: torch.Tensor, states: list[torch.Tensor]) -> list[torch.Tensor]:
                h, c = states
                gi, go, gf, gc = (xt @ w[d].t() + h @ r[d].t() + wb + rb).split(n, -1)
                i = f(layer.clipped(gi + pi * c))
                forget = 1 - i if coupled else f(layer.clipped(gf + pf * c))
                c = forget * c + i * g(layer.clipped(gc))
                return [f(layer.clipped(go + po * c)) * h_of(c), c]

            return step

        return layer.run(x, w, lengths, [h0, c0], make)

    return run
