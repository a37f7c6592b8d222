"""Parts of kernels: the Taylor coefficients ``G^(n)(z) / n!`` of a modulated envelope ``G(z) = e(z) exp(i m z)``.

They are products of two series: that of the envelope, by Hermite's recursion or Matérn's polynomials, and that of
``exp(i m h)``. What remains is to be turned by the angle ``m z``.

Cosine and sine take their argument in turns, ``m z / 2π``, of which the leading halves of the digits are multiplied
without rounding, and whole turns leave before the rest is added. In float32 the angle is thus right to 2e-7 up to
``m z = 8000``, and to about ``5e-11 m z`` beyond, in float64 to 3e-16 up to 2e7; rounding the product alone would cost
``6e-8 m z`` and ``1e-16 m z``.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import torch
import triton
import triton.language as tl

from pdeml_kernels.mixture import VANISHED, matern_polynomials
from pdeml_kernels.triton_jets import entry, horner

__all__ = [
    "circle",
    "cosine_sine",
    "envelope",
    "factorial",
    "in_turns",
    "leading",
    "matern",
    "powers",
    "product",
    "transposed",
]

_TURN = Fraction(159154943091895335768883763372514362034459645740456, 10**51)
"""1 / 2π."""

_VANISHED = tl.constexpr(VANISHED)


@triton.constexpr_function
def factorial(n):
    """Return n!."""
    found = 1.0
    for k in range(2, n + 1):
        found *= k
    return found


@triton.jit
def leading(x):
    """Return the leading half of the digits of a number: two of them have an exact product."""
    if x.dtype == tl.float64:
        half = (x.to(tl.int64, bitcast=True) & -134217728).to(tl.float64, bitcast=True)
    else:
        half = (x.to(tl.int32, bitcast=True) & -4096).to(tl.float32, bitcast=True)
    return half


@triton.jit
def in_turns(m, CIRCLE: tl.constexpr):
    """Return m / 2π as a sum: the leading half of its digits, and the rest."""
    m_head = leading(m)
    head = leading(m * entry(CIRCLE, 0))
    tail = m_head * entry(CIRCLE, 1) - head
    return head, tail + (m_head * entry(CIRCLE, 2) + (m - m_head) * entry(CIRCLE, 0))


@triton.jit
def cosine_sine(head, tail, z, z_head, CIRCLE: tl.constexpr):
    """Return cosine and sine of ``(head + tail) z`` turns; ``z_head`` is the leading half of z."""
    turns = z_head * head
    turns -= tl.floor(turns + 0.5)
    turns += (z - z_head) * head + z * tail
    turns -= tl.floor(turns + 0.5)
    quarter = tl.floor(4 * turns + 0.5)
    rest = turns - 0.25 * quarter
    square = rest * rest
    a, b = horner(CIRCLE, 3, square), rest * horner(CIRCLE, 4, square)
    odd = quarter * quarter == 1
    cosine, sine = tl.where(odd, b, a), tl.where(odd, a, b)
    back = (quarter == 1) | (quarter * quarter == 4)
    below = (quarter == -1) | (quarter * quarter == 4)
    return tl.where(back, -cosine, cosine), tl.where(below, -sine, sine)


@triton.jit
def envelope(z, k, COUNT: tl.constexpr, MATERN: tl.constexpr):
    """Return ``e^(n)(z) / n!``, n < COUNT."""
    if MATERN is None:
        drift = -k * k
        first = tl.exp(0.5 * drift * z * z)
        found = (first, drift * z * first)
        for n in tl.static_range(2, COUNT):
            found = found + (drift * (1.0 / n) * (z * found[n - 1] + found[n - 2]),)
    else:
        rate = entry(MATERN, 0) * k
        t = tl.minimum(rate * tl.abs(z), _VANISHED)
        decay = tl.exp(-t)
        # Odd derivatives jump at zero, where they are taken as zero.
        odd = decay * tl.where(z > 0, 1.0, tl.where(z < 0, -1.0, 0.0)).to(z.dtype)
        found = (decay * horner(MATERN, 1, t),)
        power = rate
        for n in tl.static_range(1, COUNT):
            found = found + (power * horner(MATERN, n + 1, t) * (odd if n % 2 == 1 else decay),)
            power = power * rate
    return found


@triton.jit
def powers(m, COUNT: tl.constexpr):
    """Return ``m^n / n!``, 0 < n < COUNT."""
    found = (m,)
    for n in tl.static_range(2, COUNT):
        found = found + (found[n - 2] * m * (1.0 / n),)
    return found


@triton.jit
def _times(factors, powers, FIRST: tl.constexpr, STEP: tl.constexpr, TERMS: tl.constexpr):
    """Return real and imaginary part of ``Σ_k factors[FIRST + k STEP] (i m)^k / k!``, k < TERMS."""
    real, imaginary = factors[FIRST], tl.zeros_like(factors[FIRST])
    for k in tl.static_range(1, TERMS):
        term = powers[k - 1] * factors[FIRST + k * STEP]
        if k % 4 == 1:
            imaginary += term
        elif k % 4 == 2:
            real -= term
        elif k % 4 == 3:
            imaginary -= term
        else:
            real += term
    return real, imaginary


@triton.jit
def product(e, powers, N: tl.constexpr):
    """Return real and imaginary part of ``Σ_j e_j (i m)^(N−j) / (N−j)!``: a coefficient of e times ``exp(i m h)``."""
    return _times(e, powers, N, -1, N + 1)


@triton.jit
def transposed(g, powers, J: tl.constexpr, COUNT: tl.constexpr):
    """Return real and imaginary part of ``Σ_n g_n (i m)^(n−J) / (n−J)!``, n < COUNT: by which e_J is multiplied."""
    return _times(g, powers, J, 1, COUNT - J)


@lru_cache
def circle(dtype: torch.dtype) -> tuple:
    """Return 1 / 2π, its leading half and the rest, and the series of ``cos 2πs`` and ``(sin 2πs) / s`` in s²."""
    digits, terms = (26, 9) if dtype == torch.float64 else (12, 5)
    # 1 / 2π begins two digits behind the point.
    head = Fraction(math.floor(_TURN * 2 ** (digits + 2)), 2 ** (digits + 2))
    series = [(-1) ** (n // 2) * math.tau**n / math.factorial(n) for n in range(2 * terms)]
    return float(_TURN), float(head), float(_TURN - head), tuple(series[::2]), tuple(series[1::2])


@lru_cache
def matern(nu: float | None, count: int) -> tuple | None:
    """Return ``√(2ν)`` and the polynomials of ``e^(n) / n!``, n < count."""
    if nu is None:
        return None
    rows = matern_polynomials(nu, count - 1)
    scaled = (tuple(c / math.factorial(n) for c in row) for n, row in enumerate(rows))
    return math.sqrt(2 * nu), *scaled
