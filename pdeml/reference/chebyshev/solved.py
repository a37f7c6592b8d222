"""Solutions that are polynomials along one coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pdeml.problem import Problem
from pdeml.reference.chebyshev.basis import values_of
from pdeml.reference.solved import Solved

__all__ = ["InSpace", "InTime"]


@dataclass(frozen=True, eq=False)
class _Pieces(Solved):
    """Polynomials on the pieces of one coordinate.

    Args:
        array: Chebyshev coefficients (T, unknowns, pieces, M).
        breaks: ends of the pieces, increasing.
    """

    problem: Problem
    times: np.ndarray | None
    array: np.ndarray
    facts: Mapping[str, float | int | str]
    breaks: np.ndarray


class InSpace(_Pieces):
    """A solution along one space coordinate, steady or at some times."""

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        values = values_of(self.array, self.breaks, points[:, 0])
        return {name: values[:, k] for k, name in enumerate(self.problem.names.real_unknowns)}


class InTime(_Pieces):
    """A solution of a problem whose only coordinate is time: polynomials in time, nothing is interpolated; T is 1."""

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        values = self.evaluate(np.asarray(self.times, dtype=np.float64)[:, None])
        return {name: np.repeat(found[:, None], len(points), axis=1) for name, found in values.items()}

    def evaluate(self, points: np.ndarray) -> dict[str, np.ndarray]:
        values = values_of(self.array, self.breaks, points[:, 0])[0]
        return dict(zip(self.problem.names.real_unknowns, values, strict=True))

    def on_grid(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        (axis,) = axes.values()
        return self.evaluate(np.asarray(axis, dtype=np.float64)[:, None])
