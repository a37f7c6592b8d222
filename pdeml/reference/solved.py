"""A numerical solution that can be evaluated anywhere in the domain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pdeml.field import canonical_dims, grid_points
from pdeml.problem import Problem

__all__ = ["Solved"]

CHUNK = 4_000_000
"""At most this many interpolated numbers in memory at once."""
SAME = 1e-9
"""Times this near to a stored one, relative to the duration, count as that one."""


class Solved(ABC):
    """Values of the unknowns in the solver's own basis, at the times that were asked for.

    Attributes:
        problem: what was solved.
        times: the stored times (T,), increasing; None for a steady problem, and then T = 1 below.
        array: all coefficients or nodal values, float64; with ``method.solved(...)`` they make an equal object again.
        facts: how it was computed, for reports: steps, degrees of freedom, relative residual, …
        stencil: stored times that take part in interpolation between them; 6 for degree 5, 2 where there are jumps.
    """

    stencil: ClassVar[int] = 6

    problem: Problem
    times: np.ndarray | None
    array: np.ndarray
    facts: Mapping[str, float | int | str]

    @abstractmethod
    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Evaluate at points of space and all stored times.

        Args:
            points: (N, d), columns in the order of the space coordinates.
        Returns: real unknown -> (T, N).
        """

    def on_axes(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate on a tensor grid of space and all stored times; overridden where there is a faster way.

        Args:
            axes: space coordinate -> 1-D values, in declared order.
        Returns: real unknown -> (T, n_1, n_2, …) in the order of ``axes``.
        """
        shape = tuple(len(axis) for axis in axes.values())
        found = self.at_space(grid_points(axes, tuple(axes)))
        return {name: values.reshape(-1, *shape) for name, values in found.items()}

    def on_grid(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Evaluate on a tensor grid of all coordinates.

        Args:
            axes: coordinate -> 1-D values; times between stored ones are interpolated.
        Returns: real unknown -> array in the order (t, z, y, x) of files.
        """
        names = self.problem.names
        found = self.on_axes({name: np.asarray(axes[name], dtype=np.float64) for name in names.space})
        dims = (*(() if names.time is None else (names.time,)), *names.space)
        order = [dims.index(name) for name in canonical_dims(names.coordinates, names.time)]
        result = {}
        for name, values in found.items():
            whole = values[0] if names.time is None else self._between(values, np.asarray(axes[names.time]))
            result[name] = np.ascontiguousarray(whole.transpose(order))
        return result

    def evaluate(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Evaluate at points (N, D), columns in the order of the problem's coordinates; real unknown -> (N,)."""
        names = self.problem.names
        space = points[:, [names.coordinates.index(name) for name in names.space]]
        if self.times is None:
            return {name: values[0] for name, values in self.at_space(space).items()}
        rows, weights = self._stencils(points[:, names.coordinates.index(names.time)])
        step = max(1, CHUNK // len(self.times))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names.real_unknowns}
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            for name, values in self.at_space(space[part]).items():
                picked = values[rows[part], np.arange(values.shape[1])[:, None]]
                parts[name].append((picked * weights[part]).sum(1))
        return {name: np.concatenate(found) if found else np.zeros(0) for name, found in parts.items()}

    def _between(self, values: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Interpolate (T, …) to the given times."""
        rows, weights = self._stencils(times)
        exact = weights.max(1) == 1
        result = np.empty((len(times), *values.shape[1:]))
        for k, (row, weight) in enumerate(zip(rows, weights, strict=True)):
            result[k] = values[row[weight.argmax()]] if exact[k] else np.tensordot(weight, values[row], 1)
        return result

    def _stencils(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the stored times around each time and the weights of Lagrange interpolation on them, both (N, S)."""
        assert self.times is not None
        count = min(self.stencil, len(self.times))
        start = np.clip(np.searchsorted(self.times, times) - count // 2, 0, len(self.times) - count)
        rows = start[:, None] + np.arange(count)
        nodes, distance = self.times[rows], np.asarray(times)[:, None]
        duration = max(np.ptp(self.times), np.finfo(float).tiny)
        hit = np.abs(nodes - distance) <= SAME * duration
        gaps = nodes[:, :, None] - nodes[:, None, :] + np.eye(count)
        barycentric = 1.0 / gaps.prod(axis=2)
        terms = barycentric / np.where(hit, 1.0, distance - nodes)
        weights = np.where(hit.any(1, keepdims=True), hit, terms / terms.sum(1, keepdims=True))
        return rows, weights / weights.sum(1, keepdims=True)
