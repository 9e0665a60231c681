"""Compiles the kernels for an NVIDIA GPU, which needs none to be there; test_fake_quant.py runs it in its own process.

Prints one line for each kernel, scheme and tensor type: whether the division is IEEE's, and that machine code came out.
"""

from __future__ import annotations

import re

import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from qir.numerics import Granularity, Scheme
from qir.triton_kernels import fake_quant, kernels

CASES = [
    (Scheme(storage="u8", symmetric=False), torch.tensor(0.1), torch.tensor(3)),
    (Scheme(storage="i8", rounding="half_away", granularity=Granularity.per_axis(1)), torch.ones(8), None),
    (
        Scheme(storage="f8E4M3FN", granularity=Granularity.block({0: 2, 1: 3}, tail="short"), saturate=False),
        torch.ones(2, 3),
        None,
    ),
]
NEEDS = {"NEED_X": True, "NEED_S": True, "NEED_Z": True, "SUM": True}


def kind(name: str, element: str) -> str:
    if name in ("s_ptr", "z_ptr", "ds_ptr", "dz_ptr"):
        return "*fp32"
    return element if name.endswith("_ptr") else "fp32" if name in ("fixed_zero", "qmin", "qmax") else "i32"


for scheme, scale, zero in CASES:
    *_, options = fake_quant._launch(torch.zeros(4, 8), scheme, scale, zero)
    for kernel, extra in ((kernels.forward_kernel, {}), (kernels.backward_kernel, NEEDS)):
        constants = {**options, **extra}
        for element in ("*fp32", "*bf16", "*fp16") if scheme is CASES[0][0] else ("*fp32",):
            signature = {n: "constexpr" if n in constants else kind(n, element) for n in kernel.arg_names}
            done = compile(ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32))
            ptx = done.asm["ptx"]
            assert "div.rn.f32" in ptx and "div.full" not in ptx
            # Subnormal numbers are kept by all but floor and ceil, which only take whole parts.
            assert all(re.search(r"cvt\.r[mp]i\.ftz", line) for line in ptx.splitlines() if ".ftz" in line)
            assert len(done.asm["cubin"]) > 0
            print("compiled", kernel.__name__, scheme, element)
