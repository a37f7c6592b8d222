"""Mean, spread and range of very many numbers in one pass that loses no digits.

Reference: Chan, Golub, LeVeque, *Updating formulae and a pairwise algorithm for computing sample variances* (1979).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Moments"]

_BLOCK = 2**16  # numbers that stay in the cache


@dataclass
class Moments:
    """Count, mean, sum of squared deviations and range of the finite numbers seen so far."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: np.ndarray) -> None:
        """Take in an array of any shape; numbers that are not finite are left out."""
        flat = values.reshape(-1)
        for start in range(0, len(flat), _BLOCK):
            block = flat[start : start + _BLOCK].astype(np.float64)
            finite = np.isfinite(block)
            block = block if finite.all() else block[finite]
            if len(block):
                mean = float(block.mean())
                deviations = block - mean
                squares = float(np.square(deviations, out=deviations).sum())
                self.merge(Moments(len(block), mean, squares, float(block.min()), float(block.max())))

    def merge(self, other: Moments) -> None:
        """Take in the numbers that ``other`` has seen."""
        if not other.count:
            return
        total = self.count + other.count
        shift = other.mean - self.mean
        self.squares += other.squares + shift * shift * (self.count / total) * other.count
        self.mean += shift * (other.count / total)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.count = total

    @staticmethod
    def of(statistics: Mapping[str, float]) -> Moments:
        """Return the moments whose `statistics` these are."""
        count = int(statistics["count"])
        if not count:
            return Moments()
        squares = statistics["std"] ** 2 * count
        return Moments(count, statistics["mean"], squares, statistics["min"], statistics["max"])

    def statistics(self) -> dict[str, float]:
        """Return ``mean``, ``std`` (of the population), ``min``, ``max`` (NaN where nothing was seen) and ``count``."""
        if not self.count:
            return {"mean": math.nan, "std": math.nan, "min": math.nan, "max": math.nan, "count": 0.0}
        spread = math.sqrt(max(self.squares, 0.0) / self.count)
        return {"mean": self.mean, "std": spread, "min": self.low, "max": self.high, "count": float(self.count)}
