"""Straight-line programs inside Triton kernels: unrolled over a tuple of blocks, one for each register.

The formulas are accurate to a few roundings of float32 and float64 alike and need no library of the device, so that the
interpreter runs them too; the error of a^b in float64 grows as its logarithm, and so does that of exp in float32 on a
GPU. Rational approximations: S. L. Moshier, *Cephes Mathematical Library* (1989), files atan.c,
sinh.c and tanh.c.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from pdeml_kernels.programs import TORCH, Program
from pdeml_kernels.triton_jets import count, entry

__all__ = ["LONGEST", "evaluate", "refusal"]

LONGEST = 1000
"""Instructions that are unrolled at most: compiling so many takes some ten seconds."""


def refusal(*programs: Program) -> str | None:
    """Say why no kernel can run some programs; none if one can."""
    length = sum(len(program.code) for program in programs)
    if length > LONGEST:
        return f"{length} instructions are too many to be unrolled, more than {LONGEST}"
    if any(math.isnan(constant) for program in programs for constant in program.constants):
        return "a constant is not a number"
    unknown = sorted({op for program in programs for op, _, _ in program.code} - set(TORCH))
    return f"there is no operation {unknown[0]!r}" if unknown else None


@triton.jit
def evaluate(PROGRAM: tl.constexpr, inputs):
    """Run a program on a tuple of blocks, at least one, of one shape and floating type; return a tuple of blocks."""
    registers = inputs
    for c in tl.static_range(count(PROGRAM, 1)):
        registers += (tl.full(inputs[0].shape, entry(PROGRAM, 1, c), inputs[0].dtype),)
    for step in tl.static_range(count(PROGRAM, 2)):
        a = registers[entry(PROGRAM, 2, step, 1)]
        if entry(PROGRAM, 2, step, 2) < 0:
            registers += (_unary(entry(PROGRAM, 2, step, 0), a),)
        else:
            b = registers[entry(PROGRAM, 2, step, 2)]
            registers += (_binary(entry(PROGRAM, 2, step, 0), a, b),)
    outputs = ()
    for m in tl.static_range(count(PROGRAM, 3)):
        outputs += (registers[entry(PROGRAM, 3, m)],)
    return outputs


@triton.jit
def _unary(OP: tl.constexpr, a):
    if OP == "neg":
        result = -a
    elif OP == "recip":
        result = 1.0 / a
    elif OP == "sqrt":
        result = tl.sqrt(a)
    elif OP == "abs":
        result = tl.abs(a)
    elif OP == "sign":
        result = tl.where(a > 0, 1.0, tl.where(a < 0, -1.0, 0.0)).to(a.dtype)
    elif OP == "heaviside":
        result = tl.where(a > 0, 1.0, tl.where(a == 0, 0.5, 0.0)).to(a.dtype)
    elif OP == "exp":
        result = tl.exp(a)
    elif OP == "log":
        result = tl.log(a)
    elif OP == "sin":
        result = tl.sin(a)
    elif OP == "cos":
        result = tl.cos(a)
    elif OP == "tan":
        result = tl.sin(a) / tl.cos(a)
    elif OP == "asin":
        result = _arc_tangent(a, tl.sqrt((1.0 - a) * (1.0 + a)))
    elif OP == "acos":
        result = 2.0 * _arc_tangent(tl.sqrt(1.0 - a), tl.sqrt(1.0 + a))
    elif OP == "atan":
        result = _arc_tangent(a, tl.full(a.shape, 1.0, a.dtype))
    elif OP == "sinh":
        result = _sinh(a)
    elif OP == "cosh":
        root = tl.exp(0.5 * tl.abs(a))
        result = (0.5 * root) * root + 0.5 / root / root
    elif OP == "tanh":
        result = _tanh(a)
    elif OP == "erf":
        result = tl.erf(a)
    else:
        tl.static_assert(OP == "not", "no such operation")
        result = a == 0
    return result


@triton.jit
def _binary(OP: tl.constexpr, a, b):
    if OP == "add":
        result = a + b
    elif OP == "sub":
        result = a - b
    elif OP == "mul":
        result = a * b
    elif OP == "div":
        result = a / b
    elif OP == "pow":
        result = _power(a, b)
    elif OP == "atan2":
        result = _arc_tangent(a, b)
    # What is not a number stays so.
    elif OP == "min":
        result = tl.where((a < b) | (a != a), a, b)
    elif OP == "max":
        result = tl.where((a > b) | (a != a), a, b)
    elif OP == "lt":
        result = a < b
    elif OP == "le":
        result = a <= b
    elif OP == "gt":
        result = a > b
    elif OP == "ge":
        result = a >= b
    elif OP == "eq":
        result = a == b
    elif OP == "ne":
        result = a != b
    elif OP == "and":
        result = a & b
    elif OP == "or":
        result = a | b
    elif OP == "then":
        result = tl.where(a, b, 0.0)
    else:
        tl.static_assert(OP == "else", "no such operation")
        result = tl.where(a, 0.0, b)
    return result


@triton.jit
def _negative(a):
    """Whether the bit of the sign is set: of -0 too."""
    return a.to(tl.int64 if a.dtype == tl.float64 else tl.int32, bitcast=True) < 0


@triton.jit
def _tangent_inverse(q):
    """Return atan(q) for 0 ≤ q ≤ 1, from beyond 0.66 by atan(q) = π/4 + atan((q - 1)/(q + 1))."""
    far = q > 0.66
    x = tl.where(far, (q - 1.0) / (q + 1.0), q)
    z = x * x
    p = (-8.750608600031904e-1 * z - 1.615753718733365e1) * z - 7.500855792314705e1
    p = (p * z - 1.2288666844901361e2) * z - 6.485021904942025e1
    d = ((z + 2.4858464901423062e1) * z + 1.6502700983169885e2) * z + 4.328810604912903e2
    d = (d * z + 4.853903996359137e2) * z + 1.9455065714826138e2
    small = x + x * (z * p / d)
    return tl.where(far, small + 0.7853981633974483, small)


@triton.jit
def _arc_tangent(y, x):
    """Return the angle of the point (x, y), with the signs of zeros."""
    rise, run = tl.abs(y), tl.abs(x)
    steep = rise > run
    least, most = tl.where(steep, run, rise), tl.where(steep, rise, run)
    # On an axis or a diagonal the quotient may be 0/0 or ∞/∞.
    q = tl.where(rise + run == 0, 0.0, tl.where(least == most, 1.0, least / most))
    angle = _tangent_inverse(q)
    angle = tl.where(steep, 1.5707963267948966 - angle, angle)
    angle = tl.where(_negative(x), 3.141592653589793 - angle, angle)
    return tl.where(_negative(y), -angle, angle)


@triton.jit
def _sinh(a):
    """Return sinh(a), near 0 without cancellation, and until it overflows."""
    z = a * a
    p = (-7.894744439635370e-1 * z - 1.6372585752598383e2) * z - 1.1561443576500522e4
    p = p * z - 3.517549648081514e5
    d = ((z - 2.7771108142060279e2) * z + 3.6157827983443199e4) * z - 2.1105297888489084e6
    root = tl.exp(0.5 * tl.abs(a))
    large = (0.5 * root) * root - 0.5 / root / root
    return tl.where(z < 1, a + a * (z * p / d), tl.where(a < 0, -large, large))


@triton.jit
def _tanh(a):
    z = a * a
    p = (-9.643991794250523e-1 * z - 9.928772310019186e1) * z - 1.614687684417084e3
    d = ((z + 1.1281167849163293e2) * z + 2.2354883906010045e3) * z + 4.844063053251255e3
    large = 1.0 - 2.0 / (tl.exp(2.0 * tl.abs(a)) + 1.0)
    return tl.where(z < 0.390625, a + a * (z * p / d), tl.where(a < 0, -large, large))


@triton.jit
def _power(a, b):
    """Return a^b. In float32 the logarithm is taken in float64: large powers multiply its error."""
    base, exponent = a.to(tl.float64), b.to(tl.float64)
    size = tl.exp(exponent * tl.log(tl.abs(base)))
    size = tl.where((exponent == 0) | (base == 1) | ((base == -1) & (tl.abs(exponent) == float("inf"))), 1.0, size)
    whole = tl.floor(exponent) == exponent
    odd = whole & (tl.floor(0.5 * exponent) * 2.0 != exponent)
    size = tl.where(_negative(base) & odd, -size, size)
    impossible = (base < 0) & (tl.abs(base) != float("inf")) & ~whole
    return tl.where(impossible, float("nan"), size).to(a.dtype)
