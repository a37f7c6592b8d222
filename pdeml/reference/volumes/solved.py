"""Nodal values of a solution with shocks, and what lies between the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pdeml.problem import Problem
from pdeml.reference.solved import Solved

__all__ = ["NodalSolution"]

STENCIL = 6
CHUNK = 2_000_000
"""At most this many gathered numbers in memory at once."""


@dataclass(frozen=True, eq=False)
class NodalSolution(Solved):
    """Values at the nodes of a uniform grid, interpolated in a way that keeps shocks.

    Between two nodes the value is that of the polynomial through six nodes around, cut off where it leaves the interval
    between the values of the two by more than the curvature explains (a quarter of the smaller second difference, zero
    if they differ in sign). Smooth solutions are interpolated with order 6; at a shock nothing overshoots.

    Args:
        problem: what was solved.
        times: stored times (T,).
        array: values (T, C, n_1, …), space coordinates in declared order.
        facts: how it was computed.
        nodes: space coordinate -> nodes.
    """

    problem: Problem
    times: np.ndarray
    array: np.ndarray
    facts: Mapping[str, float | int | str]
    nodes: Mapping[str, np.ndarray]
    stencil: ClassVar[int] = 2

    def on_axes(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self.array
        for k, (name, axis) in enumerate(axes.items()):
            rows, place = self._around(name, axis)
            moved = np.moveaxis(values, k + 2, -1)
            values = np.moveaxis(_between(moved[..., rows], place), -1, k + 2)
        return dict(zip(self.problem.names.real_unknowns, np.moveaxis(values, 1, 0), strict=True))

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        width = self.array.shape[0] * self.array.shape[1] * STENCIL ** len(self.nodes)
        step = max(1, CHUNK // width)
        parts = [self._at(points[k : k + step]) for k in range(0, len(points), step)]
        values = np.concatenate(parts, -1) if parts else np.zeros((*self.array.shape[:2], 0))
        return dict(zip(self.problem.names.real_unknowns, np.moveaxis(values, 1, 0), strict=True))

    def _at(self, points: np.ndarray) -> np.ndarray:
        found = [self._around(name, column) for name, column in zip(self.nodes, points.T, strict=True)]
        if len(found) == 1:
            (rows, place), values = found[0], self.array
        else:
            (first, one), (rows, place) = found
            gathered = self.array[:, :, first[:, None, :], rows[:, :, None]]
            values = _between(gathered, one[:, None])
            return _between(values, place)
        return _between(values[..., rows], place)

    def _around(self, name: str, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the nodes around each position (N, 6) and its place among them, counted in steps (N,)."""
        nodes = self.nodes[name]
        count, low = len(nodes), nodes[0]
        place = (np.asarray(positions, dtype=np.float64) - low) / (nodes[1] - low)
        if name in self.problem.periodic:
            place = np.mod(place, count)
            first = np.floor(place).astype(int) - 2
            return np.mod(first[:, None] + np.arange(STENCIL), count), place - first
        first = np.clip(np.floor(place).astype(int) - 2, 0, max(0, count - STENCIL))
        rows = first[:, None] + np.arange(STENCIL)
        return np.minimum(rows, count - 1), place - first


def _between(stencil: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Interpolate values (…, 6) at nodes 0, …, 5 at ``place`` (which broadcasts with …), between 0 and 5."""
    cell = np.clip(np.floor(place).astype(int), 0, STENCIL - 2)
    nodes = np.arange(STENCIL)
    gaps = place[..., None] - nodes
    others = ~np.eye(STENCIL, dtype=bool)
    factors = np.where(others, gaps[..., None, :], 1.0) / np.where(others, nodes[:, None] - nodes, 1.0)
    smooth = (stencil * factors.prod(-1)).sum(-1)

    def at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
        index = np.broadcast_to(index, values.shape[:-1])[..., None]
        return np.take_along_axis(values, index, -1)[..., 0]

    a, b = at(stencil, cell), at(stencil, cell + 1)
    bends = np.diff(stencil, 2)
    c, d = at(bends, np.clip(cell - 1, 0, STENCIL - 3)), at(bends, np.clip(cell, 0, STENCIL - 3))
    slack = np.where(c * d > 0, 0.25 * np.minimum(np.abs(c), np.abs(d)), 0.0)
    return np.clip(smooth, np.minimum(a, b) - slack, np.maximum(a, b) + slack)
