"""Windows that a cosine is multiplied with: what a kernel is made of, and all its derivatives in closed form.

``G(z) = e(z) exp(i m z)`` with an even envelope e. Both families are spectral densities of width κ around ±m: a
normal density gives ``e = exp(−κ² z² / 2)``, Student's t with 2ν degrees of freedom gives Matérn's envelope of order ν.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, Protocol

import scipy.special
import torch
from torch import Tensor

from pdeml.errors import InputError

__all__ = ["Envelope", "Gaussian", "Matern", "smallest_nu"]

_ROUGHEST, _SMOOTHEST = 0.5, 10.5
_VANISHED = 800.0  # exp(−800) is zero in float64, while powers of 800 are still finite


class Envelope(Protocol):
    """A family of even functions ``e(z) = e₁(κ z)`` with ``e(0) = 1``."""

    name: str

    @property
    def smoothness(self) -> float:
        """Highest derivative of e that is continuous; infinity for a smooth one."""

    def modulated(self, lags: Tensor, widths: Tensor, frequencies: Tensor, highest: int) -> tuple[Tensor, Tensor]:
        """Return real and imaginary part of ``d^n/dz^n [e(z) exp(i m z)]``, n = 0, ..., highest.

        Args:
            lags: z, (M,).
            widths: κ, (Q,), in radians per unit of z.
            frequencies: m, (Q,), angular.
            highest: at most one more than `smoothness`; there the jump at zero is taken as zero.

        Returns: two tensors (highest + 1, M, Q).
        """

    def quantile(self, probability: Tensor) -> Tensor:
        """Return the quantile of the spectral density of ``κ = 1, m = 0``."""

    def density(self, standard: Tensor) -> Tensor:
        """Return the spectral density of ``κ = 1, m = 0``; its integral over the real line is one."""


@dataclass(frozen=True)
class Gaussian:
    """``e(z) = exp(−κ² z² / 2)``: normal spectral density of standard deviation κ; RBF of length ``1/κ``."""

    name: ClassVar[str] = "gaussian"

    @property
    def smoothness(self) -> float:
        return math.inf

    def modulated(self, lags: Tensor, widths: Tensor, frequencies: Tensor, highest: int) -> tuple[Tensor, Tensor]:
        # G' = s G with s = −κ² z + i m and s' = −κ²: Hermite's recursion G^(n+1) = s G^(n) − n κ² G^(n−1).
        z = lags[:, None]
        squares = widths**2
        drift, phase = -squares * z, frequencies * z
        size = torch.exp(0.5 * drift * z)
        real, imaginary = [size * torch.cos(phase)], [size * torch.sin(phase)]
        for n in range(highest):
            re = drift * real[n] - frequencies * imaginary[n]
            im = drift * imaginary[n] + frequencies * real[n]
            if n:
                re, im = re - n * squares * real[n - 1], im - n * squares * imaginary[n - 1]
            real.append(re)
            imaginary.append(im)
        return torch.stack(real), torch.stack(imaginary)

    def quantile(self, probability: Tensor) -> Tensor:
        return torch.special.ndtri(probability)

    def density(self, standard: Tensor) -> Tensor:
        return torch.exp(-0.5 * standard**2) / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class Matern:
    """Matérn's envelope of half-integer order ν: Student-t spectral density with 2ν degrees of freedom.

    With ``t = √(2ν) κ |z|`` and p = ν − 1/2, ``e = exp(−t) Σ_k (2p − k)! p! / ((2p)! k! (p − k)!) (2t)^k``. Its
    functions have p derivatives: an operator of order m on both arguments needs ν > m.

    Args:
        nu: 1/2, 3/2, 5/2, ..., 21/2.

    Raises:
        InputError: another order.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), section 4.2.1.
    """

    nu: float
    name: ClassVar[str] = "matern"

    def __post_init__(self):
        if not (_ROUGHEST <= self.nu <= _SMOOTHEST and (self.nu - 0.5).is_integer()):
            raise InputError(f"Matérn order nu = {self.nu!r}; allowed: half-integers 0.5, 1.5, 2.5, ..., 10.5")

    @property
    def smoothness(self) -> float:
        return 2 * self.nu - 1

    def modulated(self, lags: Tensor, widths: Tensor, frequencies: Tensor, highest: int) -> tuple[Tensor, Tensor]:
        # On z > 0, G^(n) = exp(−t + i m z) Σ_k c_nk t^k, with c of the Q components by Leibniz' rule; parity gives
        # the rest: G^(n)(−z) = (−1)^n times the conjugate of G^(n)(z).
        rates = math.sqrt(2 * self.nu) * widths
        z = lags[:, None]
        t = (rates * z.abs()).clamp(max=_VANISHED)
        decay, phase = torch.exp(-t), frequencies * z.abs()
        cosine, sine = decay * torch.cos(phase), decay * torch.sin(phase)
        sign = torch.sign(z)
        real, imaginary = [], []
        for n in range(highest + 1):
            re, im = (_horner(row, t) for row in _leibniz(self._polynomials(highest), rates, frequencies, n))
            odd = sign if n % 2 else 1.0
            flip = 1.0 if n % 2 else sign
            real.append(odd * (re * cosine - im * sine))
            imaginary.append(flip * (re * sine + im * cosine))
        return torch.stack(real), torch.stack(imaginary)

    def _polynomials(self, highest: int) -> tuple[tuple[float, ...], ...]:
        return _matern_polynomials(int(self.nu - 0.5), highest)

    def quantile(self, probability: Tensor) -> Tensor:
        values = scipy.special.stdtrit(2 * self.nu, probability.cpu().numpy())
        return torch.as_tensor(values, dtype=probability.dtype, device=probability.device)

    def density(self, standard: Tensor) -> Tensor:
        degrees = 2 * self.nu
        size = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi * degrees)
        return size * (1 + standard**2 / degrees) ** (-(degrees + 1) / 2)


def smallest_nu(order: int) -> float:
    """Return the smallest half-integer ν whose Matérn kernel has a continuous derivative of that order."""
    return (order + 1) // 2 + 0.5


@lru_cache
def _matern_polynomials(p: int, highest: int) -> tuple[tuple[float, ...], ...]:
    """Return coefficients of ``π_n``, n <= highest, with ``d^n/dt^n [exp(−t) π_0(t)] = exp(−t) π_n(t)``, exactly."""
    row = [
        Fraction(math.factorial(2 * p - k) * math.factorial(p) * 2**k)
        / (math.factorial(2 * p) * math.factorial(k) * math.factorial(p - k))
        for k in range(p + 1)
    ]
    rows = [row]
    for _ in range(highest):
        row = [(k + 1) * row[k + 1] - row[k] if k < p else -row[k] for k in range(p + 1)]
        rows.append(row)
    return tuple(tuple(float(c) for c in row) for row in rows)


def _leibniz(polynomials, rates: Tensor, frequencies: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return real and imaginary coefficients (p + 1, Q) of ``Σ_j C(n, j) (i m)^(n−j) α^j π_j``."""
    parts = [rates.new_zeros(len(polynomials[0]), len(rates)) for _ in range(2)]
    for j in range(n + 1):
        power = n - j
        factor = math.comb(n, j) * (-1) ** (power // 2) * frequencies**power * rates**j
        parts[power % 2] += factor * rates.new_tensor(polynomials[j])[:, None]
    return parts[0], parts[1]


def _horner(coefficients: Tensor, t: Tensor) -> Tensor:
    """Evaluate the polynomials (p + 1, Q), lowest first, at t (M, Q)."""
    value = coefficients[-1].expand_as(t)
    for row in coefficients[:-1].flip(0):
        value = value * t + row
    return value
