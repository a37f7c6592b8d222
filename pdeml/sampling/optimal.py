"""Optimal points for least squares: Christoffel densities, volume sampling and determinantal point processes.

Given functions on a pool of candidates, these find the few points from which a function in their span is best
recovered. For equations the functions are the rows of the operator, ``L φ_j``, in place of the features ``φ_j``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, one_of
from pdeml.sampling.draw import Seed, generator
from pdeml.sampling.points import Points

__all__ = ["OPTIMAL", "Chosen", "choose", "christoffel"]

_CUT = 1e-12


@dataclass(frozen=True, eq=False)
class Chosen:
    """Candidates that were drawn; one may come several times.

    Args:
        indices: of the candidates, (n,).
        weights: (n,): over draws, the expectation of ``Σ_i weights_i f(x_i)`` is the mean of f over the candidates.
            The least squares of these points has the rows multiplied by their roots.
        rank: number m of functions that are independent on the candidates.
    """

    indices: np.ndarray
    weights: np.ndarray
    rank: int

    def of(self, candidates: Points) -> Points:
        """Return the points, with weights that are scaled to sum to one."""
        normals = None if candidates.normals is None else candidates.normals[self.indices]
        return Points(candidates.x[self.indices], self.weights / self.weights.sum(), normals)


def christoffel(features: ArrayLike, measure: ArrayLike | None = None) -> np.ndarray:
    """Return the density ``K_m(x) / m``, (N,), of mean one, with ``K_m = Σ_j q_j²`` for an orthonormal basis q.

    Points drawn from it, each with the weight ``m / K_m``, give a least-squares problem of condition about one with
    high probability as soon as there are a constant times ``m log m`` of them, whatever the functions; uniform points
    may need ``m²`` for polynomials, and more for others. As a `density` of `adapt` it draws evenly spread points.

    Args:
        features: (N, k) of functions at candidates; they need not be independent.
        measure: (N,), what each candidate stands for; equal by default.

    Raises:
        InputError: the features are not finite, or all zero; the measure does not fit.

    Reference: Cohen & Migliorati, *Optimal weighted least-squares methods* (2017), theorem 2.1.
    """
    basis, mass = _orthonormal(features, measure)
    result = np.zeros(len(mass))
    np.divide(np.sum(basis**2, axis=1), mass, out=result, where=mass > 0)
    return result / basis.shape[1]


def choose(
    features: ArrayLike, n: int, method: str = "dpp", *, measure: ArrayLike | None = None, seed: Seed = 0
) -> Chosen:
    """Draw n candidates from which functions in the span of the features are best recovered by least squares.

    All methods draw each point from the Christoffel density; they differ in how points keep off each other.

    Args:
        features: (N, k), of functions at N candidates; they are made orthonormal, and m <= k of them are independent.
        n: number of points.
        method: ``christoffel`` (independent: n of about ``m log m``), ``volume`` (m repel each other and the rest are
            independent: unbiased, and near the best approximation from n = m on) or ``dpp`` (independent sets of m
            that repel each other; the last may be a part of one: best in practice).
        measure: (N,), what each candidate stands for; equal by default.
        seed: same seed, same draw.

    Raises:
        InputError: the method is unknown; n is no number of at least m (of at least one for ``christoffel``); the
            features are not finite, or all zero; the measure does not fit.

    Reference: Cohen & Migliorati (2017); Dereziński, Warmuth, Hsu, *Unbiased estimators for random design regression*
    (2022); Nouy & Michel, *Weighted least-squares approximation with determinantal point processes and generalized
    volume sampling* (2024).
    """
    if method not in OPTIMAL:
        raise InputError(one_of(method, OPTIMAL, "a way of choosing optimal points"))
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise InputError(f"the number of points must be an integer >= 1, got {n!r}")
    basis, mass = _orthonormal(features, measure)
    rank = basis.shape[1]
    if method != "christoffel" and n < rank:
        raise InputError(f"{n} points for {rank} independent functions; {method} takes at least {rank}")
    indices = _DRAWS[method](basis, int(n), generator(seed))
    leverage = np.sum(basis[indices] ** 2, axis=1)
    return Chosen(indices, mass[indices] * rank / (leverage * n), rank)


def _orthonormal(features: ArrayLike, measure: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a basis times the root of the measure, with orthonormal columns, (N, m), and the measure, of sum one."""
    a = np.asarray(features, dtype=np.float64)
    if a.ndim != 2 or not np.isfinite(a).all():
        raise InputError(f"features are a finite array of candidates by functions, got shape {a.shape}")
    mass = np.ones(len(a)) if measure is None else np.asarray(measure, dtype=np.float64)
    if mass.shape != (len(a),) or not (np.all(mass >= 0) and 0 < mass.sum() < np.inf):
        raise InputError(f"the measure must be {len(a)} finite numbers >= 0, got shape {mass.shape}")
    mass = mass / mass.sum()
    sizes = np.linalg.norm(a, axis=0)
    u, s, _ = np.linalg.svd(np.sqrt(mass)[:, None] * (a / np.where(sizes > 0, sizes, 1.0)), full_matrices=False)
    if not s.max(initial=0.0) > 0:
        raise InputError("the features are zero at every candidate")
    return u[:, s > _CUT * s[0]], mass


def _independent(basis: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    leverage = np.sum(basis**2, axis=1)
    return rng.choice(len(basis), n, p=leverage / leverage.sum())


def _volume(basis: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    rank = basis.shape[1]
    return np.concatenate([_repelling(basis, rank, rng), _independent(basis, n - rank, rng)])


def _repeated(basis: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    # The points of one set are exchangeable: the first few of one are a fair part of it.
    rank = basis.shape[1]
    return np.concatenate([_repelling(basis, min(rank, n - done), rng) for done in range(0, n, rank)])


def _repelling(basis: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n <= m points of the projection determinantal process with kernel ``K = basis basisᵀ``, in N m n steps.

    One after the other, each from the diagonal of what is left of K once the points before are taken out of it.
    """
    left = np.sum(basis**2, axis=1)
    taken = np.empty((n, len(basis)))
    chosen = np.empty(n, dtype=np.int64)
    for k in range(n):
        cumulated = np.cumsum(left)
        i = min(int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right")), len(basis) - 1)
        column = basis @ basis[i] - taken[:k, i] @ taken[:k]
        taken[k] = column / np.sqrt(left[i])
        left = np.maximum(left - taken[k] ** 2, 0.0)
        left[chosen[:k]], left[i] = 0.0, 0.0
        chosen[k] = i
    return chosen


_DRAWS: dict[str, Callable[[np.ndarray, int, np.random.Generator], np.ndarray]] = {
    "christoffel": _independent,
    "volume": _volume,
    "dpp": _repeated,
}
OPTIMAL = tuple(_DRAWS)
"""Ways of choosing optimal points."""
