"""The kernels themselves, in Triton's language; `qir.triton_kernels.fake_quant` launches them.

One pass over memory each way. Every operation is one that does not round, or rounds as torch's does (division is
``div_rn``, IEEE), so that the results are those of `qir.numerics.fake` bit for bit.
"""

# Triton compiles these functions by its own types: for Python their parameters are untyped.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["backward_kernel", "forward_kernel"]


@triton.jit
def _round(v, MODE: tl.constexpr):
    """`qir.numerics.round_`, by operations that are exact: whole part, fraction, comparisons.

    Not by tl.floor and tl.ceil alone: NVIDIA's take a subnormal number for 0, which is right for its whole part only.
    """
    r = tl.where(v < 0, tl.ceil(v), tl.floor(v))
    d = v - r  # NaN for infinities: no comparison below holds
    if MODE == "floor":
        r = r - tl.where(d < 0, 1.0, 0.0)
    elif MODE == "ceil":
        r = r + tl.where(d > 0, 1.0, 0.0)
    elif MODE == "half_even":
        odd = r - 2.0 * tl.floor(r * 0.5) != 0
        up = (d > 0.5) | ((d == 0.5) & odd)
        down = (d < -0.5) | ((d == -0.5) & odd)
        r = r + tl.where(up, 1.0, 0.0) - tl.where(down, 1.0, 0.0)
    elif MODE == "half_away":
        r = r + tl.where(d >= 0.5, 1.0, 0.0) - tl.where(d <= -0.5, 1.0, 0.0)
    elif MODE == "half_up":
        r = r + tl.where(d >= 0.5, 1.0, 0.0) - tl.where(d < -0.5, 1.0, 0.0)
    elif MODE == "half_down":
        r = r + tl.where(d > 0.5, 1.0, 0.0) - tl.where(d <= -0.5, 1.0, 0.0)
    elif MODE == "half_toward_zero":
        r = r + tl.where(d > 0.5, 1.0, 0.0) - tl.where(d < -0.5, 1.0, 0.0)
    return r


@triton.jit
def _round_float(v, MODE: tl.constexpr, MIN_NORMAL: tl.constexpr, ULP: tl.constexpr):
    """`qir.numerics.round_significand`: MIN_NORMAL = 2**emin, ULP = 2**-mantissa."""
    exponent = (v.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True)
    step = tl.where(exponent < MIN_NORMAL, MIN_NORMAL, exponent) * ULP
    step = tl.where(step == float("inf"), 1.0, step)
    return _round(tl.div_rn(v, step), MODE) * step


@triton.jit
def _block_index(i, n1, b0, b1, g1, n2, b2, g2, DIMS: tl.constexpr):
    """The parameter of element i of a tensor of at most three axes (c0, c1, c2) with blocks b and grid (g0, g1, g2)."""
    if DIMS == 0:
        return i * 0
    if DIMS == 1:
        return i // b2
    row = i // n2
    inner = (i % n2) // b2
    if DIMS == 2:
        return (row // b1) * g2 + inner
    return ((row // n1 // b0) * g1 + (row % n1) // b1) * g2 + inner


@triton.jit
def _quantize(
    v, z, qmin, qmax,
    KIND: tl.constexpr, MODE: tl.constexpr, INSIDE: tl.constexpr, MIN_NORMAL: tl.constexpr, ULP: tl.constexpr,
    OVERFLOW: tl.constexpr, UNSIGNED_ZERO: tl.constexpr,
):  # fmt: skip
    """``v = x / s`` on the grid (in steps of s), and where nothing was clipped.

    Clipping is by selection: tl.minimum and tl.maximum would turn NaN into a number.
    """
    if KIND == "float":
        r = _round_float(v, MODE, MIN_NORMAL, ULP)
        if UNSIGNED_ZERO:
            r = r + 0.0
        low, high = qmin, qmax
    elif INSIDE:
        r = _round(v + z, MODE)
        low, high = qmin, qmax
    else:
        r = _round(v, MODE)
        low, high = qmin - z, qmax - z
    inside = (r >= low) & (r <= high)
    if OVERFLOW == "saturate":
        r = tl.where(r < low, low, r)
        r = tl.where(r > high, high, r)
    else:
        if OVERFLOW == "infinity":
            beyond = float("inf")
        else:
            beyond = float("nan")
        r = tl.where(r < low, -beyond, r)
        r = tl.where(r > high, beyond, r)
        inside = (r == r) | (r != r)  # everywhere: what overflows is not clipped
    if INSIDE:
        r = r - z
    return r, inside


@triton.jit
def forward_kernel(
    x_ptr, s_ptr, z_ptr, y_ptr, n, n1, b0, b1, g1, n2, b2, g2, fixed_zero, qmin, qmax,
    DIMS: tl.constexpr, HAS_ZERO: tl.constexpr, WIDE: tl.constexpr, SIZE: tl.constexpr,
    KIND: tl.constexpr, MODE: tl.constexpr, INSIDE: tl.constexpr, MIN_NORMAL: tl.constexpr, ULP: tl.constexpr,
    OVERFLOW: tl.constexpr, UNSIGNED_ZERO: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    if WIDE:
        pid = pid.to(tl.int64)
    i = pid * SIZE + tl.arange(0, SIZE)
    mask = i < n
    p = _block_index(i, n1, b0, b1, g1, n2, b2, g2, DIMS)
    x = tl.load(x_ptr + i, mask=mask, other=0.0)
    s = tl.load(s_ptr + p, mask=mask, other=1.0)
    z = fixed_zero
    if HAS_ZERO:
        z = tl.load(z_ptr + p, mask=mask, other=0.0)
    v = tl.div_rn(x.to(tl.float32), s)
    r, _ = _quantize(v, z, qmin, qmax, KIND, MODE, INSIDE, MIN_NORMAL, ULP, OVERFLOW, UNSIGNED_ZERO)
    y = r * s
    if y_ptr.dtype.element_ty == tl.bfloat16:
        # To the nearest here, so that the conversion is exact: what it does to other numbers is the backend's choice.
        y = _round_float(y, "half_even", 2.0**-126, 2.0**-7)
    tl.store(y_ptr + i, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def backward_kernel(
    g_ptr, x_ptr, s_ptr, z_ptr, dx_ptr, ds_ptr, dz_ptr, n, n1, b0, b1, g1, n2, b2, g2, fixed_zero, qmin, qmax,
    NEED_X: tl.constexpr, NEED_S: tl.constexpr, NEED_Z: tl.constexpr, SUM: tl.constexpr,
    DIMS: tl.constexpr, HAS_ZERO: tl.constexpr, WIDE: tl.constexpr, SIZE: tl.constexpr,
    KIND: tl.constexpr, MODE: tl.constexpr, INSIDE: tl.constexpr, MIN_NORMAL: tl.constexpr, ULP: tl.constexpr,
    OVERFLOW: tl.constexpr, UNSIGNED_ZERO: tl.constexpr,
):  # fmt: skip
    """With SUM, ds and dz are one partial sum a program (in a fixed order, unlike atomics), else one per element."""
    pid = tl.program_id(0)
    if WIDE:
        pid = pid.to(tl.int64)
    i = pid * SIZE + tl.arange(0, SIZE)
    mask = i < n
    p = _block_index(i, n1, b0, b1, g1, n2, b2, g2, DIMS)
    x = tl.load(x_ptr + i, mask=mask, other=0.0)
    g = tl.load(g_ptr + i, mask=mask, other=0.0).to(tl.float32)
    s = tl.load(s_ptr + p, mask=mask, other=1.0)
    z = fixed_zero
    if HAS_ZERO:
        z = tl.load(z_ptr + p, mask=mask, other=0.0)
    v = tl.div_rn(x.to(tl.float32), s)
    r, inside = _quantize(v, z, qmin, qmax, KIND, MODE, INSIDE, MIN_NORMAL, ULP, OVERFLOW, UNSIGNED_ZERO)
    if NEED_X:
        tl.store(dx_ptr + i, tl.where(inside, g, 0.0).to(dx_ptr.dtype.element_ty), mask=mask)
    if NEED_S:
        ds = g * tl.where(inside, r - v, r)
        if SUM:
            tl.store(ds_ptr + pid, tl.sum(tl.where(mask, ds, 0.0), axis=0))
        else:
            tl.store(ds_ptr + i, ds, mask=mask)
    if NEED_Z:
        dz = tl.where(inside, 0.0, -g * s)
        if SUM:
            tl.store(dz_ptr + pid, tl.sum(tl.where(mask, dz, 0.0), axis=0))
        else:
            tl.store(dz_ptr + i, dz, mask=mask)
