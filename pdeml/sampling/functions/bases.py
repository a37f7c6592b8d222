"""Bases of functions of one coordinate, orthonormal on an interval where that makes sense, with their derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["Basis", "Chebyshev", "Dirichlet", "Neumann", "Periodic", "table"]

KEPT_TABLES = 8
MOST_KEPT = 32_000_000
"""Numbers of a table that is kept for the next function on the same axis."""


@dataclass(frozen=True)
class Basis(ABC):
    """The first ``count`` functions of a basis on ``[low, high]``.

    Args:
        low, high: ends of the interval.
        count: how many functions.
    """

    low: float
    high: float
    count: int

    @property
    def length(self) -> float:
        """Of the interval."""
        return self.high - self.low

    @property
    @abstractmethod
    def wavenumbers(self) -> np.ndarray:
        """Root of the eigenvalue of −d²/dx² for each function, (count,)."""

    @abstractmethod
    def values(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        """Return the derivative of the given order of each function at ``x`` (N,): (N, count)."""


class Neumann(Basis):
    """``1/√L, √(2/L) cos(πk(x−low)/L)``, k = 1, 2, …: zero slope at both ends."""

    @property
    def wavenumbers(self) -> np.ndarray:
        return np.pi * np.arange(self.count) / self.length

    def values(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        k = self.wavenumbers
        height = np.where(k == 0, np.sqrt(1 / self.length), np.sqrt(2 / self.length))
        return height * k**order * np.cos(k * (x[:, None] - self.low) + 0.5 * np.pi * order)


class Dirichlet(Basis):
    """``√(2/L) sin(πk(x−low)/L)``, k = 1, 2, …: zero at both ends."""

    @property
    def wavenumbers(self) -> np.ndarray:
        return np.pi * np.arange(1, self.count + 1) / self.length

    def values(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        k = self.wavenumbers
        return np.sqrt(2 / self.length) * k**order * np.sin(k * (x[:, None] - self.low) + 0.5 * np.pi * order)


class Periodic(Basis):
    """``1/√L``, then ``√(2/L) cos`` and ``√(2/L) sin`` of ``2πk(x−low)/L`` in turn, k = 1, 2, …: repeats after L."""

    @property
    def wavenumbers(self) -> np.ndarray:
        return 2 * np.pi * ((np.arange(self.count) + 1) // 2) / self.length

    def values(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        k = self.wavenumbers
        height = np.where(k == 0, np.sqrt(1 / self.length), np.sqrt(2 / self.length))
        # sin is cos a quarter of a turn later; the sines stand at even places from 2 on.
        quarter = np.where((np.arange(self.count) % 2 == 0) & (k > 0), 0.5 * np.pi, 0.0)
        return height * k**order * np.cos(k * (x[:, None] - self.low) - quarter + 0.5 * np.pi * order)


class Chebyshev(Basis):
    """``T_k`` of the coordinate mapped to [−1, 1], k = 0, 1, …; not orthonormal."""

    @property
    def wavenumbers(self) -> np.ndarray:
        return np.arange(self.count, dtype=np.float64)

    def values(self, x: np.ndarray, order: int = 0) -> np.ndarray:
        mapped = 2 * (x - self.low) / self.length - 1
        if order == 0:
            return chebyshev.chebvander(mapped, self.count - 1)
        derived = chebyshev.chebder(np.eye(self.count), order, scl=2 / self.length)
        return chebyshev.chebvander(mapped, len(derived) - 1) @ derived


def table(basis: Basis, axis: np.ndarray, order: int) -> np.ndarray:
    """Return ``basis.values(axis, order)``, from memory where the same axis came before: data sets have one grid."""
    if len(axis) * basis.count > MOST_KEPT:
        return basis.values(axis, order)
    return _kept(basis, np.ascontiguousarray(axis, dtype=np.float64).tobytes(), order)


@lru_cache(maxsize=KEPT_TABLES)
def _kept(basis: Basis, axis: bytes, order: int) -> np.ndarray:
    return basis.values(np.frombuffer(axis), order)
