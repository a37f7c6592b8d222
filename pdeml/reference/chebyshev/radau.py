"""Radau IIA methods: collocation in time at the Radau points, stiffly accurate and L-stable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import roots_jacobi

__all__ = ["Tableau", "radau"]


@dataclass(frozen=True, eq=False)
class Tableau:
    """The coefficients of the method with ``s`` stages, of order ``2 s - 1`` and stage order ``s``.

    Attributes:
        nodes: of the stages in a step of length 1 (s,); the last one is 1.
        inverse: of the Runge-Kutta matrix (s, s): the rates of the stages are ``inverse @ (stages - start) / h``.
        values: its eigenvalues (s,), complex.
        vectors: its eigenvectors in columns (s, s).
        parts: which eigenvalues have to be solved for, and how often they count: one of each conjugate pair twice.
    """

    nodes: np.ndarray
    inverse: np.ndarray
    values: np.ndarray
    vectors: np.ndarray
    parts: tuple[tuple[int, float], ...]

    def ahead(self, ratio: float) -> np.ndarray:
        """Return the matrix (s, s + 1) that continues the last step to the stages of the next.

        Args:
            ratio: length of the next step over that of the last.
        Returns: what multiplies the start and the stages of the last step.
        """
        nodes = np.concatenate([[0.0], self.nodes])
        gaps = nodes[:, None] - nodes + np.eye(len(nodes))
        distance = (1.0 + ratio * self.nodes)[:, None] - nodes
        return distance.prod(1, keepdims=True) / (distance * gaps.prod(1))


@lru_cache
def radau(stages: int) -> Tableau:
    """Return the Radau IIA method with some stages, from 1 (implicit Euler) on.

    Reference: Hairer & Wanner, Solving Ordinary Differential Equations II (1996), IV.5 and IV.8.
    """
    inner = roots_jacobi(stages - 1, 1.0, 0.0)[0] if stages > 1 else np.zeros(0)
    nodes = np.concatenate([(inner + 1.0) / 2.0, [1.0]])
    powers = np.vander(nodes, stages, increasing=True)
    matrix = (powers * nodes[:, None] / np.arange(1, stages + 1)) @ np.linalg.inv(powers)
    inverse = np.linalg.inv(matrix)
    values, vectors = (found.astype(complex) for found in np.linalg.eig(inverse))
    parts = tuple((k, 2.0 if value.imag else 1.0) for k, value in enumerate(values) if value.imag >= 0)
    return Tableau(nodes, inverse, values, vectors, parts)
