"""Residual-adaptive sampling with importance weights: more points where the residual is large, the same mean square."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError
from pdeml.sampling.draw import Seed, generator
from pdeml.sampling.points import Points

__all__ = ["adapt", "inclusion", "rad_density"]


def rad_density(residual: ArrayLike, k: float = 1.0, c: float = 1.0) -> np.ndarray:
    """Return ``|r|**k / mean(|r|**k) + c``: the density of residual-adaptive distribution (RAD), not normalised.

    Args:
        residual: (N,), or (N, m) for several residuals at a point, whose root mean square is taken.
        k: how strongly points follow the residual, >= 0.
        c: floor, >= 0: the share of points that ignore the residual is c / (1 + c).

    Returns: (N,), positive; constant if the residual is zero everywhere.

    Raises:
        InputError: if the residual is not finite, or k or c is negative.
    Reference: Wu, Zhu, Tan, Kartha, Lu, *A comprehensive study of non-adaptive and residual-based adaptive sampling
        for physics-informed neural networks* (2023).
    """
    r = np.abs(np.asarray(residual, dtype=np.float64))
    if not np.all(np.isfinite(r)) or r.size == 0:
        raise InputError("the residual that points are to follow is empty or not finite")
    if not (k >= 0 and c >= 0):
        raise InputError(f"k and c must not be negative, got k={k!r}, c={c!r}")
    largest = r.max()
    if largest == 0:
        return np.full(len(r), 1.0 + c)
    r = r / largest  # powers of very large or very small residuals neither overflow nor vanish
    if r.ndim > 1:
        r = np.sqrt(np.mean(r.reshape(len(r), -1) ** 2, axis=1))
    power = r**k
    return power / power.mean() + c


def inclusion(probability: np.ndarray, n: int) -> np.ndarray:
    """Return expected numbers of draws proportional to ``probability`` that sum to n, none above one if that can be.

    Args:
        probability: (N,), not negative, not all zero.
        n: number of draws. With more draws than positive probabilities, numbers above one are unavoidable.
    """
    positive = probability > 0
    if n > positive.sum():
        return n * probability / probability.sum()
    if n == positive.sum():
        return positive.astype(np.float64)
    result = np.zeros(len(probability))
    certain = np.zeros(len(probability), dtype=bool)
    while True:
        rest = positive & ~certain
        result[rest] = (n - certain.sum()) * probability[rest] / probability[rest].sum()
        above = rest & (result >= 1)
        if not above.any():
            return result
        certain |= above
        result[certain] = 1.0


def adapt(candidates: Points, density: ArrayLike, n: int, seed: Seed = 0) -> Points:
    """Draw n of the candidates with the given density, with importance weights.

    Candidate i is drawn with a probability proportional to ``weights[i] * density[i]`` (capped at one: no point comes
    twice unless n exceeds the number of candidates), by systematic sampling along a space-filling curve, which keeps
    the points evenly spread. The weights undo the density: over draws, the expectation of ``sum w f`` is
    ``sum candidates.weights * f``. They are scaled to sum to one; what that changes is below the scatter.

    Args:
        candidates: fresh points of the region, several times n.
        density: (N,), not negative; points of density zero are never drawn, so keep it positive (`rad_density`).
        n: how many to draw.
        seed: same seed, same draw.

    Returns: n points, in the order of the candidates.

    Raises:
        InputError: if the density has the wrong shape, is negative, not finite, or zero everywhere; or n < 1.
    Reference: Tillé, *Sampling Algorithms* (2006), ch. 7 (systematic sampling with unequal probabilities).
    """
    q = np.asarray(density, dtype=np.float64)
    if q.shape != (len(candidates),) or not np.all(np.isfinite(q)) or np.any(q < 0):
        raise InputError(f"the density must be {len(candidates)} finite numbers >= 0, got shape {q.shape}")
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise InputError(f"the number of points must be an integer >= 1, got {n!r}")
    probability = candidates.weights * (q / max(q.max(initial=0.0), np.finfo(float).tiny))
    if not probability.sum() > 0:
        raise InputError("the density is zero at every candidate")
    expected = inclusion(probability, int(n))
    order = _along_curve(candidates.x)
    ends = np.cumsum(expected[order])
    ticks = (np.arange(int(n)) + generator(seed).random()) * (ends[-1] / n)
    drawn = np.sort(order[np.minimum(np.searchsorted(ends, ticks, side="right"), len(ends) - 1)])
    weights = candidates.weights[drawn] / expected[drawn]
    normals = None if candidates.normals is None else candidates.normals[drawn]
    return Points(candidates.x[drawn], weights / weights.sum(), normals)


def _along_curve(x: np.ndarray) -> np.ndarray:
    """Return the order of points (N, D) along a Morton curve: neighbours in order are neighbours in space."""
    low, high = x.min(axis=0), x.max(axis=0)
    varying = np.flatnonzero(high > low)
    if varying.size == 0:
        return np.arange(len(x))
    bits = min(62 // varying.size, 20) or 1
    columns = varying[:62]
    cells = ((x[:, columns] - low[columns]) / (high - low)[columns] * (2**bits - 1)).astype(np.int64)
    code = np.zeros(len(x), dtype=np.int64)
    for bit in range(bits - 1, -1, -1):
        for column in range(cells.shape[1]):
            code = (code << 1) | ((cells[:, column] >> bit) & 1)
    return np.argsort(code, kind="stable")
