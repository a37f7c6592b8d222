"""Truncated series with random coefficients, and the multiscale trigonometric coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
from pydantic import Field

from pdeml.errors import InputError
from pdeml.sampling.functions.base import Function
from pdeml.sampling.functions.bases import Chebyshev, Dirichlet, Neumann, Periodic
from pdeml.sampling.functions.distribution import Distribution, Range, Real
from pdeml.sampling.functions.modal import Modal

__all__ = ["Multiscale", "Series"]

BASES = {"chebyshev": Chebyshev, "fourier": Periodic, "sine": Dirichlet, "cosine": Neumann}


class Series(Distribution):
    """``Σ c_k φ_k`` with independent coefficients, uniform in ``range`` and divided by ``max(1, m)^decay``, m the
    degree or wave number of the function (of a product: the largest of its factors).

    Args:
        basis: ``chebyshev`` polynomials, ``fourier`` (constant, cosines and sines), ``sine`` (zero at the ends) or
            ``cosine`` (zero slope at the ends); each function has the largest value 1 along each coordinate.
        terms: functions along each coordinate.
        range: of a coefficient.
        decay: exponent by which coefficients fall.
    """

    kind = "series"

    basis: Literal["chebyshev", "fourier", "sine", "cosine"] = "chebyshev"
    terms: int = Field(10, ge=1, le=10_000)
    range: Range = (-1.0, 1.0)
    decay: Real = 0.0

    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Modal:
        self.check_dimensions(over, 1, 2, 3)
        bases = tuple(BASES[self.basis](float(low), float(high), self.terms) for low, high in bounds)
        coefficients = rng.uniform(*self.range, size=(self.terms,) * len(over))
        number = np.arange(self.terms)
        degree = {"fourier": (number + 1) // 2, "sine": number + 1}.get(self.basis, number)
        order = reduce(np.maximum.outer, [np.maximum(1, degree)] * len(over)).astype(np.float64)
        heights = reduce(np.multiply.outer, [_heights(basis) for basis in bases])
        return Modal(over, bases, coefficients * order**-self.decay / heights)


def _heights(basis: Chebyshev | Periodic | Dirichlet | Neumann) -> np.ndarray:
    """Return the largest value of each function."""
    if isinstance(basis, Chebyshev):
        return np.ones(basis.count)
    return np.where(basis.wavenumbers == 0, np.sqrt(1 / basis.length), np.sqrt(2 / basis.length))


@dataclass(frozen=True, eq=False)
class Trigonometric(Function):
    """``Π_k (1 + c cos(a_k π(x + y))) (1 + c sin(a_k π(y − 3x)))``."""

    over: tuple[str, ...]
    frequencies: np.ndarray
    contrast: float

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        if sum(index or ()) > 1:
            self._refuse_derivative(index, "only its first derivatives are known")
        x, y = points.T
        value, slope = np.ones(len(points)), np.zeros(len(points))
        along_x, along_y = index or (0, 0)
        for frequency in np.pi * self.frequencies:
            first, second = frequency * (x + y), frequency * (y - 3 * x)
            factors = 1 + self.contrast * np.cos(first), 1 + self.contrast * np.sin(second)
            value *= factors[0] * factors[1]
            if index is not None and any(index):
                rise = along_y - 3 * along_x
                slope -= frequency * self.contrast * np.sin(first) / factors[0]
                slope += rise * frequency * self.contrast * np.cos(second) / factors[1]
        # (log f)' = Σ f_k'/f_k; no factor vanishes.
        return value * slope if index is not None and any(index) else value

    def on_grid(self, axes: Sequence[np.ndarray], index: Sequence[int] | None = None) -> np.ndarray:
        if index is not None and any(index):
            return super().on_grid(axes, index)
        x, y = (np.asarray(axis, dtype=np.float64) for axis in axes)
        value = np.ones((len(x), len(y)))
        for a in np.pi * self.frequencies:
            # Sums of angles as sums of outer products: the cosines of two axes in place of those of a plane.
            value *= 1 + self.contrast * (
                np.multiply.outer(np.cos(a * x), np.cos(a * y)) - np.multiply.outer(np.sin(a * x), np.sin(a * y))
            )
            value *= 1 + self.contrast * (
                np.multiply.outer(np.cos(3 * a * x), np.sin(a * y))
                - np.multiply.outer(np.sin(3 * a * x), np.cos(a * y))
            )
        return value


class Multiscale(Distribution):
    """``a(x, y) = Π_{k=1…scales} (1 + c cos(a_k π(x+y))) (1 + c sin(a_k π(y−3x)))``, ``a_k`` uniform in
    ``[2^(k−1), 1.5·2^(k−1)]``: the multiscale coefficient of Owhadi (2017) as Liu, Xu and Zhang (2022) draw it.

    Args:
        scales: how many there are.
        contrast: c, below 1.
    """

    kind = "multiscale"

    scales: int = Field(6, ge=1, le=30)
    contrast: Real = 0.5

    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Function:
        self.check_dimensions(over, 2)
        if not abs(self.contrast) < 1:
            raise InputError(
                f"must lie between -1 and 1, so that the coefficient is positive, got {self.contrast:g}", ("contrast",)
            )
        lowest = 2.0 ** np.arange(self.scales)
        return Trigonometric(over, rng.uniform(lowest, 1.5 * lowest), self.contrast)
