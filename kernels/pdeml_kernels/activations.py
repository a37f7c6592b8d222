"""Activation functions with closed-form derivatives of any order a jet and its reverse sweep ask for (up to 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pdeml_kernels.jets import Derivatives

__all__ = ["ACTIVATIONS", "autonomous", "gaussian", "gelu", "silu", "sin", "tanh"]


@lru_cache(maxsize=32)
def autonomous(order: int, slope: tuple[float, ...]) -> tuple[float, ...]:
    """Return ``σ^(order)``, order ≥ 1, as a polynomial in σ, for σ' = slope(σ): ``P_{m+1} = P_m' · slope``."""
    if order == 1:
        return slope
    below = autonomous(order - 1, slope)
    product = [0.0] * (len(below) + len(slope) - 2)
    for i, a in enumerate(below[1:], start=1):
        for j, b in enumerate(slope):
            product[i - 1 + j] += i * a * b
    return tuple(product)


@lru_cache(maxsize=32)
def gaussian(order: int) -> tuple[float, ...]:
    """Return coefficients of p with ``GELU^(order)(x) = φ(x) p(x)``, order ≥ 2: ``p_{m+1} = p_m' − x p_m``."""
    if order == 2:
        return (2.0, 0.0, -1.0)
    below = gaussian(order - 1)
    slope = [*[i * a for i, a in enumerate(below)][1:], 0.0, 0.0]
    return tuple(a - b for a, b in zip(slope, (0.0, *below), strict=True))


@lru_cache(maxsize=32)
def _of_slope(order: int) -> tuple[float, ...]:
    """Return p with ``tanh^(order) = p(s)`` for odd orders and ``t p(s)`` for even ones, t = tanh and s = 1 − t².

    From s' = −2 t s and t² = 1 − s. It has half as many coefficients as the polynomial in t.
    """
    if order == 1:
        return (0.0, 1.0)
    below = _of_slope(order - 1)
    slope = [i * a for i, a in enumerate(below)][1:]
    if order % 2 == 0:
        return (0.0, *(-2 * a for a in slope))
    parts = zip((0.0, *below), (0.0, *slope, 0.0), (0.0, 0.0, *slope), strict=True)
    return tuple(a - 2 * b + 2 * c for a, b, c in parts)


def _horner(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Return a polynomial of degree one and more; differentiable by autograd, although sums are made in place."""
    result = coefficients[-1] * x
    for power, coefficient in enumerate(reversed(coefficients[:-1])):
        if power:
            result = result * x
        if coefficient:
            result += coefficient
    return result


def tanh(h: Tensor, order: int) -> list[Tensor]:
    """Hyperbolic tangent: σ' = 1 − σ²."""
    t = torch.tanh(h)
    if order == 0:
        return [t]
    s = 1 - t * t
    higher = [_horner(_of_slope(m), s) for m in range(2, order + 1)]
    return [t, s, *(p if m % 2 else t * p for m, p in enumerate(higher, start=2))]


def sin(h: Tensor, order: int) -> list[Tensor]:
    """Sine: the derivatives turn through cos, −sin, −cos."""
    s, c = torch.sin(h), torch.cos(h)
    cycle = (s, c, -s, -c)
    return [cycle[m % 4] for m in range(order + 1)]


def silu(h: Tensor, order: int) -> list[Tensor]:
    """Sigmoid linear unit x s(x): ``σ^(m) = x s^(m) + m s^(m−1)`` with s' = s − s²."""
    s = torch.sigmoid(h)
    powers = [s, *(_horner(autonomous(m, (0.0, 1.0, -1.0)), s) for m in range(1, order + 1))]
    return [h * s, *(h * powers[m] + m * powers[m - 1] for m in range(1, order + 1))]


def gelu(h: Tensor, order: int) -> list[Tensor]:
    """Gaussian error linear unit x Φ(x), the exact one (not its tanh approximation)."""
    density = torch.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)
    cumulative = 0.5 * torch.special.erfc(-h / math.sqrt(2))
    low = [h * cumulative, cumulative + h * density]
    return (low + [density * _horner(gaussian(m), h) for m in range(2, order + 1)])[: order + 1]


ACTIVATIONS: dict[str, Derivatives] = {"tanh": tanh, "sin": sin, "gelu": gelu, "silu": silu}
