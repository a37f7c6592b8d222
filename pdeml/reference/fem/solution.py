"""Finite element solutions evaluated anywhere: on any mesh, and faster on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pdeml.problem import Problem
from pdeml.reference.fem.space import Space
from pdeml.reference.solved import Solved

__all__ = ["GridSolved", "MeshSolved"]

_ON_NODE = 1e-9  # a place this near to a node, in steps of the grid, is that node


@dataclass(frozen=True, eq=False)
class MeshSolved(Solved):
    """Coefficients ``array`` (T, unknowns, nodes) in a space."""

    problem: Problem
    times: np.ndarray | None
    array: np.ndarray
    facts: Mapping[str, float | int | str]
    space: Space

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        matrix = self.space.interpolation(np.asarray(points, dtype=np.float64))
        names = self.problem.names.real_unknowns
        return {name: (matrix @ self.array[:, k].T).T for k, name in enumerate(names)}


@dataclass(frozen=True, eq=False)
class GridSolved(Solved):
    """Values ``array`` (T, unknowns, n * m) at the nodes of a grid, linear on the two triangles of each cell.

    The cells are cut from their lower left to their upper right corner, as by `grid_triangulation`.
    """

    problem: Problem
    times: np.ndarray | None
    array: np.ndarray
    facts: Mapping[str, float | int | str]
    counts: tuple[int, int]

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        cells, shares = zip(*(self._cell(k, points[:, k]) for k in range(2)), strict=True)
        return self._interpolated(cells, shares)

    def on_axes(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        cells, shares = zip(*(self._cell(k, axis) for k, axis in enumerate(axes.values())), strict=True)
        if all(np.all((share == 0) | (share == 1)) for share in shares):
            rows, columns = (cell + share.astype(int) for cell, share in zip(cells, shares, strict=True))
            return {name: nodal[:, rows[:, None], columns] for name, nodal in self._nodal().items()}
        return self._interpolated((cells[0][:, None], cells[1]), (shares[0][:, None], shares[1]))

    def _nodal(self) -> dict[str, np.ndarray]:
        shape = (-1, *self.counts)
        return {name: self.array[:, k].reshape(shape) for k, name in enumerate(self.problem.names.real_unknowns)}

    def _cell(self, axis: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cell along an axis that each place is in, and how far into it the place is, 0 to 1."""
        low, high = self.problem.domain.space.bounds[axis]
        position = (np.asarray(places, dtype=np.float64) - low) / (high - low) * (self.counts[axis] - 1)
        nearest = np.round(position)
        position = np.where(np.abs(position - nearest) < _ON_NODE, nearest, position)
        cell = np.clip(np.floor(position).astype(int), 0, self.counts[axis] - 2)
        return cell, position - cell

    def _interpolated(self, cells: tuple, shares: tuple) -> dict[str, np.ndarray]:
        (i, j), (s, t) = cells, shares
        lower = s >= t
        middle = np.where(lower, i + 1, i), np.where(lower, j, j + 1)  # the corner beside the diagonal
        first, last = 1.0 - np.maximum(s, t), np.minimum(s, t)
        return {
            name: first * nodal[:, i, j] + np.abs(s - t) * nodal[(slice(None), *middle)] + last * nodal[:, i + 1, j + 1]
            for name, nodal in self._nodal().items()
        }
