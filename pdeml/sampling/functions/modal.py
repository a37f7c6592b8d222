"""Functions given by their coefficients in a tensor product of one-dimensional bases; exact at any point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdeml.sampling.functions.base import Function
from pdeml.sampling.functions.bases import Basis, table

__all__ = ["Modal"]

CHUNK = 20_000_000
"""At most this many numbers of a table in memory at once."""
SAME = 1e-13
"""Abscissae this near, relative to the interval, are one."""


@dataclass(frozen=True, eq=False)
class Modal(Function):
    """``f(x, y, …) = Σ c_{jk…} φ_j(x) ψ_k(y) …``.

    Args:
        over: names of the coordinates.
        bases: one for each coordinate.
        coefficients: shape (bases[0].count, bases[1].count, …).
    """

    over: tuple[str, ...]
    bases: tuple[Basis, ...]
    coefficients: np.ndarray

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        found = _tensor_grid(points, self.bases)
        if found is not None:
            axes, rows = found
            return self.on_grid(axes, index)[rows]
        orders = tuple(index or (0,) * len(self.over))
        step = max(1, CHUNK // max(1, self.coefficients.size // self.coefficients.shape[0]))
        parts = [self._at(points[start : start + step], orders) for start in range(0, len(points), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def on_grid(self, axes: Sequence[np.ndarray], index: Sequence[int] | None = None) -> np.ndarray:
        orders = tuple(index or (0,) * len(self.over))
        values = self.coefficients
        # Each product takes the first dimension away and puts the axis last; after all, the order is that of `over`.
        for basis, axis, order in zip(self.bases, axes, orders, strict=True):
            axis, step = np.asarray(axis, dtype=np.float64), max(1, CHUNK // basis.count)
            parts = [axis[start : start + step] for start in range(0, len(axis), step)]
            found = [np.tensordot(values, table(basis, part, order), axes=(0, 1)) for part in parts]
            values = np.concatenate(found, axis=-1)
        return values

    def _at(self, points: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        first, *rest = zip(self.bases, points.T, orders, strict=True)
        values = np.tensordot(first[0].values(first[1], first[2]), self.coefficients, 1)
        for basis, column, order in rest:
            values = np.einsum("nk,nk...->n...", basis.values(column, order), values)
        return values


def _tensor_grid(
    points: np.ndarray, bases: tuple[Basis, ...]
) -> tuple[list[np.ndarray], tuple[np.ndarray, ...]] | None:
    """Return the axes of the smallest tensor grid that holds the points and their places in it, if it is no larger
    than four times as many points: meshes of boxes have such nodes and such quadrature points."""
    axes, rows, size = [], [], 1
    for column, basis in zip(points.T, bases, strict=True):
        keys = np.round((column - basis.low) / (SAME * basis.length))
        _, first, row = np.unique(keys, return_index=True, return_inverse=True)
        size *= len(first)
        if size > 4 * len(points):
            return None
        axes.append(column[first])
        rows.append(row)
    return axes, tuple(rows)
