"""Spectral mixture kernels ``k(z) = Σ_q w_q e(z; κ_q) cos(m_q z)`` with all their derivatives, and the gradients.

The envelope e is even and a function of κ z: ``exp(−κ² z² / 2)``, whose spectral density is normal, or Matérn's of
half-integer order ν, whose spectral density is Student's t with 2ν degrees of freedom. Densities are of width κ and
stand at ±m. With ``G(z) = e(z) exp(i m z)`` Leibniz' rule ``G^(n) = exp(i m z) Σ_j C(n, j) (i m)^(n−j) e^(j)`` makes
every derivative, and its gradient, a few products of matrices with the derivatives of e alone. Nothing of the size of
lags times components is kept for the gradient.

Reference: Wilson & Adams, *Gaussian process kernels for pattern discovery* (ICML 2013), section 4, where μ = m / 2π and
v = (κ / 2π)²; Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), section 4.2.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from pdeml_kernels.constants import constant

__all__ = ["SMOOTHEST", "check_mixture", "matern_polynomials", "mixture_derivatives", "mixture_matrices"]

SMOOTHEST = 10.5
"""Highest order of Matérn's kernel."""

VANISHED = 800.0
"""exp(−800) is zero in float64, while powers of 800 are still finite."""

_CHUNK, _LARGE_CHUNK = 1 << 16, 1 << 24
"""Lags times components at once: on a CPU they stay in its cache, on a GPU they keep it busy."""


def mixture_derivatives(
    lags: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None = None
) -> Tensor:
    """Return ``k^(n)(z) = Σ_q w_q Re d^n/dz^n [e(z; κ_q) exp(i m_q z)]``, n = 0, ..., highest, of a mixture.

    Differentiable once in the lags and in the parameters.

    Args:
        lags: z, (M,), in float32 or float64.
        weights: w, (Q,).
        widths: κ, (Q,), positive, in radians per unit of z.
        frequencies: m, (Q,), in radians per unit of z.
        highest: order of differentiation.
        nu: order of Matérn's envelope, a half-integer; the Gaussian one by default.

    Returns: (highest + 1, M).

    Raises:
        ValueError: shapes or types do not fit together, there is no such envelope, or it is too rough.
    """
    check_mixture(lags, weights, widths, frequencies, highest, nu)
    return _derivatives(lags, weights, widths, frequencies, highest, nu)


def mixture_matrices(
    x: Tensor, y: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None = None
) -> Tensor:
    """Return the matrices ``k^(n)(x_i − y_j)``, n = 0, ..., highest, (highest + 1, N, M); see `mixture_derivatives`.

    Args:
        x: points of the rows, (N,).
        y: points of the columns, (M,).
        weights: w, (Q,).
        widths: κ, (Q,).
        frequencies: m, (Q,).
        highest: order of differentiation.
        nu: order of Matérn's envelope; the Gaussian one by default.

    Raises:
        ValueError: see `mixture_derivatives`.
    """
    lags = (x[:, None] - y).reshape(-1)
    found = mixture_derivatives(lags, weights, widths, frequencies, highest, nu)
    return found.unflatten(1, (len(x), len(y)))


def check_mixture(
    lags: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None
) -> None:
    """Refuse what is no mixture, or not so often differentiable.

    Raises:
        ValueError: see `mixture_derivatives`.
    """
    parameters = weights, widths, frequencies
    if lags.ndim != 1 or weights.ndim != 1 or any(tensor.shape != weights.shape for tensor in parameters):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (lags, *parameters))
        raise ValueError(f"lags (M,), weights, widths and frequencies (Q,) are wanted, not the shapes {shapes}")
    if lags.dtype not in (torch.float32, torch.float64) or any(tensor.dtype != lags.dtype for tensor in parameters):
        types = ", ".join(str(tensor.dtype) for tensor in (lags, *parameters))
        raise ValueError(f"lags, weights, widths and frequencies must be float32, or all float64, not {types}")
    if nu is not None and not (0.5 <= nu <= SMOOTHEST and float(nu - 0.5).is_integer()):
        raise ValueError(f"nu must be a half-integer from 0.5 to {SMOOTHEST}, or None, not {nu!r}")
    if not 0 <= highest <= (math.inf if nu is None else 2 * nu - 1):
        most = "" if nu is None else f" up to {2 * nu - 1:g}, which a kernel of nu = {nu} has"
        raise ValueError(f"the highest derivative must be a number from 0{most}, not {highest}")


@torch.library.custom_op("pdeml_kernels::mixture_derivatives", mutates_args=())
def _derivatives(
    lags: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None
) -> Tensor:
    table = lags.new_zeros(highest + 1, len(lags))
    real, imaginary = (part * weights for part in _leibniz(frequencies, highest))
    for part in _chunks(lags, weights):
        z = lags[part, None]
        cosine, sine = torch.cos(frequencies * z), torch.sin(frequencies * z)
        for j, e in enumerate(_envelope(z, widths, highest, nu)):
            table[j:, part] += real[j, j:] @ (e * cosine).T
            table[j:, part] -= imaginary[j, j:] @ (e * sine).T
    return table


@_derivatives.register_fake
def _(lags: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None) -> Tensor:
    return lags.new_empty(highest + 1, len(lags))


@torch.library.custom_op("pdeml_kernels::mixture_derivatives_backward", mutates_args=())
def _derivatives_backward(
    grad: Tensor,
    lags: Tensor,
    weights: Tensor,
    widths: Tensor,
    frequencies: Tensor,
    nu: float | None,
    of_lags: bool,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the lags, where they are wanted, and of the parameters (3, Q).

    With ``h_j = Σ_n grad_n C(n, j) (i m)^(n−j)`` a component gives ``w Re exp(i m z) Σ_j e^(j) h_j``; and
    ``∂_m h_j = i (j + 1) h_(j+1)``, ``κ ∂_κ e^(j) = z e^(j+1) + j e^(j)``.
    """
    highest = len(grad) - 1
    found = lags.new_empty(len(lags) if of_lags else 0)
    sums = lags.new_zeros(3, len(weights))
    coefficients = _leibniz(frequencies, highest)
    for part in _chunks(lags, weights):
        z = lags[part, None]
        cosine, sine = torch.cos(frequencies * z), torch.sin(frequencies * z)
        e = _envelope(z, widths, highest + 1, nu)
        values, ahead, stretch, slope = z.new_zeros(4, 2, *cosine.shape)
        for j in range(highest + 1):
            h = [grad[j:, part].T @ of_h[j, j:] for of_h in coefficients]
            _add(values, e[j], h)
            _add(stretch, z * e[j + 1] + j * e[j], h)
            if j > 0:
                _add(ahead, j * e[j - 1], h)
            if of_lags:
                _add(slope, e[j + 1], h)
        _add(ahead, z, values)
        sums[0] += _turned(values, cosine, sine).sum(0)
        sums[1] += _turned(stretch, cosine, sine).sum(0)
        sums[2] -= _turned(ahead, sine, -cosine).sum(0)
        if of_lags:
            found[part] = (_turned(slope, cosine, sine) - frequencies * _turned(values, sine, -cosine)) @ weights
    return found, scaled_sums(sums, weights, widths)


def scaled_sums(sums: Tensor, weights: Tensor, widths: Tensor) -> Tensor:
    """Return the gradients (3, Q) of w, κ and m from those of w, w⁻¹ log κ and w⁻¹ m."""
    return torch.stack((sums[0], weights / widths * sums[1], weights * sums[2]))


@_derivatives_backward.register_fake
def _(
    grad: Tensor,
    lags: Tensor,
    weights: Tensor,
    widths: Tensor,
    frequencies: Tensor,
    nu: float | None,
    of_lags: bool,
) -> tuple[Tensor, Tensor]:
    return lags.new_empty(len(lags) if of_lags else 0), lags.new_empty(3, len(weights))


def _setup(ctx, inputs, output) -> None:
    *tensors, _, ctx.nu = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx, grad: Tensor):
    of_lags = ctx.needs_input_grad[0]
    found, parameters = _derivatives_backward(grad, *ctx.saved_tensors, ctx.nu, of_lags)
    return found if of_lags else None, *parameters, None, None


_derivatives.register_autograd(_gradients, setup_context=_setup)


def _chunks(lags: Tensor, weights: Tensor) -> list[slice]:
    length = max(1, (_CHUNK if lags.device.type == "cpu" else _LARGE_CHUNK) // max(1, len(weights)))
    return [slice(i, i + length) for i in range(0, len(lags), length)]


def _add(total: Tensor, factor: Tensor, pair: Sequence[Tensor]) -> None:
    """Add a real factor times a complex number, both parts in turn."""
    for mine, other in zip(total, pair, strict=True):
        mine.addcmul_(factor, other)


def _turned(pair: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    return pair[0] * cosine - pair[1] * sine


def _leibniz(frequencies: Tensor, highest: int) -> tuple[Tensor, Tensor]:
    """Return real and imaginary part of ``C(n, j) (i m)^(n−j)``, [j, n, q], both (highest + 1, highest + 1, Q)."""
    real, imaginary, powers = _binomials(highest, frequencies.dtype, frequencies.device)
    found = frequencies ** powers[..., None]
    return real[..., None] * found, imaginary[..., None] * found


@constant
def _binomials(highest: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return real and imaginary part of ``C(n, j) i^(n−j)`` and ``n − j``, [j, n]; zero where j > n."""
    real, imaginary, powers = torch.zeros(3, highest + 1, highest + 1, dtype=dtype, device=device)
    for n in range(highest + 1):
        for j in range(n + 1):
            part = imaginary if (n - j) % 2 else real
            part[j, n] = (-1) ** ((n - j) // 2) * math.comb(n, j)
            powers[j, n] = n - j
    return real, imaginary, powers


def _envelope(z: Tensor, widths: Tensor, highest: int, nu: float | None) -> list[Tensor]:
    """Return ``e^(n)(z)``, n = 0, ..., highest, each (M, Q), of z (M, 1).

    At most one order more than e has continuous derivatives: there the jump at zero is taken as zero.
    """
    if nu is None:
        drift = -(widths**2)
        found = [torch.exp(0.5 * drift * z**2)]
        for n in range(highest):
            # Hermite's recursion e^(n+1) = −κ² (z e^(n) + n e^(n−1)).
            found.append(drift * (torch.add(z * found[n], found[n - 1], alpha=n) if n else z * found[n]))
        return found
    rates, sign = math.sqrt(2 * nu) * widths, torch.sign(z)
    t = (rates * z.abs()).clamp(max=VANISHED)
    decay = torch.exp(-t)
    found = []
    for n, row in enumerate(matern_polynomials(nu, highest)):
        value = decay * _horner(row, t)
        found.append(sign * value if n % 2 else value)
        decay = decay * rates
    return found


@lru_cache
def matern_polynomials(nu: float, highest: int) -> tuple[tuple[float, ...], ...]:
    """Return coefficients of ``π_n``, n <= highest, lowest first, with ``d^n/dt^n [exp(−t) π_0(t)] = exp(−t) π_n(t)``.

    With ``t = √(2ν) κ |z|`` and p = ν − 1/2, Matérn's envelope is ``exp(−t) π_0(t)``,
    ``π_0 = Σ_k (2p − k)! p! / ((2p)! k! (p − k)!) (2t)^k``. Exact until they are rounded.
    """
    p = int(nu - 0.5)
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


def _horner(coefficients: Sequence[float], t: Tensor) -> Tensor:
    """Evaluate a polynomial, lowest coefficient first."""
    value = torch.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * t + coefficient
    return value
